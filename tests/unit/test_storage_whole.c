/* The reconcilers with their threads, the real driver, a real store: what a
 * node does from an upload to the last delete. */
#include "shell.h"
#include "tempdir.h"
#include "test.h"

#include "common/cleanup.h"
#include "model/compute.h"
#include "model/image.h"
#include "model/pool.h"
#include "model/volume.h"
#include "storage/local_driver.h"
#include "storage/storage_reconcile.h"

#include <stdlib.h>
#include <string.h>

static char dir[TEMPDIR_MAX];
static struct volumes *volumes;
static struct store *store;
static struct cache *cache;
static struct storage *storage;

static void start(void)
{
    struct error err = { 0 };
    char path[TEMPDIR_MAX + 32], db[TEMPDIR_MAX + 32];
    snprintf(path, sizeof(path), "%s/files", dir);
    snprintf(db, sizeof(db), "%s/db", dir);
    struct local_config local = { .dir = path };
    volumes = local_driver_open(&local, &env_system, &err);
    store = store_sqlite_open(db, &env_system, &err);
    if (!volumes || !store)
        fail_msg("%s", err.text);
    cache = cache_new(model_kinds, N_KINDS);
    struct storage_config config = { .node = "n1",
                                     .volumes = volumes,
                                     .store = store,
                                     .cache = cache,
                                     .env = &env_system,
                                     .workers = 3 };
    storage = storage_new(&config);
    assert_true(cache_follow(cache, store, &err));
    storage_interrupted(storage);
    storage_start(storage);
}

static void stop(void)
{
    cache_unfollow(cache);
    storage_free(storage);
    cache_free(cache);
    store_close(store);
    volumes->ops->close(volumes);
}

static int setup(void **state)
{
    if (geteuid() != 0)
        skip();
    tempdir_make(dir);
    start();
    return 0;
}

static int teardown(void **state)
{
    stop();
    shell_in(dir, "rm -rf %s", dir);
    return 0;
}

static void put(const void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    txn_put_record(&t, record);
    assert_true(store_commit(store, &t, &result));
    record_unref(record);
}

/* Waits until the int field has the value (or, with -1, the record is gone);
 * a reference, or NULL. */
static const void *wait_for(const struct kind *kind, const char *id,
                            const char *field, int value)
{
    for (int i = 0; i < 1000; i++) {
        _autosnap_ struct snapshot *s = cache_snapshot(cache);
        const void *rec = snap_get(s, kind, id);
        const struct field *f = schema_field(&kind->schema, field);
        if (!rec && value < 0)
            return NULL;
        if (rec && value >= 0 && *(const int *)field_ptr(rec, f) == value)
            return record_ref(rec);
        usleep(20000);
    }
    fail_msg("%s %s: %s is not %d", kind->name, id, field, value);
    return NULL;
}

static void upload(const char *id, const char *file, const char *disk_format)
{
    struct error err;
    struct image *im = record_new(&kind_image, id);
    im->disk_format = disk_format;
    im->upload_id = id;
    close(volumes->ops->image_open_write(volumes, id, &err));
    assert_int_equal(shell_in(dir, "cat %s > files/uploads/%s", file, id), 0);
    im->status = IMAGE_CHECKING;
    put(im);
}

static struct volume *volume(const char *id)
{
    struct volume *v = record_new(&kind_volume, id);
    v->project_id = "p";
    v->size_gb = 1;
    v->status = VOLUME_CREATING;
    return v;
}

static void set_status(const struct kind *kind, const char *id,
                       const char *field, int value)
{
    _autosnap_ struct snapshot *s = cache_snapshot(cache);
    void *rec = record_copy(snap_get(s, kind, id));
    *(int *)field_ptr(rec, schema_field(&kind->schema, field)) = value;
    put(rec);
}

#define WAIT(kind_, id_, field_, value_)                                       \
    record_unref(wait_for(&kind_, id_, field_, value_))

static void from_upload_to_the_last_delete(void **state)
{
    char id[16];
    assert_int_equal(shell_in(dir, "qemu-img create -q -f qcow2 src 64M && "
                                   "qemu-io -c 'write -q -P 65 0 1M' src"),
                     0);
    upload("img", "src", "qcow2");
    _autorecord_ const struct image *im =
        wait_for(&kind_image, "img", "status", IMAGE_ACTIVE);
    assert_int_equal(im->virtual_size, 64 << 20);
    for (int i = 0; i < 8; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        struct disk *d = record_new(&kind_disk, id);
        d->image_id = "img";
        d->node = "n1";
        put(d);
        struct volume *v = volume(id);
        v->image_id = "img";
        put(v);
    }
    for (int i = 0; i < 8; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        WAIT(kind_disk, id, "state", DISK_READY);
        WAIT(kind_volume, id, "status", VOLUME_AVAILABLE);
    }
    stop(); /* in the midst of life */
    start();
    set_status(&kind_image, "img", "status", IMAGE_DELETED);
    WAIT(kind_image, "img", "status", -1);
    assert_int_equal(shell_in(dir,
                              "qemu-io -r -f qcow2 -c 'read -q -P 65 0 1M' "
                              "files/disks/s7.qcow2 > out && "
                              "! grep -q failed out"),
                     0);
    for (int i = 0; i < 8; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        set_status(&kind_disk, id, "state", DISK_LEAVING);
        set_status(&kind_volume, id, "status", VOLUME_DELETING);
    }
    for (int i = 0; i < 8; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        WAIT(kind_disk, id, "state", -1);
        WAIT(kind_volume, id, "status", -1);
    }
    assert_int_equal(shell_in(dir, "test -z \"$(find files -type f)\""), 0);
    _autosnap_ struct snapshot *s = cache_snapshot(cache);
    assert_int_equal(quota_used(s, "volume", "p", "volumes"), -8);
}

static void hostile_upload(void **state)
{
    assert_int_equal(shell_in(dir,
                              "qemu-img create -q -f qcow2 -u -b /etc/passwd "
                              "-F raw bad 8M"),
                     0);
    upload("bad", "bad", "qcow2");
    _autorecord_ const struct image *im =
        wait_for(&kind_image, "bad", "status", IMAGE_QUEUED);
    assert_non_null(strstr(im->fault, "backing file"));
    upload("worse", "bad", "raw");
    _autorecord_ const struct image *lie =
        wait_for(&kind_image, "worse", "status", IMAGE_QUEUED);
    assert_non_null(strstr(lie->fault, "content is qcow2"));
    assert_int_equal(shell_in(dir, "test -z \"$(find files -type f)\""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(from_upload_to_the_last_delete, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(hostile_upload, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
