#include "storage/ceph/rbd_impl.h"

#include "common/alloc.h"
#include "storage/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INFO_KEY "cairn.image"
#define INFO_MAX 1024

/* ---- names -------------------------------------------------------------- */

bool rbd_name_of(char out[RBD_NAME_MAX], const char *kind, const char *name,
                 struct error *err)
{
    if (!storage_name_ok(name))
        return error_set(err, ERR_INVALID, "\"%.64s\" is no name of a %s",
                         name ? name : "", kind);
    snprintf(out, RBD_NAME_MAX, "%s.%s", kind, name);
    return true;
}

bool rbd_name_of_blob(char out[RBD_NAME_MAX], const char *kind,
                      const char *blob, struct error *err)
{
    if (!rbd_name_of(out, kind, blob, err))
        return false;
    char *dot = strrchr(out + strlen(kind) + 1, '.');
    if (!dot)
        return error_set(err, ERR_INVALID, "\"%s\" is no image", blob);
    *dot = '\0';
    return true;
}

char *rbd_file_in(const char *dir, const char *name)
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

bool rbd_info_read(struct rbd_driver *d, const char *image,
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

int rbd_pool_image_open_write(struct volumes *v, const char *upload_id,
                              struct error *err)
{
    struct volumes *s = rbd_driver_of(v)->staging;
    return s->ops->image_open_write(s, upload_id, err);
}

static bool remove_image(struct rbd_driver *d, const char *name,
                         struct error *err)
{
    static const char *const kinds[] = { "image", "bytes" };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        char image[RBD_NAME_MAX];
        if (!rbd_name_of(image, kinds[i], name, err) ||
            !rbd_image_remove(d->io, image, err))
            return false;
    }
    return true;
}

bool rbd_pool_image_discard(struct volumes *v, const char *upload_id,
                            struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
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

int rbd_new_file(struct rbd_driver *d, const char *path, struct error *err)
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

void rbd_drop_file(char **path)
{
    if (*path)
        unlink(*path);
    free(*path);
}

/* The disk in a qcow2 file, as an image of the cluster.  It may be sparse;
 * qemu-img unpacks it in the sandbox. */
static bool import_qcow2(struct rbd_driver *d, const char *name,
                         const char *path, const struct image_info *info,
                         struct error *err)
{
    struct inspection found = { FORMAT_QCOW2, info->virtual_size };
    _autodrop_ char *raw = rbd_file_in(d->cache, name);
    _autoclose_ int fd = rbd_new_file(d, raw, err);
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
    _autofree_ char *images = rbd_file_in(d->dir, "images");
    _autofree_ char *path = rbd_file_in(images, info->blob);
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot open %s", path);
    if (!rbd_name_of(image, "image", upload_id, err) ||
        !rbd_name_of(bytes, "bytes", upload_id, err))
        return false;
    return is_plain(info) ? import(d, image, info->virtual_size, fd, info, err)
                          : import(d, bytes, info->size, fd, NULL, err) &&
                                import_qcow2(d, image, path, info, err);
}

bool rbd_pool_image_commit(struct volumes *v, const char *upload_id,
                           const char *disk_format, struct image_info *info,
                           struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    char image[RBD_NAME_MAX];
    if (!rbd_name_of(image, "image", upload_id, err))
        return false;
    if (!is_sealed(d, image) || !rbd_info_read(d, image, info, err)) {
        if (!rbd_may_make(d, err) ||
            !d->staging->ops->image_commit(d->staging, upload_id, disk_format,
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

bool rbd_fetch(struct rbd_driver *d, const char *name, int64_t size, int fd,
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
    if (!rbd_name_of_blob(image, "image", blob, err) ||
        !rbd_name_of_blob(bytes, "bytes", blob, err) ||
        !rbd_info_read(d, image, &info, err))
        return false;
    env_hex_id(d->env, unique);
    _autodrop_ char *tmp = rbd_file_in(d->cache, unique);
    _autoclose_ int fd = rbd_new_file(d, tmp, err);
    if (fd < 0 ||
        !rbd_fetch(d, is_plain(&info) ? image : bytes, info.size, fd, err))
        return false;
    return rename(tmp, file) == 0 ||
           error_errno(err, ERR_INTERNAL, errno, "cannot rename to %s", file);
}

int rbd_pool_image_open_read(struct volumes *v, const char *blob,
                             struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    if (!storage_name_ok(blob)) {
        error_set(err, ERR_INVALID, "\"%.64s\" is no image", blob);
        return -1;
    }
    _autofree_ char *file = rbd_file_in(d->cache, blob);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && fill_cache(d, blob, file, err)) {
        fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            error_errno(err, ERR_INTERNAL, errno, "image %s", blob);
    }
    return fd;
}

bool rbd_pool_image_delete(struct volumes *v, const char *blob,
                           struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    char image[RBD_NAME_MAX];
    if (!rbd_name_of_blob(image, "image", blob, err))
        return false;
    _autofree_ char *file = rbd_file_in(d->cache, blob);
    unlink(file);
    return remove_image(d, image + strlen("image."), err);
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
    _autodrop_ char *raw = rbd_file_in(d->cache, image);
    _autodrop_ char *packed = rbd_file_in(d->cache, bytes);
    _autoclose_ int from = rbd_new_file(d, raw, err);
    _autoclose_ int to = rbd_new_file(d, packed, err);
    if (from < 0 || to < 0 ||
        !rbd_fetch(d, image, info->virtual_size, from, err) ||
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

bool rbd_pool_volume_to_image(struct volumes *v, enum volume_source from,
                              const char *source, const char *upload_id,
                              const char *disk_format, struct image_info *info,
                              struct error *err)
{
    struct rbd_driver *d = rbd_driver_of(v);
    char image[RBD_NAME_MAX], bytes[RBD_NAME_MAX];
    struct rbd_facts facts;
    if (!rbd_name_of(image, "image", upload_id, err) ||
        !rbd_name_of(bytes, "bytes", upload_id, err))
        return false;
    if (is_sealed(d, image))
        return rbd_info_read(d, image, info, err);
    if (!rbd_may_make(d, err) ||
        !rbd_clone_of(d, from, source, image, 0, err) ||
        !rbd_image_facts(d->io, image, &facts, err) ||
        !describe_volume(upload_id, disk_format, facts.size, info, err))
        return false;
    bool ok = is_plain(info) ? digest_image(d, image, facts.size, info, err)
                             : pack(d, image, bytes, info, err);
    return ok && info_write(d, image, info, err) &&
           rbd_image_snap(d->io, image, RBD_SEAL, err);
}
