#include "storage_world.h"

/* ---- volumes ------------------------------------------------------------ */

static void volume_is_made(void **state)
{
    put(new_volume("v", VOLUME_CREATING));
    run();
    const struct volume *v = look(&kind_volume, "v");
    assert_int_equal(v->status, VOLUME_AVAILABLE);
    assert_int_equal(v->real_size_gb, 3);
    assert_string_equal(v->node, "n1");
    assert_string_equal(v->path, "/v/v");
    assert_false(v->bootable);
    assert_string_equal(asked(), "volume v 3 0 -;");
}

static struct storage *other; /* of a second node */

static void other_looks(void)
{
    for (int i = 0; i < STORAGE_QUEUES; i++)
        while (reconciler_step(storage_queue(other, i), 0))
            ;
}

static void one_of_two_nodes_makes_a_volume(void **state)
{
    struct error err;
    struct storage_config config = { .node = "n2",
                                     .volumes = &fake.base,
                                     .store = store,
                                     .cache = cache,
                                     .env = &env };
    cache_unfollow(cache);
    other = storage_new(&config);
    assert_true(cache_follow(cache, store, &err));
    storage_start(other);
    fake.meanwhile = other_looks;
    put(new_volume("v", VOLUME_CREATING));
    run();
    other_looks();
    assert_string_equal(asked(), "volume v 3 0 -;");
    assert_string_equal(((const struct volume *)look(&kind_volume, "v"))->node,
                        "n1");
    cache_unfollow(cache);
    storage_free(other);
    assert_true(cache_follow(cache, store, &err));
}

static void volume_sources(void **state)
{
    put(new_image("i", IMAGE_ACTIVE));
    struct volume *v = new_volume("a", VOLUME_CREATING);
    v->image_id = "i";
    put(v);
    struct volume_snapshot *sn = record_new(&kind_snapshot, "s");
    sn->status = SNAPSHOT_AVAILABLE;
    put(sn);
    v = new_volume("b", VOLUME_CREATING);
    v->snapshot_id = "s";
    v->image_id = "i";
    put(v);
    v = new_volume("c", VOLUME_CREATING);
    v->source_id = "a";
    put(v);
    v = new_volume("d", VOLUME_CREATING);
    v->snapshot_id = "none";
    put(v);
    run();
    assert_non_null(strstr(asked(), "volume a 3 1 b1.qcow2;"));
    assert_non_null(strstr(asked(), "volume b 3 2 s;"));
    assert_non_null(strstr(asked(), "volume c 3 3 a;"));
    assert_true(((const struct volume *)look(&kind_volume, "a"))->bootable);
    v = (struct volume *)look(&kind_volume, "d");
    assert_int_equal(v->status, VOLUME_ERROR);
    assert_string_equal(v->fault, "snapshot none is not available");
}

static void deleted_volume_gives_quota_back(void **state)
{
    use_quota(2, 0, 10);
    put(new_volume("v", VOLUME_DELETING));
    run();
    assert_null(look(&kind_volume, "v"));
    assert_int_equal(used("volumes"), 1);
    assert_int_equal(used("gigabytes"), 7);
    assert_string_equal(asked(), "unvolume v;");
}

static void charge_meanwhile(void)
{
    use_quota(3, 0, 20);
}

/* Somebody else's quota commit between our read and ours is not lost. */
static void quota_is_exact_under_races(void **state)
{
    use_quota(2, 0, 10);
    put(new_volume("v", VOLUME_DELETING));
    fake.meanwhile = charge_meanwhile;
    run();
    assert_null(look(&kind_volume, "v"));
    assert_int_equal(used("volumes"), 2);
    assert_int_equal(used("gigabytes"), 17);
}

static void attached_volume_is_not_deleted(void **state)
{
    struct volume *v = new_volume("v", VOLUME_DELETING);
    struct volume_attachment *a =
        list_add(v, &v->attachments, sizeof(struct volume_attachment));
    a->server_id = "s";
    put(v);
    run();
    const struct volume *now = look(&kind_volume, "v");
    assert_int_equal(now->status, VOLUME_ERROR_DELETING);
    assert_string_equal(asked(), "");
}

/* Its image is still open in a process that has died elsewhere. */
static void volume_in_use_is_deleted_when_it_is_free(void **state)
{
    put(new_volume("v", VOLUME_DELETING));
    make_fail(20, ERR_CONFLICT);
    run();
    assert_null(look(&kind_volume, "v"));
    put(new_volume("w", VOLUME_DELETING));
    make_fail(1000, ERR_CONFLICT);
    for (int i = 0; i < 4; i++)
        run();
    assert_int_equal(((const struct volume *)look(&kind_volume, "w"))->status,
                     VOLUME_ERROR_DELETING);
}

static void volume_grows(void **state)
{
    struct volume *v = new_volume("v", VOLUME_EXTENDING);
    v->real_size_gb = 1;
    put(v);
    run();
    const struct volume *now = look(&kind_volume, "v");
    assert_int_equal(now->status, VOLUME_AVAILABLE);
    assert_int_equal(now->real_size_gb, 3);
    assert_string_equal(asked(), "extend v 3;");
}

static void volume_that_cannot_grow(void **state)
{
    use_quota(1, 0, 3);
    make_fail(1, ERR_NO_SPACE);
    struct volume *v = new_volume("v", VOLUME_EXTENDING);
    v->real_size_gb = 1;
    put(v);
    run();
    const struct volume *now = look(&kind_volume, "v");
    assert_int_equal(now->status, VOLUME_ERROR_EXTENDING);
    assert_int_equal(now->size_gb, 1);
    assert_int_equal(used("gigabytes"), 1);
    assert_int_equal(used("volumes"), 1);
}

/* A running guest's volume is compute's, as long as it runs. */
static void volume_of_a_guest_grows_when_it_can(void **state)
{
    make_fail(3, ERR_CONFLICT);
    struct volume *v = new_volume("v", VOLUME_EXTENDING);
    struct volume_attachment *has =
        list_add(v, &v->attachments, sizeof(struct volume_attachment));
    has->attached = 1;
    put(v);
    run();
    const struct volume *now = look(&kind_volume, "v");
    assert_int_equal(now->status, VOLUME_IN_USE);
    assert_int_equal(now->real_size_gb, 3);
}

static struct volume *uploading(void)
{
    struct volume *v = new_volume("v", VOLUME_UPLOADING);
    v->upload_image_id = "i";
    return v;
}

static void volume_becomes_image(void **state)
{
    strcpy(fake.info.md5, "m");
    put(new_image("i", IMAGE_SAVING));
    put(uploading());
    run();
    const struct volume *v = look(&kind_volume, "v");
    const struct image *im = look(&kind_image, "i");
    assert_int_equal(v->status, VOLUME_AVAILABLE);
    assert_null(v->upload_image_id);
    assert_int_equal(im->status, IMAGE_ACTIVE);
    assert_string_equal(im->blob, "u1.qcow2");
    assert_string_equal(im->checksum, "m");
    assert_string_equal(asked(), "toimage v i qcow2;unsnapshot i;");
}

static void failed_upload_frees_the_volume(void **state)
{
    make_fail(1, ERR_NO_SPACE);
    put(new_image("i", IMAGE_SAVING));
    put(uploading());
    run();
    const struct volume *v = look(&kind_volume, "v");
    const struct image *im = look(&kind_image, "i");
    assert_int_equal(v->status, VOLUME_AVAILABLE);
    assert_int_equal(im->status, IMAGE_QUEUED);
    assert_non_null(im->fault);
}

static void upload_to_a_deleted_image(void **state)
{
    put(uploading());
    run();
    const struct volume *v = look(&kind_volume, "v");
    assert_int_equal(v->status, VOLUME_AVAILABLE);
    assert_string_equal(asked(), "unsnapshot i;");
}

/* ---- snapshots ---------------------------------------------------------- */

static void snapshot_comes_and_goes(void **state)
{
    use_quota(1, 1, 6);
    put(made_volume());
    put(new_snapshot(SNAPSHOT_CREATING));
    run();
    const struct volume_snapshot *sn = look(&kind_snapshot, "s");
    assert_int_equal(sn->status, SNAPSHOT_AVAILABLE);
    assert_string_equal(sn->path, "/s/s");
    put(new_snapshot(SNAPSHOT_DELETING));
    run();
    assert_null(look(&kind_snapshot, "s"));
    assert_string_equal(asked(), "snapshot s v;unsnapshot s;");
    assert_int_equal(used("volumes"), 1);
    assert_int_equal(used("snapshots"), 0);
    assert_int_equal(used("gigabytes"), 3);
}

/* One that a guest has: the record's path follows the head before the
 * snapshot is made, and it is made when the guest has let go. */
static void snapshot_of_a_running_volume(void **state)
{
    put(held_volume(VOLUME_IN_USE));
    fake.head = "/n/";
    fake.fail = 3;
    fake.code = ERR_CONFLICT;
    fake.only = "snapshot";
    put(new_snapshot(SNAPSHOT_CREATING));
    run();
    const struct volume *v = look(&kind_volume, "v");
    assert_string_equal(v->path, "/n/v");
    assert_int_equal(v->status, VOLUME_IN_USE);
    const struct volume_snapshot *sn = look(&kind_snapshot, "s");
    assert_int_equal(sn->status, SNAPSHOT_AVAILABLE);
    assert_string_equal(asked(), "begin s v;" /* wrote the path */
                                 "begin s v;snapshot s v;"
                                 "begin s v;snapshot s v;"
                                 "begin s v;snapshot s v;"
                                 "begin s v;snapshot s v;");
}

static void snapshot_that_a_guest_keeps_back(void **state)
{
    put(held_volume(VOLUME_IN_USE));
    fake.head = "/n/";
    fake.fail = 100000;
    fake.code = ERR_CONFLICT;
    fake.only = "snapshot";
    put(new_snapshot(SNAPSHOT_CREATING));
    run();
    run();
    const struct volume_snapshot *sn = look(&kind_snapshot, "s");
    assert_int_equal(sn->status, SNAPSHOT_ERROR);
    assert_string_equal(sn->fault, "the volume is in use by a running server");
}

/* A guest whose memory is in a file needs the old file when it wakes up. */
static void snapshot_waits_for_a_sleeping_guest(void **state)
{
    struct server *sleeper = record_new(&kind_server, "sv");
    sleeper->goal = GOAL_SUSPENDED;
    sleeper->vm_state = VM_SUSPENDED;
    put(sleeper);
    put(held_volume(VOLUME_IN_USE));
    fake.head = "/n/";
    put(new_snapshot(SNAPSHOT_CREATING));
    run();
    run();
    const struct volume_snapshot *sn = look(&kind_snapshot, "s");
    assert_int_equal(sn->status, SNAPSHOT_ERROR);
    assert_null(strstr(asked(), "snapshot s v"));
}

static void clone_of_a_running_volume(void **state)
{
    struct volume *v = new_volume("w", VOLUME_CREATING);
    v->source_id = "v";
    put(held_volume(VOLUME_IN_USE));
    put(v);
    run();
    assert_int_equal(((const struct volume *)look(&kind_volume, "w"))->status,
                     VOLUME_AVAILABLE);
    assert_string_equal(asked(), "begin w v;snapshot w v;volume w 3 2 w;"
                                 "unsnapshot w;");
}

static void image_of_a_running_volume(void **state)
{
    struct volume *v = held_volume(VOLUME_UPLOADING);
    v->upload_image_id = "i";
    put(new_image("i", IMAGE_SAVING));
    put(v);
    run();
    assert_int_equal(((const struct volume *)look(&kind_volume, "v"))->status,
                     VOLUME_IN_USE);
    assert_string_equal(asked(), "begin i v;snapshot i v;toimage i i qcow2;"
                                 "unsnapshot i;");
}

int main(void)
{
#define T(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(volume_is_made),
        T(one_of_two_nodes_makes_a_volume),
        T(volume_sources),
        T(deleted_volume_gives_quota_back),
        T(quota_is_exact_under_races),
        T(attached_volume_is_not_deleted),
        T(volume_in_use_is_deleted_when_it_is_free),
        T(volume_grows),
        T(volume_that_cannot_grow),
        T(volume_of_a_guest_grows_when_it_can),
        T(volume_becomes_image),
        T(failed_upload_frees_the_volume),
        T(upload_to_a_deleted_image),
        T(snapshot_comes_and_goes),
        T(snapshot_of_a_running_volume),
        T(snapshot_that_a_guest_keeps_back),
        T(snapshot_waits_for_a_sleeping_guest),
        T(clone_of_a_running_volume),
        T(image_of_a_running_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
