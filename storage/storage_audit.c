#include "storage/storage_impl.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <string.h>

#define AUDIT_US     (600 * SECOND_US)
#define AUDIT_AGE_US (3600 * SECOND_US)

/* Does `name` begin with `id` and a dot (a blob made of an upload)? */
static bool made_of(const char *name, const char *id)
{
    size_t n = id ? strlen(id) : 0;
    return n > 0 && strncmp(name, id, n) == 0 && name[n] == '.';
}

/* Uploads and blobs are named by images, finished or in the making. */
static bool image_names(const struct snapshot *snap, const char *name)
{
    struct snap_iter it = snap_all(snap, &kind_image);
    for (const struct image *im; (im = snap_next(&it));)
        if ((im->blob &&
             (strcmp(im->blob, name) == 0 || made_of(im->blob, name))) ||
            strcmp(storage_upload_id(im), name) == 0 ||
            made_of(name, storage_upload_id(im)))
            return true;
    return false;
}

struct orphan {
    struct orphan *next;
    struct volumes *in;
    enum stored_kind kind;
    bool fresh; /* an upload that grows, or did so of late */
    char name[STORAGE_NAME_MAX];
};

struct audit {
    struct volumes *in; /* what is looked through */
    int64_t before;     /* only what was last changed before this */
    struct orphan *found;
};

static void audit_note(void *arg, const struct stored *what)
{
    struct audit *a = arg;
    bool fresh = what->changed == 0 || what->changed > a->before;
    if ((fresh && what->kind != STORED_UPLOAD) || !storage_name_ok(what->name))
        return;
    struct orphan *o = xcalloc(1, sizeof(*o));
    o->in = a->in;
    o->kind = what->kind;
    o->fresh = fresh;
    memcpy(o->name, what->name, strlen(what->name) + 1);
    o->next = a->found;
    a->found = o;
}

static bool is_in_making(const struct snapshot *snap, const char *id)
{
    const struct volume *v = snap_get(snap, &kind_volume, id);
    const struct image *im = snap_get(snap, &kind_image, id);
    return (v && v->status == VOLUME_CREATING) ||
           (im && im->status == IMAGE_SAVING);
}

static bool audit_named(const struct snapshot *snap, const struct orphan *o)
{
    switch (o->kind) {
    case STORED_UPLOAD:
    case STORED_IMAGE:
        return image_names(snap, o->name);
    case STORED_DISK:
        return snap_get(snap, &kind_disk, o->name) != NULL;
    case STORED_VOLUME:
        return snap_get(snap, &kind_volume, o->name) != NULL;
    case STORED_SNAPSHOT: /* or one taken for a clone, or for an image */
        return snap_get(snap, &kind_snapshot, o->name) ||
               is_in_making(snap, o->name);
    }
    return true;
}

static void audit_remove(struct run *r, const struct orphan *o)
{
    struct volumes *v = o->in;
    static const char *const kinds[] = { "upload", "image", "disk", "volume",
                                         "snapshot" };
    bool (*const removers[])(struct volumes *, const char *, struct error *) = {
        v->ops->image_discard, v->ops->image_delete,    v->ops->disk_delete,
        v->ops->volume_delete, v->ops->snapshot_delete,
    };
    log_warn("storage", "audit: no record names %s %s: removed", kinds[o->kind],
             o->name);
    removers[o->kind](v, o->name, r->err);
}

static bool audit_grows(const struct audit *a, const char *upload_id)
{
    for (const struct orphan *o = a->found; o; o = o->next)
        if (o->kind == STORED_UPLOAD && o->fresh &&
            strcmp(o->name, upload_id) == 0)
            return true;
    return false;
}

/* Only who has its file knows whether it grows, unless that one is dead. */
static bool is_given_up(const struct run *r, const struct image *im)
{
    return !storage_is_shared(r) || storage_is_ours(r, im->node);
}

/* An upload whose end could not be written (its commit failed, or its answer
 * got lost) stays SAVING while the face lives: nothing has arrived for long. */
static void audit_uploads(struct run *r, const struct snapshot *snap,
                          const struct audit *a)
{
    struct snap_iter it = snap_all(snap, &kind_image);
    for (const struct image *im; (im = snap_next(&it));)
        if (storage_is_uploading(snap, im) && im->updated < a->before &&
            is_given_up(r, im) && !audit_grows(a, storage_upload_id(im)))
            storage_interrupt(r->s, im);
}

static bool look_through(struct run *r, struct audit *a, struct volumes *v)
{
    a->in = v;
    return v->ops->tidy(v, r->err) && v->ops->list(v, audit_note, a, r->err);
}

/* The snapshot is taken after the lists: whatever was listed had its record
 * long before.  What all nodes share is looked through by the leader. */
enum reconcile_verdict storage_audit(struct run *r)
{
    struct audit a = { .before = storage_now(r) - AUDIT_AGE_US };
    struct volumes *v = r->s->c.volumes;
    bool all = !v->own || storage_leads(r->s);
    *r->delay_us = AUDIT_US;
    bool ok = (!all || look_through(r, &a, v)) &&
              (!v->own || look_through(r, &a, v->own));
    _autosnap_ struct snapshot *snap = cache_snapshot(r->s->c.cache);
    r->snap = snap;
    if (ok && !r->s->c.images_elsewhere)
        audit_uploads(r, snap, &a);
    for (struct orphan *o; (o = a.found);) {
        a.found = o->next;
        if (ok && !o->fresh && !audit_named(snap, o))
            audit_remove(r, o);
        free(o);
    }
    return ok ? RECONCILE_AGAIN : RECONCILE_RETRY;
}
