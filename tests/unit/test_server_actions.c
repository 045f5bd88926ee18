/* openstack-compat/compute: the actions that give a server other disks,
 * another flavor or no node. */
#include "api_client.h"

#include "model/compute.h"
#include "model/image.h"
#include "model/pool.h"
#include "model/release.h"
#include "model/resize.h"
#include "model/shelve.h"
#include "model/volume.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define C     "/compute/v2.1"
#define IMAGE "1a6e0000-0000-4000-8000-000000000001"
#define OTHER "1a6e0000-0000-4000-8000-000000000002"
#define SID   "5e7e0000-0000-4000-8000-000000000001"
#define VOL   "d0000000-0000-4000-8000-000000000001"

static struct api_client *c;

static char *text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *text(const char *fmt, ...)
{
    static char all[32][1024];
    static int i;
    va_list args;
    va_start(args, fmt);
    i = (i + 1) & 31;
    vsnprintf(all[i], sizeof(all[0]), fmt, args);
    va_end(args);
    return all[i];
}

/* ---- records ------------------------------------------------------------- */

static void commit(void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    txn_change_record(&t, record);
    assert_true(store_commit(c->store, &t, &result));
}

/* A draft of what is there, to be changed and committed. */
static void *edit(const struct kind *kind, const char *id)
{
    _autosnap_ struct snapshot *s = api_snapshot(c);
    const void *r = snap_get(s, kind, id);
    assert_non_null(r);
    return record_copy(r);
}

static bool is_there(const struct kind *kind, const char *id)
{
    _autosnap_ struct snapshot *s = api_snapshot(c);
    return snap_get(s, kind, id) != NULL;
}

static void version(const char *v)
{
    c->headers[0] = (struct param){ v ? "OpenStack-API-Version" : NULL,
                                    v ? text("compute %s", v) : NULL };
}

static void make_image(const char *id, int64_t size)
{
    _autorecord_ struct image *i = record_new(&kind_image, id);
    i->name = "guest";
    i->visibility = "public";
    i->owner = rec_str(i, c->admin_project);
    i->status = IMAGE_ACTIVE;
    i->blob = rec_strf(i, "%s.qcow2", id);
    i->size = i->virtual_size = size;
    map_put(i, &i->properties, "hw_disk_bus", "scsi");
    commit(i);
}

static void make_node(void)
{
    _autorecord_ struct node *n = record_new(&kind_node, "one");
    n->vcpus = 8;
    n->ram_mb = 8192;
    n->disk_gb = 100;
    n->seen = c->time;
    commit(n);
}

static void make_disk(void)
{
    _autorecord_ struct disk *d = record_new(&kind_disk, SID);
    d->server_id = SID;
    d->node = "one";
    d->image_id = IMAGE;
    d->state = DISK_READY;
    d->path = "/disks/" SID ".qcow2";
    commit(d);
}

static void flavor(const char *id, int ram, int disk, int vcpus)
{
    api_status(c, 200, "POST", C "/flavors", c->admin,
               text("{\"flavor\":{\"name\":\"%s\",\"id\":\"%s\",\"ram\":%d,"
                    "\"disk\":%d,\"vcpus\":%d}}",
                    id, id, ram, disk, vcpus));
}

/* One that runs, as create, placement and compute have left it. */
static void make_server(void)
{
    _autorecord_ struct server *s = record_new(&kind_server, SID);
    s->name = "vm";
    s->project_id = rec_str(s, c->demo_project);
    s->user_id = rec_str(s, c->demo_user);
    s->flavor_id = s->flavor_name = "t1";
    s->vcpus = 1;
    s->ram_mb = 64;
    s->disk_gb = 2;
    s->image_id = IMAGE;
    s->root_device = "/dev/sda";
    s->node = "one";
    s->vm_state = VM_ACTIVE;
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    struct error err;
    const struct amount used[] = { { "instances", 1 },
                                   { "cores", 1 },
                                   { "ram", 64 } };
    _autosnap_ struct snapshot *snap = api_snapshot(c);
    txn_change_record(&t, s);
    assert_true(
        quota_charge(&t, snap, "compute", c->demo_project, used, 3, &err));
    assert_true(store_commit(c->store, &t, &result));
}

static int setup(void **state)
{
    c = api_client_new();
    make_node();
    make_image(IMAGE, 1 << 20);
    make_image(OTHER, 1 << 20);
    flavor("t1", 64, 2, 1);
    flavor("big", 128, 4, 2);
    flavor("small", 64, 1, 1);
    make_server();
    make_disk();
    return 0;
}

static int teardown(void **state)
{
    api_client_free(c);
    return 0;
}

static void set_state(int vm_state, int task_state)
{
    _autorecord_ struct server *s = edit(&kind_server, SID);
    s->vm_state = vm_state;
    s->task_state = task_state;
    commit(s);
}

static void act(int status, const char *body)
{
    api_status(c, status, "POST", C "/servers/" SID "/action", c->demo, body);
}

static json_t *answer(int status, const char *body)
{
    return api_expect(c, status, "POST", C "/servers/" SID "/action", c->demo,
                      body);
}

/* Makes it one that boots from a volume, made from IMAGE. */
static void boot_from_volume(void)
{
    _autorecord_ struct volume *v = record_new(&kind_volume, VOL);
    v->project_id = rec_str(v, c->demo_project);
    v->status = VOLUME_IN_USE;
    v->size_gb = 3;
    v->bootable = true;
    v->node = "one";
    v->image_id = IMAGE;
    struct volume_attachment *a = list_add(v, &v->attachments, sizeof(*a));
    a->server_id = SID;
    commit(v);
    _autorecord_ struct server *s = edit(&kind_server, SID);
    struct server_volume *sv = list_add(s, &s->volumes, sizeof(*sv));
    sv->volume_id = VOL;
    sv->device = "/dev/vda";
    sv->state = ATTACH_DONE;
    sv->boot = true;
    s->image_id = NULL;
    commit(s);
}

/* ---- rebuild ------------------------------------------------------------- */

static void a_rebuild_gives_other_disks_and_a_reboot(void **state)
{
    json_t *a = answer(202, "{\"rebuild\":{\"imageRef\":\"" OTHER "\","
                            "\"name\":\"new\",\"metadata\":{\"a\":\"b\"}}}");
    assert_string_equal(api_text(a, "server.status"), "REBUILD");
    assert_string_equal(api_text(a, "server.name"), "new");
    assert_string_equal(api_text(a, "server.image.id"), OTHER);
    json_decref(a);
    _autorecord_ struct server *s = edit(&kind_server, SID);
    assert_int_equal(s->disks, 1);
    assert_int_equal(s->reboot, 1);
    assert_int_equal(s->reboot_type, REBOOT_SOFT);
    assert_null(s->root_device);
    assert_string_equal(map_get(&s->metadata, "a"), "b");
    _autorecord_ struct disk *d = edit(&kind_disk, SID ".1");
    assert_string_equal(d->image_id, OTHER);
    assert_string_equal(d->node, "one");
    assert_int_equal(d->size_gb, 2);
    assert_int_equal(d->state, DISK_WANTED);
    _autorecord_ struct disk *old = edit(&kind_disk, SID);
    assert_int_equal(old->state, DISK_READY); /* the guest has it open */
    act(409, "{\"rebuild\":{\"imageRef\":\"" OTHER "\"}}");
}

static void one_at_rest_stays_at_rest(void **state)
{
    set_state(VM_STOPPED, TASK_NONE);
    act(202, "{\"rebuild\":{\"imageRef\":\"" IMAGE "\"}}");
    _autorecord_ struct server *s = edit(&kind_server, SID);
    assert_int_equal(s->reboot, 0);
    assert_int_equal(s->task_state, TASK_REBUILDING);
    assert_int_equal(s->disks, 1);
}

static void bad_rebuilds(void **state)
{
    static const struct {
        int status;
        const char *version, *body;
    } rows[] = {
        { 400, NULL, "{}" },
        { 400, NULL, "{\"imageRef\":\"none\"}" },
        { 400, NULL, "{\"imageRef\":\"" OTHER "\",\"colour\":1}" },
        { 400, NULL, "{\"imageRef\":\"" OTHER "\",\"name\":\"\"}" },
        { 400, NULL, "{\"imageRef\":\"" OTHER "\",\"key_name\":\"k\"}" },
        { 400, "2.54", "{\"imageRef\":\"" OTHER "\",\"key_name\":\"k\"}" },
        { 400, "2.56", "{\"imageRef\":\"" OTHER "\",\"user_data\":\"eA==\"}" },
        { 400, "2.57", "{\"imageRef\":\"" OTHER "\",\"user_data\":\"x\"}" },
        { 400, NULL,
          "{\"imageRef\":\"" OTHER "\",\"preserve_ephemeral\":true}" },
        { 400, "2.89", "{\"imageRef\":\"" OTHER "\",\"hostname\":\"h\"}" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        version(rows[i].version);
        act(rows[i].status, text("{\"rebuild\":%s}", rows[i].body));
    }
    version(NULL);
    set_state(VM_PAUSED, TASK_NONE);
    act(409, "{\"rebuild\":{\"imageRef\":\"" OTHER "\"}}");
    assert_false(is_there(&kind_disk, SID ".1"));
}

static void later_options(void **state)
{
    version("2.90");
    act(202, "{\"rebuild\":{\"imageRef\":\"" OTHER "\",\"user_data\":"
             "\"aGVsbG8=\",\"hostname\":\"h\",\"description\":\"d\","
             "\"key_name\":null}}");
    version(NULL);
    _autorecord_ struct server *s = edit(&kind_server, SID);
    assert_string_equal(s->user_data, "aGVsbG8=");
    assert_string_equal(s->hostname, "h");
    assert_string_equal(s->description, "d");
}

static void a_root_volume_keeps_its_image(void **state)
{
    boot_from_volume();
    act(400, "{\"rebuild\":{\"imageRef\":\"" OTHER "\"}}");
    act(202, "{\"rebuild\":{\"imageRef\":\"" IMAGE "\"}}");
    _autorecord_ struct server *s = edit(&kind_server, SID);
    assert_int_equal(s->reboot, 1);
    assert_int_equal(s->disks, 0);
}

/* ---- createImage --------------------------------------------------------- */

static void an_image_is_asked_of_the_disk(void **state)
{
    version("2.45");
    json_t *a = answer(202, "{\"createImage\":{\"name\":\"snap\","
                            "\"metadata\":{\"mine\":\"yes\"}}}");
    char *id = text("%s", api_text(a, "image_id"));
    json_decref(a);
    version(NULL);
    _autorecord_ struct image *im = edit(&kind_image, id);
    assert_int_equal(im->status, IMAGE_SAVING);
    assert_string_equal(im->name, "snap");
    assert_string_equal(im->owner, c->demo_project);
    assert_int_equal(im->min_disk_gb, 2);
    assert_string_equal(map_get(&im->properties, "image_type"), "snapshot");
    assert_string_equal(map_get(&im->properties, "base_image_ref"), IMAGE);
    assert_string_equal(map_get(&im->properties, "instance_uuid"), SID);
    assert_string_equal(map_get(&im->properties, "mine"), "yes");
    _autorecord_ struct disk *d = edit(&kind_disk, SID);
    assert_string_equal(d->upload_image_id, id);
    _autorecord_ struct server *s = edit(&kind_server, SID);
    assert_int_equal(s->task_state, TASK_IMAGE_SNAPSHOT);
    act(409, "{\"createImage\":{\"name\":\"two\"}}");
}

static void bad_images(void **state)
{
    act(400, "{\"createImage\":{}}");
    act(400, "{\"createImage\":null}");
    act(400, "{\"createImage\":{\"name\":\"\"}}");
    act(400, "{\"createImage\":{\"name\":\"a\",\"colour\":1}}");
    set_state(VM_ERROR, TASK_NONE);
    act(409, "{\"createImage\":{\"name\":\"a\"}}");
    struct api_reply r =
        api_call(c, "POST", C "/servers/" OTHER "/action", c->demo,
                 "{\"createImage\":{\"name\":\"a\"}}");
    assert_int_equal(r.status, 404);
    api_reply_free(&r);
}

/* Its volumes' snapshots, and a server made of them. */
static void an_image_of_volumes(void **state)
{
    boot_from_volume();
    struct api_reply r =
        api_call(c, "POST", C "/servers/" SID "/action", c->demo,
                 "{\"createImage\":{\"name\":\"snap\"}}");
    assert_int_equal(r.status, 202);
    char *id = text("%s", strrchr(r.location, '/') + 1);
    api_reply_free(&r);
    _autorecord_ struct image *im = edit(&kind_image, id);
    assert_int_equal(im->status, IMAGE_ACTIVE);
    assert_int_equal(im->size, 0);
    _autosnap_ struct snapshot *snap = api_snapshot(c);
    const struct volume_snapshot *sn =
        snap_find(snap, &kind_snapshot, "volume_id", VOL);
    assert_non_null(sn);
    assert_string_equal(sn->name, "snapshot for snap");
    assert_non_null(
        strstr(map_get(&im->properties, "block_device_mapping"), sn->rec.id));
    _autorecord_ struct volume_snapshot *done = record_copy(sn);
    done->status = SNAPSHOT_AVAILABLE;
    commit(done);
    version("2.37");
    json_t *a = api_expect(c, 202, "POST", C "/servers", c->demo,
                           text("{\"server\":{\"name\":\"two\",\"flavorRef\":"
                                "\"t1\",\"imageRef\":\"%s\",\"networks\":"
                                "\"none\"}}",
                                id));
    version(NULL);
    _autorecord_ struct server *two =
        edit(&kind_server, api_text(a, "server.id"));
    assert_null(two->image_id);
    assert_int_equal(two->volumes.n, 1);
    const struct server_volume *sv =
        LIST_AT(two->volumes, struct server_volume, 0);
    assert_true(sv->boot);
    _autorecord_ struct volume *v = edit(&kind_volume, sv->volume_id);
    assert_string_equal(v->snapshot_id, sn->rec.id);
    assert_int_equal(v->size_gb, 3);
    json_decref(a);
}

/* ---- shelve -------------------------------------------------------------- */

/* As the node's compute and storage do it. */
static char *shelve_all_the_way(void)
{
    act(202, "{\"shelve\":null}");
    act(409, "{\"shelve\":null}");
    _autorecord_ struct server *s = edit(&kind_server, SID);
    assert_int_equal(s->task_state, TASK_SHELVING);
    char *image_id = text("%s", s->shelved_image_id);
    _autorecord_ struct image *im = edit(&kind_image, image_id);
    assert_int_equal(im->status, IMAGE_QUEUED);
    assert_string_equal(im->name, "vm-shelved");
    im->status = IMAGE_ACTIVE;
    commit(im);
    shelve_keep(s, c->time);
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    _autosnap_ struct snapshot *snap = api_snapshot(c);
    shelve_offload(&t, snap, s, c->time);
    txn_change_record(&t, s);
    assert_true(store_commit(c->store, &t, &result));
    return image_id;
}

static void shelved_and_back(void **state)
{
    char *image_id = shelve_all_the_way();
    json_t *a = api_expect(c, 200, "GET", C "/servers/" SID, c->demo, NULL);
    assert_string_equal(api_text(a, "server.status"), "SHELVED_OFFLOADED");
    assert_string_equal(api_text(a, "server.hostId"), "");
    json_decref(a);
    _autorecord_ struct disk *old = edit(&kind_disk, SID);
    assert_int_equal(old->state, DISK_LEAVING);
    act(409, "{\"os-start\":null}");
    act(409, "{\"shelveOffload\":null}");
    act(400, "{\"unshelve\":{\"availability_zone\":\"nova\"}}");
    version("2.77");
    act(400, "{\"unshelve\":{\"availability_zone\":\"none\"}}");
    act(202, "{\"unshelve\":{\"availability_zone\":\"nova\"}}");
    version(NULL);
    _autorecord_ struct server *s = edit(&kind_server, SID);
    assert_true(server_awaits_node(s));
    assert_string_equal(s->requested_zone, "nova");
    assert_string_equal(s->image_id, IMAGE);
    _autorecord_ struct disk *d = edit(&kind_disk, SID ".1");
    assert_string_equal(d->image_id, image_id);
    assert_null(d->node);
    act(409, "{\"unshelve\":null}");
}

/* No node had room for it. */
static void an_unshelve_that_fails(void **state)
{
    shelve_all_the_way();
    act(202, "{\"unshelve\":null}");
    _autorecord_ struct server *s = edit(&kind_server, SID);
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    _autosnap_ struct snapshot *snap = api_snapshot(c);
    unshelve_failed(&t, snap, s, c->time);
    txn_change_record(&t, s);
    assert_true(store_commit(c->store, &t, &result));
    assert_false(is_there(&kind_disk, SID ".1"));
    assert_false(server_awaits_node(s));
    act(202, "{\"unshelve\":null}");
}

static void a_shelved_one_goes_with_its_image(void **state)
{
    char *image_id = shelve_all_the_way();
    api_status(c, 204, "DELETE", C "/servers/" SID, c->demo, NULL);
    assert_false(is_there(&kind_server, SID));
    _autorecord_ struct image *im = edit(&kind_image, image_id);
    assert_int_equal(im->status, IMAGE_DELETED);
}

/* ---- resize -------------------------------------------------------------- */

static int64_t used(const char *what)
{
    _autosnap_ struct snapshot *s = api_snapshot(c);
    return quota_used(s, "compute", c->demo_project, what);
}

static void in_a_txn(void (*fn)(struct txn *t, const struct snapshot *s,
                                struct migration *m, struct server *server))
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    _autosnap_ struct snapshot *snap = api_snapshot(c);
    _autorecord_ struct server *s = edit(&kind_server, SID);
    _autorecord_ struct migration *m = edit(&kind_migration, s->migration_id);
    fn(&t, snap, m, s);
    txn_change_record(&t, m);
    txn_change_record(&t, s);
    assert_true(store_commit(c->store, &t, &result));
}

static void begin_move(struct txn *t, const struct snapshot *snap,
                       struct migration *m, struct server *s)
{
    m->dest = "one";
    migration_place(t, snap, m, s, c->time);
    resize_begin(t, snap, m, s, c->time);
}

static void end_move(struct txn *t, const struct snapshot *snap,
                     struct migration *m, struct server *s)
{
    resize_arrive(t, snap, m, s, "nova", c->time);
    s->goal = GOAL_RUNNING;
    resize_finish(m, s, c->time);
}

static void go_back(struct txn *t, const struct snapshot *snap,
                    struct migration *m, struct server *s)
{
    struct error err;
    assert_true(resize_revert(t, snap, m, s, "nova", c->time, &err));
}

/* As the scheduler and the node's compute and storage do it. */
static void resize_all_the_way(void)
{
    act(202, "{\"resize\":{\"flavorRef\":\"big\"}}");
    act(409, "{\"resize\":{\"flavorRef\":\"big\"}}");
    act(409, "{\"confirmResize\":null}");
    assert_int_equal(used("cores"), 2);
    in_a_txn(begin_move);
    _autorecord_ struct disk *d = edit(&kind_disk, SID ".1");
    assert_string_equal(d->source_id, SID);
    assert_int_equal(d->size_gb, 4);
    in_a_txn(end_move);
    json_t *a = api_expect(c, 200, "GET", C "/servers/" SID, c->demo, NULL);
    assert_string_equal(api_text(a, "server.status"), "VERIFY_RESIZE");
    json_decref(a);
}

static void resized_and_confirmed(void **state)
{
    resize_all_the_way();
    act(204, "{\"confirmResize\":null}");
    _autorecord_ struct server *s = edit(&kind_server, SID);
    assert_int_equal(s->vm_state, VM_ACTIVE);
    assert_null(s->migration_id);
    assert_int_equal(s->vcpus, 2);
    assert_string_equal(s->flavor_id, "big");
    _autorecord_ struct disk *old = edit(&kind_disk, SID);
    assert_int_equal(old->state, DISK_LEAVING);
    assert_int_equal(used("cores"), 2);
    act(409, "{\"revertResize\":null}");
}

static void resized_and_back(void **state)
{
    resize_all_the_way();
    act(202, "{\"revertResize\":null}");
    act(409, "{\"confirmResize\":null}");
    in_a_txn(go_back);
    _autorecord_ struct server *s = edit(&kind_server, SID);
    assert_int_equal(s->disks, 0);
    assert_int_equal(s->vcpus, 1);
    assert_null(s->migration_id);
    _autorecord_ struct disk *new = edit(&kind_disk, SID ".1");
    assert_int_equal(new->state, DISK_LEAVING);
    assert_int_equal(used("cores"), 1);
    assert_int_equal(used("ram"), 64);
}

/* What was charged for the larger goes with it too. */
static void deleted_while_resized(void **state)
{
    struct error err;
    resize_all_the_way();
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    _autosnap_ struct snapshot *snap = api_snapshot(c);
    assert_true(server_release(&t, snap, snap_get(snap, &kind_server, SID),
                               c->time, &err));
    assert_true(store_commit(c->store, &t, &result));
    assert_int_equal(used("cores"), 0);
    assert_int_equal(used("ram"), 0);
    assert_int_equal(used("instances"), 0);
}

static void bad_resizes(void **state)
{
    act(400, "{\"resize\":{}}");
    act(400, "{\"resize\":{\"flavorRef\":\"none\"}}");
    act(400, "{\"resize\":{\"flavorRef\":\"t1\"}}");
    act(400, "{\"resize\":{\"flavorRef\":\"small\"}}"); /* less disk */
    act(403, "{\"migrate\":null}");
    api_status(c, 400, "POST", C "/servers/" SID "/action", c->admin,
               "{\"migrate\":null}"); /* there is one node */
    api_status(c, 200, "PUT", text(C "/os-quota-sets/%s", c->demo_project),
               c->admin, "{\"quota_set\":{\"cores\":1}}");
    act(403, "{\"resize\":{\"flavorRef\":\"big\"}}");
    assert_int_equal(used("cores"), 1);
    set_state(VM_PAUSED, TASK_NONE);
    act(409, "{\"resize\":{\"flavorRef\":\"big\"}}");
}

/* ---- evacuate ------------------------------------------------------------ */

static void set_health(enum node_health health)
{
    _autorecord_ struct node *n = edit(&kind_node, "one");
    n->health = (int)health;
    commit(n);
}

static void evacuate(int status)
{
    api_status(c, status, "POST", C "/servers/" SID "/action", c->admin,
               "{\"evacuate\":{}}");
}

static void evacuated_when_its_node_has_failed(void **state)
{
    act(403, "{\"evacuate\":{}}");
    evacuate(400); /* it is still in use */
    set_health(HEALTH_FENCING);
    evacuate(409);
    set_health(HEALTH_FENCED);
    evacuate(409); /* its disk is there */
    _autorecord_ struct disk *d = edit(&kind_disk, SID);
    d->path = rec_str(d, "rbd:cairn/x");
    d->state = DISK_READY;
    commit(d);
    api_status(c, 404, "POST", C "/servers/" SID "/action", c->admin,
               "{\"evacuate\":{\"host\":\"none\"}}");
    evacuate(200);
    evacuate(409); /* it is under way */
    _autorecord_ struct server *s = edit(&kind_server, SID);
    _autorecord_ struct migration *m = edit(&kind_migration, s->migration_id);
    assert_int_equal(m->type, MIGRATION_EVACUATION);
    assert_int_equal(m->status, MIGRATION_QUEUED);
}

static void no_way_back_to_a_node_that_has_failed(void **state)
{
    resize_all_the_way();
    set_health(HEALTH_FENCED);
    act(409, "{\"revertResize\":null}");
    act(204, "{\"confirmResize\":null}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_rebuild_gives_other_disks_and_a_reboot),
        TEST(one_at_rest_stays_at_rest),
        TEST(bad_rebuilds),
        TEST(later_options),
        TEST(a_root_volume_keeps_its_image),
        TEST(an_image_is_asked_of_the_disk),
        TEST(bad_images),
        TEST(an_image_of_volumes),
        TEST(shelved_and_back),
        TEST(resized_and_confirmed),
        TEST(resized_and_back),
        TEST(deleted_while_resized),
        TEST(bad_resizes),
        TEST(evacuated_when_its_node_has_failed),
        TEST(no_way_back_to_a_node_that_has_failed),
        TEST(an_unshelve_that_fails),
        TEST(a_shelved_one_goes_with_its_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
