#include "storage/local_driver.h"

#include "common/alloc.h"
#include "storage/heads.h"
#include "storage/inspect.h"
#include "storage/local_impl.h"
#include "storage/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define NOBODY 65534
#define QCOW2  ".qcow2"

struct local *local_of(struct volumes *v)
{
    return container_of(v, struct local, base);
}

/* The layers, entered until the scope is left. */
struct layers *local_enter(struct volumes *v)
{
    struct layers *l = &local_of(v)->layers;
    layers_enter(l);
    return l;
}

void local_leave(struct layers **l)
{
    layers_leave(*l);
}

/* The mutex of a volume's head, locked until the scope is left; after
 * local_enter(). */
static pthread_mutex_t *lock_head(struct volumes *v, const char *volume_id)
{
    unsigned h = 5381;
    for (const char *p = volume_id; *p; p++)
        h = h * 33 + (unsigned char)*p;
    pthread_mutex_t *m = &local_of(v)->heads[h % N_HEADS];
    pthread_mutex_lock(m);
    return m;
}

static void unlock_head(pthread_mutex_t **m)
{
    pthread_mutex_unlock(*m);
}
#define _autohead_ __attribute__((cleanup(unlock_head), unused))

bool local_name_check(const char *what, const char *name, struct error *err)
{
    return storage_name_ok(name) ||
           error_set(err, ERR_INVALID, "\"%.64s\" is no %s", name ? name : "",
                     what);
}

static bool size_check(int64_t size, struct error *err)
{
    return (size > 0 && size <= INSPECT_VIRTUAL_MAX && size % 512 == 0) ||
           error_set(err, ERR_INVALID, "%lld bytes is no size of a disk",
                     (long long)size);
}

bool local_path_out(const char *path, char out[STORAGE_PATH_MAX],
                    struct error *err)
{
    size_t n = strlen(path);
    if (n >= STORAGE_PATH_MAX)
        return error_set(err, ERR_INTERNAL, "path too long: %s", path);
    memcpy(out, path, n + 1);
    return true;
}

int local_open(const char *path, int flags, const char *what, const char *name,
               struct error *err)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        error_errno(err,
                    errno == ENOENT   ? ERR_NOT_FOUND
                    : errno == ENOSPC ? ERR_NO_SPACE
                                      : ERR_INTERNAL,
                    errno, "%s %s", what, name);
    return fd;
}

/* ---- disks and volumes ------------------------------------------------- */

void local_under_free(struct under *u)
{
    free(u->path);
}

static bool under_image(struct layers *l, const char *blob, struct under *u,
                        struct error *err)
{
    enum image_format format = FORMAT_RAW;
    struct inspection found;
    if (!local_blob_check(blob, &format, err))
        return false;
    u->path = layers_path(l, PLACE_IMAGES, blob, "");
    u->driver = format_driver(format);
    _autoclose_ int fd = local_open(u->path, O_RDONLY, "image", blob, err);
    if (fd < 0 || !inspect_fd(fd, format_name(format), &found, err))
        return false;
    u->size = found.virtual_size;
    return true;
}

static const struct {
    enum place place;
    const char *what;
} source_places[] = {
    [SOURCE_SNAPSHOT] = { PLACE_SNAPSHOTS, "snapshot" },
    [SOURCE_VOLUME] = { PLACE_VOLUMES, "volume" },
    [SOURCE_DISK] = { PLACE_DISKS, "disk" },
};

/* SOURCE_SNAPSHOT, SOURCE_VOLUME or SOURCE_DISK. */
bool local_under_qcow2(struct layers *l, enum volume_source from,
                       const char *id, struct under *u, struct error *err)
{
    const char *what = source_places[from].what;
    if (!local_name_check(what, id, err))
        return false;
    u->path = heads_path(l, source_places[from].place, id);
    u->driver = "qcow2";
    if (!layers_exists(u->path))
        return error_set(err, ERR_NOT_FOUND, "%s %s has no file", what, id);
    return layers_size(u->path, &u->size, err);
}

bool local_fits(const struct under *u, int64_t size, struct error *err)
{
    return size >= u->size ||
           error_set(err, ERR_INVALID,
                     "a disk of %lld bytes is smaller than what it is made "
                     "from (%lld bytes)",
                     (long long)size, (long long)u->size);
}

bool local_make(struct layers *l, const struct under *u, int64_t size,
                enum place place, const char *path, struct error *err)
{
    char gen[GENERATION_SIZE];
    return layers_new(l, u->path, u->driver, size, gen, err) &&
           layers_publish(l, gen, place, path, err);
}

static bool local_disk_create(struct volumes *v, const char *server_id,
                              const char *blob, int64_t size,
                              char path[STORAGE_PATH_MAX], struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    _autounder_ struct under u = { 0 };
    if (!local_name_check("server", server_id, err))
        return false;
    _autofree_ char *to = heads_path(l, PLACE_DISKS, server_id);
    if (!layers_exists(to)) {
        if (!under_image(l, blob, &u, err))
            return false;
        if (size == 0)
            size = u.size;
        if (!size_check(size, err) || !local_fits(&u, size, err) ||
            !local_make(l, &u, size, PLACE_DISKS, to, err))
            return false;
    }
    return local_path_out(to, path, err);
}

/* A page with a swap area's mark, to stand below the disk. */
static bool write_swap(struct layers *l, int64_t size, const char *path,
                       struct error *err)
{
    uint8_t page[SWAP_PAGE], uuid[16];
    env_random(l->env, uuid, sizeof(uuid));
    swap_header(page, size, uuid);
    unlink(path);
    _autoclose_ int fd =
        local_open(path, O_CREAT | O_EXCL | O_WRONLY, "swap disk", path, err);
    if (fd < 0)
        return false;
    if (write(fd, page, sizeof(page)) != sizeof(page))
        return error_errno(err, errno == ENOSPC ? ERR_NO_SPACE : ERR_INTERNAL,
                           errno, "cannot write %s", path);
    return layers_finish(l, path, true, err);
}

static bool make_swap(struct layers *l, const char *disk_id, int64_t size,
                      const char *to, struct error *err)
{
    struct under page = { .path = layers_path(l, PLACE_TMP, disk_id, ""),
                          .driver = "raw" };
    bool ok = write_swap(l, size, page.path, err) &&
              local_make(l, &page, size, PLACE_DISKS, to, err);
    unlink(page.path);
    local_under_free(&page);
    return ok;
}

static bool local_disk_blank(struct volumes *v, const char *disk_id,
                             int64_t size, bool swap,
                             char path[STORAGE_PATH_MAX], struct error *err)
{
    static const struct under nothing;
    _autoleave_ struct layers *l = local_enter(v);
    if (!local_name_check("disk", disk_id, err) || !size_check(size, err))
        return false;
    _autofree_ char *to = heads_path(l, PLACE_DISKS, disk_id);
    if (!layers_exists(to) &&
        !(swap ? make_swap(l, disk_id, size, to, err)
               : local_make(l, &nothing, size, PLACE_DISKS, to, err)))
        return false;
    return local_path_out(to, path, err);
}

static bool local_disk_delete(struct volumes *v, const char *server_id,
                              struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    if (!local_name_check("server", server_id, err))
        return false;
    _autohead_ pthread_mutex_t *m = lock_head(v, server_id);
    return heads_drop(l, PLACE_DISKS, server_id, err);
}

/* A clone stands on the frozen content of its source, as the source itself
 * does from then on. */
static bool make_clone(struct volumes *v, enum place place, const char *source,
                       const struct under *u, int64_t size, const char *path,
                       struct error *err)
{
    struct layers *l = &local_of(v)->layers;
    struct under frozen = *u;
    _autofree_ char *base = NULL;
    _autohead_ pthread_mutex_t *m = lock_head(v, source);
    if (!layers_freeze(l, place, u->path, &base, err))
        return false;
    frozen.path = base;
    bool ok = local_make(l, &frozen, size, place, path, err);
    layers_release(l, base, u->path);
    return ok;
}

static bool local_disk_clone(struct volumes *v, const char *disk_id,
                             const char *source_id, int64_t size,
                             char path[STORAGE_PATH_MAX], struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    _autounder_ struct under u = { 0 };
    if (!local_name_check("disk", disk_id, err))
        return false;
    _autofree_ char *to = heads_path(l, PLACE_DISKS, disk_id);
    if (!layers_exists(to)) {
        if (!local_under_qcow2(l, SOURCE_DISK, source_id, &u, err))
            return false;
        size = size ? size : u.size;
        if (!size_check(size, err) || !local_fits(&u, size, err) ||
            !make_clone(v, PLACE_DISKS, source_id, &u, size, to, err))
            return false;
    }
    return local_path_out(to, path, err);
}

static bool find_source(struct layers *l, const struct volume_spec *spec,
                        struct under *u, struct error *err)
{
    switch (spec->from) {
    case SOURCE_EMPTY:
        return true;
    case SOURCE_IMAGE:
        return under_image(l, spec->source, u, err);
    case SOURCE_SNAPSHOT:
    case SOURCE_VOLUME:
        return local_under_qcow2(l, spec->from, spec->source, u, err);
    case SOURCE_DISK:
        break;
    }
    return error_set(err, ERR_INTERNAL, "unknown source of a volume");
}

static bool local_volume_create(struct volumes *v, const char *volume_id,
                                const struct volume_spec *spec,
                                char path[STORAGE_PATH_MAX], struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    _autounder_ struct under u = { 0 };
    if (!local_name_check("volume", volume_id, err) ||
        !size_check(spec->size, err))
        return false;
    if (spec->luks || spec->multiattach)
        return error_set(err, ERR_NOT_IMPLEMENTED,
                         "a node's own disk has neither encrypted volumes nor "
                         "shared ones");
    _autofree_ char *to = heads_path(l, PLACE_VOLUMES, volume_id);
    if (!layers_exists(to)) {
        if (!find_source(l, spec, &u, err) || !local_fits(&u, spec->size, err))
            return false;
        if (!(spec->from == SOURCE_VOLUME
                  ? make_clone(v, PLACE_VOLUMES, spec->source, &u, spec->size,
                               to, err)
                  : local_make(l, &u, spec->size, PLACE_VOLUMES, to, err)))
            return false;
    }
    return local_path_out(to, path, err);
}

static bool local_volume_delete(struct volumes *v, const char *volume_id,
                                struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    if (!local_name_check("volume", volume_id, err))
        return false;
    _autohead_ pthread_mutex_t *m = lock_head(v, volume_id);
    return heads_drop(l, PLACE_VOLUMES, volume_id, err);
}

static bool local_volume_extend(struct volumes *v, const char *volume_id,
                                int64_t size, struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    _autounder_ struct under u = { 0 };
    if (!size_check(size, err) || !local_name_check("volume", volume_id, err))
        return false;
    _autohead_ pthread_mutex_t *m = lock_head(v, volume_id);
    if (!local_under_qcow2(l, SOURCE_VOLUME, volume_id, &u, err))
        return false;
    if (u.size >= size)
        return true;
    char bytes[32];
    snprintf(bytes, sizeof(bytes), "%lld", (long long)size);
    return layers_qemu_img(l, err, "resize", "-q", "-f", "qcow2", u.path, bytes,
                           NULL) &&
           layers_finish(l, u.path, false, err);
}

static bool snapshot_check(const char *snapshot_id, enum volume_source of,
                           const char *id, struct error *err)
{
    if (of != SOURCE_VOLUME && of != SOURCE_DISK)
        return error_set(err, ERR_INTERNAL, "a snapshot of what?");
    return local_name_check("snapshot", snapshot_id, err) &&
           local_name_check(source_places[of].what, id, err);
}

static bool local_snapshot_begin(struct volumes *v, const char *snapshot_id,
                                 enum volume_source of, const char *id,
                                 bool in_use, char path[STORAGE_PATH_MAX],
                                 bool *moved, struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    *moved = false;
    if (!snapshot_check(snapshot_id, of, id, err))
        return false;
    enum place place = source_places[of].place;
    _autohead_ pthread_mutex_t *m = lock_head(v, id);
    if (in_use && !heads_move(l, place, id, snapshot_id, err))
        return false;
    *moved = !heads_settled(l, place, id);
    _autofree_ char *head = heads_path(l, place, id);
    return local_path_out(head, path, err);
}

/* Freezes the head and gives the frozen one the snapshot's name. */
static bool freeze_as(struct layers *l, enum place place, const char *head,
                      const char *to, struct error *err)
{
    _autofree_ char *base = NULL;
    if (!layers_freeze(l, place, head, &base, err))
        return false;
    bool ok = layers_link(l, base, PLACE_SNAPSHOTS, to, err);
    layers_release(l, base, head);
    return ok;
}

static bool local_snapshot_create(struct volumes *v, const char *snapshot_id,
                                  enum volume_source of, const char *id,
                                  char path[STORAGE_PATH_MAX],
                                  struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    _autounder_ struct under u = { 0 };
    if (!snapshot_check(snapshot_id, of, id, err))
        return false;
    enum place place = source_places[of].place;
    _autohead_ pthread_mutex_t *m = lock_head(v, id);
    _autofree_ char *to = layers_path(l, PLACE_SNAPSHOTS, snapshot_id, QCOW2);
    bool ok = heads_settle(l, place, id, err) &&
              (layers_exists(to) || (local_under_qcow2(l, of, id, &u, err) &&
                                     freeze_as(l, place, u.path, to, err)));
    return ok && local_path_out(to, path, err);
}

static bool local_snapshot_delete(struct volumes *v, const char *snapshot_id,
                                  struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    if (!local_name_check("snapshot", snapshot_id, err))
        return false;
    _autofree_ char *path = layers_path(l, PLACE_SNAPSHOTS, snapshot_id, QCOW2);
    return layers_drop(l, path, err);
}

/* ---- the whole --------------------------------------------------------- */

struct listing {
    stored_fn *fn;
    void *arg;
    enum stored_kind kind;
};

static bool list_one(struct layers *l, void *arg, enum place place,
                     const char *name, struct error *err)
{
    const struct listing *list = arg;
    char id[256];
    struct stat st;
    _autofree_ char *path = layers_path(l, place, name, "");
    if (lstat(path, &st) < 0)
        return true; /* gone since */
    snprintf(id, sizeof(id), "%s", name);
    if (place != PLACE_UPLOADS && place != PLACE_IMAGES)
        heads_id(id);
    struct stored what = { .kind = list->kind,
                           .name = id,
                           .used = (int64_t)st.st_blocks * 512,
                           .changed = st.st_ctim.tv_sec * SECOND_US };
    list->fn(list->arg, &what);
    return true;
}

static bool local_list(struct volumes *v, stored_fn *fn, void *arg,
                       struct error *err)
{
    static const struct {
        enum place place;
        enum stored_kind kind;
    } all[] = {
        { PLACE_UPLOADS, STORED_UPLOAD },     { PLACE_IMAGES, STORED_IMAGE },
        { PLACE_DISKS, STORED_DISK },         { PLACE_VOLUMES, STORED_VOLUME },
        { PLACE_SNAPSHOTS, STORED_SNAPSHOT },
    };
    _autoleave_ struct layers *l = local_enter(v);
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        struct listing list = { fn, arg, all[i].kind };
        if (!layers_each(l, all[i].place, list_one, &list, err))
            return false;
    }
    return true;
}

static bool local_stats(struct volumes *v, struct storage_stats *out,
                        struct error *err)
{
    struct statvfs fs;
    const char *dir = local_of(v)->layers.dir;
    if (statvfs(dir, &fs) < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot look at %s", dir);
    out->total = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize;
    out->free = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    return true;
}

static bool local_tidy(struct volumes *v, struct error *err)
{
    return layers_tidy(&local_of(v)->layers, err);
}

static void local_close(struct volumes *v)
{
    struct local *d = local_of(v);
    layers_destroy(&d->layers);
    for (int i = 0; i < N_HEADS; i++)
        pthread_mutex_destroy(&d->heads[i]);
    free(d->root);
    free(d);
}

static const struct volume_ops local_ops = {
    .image_open_write = local_image_open_write,
    .image_discard = local_image_discard,
    .image_commit = local_image_commit,
    .image_open_read = local_image_open_read,
    .image_delete = local_image_delete,
    .disk_create = local_disk_create,
    .disk_blank = local_disk_blank,
    .disk_clone = local_disk_clone,
    .disk_export = local_disk_export,
    .disk_import = local_disk_import,
    .disk_delete = local_disk_delete,
    .volume_create = local_volume_create,
    .volume_delete = local_volume_delete,
    .volume_extend = local_volume_extend,
    .snapshot_begin = local_snapshot_begin,
    .snapshot_create = local_snapshot_create,
    .snapshot_delete = local_snapshot_delete,
    .volume_to_image = local_volume_to_image,
    .list = local_list,
    .stats = local_stats,
    .tidy = local_tidy,
    .close = local_close,
};

struct volumes *local_driver_open(const struct local_config *config,
                                  const struct env *env, struct error *err)
{
    struct local *d = xcalloc(1, sizeof(*d));
    d->base.ops = &local_ops;
    for (int i = 0; i < N_HEADS; i++)
        pthread_mutex_init(&d->heads[i], NULL);
    bool ok = layers_init(&d->layers, env, config->dir, err);
    d->layers.owner = config->owner;
    d->layers.group = config->group;
    d->layers.crash_point = config->crash_point;
    d->layers.crash_arg = config->crash_arg;
    d->root = layers_path(&d->layers, PLACE_ROOT, "", "");
    d->checker = (struct image_checker){
        .env = env,
        .qemu_img = d->layers.qemu_img,
        .root = d->root,
        .uid = config->sandbox_uid ? config->sandbox_uid : NOBODY,
        .gid = config->sandbox_gid ? config->sandbox_gid : NOBODY,
    };
    if (!ok || !layers_tidy(&d->layers, err)) {
        local_close(&d->base);
        return NULL;
    }
    return &d->base;
}
