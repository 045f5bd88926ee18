/* storage_world - records, a clock and volumes that only write down what they
 * were asked, for the tests of the storage reconciler. */
#ifndef CAIRN_TESTS_STORAGE_WORLD_H
#define CAIRN_TESTS_STORAGE_WORLD_H

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

static inline bool act(struct volumes *v, struct error *err, const char *fmt,
                       ...)
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

static inline bool fake_discard(struct volumes *v, const char *id,
                                struct error *e)
{
    return act(v, e, "discard %s", id);
}

static inline bool fake_commit(struct volumes *v, const char *id,
                               const char *format, struct image_info *info,
                               struct error *e)
{
    *info = container_of(v, struct fake, base)->info;
    return act(v, e, "commit %s %s", id, format);
}

static inline bool fake_image_delete(struct volumes *v, const char *b,
                                     struct error *e)
{
    return act(v, e, "unimage %s", b);
}

static inline bool fake_disk(struct volumes *v, const char *id,
                             const char *blob, int64_t size,
                             char path[STORAGE_PATH_MAX], struct error *e)
{
    snprintf(path, STORAGE_PATH_MAX, "/d/%s", id);
    return act(v, e, "disk %s %s %lld", id, blob, (long long)(size / GIB));
}

static inline bool fake_blank(struct volumes *v, const char *id, int64_t size,
                              bool swap, char path[STORAGE_PATH_MAX],
                              struct error *e)
{
    snprintf(path, STORAGE_PATH_MAX, "/d/%s", id);
    return act(v, e, "%s %s %lld", swap ? "swap" : "blank", id,
               (long long)(size >> 20));
}

static inline bool fake_disk_delete(struct volumes *v, const char *id,
                                    struct error *e)
{
    return act(v, e, "undisk %s", id);
}

static inline bool fake_volume(struct volumes *v, const char *id,
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

static inline bool fake_volume_delete(struct volumes *v, const char *id,
                                      struct error *e)
{
    return act(v, e, "unvolume %s", id);
}

static inline bool fake_extend(struct volumes *v, const char *id, int64_t size,
                               struct error *e)
{
    return act(v, e, "extend %s %lld", id, (long long)(size / GIB));
}

static inline bool fake_begin(struct volumes *v, const char *id,
                              enum volume_source from, const char *of,
                              bool in_use, char path[STORAGE_PATH_MAX],
                              bool *moved, struct error *e)
{
    struct fake *f = container_of(v, struct fake, base);
    snprintf(path, STORAGE_PATH_MAX, "%s%s", f->head ? f->head : "/v/", of);
    *moved = in_use && f->head;
    return !in_use || act(v, e, "begin %s %s", id, of);
}

static inline bool fake_snapshot(struct volumes *v, const char *id,
                                 enum volume_source from, const char *of,
                                 char path[STORAGE_PATH_MAX], struct error *e)
{
    snprintf(path, STORAGE_PATH_MAX, "/s/%s", id);
    return act(v, e, "snapshot %s %s", id, of);
}

static inline bool fake_snapshot_delete(struct volumes *v, const char *id,
                                        struct error *e)
{
    return act(v, e, "unsnapshot %s", id);
}

static inline bool fake_to_image(struct volumes *v, enum volume_source from,
                                 const char *id, const char *upload,
                                 const char *format, struct image_info *info,
                                 struct error *e)
{
    *info = container_of(v, struct fake, base)->info;
    return act(v, e, "toimage %s %s %s", id, upload, format);
}

static inline bool fake_list(struct volumes *v, stored_fn *fn, void *arg,
                             struct error *e)
{
    struct fake *f = container_of(v, struct fake, base);
    for (size_t i = 0; i < f->n_stored; i++)
        fn(arg, &f->stored[i]);
    return true;
}

static inline bool fake_tidy(struct volumes *v, struct error *e)
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

static inline int64_t clock_now(void *self)
{
    return clock_us;
}

static inline void clock_random(void *self, void *out, size_t len)
{
    memset(out, 0, len);
}

static const struct env env = { NULL, clock_now, clock_now, clock_random };
static struct fake fake;

/* The next n calls fail. */
static inline void make_fail(int n, enum error_code code)
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

static inline bool leads(void *arg)
{
    return leading;
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    cache_unfollow(cache);
    storage_free(storage);
    cache_free(cache);
    store_close(store);
    buf_free(&fake.log);
    return 0;
}

/* All that is due, and what becomes due within a minute. */
static inline void run(void)
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

static inline void put(const void *record)
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

static inline void use_quota(int64_t volumes, int64_t snapshots, int64_t gb)
{
    struct usage *u = record_new(&kind_usage, "volume/p");
    amount_set(u, &u->amounts, "volumes", volumes);
    amount_set(u, &u->amounts, "snapshots", snapshots);
    amount_set(u, &u->amounts, "gigabytes", gb);
    put(u);
}

static inline int64_t used(const char *what)
{
    _autosnap_ struct snapshot *s = cache_snapshot(cache);
    return quota_used(s, "volume", "p", what);
}

/* An upload that is complete and waits to be looked at. */
static inline struct image *checking(void)
{
    struct image *im = new_image("i", IMAGE_CHECKING);
    im->upload_id = "u1";
    return im;
}

static inline struct volume_snapshot *new_snapshot(int status)
{
    struct volume_snapshot *sn = record_new(&kind_snapshot, "s");
    sn->project_id = "p";
    sn->volume_id = "v";
    sn->size_gb = 3;
    sn->status = status;
    return sn;
}

static inline struct volume *made_volume(void)
{
    struct volume *v = new_volume("v", VOLUME_AVAILABLE);
    v->path = "/v/v";
    return v;
}

/* One that the server "sv" has. */
static inline struct volume *held_volume(int status)
{
    struct volume *v = made_volume();
    struct volume_attachment *a =
        list_add(v, &v->attachments, sizeof(struct volume_attachment));
    v->status = status;
    a->server_id = "sv";
    a->attached = 1;
    return v;
}

#endif
