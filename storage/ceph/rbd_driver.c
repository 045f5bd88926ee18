#include "storage/ceph/rbd_impl.h"

#include "common/alloc.h"
#include "storage/local_driver.h"
#include "storage/luks.h"
#include "storage/swap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY       65534
#define LUKS_KEY     "cairn.luks"
#define CACHE_AGE_US (600 * SECOND_US)

/* ---- disks and volumes --------------------------------------------------- */

static bool path_out(const struct rbd_driver *d, const char *name,
                     char out[STORAGE_PATH_MAX], struct error *err)
{
    int n =
        snprintf(out, STORAGE_PATH_MAX, RBD_PATH_PREFIX "%s/%s", d->pool, name);
    return n < STORAGE_PATH_MAX ||
           error_set(err, ERR_INTERNAL, "path too long: %s", name);
}

/* 0: as large as the source. */
static bool is_enough(int64_t size, int64_t source, struct error *err)
{
    return size == 0 || size >= source ||
           error_set(err, ERR_INVALID,
                     "a disk of %lld bytes is smaller than what it is made "
                     "from (%lld bytes)",
                     (long long)size, (long long)source);
}

/* A clone of a sealed image, at least as large. */
static bool clone_sealed(struct rbd_driver *d, const char *from, int64_t size,
                         const char *name, struct error *err)
{
    struct rbd_facts facts;
    if (!rbd_image_facts(d->io, from, &facts, err))
        return false;
    if (!facts.sealed)
        return error_set(err, ERR_NOT_FOUND, "%s is not complete", from);
    return is_enough(size, facts.size, err) &&
           rbd_image_clone(d->io, from, RBD_SEAL, name, size, err);
}

static bool pool_disk_create(struct volumes *v, const char *server_id,
                             const char *blob, int64_t size,
                             char path[STORAGE_PATH_MAX], struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    char disk[RBD_NAME_MAX], image[RBD_NAME_MAX];
    return rbd_may_make(d, err) && rbd_name_of(disk, "disk", server_id, err) &&
           rbd_name_of_blob(image, "image", blob, err) &&
           clone_sealed(d, image, size, disk, err) &&
           path_out(d, disk, path, err);
}

static bool write_swap(struct rbd_driver *d, const char *disk, int64_t size,
                       struct error *err)
{
    uint8_t page[SWAP_PAGE], uuid[16];
    env_random(d->env, uuid, sizeof(uuid));
    swap_header(page, size, uuid);
    _autoclose_ int fd = memfd_create("swap", MFD_CLOEXEC);
    if (fd < 0 || write(fd, page, sizeof(page)) != sizeof(page) ||
        ftruncate(fd, size) < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot write a page");
    return rbd_image_fill(d->io, disk, fd, err);
}

static bool pool_disk_blank(struct volumes *v, const char *disk_id,
                            int64_t size, bool swap,
                            char path[STORAGE_PATH_MAX], struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    char disk[RBD_NAME_MAX];
    return rbd_may_make(d, err) && rbd_name_of(disk, "disk", disk_id, err) &&
           rbd_image_make(d->io, disk, size, err) &&
           (!swap || write_swap(d, disk, size, err)) &&
           path_out(d, disk, path, err);
}

static bool remove_named(struct volumes *v, const char *kind, const char *id,
                         struct error *err)
{
    char name[RBD_NAME_MAX];
    return rbd_name_of(name, kind, id, err) &&
           rbd_image_remove(rbd_driver_of(v)->io, name, err);
}

static bool pool_disk_delete(struct volumes *v, const char *server_id,
                             struct error *err)
{
    return remove_named(v, "disk", server_id, err);
}

/* What the images are called that others are made from. */
static const char *const prefixes[] = {
    [SOURCE_SNAPSHOT] = "snapshot",
    [SOURCE_VOLUME] = "volume",
    [SOURCE_DISK] = "disk",
};

bool rbd_clone_of(struct rbd_driver *d, enum volume_source from, const char *id,
                  const char *name, int64_t size, struct error *err)
{
    char volume[RBD_NAME_MAX];
    struct rbd_facts facts;
    if (!rbd_name_of(volume, prefixes[from], id, err))
        return false;
    if (rbd_image_facts(d->io, name, &facts, NULL))
        return rbd_image_grow(d->io, name, size, err) &&
               rbd_image_unsnap(d->io, volume, name, err);
    if (!rbd_image_facts(d->io, volume, &facts, err) ||
        !is_enough(size, facts.size, err))
        return false;
    return rbd_image_snap(d->io, volume, name, err) &&
           rbd_image_clone(d->io, volume, name, name, size, err) &&
           rbd_image_unsnap(d->io, volume, name, err);
}

static bool pool_disk_clone(struct volumes *v, const char *disk_id,
                            const char *source_id, int64_t size,
                            char path[STORAGE_PATH_MAX], struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    char disk[RBD_NAME_MAX];
    return rbd_may_make(d, err) && rbd_name_of(disk, "disk", disk_id, err) &&
           rbd_clone_of(d, SOURCE_DISK, source_id, disk, size, err) &&
           path_out(d, disk, path, err);
}

/* What an encrypted volume is made from, as a file: NULL, empty. */
static bool fetch_source(struct rbd_driver *d, const struct volume_spec *spec,
                         const char *raw, struct error *err)
{
    char from[RBD_NAME_MAX];
    struct rbd_facts facts;
    int64_t room = spec->size - luks_overhead(spec->luks->key_size);
    _autoclose_ int fd = rbd_new_file(d, raw, err);
    return fd >= 0 && rbd_name_of_blob(from, "image", spec->source, err) &&
           rbd_image_facts(d->io, from, &facts, err) &&
           is_enough(room, facts.size, err) &&
           rbd_fetch(d, from, facts.size, fd, err);
}

/* By way of a file of this node.  One that is finished says so: its header
 * must never be written again. */
static bool make_encrypted(struct rbd_driver *d, const char *name,
                           const struct volume_spec *spec, struct error *err)
{
    char made[8];
    if (rbd_image_noted(d->io, name, LUKS_KEY, made, sizeof(made), NULL))
        return rbd_image_grow(d->io, name, spec->size, err);
    bool image = spec->from == SOURCE_IMAGE;
    _autofree_ char *suffixed = xasprintf("%s.raw", name);
    _autodrop_ char *raw = rbd_file_in(d->cache, suffixed);
    _autodrop_ char *file = rbd_file_in(d->cache, name);
    int64_t room = spec->size - luks_overhead(spec->luks->key_size);
    unlink(file);
    if ((image && !fetch_source(d, spec, raw, err)) ||
        !luks_make(spec->luks, image ? raw : NULL, room, file, d->env, err))
        return false;
    _autoclose_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot open %s", file);
    return rbd_image_make(d->io, name, spec->size, err) &&
           rbd_image_fill(d->io, name, fd, err) &&
           rbd_image_note(d->io, name, LUKS_KEY, "made", err);
}

static bool make_plain(struct rbd_driver *d, const char *name,
                       const struct volume_spec *spec, struct error *err)
{
    char from[RBD_NAME_MAX];
    if (spec->from == SOURCE_EMPTY)
        return rbd_image_make(d->io, name, spec->size, err);
    return rbd_name_of_blob(from, "image", spec->source, err) &&
           clone_sealed(d, from, spec->size, name, err);
}

static bool pool_volume_create(struct volumes *v, const char *volume_id,
                               const struct volume_spec *spec,
                               char path[STORAGE_PATH_MAX], struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    char name[RBD_NAME_MAX], from[RBD_NAME_MAX];
    if (!rbd_may_make(d, err) || !rbd_name_of(name, "volume", volume_id, err))
        return false;
    bool ok = false;
    switch (spec->from) {
    case SOURCE_EMPTY:
    case SOURCE_IMAGE:
        ok = spec->luks ? make_encrypted(d, name, spec, err)
                        : make_plain(d, name, spec, err);
        break;
    case SOURCE_SNAPSHOT:
        ok = rbd_name_of(from, "snapshot", spec->source, err) &&
             clone_sealed(d, from, spec->size, name, err);
        break;
    case SOURCE_VOLUME:
        ok =
            rbd_clone_of(d, SOURCE_VOLUME, spec->source, name, spec->size, err);
        break;
    case SOURCE_DISK:
        ok = error_set(err, ERR_INTERNAL, "volumes are not made from disks");
        break;
    }
    return ok && (!spec->multiattach || rbd_image_share(d->io, name, err)) &&
           path_out(d, name, path, err);
}

static bool pool_volume_delete(struct volumes *v, const char *volume_id,
                               struct error *err)
{
    return remove_named(v, "volume", volume_id, err);
}

static bool pool_volume_extend(struct volumes *v, const char *volume_id,
                               int64_t size, struct error *err)
{
    char name[RBD_NAME_MAX];
    return rbd_name_of(name, "volume", volume_id, err) &&
           rbd_image_grow(rbd_driver_of(v)->io, name, size, err);
}

/* Ceph takes snapshots of what guests write to: nothing is to be moved. */
static bool pool_snapshot_begin(struct volumes *v, const char *snapshot_id,
                                enum volume_source of, const char *id,
                                bool in_use, char path[STORAGE_PATH_MAX],
                                bool *moved, struct error *err)
{
    char name[RBD_NAME_MAX];
    *moved = false;
    return rbd_name_of(name, prefixes[of], id, err) &&
           path_out(rbd_driver_of(v), name, path, err);
}

static bool pool_snapshot_create(struct volumes *v, const char *snapshot_id,
                                 enum volume_source of, const char *id,
                                 char path[STORAGE_PATH_MAX], struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    char name[RBD_NAME_MAX];
    return rbd_name_of(name, "snapshot", snapshot_id, err) &&
           rbd_clone_of(d, of, id, name, 0, err) &&
           rbd_image_snap(d->io, name, RBD_SEAL, err) &&
           path_out(d, name, path, err);
}

static bool pool_snapshot_delete(struct volumes *v, const char *snapshot_id,
                                 struct error *err)
{
    return remove_named(v, "snapshot", snapshot_id, err);
}

/* ---- the whole ----------------------------------------------------------- */

static const struct {
    const char *prefix;
    enum stored_kind kind;
} kinds[] = {
    { "image.", STORED_IMAGE },
    { "disk.", STORED_DISK },
    { "volume.", STORED_VOLUME },
    { "snapshot.", STORED_SNAPSHOT },
};

struct listing {
    struct rbd_driver *d;
    stored_fn *fn;
    void *arg;
};

/* An image is listed by its blob; one without a description was never
 * finished, and stands for its upload. */
static void list_image(const struct listing *l, const char *image,
                       const char *upload_id, struct stored *what)
{
    struct image_info info;
    what->kind = STORED_UPLOAD;
    what->name = upload_id;
    if (rbd_info_read(l->d, image, &info, NULL)) {
        what->kind = STORED_IMAGE;
        what->name = info.blob;
    }
    l->fn(l->arg, what);
}

static void list_name(void *arg, const char *name)
{
    const struct listing *l = arg;
    struct rbd_facts facts;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        size_t n = strlen(kinds[i].prefix);
        if (strncmp(name, kinds[i].prefix, n) != 0 ||
            !rbd_image_facts(l->d->io, name, &facts, NULL))
            continue;
        struct stored what = { .kind = kinds[i].kind,
                               .name = name + n,
                               .used = facts.size,
                               .changed = facts.created };
        if (what.kind == STORED_IMAGE)
            list_image(l, name, name + n, &what);
        else
            l->fn(l->arg, &what);
    }
}

static bool pool_list(struct volumes *v, stored_fn *fn, void *arg,
                      struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    struct listing l = { d, fn, arg };
    return rbd_image_each(d->io, list_name, &l, err);
}

/* As the monitors count it: what the pool can still take, its copies
 * reckoned in. */
static bool stats_of_pool(struct rbd_driver *d, json_t *df,
                          struct storage_stats *out, struct error *err)
{
    size_t i;
    json_t *pool;
    json_array_foreach(json_object_get(df, "pools"), i, pool)
    {
        const char *name = json_string_value(json_object_get(pool, "name"));
        json_t *stats = json_object_get(pool, "stats");
        if (!name || strcmp(name, d->pool) != 0)
            continue;
        out->free = json_integer_value(json_object_get(stats, "max_avail"));
        out->total =
            out->free + json_integer_value(json_object_get(stats, "stored"));
        return true;
    }
    return error_set(err, ERR_NOT_FOUND, "Ceph pool %s", d->pool);
}

static bool pool_stats(struct volumes *v, struct storage_stats *out,
                       struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    _autojson_ json_t *df = NULL;
    return ceph_command(
               d->ceph,
               json_pack("{ss ss}", "prefix", "df", "detail", "detail"), NULL,
               &df, err) &&
           stats_of_pool(d, df, out, err);
}

static void tidy_cache(struct rbd_driver *d)
{
    DIR *dir = opendir(d->cache);
    struct stat st;
    int64_t before = env_now(d->env) - CACHE_AGE_US;
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_ctim.tv_sec * SECOND_US < before)
            unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        closedir(dir);
}

static bool pool_tidy(struct volumes *v, struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    tidy_cache(d);
    return d->staging->ops->tidy(d->staging, err) &&
           rbd_image_purge(d->io, err);
}

static void pool_close(struct volumes *v)
{
    struct rbd_driver *d = rbd_driver_of(v);
    if (d->staging)
        d->staging->ops->close(d->staging);
    if (d->io)
        rados_ioctx_destroy(d->io);
    pthread_mutex_destroy(&d->room.lock);
    free(d->pool);
    free(d->dir);
    free(d->cache);
    free(d->root);
    free(d);
}

static const struct volume_ops pool_ops = {
    .image_open_write = rbd_pool_image_open_write,
    .image_discard = rbd_pool_image_discard,
    .image_commit = rbd_pool_image_commit,
    .image_open_read = rbd_pool_image_open_read,
    .image_delete = rbd_pool_image_delete,
    .disk_create = pool_disk_create,
    .disk_blank = pool_disk_blank,
    .disk_clone = pool_disk_clone,
    .disk_delete = pool_disk_delete,
    .volume_create = pool_volume_create,
    .volume_delete = pool_volume_delete,
    .volume_extend = pool_volume_extend,
    .snapshot_begin = pool_snapshot_begin,
    .snapshot_create = pool_snapshot_create,
    .snapshot_delete = pool_snapshot_delete,
    .volume_to_image = rbd_pool_volume_to_image,
    .list = pool_list,
    .stats = pool_stats,
    .tidy = pool_tidy,
    .close = pool_close,
};

static bool open_staging(struct rbd_driver *d, const struct rbd_config *config,
                         struct error *err)
{
    struct local_config local = { .dir = config->dir,
                                  .owner = config->owner,
                                  .group = d->checker.gid,
                                  .sandbox_uid = config->sandbox_uid,
                                  .sandbox_gid = config->sandbox_gid };
    d->staging = local_driver_open(&local, d->env, err);
    if (!d->staging)
        return false;
    d->base.own = d->staging;
    return mkdir(d->cache, 0711) == 0 || errno == EEXIST ||
           error_errno(err, ERR_INTERNAL, errno, "cannot make %s", d->cache);
}

struct volumes *rbd_driver_open(const struct rbd_config *config,
                                const struct env *env, struct error *err)
{
    struct rbd_driver *d = xcalloc(1, sizeof(*d));
    d->base.ops = &pool_ops;
    d->env = env;
    d->ceph = config->ceph;
    d->pool = xstrdup(config->pool);
    d->dir = xstrdup(config->dir);
    d->cache = rbd_file_in(config->dir, "cache");
    d->root = rbd_file_in(config->dir, "root");
    d->checker = (struct image_checker){
        .env = env,
        .qemu_img = "/usr/bin/qemu-img",
        .root = d->root,
        .uid = config->sandbox_uid ? config->sandbox_uid : NOBODY,
        /* What the staging keeps is read by both, sandboxes and guests. */
        .gid = config->sandbox_gid ? config->sandbox_gid
               : config->group     ? config->group
                                   : NOBODY,
    };
    pthread_mutex_init(&d->room.lock, NULL);
    d->io = ceph_pool(d->ceph, d->pool, err);
    /* In a full cluster what is removed must go, and what is written fails
     * instead of waiting for room. */
    if (d->io)
        rados_set_pool_full_try(d->io);
    if (!d->io || !open_staging(d, config, err)) {
        pool_close(&d->base);
        return NULL;
    }
    return &d->base;
}
