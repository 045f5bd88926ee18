#include "compute/server_plan.h"

#include "compute/server_spec.h"
#include "model/shelve.h"

#include <stdlib.h>
#include <string.h>

/* Nova's: the guest gets a minute, and is reminded; so with devices. */
#define SHUTDOWN_TIMEOUT_S 60
#define SHUTDOWN_REMIND_US (10 * SECOND_US)
#define DETACH_TIMEOUT_US  (160 * SECOND_US)
#define DETACH_REMIND_US   (5 * SECOND_US)
#define STALL_US           (10 * SECOND_US)

const char *const server_step_names[N_STEPS] = {
#define X(name, text) [STEP_##name] = text,
    SERVER_STEPS(X)
#undef X
};

#define PLAN(step_, ...) ((struct server_plan){ STEP_##step_, __VA_ARGS__ })

static struct server_volume *volume_at(const struct server *s, size_t i)
{
    return LIST_AT(s->volumes, struct server_volume, i);
}

static struct server_port *port_at(const struct server *s, size_t i)
{
    return LIST_AT(s->ports, struct server_port, i);
}

static size_t at_most(size_t n, size_t most)
{
    return n < most ? n : most;
}

static size_t n_volumes(const struct server *s)
{
    /* Beside the root and the cdrom. */
    return at_most(s->volumes.n, DOMAIN_DISKS_MAX - 2 - LOCAL_DISKS_MAX);
}

static size_t n_ports(const struct server *s)
{
    return at_most(s->ports.n, DOMAIN_NICS_MAX);
}

/* Is it one that the move makes, or keeps for the way back? */
static bool of_move(const struct migration *m, const struct disk *d)
{
    return m && m->status >= MIGRATION_MIGRATING &&
           (d->generation == m->old_disks || d->generation == m->new_disks);
}

static void find_others(struct server_view *v, const struct snapshot *s)
{
    struct snap_iter it =
        snap_by(s, &kind_disk, "server_id", v->server->rec.id);
    v->n_others = v->n_coming = 0;
    for (const struct disk *d; (d = snap_next(&it));) {
        if (d->generation == v->server->disks || d->migration_id ||
            d->state == DISK_LEAVING)
            continue;
        if (!of_move(v->move, d) && v->n_others < OTHER_DISKS_MAX)
            v->others[v->n_others++] = d;
        else if (of_move(v->move, d) && v->n_coming < ARRAY_SIZE(v->coming))
            v->coming[v->n_coming++] = d;
    }
}

void server_view_init(struct server_view *v, const struct snapshot *s,
                      const struct server *server)
{
    char id[DISK_ID_SIZE];
    v->server = server;
    v->disk = snap_get(s, &kind_disk, server_disk_id(server, id));
    v->shelved_image = snap_get(s, &kind_image, server->shelved_image_id);
    const struct migration *m = server_migration(s, server);
    v->move = m && migration_is_cold(m) ? m : NULL;
    find_others(v, s);
    v->n_local = server_local_disks(server, v->local);
    for (size_t i = 0; i < v->n_local; i++)
        v->local_disks[i] = snap_get(s, &kind_disk, v->local[i].id);
    for (size_t i = 0; i < n_volumes(server); i++)
        v->volumes[i] =
            snap_get(s, &kind_volume, volume_at(server, i)->volume_id);
    for (size_t i = 0; i < n_ports(server); i++)
        v->ports[i] = snap_get(s, &kind_port, port_at(server, i)->port_id);
}

/* ---- readiness of what others make ------------------------------------- */

static bool volume_failed(const struct volume *v)
{
    return !v || v->status == VOLUME_ERROR || v->status == VOLUME_DELETING ||
           v->status == VOLUME_ERROR_DELETING;
}

/* Can the guest use the volume now? */
static bool server_volume_ready(const struct volume *v)
{
    return !volume_failed(v) && v->status != VOLUME_CREATING && v->path;
}

static bool on_other_node(const struct server *s, const struct volume *v)
{
    return v->node && s->node && strcmp(v->node, s->node) != 0;
}

static struct server_plan parts_volumes(const struct server_view *v)
{
    const struct server *s = v->server;
    for (size_t i = 0; i < n_volumes(s); i++) {
        if (volume_at(s, i)->state == ATTACH_LEAVING)
            continue;
        if (volume_failed(v->volumes[i]))
            return PLAN(FAIL, .text = "a volume of the server is not usable");
        if (!server_volume_ready(v->volumes[i]))
            return PLAN(WAIT);
        if (on_other_node(s, v->volumes[i]))
            return PLAN(FAIL, .text = "a volume of the server is on another "
                                      "node");
    }
    return PLAN(NONE);
}

static struct server_plan parts_disk(const struct disk *disk)
{
    if (disk && disk->state == DISK_FAILED)
        return PLAN(FAIL, .text = disk->fault ? disk->fault
                                              : "a disk could not be made");
    if (!disk || disk->state != DISK_READY || !disk->path)
        return PLAN(WAIT);
    return PLAN(NONE);
}

static struct server_plan parts_root(const struct server_view *v)
{
    if (server_boot_volume(v->server))
        return PLAN(NONE);
    if (!v->server->image_id)
        return PLAN(FAIL, .text = "the server has nothing to boot from");
    return parts_disk(v->disk);
}

static struct server_plan parts_local(const struct server_view *v)
{
    struct server_plan p = PLAN(NONE);
    for (size_t i = 0; i < v->n_local && p.step == STEP_NONE; i++)
        p = parts_disk(v->local_disks[i]);
    return p;
}

static struct server_plan parts_ports(const struct server_view *v)
{
    for (size_t i = 0; i < n_ports(v->server); i++)
        if (!v->ports[i] && port_at(v->server, i)->state != ATTACH_LEAVING)
            return PLAN(FAIL, .text = "a port of the server is gone");
    return PLAN(NONE);
}

/* NONE: all there.  WAIT or FAIL otherwise; failure goes first. */
static struct server_plan parts(const struct server_view *v)
{
    struct server_plan all[] = { parts_volumes(v), parts_root(v),
                                 parts_local(v), parts_ports(v) };
    struct server_plan worst = PLAN(NONE);
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (all[i].step > worst.step)
            worst = all[i]; /* NONE < WAIT < FAIL in the list of steps */
    return worst;
}

static struct server_plan start(const struct server_view *v)
{
    struct server_plan p = parts(v);
    return p.step == STEP_NONE ? PLAN(START) : p;
}

/* ---- asking the guest -------------------------------------------------- */

struct question {
    const char *what;
    size_t i;
    enum server_step ask, give_up;
    int64_t remind_us, timeout_us;
};

static struct server_plan ask(const struct server_view *v,
                              const struct question *q)
{
    const struct patience *p = &v->patience;
    if (strcmp(p->what, q->what) != 0)
        return (struct server_plan){ q->ask, .i = q->i };
    if (v->mono - p->since >= q->timeout_us)
        return (struct server_plan){ q->give_up, .i = q->i };
    if (v->mono - p->asked >= q->remind_us)
        return (struct server_plan){ q->ask, .i = q->i };
    return PLAN(WAIT, .after_us = p->asked + q->remind_us - v->mono);
}

static struct server_plan shut_down(const struct server_view *v)
{
    const char *own =
        map_get(&v->server->image_properties, "os_shutdown_timeout");
    int64_t seconds = own ? atoll(own) : SHUTDOWN_TIMEOUT_S;
    if (seconds < 0 || seconds > 3600)
        seconds = SHUTDOWN_TIMEOUT_S;
    struct question q = { "shutdown",         0,
                          STEP_SHUTDOWN,      STEP_DESTROY,
                          SHUTDOWN_REMIND_US, seconds * SECOND_US };
    return ask(v, &q);
}

/* ---- disks that go on in another file ----------------------------------- */

static const char *device_of(const struct server_view *v, size_t i)
{
    const struct server_volume *sv = volume_at(v->server, i);
    return device_name(sv->device ? sv->device : server_root_device(v->server));
}

static bool lags(const struct server_view *v, size_t i)
{
    const char *has = domain_disk_path(&v->domain, device_of(v, i));
    const struct volume *vol = v->volumes[i];
    return has && *has && volume_at(v->server, i)->state == ATTACH_DONE &&
           vol && vol->path && strcmp(has, vol->path) != 0;
}

/* Only of the disk it was started with: a guest that has one of another
 * generation must not go on in this one's. */
static bool root_lags(const struct server_view *v)
{
    const char *has = domain_disk_path(
        &v->domain, device_name(server_root_device(v->server)));
    return has && *has && v->disk && v->disk->path &&
           v->domain.reboot >= v->server->reboot &&
           strcmp(has, v->disk->path) != 0;
}

static struct server_plan moved(const struct server_view *v,
                                struct server_plan then)
{
    if (!server_boot_volume(v->server) && root_lags(v))
        return PLAN(MOVE_DISK, .i = ROOT_DISK);
    for (size_t i = 0; i < n_volumes(v->server); i++)
        if (lags(v, i))
            return PLAN(MOVE_DISK, .i = i);
    return then;
}

/* ---- life -------------------------------------------------------------- */

static bool resting(const struct server *s)
{
    return s->vm_state == VM_ERROR && s->task_state == TASK_NONE;
}

static bool reboot_pending(const struct server_view *v)
{
    const struct server *s = v->server;
    return s->goal == GOAL_RUNNING && s->reboot > s->reboots_done &&
           s->reboot > v->domain.reboot;
}

static struct server_plan reboot(const struct server_view *v)
{
    switch (v->domain.state) {
    case DOMAIN_RUNNING:
        return v->server->reboot_type == REBOOT_SOFT ? shut_down(v)
                                                     : PLAN(DESTROY);
    case DOMAIN_PAUSED:
        return PLAN(DESTROY);
    default:
        return start(v);
    }
}

/* The guest is off and nobody here turned it off. */
static bool halted(const struct server_view *v)
{
    const struct server *s = v->server;
    if (domain_active(&v->domain) || v->domain.state == DOMAIN_SAVED)
        return false;
    if (resting(s) || s->vm_state == VM_BUILDING || reboot_pending(v))
        return false;
    switch (s->goal) {
    case GOAL_RUNNING:
        return s->vm_state == VM_ACTIVE ||
               (s->vm_state == VM_RESIZED && v->move);
    case GOAL_PAUSED:
        return true;
    case GOAL_SUSPENDED:
        return s->vm_state != VM_SUSPENDED;
    default:
        return false;
    }
}

enum todo { REST, START, RESTORE, SHUT_DOWN, DESTROY, PAUSE, RESUME, SAVE };

/* The table of the header; N_STATES in the order of enum domain_state. */
static const unsigned char todo_table[DOMAIN_N_STATES][GOAL_DELETED] = {
    /*                  RUNNING  STOPPED    PAUSED   SUSPENDED */
    [DOMAIN_ABSENT] = { START, REST, REST, REST },
    [DOMAIN_OFF] = { START, REST, REST, REST },
    [DOMAIN_CRASHED] = { START, REST, REST, REST },
    [DOMAIN_SAVED] = { RESTORE, REST, RESTORE, REST },
    [DOMAIN_RUNNING] = { REST, SHUT_DOWN, PAUSE, SAVE },
    [DOMAIN_PAUSED] = { RESUME, DESTROY, REST, SAVE },
};

static struct server_plan to_goal(const struct server_view *v)
{
    const struct server *s = v->server;
    if (halted(v))
        return PLAN(NONE);
    switch ((enum todo)todo_table[v->domain.state][s->goal]) {
    case START:
        return start(v);
    case RESTORE:
        return PLAN(RESTORE);
    case SHUT_DOWN:
        return shut_down(v);
    case DESTROY:
        return PLAN(DESTROY);
    case PAUSE:
        return PLAN(PAUSE);
    case RESUME:
        return s->vm_state == VM_PAUSED ? PLAN(RESUME) : PLAN(NONE);
    case SAVE:
        return moved(v, PLAN(SAVE));
    case REST:
        break;
    }
    return s->task_state == TASK_REBUILDING ? parts(v) : PLAN(NONE);
}

/* What is to be done when the guest is off; NONE: take it off. */
static struct server_plan shelve(const struct server_view *v)
{
    const struct server *s = v->server;
    const struct image *im = v->shelved_image;
    bool uploading = s->task_state == TASK_SHELVING_IMAGE_UPLOADING;
    if (s->task_state == TASK_SHELVING_OFFLOADING)
        return v->domain.state == DOMAIN_ABSENT ? PLAN(OFFLOAD)
                                                : PLAN(UNDEFINE);
    if (server_boot_volume(s))
        return PLAN(SHELVE);
    struct server_plan p = parts_disk(v->disk);
    if (p.step != STEP_NONE)
        return p;
    if (v->disk->upload_image_id)
        return PLAN(WAIT);
    if (!im || im->status != (uploading ? IMAGE_ACTIVE : IMAGE_QUEUED))
        return PLAN(FAIL, .text = "the image of the server could not be made");
    return uploading ? PLAN(SHELVE) : PLAN(SHELVE_IMAGE);
}

static struct server_plan go_off(const struct server_view *v,
                                 struct server_plan then)
{
    if (v->domain.state == DOMAIN_RUNNING)
        return shut_down(v);
    return v->domain.state == DOMAIN_PAUSED ? PLAN(DESTROY) : then;
}

static struct server_plan coming(const struct server_view *v)
{
    struct server_plan p = PLAN(NONE);
    for (size_t i = 0; i < v->n_coming && p.step != STEP_FAIL; i++) {
        struct server_plan one = parts_disk(v->coming[i]);
        p = one.step != STEP_NONE ? one : p;
    }
    if (p.step == STEP_FAIL)
        p.step = STEP_MOVE_FAIL;
    return p;
}

/* Nothing is left on a node that the server leaves. */
static struct server_plan leave(const struct server_view *v,
                                enum server_step then)
{
    const struct migration *m = v->move;
    bool stays = strcmp(m->source, m->dest) == 0;
    return stays || v->domain.state == DOMAIN_ABSENT
               ? (struct server_plan){ then, .i = 0 }
               : PLAN(UNDEFINE);
}

/* The table of model/resize.h, of the node that the server is on. */
static struct server_plan move(const struct server_view *v)
{
    const struct server *s = v->server;
    struct server_plan p;
    if (v->move->abort && v->move->status < MIGRATION_POST_MIGRATING)
        return PLAN(MOVE_FAIL, .text = "the node it was to go to has failed");
    switch ((enum migration_status)v->move->status) {
    case MIGRATION_PREPARING:
        return go_off(v, PLAN(MOVE_BEGIN));
    case MIGRATION_MIGRATING:
        p = coming(v);
        return go_off(v, p.step == STEP_NONE ? leave(v, STEP_MOVE_ARRIVE) : p);
    case MIGRATION_POST_MIGRATING:
        if (s->goal == GOAL_RUNNING && !domain_active(&v->domain))
            return start(v);
        p = s->goal == GOAL_RUNNING ? PLAN(NONE) : parts(v);
        return p.step == STEP_NONE ? PLAN(MOVE_FINISH) : p;
    case MIGRATION_REVERTING:
        return go_off(v, leave(v, STEP_MOVE_REVERT));
    case MIGRATION_FINISHED:
        return to_goal(v);
    default: /* nobody has chosen a node yet */
        return PLAN(WAIT);
    }
}

/* What brings the domain to where it should be; NONE: it is there. */
static struct server_plan life(const struct server_view *v)
{
    const struct server *s = v->server;
    if (resting(s))
        return PLAN(NONE);
    if (v->move)
        return move(v);
    if (shelve_under_way(s))
        return go_off(v, shelve(v));
    if (s->vm_state == VM_RESIZED && s->goal == GOAL_RUNNING)
        return domain_active(&v->domain) ? PLAN(NONE) : start(v);
    if (s->vm_state == VM_BUILDING || s->vm_state == VM_SHELVED_OFFLOADED)
        return domain_active(&v->domain) ? PLAN(NONE) : start(v);
    return reboot_pending(v) ? reboot(v) : to_goal(v);
}

/* ---- devices ----------------------------------------------------------- */

static struct server_plan plan_volume(const struct server_view *v, size_t i)
{
    const struct server_volume *sv = volume_at(v->server, i);
    const struct volume *vol = v->volumes[i];
    const char *device = device_of(v, i);
    bool present = domain_has_disk(&v->domain, device);
    struct question q = { device,           i,
                          STEP_DETACH_DISK, STEP_KEEP_DISK,
                          DETACH_REMIND_US, DETACH_TIMEOUT_US };
    if (sv->state == ATTACH_LEAVING && present)
        return ask(v, &q);
    if (sv->state == ATTACH_WANTED && !present && server_volume_ready(vol))
        return PLAN(ATTACH_DISK, .i = i);
    if (sv->state == ATTACH_DONE && present && vol &&
        vol->status == VOLUME_EXTENDING && !lags(v, i))
        return PLAN(RESIZE_DISK, .i = i);
    return PLAN(NONE);
}

static struct server_plan plan_port(const struct server_view *v, size_t i)
{
    const struct server_port *sp = port_at(v->server, i);
    bool present = domain_has_nic(&v->domain, sp->port_id);
    struct question q = { sp->port_id,      i,
                          STEP_DETACH_NIC,  STEP_KEEP_NIC,
                          DETACH_REMIND_US, DETACH_TIMEOUT_US };
    if (sp->state == ATTACH_LEAVING && present)
        return ask(v, &q);
    if (sp->state == ATTACH_WANTED && !present && v->ports[i])
        return PLAN(ATTACH_NIC, .i = i);
    return PLAN(NONE);
}

/* One at a time; a guest that is being waited for holds up the others. */
static struct server_plan devices(const struct server_view *v)
{
    struct server_plan p = PLAN(NONE);
    if (!domain_active(&v->domain) || resting(v->server))
        return p;
    for (size_t i = 0; p.step == STEP_NONE && i < n_volumes(v->server); i++)
        p = plan_volume(v, i);
    for (size_t i = 0; p.step == STEP_NONE && i < n_ports(v->server); i++)
        p = plan_port(v, i);
    return p.step == STEP_NONE ? moved(v, p) : p;
}

/* ---- disks it had -------------------------------------------------------- */

static bool has_file(const struct domain_info *d, const char *path)
{
    for (size_t i = 0; path && i < d->n_disks; i++)
        if (strcmp(d->paths[i], path) == 0)
            return true;
    return false;
}

/* Saved memory goes on with the files it had. */
static bool is_open(const struct server_view *v, const struct disk *d)
{
    return (domain_active(&v->domain) || v->domain.state == DOMAIN_SAVED) &&
           has_file(&v->domain, d->path);
}

static struct server_plan old_disks(const struct server_view *v)
{
    if (parts_root(v).step != STEP_NONE || parts_local(v).step != STEP_NONE)
        return PLAN(NONE);
    for (size_t i = 0; i < v->n_others; i++)
        if (!is_open(v, v->others[i]))
            return PLAN(DROP_DISK, .i = i);
    return PLAN(NONE);
}

/* ---- what the record should say ---------------------------------------- */

static int64_t power_of(const struct domain_info *d)
{
    static const int64_t power[DOMAIN_N_STATES] = {
        [DOMAIN_ABSENT] = POWER_SHUTDOWN, [DOMAIN_OFF] = POWER_SHUTDOWN,
        [DOMAIN_SAVED] = POWER_SHUTDOWN,  [DOMAIN_RUNNING] = POWER_RUNNING,
        [DOMAIN_PAUSED] = POWER_PAUSED,   [DOMAIN_CRASHED] = POWER_CRASHED,
    };
    return power[d->state];
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void put_str(struct server *draft, const char **at, const char *value)
{
    if (!same(*at, value))
        *at = rec_str(draft, value);
}

static void observe_domain(struct server *draft, const struct server_view *v)
{
    const struct domain_info *d = &v->domain;
    bool active = domain_active(d);
    draft->power_state = power_of(d);
    put_str(draft, &draft->vnc_host,
            active && d->vnc_port ? d->vnc_host : NULL);
    draft->vnc_port = active ? d->vnc_port : 0;
    if (*d->serial_log)
        put_str(draft, &draft->serial_log, d->serial_log);
    put_str(draft, &draft->domain_name,
            server_domain_name(&draft->rec.arena, v->server));
    put_str(draft, &draft->root_device, server_root_device(v->server));
}

/* What a server still waits for before it can start, as nova names it. */
static int build_task(const struct server_view *v)
{
    return parts_volumes(v).step == STEP_WAIT ? TASK_BLOCK_DEVICE_MAPPING
                                              : TASK_SPAWNING;
}

static void observe_settled(struct server *draft, const struct server_view *v,
                            int64_t now)
{
    static const int state_of_goal[] = {
        [GOAL_RUNNING] = VM_ACTIVE,
        [GOAL_STOPPED] = VM_STOPPED,
        [GOAL_PAUSED] = VM_PAUSED,
        [GOAL_SUSPENDED] = VM_SUSPENDED,
    };
    if (halted(v))
        draft->goal = GOAL_STOPPED;
    if (draft->vm_state == VM_BUILDING ||
        draft->vm_state == VM_SHELVED_OFFLOADED)
        draft->vm_state = VM_ACTIVE; /* other goals come after */
    else if (v->move)                /* until that is confirmed */
        draft->vm_state = VM_RESIZED;
    else
        draft->vm_state = state_of_goal[draft->goal];
    if (draft->vm_state == VM_ACTIVE && !draft->launched)
        draft->launched = now;
    draft->shelved = 0;
    if (!draft->migration_id || v->move) /* else the live move's */
        draft->task_state = v->disk && v->disk->upload_image_id
                                ? TASK_IMAGE_UPLOADING
                                : TASK_NONE;
    if (domain_active(&v->domain) && draft->reboots_done < draft->reboot &&
        v->domain.reboot >= draft->reboot)
        draft->reboots_done = draft->reboot;
    observe_domain(draft, v);
}

/* Off for good, so that the next start has what the record says. */
static bool is_off(const struct server_view *v)
{
    return !domain_active(&v->domain) && v->domain.state != DOMAIN_SAVED;
}

static void observe_volumes(struct server *draft, const struct server_view *v)
{
    for (size_t i = n_volumes(v->server); i-- > 0;) {
        struct server_volume *sv = volume_at(draft, i);
        const char *device = device_name(
            sv->device ? sv->device : server_root_device(v->server));
        bool present =
            domain_active(&v->domain) && domain_has_disk(&v->domain, device);
        if (sv->state == ATTACH_WANTED && !resting(v->server) &&
            (present || (is_off(v) && server_volume_ready(v->volumes[i])))) {
            sv->state = ATTACH_DONE;
            if (!sv->device)
                sv->device = rec_str(draft, server_root_device(v->server));
        } else if (sv->state == ATTACH_LEAVING && !present &&
                   v->domain.state != DOMAIN_SAVED)
            list_remove(&draft->volumes, sizeof(*sv), i);
    }
}

static void observe_ports(struct server *draft, const struct server_view *v)
{
    for (size_t i = n_ports(v->server); i-- > 0;) {
        struct server_port *sp = port_at(draft, i);
        bool present = domain_active(&v->domain) &&
                       domain_has_nic(&v->domain, sp->port_id);
        if (sp->state == ATTACH_WANTED && !resting(v->server) &&
            (present || (is_off(v) && v->ports[i])))
            sp->state = ATTACH_DONE;
        else if (sp->state == ATTACH_LEAVING && !present &&
                 v->domain.state != DOMAIN_SAVED)
            list_remove(&draft->ports, sizeof(*sp), i);
    }
}

void server_observe(struct server *draft, const struct server_view *v,
                    int64_t now)
{
    enum server_step step = life(v).step;
    if (resting(v->server)) { /* what it has let go of is free */
        draft->power_state = power_of(&v->domain);
        observe_volumes(draft, v);
        observe_ports(draft, v);
    } else if (step == STEP_NONE) {
        observe_settled(draft, v, now);
        observe_volumes(draft, v);
        observe_ports(draft, v);
    } else if (step == STEP_SAVE || step == STEP_OFFLOAD) {
        observe_volumes(draft, v);
        observe_ports(draft, v);
    } else if (v->server->vm_state == VM_BUILDING && step == STEP_WAIT)
        draft->task_state = build_task(v);
    else
        return;
    if (!record_equal(draft, v->server))
        draft->updated = now;
}

static bool record_differs(const struct server_view *v)
{
    _autorecord_ struct server *draft = record_copy(v->server);
    server_observe(draft, v, v->server->updated);
    return !record_equal(draft, v->server);
}

/* ---- the plan ---------------------------------------------------------- */

/* Saved memory keeps its devices: what is coming or going is done first. */
static struct server_plan save(const struct server_view *v)
{
    if (record_differs(v))
        return PLAN(RECORD);
    struct server_plan p = devices(v);
    return p.step == STEP_NONE ? PLAN(SAVE) : p;
}

/* What it could not write may be possible now. */
static struct server_plan wake(const struct server_view *v)
{
    int64_t waited = v->mono - v->patience.woken;
    if (!v->domain.stalled || v->server->goal != GOAL_RUNNING ||
        resting(v->server))
        return PLAN(NONE);
    return v->patience.woken == 0 || waited >= STALL_US
               ? PLAN(RESUME)
               : PLAN(WAIT, .after_us = STALL_US - waited);
}

struct server_plan server_plan(const struct server_view *v)
{
    if (v->server->goal == GOAL_DELETED)
        return domain_active(&v->domain) ? PLAN(DESTROY) : PLAN(RELEASE);
    struct server_plan p = life(v);
    if (p.step == STEP_SAVE)
        return save(v);
    if (p.step == STEP_OFFLOAD && record_differs(v))
        return PLAN(RECORD);
    if (p.step != STEP_NONE && p.step != STEP_WAIT)
        return p;
    if (record_differs(v))
        return PLAN(RECORD);
    if (p.step == STEP_NONE)
        p = old_disks(v);
    if (p.step == STEP_NONE)
        p = devices(v);
    return p.step == STEP_NONE ? wake(v) : p;
}
