#include "common/alloc.h"
#include "common/cleanup.h"
#include "content.h"
#include "files.h"
#include "guests.h"

#include <fcntl.h>
#include <string.h>

/* What a core has open: what all share, or what its node has by itself. */
struct sim_volumes {
    struct volumes v;
    struct sim_volumes *own;   /* of a pool with Ceph, beside that */
    struct sim_node *node;     /* whose core */
    const struct sim_node *at; /* whose files they are; NULL: shared */
    const struct sim_node *images_at;
    struct files *files;
};

#define VOLUMES(v_)  ((struct sim_volumes *)(v_))
#define files_of(v_) (VOLUMES(v_)->files)
#define node_of(v_)  (VOLUMES(v_)->node)
#define world_of(v_) (node_of(v_)->w)
#define at_of(v_)    (VOLUMES(v_)->at)

static bool is_ceph(const struct volumes *v)
{
    return v->own != NULL;
}

static bool begin(struct volumes *v, const char *what, const char *id,
                  struct error *err)
{
    return at_of(v) ? effect_begin(node_of(v), what, id, err)
                    : effect_begin_files(node_of(v), what, id, err);
}

static const struct sim_node *place_of(const struct volumes *v,
                                       enum stored_kind kind)
{
    return kind == STORED_IMAGE ? VOLUMES(v)->images_at : at_of(v);
}

static struct file *find(const struct volumes *v, enum stored_kind kind,
                         const char *name)
{
    return files_find(files_of(v), place_of(v, kind), kind, name);
}

static struct file *image_of(const struct volumes *v, const char *blob)
{
    return find(v, STORED_IMAGE, blob);
}

/* An upload is a file of the node that it came by. */
static struct file *upload_of(const struct volumes *v, const char *id)
{
    return files_find(files_of(v), files_upload_home(node_of(v)), STORED_UPLOAD,
                      id);
}

/* ---- images --------------------------------------------------------------
 */

static void blob_name(const char *upload_id, char out[STORAGE_NAME_MAX])
{
    snprintf(out, STORAGE_NAME_MAX, "%.80s.qcow2", upload_id);
}

/* What is in it is of no matter: size and kind are the table's. */
static int nothing(int flags, struct error *err)
{
    int fd = open("/dev/null", flags | O_CLOEXEC);
    if (fd < 0)
        error_set(err, ERR_INTERNAL, "/dev/null cannot be opened");
    return fd;
}

static int vol_image_open_write(struct volumes *v, const char *id,
                                struct error *err)
{
    if (!begin(v, "image_open_write", id, err))
        return -1;
    files_upload(files_of(v), node_of(v), id, GIB, UPLOAD_GOOD);
    return effect_end(node_of(v), err) ? nothing(O_WRONLY, err) : -1;
}

static int vol_image_open_read(struct volumes *v, const char *blob,
                               struct error *err)
{
    if (!begin(v, "image_open_read", blob, err))
        return -1;
    if (!image_of(v, blob)) {
        error_set(err, ERR_NOT_FOUND, "image %s has no file", blob);
        return -1;
    }
    return nothing(O_RDONLY, err);
}

static bool vol_image_discard(struct volumes *v, const char *id,
                              struct error *err)
{
    struct files *f = files_of(v);
    char blob[STORAGE_NAME_MAX];
    blob_name(id, blob);
    if (!begin(v, "image_discard", id, err))
        return false;
    files_drop(f, upload_of(v, id));
    files_drop(f, image_of(v, blob));
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
    const struct file *up = upload_of(v, id);
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
    if (!begin(v, "image_commit", id, err))
        return false;
    struct file *x = image_of(v, blob);
    if (!x) {
        if (!inspect(v, id, err))
            return false;
        x = files_add(f, VOLUMES(v)->images_at, STORED_IMAGE, blob, GIB);
        x->bytes = upload_of(v, id)->bytes;
    }
    files_drop(f, upload_of(v, id));
    describe(x, info);
    return effect_end(node_of(v), err);
}

static bool vol_image_delete(struct volumes *v, const char *blob,
                             struct error *err)
{
    struct files *f = files_of(v);
    if (!begin(v, "image_delete", blob, err))
        return false;
    files_drop(f, image_of(v, blob));
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
    struct file *x = find(v, kind, id);
    if (!x) {
        if (from && size && size < from->size)
            return error_set(err, ERR_INVALID, "smaller than its source");
        if (!files_room(f, place_of(v, kind), size, err))
            return false;
        x = files_add(f, place_of(v, kind), kind, id,
                      size || !from ? size : from->size);
        x->content = from && kind == STORED_DISK ? from->content : 0;
    }
    snprintf(path, STORAGE_PATH_MAX, "%s", x->path);
    return effect_end(node_of(v), err);
}

static bool vol_disk_create(struct volumes *v, const char *id, const char *blob,
                            int64_t size, char path[STORAGE_PATH_MAX],
                            struct error *err)
{
    if (!begin(v, "disk_create", id, err))
        return false;
    const struct file *from = image_of(v, blob);
    if (!from && !find(v, STORED_DISK, id))
        return error_set(err, ERR_NOT_FOUND, "image %s has no file", blob);
    return make(v, STORED_DISK, id, from, size, path, err);
}

static bool vol_disk_blank(struct volumes *v, const char *id, int64_t size,
                           bool swap, char path[STORAGE_PATH_MAX],
                           struct error *err)
{
    return begin(v, "disk_blank", id, err) &&
           make(v, STORED_DISK, id, NULL, size, path, err);
}

static bool free_source(struct volumes *v, enum stored_kind kind,
                        const char *id, const struct file **out,
                        struct error *err);

static bool vol_disk_clone(struct volumes *v, const char *id,
                           const char *source_id, int64_t size,
                           char path[STORAGE_PATH_MAX], struct error *err)
{
    const struct file *from = NULL;
    if (!begin(v, "disk_clone", id, err))
        return false;
    if (!find(v, STORED_DISK, id) &&
        !free_source(v, STORED_DISK, source_id, &from, err))
        return false;
    return make(v, STORED_DISK, id, from, size, path, err);
}

/* Deleting what a guest runs from would go unnoticed on a real machine. */
static bool remove_file(struct volumes *v, enum stored_kind kind,
                        const char *what, const char *id, struct error *err)
{
    struct files *f = files_of(v);
    if (!begin(v, what, id, err))
        return false;
    struct file *x = find(v, kind, id);
    if (x && files_used(f, x))
        world_broken(world_of(v), "%s %s is removed while a guest uses it",
                     stored_kind_name(kind), id);
    if (x)
        content_goes(world_of(v), x);
    files_drop(f, x);
    return effect_end(node_of(v), err);
}

static bool vol_disk_delete(struct volumes *v, const char *id,
                            struct error *err)
{
    return remove_file(v, STORED_DISK, "disk_delete", id, err);
}

static bool free_source(struct volumes *v, enum stored_kind kind,
                        const char *id, const struct file **out,
                        struct error *err)
{
    struct files *f = files_of(v);
    *out = find(v, kind, id);
    if (!*out)
        return error_set(err, ERR_NOT_FOUND, "%s %s has no file",
                         stored_kind_name(kind), id);
    if (files_used(f, *out) && !is_ceph(v))
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
    const struct file *from = NULL;
    if (!begin(v, "volume_create", id, err))
        return false;
    if (spec->from != SOURCE_EMPTY && !find(v, STORED_VOLUME, id) &&
        !free_source(v, kinds[spec->from], spec->source, &from, err))
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
    if (!begin(v, "volume_extend", id, err) ||
        !free_source(v, STORED_VOLUME, id, &x, err) ||
        !files_room(f, x->node, size - x->size, err))
        return false;
    if (files_used(f, x))
        return error_set(err, ERR_CONFLICT, "%s is in use", id);
    files_resize(f, x->path, size);
    return effect_end(node_of(v), err);
}

/* What is below is over when no guest has it any more. */
static bool settle(const struct volumes *v, struct file *x, struct error *err)
{
    if (x->below[0] && guests_use(world_of(v), x->below))
        return error_set(err, ERR_CONFLICT, "%s is in use", x->below);
    x->below[0] = '\0';
    return true;
}

static const enum stored_kind kind_of[] = {
    [SOURCE_VOLUME] = STORED_VOLUME,
    [SOURCE_DISK] = STORED_DISK,
};

/* As storage/heads.h has it: the volume goes on under a new name. */
static bool move_head(struct volumes *v, const char *snapshot_id,
                      struct file *x, struct error *err)
{
    char head[sizeof(x->path)];
    struct files *f = files_of(v);
    if (is_ceph(v) || /* Ceph takes it as it is */
        find(v, STORED_SNAPSHOT, snapshot_id) ||
        !guests_use(world_of(v), x->path))
        return true;
    if (!settle(v, x, err) || !files_room(f, x->node, 0, err))
        return false;
    snprintf(x->below, sizeof(x->below), "%s", x->path);
    snprintf(head, sizeof(head), "%.*s~%.60s", (int)strcspn(x->path, "~"),
             x->path, snapshot_id);
    memcpy(x->path, head, sizeof(head));
    files_add(f, x->node, STORED_SNAPSHOT, snapshot_id, x->size);
    return true;
}

static bool vol_snapshot_begin(struct volumes *v, const char *id,
                               enum volume_source of, const char *volume_id,
                               bool in_use, char path[STORAGE_PATH_MAX],
                               bool *moved, struct error *err)
{
    *moved = false;
    if (!begin(v, "snapshot_begin", id, err))
        return false;
    struct file *x = find(v, kind_of[of], volume_id);
    if (!x)
        return error_set(err, ERR_NOT_FOUND, "%s has no file", volume_id);
    if (in_use && !move_head(v, id, x, err))
        return false;
    *moved = x->below[0] != '\0';
    snprintf(path, STORAGE_PATH_MAX, "%s", x->path);
    return effect_end(node_of(v), err);
}

static bool vol_snapshot_create(struct volumes *v, const char *id,
                                enum volume_source of, const char *volume_id,
                                char path[STORAGE_PATH_MAX], struct error *err)
{
    const struct file *from = NULL;
    if (!begin(v, "snapshot_create", id, err))
        return false;
    struct file *x = find(v, kind_of[of], volume_id);
    if (x && !settle(v, x, err))
        return false;
    if (!find(v, STORED_SNAPSHOT, id) &&
        !free_source(v, kind_of[of], volume_id, &from, err))
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
    char blob[STORAGE_NAME_MAX], path[STORAGE_PATH_MAX];
    const struct file *x = NULL;
    enum stored_kind kind =
        from == SOURCE_SNAPSHOT ? STORED_SNAPSHOT : STORED_VOLUME;
    blob_name(upload_id, blob);
    if (!begin(v, "volume_to_image", id, err))
        return false;
    if (!image_of(v, blob) && !free_source(v, kind, id, &x, err))
        return false;
    if (!make(v, STORED_IMAGE, blob, x, x ? x->size : 0, path, err))
        return false;
    const struct file *made = image_of(v, blob);
    if (!made)
        return error_set(err, ERR_NOT_FOUND, "%s is gone again", blob);
    describe(made, info);
    return true;
}

/* Is it one of those that `v` is about? */
static bool is_listed(const struct volumes *v, const struct file *x)
{
    if (x->kind == STORED_UPLOAD)
        return !is_ceph(v) && x->node == files_upload_home(node_of(v));
    return x->node == place_of(v, x->kind);
}

static bool vol_list(struct volumes *v, stored_fn *fn, void *arg,
                     struct error *err)
{
    for (struct file *x = files_first(files_of(v)), *next; x; x = next) {
        struct stored s = { x->kind, x->name, x->bytes, x->changed };
        next = x->next;
        if (is_listed(v, x))
            fn(arg, &s);
    }
    return true;
}

static bool vol_stats(struct volumes *v, struct storage_stats *stats,
                      struct error *err)
{
    *stats = (struct storage_stats){ FILES_CAPACITY, FILES_CAPACITY / 2 };
    return true;
}

static bool vol_tidy(struct volumes *v, struct error *err)
{
    return begin(v, "tidy", "", err) && effect_end(node_of(v), err);
}

static void vol_close(struct volumes *v)
{
    free(VOLUMES(v)->own);
    free(v);
}

/* ---- disks from other nodes ------------------------------------------------
 */

/* Wholly or not at all; one of which the pieces are of several times is
 * none. */
static bool take_pieces(const struct byte_source *from, struct carried *out,
                        struct error *err)
{
    struct carried piece;
    if (!from->get(from->arg, out, sizeof(*out), err))
        return false;
    for (int64_t i = 1; i <= out->pieces; i++) {
        if (!from->get(from->arg, &piece, sizeof(piece), err))
            return false;
        if (piece.content != out->content)
            out->content = CONTENT_TORN;
        if (from->progress &&
            !from->progress(from->arg, i * GIB, out->pieces * GIB, err))
            return false;
    }
    return true;
}

static bool vol_disk_import(struct volumes *v, const char *id,
                            const struct byte_source *from, int64_t size,
                            char path[STORAGE_PATH_MAX], struct error *err)
{
    struct carried disk;
    if (!begin(v, "disk_import", id, err))
        return false;
    if (!find(v, STORED_DISK, id)) {
        if (!take_pieces(from, &disk, err) ||
            !begin(v, "disk_import ends", id, err))
            return false;
        if (size && size < disk.size)
            return error_set(err, ERR_INVALID, "smaller than its source");
        if (!make(v, STORED_DISK, id, NULL, size ? size : disk.size, path, err))
            return false;
        find(v, STORED_DISK, id)->content = disk.content;
        return true;
    }
    return make(v, STORED_DISK, id, NULL, size, path, err);
}

#define OPS                                                                    \
    .image_open_write = vol_image_open_write,                                  \
    .image_discard = vol_image_discard, .image_commit = vol_image_commit,      \
    .image_open_read = vol_image_open_read, .image_delete = vol_image_delete,  \
    .disk_create = vol_disk_create, .disk_blank = vol_disk_blank,              \
    .disk_clone = vol_disk_clone, .disk_delete = vol_disk_delete,              \
    .volume_create = vol_create, .volume_delete = vol_delete,                  \
    .volume_extend = vol_extend, .snapshot_begin = vol_snapshot_begin,         \
    .snapshot_create = vol_snapshot_create,                                    \
    .snapshot_delete = vol_snapshot_delete, .volume_to_image = vol_to_image,   \
    .list = vol_list, .stats = vol_stats, .tidy = vol_tidy,                    \
    .close = vol_close,

static const struct volume_ops ceph_ops = { OPS };
static const struct volume_ops local_ops = {
    OPS.disk_import = vol_disk_import,
};

/* ---- public
 * ---------------------------------------------------------------------------
 */

static struct sim_volumes *place_new(struct files *f, struct sim_node *n,
                                     const struct sim_node *at)
{
    struct sim_volumes *v = xcalloc(1, sizeof(*v));
    v->v.ops = at ? &local_ops : &ceph_ops;
    v->files = f;
    v->node = n;
    v->at = at;
    return v;
}

struct volumes *files_open(struct files *f, struct sim_node *n)
{
    struct sim_volumes *v = place_new(f, n, n->w->local ? n : NULL);
    if (world_is_pool(n->w) && !n->w->local) {
        v->own = place_new(f, n, n);
        v->own->images_at = n;
        v->v.own = &v->own->v;
    }
    return &v->v;
}
