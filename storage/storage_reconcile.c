#include "storage/storage_reconcile.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/storage_impl.h"

#include <string.h>

#define AUDIT_KEY "audit/files"
#define COPIES    2
#define SWEEP_US  (60 * SECOND_US)
#define SWEEP_KEY "sweep/all"

static const struct {
    const struct kind *kind;
    int queue;
    storage_work_fn *work;
} works[] = {
    { &kind_image, 0, storage_work_image },
    { &kind_disk, 1, storage_work_disk },
    { &kind_volume, 1, storage_work_volume },
    { &kind_snapshot, 1, storage_work_snapshot },
};

/* ---- the leader's share -------------------------------------------------- */

/* One record is always of one queue. */
static int queue_of(const struct record *rec, int usual)
{
    return rec->kind == &kind_disk && ((const struct disk *)rec)->source_id
               ? COPIES
               : usual;
}

static void add(struct storage *s, const struct record *rec)
{
    char key[STORE_KEY_MAX];
    if (rec->kind == &kind_image && s->c.images_elsewhere)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
        struct reconciler *q = s->queues[queue_of(rec, works[i].queue)];
        if (works[i].kind == rec->kind && q)
            reconciler_add(q, record_key(rec, key));
    }
}

/* What is nobody's, or of a node that is silent by now, which nothing tells
 * of. */
static void look_at_all(struct storage *s)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(s->c.cache);
    for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
        struct snap_iter it = snap_all(snap, works[i].kind);
        for (const struct record *rec; (rec = snap_next(&it));)
            add(s, rec);
    }
}

static enum reconcile_verdict sweep(struct run *r)
{
    *r->delay_us = SWEEP_US;
    if (storage_leads(r->s))
        look_at_all(r->s);
    return RECONCILE_AGAIN;
}

/* ---- the whole --------------------------------------------------------- */

static enum reconcile_verdict reconcile(void *self, const char *key,
                                        int64_t *delay_us, struct error *err)
{
    struct storage *s = self;
    struct error ignored;
    struct run r = { s, key, NULL, delay_us, err ? err : &ignored };
    if (strcmp(key, AUDIT_KEY) == 0)
        return storage_audit(&r);
    if (strcmp(key, SWEEP_KEY) == 0)
        return sweep(&r);
    _autosnap_ struct snapshot *snap = cache_snapshot(s->c.cache);
    r.snap = snap;
    for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
        size_t n = strlen(works[i].kind->name);
        if (strncmp(key, works[i].kind->name, n) != 0 || key[n] != '/')
            continue;
        const void *record = snap_get(snap, works[i].kind, key + n + 1);
        return record ? works[i].work(&r, record) : RECONCILE_DONE;
    }
    return RECONCILE_DONE;
}

static void heard(void *arg, const struct record *old, const struct record *rec)
{
    if (rec)
        add(arg, rec);
}

struct storage *storage_new(const struct storage_config *config)
{
    struct storage *s = xcalloc(1, sizeof(*s));
    s->c = *config;
    pthread_mutex_init(&s->lock, NULL);
    cache_listen(s->c.cache, heard, s);
    return s;
}

void storage_free(struct storage *s)
{
    if (!s)
        return;
    s->stopping = true;
    for (int i = 0; i < STORAGE_QUEUES; i++)
        reconciler_stop(s->queues[i]);
    while (s->attempts) {
        struct attempt *next = s->attempts->next;
        free(s->attempts);
        s->attempts = next;
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void storage_start(struct storage *s)
{
    static const char *const names[] = { "storage-images", "storage",
                                         "storage-copies" };
    for (int i = 0; i < STORAGE_QUEUES; i++)
        s->queues[i] =
            reconciler_new(names[i], reconcile, s, s->c.env, s->c.workers);
    look_at_all(s);
    reconciler_add(s->queues[1], AUDIT_KEY);
    if (s->c.volumes->own)
        reconciler_add_after(s->queues[1], SWEEP_KEY, SWEEP_US);
}

void storage_lead(struct storage *s)
{
    if (s->queues[1] && s->c.volumes->own)
        reconciler_add(s->queues[1], SWEEP_KEY);
}

struct reconciler *storage_queue(struct storage *s, int i)
{
    return s->queues[i];
}

/* Was it uploaded by way of this node? */
static bool is_from(const struct storage *s, const struct image *im)
{
    return !s->c.volumes->own || (im->node && strcmp(im->node, s->c.node) == 0);
}

void storage_interrupted(struct storage *s)
{
    if (s->c.images_elsewhere)
        return;
    _autosnap_ struct snapshot *snap = cache_snapshot(s->c.cache);
    struct snap_iter it = snap_all(snap, &kind_image);
    for (const struct image *im; (im = snap_next(&it));)
        if (storage_is_uploading(snap, im) && is_from(s, im))
            storage_interrupt(s, im);
}
