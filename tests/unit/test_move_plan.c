/* What each end of a live move does, state by state; and the description of
 * a guest as the other node has it. */
#include "server_world.h"

#include "compute/domain_xml.h"
#include "compute/move_plan.h"

static struct server *server;
static struct migration *m;
static struct move_view v;

static int setup(void **state)
{
    server = a_server();
    server->vm_state = VM_ACTIVE;
    server->migration_id = "m";
    m = record_new(&kind_migration, "m");
    m->source = "node1";
    m->dest = "node2";
    m->updated = world_time;
    v = (struct move_view){
        .server = server, .migration = m, .now = world_time, .disks_ready = true
    };
    return 0;
}

static int teardown(void **state)
{
    record_unref(server);
    record_unref(m);
    return 0;
}

static enum move_step at(enum move_role role, enum migration_status status,
                         enum domain_state domain, enum migrate_state job)
{
    v.role = role;
    m->status = (int)status;
    v.domain.state = domain;
    v.info.state = job;
    return move_plan(&v).step;
}

#define SOURCE(status, domain, job)                                            \
    at(MOVE_SOURCE, MIGRATION_##status, DOMAIN_##domain, MIGRATE_##job)
#define DEST(status, domain)                                                   \
    at(MOVE_DEST, MIGRATION_##status, DOMAIN_##domain, MIGRATE_NONE)
#define ARRIVED(domain)                                                        \
    at(MOVE_ARRIVED, MIGRATION_POST_MIGRATING, DOMAIN_##domain, MIGRATE_NONE)

static void the_way(void **state)
{
    assert_int_equal(SOURCE(QUEUED, RUNNING, NONE), MOVE_NORMAL);
    assert_int_equal(SOURCE(PREPARING, RUNNING, NONE), MOVE_WAIT);
    assert_int_equal(DEST(PREPARING, ABSENT), MOVE_PREPARE);
    m->dest_ready = true;
    assert_int_equal(DEST(PREPARING, ABSENT), MOVE_WAIT);
    assert_int_equal(SOURCE(PREPARING, RUNNING, NONE), MOVE_PERFORM);
    assert_int_equal(SOURCE(PREPARING, RUNNING, RUNNING), MOVE_BEGUN);
    assert_int_equal(SOURCE(RUNNING, RUNNING, RUNNING), MOVE_PROGRESS);
    assert_int_equal(DEST(RUNNING, PAUSED), MOVE_WAIT);
    assert_int_equal(SOURCE(RUNNING, ABSENT, DONE), MOVE_ARRIVE);
    assert_int_equal(ARRIVED(PAUSED), MOVE_RESUME);
    assert_int_equal(ARRIVED(RUNNING), MOVE_COMPLETE);
    assert_int_equal(
        at(MOVE_NO_ROLE, MIGRATION_COMPLETED, DOMAIN_ABSENT, MIGRATE_NONE),
        MOVE_CLEAR);
}

static void the_dest_waits_for_disks_and_clears_first(void **state)
{
    v.disks_ready = false;
    assert_int_equal(DEST(PREPARING, ABSENT), MOVE_WAIT);
    v.disks_ready = true;
    assert_int_equal(DEST(PREPARING, OFF), MOVE_CLEAR);
    assert_int_equal(DEST(PREPARING, RUNNING), MOVE_CLEAR);
}

/* Whatever the dest sees: it lets no guest run and takes none away before
 * the record says so. */
static void the_dest_keeps_its_hands_off(void **state)
{
    m->dest_ready = true;
    for (int s = MIGRATION_PREPARING; s <= MIGRATION_RUNNING; s++)
        for (int d = 0; d < DOMAIN_N_STATES; d++)
            assert_int_equal(at(MOVE_DEST, (enum migration_status)s,
                                (enum domain_state)d, MIGRATE_NONE),
                             MOVE_WAIT);
}

/* It has gone only when it is not defined here any more, or libvirt says that
 * it has left: not when the machine was switched off meanwhile. */
static void where_the_guest_is_decides(void **state)
{
    assert_int_equal(SOURCE(RUNNING, ABSENT, NONE), MOVE_ARRIVE);
    assert_int_equal(SOURCE(RUNNING, OFF, NONE), MOVE_FAIL);
    assert_int_equal(SOURCE(RUNNING, CRASHED, FAILED), MOVE_FAIL);
    assert_int_equal(SOURCE(RUNNING, RUNNING, NONE), MOVE_FAIL);
    assert_int_equal(SOURCE(RUNNING, RUNNING, FAILED), MOVE_FAIL);
    v.domain.left = true;
    assert_int_equal(SOURCE(RUNNING, OFF, DONE), MOVE_ARRIVE);
    v.domain.left = false;
    assert_int_equal(SOURCE(RUNNING, PAUSED, FAILED), MOVE_RESUME);
    server->goal = GOAL_PAUSED;
    server->vm_state = VM_PAUSED;
    assert_int_equal(SOURCE(RUNNING, PAUSED, FAILED), MOVE_FAIL);
    assert_int_equal(ARRIVED(PAUSED), MOVE_COMPLETE);
}

static void who_changes_his_mind(void **state)
{
    m->abort = true;
    assert_int_equal(SOURCE(PREPARING, RUNNING, NONE), MOVE_CANCEL);
    assert_int_equal(SOURCE(RUNNING, RUNNING, RUNNING), MOVE_ABORT);
    assert_int_equal(SOURCE(RUNNING, RUNNING, FAILED), MOVE_CANCEL);
    assert_int_equal(SOURCE(RUNNING, ABSENT, DONE), MOVE_ARRIVE); /* too late */
    m->abort = false;
    server->goal = GOAL_DELETED;
    assert_int_equal(SOURCE(RUNNING, RUNNING, RUNNING), MOVE_ABORT);
    assert_int_equal(ARRIVED(PAUSED), MOVE_COMPLETE);
    server->goal = GOAL_RUNNING;
    m->force_complete = true;
    assert_int_equal(SOURCE(RUNNING, RUNNING, RUNNING), MOVE_PUSH);
    assert_int_equal(SOURCE(RUNNING, PAUSED, RUNNING), MOVE_PROGRESS);
}

static void what_cannot_begin(void **state)
{
    m->dest_ready = true;
    assert_int_equal(SOURCE(PREPARING, OFF, NONE), MOVE_FAIL);
    v.disk_fault = "no room";
    assert_int_equal(SOURCE(PREPARING, RUNNING, NONE), MOVE_FAIL);
    assert_string_equal(move_plan(&v).text, "no room");
    v.disk_fault = NULL;
    with_volume(server, "/dev/vdb", ATTACH_WANTED);
    assert_int_equal(SOURCE(PREPARING, RUNNING, NONE), MOVE_NORMAL);
    server->volumes.n = 0;
    v.disk_fault = "it stood still already";
    assert_int_equal(SOURCE(PREPARING, PAUSED, NONE), MOVE_RESUME);
    v.disk_fault = NULL;
    m->dest_ready = false;
    v.now = world_time + MOVE_PREPARE_US + 1;
    assert_int_equal(SOURCE(PREPARING, RUNNING, NONE), MOVE_FAIL);
}

static void it_comes_to_an_end(void **state)
{
    assert_int_equal(move_pause_ms(0), MOVE_PAUSE_MS);
    assert_int_equal(move_pause_ms(MOVE_PATIENCE_MS), 2 * MOVE_PAUSE_MS);
    assert_int_equal(move_pause_ms(3600000), MOVE_PAUSE_MOST_MS);
    v.info.elapsed_ms = move_limit_ms(server);
    assert_int_equal(SOURCE(RUNNING, RUNNING, RUNNING), MOVE_PROGRESS);
    v.info.elapsed_ms++;
    assert_int_equal(SOURCE(RUNNING, RUNNING, RUNNING), MOVE_ABORT);
}

/* ---- the description -------------------------------------------------------
 */

static const char live[] =
    "<domain type='qemu' id='3'><name>i</name><metadata>"
    "<server xmlns='" DOMAIN_XMLNS "' reboot='0'/></metadata>"
    "<vcpu placement='static'>1</vcpu><devices>"
    "<disk type='file' device='disk'><source file='/a/root' index='1'/>"
    "<backingStore type='file'><source file='/a/base'/></backingStore>"
    "<target dev='vda'/></disk>"
    "<disk type='network' device='disk'><source protocol='rbd' name='p/v'/>"
    "<target dev='vdb'/></disk>"
    "<disk type='file' device='cdrom'><source file='/a/config.iso'/>"
    "<target dev='sda'/></disk>"
    "<serial type='pty'><log file='/a/log' append='on'/></serial>"
    "<graphics type='vnc' port='5901' listen='10.0.0.1'>"
    "<listen type='address' address='10.0.0.1'/></graphics>"
    "</devices></domain>";

static void described_as_it_is_there(void **state)
{
    struct buf out = BUF_INIT(DOMAIN_XML_MAX);
    struct error err;
    struct domain_info info = { 0 };
    struct migrate_spec to = {
        .vnc_listen = "10.0.0.2",
        .config_drive = "/b/config.iso",
        .serial_log = "/b/log",
        .disks = { { "vda", "/b/root", true }, { "vdb", "rbd:p/v", false } },
        .n_disks = 2,
    };
    assert_true(domain_xml_moved(&out, live, &to, &err));
    assert_null(strstr(buf_str(&out), "/a/"));
    assert_null(strstr(buf_str(&out), "10.0.0.1"));
    assert_null(strstr(buf_str(&out), "backingStore"));
    assert_true(domain_xml_read(buf_str(&out), &info));
    assert_string_equal(domain_disk_path(&info, "vda"), "/b/root");
    assert_string_equal(domain_disk_path(&info, "sda"), "/b/config.iso");
    assert_string_equal(info.serial_log, "/b/log");
    assert_string_equal(info.vnc_host, "10.0.0.2");
    buf_reset(&out);
    to.n_disks = 0; /* a disk that nobody knows of */
    assert_false(domain_xml_moved(&out, live, &to, &err));
    assert_false(domain_xml_moved(&out, "<domain/>", &to, &err));
    assert_false(domain_xml_moved(&out, "no", &to, &err));
    buf_free(&out);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_way),
        CASE(the_dest_waits_for_disks_and_clears_first),
        CASE(the_dest_keeps_its_hands_off),
        CASE(where_the_guest_is_decides),
        CASE(who_changes_his_mind),
        CASE(what_cannot_begin),
        CASE(it_comes_to_an_end),
        CASE(described_as_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
