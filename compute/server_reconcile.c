#include "compute/server_reconcile.h"

#include "common/log.h"
#include "compute/config_drive.h"
#include "compute/disk_keys.h"
#include "compute/mdev.h"
#include "compute/move_reconcile.h"
#include "compute/server_run.h"
#include "compute/server_spec.h"

#include <pthread.h>
#include <string.h>

#define LOG_NAME   "compute"
#define TRIES      3  /* of a step that fails */
#define TRIES_BUSY 10 /* of one that may well work later */
#define STEPS_MOST 16 /* in one run; then others get their turn */
#define CLOSED_US  SECOND_US
#define RESYNC_US  (60 * SECOND_US)
#define RESYNC_KEY "resync"
#define N_BUCKETS  256

struct server_reconciler {
    struct server_reconciler_config config;
    char *node;
    struct reconciler *queue;
    pthread_mutex_t lock; /* for the table; an entry is its key's worker's */
    struct server_memory *table[N_BUCKETS];
};

/* ---- memory ------------------------------------------------------------ */

static struct server_memory **bucket(struct server_reconciler *r,
                                     const char *id)
{
    uint32_t h = 2166136261u;
    for (const char *s = id; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return &r->table[h % N_BUCKETS];
}

static struct server_memory *remember(struct server_reconciler *r,
                                      const char *id)
{
    pthread_mutex_lock(&r->lock);
    struct server_memory **b = bucket(r, id), *m = *b;
    while (m && strcmp(m->id, id) != 0)
        m = m->next;
    if (!m) {
        m = xcalloc(1, sizeof(*m));
        snprintf(m->id, sizeof(m->id), "%s", id);
        m->next = *b;
        *b = m;
    }
    pthread_mutex_unlock(&r->lock);
    return m;
}

static void forget(struct server_reconciler *r, const char *id)
{
    pthread_mutex_lock(&r->lock);
    for (struct server_memory **p = bucket(r, id); *p; p = &(*p)->next)
        if (strcmp((*p)->id, id) == 0) {
            struct server_memory *gone = *p;
            *p = gone->next;
            free(gone);
            break;
        }
    pthread_mutex_unlock(&r->lock);
}

/* ---- steps that act ---------------------------------------------------- */

static bool do_start(struct server_run *run)
{
    const struct server *s = run->view.server;
    struct arena arena = { 0 };
    struct buf drive = BUF_INIT(CONFIG_DRIVE_MAX);
    struct domain_spec *spec = server_spec(&arena, run->snap, s);
    bool ok =
        !s->config_drive || config_drive_write(run->snap, s, &drive, run->err);
    if (s->config_drive) {
        spec->config_drive = drive.data;
        spec->config_drive_len = drive.len;
    }
    ok = ok && disk_keys_give(run->h, run->keyring, run->snap, s, run->err) &&
         run->h->ops->define_start(run->h, spec, run->err);
    buf_free(&drive);
    arena_free(&arena);
    return ok;
}

static const char *device_at(struct server_run *run, size_t i)
{
    const struct server *s = run->view.server;
    if (i == ROOT_DISK)
        return device_name(server_root_device(s));
    const struct server_volume *sv =
        LIST_AT(s->volumes, struct server_volume, i);
    return device_name(sv->device ? sv->device : server_root_device(s));
}

static const char *port_id_at(struct server_run *run, size_t i)
{
    return LIST_AT(run->view.server->ports, struct server_port, i)->port_id;
}

static bool attach_disk(struct server_run *run, size_t i)
{
    const struct server *s = run->view.server;
    const struct volume *v = run->view.volumes[i];
    struct disk_spec disk = server_volume_spec(
        run->snap, s, LIST_AT(s->volumes, struct server_volume, i), v);
    return disk_keys_give(run->h, run->keyring, run->snap, s, run->err) &&
           run->h->ops->attach_disk(run->h, s->rec.id, &disk, run->err);
}

static bool attach_nic(struct server_run *run, size_t i)
{
    const struct server *s = run->view.server;
    struct nic_spec nic = server_nic_spec(run->snap, s, port_id_at(run, i));
    return run->h->ops->attach_nic(run->h, s->rec.id, &nic, run->err);
}

/* From what was saved: the disks' keys go first. */
static bool restore(struct server_run *run)
{
    const struct server *s = run->view.server;
    return disk_keys_give(run->h, run->keyring, run->snap, s, run->err) &&
           run->h->ops->start(run->h, s->rec.id, run->err);
}

static bool act(struct server_run *run, const struct server_plan *p)
{
    const struct hypervisor_ops *ops = run->h->ops;
    struct hypervisor *h = run->h;
    const char *id = run->view.server->rec.id;
    struct error *err = run->err;
    switch (p->step) {
    case STEP_START:
        return do_start(run);
    case STEP_RESTORE:
        return restore(run);
    case STEP_SHUTDOWN:
        return ops->shutdown(h, id, err);
    case STEP_DESTROY:
        return ops->destroy(h, id, err);
    case STEP_UNDEFINE:
        disk_keys_take(h, run->snap, run->view.server, run->node);
        return ops->undefine(h, id, err);
    case STEP_PAUSE:
        return ops->suspend(h, id, err);
    case STEP_RESUME:
        return ops->resume(h, id, err);
    case STEP_SAVE:
        return ops->managed_save(h, id, err);
    case STEP_ATTACH_DISK:
        return attach_disk(run, p->i);
    case STEP_DETACH_DISK:
        return ops->detach_disk(h, id, device_at(run, p->i), err);
    case STEP_RESIZE_DISK:
        return ops->resize_disk(h, id, device_at(run, p->i),
                                run->view.volumes[p->i]->size_gb << 30, err);
    case STEP_MOVE_DISK:
        return ops->move_disk(h, id, device_at(run, p->i),
                              p->i == ROOT_DISK ? run->view.disk->path
                                                : run->view.volumes[p->i]->path,
                              err);
    case STEP_ATTACH_NIC:
        return attach_nic(run, p->i);
    case STEP_DETACH_NIC:
        return ops->detach_nic(h, id, port_id_at(run, p->i), err);
    default:
        return true;
    }
}

/* ---- failures ---------------------------------------------------------- */

static bool out_of_tries(struct server_run *run, enum server_step step)
{
    struct server_memory *m = run->memory;
    unsigned most = TRIES;
    switch (run->err->code) {
    case ERR_UNAVAILABLE:
        return false;
    case ERR_TIMEOUT:
    case ERR_BUSY:
    case ERR_UNKNOWN:
    case ERR_CANCELLED:
        most = TRIES_BUSY;
        break;
    default:
        break;
    }
    m->failures = m->failed_step == step ? m->failures + 1 : 1;
    m->failed_step = step;
    return m->failures >= most && run->view.server->goal != GOAL_DELETED;
}

/* A step has failed: once more, or what is to be done when it fails for
 * good.  The tenant learns which step, the log why. */
static enum reconcile_verdict step_failed(struct server_run *run,
                                          const struct server_plan *p)
{
    char text[128];
    error_prefix(run->err, "could not %s", server_step_names[p->step]);
    /* A disk that cannot be moved now loses nothing by it: the next start
     * has the new file.  Nor does a guest that goes on waiting for room. */
    if (p->step == STEP_MOVE_DISK ||
        (p->step == STEP_RESUME && run->view.domain.stalled) ||
        !out_of_tries(run, p->step))
        return RECONCILE_RETRY; /* the queue logs it */
    log_warn(LOG_NAME, "server %s: for good: %s", run->view.server->rec.id,
             run->err->text);
    switch (p->step) {
    case STEP_ATTACH_DISK:
        return server_run_set_volume(run, p->i, ATTACH_LEAVING);
    case STEP_DETACH_DISK:
        return server_run_set_volume(run, p->i, ATTACH_DONE);
    case STEP_RESIZE_DISK:
        return server_run_extended(run, p->i, false);
    case STEP_ATTACH_NIC:
        return server_run_set_port(run, p->i, ATTACH_LEAVING);
    case STEP_DETACH_NIC:
        return server_run_set_port(run, p->i, ATTACH_DONE);
    default:
        snprintf(text, sizeof(text), "could not %s: %s",
                 server_step_names[p->step], error_code_text(run->err->code));
        return server_run_fail(run, text);
    }
}

/* ---- one run ----------------------------------------------------------- */

/* Remembers what the guest has been asked, and since when. */
static void note_question(struct server_run *run, const struct server_plan *p)
{
    struct patience *q = &run->memory->patience;
    const char *what = p->step == STEP_SHUTDOWN      ? "shutdown"
                       : p->step == STEP_DETACH_DISK ? device_at(run, p->i)
                       : p->step == STEP_DETACH_NIC  ? port_id_at(run, p->i)
                                                     : NULL;
    if (p->step == STEP_WAIT)
        return;
    if (p->step == STEP_RESUME)
        q->woken = run->view.mono;
    if (!what) {
        q->what[0] = '\0';
        return;
    }
    q->asked = run->view.mono;
    if (strcmp(q->what, what) == 0)
        return;
    snprintf(q->what, sizeof(q->what), "%s", what);
    q->since = run->view.mono;
}

/* The steps that only write records, or nothing.  False: it is none. */
static bool write_down(struct server_run *run, const struct server_plan *p,
                       enum reconcile_verdict *verdict)
{
    switch (p->step) {
    case STEP_NONE:
        *verdict = RECONCILE_DONE;
        return true;
    case STEP_WAIT:
        *run->delay_us = p->after_us;
        *verdict = p->after_us ? RECONCILE_AGAIN : RECONCILE_DONE;
        return true;
    case STEP_RECORD:
        *verdict = server_run_record(run);
        return true;
    case STEP_KEEP_DISK:
        *verdict = server_run_set_volume(run, p->i, ATTACH_DONE);
        return true;
    case STEP_KEEP_NIC:
        *verdict = server_run_set_port(run, p->i, ATTACH_DONE);
        return true;
    case STEP_MOVE_BEGIN:
    case STEP_MOVE_ARRIVE:
    case STEP_MOVE_FINISH:
    case STEP_MOVE_REVERT:
    case STEP_MOVE_FAIL:
        *verdict = server_run_move(run, p);
        return true;
    case STEP_SHELVE_IMAGE:
    case STEP_SHELVE:
    case STEP_OFFLOAD:
        *verdict = server_run_shelve(run, p->step);
        return true;
    case STEP_DROP_DISK:
        *verdict = server_run_drop_disk(run, p->i);
        return true;
    case STEP_RELEASE:
        *verdict = server_run_release(run);
        return true;
    case STEP_FAIL:
        *verdict = server_run_fail(run, p->text);
        return true;
    default:
        return false;
    }
}

/* True: go on planning.  False: *verdict ends the run. */
static bool carry_out(struct server_run *run, const struct server_plan *p,
                      enum reconcile_verdict *verdict)
{
    note_question(run, p);
    if (write_down(run, p, verdict))
        return false;
    if (!act(run, p)) {
        *verdict = step_failed(run, p);
        return false;
    }
    run->memory->failures = 0;
    if (p->step != STEP_RESIZE_DISK)
        return true;
    *verdict = server_run_extended(run, p->i, true);
    return false;
}

static bool look(struct server_run *run)
{
    run->view.mono = env_mono(run->env);
    run->view.patience = run->memory->patience;
    return run->h->ops->info(run->h, run->view.server->rec.id,
                             &run->view.domain, run->err);
}

static enum reconcile_verdict run_server(struct server_run *run,
                                         const struct server *server)
{
    enum reconcile_verdict verdict;
    server_view_init(&run->view, run->snap, server);
    for (int i = 0; i < STEPS_MOST; i++) {
        if (!look(run))
            return RECONCILE_RETRY;
        struct server_plan p = server_plan(&run->view);
        if (!carry_out(run, &p, &verdict))
            return verdict;
    }
    *run->delay_us = 0;
    return RECONCILE_AGAIN;
}

/* False: the ordinary plan goes on. */
static bool run_move(struct server_run *run, const struct server *server,
                     enum reconcile_verdict *verdict)
{
    struct move_context c = {
        .store = run->store,
        .env = run->env,
        .hypervisor = run->h,
        .keyring = run->keyring,
        .node = run->node,
        .snap = run->snap,
        .server = server,
        .revision = &run->memory->revision,
        .delay_us = run->delay_us,
        .err = run->err,
    };
    return move_reconcile(&c, verdict);
}

/* ---- what to look at --------------------------------------------------- */

static bool is_ours(const struct server_reconciler *r, const struct server *s)
{
    return s && s->node && strcmp(s->node, r->node) == 0;
}

static void add(struct server_reconciler *r, const char *server_id)
{
    char key[STORE_KEY_MAX];
    if (!server_id)
        return;
    snprintf(key, sizeof(key), "server/%s", server_id);
    reconciler_add(r->queue, key);
}

static void add_if_ours(struct server_reconciler *r, const struct snapshot *s,
                        const char *server_id)
{
    if (is_ours(r, snap_get(s, &kind_server, server_id)))
        add(r, server_id);
}

/* A domain that no record knows: somebody restored an old store, or removed
 * a record by hand.  Its disks may be all that is left; so hands off. */
static void seen_domain(void *arg, const char *id, enum domain_state state)
{
    struct server_reconciler *r = arg;
    _autosnap_ struct snapshot *s = cache_snapshot(r->config.cache);
    const struct server *server = snap_get(s, &kind_server, id);
    if (!server && state != DOMAIN_PAUSED)
        log_warn(LOG_NAME, "domain %s has no server record: left alone", id);
    else if (!is_ours(r, server))
        add(r, id); /* left over, or on its way */
}

/* Is it of a server that is here or on its way?  The snapshot is newer than
 * what is asked about. */
static bool is_of_ours(struct server_reconciler *r, const char *name,
                       bool (*is_of)(const char *name, const char *server_id))
{
    static const char *const ends[] = { "source", "dest" };
    _autosnap_ struct snapshot *s = cache_snapshot(r->config.cache);
    struct snap_iter it = snap_by(s, &kind_server, "node", r->node);
    for (const struct server *v; (v = snap_next(&it));)
        if (is_of(name, v->rec.id))
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        it = snap_by(s, &kind_migration, ends[i], r->node);
        for (const struct migration *m; (m = snap_next(&it));)
            if (migration_under_way(m) && is_of(name, m->server_id))
                return true;
    }
    return false;
}

static bool part_is_wanted(void *arg, const char *uuid)
{
    return is_of_ours(arg, uuid, mdev_is_of);
}

static bool is_same(const char *id, const char *server_id)
{
    return strcmp(id, server_id) == 0;
}

static bool files_are_wanted(void *arg, const char *id)
{
    return is_of_ours(arg, id, is_same);
}

static enum reconcile_verdict resync(struct server_reconciler *r,
                                     int64_t *delay_us)
{
    struct error err;
    struct hypervisor *h = r->config.hypervisor;
    server_reconciler_resync(r);
    h->ops->list(h, seen_domain, r, &err);
    if (h->ops->sweep_parts)
        h->ops->sweep_parts(h, part_is_wanted, r);
    if (h->ops->sweep_files)
        h->ops->sweep_files(h, files_are_wanted, r);
    *delay_us = RESYNC_US;
    return RECONCILE_AGAIN;
}

/* A guest that was on its way here when its server was deleted at the source
 * has never run here: nothing is lost with it. */
static enum reconcile_verdict see_to_stray(struct server_reconciler *r,
                                           const char *id, struct error *err)
{
    struct domain_info d;
    struct hypervisor *h = r->config.hypervisor;
    if (!h->ops->info(h, id, &d, err))
        return RECONCILE_RETRY;
    if (d.state != DOMAIN_PAUSED || !d.incoming)
        return RECONCILE_DONE;
    log_info(LOG_NAME, "server %s: is deleted; what came here of it goes", id);
    return h->ops->destroy(h, id, err) && h->ops->undefine(h, id, err)
               ? RECONCILE_DONE
               : RECONCILE_RETRY;
}

static enum reconcile_verdict see_to(struct server_reconciler *r,
                                     const char *key, int64_t *delay_us,
                                     struct error *err)
{
    const char *id = strchr(key, '/') + 1;
    _autosnap_ struct snapshot *s = cache_snapshot(r->config.cache);
    const struct server *server = snap_get(s, &kind_server, id);
    bool moves = server && move_concerns(s, server, r->node);
    if (!is_ours(r, server) && !moves) {
        forget(r, id);
        return server ? RECONCILE_DONE : see_to_stray(r, id, err);
    }
    struct server_run run = {
        .store = r->config.store,
        .env = r->config.env,
        .node = r->node,
        .h = r->config.hypervisor,
        .keyring = r->config.keyring,
        .memory = remember(r, id),
        .snap = s,
        .delay_us = delay_us,
        .err = err,
    };
    if (snapshot_revision(s) < run.memory->revision) {
        *delay_us = SERVER_STALE_US;
        return RECONCILE_AGAIN;
    }
    enum reconcile_verdict verdict;
    if (moves && run_move(&run, server, &verdict))
        return verdict;
    return run_server(&run, server);
}

static enum reconcile_verdict reconcile(void *self, const char *key,
                                        int64_t *delay_us, struct error *err)
{
    struct server_reconciler *r = self;
    if (strcmp(key, RESYNC_KEY) == 0)
        return resync(r, delay_us);
    if (!r->config.enter)
        return see_to(r, key, delay_us, err);
    *delay_us = CLOSED_US;
    if (!r->config.enter(r->config.gate))
        return RECONCILE_AGAIN;
    enum reconcile_verdict verdict = see_to(r, key, delay_us, err);
    r->config.leave(r->config.gate);
    return verdict;
}

/* ---- what wakes it ----------------------------------------------------- */

static void server_changed(struct server_reconciler *r, const void *old,
                           const void *now)
{
    if (is_ours(r, old) || is_ours(r, now))
        add(r, ((const struct record *)(now ? now : old))->id);
}

static void move_changed(struct server_reconciler *r, const struct migration *m)
{
    if ((m->source && strcmp(m->source, r->node) == 0) ||
        (m->dest && strcmp(m->dest, r->node) == 0))
        add(r, m->server_id);
}

static void port_changed(struct server_reconciler *r, const struct snapshot *s,
                         const struct port *p)
{
    if (p)
        add_if_ours(r, s, p->device_id);
}

/* The server's id is what the disk's begins with. */
static void disk_changed(struct server_reconciler *r, const struct snapshot *s,
                         const char *disk_id)
{
    char id[UUID_SIZE];
    snprintf(id, sizeof(id), "%.*s", UUID_LEN, disk_id);
    const struct server *server = snap_get(s, &kind_server, id);
    const struct migration *m = server ? server_migration(s, server) : NULL;
    add_if_ours(r, s, id);
    if (m)
        move_changed(r, m); /* its dest's disk, perhaps */
}

static void volume_changed(struct server_reconciler *r,
                           const struct snapshot *s, const char *id)
{
    struct snap_iter it = snap_by(s, &kind_server, "volumes.volume_id", id);
    for (const struct server *v; (v = snap_next(&it));)
        if (is_ours(r, v))
            add(r, v->rec.id);
}

static void on_record(void *arg, const struct record *old,
                      const struct record *now)
{
    struct server_reconciler *r = arg;
    const struct record *any = now ? now : old;
    if (any->kind == &kind_server) {
        server_changed(r, old, now);
        return;
    }
    if (any->kind == &kind_migration) {
        move_changed(r, (const struct migration *)any);
        return;
    }
    if (any->kind != &kind_disk && any->kind != &kind_volume &&
        any->kind != &kind_port)
        return;
    _autosnap_ struct snapshot *s = cache_snapshot(r->config.cache);
    if (any->kind == &kind_disk)
        disk_changed(r, s, any->id);
    else if (any->kind == &kind_volume)
        volume_changed(r, s, any->id);
    else {
        port_changed(r, s, (const struct port *)old);
        port_changed(r, s, (const struct port *)now);
    }
}

static void on_domain(void *arg, const char *id)
{
    add(arg, id);
}

/* ---- public ------------------------------------------------------------ */

struct server_reconciler *
server_reconciler_new(const struct server_reconciler_config *config)
{
    struct server_reconciler *r = xcalloc(1, sizeof(*r));
    r->config = *config;
    r->config.node = r->node = xstrdup(config->node);
    pthread_mutex_init(&r->lock, NULL);
    r->queue =
        reconciler_new("compute", reconcile, r, config->env, config->workers);
    cache_listen(config->cache, on_record, r);
    config->hypervisor->ops->listen(config->hypervisor, on_domain, r);
    reconciler_add_after(r->queue, RESYNC_KEY, RESYNC_US);
    return r;
}

void server_reconciler_resync(struct server_reconciler *r)
{
    _autosnap_ struct snapshot *s = cache_snapshot(r->config.cache);
    struct snap_iter it = snap_by(s, &kind_server, "node", r->node);
    for (const struct server *v; (v = snap_next(&it));)
        add(r, v->rec.id);
    it = snap_by(s, &kind_migration, "dest", r->node);
    for (const struct migration *m; (m = snap_next(&it));)
        if (migration_under_way(m))
            add(r, m->server_id);
}

struct reconciler *server_reconciler_queue(struct server_reconciler *r)
{
    return r->queue;
}

void server_reconciler_free(struct server_reconciler *r)
{
    struct hypervisor *h = r ? r->config.hypervisor : NULL;
    if (!r)
        return;
    h->ops->listen(h, NULL, NULL);
    reconciler_stop(r->queue);
    for (size_t i = 0; i < N_BUCKETS; i++)
        while (r->table[i]) {
            struct server_memory *m = r->table[i];
            r->table[i] = m->next;
            free(m);
        }
    pthread_mutex_destroy(&r->lock);
    free(r->node);
    free(r);
}
