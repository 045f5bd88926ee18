#include "storage/ceph/rbd_driver.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/ceph/ceph_io.h"
#include "storage/ceph/rbd_image.h"
#include "storage/digest.h"
#include "storage/image_check.h"
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

#define NOBODY       65534
#define INFO_KEY     "cairn.image"
#define LUKS_KEY     "cairn.luks"
#define INFO_MAX     1024
#define CACHE_AGE_US (600 * SECOND_US)

struct rbd_driver {
    struct volumes base;
    const struct env *env;
    struct ceph *ceph;
    rados_ioctx_t io;
    char *pool, *dir, *cache, *root;
    struct volumes *staging; /* uploads, until they are in the cluster */
    struct image_checker checker;
};

static struct rbd_driver *driver_of(struct volumes *v)
{
    return container_of(v, struct rbd_driver, base);
}

/* ---- names -------------------------------------------------------------- */

/* "<kind>.<name>" in `out`. */
static bool name_of(char out[RBD_NAME_MAX], const char *kind, const char *name,
                    struct error *err)
{
    if (!storage_name_ok(name))
        return error_set(err, ERR_INVALID, "\"%.64s\" is no name of a %s",
                         name ? name : "", kind);
    snprintf(out, RBD_NAME_MAX, "%s.%s", kind, name);
    return true;
}

/* A blob is "<upload id>.<format>"; what it holds is named by the former. */
static bool name_of_blob(char out[RBD_NAME_MAX], const char *kind,
                         const char *blob, struct error *err)
{
    if (!name_of(out, kind, blob, err))
        return false;
    char *dot = strrchr(out + strlen(kind) + 1, '.');
    if (!dot)
        return error_set(err, ERR_INVALID, "\"%s\" is no image", blob);
    *dot = '\0';
    return true;
}

static bool path_out(const struct rbd_driver *d, const char *name,
                     char out[STORAGE_PATH_MAX], struct error *err)
{
    int n =
        snprintf(out, STORAGE_PATH_MAX, RBD_PATH_PREFIX "%s/%s", d->pool, name);
    return n < STORAGE_PATH_MAX ||
           error_set(err, ERR_INTERNAL, "path too long: %s", name);
}

static char *file_in(const char *dir, const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

/* ---- what is known of an image ------------------------------------------ */

static bool info_write(struct rbd_driver *d, const char *image,
                       const struct image_info *info, struct error *err)
{
    _autojson_ json_t *j =
        json_pack("{ss ss sI sI ss ss}", "blob", info->blob, "format",
                  info->format, "size", (json_int_t)info->size, "virtual_size",
                  (json_int_t)info->virtual_size, "md5", info->md5, "sha512",
                  info->sha512);
    _autofree_ char *text = json_dumps(j, JSON_COMPACT);
    return rbd_image_note(d->io, image, INFO_KEY, text, err);
}

static void copy_text(char *to, size_t size, json_t *j, const char *key)
{
    const char *text = json_string_value(json_object_get(j, key));
    snprintf(to, size, "%s", text ? text : "");
}

static bool info_read(struct rbd_driver *d, const char *image,
                      struct image_info *info, struct error *err)
{
    char text[INFO_MAX];
    if (!rbd_image_noted(d->io, image, INFO_KEY, text, sizeof(text), err))
        return false;
    _autojson_ json_t *j = json_loads(text, 0, NULL);
    *info = (struct image_info){
        .size = json_integer_value(json_object_get(j, "size")),
        .virtual_size = json_integer_value(json_object_get(j, "virtual_size")),
    };
    copy_text(info->blob, sizeof(info->blob), j, "blob");
    copy_text(info->format, sizeof(info->format), j, "format");
    copy_text(info->md5, sizeof(info->md5), j, "md5");
    copy_text(info->sha512, sizeof(info->sha512), j, "sha512");
    return info->blob[0] ||
           error_set(err, ERR_INTERNAL, "RBD image %s: its %s is broken", image,
                     INFO_KEY);
}

/* Its content is the very bytes that were uploaded. */
static bool is_plain(const struct image_info *info)
{
    return strcmp(info->format, "qcow2") != 0;
}

static bool is_sealed(struct rbd_driver *d, const char *name)
{
    struct rbd_facts facts;
    return rbd_image_facts(d->io, name, &facts, NULL) && facts.sealed;
}

/* ---- images: uploads ----------------------------------------------------- */

static int pool_image_open_write(struct volumes *v, const char *upload_id,
                                 struct error *err)
{
    struct volumes *s = driver_of(v)->staging;
    return s->ops->image_open_write(s, upload_id, err);
}

static bool remove_image(struct rbd_driver *d, const char *name,
                         struct error *err)
{
    static const char *const kinds[] = { "image", "bytes" };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        char image[RBD_NAME_MAX];
        if (!name_of(image, kinds[i], name, err) ||
            !rbd_image_remove(d->io, image, err))
            return false;
    }
    return true;
}

static bool pool_image_discard(struct volumes *v, const char *upload_id,
                               struct error *err)
{
    struct rbd_driver *d = driver_of(v);
    return d->staging->ops->image_discard(d->staging, upload_id, err) &&
           remove_image(d, upload_id, err);
}

/* A sealed image of `size` bytes with a file's content, and `info` (may be
 * NULL).  One that is there unsealed was interrupted and is made anew. */
static bool import(struct rbd_driver *d, const char *name, int64_t size, int fd,
                   const struct image_info *info, struct error *err)
{
    return is_sealed(d, name) || (rbd_image_remove(d->io, name, err) &&
                                  rbd_image_make(d->io, name, size, err) &&
                                  rbd_image_fill(d->io, name, fd, err) &&
                                  (!info || info_write(d, name, info, err)) &&
                                  rbd_image_snap(d->io, name, RBD_SEAL, err));
}

/* An empty file of the sandbox's user at `path`. */
static int new_file(struct rbd_driver *d, const char *path, struct error *err)
{
    unlink(path);
    _autoclose_ int fd =
        open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fchown(fd, d->checker.uid, d->checker.gid) < 0) {
        error_errno(err, errno == ENOSPC ? ERR_NO_SPACE : ERR_INTERNAL, errno,
                    "cannot make %s", path);
        return -1;
    }
    return steal_fd(&fd);
}

static void drop_file(char **path)
{
    if (*path)
        unlink(*path);
    free(*path);
}
#define _autodrop_ _cleanup_(drop_file)

/* The disk in a qcow2 file, as an image of the cluster.  It may be sparse;
 * qemu-img unpacks it in the sandbox. */
static bool import_qcow2(struct rbd_driver *d, const char *name,
                         const char *path, const struct image_info *info,
                         struct error *err)
{
    struct inspection found = { FORMAT_QCOW2, info->virtual_size };
    _autodrop_ char *raw = file_in(d->cache, name);
    _autoclose_ int fd = new_file(d, raw, err);
    return fd >= 0 &&
           image_convert(&d->checker, path, &found, "raw", raw, err) &&
           import(d, name, info->virtual_size, fd, info, err);
}

/* The committed upload goes to the cluster, what is uploaded first: the image
 * is there when it is sealed. */
static bool publish(struct rbd_driver *d, const char *upload_id,
                    const struct image_info *info, struct error *err)
{
    char image[RBD_NAME_MAX], bytes[RBD_NAME_MAX];
    _autofree_ char *images = file_in(d->dir, "images");
    _autofree_ char *path = file_in(images, info->blob);
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot open %s", path);
    if (!name_of(image, "image", upload_id, err) ||
        !name_of(bytes, "bytes", upload_id, err))
        return false;
    return is_plain(info) ? import(d, image, info->virtual_size, fd, info, err)
                          : import(d, bytes, info->size, fd, NULL, err) &&
                                import_qcow2(d, image, path, info, err);
}

static bool pool_image_commit(struct volumes *v, const char *upload_id,
                              const char *disk_format, struct image_info *info,
                              struct error *err)
{
    struct rbd_driver *d = driver_of(v);
    char image[RBD_NAME_MAX];
    if (!name_of(image, "image", upload_id, err))
        return false;
    if (!is_sealed(d, image) || !info_read(d, image, info, err)) {
        if (!d->staging->ops->image_commit(d->staging, upload_id, disk_format,
                                           info, err) ||
            !publish(d, upload_id, info, err))
            return false;
    }
    return d->staging->ops->image_discard(d->staging, upload_id, err);
}

/* ---- images: reading ----------------------------------------------------- */

struct sink {
    int fd;
    int64_t at;
    struct digest *digest; /* or NULL */
};

/* What is zero stays a hole. */
static bool sink_piece(void *arg, const void *data, size_t len,
                       struct error *err)
{
    struct sink *s = arg;
    const char *p = data;
    if (s->digest)
        digest_add(s->digest, data, len);
    if (s->fd >= 0 && (p[0] || memcmp(p, p + 1, len - 1) != 0) &&
        pwrite(s->fd, data, len, s->at) != (ssize_t)len)
        return error_errno(err, errno == ENOSPC ? ERR_NO_SPACE : ERR_INTERNAL,
                           errno, "cannot write the image to a file");
    s->at += (int64_t)len;
    return true;
}

static bool fetch(struct rbd_driver *d, const char *name, int64_t size, int fd,
                  struct error *err)
{
    struct sink sink = { .fd = fd };
    if (!rbd_image_read(d->io, name, size, sink_piece, &sink, err))
        return false;
    return ftruncate(fd, size) == 0 ||
           error_errno(err, ERR_INTERNAL, errno,
                       "cannot size the image's file");
}

/* From the cluster to the cache; `file` appears complete. */
static bool fill_cache(struct rbd_driver *d, const char *blob, const char *file,
                       struct error *err)
{
    char image[RBD_NAME_MAX], bytes[RBD_NAME_MAX], unique[33];
    struct image_info info;
    if (!name_of_blob(image, "image", blob, err) ||
        !name_of_blob(bytes, "bytes", blob, err) ||
        !info_read(d, image, &info, err))
        return false;
    env_hex_id(d->env, unique);
    _autodrop_ char *tmp = file_in(d->cache, unique);
    _autoclose_ int fd = new_file(d, tmp, err);
    if (fd < 0 ||
        !fetch(d, is_plain(&info) ? image : bytes, info.size, fd, err))
        return false;
    return rename(tmp, file) == 0 ||
           error_errno(err, ERR_INTERNAL, errno, "cannot rename to %s", file);
}

static int pool_image_open_read(struct volumes *v, const char *blob,
                                struct error *err)
{
    struct rbd_driver *d = driver_of(v);
    if (!storage_name_ok(blob)) {
        error_set(err, ERR_INVALID, "\"%.64s\" is no image", blob);
        return -1;
    }
    _autofree_ char *file = file_in(d->cache, blob);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && fill_cache(d, blob, file, err)) {
        fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            error_errno(err, ERR_INTERNAL, errno, "image %s", blob);
    }
    return fd;
}

static bool pool_image_delete(struct volumes *v, const char *blob,
                              struct error *err)
{
    struct rbd_driver *d = driver_of(v);
    char image[RBD_NAME_MAX];
    if (!name_of_blob(image, "image", blob, err))
        return false;
    _autofree_ char *file = file_in(d->cache, blob);
    unlink(file);
    return remove_image(d, image + strlen("image."), err);
}

/* ---- disks and volumes --------------------------------------------------- */

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
    struct rbd_driver *d = driver_of(v);
    char disk[RBD_NAME_MAX], image[RBD_NAME_MAX];
    return name_of(disk, "disk", server_id, err) &&
           name_of_blob(image, "image", blob, err) &&
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
    struct rbd_driver *d = driver_of(v);
    char disk[RBD_NAME_MAX];
    return name_of(disk, "disk", disk_id, err) &&
           rbd_image_make(d->io, disk, size, err) &&
           (!swap || write_swap(d, disk, size, err)) &&
           path_out(d, disk, path, err);
}

static bool remove_named(struct volumes *v, const char *kind, const char *id,
                         struct error *err)
{
    char name[RBD_NAME_MAX];
    return name_of(name, kind, id, err) &&
           rbd_image_remove(driver_of(v)->io, name, err);
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

/* A copy of a volume, snapshot or disk as it is now; the snapshot between the
 * two has no name afterwards. */
static bool clone_of(struct rbd_driver *d, enum volume_source from,
                     const char *id, const char *name, int64_t size,
                     struct error *err)
{
    char volume[RBD_NAME_MAX];
    struct rbd_facts facts;
    if (!name_of(volume, prefixes[from], id, err))
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
    char disk[RBD_NAME_MAX];
    return name_of(disk, "disk", disk_id, err) &&
           clone_of(driver_of(v), SOURCE_DISK, source_id, disk, size, err) &&
           path_out(driver_of(v), disk, path, err);
}

/* What an encrypted volume is made from, as a file: NULL, empty. */
static bool fetch_source(struct rbd_driver *d, const struct volume_spec *spec,
                         const char *raw, struct error *err)
{
    char from[RBD_NAME_MAX];
    struct rbd_facts facts;
    int64_t room = spec->size - luks_overhead(spec->luks->key_size);
    _autoclose_ int fd = new_file(d, raw, err);
    return fd >= 0 && name_of_blob(from, "image", spec->source, err) &&
           rbd_image_facts(d->io, from, &facts, err) &&
           is_enough(room, facts.size, err) &&
           fetch(d, from, facts.size, fd, err);
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
    _autodrop_ char *raw = file_in(d->cache, suffixed);
    _autodrop_ char *file = file_in(d->cache, name);
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
    return name_of_blob(from, "image", spec->source, err) &&
           clone_sealed(d, from, spec->size, name, err);
}

static bool pool_volume_create(struct volumes *v, const char *volume_id,
                               const struct volume_spec *spec,
                               char path[STORAGE_PATH_MAX], struct error *err)
{
    struct rbd_driver *d = driver_of(v);
    char name[RBD_NAME_MAX], from[RBD_NAME_MAX];
    if (!name_of(name, "volume", volume_id, err))
        return false;
    bool ok = false;
    switch (spec->from) {
    case SOURCE_EMPTY:
    case SOURCE_IMAGE:
        ok = spec->luks ? make_encrypted(d, name, spec, err)
                        : make_plain(d, name, spec, err);
        break;
    case SOURCE_SNAPSHOT:
        ok = name_of(from, "snapshot", spec->source, err) &&
             clone_sealed(d, from, spec->size, name, err);
        break;
    case SOURCE_VOLUME:
        ok = clone_of(d, SOURCE_VOLUME, spec->source, name, spec->size, err);
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
    return name_of(name, "volume", volume_id, err) &&
           rbd_image_grow(driver_of(v)->io, name, size, err);
}

/* Ceph takes snapshots of what guests write to: nothing is to be moved. */
static bool pool_snapshot_begin(struct volumes *v, const char *snapshot_id,
                                enum volume_source of, const char *id,
                                bool in_use, char path[STORAGE_PATH_MAX],
                                bool *moved, struct error *err)
{
    char name[RBD_NAME_MAX];
    *moved = false;
    return name_of(name, prefixes[of], id, err) &&
           path_out(driver_of(v), name, path, err);
}

static bool pool_snapshot_create(struct volumes *v, const char *snapshot_id,
                                 enum volume_source of, const char *id,
                                 char path[STORAGE_PATH_MAX], struct error *err)
{
    struct rbd_driver *d = driver_of(v);
    char name[RBD_NAME_MAX];
    return name_of(name, "snapshot", snapshot_id, err) &&
           clone_of(d, of, id, name, 0, err) &&
           rbd_image_snap(d->io, name, RBD_SEAL, err) &&
           path_out(d, name, path, err);
}

static bool pool_snapshot_delete(struct volumes *v, const char *snapshot_id,
                                 struct error *err)
{
    return remove_named(v, "snapshot", snapshot_id, err);
}

/* ---- a volume as an image ------------------------------------------------ */

/* The checksums of a sealed image's content. */
static bool digest_image(struct rbd_driver *d, const char *name, int64_t size,
                         struct image_info *info, struct error *err)
{
    struct sink sink = { .fd = -1, .digest = digest_new() };
    bool ok = rbd_image_read(d->io, name, size, sink_piece, &sink, err);
    if (ok)
        digest_end(sink.digest, info->md5, info->sha512);
    digest_free(sink.digest);
    return ok;
}

/* Packs the image's content as qcow2 and keeps that beside it, as an upload
 * would have brought it. */
static bool pack(struct rbd_driver *d, const char *image, const char *bytes,
                 struct image_info *info, struct error *err)
{
    struct inspection found = { FORMAT_RAW, info->virtual_size };
    struct stat st;
    _autodrop_ char *raw = file_in(d->cache, image);
    _autodrop_ char *packed = file_in(d->cache, bytes);
    _autoclose_ int from = new_file(d, raw, err);
    _autoclose_ int to = new_file(d, packed, err);
    if (from < 0 || to < 0 || !fetch(d, image, info->virtual_size, from, err) ||
        !image_convert(&d->checker, raw, &found, "qcow2", packed, err))
        return false;
    if (fstat(to, &st) < 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", packed);
    info->size = st.st_size;
    return digest_fd(to, info->md5, info->sha512, err) &&
           import(d, bytes, info->size, to, NULL, err);
}

static bool describe_volume(const char *upload_id, const char *disk_format,
                            int64_t size, struct image_info *info,
                            struct error *err)
{
    *info = (struct image_info){ .size = size, .virtual_size = size };
    if (!disk_format ||
        (strcmp(disk_format, "qcow2") != 0 && strcmp(disk_format, "raw") != 0))
        return error_set(err, ERR_MEDIA_TYPE,
                         "volumes are uploaded as qcow2 or raw, not as "
                         "\"%.32s\"",
                         disk_format ? disk_format : "");
    int n = snprintf(info->blob, sizeof(info->blob), "%s.%s", upload_id,
                     disk_format);
    snprintf(info->format, sizeof(info->format), "%s", disk_format);
    return n < (int)sizeof(info->blob) ||
           error_set(err, ERR_INVALID, "upload id too long");
}

static bool pool_volume_to_image(struct volumes *v, enum volume_source from,
                                 const char *source, const char *upload_id,
                                 const char *disk_format,
                                 struct image_info *info, struct error *err)
{
    struct rbd_driver *d = driver_of(v);
    char image[RBD_NAME_MAX], bytes[RBD_NAME_MAX];
    struct rbd_facts facts;
    if (!name_of(image, "image", upload_id, err) ||
        !name_of(bytes, "bytes", upload_id, err))
        return false;
    if (is_sealed(d, image))
        return info_read(d, image, info, err);
    if (!clone_of(d, from, source, image, 0, err) ||
        !rbd_image_facts(d->io, image, &facts, err) ||
        !describe_volume(upload_id, disk_format, facts.size, info, err))
        return false;
    bool ok = is_plain(info) ? digest_image(d, image, facts.size, info, err)
                             : pack(d, image, bytes, info, err);
    return ok && info_write(d, image, info, err) &&
           rbd_image_snap(d->io, image, RBD_SEAL, err);
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
    if (info_read(l->d, image, &info, NULL)) {
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
    struct rbd_driver *d = driver_of(v);
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
    struct rbd_driver *d = driver_of(v);
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
    struct rbd_driver *d = driver_of(v);
    tidy_cache(d);
    return d->staging->ops->tidy(d->staging, err) &&
           rbd_image_purge(d->io, err);
}

static void pool_close(struct volumes *v)
{
    struct rbd_driver *d = driver_of(v);
    if (d->staging)
        d->staging->ops->close(d->staging);
    if (d->io)
        rados_ioctx_destroy(d->io);
    free(d->pool);
    free(d->dir);
    free(d->cache);
    free(d->root);
    free(d);
}

static const struct volume_ops pool_ops = {
    .image_open_write = pool_image_open_write,
    .image_discard = pool_image_discard,
    .image_commit = pool_image_commit,
    .image_open_read = pool_image_open_read,
    .image_delete = pool_image_delete,
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
    .volume_to_image = pool_volume_to_image,
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
    d->cache = file_in(config->dir, "cache");
    d->root = file_in(config->dir, "root");
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
    d->io = ceph_pool(d->ceph, d->pool, err);
    if (!d->io || !open_staging(d, config, err)) {
        pool_close(&d->base);
        return NULL;
    }
    return &d->base;
}
