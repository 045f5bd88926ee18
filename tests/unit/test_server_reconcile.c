/* The node's reconciler over a memory store and a hypervisor made of flags. */
#include "test.h"

#include "server_world.h"

#include "compute/server_reconcile.h"
#include "model/migration.h"

#include <stdlib.h>

/* ---- a hypervisor ------------------------------------------------------- */

struct fake {
    struct hypervisor base;
    struct domain_info domain;
    bool defined_once;
    char log[1024];          /* calls, one word each */
    enum error_code failing; /* what every call answers, 0: none */
    const char *only;        /* ... or only this one */
    bool secret;             /* it knows the volume's passphrase */
    bool stubborn;           /* the guest does not listen */
    size_t n_disks, n_nics;  /* of the newest define_start */
    size_t config_drive_len;
    bool files; /* of the server, without a domain */
    domain_event_fn *fn;
    void *arg;
} fake;

static bool call(struct hypervisor *h, const char *name, struct error *err)
{
    size_t n = strlen(fake.log);
    snprintf(fake.log + n, sizeof(fake.log) - n, "%s ", name);
    if (fake.failing && (!fake.only || strcmp(fake.only, name) == 0))
        return error_set(err, fake.failing, "it was told to: /secret/path");
    return true;
}

static bool fake_list(struct hypervisor *h, domain_seen_fn *fn, void *arg,
                      struct error *err)
{
    if (fake.domain.state != DOMAIN_ABSENT)
        fn(arg, SERVER_ID, fake.domain.state);
    return true;
}

static bool fake_info(struct hypervisor *h, const char *id,
                      struct domain_info *info, struct error *err)
{
    *info = fake.domain;
    return fake.failing != ERR_UNAVAILABLE ||
           error_set(err, fake.failing, "gone");
}

static bool fake_define_start(struct hypervisor *h,
                              const struct domain_spec *spec, struct error *err)
{
    if (!call(h, "start", err))
        return false;
    fake.n_disks = spec->n_disks;
    fake.n_nics = spec->n_nics;
    fake.config_drive_len = spec->config_drive_len;
    fake.domain = (struct domain_info){ .state = DOMAIN_RUNNING,
                                        .reboot = spec->reboot,
                                        .vnc_port = 5900 };
    snprintf(fake.domain.vnc_host, 64, "127.0.0.1");
    for (size_t i = 0; i < spec->n_disks; i++)
        snprintf(fake.domain.disks[fake.domain.n_disks++], 16, "%s",
                 spec->disks[i].device);
    for (size_t i = 0; i < spec->n_nics; i++)
        snprintf(fake.domain.nics[fake.domain.n_nics++], UUID_SIZE, "%s",
                 spec->nics[i].port_id);
    return true;
}

static bool become(struct hypervisor *h, const char *name,
                   enum domain_state state, struct error *err)
{
    if (!call(h, name, err))
        return false;
    fake.domain.state = state;
    return true;
}

static bool fake_start(struct hypervisor *h, const char *id, struct error *err)
{
    return become(h, "restore", DOMAIN_RUNNING, err);
}
static bool fake_shutdown(struct hypervisor *h, const char *id,
                          struct error *err)
{
    return call(h, "shutdown", err);
}
static bool fake_destroy(struct hypervisor *h, const char *id,
                         struct error *err)
{
    return become(h, "destroy", DOMAIN_OFF, err);
}
static bool fake_undefine(struct hypervisor *h, const char *id,
                          struct error *err)
{
    return become(h, "undefine", DOMAIN_ABSENT, err);
}
static bool fake_suspend(struct hypervisor *h, const char *id,
                         struct error *err)
{
    return become(h, "pause", DOMAIN_PAUSED, err);
}
static bool fake_resume(struct hypervisor *h, const char *id, struct error *err)
{
    return become(h, "unpause", DOMAIN_RUNNING, err);
}
static bool fake_save(struct hypervisor *h, const char *id, struct error *err)
{
    return become(h, "save", DOMAIN_SAVED, err);
}
static bool fake_attach_disk(struct hypervisor *h, const char *id,
                             const struct disk_spec *disk, struct error *err)
{
    if (!call(h, "attach_disk", err))
        return false;
    snprintf(fake.domain.disks[fake.domain.n_disks++], 16, "%s", disk->device);
    return true;
}
static bool fake_detach_disk(struct hypervisor *h, const char *id,
                             const char *device, struct error *err)
{
    if (!call(h, "detach_disk", err))
        return false;
    if (!fake.stubborn)
        fake.domain.n_disks--;
    return true;
}
static bool fake_resize(struct hypervisor *h, const char *id,
                        const char *device, int64_t bytes, struct error *err)
{
    char name[32];
    snprintf(name, sizeof(name), "resize:%lld", (long long)(bytes >> 30));
    return call(h, name, err);
}
static bool fake_attach_nic(struct hypervisor *h, const char *id,
                            const struct nic_spec *nic, struct error *err)
{
    if (!call(h, "attach_nic", err))
        return false;
    snprintf(fake.domain.nics[fake.domain.n_nics++], UUID_SIZE, "%s",
             nic->port_id);
    return true;
}
static bool fake_detach_nic(struct hypervisor *h, const char *id,
                            const char *port_id, struct error *err)
{
    if (!call(h, "detach_nic", err))
        return false;
    fake.domain.n_nics--;
    return true;
}
static bool fake_keep(struct hypervisor *h, const char *uuid,
                      const char *passphrase, struct error *err)
{
    assert_string_equal(uuid, VOLUME_ID);
    assert_int_equal(strlen(passphrase), PASSPHRASE_SIZE - 1);
    fake.secret = true;
    return call(h, "keep", err);
}
static void fake_drop(struct hypervisor *h, const char *uuid)
{
    assert_string_equal(uuid, VOLUME_ID);
    fake.secret = false;
}
static void fake_listen(struct hypervisor *h, domain_event_fn *fn, void *arg)
{
    fake.fn = fn;
    fake.arg = arg;
}

static void fake_sweep(struct hypervisor *h,
                       bool (*wanted)(void *arg, const char *id), void *arg)
{
    fake.files = fake.files && wanted(arg, SERVER_ID);
}

static const struct hypervisor_ops fake_ops = {
    .list = fake_list,
    .info = fake_info,
    .define_start = fake_define_start,
    .start = fake_start,
    .shutdown = fake_shutdown,
    .destroy = fake_destroy,
    .undefine = fake_undefine,
    .suspend = fake_suspend,
    .resume = fake_resume,
    .managed_save = fake_save,
    .keep_secret = fake_keep,
    .drop_secret = fake_drop,
    .sweep_files = fake_sweep,
    .attach_disk = fake_attach_disk,
    .detach_disk = fake_detach_disk,
    .resize_disk = fake_resize,
    .attach_nic = fake_attach_nic,
    .detach_nic = fake_detach_nic,
    .listen = fake_listen,
};

/* ---- the world ---------------------------------------------------------- */

static struct server_reconciler *reconciler;
static const struct keyring ring = { .there = true };

static void new_reconciler(void)
{
    struct server_reconciler_config config = {
        .store = world_store,
        .cache = world_cache,
        .hypervisor = &fake.base,
        .env = &world_env,
        .node = "node1",
        .keyring = &ring,
    };
    reconciler = server_reconciler_new(&config);
}

static int setup(void **state)
{
    fake = (struct fake){ .base.ops = &fake_ops };
    world_open();
    new_reconciler();
    world_follow();
    return 0;
}

static int teardown(void **state)
{
    cache_unfollow(world_cache);
    server_reconciler_free(reconciler);
    cache_free(world_cache);
    store_close(world_store);
    return 0;
}

/* Runs what is due now, and what falls due in the next `seconds`. */
static void run_for(int64_t seconds)
{
    struct reconciler *q = server_reconciler_queue(reconciler);
    int64_t end = world_time + seconds * SECOND_US;
    for (int i = 0; i < 10000; i++) {
        if (reconciler_step(q, 0))
            continue;
        if (reconciler_next_due(q) > end)
            break;
        world_time = reconciler_next_due(q);
    }
    world_time = end;
}

static const struct server *server(void)
{
    static const struct server *held;
    record_unref(held);
    held = world_get(&kind_server, SERVER_ID);
    return held;
}

static void expect_log(const char *want)
{
    assert_string_equal(fake.log, want);
    fake.log[0] = '\0';
}

/* Changes fields of the server as the API does. */
#define API(...)                                                               \
    do {                                                                       \
        struct server *s = world_edit(&kind_server, SERVER_ID);                \
        __VA_ARGS__;                                                           \
        world_put(s);                                                          \
    } while (0)

static void put_active(void)
{
    world_put(a_disk(DISK_READY));
    world_put(a_server());
    run_for(0);
    assert_int_equal(server()->vm_state, VM_ACTIVE);
    expect_log("start ");
}

/* ---- tests -------------------------------------------------------------- */

static void builds_when_all_is_there(void **state)
{
    struct server *s = a_server();
    s->config_drive = true;
    with_port(s, PORT_ID, ATTACH_WANTED);
    with_volume(s, "/dev/vdb", ATTACH_WANTED);
    world_put(a_port(PORT_ID, "fa:16:3e:00:00:01", "10.0.0.5"));
    world_put(a_disk(DISK_WANTED));
    world_put(a_volume(VOLUME_CREATING));
    world_put(s);
    run_for(1);
    expect_log("");
    assert_int_equal(server()->task_state, TASK_BLOCK_DEVICE_MAPPING);
    world_put(a_volume(VOLUME_ATTACHING));
    run_for(1);
    assert_int_equal(server()->task_state, TASK_SPAWNING);
    world_put(a_disk(DISK_READY));
    run_for(1);
    expect_log("start ");
    assert_int_equal(server()->vm_state, VM_ACTIVE);
    assert_int_equal(server()->task_state, TASK_NONE);
    assert_int_equal(server()->vnc_port, 5900);
    assert_int_equal(fake.n_disks, 2);
    assert_int_equal(fake.n_nics, 1);
    assert_true(fake.config_drive_len > 40000);
    _autorecord_ const struct volume *v = world_get(&kind_volume, VOLUME_ID);
    assert_int_equal(v->status, VOLUME_IN_USE);
    const struct volume_attachment *a =
        LIST_AT(v->attachments, struct volume_attachment, 0);
    assert_string_equal(a->server_id, SERVER_ID);
    assert_string_equal(a->attachment_id, "att1");
    assert_string_equal(a->device, "/dev/vdb");
    assert_true(a->attached > 0);
}

static void others_servers(void **state)
{
    struct server *s = a_server();
    s->node = rec_str(s, "node2");
    world_put(a_disk(DISK_READY));
    world_put(s);
    s = world_edit(&kind_server, SERVER_ID);
    s->node = NULL;
    world_put(s);
    run_for(100);
    expect_log("");
}

static void stops_and_starts(void **state)
{
    put_active();
    API(s->goal = GOAL_STOPPED, s->task_state = TASK_POWERING_OFF);
    run_for(1);
    expect_log("shutdown ");
    assert_int_equal(server()->vm_state, VM_ACTIVE);
    fake.domain.state = DOMAIN_OFF;
    fake.fn(fake.arg, SERVER_ID);
    run_for(0);
    expect_log("");
    assert_int_equal(server()->vm_state, VM_STOPPED);
    assert_int_equal(server()->task_state, TASK_NONE);
    API(s->goal = GOAL_RUNNING, s->task_state = TASK_POWERING_ON);
    run_for(0);
    expect_log("start ");
    assert_int_equal(server()->vm_state, VM_ACTIVE);
}

static void a_deaf_guest_is_destroyed(void **state)
{
    put_active();
    API(s->goal = GOAL_STOPPED);
    run_for(59);
    expect_log("shutdown shutdown shutdown shutdown shutdown shutdown ");
    assert_int_equal(server()->vm_state, VM_ACTIVE);
    run_for(2);
    expect_log("destroy ");
    assert_int_equal(server()->vm_state, VM_STOPPED);
}

static void reboots(void **state)
{
    put_active();
    API(s->reboot = 1, s->reboot_type = REBOOT_HARD,
        s->task_state = TASK_REBOOTING_HARD);
    run_for(0);
    expect_log("destroy start ");
    assert_int_equal(server()->reboots_done, 1);
    assert_int_equal(server()->task_state, TASK_NONE);
    API(s->reboot = 2, s->reboot_type = REBOOT_SOFT,
        s->task_state = TASK_REBOOTING);
    run_for(0);
    expect_log("shutdown ");
    fake.domain.state = DOMAIN_OFF;
    fake.fn(fake.arg, SERVER_ID);
    run_for(0);
    expect_log("start ");
    assert_int_equal(server()->reboots_done, 2);
    assert_int_equal(server()->vm_state, VM_ACTIVE);
}

static void pauses_and_suspends(void **state)
{
    put_active();
    API(s->goal = GOAL_PAUSED);
    run_for(0);
    expect_log("pause ");
    assert_int_equal(server()->vm_state, VM_PAUSED);
    assert_int_equal(server()->power_state, POWER_PAUSED);
    API(s->goal = GOAL_RUNNING);
    run_for(0);
    expect_log("unpause ");
    API(s->goal = GOAL_SUSPENDED);
    run_for(0);
    expect_log("save ");
    assert_int_equal(server()->vm_state, VM_SUSPENDED);
    API(s->goal = GOAL_RUNNING);
    run_for(0);
    expect_log("restore ");
    assert_int_equal(server()->vm_state, VM_ACTIVE);
}

static void stopped_by_itself(void **state)
{
    put_active();
    fake.domain.state = DOMAIN_OFF;
    fake.fn(fake.arg, SERVER_ID);
    run_for(0);
    expect_log("");
    assert_int_equal(server()->vm_state, VM_STOPPED);
    assert_int_equal(server()->goal, GOAL_STOPPED);
}

/* Without an event, the minute's look finds it. */
static void vanished(void **state)
{
    put_active();
    fake.domain = (struct domain_info){ 0 };
    run_for(61);
    expect_log("");
    assert_int_equal(server()->vm_state, VM_STOPPED);
    assert_int_equal(server()->power_state, POWER_SHUTDOWN);
}

static void volumes_come_and_go(void **state)
{
    put_active();
    world_put(a_volume(VOLUME_ATTACHING));
    API(with_volume(s, "/dev/vdb", ATTACH_WANTED));
    run_for(0);
    expect_log("attach_disk ");
    _autorecord_ const struct volume *v = world_get(&kind_volume, VOLUME_ID);
    assert_int_equal(v->status, VOLUME_IN_USE);
    assert_int_equal(v->attachments.n, 1);

    struct volume *grow = world_edit(&kind_volume, VOLUME_ID);
    grow->size_gb = 5;
    grow->status = VOLUME_EXTENDING;
    world_put(grow);
    run_for(0);
    expect_log("resize:5 ");
    _autorecord_ const struct volume *g = world_get(&kind_volume, VOLUME_ID);
    assert_int_equal(g->status, VOLUME_IN_USE);
    assert_int_equal(g->real_size_gb, 5);

    API(LIST_AT(s->volumes, struct server_volume, 0)->state = ATTACH_LEAVING);
    run_for(0);
    expect_log("detach_disk ");
    assert_int_equal(server()->volumes.n, 0);
    _autorecord_ const struct volume *w = world_get(&kind_volume, VOLUME_ID);
    assert_int_equal(w->status, VOLUME_AVAILABLE);
    assert_int_equal(w->attachments.n, 0);
}

static void put_secret_volume(void)
{
    struct error err;
    struct buf wrapped = BUF_INIT(WRAPPED_MAX);
    struct volume_key *k = record_new(&kind_volume_key, VOLUME_ID);
    assert_true(keyring_make(&ring, VOLUME_ID, &wrapped, &err));
    k->wrapped = rec_str(k, buf_str(&wrapped));
    world_put(k);
    buf_free(&wrapped);
    struct volume *v = a_volume(VOLUME_ATTACHING);
    v->key_id = rec_str(v, VOLUME_ID);
    world_put(v);
}

/* While the guest has it, and not while the guest is off or suspended. */
static void a_passphrase_is_known_while_it_is_needed(void **state)
{
    put_active();
    put_secret_volume();
    API(with_volume(s, "/dev/vdb", ATTACH_WANTED));
    run_for(0);
    expect_log("keep attach_disk ");
    assert_true(fake.secret);
    API(s->goal = GOAL_SUSPENDED);
    run_for(0);
    expect_log("save ");
    assert_false(fake.secret);
    API(s->goal = GOAL_RUNNING);
    run_for(0);
    expect_log("keep restore ");
    API(s->goal = GOAL_STOPPED);
    run_for(1);
    assert_true(fake.secret);
    fake.domain.state = DOMAIN_OFF;
    fake.fn(fake.arg, SERVER_ID);
    run_for(0);
    expect_log("shutdown ");
    assert_false(fake.secret);
    API(s->goal = GOAL_RUNNING);
    run_for(0);
    expect_log("keep start ");
    API(LIST_AT(s->volumes, struct server_volume, 0)->state = ATTACH_LEAVING);
    run_for(0);
    expect_log("detach_disk ");
    assert_false(fake.secret);
}

/* Another guest of the node has it still. */
static void a_passphrase_stays_for_others(void **state)
{
    put_active();
    put_secret_volume();
    struct volume *v = world_edit(&kind_volume, VOLUME_ID);
    struct volume_attachment *a = list_add(v, &v->attachments, sizeof(*a));
    a->server_id = rec_str(v, "another");
    a->node = rec_str(v, "node1");
    a->attached = 1;
    v->multiattach = true;
    world_put(v);
    API(with_volume(s, "/dev/vdb", ATTACH_WANTED));
    run_for(0);
    API(LIST_AT(s->volumes, struct server_volume, 0)->state = ATTACH_LEAVING);
    run_for(0);
    expect_log("keep attach_disk detach_disk ");
    assert_true(fake.secret);
}

static void a_volume_the_guest_keeps(void **state)
{
    put_active();
    world_put(a_volume(VOLUME_ATTACHING));
    API(with_volume(s, "/dev/vdb", ATTACH_WANTED));
    run_for(0);
    fake.stubborn = true;
    fake.log[0] = '\0';
    API(LIST_AT(s->volumes, struct server_volume, 0)->state = ATTACH_LEAVING);
    struct volume *v = world_edit(&kind_volume, VOLUME_ID);
    v->status = VOLUME_DETACHING;
    world_put(v);
    run_for(150);
    assert_int_equal(LIST_AT(server()->volumes, struct server_volume, 0)->state,
                     ATTACH_LEAVING);
    run_for(20);
    assert_int_equal(LIST_AT(server()->volumes, struct server_volume, 0)->state,
                     ATTACH_DONE);
    _autorecord_ const struct volume *w = world_get(&kind_volume, VOLUME_ID);
    assert_int_equal(w->status, VOLUME_IN_USE);
}

static void a_volume_that_cannot_be_attached(void **state)
{
    put_active();
    world_put(a_volume(VOLUME_ATTACHING));
    fake.failing = ERR_INTERNAL;
    fake.only = "attach_disk";
    API(with_volume(s, "/dev/vdb", ATTACH_WANTED));
    run_for(30);
    assert_int_equal(server()->vm_state, VM_ACTIVE);
    assert_int_equal(server()->volumes.n, 0);
    _autorecord_ const struct volume *v = world_get(&kind_volume, VOLUME_ID);
    assert_int_equal(v->status, VOLUME_AVAILABLE);
}

static void a_volume_that_cannot_grow(void **state)
{
    put_active();
    world_put(a_volume(VOLUME_ATTACHING));
    API(with_volume(s, "/dev/vdb", ATTACH_WANTED));
    run_for(0);
    struct usage *u = record_new(&kind_usage, "volume/p1");
    amount_set(u, &u->amounts, "gigabytes", 5);
    world_put(u);
    fake.failing = ERR_INTERNAL;
    struct volume *v = world_edit(&kind_volume, VOLUME_ID);
    v->size_gb = 5;
    v->status = VOLUME_EXTENDING;
    world_put(v);
    run_for(30);
    _autorecord_ const struct volume *w = world_get(&kind_volume, VOLUME_ID);
    assert_int_equal(w->status, VOLUME_ERROR_EXTENDING);
    assert_int_equal(w->size_gb, 1);
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    assert_int_equal(quota_used(s, "volume", "p1", "gigabytes"), 1);
    assert_int_equal(server()->vm_state, VM_ACTIVE);
}

static void ports_come_and_go(void **state)
{
    put_active();
    world_put(a_port(PORT_ID, "fa:16:3e:00:00:01", "10.0.0.5"));
    world_put(a_port(PORT2_ID, "fa:16:3e:00:00:02", "10.0.0.6"));
    API(with_port(s, PORT_ID, ATTACH_WANTED)->delete_on_termination = true);
    API(with_port(s, PORT2_ID, ATTACH_WANTED));
    run_for(0);
    expect_log("attach_nic attach_nic ");
    API(LIST_AT(s->ports, struct server_port, 0)->state = ATTACH_LEAVING;
        LIST_AT(s->ports, struct server_port, 1)->state = ATTACH_LEAVING);
    run_for(0);
    expect_log("detach_nic detach_nic ");
    assert_int_equal(server()->ports.n, 0);
    assert_null(world_get(&kind_port, PORT_ID));
    _autorecord_ const struct port *p = world_get(&kind_port, PORT2_ID);
    assert_null(p->device_id);
}

static void deletes(void **state)
{
    put_active();
    API(s->goal = GOAL_DELETED, s->task_state = TASK_DELETING);
    run_for(0);
    expect_log("destroy undefine ");
    assert_null(world_get(&kind_server, SERVER_ID));
    _autorecord_ const struct disk *d = world_get(&kind_disk, SERVER_ID);
    assert_int_equal(d->state, DISK_LEAVING);
}

/* Deleting goes on for as long as it takes. */
static void deleting_never_gives_up(void **state)
{
    put_active();
    fake.failing = ERR_INTERNAL;
    API(s->goal = GOAL_DELETED);
    run_for(600);
    assert_int_equal(server()->goal, GOAL_DELETED);
    assert_int_equal(server()->vm_state, VM_ACTIVE);
    fake.failing = 0;
    run_for(60);
    assert_null(world_get(&kind_server, SERVER_ID));
}

static void a_failing_start_ends_in_error(void **state)
{
    fake.failing = ERR_INTERNAL;
    world_put(a_disk(DISK_READY));
    world_put(a_server());
    run_for(60);
    expect_log("start start start ");
    assert_int_equal(server()->vm_state, VM_ERROR);
    assert_int_equal(server()->task_state, TASK_NONE);
    assert_int_equal(server()->fault_code, 500);
    assert_string_equal(server()->fault,
                        "could not start the guest: internal error");
    /* and a hard reboot gets it out of there */
    fake.failing = 0;
    API(s->reboot = 1, s->reboot_type = REBOOT_HARD,
        s->task_state = TASK_REBOOTING_HARD);
    run_for(0);
    expect_log("start ");
    assert_int_equal(server()->vm_state, VM_ACTIVE);
    assert_true(server()->launched > 0);
}

static void a_failed_disk_ends_in_error(void **state)
{
    struct disk *d = a_disk(DISK_FAILED);
    d->fault = rec_str(d, "image is gone");
    world_put(d);
    world_put(a_server());
    run_for(1);
    expect_log("");
    assert_int_equal(server()->vm_state, VM_ERROR);
    assert_string_equal(server()->fault, "image is gone");
}

static void a_hypervisor_that_is_away(void **state)
{
    fake.failing = ERR_UNAVAILABLE;
    world_put(a_disk(DISK_READY));
    world_put(a_server());
    run_for(3600);
    expect_log("");
    assert_int_equal(server()->vm_state, VM_BUILDING);
    fake.failing = 0;
    run_for(60);
    assert_int_equal(server()->vm_state, VM_ACTIVE);
}

/* The store is all that is left of the process before. */
static void a_new_process_goes_on(void **state)
{
    put_active();
    cache_unfollow(world_cache);
    server_reconciler_free(reconciler);
    cache_free(world_cache);
    world_cache = cache_new(model_kinds, N_KINDS);
    new_reconciler();
    world_follow();
    server_reconciler_resync(reconciler);
    run_for(1);
    expect_log(""); /* what runs goes on running */
    assert_int_equal(server()->vm_state, VM_ACTIVE);
    API(s->goal = GOAL_PAUSED);
    run_for(1);
    expect_log("pause ");
    assert_int_equal(server()->vm_state, VM_PAUSED);
}

/* A crash after the start and before its record: it is not started twice. */
static void found_running(void **state)
{
    fake.domain = (struct domain_info){ .state = DOMAIN_RUNNING };
    world_put(a_disk(DISK_READY));
    world_put(a_server());
    run_for(0);
    expect_log("");
    assert_int_equal(server()->vm_state, VM_ACTIVE);
}

/* It was coming here when its server was deleted at the other end. */
static void came_for_nothing(void **state)
{
    fake.domain =
        (struct domain_info){ .state = DOMAIN_PAUSED, .incoming = true };
    run_for(61);
    assert_int_equal(fake.domain.state, DOMAIN_ABSENT);
}

/* Nobody knows it, but it has run. */
static void strangers_are_left_alone(void **state)
{
    fake.domain = (struct domain_info){ .state = DOMAIN_PAUSED };
    run_for(200);
    assert_int_equal(fake.domain.state, DOMAIN_PAUSED);
}

/* A move here was cut before its guest came: the domain is gone, its files
 * are not. */
static void files_of_nobody_are_swept(void **state)
{
    _autorecord_ struct migration *m = record_new(&kind_migration, "m");
    m->server_id = SERVER_ID;
    m->source = "node2";
    m->dest = "node1";
    m->type = MIGRATION_LIVE;
    m->status = MIGRATION_RUNNING;
    struct server *s = a_server();
    s->node = "node2";
    world_put(record_copy(m));
    world_put(s);
    fake.files = true;
    run_for(61);
    assert_true(fake.files); /* it is on its way */
    m->status = MIGRATION_CANCELLED;
    world_put(record_copy(m));
    run_for(61);
    assert_false(fake.files);
}

static void files_of_a_server_here_stay(void **state)
{
    put_active();
    fake.files = true;
    run_for(200);
    assert_true(fake.files);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(builds_when_all_is_there),
        TEST(others_servers),
        TEST(stops_and_starts),
        TEST(a_deaf_guest_is_destroyed),
        TEST(reboots),
        TEST(pauses_and_suspends),
        TEST(stopped_by_itself),
        TEST(vanished),
        TEST(volumes_come_and_go),
        TEST(a_passphrase_is_known_while_it_is_needed),
        TEST(a_passphrase_stays_for_others),
        TEST(a_volume_the_guest_keeps),
        TEST(a_volume_that_cannot_be_attached),
        TEST(a_volume_that_cannot_grow),
        TEST(ports_come_and_go),
        TEST(deletes),
        TEST(deleting_never_gives_up),
        TEST(a_failing_start_ends_in_error),
        TEST(a_failed_disk_ends_in_error),
        TEST(a_hypervisor_that_is_away),
        TEST(a_new_process_goes_on),
        TEST(found_running),
        TEST(came_for_nothing),
        TEST(strangers_are_left_alone),
        TEST(files_of_nobody_are_swept),
        TEST(files_of_a_server_here_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
