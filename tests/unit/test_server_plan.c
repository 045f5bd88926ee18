#include "test.h"

#include "server_world.h"

#include "compute/server_plan.h"
#include "compute/server_spec.h"

/* Everything ready, one disk; the case sets the rest. */
struct fixture {
    struct server *server;
    struct disk *disk;
    struct volume *volume;
    struct port *port;
    struct server_view view;
};

static struct fixture fixture(int goal, int vm_state, int domain)
{
    struct fixture f = {
        .server = a_server(),
        .disk = a_disk(DISK_READY),
        .volume = a_volume(VOLUME_IN_USE),
        .port = a_port(PORT_ID, "fa:16:3e:00:00:01", "10.0.0.5"),
    };
    f.server->goal = goal;
    f.server->vm_state = vm_state;
    f.view.server = f.server;
    f.view.disk = f.disk;
    f.view.volumes[0] = f.volume;
    f.view.ports[0] = f.port;
    f.view.domain.state = domain;
    f.view.mono = 1000 * SECOND_US;
    return f;
}

static void drop(struct fixture *f)
{
    record_unref(f->server);
    record_unref(f->disk);
    record_unref(f->volume);
    record_unref(f->port);
}

/* The record becomes what it should say. */
static void observe(struct fixture *f, int64_t now)
{
    struct server *draft = record_copy(f->server);
    server_observe(draft, &f->view, now);
    record_unref(f->server);
    f->view.server = f->server = draft;
}

static struct server_volume *first_volume(const struct fixture *f)
{
    return LIST_AT(f->server->volumes, struct server_volume, 0);
}

static struct server_port *first_port(const struct fixture *f)
{
    return LIST_AT(f->server->ports, struct server_port, 0);
}

static void expect_step(const struct fixture *f, enum server_step want,
                        const char *row)
{
    struct server_plan p = server_plan(&f->view);
    if (p.step != want)
        fail_msg("%s: '%s', not '%s'", row, server_step_names[p.step],
                 server_step_names[want]);
}

/* ---- the domain and the goal ------------------------------------------- */

static void first_steps(void **state)
{
    static const struct {
        const char *row;
        int goal, vm_state, task, domain, step;
    } rows[] = {
#define R(g, v, t, d, s)                                                       \
    { #g " " #v " " #t " " #d, GOAL_##g, VM_##v, TASK_##t, DOMAIN_##d, s }
        R(RUNNING, BUILDING, SCHEDULING, ABSENT, STEP_START),
        R(RUNNING, BUILDING, SPAWNING, OFF, STEP_START),
        R(RUNNING, BUILDING, SPAWNING, RUNNING, STEP_RECORD),
        R(STOPPED, BUILDING, SPAWNING, ABSENT, STEP_START),
        /* stopped by itself, or its node was */
        R(RUNNING, ACTIVE, NONE, OFF, STEP_RECORD),
        R(RUNNING, ACTIVE, NONE, ABSENT, STEP_RECORD),
        R(RUNNING, ACTIVE, NONE, CRASHED, STEP_RECORD),
        R(PAUSED, PAUSED, NONE, OFF, STEP_RECORD),
        R(PAUSED, ACTIVE, PAUSING, OFF, STEP_RECORD),
        R(SUSPENDED, ACTIVE, SUSPENDING, OFF, STEP_RECORD),
        /* start */
        R(RUNNING, STOPPED, POWERING_ON, OFF, STEP_START),
        R(RUNNING, STOPPED, POWERING_ON, ABSENT, STEP_START),
        R(RUNNING, STOPPED, POWERING_ON, RUNNING, STEP_RECORD),
        R(RUNNING, SUSPENDED, RESUMING, SAVED, STEP_RESTORE),
        R(RUNNING, SUSPENDED, RESUMING, OFF, STEP_START),
        R(RUNNING, PAUSED, UNPAUSING, PAUSED, STEP_RESUME),
        /* saved by the host when it went down */
        R(RUNNING, ACTIVE, NONE, SAVED, STEP_RESTORE),
        /* stop */
        R(STOPPED, ACTIVE, POWERING_OFF, RUNNING, STEP_SHUTDOWN),
        R(STOPPED, ACTIVE, POWERING_OFF, PAUSED, STEP_DESTROY),
        R(STOPPED, ACTIVE, POWERING_OFF, OFF, STEP_RECORD),
        R(STOPPED, STOPPED, NONE, RUNNING, STEP_SHUTDOWN),
        /* pause, suspend */
        R(PAUSED, ACTIVE, PAUSING, RUNNING, STEP_PAUSE),
        R(PAUSED, ACTIVE, PAUSING, PAUSED, STEP_RECORD),
        R(SUSPENDED, ACTIVE, SUSPENDING, RUNNING, STEP_SAVE),
        R(SUSPENDED, PAUSED, SUSPENDING, PAUSED, STEP_SAVE),
        R(SUSPENDED, ACTIVE, SUSPENDING, SAVED, STEP_RECORD),
        /* delete */
        R(DELETED, ACTIVE, DELETING, RUNNING, STEP_DESTROY),
        R(DELETED, PAUSED, DELETING, PAUSED, STEP_DESTROY),
        R(DELETED, SUSPENDED, DELETING, SAVED, STEP_RELEASE),
        R(DELETED, BUILDING, DELETING, ABSENT, STEP_RELEASE),
        R(DELETED, ERROR, NONE, RUNNING, STEP_DESTROY),
        R(DELETED, ERROR, DELETING, OFF, STEP_RELEASE),
        /* error: only when asked */
        R(RUNNING, ERROR, NONE, OFF, STEP_RECORD), /* its power state */
        R(STOPPED, ERROR, POWERING_OFF, RUNNING, STEP_SHUTDOWN),
        R(RUNNING, ERROR, POWERING_ON, OFF, STEP_START),
#undef R
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fixture f =
            fixture(rows[i].goal, rows[i].vm_state, rows[i].domain);
        f.server->task_state = rows[i].task;
        expect_step(&f, rows[i].step, rows[i].row);
        drop(&f);
    }
}

/* Who paused it by other means knows why. */
static void paused_by_itself(void **state)
{
    struct fixture f = fixture(GOAL_RUNNING, VM_ACTIVE, DOMAIN_PAUSED);
    expect_step(&f, STEP_RECORD, "its power state");
    observe(&f, 1);
    assert_int_equal(f.server->vm_state, VM_ACTIVE);
    assert_int_equal(f.server->power_state, POWER_PAUSED);
    expect_step(&f, STEP_NONE, "recorded");
    drop(&f);
}

/* A full disk: the guest tries again now and then. */
static void stalled(void **state)
{
    struct fixture f = fixture(GOAL_RUNNING, VM_ACTIVE, DOMAIN_PAUSED);
    f.view.domain.stalled = true;
    f.view.mono = 100 * SECOND_US;
    expect_step(&f, STEP_RECORD, "its power state");
    observe(&f, 1);
    assert_int_equal(f.server->power_state, POWER_PAUSED);
    expect_step(&f, STEP_RESUME, "first");
    f.view.patience.woken = 99 * SECOND_US;
    expect_step(&f, STEP_WAIT, "so soon");
    assert_int_equal(server_plan(&f.view).after_us, 9 * SECOND_US);
    f.view.mono = 109 * SECOND_US;
    expect_step(&f, STEP_RESUME, "again");
    f.server->goal = GOAL_STOPPED;
    expect_step(&f, STEP_DESTROY, "stopped");
    drop(&f);
}

static void reboots(void **state)
{
    static const struct {
        const char *row;
        int type, domain;
        int64_t asked, done, domain_has;
        int step;
    } rows[] = {
        { "soft", REBOOT_SOFT, DOMAIN_RUNNING, 1, 0, 0, STEP_SHUTDOWN },
        { "hard", REBOOT_HARD, DOMAIN_RUNNING, 1, 0, 0, STEP_DESTROY },
        { "paused", REBOOT_HARD, DOMAIN_PAUSED, 1, 0, 0, STEP_DESTROY },
        { "is off", REBOOT_SOFT, DOMAIN_OFF, 1, 0, 0, STEP_START },
        { "absent", REBOOT_HARD, DOMAIN_ABSENT, 1, 0, 0, STEP_START },
        { "saved", REBOOT_HARD, DOMAIN_SAVED, 1, 0, 0, STEP_START },
        { "crash before its record", REBOOT_HARD, DOMAIN_RUNNING, 1, 0, 1,
          STEP_RECORD },
        { "another one", REBOOT_HARD, DOMAIN_RUNNING, 2, 1, 1, STEP_DESTROY },
        { "done before", REBOOT_HARD, DOMAIN_OFF, 1, 1, 0, STEP_RECORD },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fixture f = fixture(GOAL_RUNNING, VM_ACTIVE, rows[i].domain);
        f.server->reboot = rows[i].asked;
        f.server->reboots_done = rows[i].done;
        f.server->reboot_type = rows[i].type;
        f.server->task_state = TASK_REBOOTING;
        f.view.domain.reboot = rows[i].domain_has;
        expect_step(&f, rows[i].step, rows[i].row);
        drop(&f);
    }
}

/* ---- what it waits for -------------------------------------------------- */

static void parts(void **state)
{
    struct fixture f = fixture(GOAL_RUNNING, VM_BUILDING, DOMAIN_ABSENT);
    f.server->task_state = TASK_SPAWNING;
    f.disk->state = DISK_WANTED;
    expect_step(&f, STEP_WAIT, "disk is being made");
    f.view.disk = NULL;
    expect_step(&f, STEP_WAIT, "no disk record yet");
    f.view.disk = f.disk;
    f.disk->state = DISK_FAILED;
    f.disk->fault = "image is gone";
    assert_string_equal(server_plan(&f.view).text, "image is gone");
    expect_step(&f, STEP_FAIL, "disk failed");
    f.disk->state = DISK_READY;
    expect_step(&f, STEP_START, "disk is ready");

    with_port(f.server, PORT_ID, ATTACH_WANTED);
    expect_step(&f, STEP_START, "port is there");
    f.view.ports[0] = NULL;
    expect_step(&f, STEP_FAIL, "port is gone");
    f.view.ports[0] = f.port;

    with_volume(f.server, "/dev/vdb", ATTACH_WANTED);
    expect_step(&f, STEP_START, "volume is there");
    f.volume->status = VOLUME_CREATING;
    expect_step(&f, STEP_RECORD, "to show block_device_mapping");
    f.server->task_state = TASK_BLOCK_DEVICE_MAPPING;
    expect_step(&f, STEP_WAIT, "volume is being made");
    f.volume->status = VOLUME_ERROR;
    expect_step(&f, STEP_FAIL, "volume failed");
    f.disk->state = DISK_WANTED;
    expect_step(&f, STEP_FAIL, "failure goes before waiting");
    f.disk->state = DISK_READY;
    f.volume->status = VOLUME_ATTACHING;
    f.volume->node = "node2";
    expect_step(&f, STEP_FAIL, "volume is elsewhere");
    f.view.volumes[0] = NULL;
    expect_step(&f, STEP_FAIL, "volume is gone");
    first_volume(&f)->state = ATTACH_LEAVING;
    expect_step(&f, STEP_START, "it leaves anyway");
    drop(&f);
}

static void boot_from_volume(void **state)
{
    struct fixture f = fixture(GOAL_RUNNING, VM_BUILDING, DOMAIN_ABSENT);
    f.server->image_id = NULL;
    f.view.disk = NULL;
    expect_step(&f, STEP_FAIL, "nothing to boot from");
    with_volume(f.server, "/dev/vda", ATTACH_WANTED)->boot = true;
    expect_step(&f, STEP_START, "a volume to boot from");
    drop(&f);
}

/* ---- other disks ----------------------------------------------------------
 */

static void has_file(struct fixture *f, const char *device, const char *path)
{
    struct domain_info *d = &f->view.domain;
    snprintf(d->disks[d->n_disks], 16, "%s", device);
    snprintf(d->paths[d->n_disks++], DOMAIN_PATH_MAX, "%s", path);
}

/* A rebuild is a reboot onto the disks of the next generation; the old ones
 * go when nobody has them any more. */
static void rebuilt(void **state)
{
    struct fixture f = fixture(GOAL_RUNNING, VM_ACTIVE, DOMAIN_RUNNING);
    struct disk *old = a_disk(DISK_READY);
    old->path = "/disks/old";
    has_file(&f, "vda", "/disks/old");
    f.view.others[f.view.n_others++] = old;
    f.server->disks = 1;
    f.server->reboot = 1;
    f.server->reboot_type = REBOOT_SOFT;
    f.server->task_state = TASK_REBUILDING;
    f.disk->state = DISK_WANTED;
    expect_step(&f, STEP_SHUTDOWN, "asked to go down");
    f.view.domain.state = DOMAIN_OFF;
    expect_step(&f, STEP_WAIT, "the new disk is being made");
    f.disk->state = DISK_READY;
    expect_step(&f, STEP_START, "it is there");
    f.view.domain.state = DOMAIN_RUNNING;
    f.view.domain.reboot = 1;
    snprintf(f.view.domain.paths[0], DOMAIN_PATH_MAX, "%s", f.disk->path);
    expect_step(&f, STEP_RECORD, "it runs");
    observe(&f, 1);
    assert_int_equal(f.server->task_state, TASK_NONE);
    expect_step(&f, STEP_DROP_DISK, "nobody has the old disk");
    f.view.n_others = 0;
    expect_step(&f, STEP_NONE, "rebuilt");
    record_unref(old);
    drop(&f);
}

static void rebuilt_at_rest(void **state)
{
    struct fixture f = fixture(GOAL_STOPPED, VM_STOPPED, DOMAIN_OFF);
    f.server->task_state = TASK_REBUILDING;
    f.server->disks = 1;
    f.disk->state = DISK_WANTED;
    expect_step(&f, STEP_WAIT, "the new disk is being made");
    f.disk->state = DISK_FAILED;
    expect_step(&f, STEP_FAIL, "it could not be made");
    f.disk->state = DISK_READY;
    expect_step(&f, STEP_RECORD, "it is there");
    observe(&f, 1);
    assert_int_equal(f.server->vm_state, VM_STOPPED);
    assert_int_equal(f.server->task_state, TASK_NONE);
    drop(&f);
}

/* Saved memory, or a start that failed, may still want the old disk. */
static void old_disks_stay_while_wanted(void **state)
{
    struct fixture f = fixture(GOAL_RUNNING, VM_ACTIVE, DOMAIN_RUNNING);
    struct disk *old = a_disk(DISK_READY);
    old->path = "/disks/old";
    f.view.others[f.view.n_others++] = old;
    observe(&f, 1);
    has_file(&f, "vda", "/disks/old");
    f.server->reboot = f.server->reboots_done = 1; /* it failed to */
    expect_step(&f, STEP_NONE, "the guest has it; it is not moved either");
    f.view.domain.n_disks = 0;
    f.disk->state = DISK_WANTED;
    expect_step(&f, STEP_NONE, "the new one is not there");
    f.disk->state = DISK_READY;
    expect_step(&f, STEP_DROP_DISK, "now it may go");
    record_unref(old);
    drop(&f);
}

/* An image is being made of a guest that runs. */
static void the_root_goes_on_in_another_file(void **state)
{
    struct fixture f = fixture(GOAL_RUNNING, VM_ACTIVE, DOMAIN_RUNNING);
    has_file(&f, "vda", "/disks/before");
    f.server->task_state = TASK_IMAGE_SNAPSHOT;
    f.disk->upload_image_id = "i";
    observe(&f, 1);
    assert_int_equal(f.server->task_state, TASK_IMAGE_UPLOADING);
    expect_step(&f, STEP_MOVE_DISK, "the record names another file");
    assert_int_equal(server_plan(&f.view).i, ROOT_DISK);
    f.server->goal = GOAL_SUSPENDED;
    expect_step(&f, STEP_MOVE_DISK, "before its memory is saved");
    f.server->goal = GOAL_RUNNING;
    snprintf(f.view.domain.paths[0], DOMAIN_PATH_MAX, "%s", f.disk->path);
    expect_step(&f, STEP_NONE, "moved");
    f.disk->upload_image_id = NULL;
    expect_step(&f, STEP_RECORD, "the image is made");
    observe(&f, 1);
    assert_int_equal(f.server->task_state, TASK_NONE);
    drop(&f);
}

/* Off, an image of the disk, off the node. */
static void shelved(void **state)
{
    struct fixture f = fixture(GOAL_STOPPED, VM_ACTIVE, DOMAIN_RUNNING);
    struct image *im = record_new(&kind_image, "i");
    f.server->task_state = TASK_SHELVING;
    f.view.shelved_image = im;
    expect_step(&f, STEP_SHUTDOWN, "off first");
    f.view.domain.state = DOMAIN_PAUSED;
    expect_step(&f, STEP_DESTROY, "one that cannot be asked");
    f.view.domain.state = DOMAIN_SAVED;
    expect_step(&f, STEP_SHELVE_IMAGE, "its disk is what it will be");
    f.server->task_state = TASK_SHELVING_IMAGE_UPLOADING;
    f.disk->upload_image_id = "i";
    im->status = IMAGE_SAVING;
    expect_step(&f, STEP_WAIT, "it is copied");
    f.disk->upload_image_id = NULL;
    expect_step(&f, STEP_FAIL, "it could not be");
    im->status = IMAGE_ACTIVE;
    expect_step(&f, STEP_SHELVE, "it is there");
    f.server->vm_state = VM_SHELVED;
    f.server->task_state = TASK_SHELVING_OFFLOADING;
    expect_step(&f, STEP_UNDEFINE, "the guest is forgotten");
    f.view.domain.state = DOMAIN_ABSENT;
    with_port(f.server, PORT_ID, ATTACH_WANTED);
    expect_step(&f, STEP_RECORD, "cards are settled");
    observe(&f, 1);
    assert_int_equal(f.server->vm_state, VM_SHELVED);
    expect_step(&f, STEP_OFFLOAD, "nothing is left of it here");
    f.server->goal = GOAL_RUNNING;
    f.server->vm_state = VM_SHELVED_OFFLOADED;
    f.server->task_state = TASK_SPAWNING;
    expect_step(&f, STEP_START, "unshelved, here");
    f.view.domain.state = DOMAIN_RUNNING;
    observe(&f, 1);
    assert_int_equal(f.server->vm_state, VM_ACTIVE);
    record_unref(im);
    drop(&f);
}

static void shelved_with_a_root_volume(void **state)
{
    struct fixture f = fixture(GOAL_STOPPED, VM_STOPPED, DOMAIN_OFF);
    f.server->task_state = TASK_SHELVING;
    f.view.disk = NULL;
    with_volume(f.server, "/dev/vda", ATTACH_DONE)->boot = true;
    expect_step(&f, STEP_SHELVE, "nothing is copied");
    drop(&f);
}

/* The table of model/resize.h, on one node. */
static void resized(void **state)
{
    struct fixture f = fixture(GOAL_RUNNING, VM_ACTIVE, DOMAIN_RUNNING);
    struct migration *m = record_new(&kind_migration, "m");
    struct disk *coming = a_disk(DISK_WANTED);
    m->type = MIGRATION_RESIZE;
    m->source = m->dest = "node1";
    f.view.move = m;
    f.server->task_state = TASK_RESIZE_PREP;
    expect_step(&f, STEP_WAIT, "nobody has chosen a node");
    m->status = MIGRATION_PREPARING;
    expect_step(&f, STEP_SHUTDOWN, "off first");
    f.view.domain.state = DOMAIN_OFF;
    expect_step(&f, STEP_MOVE_BEGIN, "it is off");
    m->abort = true;
    expect_step(&f, STEP_MOVE_FAIL, "its dest has failed");
    m->abort = false;
    m->status = MIGRATION_MIGRATING;
    f.view.coming[f.view.n_coming++] = coming;
    expect_step(&f, STEP_WAIT, "its disks are being made");
    coming->state = DISK_FAILED;
    expect_step(&f, STEP_MOVE_FAIL, "they could not be");
    coming->state = DISK_READY;
    coming->path = "/disks/new";
    expect_step(&f, STEP_MOVE_ARRIVE, "they are there");
    m->dest = "node2";
    expect_step(&f, STEP_UNDEFINE, "nothing stays on a node that it leaves");
    f.view.domain.state = DOMAIN_ABSENT;
    expect_step(&f, STEP_MOVE_ARRIVE, "it is gone");
    m->status = MIGRATION_POST_MIGRATING;
    expect_step(&f, STEP_START, "it starts there");
    f.server->goal = GOAL_STOPPED;
    expect_step(&f, STEP_MOVE_FINISH, "one at rest does not");
    f.server->goal = GOAL_RUNNING;
    f.view.domain.state = DOMAIN_RUNNING;
    expect_step(&f, STEP_MOVE_FINISH, "it runs");
    m->status = MIGRATION_FINISHED;
    f.server->vm_state = VM_RESIZED;
    f.server->task_state = TASK_NONE;
    observe(&f, 1);
    assert_int_equal(f.server->vm_state, VM_RESIZED);
    expect_step(&f, STEP_NONE, "until somebody says more");
    f.server->vm_state = VM_STOPPED; /* its node had failed */
    f.server->task_state = TASK_POWERING_ON;
    observe(&f, 1);
    assert_int_equal(f.server->vm_state, VM_RESIZED);
    assert_int_equal(f.server->task_state, TASK_NONE);
    m->status = MIGRATION_REVERTING;
    expect_step(&f, STEP_SHUTDOWN, "off, to go back");
    f.view.domain.state = DOMAIN_ABSENT;
    expect_step(&f, STEP_MOVE_REVERT, "back");
    f.view.move = NULL;
    expect_step(&f, STEP_START, "as it was");
    f.view.domain.state = DOMAIN_RUNNING;
    observe(&f, 1);
    assert_int_equal(f.server->vm_state, VM_ACTIVE);
    record_unref(coming);
    record_unref(m);
    drop(&f);
}

/* ---- patience ----------------------------------------------------------- */

static void shutdown_patience(void **state)
{
    struct fixture f = fixture(GOAL_STOPPED, VM_ACTIVE, DOMAIN_RUNNING);
    struct patience *p = &f.view.patience;
    int64_t t0 = f.view.mono;
    expect_step(&f, STEP_SHUTDOWN, "first");
    *p = (struct patience){ "shutdown", t0, t0 };
    f.view.mono = t0 + 3 * SECOND_US;
    expect_step(&f, STEP_WAIT, "asked");
    assert_int_equal(server_plan(&f.view).after_us, 7 * SECOND_US);
    f.view.mono = t0 + 10 * SECOND_US;
    expect_step(&f, STEP_SHUTDOWN, "reminded");
    p->asked = f.view.mono;
    expect_step(&f, STEP_WAIT, "asked again");
    f.view.mono = t0 + 60 * SECOND_US;
    expect_step(&f, STEP_DESTROY, "enough");
    snprintf(p->what, sizeof(p->what), "vdb");
    expect_step(&f, STEP_SHUTDOWN, "the patience was for something else");

    snprintf(p->what, sizeof(p->what), "shutdown");
    p->since = p->asked = t0;
    f.view.mono = t0 + 60 * SECOND_US;
    map_put(f.server, &f.server->image_properties, "os_shutdown_timeout",
            "120");
    expect_step(&f, STEP_SHUTDOWN, "the image asks for more");
    map_put(f.server, &f.server->image_properties, "os_shutdown_timeout", "0");
    expect_step(&f, STEP_DESTROY, "the image asks for none");
    drop(&f);
}

/* ---- devices ------------------------------------------------------------ */

static void has_disk(struct fixture *f, const char *device)
{
    struct domain_info *d = &f->view.domain;
    snprintf(d->disks[d->n_disks++], 16, "%s", device);
}

static void has_nic(struct fixture *f, const char *port_id)
{
    struct domain_info *d = &f->view.domain;
    snprintf(d->nics[d->n_nics++], UUID_SIZE, "%s", port_id);
}

static struct fixture settled(void)
{
    struct fixture f = fixture(GOAL_RUNNING, VM_ACTIVE, DOMAIN_RUNNING);
    observe(&f, 1);
    expect_step(&f, STEP_NONE, "settled");
    return f;
}

static void volumes(void **state)
{
    struct fixture f = settled();
    with_volume(f.server, "/dev/vdb", ATTACH_WANTED);
    expect_step(&f, STEP_ATTACH_DISK, "wanted");
    f.volume->status = VOLUME_CREATING;
    expect_step(&f, STEP_NONE, "not made yet");
    f.volume->status = VOLUME_ATTACHING;
    has_disk(&f, "vdb");
    expect_step(&f, STEP_RECORD, "it is there");
    observe(&f, 1);
    assert_int_equal(first_volume(&f)->state, ATTACH_DONE);
    expect_step(&f, STEP_NONE, "attached");

    f.volume->status = VOLUME_EXTENDING;
    expect_step(&f, STEP_RESIZE_DISK, "extending");
    f.volume->status = VOLUME_IN_USE;

    snprintf(f.view.domain.paths[0], DOMAIN_PATH_MAX, "/v/old");
    f.volume->path = rec_str(f.volume, "/v/new");
    expect_step(&f, STEP_MOVE_DISK, "the volume goes on in another file");
    f.volume->status = VOLUME_EXTENDING;
    expect_step(&f, STEP_MOVE_DISK, "before it grows");
    f.volume->status = VOLUME_IN_USE;
    f.server->goal = GOAL_SUSPENDED;
    expect_step(&f, STEP_MOVE_DISK, "before the old one is kept in memory");
    snprintf(f.view.domain.paths[0], DOMAIN_PATH_MAX, "/v/new");
    expect_step(&f, STEP_SAVE, "it has been moved");
    f.server->goal = GOAL_RUNNING;
    expect_step(&f, STEP_NONE, "settled again");

    first_volume(&f)->state = ATTACH_LEAVING;
    expect_step(&f, STEP_DETACH_DISK, "leaving");
    f.view.patience = (struct patience){ "vdb", f.view.mono, f.view.mono };
    expect_step(&f, STEP_WAIT, "the guest was asked");
    f.view.mono += 160 * SECOND_US;
    expect_step(&f, STEP_KEEP_DISK, "the guest will not");
    f.view.domain.n_disks = 0;
    expect_step(&f, STEP_RECORD, "it is gone");
    observe(&f, 1);
    assert_int_equal(f.server->volumes.n, 0);
    expect_step(&f, STEP_NONE, "detached");
    drop(&f);
}

static void ports(void **state)
{
    struct fixture f = settled();
    with_port(f.server, PORT_ID, ATTACH_WANTED);
    expect_step(&f, STEP_ATTACH_NIC, "wanted");
    has_nic(&f, PORT_ID);
    observe(&f, 1);
    assert_int_equal(first_port(&f)->state, ATTACH_DONE);
    expect_step(&f, STEP_NONE, "attached");
    first_port(&f)->state = ATTACH_LEAVING;
    expect_step(&f, STEP_DETACH_NIC, "leaving");
    f.view.domain.n_nics = 0;
    observe(&f, 1);
    assert_int_equal(f.server->ports.n, 0);
    expect_step(&f, STEP_NONE, "detached");
    drop(&f);
}

/* Off, the record is all there is; saved, the guest's memory knows better. */
static void devices_of_one_that_does_not_run(void **state)
{
    static const int domains[] = { DOMAIN_OFF, DOMAIN_ABSENT, DOMAIN_CRASHED };
    for (size_t i = 0; i < ARRAY_SIZE(domains); i++) {
        struct fixture f = fixture(GOAL_STOPPED, VM_STOPPED, domains[i]);
        with_volume(f.server, "/dev/vdb", ATTACH_WANTED);
        with_port(f.server, PORT_ID, ATTACH_LEAVING);
        has_nic(&f, PORT_ID); /* in the definition that is left */
        observe(&f, 1);
        assert_int_equal(first_volume(&f)->state, ATTACH_DONE);
        assert_int_equal(f.server->ports.n, 0);
        drop(&f);
    }
    struct fixture f = fixture(GOAL_SUSPENDED, VM_SUSPENDED, DOMAIN_SAVED);
    with_volume(f.server, "/dev/vdb", ATTACH_WANTED);
    with_port(f.server, PORT_ID, ATTACH_LEAVING);
    observe(&f, 1);
    assert_int_equal(first_volume(&f)->state, ATTACH_WANTED);
    assert_int_equal(f.server->ports.n, 1);
    drop(&f);
}

/* ---- records ------------------------------------------------------------ */

static void becoming_active(void **state)
{
    struct fixture f = fixture(GOAL_RUNNING, VM_BUILDING, DOMAIN_RUNNING);
    f.server->task_state = TASK_SPAWNING;
    f.view.domain.vnc_port = 5900;
    snprintf(f.view.domain.vnc_host, 64, "127.0.0.1");
    snprintf(f.view.domain.serial_log, 256, "/d/console.log");
    observe(&f, 77);
    assert_int_equal(f.server->vm_state, VM_ACTIVE);
    assert_int_equal(f.server->task_state, TASK_NONE);
    assert_int_equal(f.server->power_state, POWER_RUNNING);
    assert_int_equal(f.server->launched, 77);
    assert_int_equal(f.server->updated, 77);
    assert_string_equal(f.server->vnc_host, "127.0.0.1");
    assert_int_equal(f.server->vnc_port, 5900);
    assert_string_equal(f.server->serial_log, "/d/console.log");
    assert_string_equal(f.server->domain_name, "instance-5f6d7a52-0000");
    assert_string_equal(f.server->root_device, "/dev/vda");
    drop(&f);
}

static void stopped_by_itself(void **state)
{
    struct fixture f = fixture(GOAL_RUNNING, VM_ACTIVE, DOMAIN_OFF);
    f.server->vnc_port = 5900;
    f.server->vnc_host = "127.0.0.1";
    observe(&f, 1);
    assert_int_equal(f.server->vm_state, VM_STOPPED);
    assert_int_equal(f.server->goal, GOAL_STOPPED);
    assert_int_equal(f.server->power_state, POWER_SHUTDOWN);
    assert_int_equal(f.server->vnc_port, 0);
    assert_null(f.server->vnc_host);
    expect_step(&f, STEP_NONE, "and stays so");
    drop(&f);
}

/* ---- every combination comes to rest ------------------------------------ */

/* What the world makes of a step. */
static void carry_out(struct fixture *f, const struct server_plan *p)
{
    struct domain_info *d = &f->view.domain;
    switch (p->step) {
    case STEP_START:
    case STEP_RESTORE:
        d->state = DOMAIN_RUNNING;
        if (p->step == STEP_START)
            d->reboot = f->server->reboot;
        break;
    case STEP_SHUTDOWN:
    case STEP_DESTROY:
        d->state = DOMAIN_OFF;
        break;
    case STEP_PAUSE:
        d->state = DOMAIN_PAUSED;
        break;
    case STEP_RESUME:
        d->state = DOMAIN_RUNNING;
        break;
    case STEP_SAVE:
        d->state = DOMAIN_SAVED;
        break;
    case STEP_RECORD:
        observe(f, f->server->updated + 1);
        break;
    default:
        fail_msg("unexpected step: %s", server_step_names[p->step]);
    }
}

static void check_rest(const struct fixture *f, const char *row)
{
    static const int want[] = {
        [GOAL_RUNNING] = VM_ACTIVE,
        [GOAL_STOPPED] = VM_STOPPED,
        [GOAL_PAUSED] = VM_PAUSED,
        [GOAL_SUSPENDED] = VM_SUSPENDED,
    };
    const struct server *s = f->server;
    if (s->task_state != TASK_NONE)
        fail_msg("%s: task %d is left", row, s->task_state);
    if (s->vm_state != VM_ERROR && s->vm_state != want[s->goal])
        fail_msg("%s: ends in vm_state %d, goal %d", row, s->vm_state, s->goal);
    if (s->vm_state == VM_ACTIVE && !domain_active(&f->view.domain))
        fail_msg("%s: ACTIVE without a domain", row);
    if (s->vm_state == VM_STOPPED && domain_active(&f->view.domain))
        fail_msg("%s: STOPPED with a domain", row);
}

static void run_to_rest(struct fixture *f, const char *row)
{
    for (int i = 0; i < 12; i++) {
        struct server_plan p = server_plan(&f->view);
        if (p.step == STEP_NONE) {
            check_rest(f, row);
            return;
        }
        carry_out(f, &p);
    }
    fail_msg("%s: does not come to rest", row);
}

static void all_come_to_rest(void **state)
{
    int n = 0;
    for (int goal = 0; goal < GOAL_DELETED; goal++)
        for (int vm = 0; vm <= VM_ERROR; vm++)
            for (int task = 0; task <= TASK_RESUMING; task++)
                for (int domain = 0; domain < DOMAIN_N_STATES; domain++)
                    for (int reboot = 0; reboot < 3; reboot++) {
                        char row[96];
                        struct fixture f = fixture(goal, vm, domain);
                        f.server->task_state = task;
                        f.server->reboot = reboot > 0;
                        f.server->reboot_type = reboot == 2;
                        snprintf(row, sizeof(row),
                                 "goal %d vm %d task %d domain %d reboot %d",
                                 goal, vm, task, domain, reboot);
                        run_to_rest(&f, row);
                        drop(&f);
                        n++;
                    }
    assert_int_equal(n, 4 * 6 * 13 * 6 * 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_steps),
        cmocka_unit_test(paused_by_itself),
        cmocka_unit_test(stalled),
        cmocka_unit_test(reboots),
        cmocka_unit_test(parts),
        cmocka_unit_test(boot_from_volume),
        cmocka_unit_test(rebuilt),
        cmocka_unit_test(shelved),
        cmocka_unit_test(resized),
        cmocka_unit_test(shelved_with_a_root_volume),
        cmocka_unit_test(rebuilt_at_rest),
        cmocka_unit_test(old_disks_stay_while_wanted),
        cmocka_unit_test(the_root_goes_on_in_another_file),
        cmocka_unit_test(shutdown_patience),
        cmocka_unit_test(volumes),
        cmocka_unit_test(ports),
        cmocka_unit_test(devices_of_one_that_does_not_run),
        cmocka_unit_test(becoming_active),
        cmocka_unit_test(stopped_by_itself),
        cmocka_unit_test(all_come_to_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
