#include "files.h"

#include "common/alloc.h"
#include "guests.h"

#include <string.h>

#define CAPACITY (400 * GIB)

struct sim_volumes {
    struct volumes v;
    struct volumes own; /* of a pool: the node's uploads */
    struct sim_node *node;
    struct files *files;
};

struct files {
    struct world *w;
    struct file *first, **last;
};

#define files_of(v_) (((struct sim_volumes *)(v_))->files)
#define node_of(v_)  (((struct sim_volumes *)(v_))->node)

/* ---- the table of files
 * --------------------------------------------------------- */

const char *stored_kind_name(enum stored_kind kind)
{
    static const char *const names[] = { "upload", "image", "disk", "volume",
                                         "snapshot" };
    return names[kind];
}

struct file *files_first(struct files *f)
{
    return f->first;
}

struct file *files_find(struct files *f, enum stored_kind kind,
                        const char *name)
{
    struct file *x = f->first;
    while (x && (x->kind != kind || strcmp(x->name, name) != 0))
        x = x->next;
    return x;
}

/* An upload is a file of the node that it came by. */
static struct file *find_upload(struct files *f, const struct sim_node *n,
                                const char *id)
{
    struct file *x = f->first;
    while (x && (x->kind != STORED_UPLOAD || x->node != n ||
                 strcmp(x->name, id) != 0))
        x = x->next;
    return x;
}

struct file *files_at(struct files *f, const char *path)
{
    struct file *x = f->first;
    while (x && strcmp(x->path, path) != 0 && strcmp(x->below, path) != 0)
        x = x->next;
    return x;
}

static bool is_used(struct files *f, const struct file *x)
{
    return guests_use(f->w, x->path) ||
           (x->below[0] && guests_use(f->w, x->below));
}

static struct file *append(struct files *f)
{
    struct file *x = xcalloc(1, sizeof(*x));
    *f->last = x;
    f->last = &x->next;
    return x;
}

static struct file *fill(struct files *f, struct file *x, enum stored_kind kind,
                         const char *name, int64_t size)
{
    x->kind = kind;
    snprintf(x->name, sizeof(x->name), "%s", name);
    snprintf(x->path, sizeof(x->path),
             world_is_pool(f->w) ? "rbd:sim/%s.%s" : "/sim/%s/%s",
             stored_kind_name(kind), name);
    x->size = x->bytes = size;
    x->changed = f->w->time;
    return x;
}

static struct file *add(struct files *f, enum stored_kind kind,
                        const char *name, int64_t size)
{
    struct file *x = files_find(f, kind, name);
    return fill(f, x ? x : append(f), kind, name, size);
}

static void remove_from(struct files *f, struct file *x)
{
    struct file **at = &f->first;
    while (x && *at != x)
        at = &(*at)->next;
    if (!x)
        return;
    *at = x->next;
    if (!*at)
        f->last = at;
    free(x);
}

static void drop(struct files *f, enum stored_kind kind, const char *name)
{
    remove_from(f, files_find(f, kind, name));
}

static void drop_upload(struct volumes *v, const char *id)
{
    remove_from(files_of(v), find_upload(files_of(v), node_of(v), id));
}

static bool has_room(struct files *f, int64_t size, struct error *err)
{
    int64_t used = 0;
    for (struct file *x = f->first; x; x = x->next)
        used += x->bytes;
    if (used + size > CAPACITY || (f->w->chaos && chance_permille(f->w, 10)))
        return error_set(err, ERR_NO_SPACE, "simulated: the disk is full");
    return true;
}

void files_resize(struct files *f, const char *path, int64_t size)
{
    struct file *x = files_at(f, path);
    if (x && x->size < size)
        x->size = x->bytes = size;
}

void files_upload(struct files *f, const struct sim_node *n,
                  const char *upload_id, int64_t bytes, int upload)
{
    struct file *x = find_upload(f, n, upload_id);
    x = fill(f, x ? x : append(f), STORED_UPLOAD, upload_id, bytes);
    x->node = n;
    x->upload = upload;
}

void files_lose(struct files *f, const struct sim_node *n)
{
    for (struct file *x = f->first, *next; x; x = next) {
        next = x->next;
        if (x->node == n)
            remove_from(f, x);
    }
}

/* ---- images
 * ------------------------------------------------------------------------ */

static void blob_name(const char *upload_id, char out[STORAGE_NAME_MAX])
{
    snprintf(out, STORAGE_NAME_MAX, "%.80s.qcow2", upload_id);
}

static int vol_image_open(struct volumes *v, const char *id, struct error *err)
{
    error_set(err, ERR_UNAVAILABLE, "simulated: files have no descriptors");
    return -1;
}

static bool vol_image_discard(struct volumes *v, const char *id,
                              struct error *err)
{
    struct files *f = files_of(v);
    char blob[STORAGE_NAME_MAX];
    blob_name(id, blob);
    if (!effect_begin_files(node_of(v), "image_discard", id, err))
        return false;
    drop_upload(v, id);
    drop(f, STORED_IMAGE, blob);
    return effect_end(node_of(v), err);
}

static void describe(const struct file *x, struct image_info *info)
{
    *info = (struct image_info){ .size = x->bytes, .virtual_size = x->size };
    snprintf(info->blob, sizeof(info->blob), "%s", x->name);
    snprintf(info->format, sizeof(info->format), "qcow2");
}

static bool inspect(struct volumes *v, const char *id, struct error *err)
{
    const struct file *up = find_upload(files_of(v), node_of(v), id);
    if (!up)
        return error_set(err, ERR_NOT_FOUND, "upload %s has no file", id);
    if (up->upload == UPLOAD_CORRUPT)
        return error_set(err, ERR_INVALID, "the image is corrupt");
    if (up->upload == UPLOAD_BACKED)
        return error_set(err, ERR_INVALID, "the image has a backing file");
    return true;
}

static bool vol_image_commit(struct volumes *v, const char *id,
                             const char *disk_format, struct image_info *info,
                             struct error *err)
{
    struct files *f = files_of(v);
    char blob[STORAGE_NAME_MAX];
    blob_name(id, blob);
    if (!effect_begin_files(node_of(v), "image_commit", id, err))
        return false;
    struct file *x = files_find(f, STORED_IMAGE, blob);
    if (!x) {
        if (!inspect(v, id, err))
            return false;
        x = add(f, STORED_IMAGE, blob, GIB);
        x->bytes = find_upload(f, node_of(v), id)->bytes;
    }
    drop_upload(v, id);
    describe(x, info);
    return effect_end(node_of(v), err);
}

static bool vol_image_delete(struct volumes *v, const char *blob,
                             struct error *err)
{
    struct files *f = files_of(v);
    if (!effect_begin_files(node_of(v), "image_delete", blob, err))
        return false;
    drop(f, STORED_IMAGE, blob);
    return effect_end(node_of(v), err);
}

/* ---- disks, volumes, snapshots
 * ----------------------------------------------------- */

/* Makes a file from a source; what exists is found. */
static bool make(struct volumes *v, enum stored_kind kind, const char *id,
                 const struct file *from, int64_t size,
                 char path[STORAGE_PATH_MAX], struct error *err)
{
    struct files *f = files_of(v);
    struct file *x = files_find(f, kind, id);
    if (!x) {
        if (from && size && size < from->size)
            return error_set(err, ERR_INVALID, "smaller than its source");
        if (!has_room(f, size, err))
            return false;
        x = add(f, kind, id, size || !from ? size : from->size);
    }
    snprintf(path, STORAGE_PATH_MAX, "%s", x->path);
    return effect_end(node_of(v), err);
}

static bool vol_disk_create(struct volumes *v, const char *id, const char *blob,
                            int64_t size, char path[STORAGE_PATH_MAX],
                            struct error *err)
{
    struct files *f = files_of(v);
    if (!effect_begin_files(node_of(v), "disk_create", id, err))
        return false;
    const struct file *from = files_find(f, STORED_IMAGE, blob);
    if (!from && !files_find(f, STORED_DISK, id))
        return error_set(err, ERR_NOT_FOUND, "image %s has no file", blob);
    return make(v, STORED_DISK, id, from, size, path, err);
}

static bool vol_disk_blank(struct volumes *v, const char *id, int64_t size,
                           bool swap, char path[STORAGE_PATH_MAX],
                           struct error *err)
{
    return effect_begin_files(node_of(v), "disk_blank", id, err) &&
           make(v, STORED_DISK, id, NULL, size, path, err);
}

static bool free_source(struct files *f, enum stored_kind kind, const char *id,
                        const struct file **out, struct error *err);

static bool vol_disk_clone(struct volumes *v, const char *id,
                           const char *source_id, int64_t size,
                           char path[STORAGE_PATH_MAX], struct error *err)
{
    struct files *f = files_of(v);
    const struct file *from = NULL;
    if (!effect_begin_files(node_of(v), "disk_clone", id, err))
        return false;
    if (!files_find(f, STORED_DISK, id) &&
        !free_source(f, STORED_DISK, source_id, &from, err))
        return false;
    return make(v, STORED_DISK, id, from, size, path, err);
}

/* Deleting what a guest runs from would go unnoticed on a real machine. */
static bool remove_file(struct volumes *v, enum stored_kind kind,
                        const char *what, const char *id, struct error *err)
{
    struct files *f = files_of(v);
    if (!effect_begin_files(node_of(v), what, id, err))
        return false;
    const struct file *x = files_find(f, kind, id);
    if (x && is_used(f, x))
        world_broken(f->w, "%s %s is removed while a guest uses it",
                     stored_kind_name(kind), id);
    drop(f, kind, id);
    return effect_end(node_of(v), err);
}

static bool vol_disk_delete(struct volumes *v, const char *id,
                            struct error *err)
{
    return remove_file(v, STORED_DISK, "disk_delete", id, err);
}

static bool free_source(struct files *f, enum stored_kind kind, const char *id,
                        const struct file **out, struct error *err)
{
    *out = files_find(f, kind, id);
    if (!*out)
        return error_set(err, ERR_NOT_FOUND, "%s %s has no file",
                         stored_kind_name(kind), id);
    if (is_used(f, *out) && !world_is_pool(f->w))
        return error_set(err, ERR_CONFLICT, "%s is in use", id);
    return true;
}

static bool vol_create(struct volumes *v, const char *id,
                       const struct volume_spec *spec,
                       char path[STORAGE_PATH_MAX], struct error *err)
{
    static const enum stored_kind kinds[] = {
        [SOURCE_IMAGE] = STORED_IMAGE,
        [SOURCE_SNAPSHOT] = STORED_SNAPSHOT,
        [SOURCE_VOLUME] = STORED_VOLUME,
    };
    struct files *f = files_of(v);
    const struct file *from = NULL;
    if (!effect_begin_files(node_of(v), "volume_create", id, err))
        return false;
    if (spec->from != SOURCE_EMPTY && !files_find(f, STORED_VOLUME, id) &&
        !free_source(f, kinds[spec->from], spec->source, &from, err))
        return false;
    return make(v, STORED_VOLUME, id, from, spec->size, path, err);
}

static bool vol_delete(struct volumes *v, const char *id, struct error *err)
{
    return remove_file(v, STORED_VOLUME, "volume_delete", id, err);
}

static bool vol_extend(struct volumes *v, const char *id, int64_t size,
                       struct error *err)
{
    struct files *f = files_of(v);
    const struct file *x;
    if (!effect_begin_files(node_of(v), "volume_extend", id, err) ||
        !free_source(f, STORED_VOLUME, id, &x, err) ||
        !has_room(f, size - x->size, err))
        return false;
    if (is_used(f, x))
        return error_set(err, ERR_CONFLICT, "%s is in use", id);
    files_resize(f, x->path, size);
    return effect_end(node_of(v), err);
}

/* What is below is over when no guest has it any more. */
static bool settle(struct files *f, struct file *x, struct error *err)
{
    if (x->below[0] && guests_use(f->w, x->below))
        return error_set(err, ERR_CONFLICT, "%s is in use", x->below);
    x->below[0] = '\0';
    return true;
}

static const enum stored_kind kind_of[] = {
    [SOURCE_VOLUME] = STORED_VOLUME,
    [SOURCE_DISK] = STORED_DISK,
};

/* As storage/heads.h has it: the volume goes on under a new name. */
static bool move_head(struct files *f, const char *snapshot_id, struct file *x,
                      struct error *err)
{
    if (world_is_pool(f->w) || /* Ceph takes it as it is */
        files_find(f, STORED_SNAPSHOT, snapshot_id) ||
        !guests_use(f->w, x->path))
        return true;
    if (!settle(f, x, err) || !has_room(f, 0, err))
        return false;
    snprintf(x->below, sizeof(x->below), "%s", x->path);
    snprintf(x->path, sizeof(x->path), "/sim/%s/%.60s~%.60s",
             stored_kind_name(x->kind), x->name, snapshot_id);
    add(f, STORED_SNAPSHOT, snapshot_id, x->size);
    return true;
}

static bool vol_snapshot_begin(struct volumes *v, const char *id,
                               enum volume_source of, const char *volume_id,
                               bool in_use, char path[STORAGE_PATH_MAX],
                               bool *moved, struct error *err)
{
    struct files *f = files_of(v);
    *moved = false;
    if (!effect_begin_files(node_of(v), "snapshot_begin", id, err))
        return false;
    struct file *x = files_find(f, kind_of[of], volume_id);
    if (!x)
        return error_set(err, ERR_NOT_FOUND, "%s has no file", volume_id);
    if (in_use && !move_head(f, id, x, err))
        return false;
    *moved = x->below[0] != '\0';
    snprintf(path, STORAGE_PATH_MAX, "%s", x->path);
    return effect_end(node_of(v), err);
}

static bool vol_snapshot_create(struct volumes *v, const char *id,
                                enum volume_source of, const char *volume_id,
                                char path[STORAGE_PATH_MAX], struct error *err)
{
    struct files *f = files_of(v);
    const struct file *from = NULL;
    if (!effect_begin_files(node_of(v), "snapshot_create", id, err))
        return false;
    struct file *x = files_find(f, kind_of[of], volume_id);
    if (x && !settle(f, x, err))
        return false;
    if (!files_find(f, STORED_SNAPSHOT, id) &&
        !free_source(f, kind_of[of], volume_id, &from, err))
        return false;
    return make(v, STORED_SNAPSHOT, id, from, from ? from->size : 0, path, err);
}

static bool vol_snapshot_delete(struct volumes *v, const char *id,
                                struct error *err)
{
    return remove_file(v, STORED_SNAPSHOT, "snapshot_delete", id, err);
}

static bool vol_to_image(struct volumes *v, enum volume_source from,
                         const char *id, const char *upload_id,
                         const char *disk_format, struct image_info *info,
                         struct error *err)
{
    struct files *f = files_of(v);
    char blob[STORAGE_NAME_MAX], path[STORAGE_PATH_MAX];
    const struct file *x = NULL;
    enum stored_kind kind =
        from == SOURCE_SNAPSHOT ? STORED_SNAPSHOT : STORED_VOLUME;
    blob_name(upload_id, blob);
    if (!effect_begin_files(node_of(v), "volume_to_image", id, err))
        return false;
    if (!files_find(f, STORED_IMAGE, blob) &&
        !free_source(f, kind, id, &x, err))
        return false;
    if (!make(v, STORED_IMAGE, blob, x, x ? x->size : 0, path, err))
        return false;
    const struct file *made = files_find(f, STORED_IMAGE, blob);
    if (!made)
        return error_set(err, ERR_NOT_FOUND, "%s is gone again", blob);
    describe(made, info);
    return true;
}

static void list_one(const struct file *x, stored_fn *fn, void *arg)
{
    struct stored s = { x->kind, x->name, x->bytes, x->changed };
    fn(arg, &s);
}

static bool vol_list(struct volumes *v, stored_fn *fn, void *arg,
                     struct error *err)
{
    for (struct file *x = files_of(v)->first, *next; x; x = next) {
        next = x->next;
        if (!x->node || x->node == node_of(v))
            list_one(x, fn, arg);
    }
    return true;
}

static bool vol_stats(struct volumes *v, struct storage_stats *stats,
                      struct error *err)
{
    *stats = (struct storage_stats){ CAPACITY, CAPACITY / 2 };
    return true;
}

static bool vol_tidy(struct volumes *v, struct error *err)
{
    return effect_begin_files(node_of(v), "tidy", "", err) &&
           effect_end(node_of(v), err);
}

static void vol_close(struct volumes *v)
{
    free(v);
}

static const struct volume_ops ops = {
    .image_open_write = vol_image_open,
    .image_discard = vol_image_discard,
    .image_commit = vol_image_commit,
    .image_open_read = vol_image_open,
    .image_delete = vol_image_delete,
    .disk_create = vol_disk_create,
    .disk_blank = vol_disk_blank,
    .disk_clone = vol_disk_clone,
    .disk_delete = vol_disk_delete,
    .volume_create = vol_create,
    .volume_delete = vol_delete,
    .volume_extend = vol_extend,
    .snapshot_begin = vol_snapshot_begin,
    .snapshot_create = vol_snapshot_create,
    .snapshot_delete = vol_snapshot_delete,
    .volume_to_image = vol_to_image,
    .list = vol_list,
    .stats = vol_stats,
    .tidy = vol_tidy,
    .close = vol_close,
};

/* ---- a node's own
 * ----------------------------------------------------------- */

#define whole(own_) (&container_of(own_, struct sim_volumes, own)->v)

static bool own_list(struct volumes *own, stored_fn *fn, void *arg,
                     struct error *err)
{
    struct volumes *v = whole(own);
    for (struct file *x = files_of(v)->first, *next; x; x = next) {
        next = x->next;
        if (x->node == node_of(v))
            list_one(x, fn, arg);
    }
    return true;
}

static bool own_discard(struct volumes *own, const char *id, struct error *err)
{
    struct sim_node *n = node_of(whole(own));
    if (!effect_begin(n, "image_discard its", id, err))
        return false;
    drop_upload(whole(own), id);
    return effect_end(n, err);
}

static bool own_tidy(struct volumes *own, struct error *err)
{
    return true;
}

static const struct volume_ops own_ops = {
    .image_discard = own_discard,
    .list = own_list,
    .tidy = own_tidy,
};

/* ---- public
 * ---------------------------------------------------------------------------
 */

struct files *files_new(struct world *w)
{
    struct files *f = xcalloc(1, sizeof(*f));
    f->w = w;
    f->last = &f->first;
    return f;
}

void files_free(struct files *f)
{
    for (struct file *x; (x = f->first);) {
        f->first = x->next;
        free(x);
    }
    free(f);
}

struct volumes *files_open(struct files *f, struct sim_node *n)
{
    struct sim_volumes *v = xcalloc(1, sizeof(*v));
    v->node = n;
    v->own.ops = &own_ops;
    if (world_is_pool(n->w))
        v->v.own = &v->own;
    v->v.ops = &ops;
    v->files = f;
    return &v->v;
}
