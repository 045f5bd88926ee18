#include "storage_world.h"

/* ---- images ------------------------------------------------------------- */

static void image_is_inspected(void **state)
{
    struct image *im = checking();
    im->size = 100;
    im->checksum = "abc";
    put(im);
    run();
    const struct image *now = look(&kind_image, "i");
    assert_string_equal(asked(), "commit u1 qcow2;");
    assert_int_equal(now->status, IMAGE_ACTIVE);
    assert_string_equal(now->blob, "u1.qcow2");
    assert_int_equal(now->virtual_size, GIB);
    assert_string_equal(now->checksum, "abc");
    assert_null(now->upload_id);
}

static void converted_image_has_new_sums(void **state)
{
    strcpy(fake.info.md5, "m");
    strcpy(fake.info.sha512, "s");
    struct image *im = checking();
    im->disk_format = "vmdk";
    im->size = 5;
    put(im);
    run();
    const struct image *now = look(&kind_image, "i");
    assert_int_equal(now->status, IMAGE_ACTIVE);
    assert_string_equal(now->disk_format, "qcow2");
    assert_string_equal(now->checksum, "m");
    assert_string_equal(now->hash_value, "s");
    assert_int_equal(now->size, 100);
}

static void bad_image_is_refused(void **state)
{
    make_fail(1, ERR_INVALID);
    struct image *im = checking();
    im->checksum = "abc";
    put(im);
    run();
    const struct image *now = look(&kind_image, "i");
    assert_string_equal(asked(), "commit u1 qcow2;discard u1;");
    assert_int_equal(now->status, IMAGE_QUEUED);
    assert_non_null(strstr(now->fault, "made to fail"));
    assert_null(now->upload_id);
    assert_null(now->checksum);
}

static void truncated_upload_is_refused(void **state)
{
    struct image *im = checking();
    im->size = 101;
    put(im);
    run();
    const struct image *now = look(&kind_image, "i");
    assert_int_equal(now->status, IMAGE_QUEUED);
    assert_string_equal(now->fault,
                        "the upload is truncated: 100 of 101 bytes");
    assert_string_equal(asked(), "commit u1 qcow2;discard u1;");
}

static void passing_failure_is_tried_again(void **state)
{
    make_fail(3, ERR_BUSY);
    put(checking());
    run();
    const struct image *now = look(&kind_image, "i");
    assert_int_equal(now->status, IMAGE_ACTIVE);
    assert_string_equal(asked(), "commit u1 qcow2;commit u1 qcow2;"
                                 "commit u1 qcow2;commit u1 qcow2;");
}

static void lasting_failure_ends_without_paths(void **state)
{
    make_fail(8, ERR_INTERNAL);
    put(checking());
    run();
    run();
    const struct image *now = look(&kind_image, "i");
    assert_int_equal(now->status, IMAGE_QUEUED);
    assert_string_equal(now->fault, "internal error");
}

static void delete_during_check(void)
{
    struct image *im = record_copy(look(&kind_image, "i"));
    im->status = IMAGE_DELETED;
    put(im);
}

static void image_deleted_while_checked(void **state)
{
    put(checking());
    fake.meanwhile = delete_during_check;
    run();
    assert_null(look(&kind_image, "i"));
    assert_string_equal(asked(), "commit u1 qcow2;discard u1;");
}

static void tombstone_goes_with_its_blob(void **state)
{
    struct image *im = new_image("i", IMAGE_DELETED);
    im->blob = "b1.qcow2";
    put(im);
    make_fail(1, ERR_INTERNAL);
    run();
    assert_null(look(&kind_image, "i"));
    assert_string_equal(asked(), "discard i;discard i;unimage b1.qcow2;");
}

static void interrupted_uploads_are_dropped(void **state)
{
    struct image *im = new_image("i", IMAGE_SAVING);
    im->upload_id = "u1";
    put(im);
    put(new_image("j", IMAGE_SAVING));
    struct volume *v = new_volume("v", VOLUME_AVAILABLE);
    v->status = VOLUME_UPLOADING;
    v->upload_image_id = "j";
    v->node = "elsewhere";
    put(v);
    run();
    assert_string_equal(asked(), "");
    storage_interrupted(storage);
    run();
    const struct image *now = look(&kind_image, "i");
    assert_int_equal(now->status, IMAGE_QUEUED);
    assert_string_equal(now->fault, "the upload was interrupted");
    assert_null(now->upload_id);
    assert_string_equal(asked(), "discard u1;");
    now = look(&kind_image, "j");
    assert_int_equal(now->status, IMAGE_SAVING);
}

/* ---- disks -------------------------------------------------------------- */

static struct disk *new_disk(const char *node, int state)
{
    struct disk *d = record_new(&kind_disk, "s1");
    d->image_id = "i";
    d->node = node;
    d->size_gb = 2;
    d->state = state;
    return d;
}

static void disk_is_made_where_it_is_placed(void **state)
{
    put(new_image("i", IMAGE_ACTIVE));
    put(new_disk(NULL, DISK_WANTED));
    run();
    put(new_disk("n2", DISK_WANTED));
    run();
    assert_string_equal(asked(), "");
    put(new_disk("n1", DISK_WANTED));
    run();
    const struct disk *d = look(&kind_disk, "s1");
    assert_string_equal(asked(), "disk s1 b1.qcow2 2;");
    assert_int_equal(d->state, DISK_READY);
    assert_string_equal(d->path, "/d/s1");
}

static void disks_beside_the_root(void **state)
{
    struct disk *d = record_new(&kind_disk, "s1.swap");
    d->node = "n1";
    d->size_mb = 64;
    d->swap = true;
    put(d);
    d = record_new(&kind_disk, "s1.ephemeral0");
    d->node = "n1";
    d->size_mb = 2048;
    put(d);
    run();
    assert_string_equal(asked(), "swap s1.swap 64;blank s1.ephemeral0 2048;");
    const struct disk *made = look(&kind_disk, "s1.swap");
    assert_int_equal(made->state, DISK_READY);
    assert_string_equal(made->path, "/d/s1.swap");
}

static void disk_without_image_fails(void **state)
{
    put(new_image("i", IMAGE_DELETED));
    put(new_disk("n1", DISK_WANTED));
    run();
    const struct disk *d = look(&kind_disk, "s1");
    assert_int_equal(d->state, DISK_FAILED);
    assert_string_equal(d->fault, "image i is not there");
}

static void full_disk_is_said(void **state)
{
    make_fail(1, ERR_NO_SPACE);
    put(new_image("i", IMAGE_ACTIVE));
    put(new_disk("n1", DISK_WANTED));
    run();
    const struct disk *d = look(&kind_disk, "s1");
    assert_int_equal(d->state, DISK_FAILED);
    assert_string_equal(d->fault, "no space left in the node's storage");
}

static void leaving_disk_goes(void **state)
{
    put(new_disk("n1", DISK_LEAVING));
    make_fail(20, ERR_INTERNAL);
    run();
    assert_non_null(look(&kind_disk, "s1"));
    fake.fail = 0;
    run();
    assert_null(look(&kind_disk, "s1"));
}

/* A server's disk as an image: of a snapshot that has its id. */
static struct disk *uploading_disk(void)
{
    struct disk *d = new_disk("n1", DISK_READY);
    d->path = "/d/s1";
    d->upload_image_id = "i";
    return d;
}

static void disk_becomes_an_image(void **state)
{
    put(new_image("i", IMAGE_SAVING));
    put(uploading_disk());
    run();
    const struct disk *d = look(&kind_disk, "s1");
    assert_null(d->upload_image_id);
    const struct image *im = look(&kind_image, "i");
    assert_int_equal(im->status, IMAGE_ACTIVE);
    assert_string_equal(asked(), "begin i s1;begin i s1;snapshot i s1;"
                                 "toimage i i qcow2;unsnapshot i;");
}

static void disk_that_cannot_be_read_makes_no_image(void **state)
{
    put(new_image("i", IMAGE_SAVING));
    make_fail(20, ERR_INVALID);
    put(uploading_disk());
    run();
    fake.fail = 0;
    run();
    const struct disk *d = look(&kind_disk, "s1");
    assert_null(d->upload_image_id);
    assert_null(look(&kind_image, "i"));
}

static void image_goes_with_the_disk_it_was_made_of(void **state)
{
    struct disk *d = uploading_disk();
    d->state = DISK_LEAVING;
    put(new_image("i", IMAGE_SAVING));
    put(d);
    run();
    run();
    assert_null(look(&kind_disk, "s1"));
    assert_null(look(&kind_image, "i"));
}

/* ---- audit -------------------------------------------------------------- */

static void audit_removes_what_nobody_names(void **state)
{
    struct image *im = new_image("i", IMAGE_ACTIVE); /* b1.qcow2 */
    put(im);
    im = new_image("k", IMAGE_SAVING);
    im->upload_id = "uk";
    put(im);
    put(new_volume("v", VOLUME_AVAILABLE));
    int64_t old = clock_us - 7200 * SECOND_US;
    struct stored stored[] = {
        { STORED_IMAGE, "b1.qcow2", 1, old },
        { STORED_IMAGE, "uk.qcow2", 1, old }, /* committed, not yet written */
        { STORED_UPLOAD, "uk", 1, old },
        { STORED_UPLOAD, "b1", 1, old }, /* would take b1.qcow2 with it */
        { STORED_VOLUME, "v", 1, old },
        { STORED_VOLUME, "gone", 1, old },
        { STORED_DISK, "young", 1, clock_us - SECOND_US },
        { STORED_SNAPSHOT, "gone2", 1, old },
    };
    memcpy(fake.stored, stored, sizeof(stored));
    fake.n_stored = ARRAY_SIZE(stored);
    run();
    assert_non_null(strstr(asked(), "unvolume gone;"));
    assert_non_null(strstr(asked(), "unsnapshot gone2;"));
    assert_int_equal(fake.log.len,
                     strlen("unvolume gone;") + strlen("unsnapshot gone2;"));
}

int main(void)
{
#define T(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(image_is_inspected),
        T(converted_image_has_new_sums),
        T(bad_image_is_refused),
        T(truncated_upload_is_refused),
        T(passing_failure_is_tried_again),
        T(lasting_failure_ends_without_paths),
        T(image_deleted_while_checked),
        T(tombstone_goes_with_its_blob),
        T(interrupted_uploads_are_dropped),
        T(disk_is_made_where_it_is_placed),
        T(disk_without_image_fails),
        T(disks_beside_the_root),
        T(full_disk_is_said),
        T(leaving_disk_goes),
        T(disk_becomes_an_image),
        T(disk_that_cannot_be_read_makes_no_image),
        T(image_goes_with_the_disk_it_was_made_of),
        T(audit_removes_what_nobody_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
