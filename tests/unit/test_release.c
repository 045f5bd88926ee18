#include "test.h"

#include "server_world.h"

#include "model/release.h"

static int open_world(void **state)
{
    world_open();
    world_follow();
    return 0;
}

static int close_world(void **state)
{
    world_close();
    return 0;
}

static void put_usage(const char *service, const char *name, int64_t n)
{
    char id[64];
    snprintf(id, sizeof(id), "%s/p1", service);
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    const struct usage *was = snap_get(s, &kind_usage, id);
    struct usage *u = was ? record_copy(was) : record_new(&kind_usage, id);
    amount_set(u, &u->amounts, name, n);
    world_put(u);
}

static void put_port(const char *id, const char *mac, const char *ip)
{
    struct port *p = a_port(id, mac, ip);
    struct txn t = TXN_INIT;
    txn_change_record(&t, p);
    port_take_claims(&t, p);
    world_commit(&t);
    record_unref(p);
}

static void put_floating_ip(const char *port_id)
{
    struct floating_ip *f = record_new(&kind_floating_ip, "fip1");
    f->port_id = rec_str(f, port_id);
    f->fixed_address = rec_str(f, "10.0.0.5");
    f->router_id = rec_str(f, "r1");
    f->status = NET_ACTIVE;
    world_put(f);
}

static size_t count(const struct kind *kind)
{
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    return snap_count(s, kind);
}

static int64_t used(const char *service, const char *name)
{
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    return quota_used(s, service, "p1", name);
}

static void a_port_goes_with_all_it_held(void **state)
{
    struct error err;
    struct txn t = TXN_INIT;
    put_usage("network", "port", 3);
    put_port(PORT_ID, "fa:16:3e:00:00:01", "10.0.0.5");
    put_port(PORT2_ID, "fa:16:3e:00:00:02", "10.0.0.6");
    put_floating_ip(PORT_ID);
    assert_int_equal(count(&kind_claim), 4);

    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    assert_true(port_release(&t, s, snap_get(s, &kind_port, PORT_ID),
                             world_time, &err));
    world_commit(&t);
    assert_int_equal(count(&kind_port), 1);
    assert_int_equal(count(&kind_claim), 2);
    assert_int_equal(used("network", "port"), 2);
    _autorecord_ const struct floating_ip *f =
        world_get(&kind_floating_ip, "fip1");
    assert_null(f->port_id);
    assert_null(f->fixed_address);
    assert_null(f->router_id);
    assert_int_equal(f->status, NET_DOWN);
}

static void claims_are_exclusive(void **state)
{
    struct txn t = TXN_INIT;
    struct txn_result result;
    put_port(PORT_ID, "fa:16:3e:00:00:01", "10.0.0.5");
    struct port *p = a_port(PORT2_ID, "fa:16:3e:00:00:02", "10.0.0.5");
    port_take_claims(&t, p);
    assert_false(store_commit(world_store, &t, &result));
    assert_int_equal(result.status, TXN_CONFLICT);
    record_unref(p);
}

static void volumes_by_status(void **state)
{
    static const struct {
        int was;
        bool also_delete;
        int then;
    } rows[] = {
        { VOLUME_IN_USE, false, VOLUME_AVAILABLE },
        { VOLUME_ATTACHING, false, VOLUME_AVAILABLE },
        { VOLUME_DETACHING, false, VOLUME_AVAILABLE },
        { VOLUME_RESERVED, false, VOLUME_AVAILABLE },
        { VOLUME_EXTENDING, false, VOLUME_EXTENDING },
        { VOLUME_CREATING, false, VOLUME_CREATING },
        { VOLUME_ERROR, false, VOLUME_ERROR },
        { VOLUME_IN_USE, true, VOLUME_DELETING },
        { VOLUME_CREATING, true, VOLUME_DELETING },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct txn t = TXN_INIT;
        struct volume *v = a_volume(rows[i].was);
        struct volume_attachment *a = list_add(v, &v->attachments, sizeof(*a));
        a->server_id = rec_str(v, SERVER_ID);
        world_put(v);
        _autorecord_ const struct volume *was =
            world_get(&kind_volume, VOLUME_ID);
        volume_release(&t, was, SERVER_ID, rows[i].also_delete, world_time);
        world_commit(&t);
        _autorecord_ const struct volume *now =
            world_get(&kind_volume, VOLUME_ID);
        assert_int_equal(now->attachments.n, 0);
        assert_int_equal(now->status, rows[i].then);
    }
}

static void another_attachment_stays(void **state)
{
    struct txn t = TXN_INIT;
    struct volume *v = a_volume(VOLUME_IN_USE);
    for (int i = 0; i < 2; i++) {
        struct volume_attachment *a = list_add(v, &v->attachments, sizeof(*a));
        a->server_id = rec_str(v, i ? SERVER_ID : "other");
    }
    volume_release(&t, v, SERVER_ID, true, world_time);
    record_unref(v);
    world_commit(&t);
    _autorecord_ const struct volume *now = world_get(&kind_volume, VOLUME_ID);
    assert_int_equal(now->attachments.n, 1);
    assert_int_equal(now->status, VOLUME_IN_USE);
}

static void a_server_leaves_nothing(void **state)
{
    struct error err;
    struct txn t = TXN_INIT;
    struct server *s = a_server();
    with_port(s, PORT_ID, ATTACH_DONE)->delete_on_termination = true;
    with_port(s, PORT2_ID, ATTACH_DONE);
    with_volume(s, "/dev/vdb", ATTACH_DONE);
    world_put(s);
    world_put(a_disk(DISK_READY));
    struct volume *v = a_volume(VOLUME_IN_USE);
    struct volume_attachment *a = list_add(v, &v->attachments, sizeof(*a));
    a->server_id = rec_str(v, SERVER_ID);
    world_put(v);
    put_port(PORT_ID, "fa:16:3e:00:00:01", "10.0.0.5");
    put_port(PORT2_ID, "fa:16:3e:00:00:02", "10.0.0.6");
    put_usage("network", "port", 2);
    put_usage("compute", "instances", 1);
    put_usage("compute", "cores", 2);
    put_usage("compute", "ram", 512);

    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    assert_true(server_release(
        &t, snap, snap_get(snap, &kind_server, SERVER_ID), world_time, &err));
    world_commit(&t);

    assert_int_equal(count(&kind_server), 0);
    assert_int_equal(used("compute", "instances"), 0);
    assert_int_equal(used("compute", "cores"), 0);
    assert_int_equal(used("compute", "ram"), 0);
    assert_int_equal(used("network", "port"), 1);
    assert_null(world_get(&kind_port, PORT_ID));
    _autorecord_ const struct port *kept = world_get(&kind_port, PORT2_ID);
    assert_null(kept->device_id);
    assert_null(kept->node);
    assert_int_equal(count(&kind_claim), 2);
    _autorecord_ const struct disk *d = world_get(&kind_disk, SERVER_ID);
    assert_int_equal(d->state, DISK_LEAVING);
    _autorecord_ const struct volume *now = world_get(&kind_volume, VOLUME_ID);
    assert_int_equal(now->status, VOLUME_AVAILABLE);
}

static void a_disk_that_was_never_made_goes_at_once(void **state)
{
    struct error err;
    struct txn t = TXN_INIT;
    struct disk *d = a_disk(DISK_WANTED);
    d->node = NULL;
    world_put(d);
    world_put(a_server());
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    assert_true(server_release(
        &t, snap, snap_get(snap, &kind_server, SERVER_ID), world_time, &err));
    world_commit(&t);
    assert_int_equal(count(&kind_disk), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(a_port_goes_with_all_it_held),
        TEST(claims_are_exclusive),
        TEST(volumes_by_status),
        TEST(another_attachment_stays),
        TEST(a_server_leaves_nothing),
        TEST(a_disk_that_was_never_made_goes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
