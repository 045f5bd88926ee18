#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "model/compute.h"
#include "model/image.h"
#include "model/pool.h"
#include "model/volume.h"
#include "storage/luks.h"
#include "storage/storage_reconcile.h"

#include <stdlib.h>
#include <string.h>

/* ---- volumes that only write down what was asked ------------------------ */

struct fake {
    struct volumes base;
    struct buf log;          /* "commit u1;disk s1;..." */
    int fail;                /* the next calls that fail .. */
    enum error_code code;    /* .. with this */
    const char *only;        /* .. those that begin with this; or NULL */
    struct image_info info;  /* what a commit gives */
    struct stored stored[8]; /* what list gives */
    size_t n_stored;
    const char *head;        /* where a volume's head is; NULL: "/v/" */
    void (*meanwhile)(void); /* something happens during the next call */
};

static bool act(struct volumes *v, struct error *err, const char *fmt, ...)
{
    struct fake *f = container_of(v, struct fake, base);
    va_list ap;
    char line[256];
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    buf_addf(&f->log, "%s;", line);
    if (f->meanwhile) {
        void (*fn)(void) = f->meanwhile;
        f->meanwhile = NULL;
        fn();
    }
    if (f->fail <= 0 || (f->only && strncmp(line, f->only, strlen(f->only))))
        return true;
    f->fail--;
    return error_set(err, f->code, "made to fail in /secret/path");
}

static bool fake_discard(struct volumes *v, const char *id, struct error *e)
{
    return act(v, e, "discard %s", id);
}

static bool fake_commit(struct volumes *v, const char *id, const char *format,
                        struct image_info *info, struct error *e)
{
    *info = container_of(v, struct fake, base)->info;
    return act(v, e, "commit %s %s", id, format);
}

static bool fake_image_delete(struct volumes *v, const char *b, struct error *e)
{
    return act(v, e, "unimage %s", b);
}

static bool fake_disk(struct volumes *v, const char *id, const char *blob,
                      int64_t size, char path[STORAGE_PATH_MAX],
                      struct error *e)
{
    snprintf(path, STORAGE_PATH_MAX, "/d/%s", id);
    return act(v, e, "disk %s %s %lld", id, blob, (long long)(size / GIB));
}

static bool fake_blank(struct volumes *v, const char *id, int64_t size,
                       bool swap, char path[STORAGE_PATH_MAX], struct error *e)
{
    snprintf(path, STORAGE_PATH_MAX, "/d/%s", id);
    return act(v, e, "%s %s %lld", swap ? "swap" : "blank", id,
               (long long)(size >> 20));
}

static bool fake_disk_delete(struct volumes *v, const char *id, struct error *e)
{
    return act(v, e, "undisk %s", id);
}

static bool fake_volume(struct volumes *v, const char *id,
                        const struct volume_spec *spec,
                        char path[STORAGE_PATH_MAX], struct error *e)
{
    snprintf(path, STORAGE_PATH_MAX, "/v/%s", id);
    return act(v, e, "volume %s %lld %d %s", id, (long long)(spec->size / GIB),
               spec->from, spec->source ? spec->source : "-") &&
           (!spec->luks ||
            act(v, e, "luks %lld %zu %lld", (long long)spec->luks->key_size,
                strlen(spec->luks->passphrase), (long long)(spec->size % GIB)));
}

static bool fake_volume_delete(struct volumes *v, const char *id,
                               struct error *e)
{
    return act(v, e, "unvolume %s", id);
}

static bool fake_extend(struct volumes *v, const char *id, int64_t size,
                        struct error *e)
{
    return act(v, e, "extend %s %lld", id, (long long)(size / GIB));
}

static bool fake_begin(struct volumes *v, const char *id,
                       enum volume_source from, const char *of, bool in_use,
                       char path[STORAGE_PATH_MAX], bool *moved,
                       struct error *e)
{
    struct fake *f = container_of(v, struct fake, base);
    snprintf(path, STORAGE_PATH_MAX, "%s%s", f->head ? f->head : "/v/", of);
    *moved = in_use && f->head;
    return !in_use || act(v, e, "begin %s %s", id, of);
}

static bool fake_snapshot(struct volumes *v, const char *id,
                          enum volume_source from, const char *of,
                          char path[STORAGE_PATH_MAX], struct error *e)
{
    snprintf(path, STORAGE_PATH_MAX, "/s/%s", id);
    return act(v, e, "snapshot %s %s", id, of);
}

static bool fake_snapshot_delete(struct volumes *v, const char *id,
                                 struct error *e)
{
    return act(v, e, "unsnapshot %s", id);
}

static bool fake_to_image(struct volumes *v, enum volume_source from,
                          const char *id, const char *upload,
                          const char *format, struct image_info *info,
                          struct error *e)
{
    *info = container_of(v, struct fake, base)->info;
    return act(v, e, "toimage %s %s %s", id, upload, format);
}

static bool fake_list(struct volumes *v, stored_fn *fn, void *arg,
                      struct error *e)
{
    struct fake *f = container_of(v, struct fake, base);
    for (size_t i = 0; i < f->n_stored; i++)
        fn(arg, &f->stored[i]);
    return true;
}

static bool fake_tidy(struct volumes *v, struct error *e)
{
    return true;
}

static const struct volume_ops fake_ops = {
    .image_discard = fake_discard,
    .image_commit = fake_commit,
    .image_delete = fake_image_delete,
    .disk_create = fake_disk,
    .disk_blank = fake_blank,
    .disk_delete = fake_disk_delete,
    .volume_create = fake_volume,
    .volume_delete = fake_volume_delete,
    .volume_extend = fake_extend,
    .snapshot_begin = fake_begin,
    .snapshot_create = fake_snapshot,
    .snapshot_delete = fake_snapshot_delete,
    .volume_to_image = fake_to_image,
    .list = fake_list,
    .tidy = fake_tidy,
};

/* ---- one node ----------------------------------------------------------- */

static int64_t clock_us;

static int64_t clock_now(void *self)
{
    return clock_us;
}

static void clock_random(void *self, void *out, size_t len)
{
    memset(out, 0, len);
}

static const struct env env = { NULL, clock_now, clock_now, clock_random };
static struct fake fake;

/* The next n calls fail. */
static void make_fail(int n, enum error_code code)
{
    fake.fail = n;
    fake.code = code;
}
static struct store *store;
static struct cache *cache;
static struct storage *storage;

static bool leading;
static struct volumes *own; /* of a storage that the nodes share */
static struct keyring keyring;

static bool leads(void *arg)
{
    return leading;
}

static int setup(void **state)
{
    struct error err;
    clock_us = INT64_C(1700000000) * SECOND_US;
    fake = (struct fake){ .base = { &fake_ops, own }, .log = BUF_INIT(65536) };
    fake.info = (struct image_info){
        .blob = "u1.qcow2", .format = "qcow2", .size = 100, .virtual_size = GIB
    };
    store = store_memory_open(&env);
    cache = cache_new(model_kinds, N_KINDS);
    struct storage_config config = { .node = "n1",
                                     .volumes = &fake.base,
                                     .store = store,
                                     .cache = cache,
                                     .env = &env,
                                     .keyring = &keyring,
                                     .leads = leads };
    leading = true;
    storage = storage_new(&config);
    assert_true(cache_follow(cache, store, &err));
    storage_start(storage);
    return 0;
}

static int teardown(void **state)
{
    cache_unfollow(cache);
    storage_free(storage);
    cache_free(cache);
    store_close(store);
    buf_free(&fake.log);
    return 0;
}

/* All that is due, and what becomes due within a minute. */
static void run(void)
{
    int64_t end = clock_us + 60 * SECOND_US;
    for (;;) {
        int64_t due = INT64_MAX;
        for (int i = 0; i < STORAGE_QUEUES; i++) {
            while (reconciler_step(storage_queue(storage, i), 0))
                ;
            int64_t t = reconciler_next_due(storage_queue(storage, i));
            due = t < due ? t : due;
        }
        if (due > end)
            break;
        clock_us = due > clock_us ? due : clock_us;
    }
    clock_us = end;
}

static const char *asked(void)
{
    return buf_str(&fake.log);
}

static void put(const void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    txn_put_record(&t, record);
    assert_true(store_commit(store, &t, &result));
    record_unref(record);
}

/* The record as it is now; valid until the next call for its kind. */
static const void *look(const struct kind *kind, const char *id)
{
    static const void *held[N_KINDS];
    _autosnap_ struct snapshot *s = cache_snapshot(cache);
    const void *rec = snap_get(s, kind, id);
    record_unref(held[kind->number]);
    held[kind->number] = rec ? record_ref(rec) : NULL;
    return rec;
}

static struct image *new_image(const char *id, int status)
{
    struct image *im = record_new(&kind_image, id);
    im->status = status;
    im->disk_format = "qcow2";
    if (status == IMAGE_ACTIVE)
        im->blob = "b1.qcow2";
    return im;
}

static struct volume *new_volume(const char *id, int status)
{
    struct volume *v = record_new(&kind_volume, id);
    v->project_id = "p";
    v->size_gb = 3;
    v->status = status;
    return v;
}

static void use_quota(int64_t volumes, int64_t snapshots, int64_t gb)
{
    struct usage *u = record_new(&kind_usage, "volume/p");
    amount_set(u, &u->amounts, "volumes", volumes);
    amount_set(u, &u->amounts, "snapshots", snapshots);
    amount_set(u, &u->amounts, "gigabytes", gb);
    put(u);
}

static int64_t used(const char *what)
{
    _autosnap_ struct snapshot *s = cache_snapshot(cache);
    return quota_used(s, "volume", "p", what);
}

/* ---- images ------------------------------------------------------------- */

/* An upload that is complete and waits to be looked at. */
static struct image *checking(void)
{
    struct image *im = new_image("i", IMAGE_CHECKING);
    im->upload_id = "u1";
    return im;
}

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

static struct volume_snapshot *new_snapshot(int status)
{
    struct volume_snapshot *sn = record_new(&kind_snapshot, "s");
    sn->project_id = "p";
    sn->volume_id = "v";
    sn->size_gb = 3;
    sn->status = status;
    return sn;
}

static struct volume *made_volume(void)
{
    struct volume *v = new_volume("v", VOLUME_AVAILABLE);
    v->path = "/v/v";
    return v;
}

/* One that the server "sv" has. */
static struct volume *held_volume(int status)
{
    struct volume *v = made_volume();
    struct volume_attachment *a =
        list_add(v, &v->attachments, sizeof(struct volume_attachment));
    v->status = status;
    a->server_id = "sv";
    a->attached = 1;
    return v;
}

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

/* ---- a storage that all nodes share ---------------------------------------
 */

static struct fake files; /* of this node */

static int setup_shared(void **state)
{
    files = (struct fake){ .base = { &fake_ops }, .log = BUF_INIT(65536) };
    own = &files.base;
    return setup(state);
}

static int teardown_shared(void **state)
{
    own = NULL;
    buf_free(&files.log);
    return teardown(state);
}

static void node_lives(const char *name)
{
    struct node *n = record_new(&kind_node, name);
    n->seen = clock_us + 3600 * SECOND_US;
    put(n);
}

static void shared_volume_is_nobodys(void **state)
{
    struct volume *v = new_volume("v", VOLUME_CREATING);
    leading = false; /* it was placed here all the same */
    v->node = "n1";
    put(v);
    run();
    const struct volume *now = look(&kind_volume, "v");
    assert_string_equal(asked(), "volume v 3 0 -;");
    assert_int_equal(now->status, VOLUME_AVAILABLE);
    assert_string_equal(now->path, "/v/v");
    assert_null(now->node);
}

/* On a node's own disk, though the pool has a storage that all share. */
static void local_volume_stays(void **state)
{
    struct volume *v = new_volume("v", VOLUME_CREATING);
    node_lives("n1");
    v->node = "n1";
    v->local = true;
    put(v);
    run();
    const struct volume *now = look(&kind_volume, "v");
    assert_string_equal(asked(), "");
    assert_string_equal(buf_str(&files.log), "volume v 3 0 -;");
    assert_string_equal(now->node, "n1");
    struct volume_snapshot *sn = record_new(&kind_snapshot, "s");
    volume_snapshot_of(sn, now);
    put(sn);
    run();
    assert_non_null(strstr(buf_str(&files.log), "snapshot s v;"));
    assert_string_equal(asked(), "");
    assert_string_equal(
        ((const struct volume_snapshot *)look(&kind_snapshot, "s"))->node,
        "n1");
}

/* The leader does not touch what another node has, dead or not. */
static void local_volume_waits_for_its_node(void **state)
{
    struct volume *v = new_volume("v", VOLUME_DELETING);
    struct node *n = record_new(&kind_node, "n2");
    put(n); /* silent for ever */
    v->node = "n2";
    v->local = true;
    put(v);
    run();
    assert_int_equal(((const struct volume *)look(&kind_volume, "v"))->status,
                     VOLUME_DELETING);
    assert_string_equal(asked(), "");
    assert_string_equal(buf_str(&files.log), "");
}

static struct volume *encrypted(const char *id, const char *key)
{
    struct volume *v = new_volume(id, VOLUME_CREATING);
    v->node = "n1";
    v->key_id = key;
    return v;
}

/* Written down before it is used, wrapped; its clone has the same. */
static void encrypted_volumes_have_a_key(void **state)
{
    keyring = (struct keyring){ .key = { 7 }, .there = true };
    put(encrypted("v", "v"));
    run();
    assert_string_equal(asked(), "volume v 3 0 -;luks 256 64 2068480;");
    const struct volume_key *k = look(&kind_volume_key, "v");
    assert_non_null(k);
    assert_int_equal(k->key_size, 256);
    struct volume *w = encrypted("w", "v");
    w->source_id = "v";
    put(w);
    run();
    assert_non_null(strstr(asked(), "volume w 3 3 v;luks 256 64 2068480;"));
    /* It goes with the last of them. */
    struct volume *gone = record_copy(look(&kind_volume, "v"));
    gone->status = VOLUME_DELETING;
    put(gone);
    run();
    assert_null(look(&kind_volume, "v"));
    assert_non_null(look(&kind_volume_key, "v"));
    gone = record_copy(look(&kind_volume, "w"));
    gone->status = VOLUME_DELETING;
    put(gone);
    run();
    assert_null(look(&kind_volume, "w"));
    assert_null(look(&kind_volume_key, "v"));
    keyring = (struct keyring){ 0 };
}

static void no_key_no_encrypted_volume(void **state)
{
    put(encrypted("v", "v"));
    run();
    const struct volume *v = look(&kind_volume, "v");
    assert_string_equal(asked(), "");
    assert_int_equal(v->status, VOLUME_ERROR);
    assert_null(look(&kind_volume_key, "v"));
}

/* The leader before this one was at it when it died (make chaos SEED=14). */
static void shared_snapshot_that_another_has_begun(void **state)
{
    static const enum error_code codes[] = { ERR_NOT_FOUND, ERR_FORBIDDEN };
    put(held_volume(VOLUME_AVAILABLE));
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        put(new_snapshot(SNAPSHOT_CREATING));
        fake.only = "snapshot";
        make_fail(2, codes[i]);
        run();
        const struct volume_snapshot *sn = look(&kind_snapshot, "s");
        assert_int_equal(sn->status, SNAPSHOT_AVAILABLE);
    }
}

/* The scheduler says who makes it, with its server or alone. */
static void shared_volume_waits_for_its_place(void **state)
{
    put(new_volume("v", VOLUME_CREATING));
    run();
    assert_string_equal(asked(), "");
    assert_null(((const struct volume *)look(&kind_volume, "v"))->node);
}

static void the_leader_does_what_is_nobodys(void **state)
{
    struct volume *v = new_volume("v", VOLUME_EXTENDING);
    struct volume_snapshot *sn = record_new(&kind_snapshot, "s");
    leading = false;
    v->real_size_gb = 2;
    put(v);
    sn->volume_id = "v";
    sn->status = SNAPSHOT_CREATING;
    put(sn);
    run();
    assert_string_equal(asked(), "");
    leading = true;
    storage_lead(storage);
    run();
    assert_non_null(strstr(asked(), "extend v 3;"));
    assert_non_null(strstr(asked(), "snapshot s v;"));
    const struct volume_snapshot *now = look(&kind_snapshot, "s");
    assert_int_equal(now->status, SNAPSHOT_AVAILABLE);
    assert_null(now->node);
}

static void what_a_dead_node_began_is_the_leaders(void **state)
{
    struct volume *v = new_volume("v", VOLUME_CREATING);
    node_lives("n2");
    v->node = "n2";
    put(v);
    run();
    assert_string_equal(asked(), "");
    clock_us += 7200 * SECOND_US;
    run();
    assert_string_equal(asked(), "volume v 3 0 -;");
    assert_null(((const struct volume *)look(&kind_volume, "v"))->node);
}

static void an_upload_is_looked_at_where_it_is(void **state)
{
    struct image *im = checking(), *theirs = new_image("j", IMAGE_CHECKING);
    leading = false;
    node_lives("n2");
    im->node = "n1";
    put(im);
    theirs->upload_id = "u2";
    theirs->node = "n2";
    put(theirs);
    run();
    assert_string_equal(asked(), "commit u1 qcow2;");
    const struct image *now = look(&kind_image, "i");
    assert_int_equal(now->status, IMAGE_ACTIVE);
    assert_null(now->node);
}

static void only_our_uploads_are_interrupted(void **state)
{
    struct image *im = new_image("i", IMAGE_SAVING);
    struct image *theirs = new_image("j", IMAGE_SAVING);
    node_lives("n2");
    im->upload_id = "u1";
    im->node = "n1";
    put(im);
    theirs->upload_id = "u2";
    theirs->node = "n2";
    put(theirs);
    storage_interrupted(storage);
    run();
    const struct image *now = look(&kind_image, "i");
    assert_int_equal(now->status, IMAGE_QUEUED);
    now = look(&kind_image, "j");
    assert_int_equal(now->status, IMAGE_SAVING);
}

/* Of what all have, the leader; of what lies here, we. */
static void the_audit_is_the_leaders(void **state)
{
    fake.stored[0] = (struct stored){ STORED_VOLUME, "gone", 1, 1 };
    fake.n_stored = 1;
    files.stored[0] = (struct stored){ STORED_UPLOAD, "u9", 1, 1 };
    files.n_stored = 1;
    leading = false;
    clock_us += 601 * SECOND_US;
    run();
    assert_string_equal(asked(), "");
    assert_string_equal(buf_str(&files.log), "discard u9;");
    leading = true;
    clock_us += 601 * SECOND_US;
    run();
    assert_string_equal(asked(), "unvolume gone;");
}

int main(void)
{
#define T(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
#define SHARED(name_)                                                          \
    cmocka_unit_test_setup_teardown(name_, setup_shared, teardown_shared)
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
        T(audit_removes_what_nobody_names),
        SHARED(shared_volume_is_nobodys),
        SHARED(local_volume_stays),
        SHARED(local_volume_waits_for_its_node),
        SHARED(encrypted_volumes_have_a_key),
        SHARED(no_key_no_encrypted_volume),
        SHARED(shared_snapshot_that_another_has_begun),
        SHARED(shared_volume_waits_for_its_place),
        SHARED(the_leader_does_what_is_nobodys),
        SHARED(what_a_dead_node_began_is_the_leaders),
        SHARED(an_upload_is_looked_at_where_it_is),
        SHARED(only_our_uploads_are_interrupted),
        SHARED(the_audit_is_the_leaders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
