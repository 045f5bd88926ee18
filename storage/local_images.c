#include "storage/local_impl.h"

#include "storage/digest.h"
#include "storage/inspect.h"
#include "storage/sparse.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *suffix;
    enum image_format format;
} blob_types[] = {
    { ".qcow2", FORMAT_QCOW2 },
    { ".raw", FORMAT_RAW },
    { ".iso", FORMAT_ISO },
};

static bool blob_format(const char *blob, enum image_format *format)
{
    const char *dot = strrchr(blob, '.');
    for (size_t i = 0; dot && i < ARRAY_SIZE(blob_types); i++)
        if (strcmp(dot, blob_types[i].suffix) == 0) {
            *format = blob_types[i].format;
            return true;
        }
    return false;
}

bool local_blob_check(const char *blob, enum image_format *format,
                      struct error *err)
{
    return local_name_check("image", blob, err) &&
           (blob_format(blob, format) ||
            error_set(err, ERR_INVALID, "\"%s\" is no image", blob));
}

int local_image_open_write(struct volumes *v, const char *upload_id,
                           struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    if (!local_name_check("upload", upload_id, err))
        return -1;
    _autofree_ char *path = layers_path(l, PLACE_UPLOADS, upload_id, "");
    unlink(path); /* an earlier writer keeps a file that nobody sees */
    return local_open(path, O_CREAT | O_EXCL | O_WRONLY, "upload", upload_id,
                      err);
}

bool local_image_discard(struct volumes *v, const char *upload_id,
                         struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    if (!local_name_check("upload", upload_id, err))
        return false;
    _autofree_ char *path = layers_path(l, PLACE_UPLOADS, upload_id, "");
    if (!layers_drop(l, path, err))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(blob_types); i++) {
        _autofree_ char *blob =
            layers_path(l, PLACE_IMAGES, upload_id, blob_types[i].suffix);
        if (!layers_drop(l, blob, err))
            return false;
    }
    return true;
}

/* Fills `info` from a blob that is there; hashes it when it is not what was
 * uploaded. */
static bool describe(struct layers *l, const char *upload_id, size_t type,
                     bool changed, struct image_info *info, struct error *err)
{
    *info = (struct image_info){ 0 };
    snprintf(info->blob, sizeof(info->blob), "%s%s", upload_id,
             blob_types[type].suffix);
    snprintf(info->format, sizeof(info->format), "%s",
             format_name(blob_types[type].format));
    _autofree_ char *path = layers_path(l, PLACE_IMAGES, info->blob, "");
    _autoclose_ int fd = local_open(path, O_RDONLY, "image", info->blob, err);
    struct stat st;
    struct inspection found;
    if (fd < 0 || !inspect_fd(fd, info->format, &found, err))
        return false;
    if (fstat(fd, &st) < 0)
        return error_errno(err, ERR_INTERNAL, errno, "image %s", info->blob);
    info->size = st.st_size;
    info->virtual_size = found.virtual_size;
    return !changed || digest_fd(fd, info->md5, info->sha512, err);
}

/* The type of the blob that an upload has become, if it has. */
static bool blob_of(struct layers *l, const char *upload_id, size_t *type)
{
    for (*type = 0; *type < ARRAY_SIZE(blob_types); (*type)++) {
        _autofree_ char *path =
            layers_path(l, PLACE_IMAGES, upload_id, blob_types[*type].suffix);
        if (layers_exists(path))
            return true;
    }
    return false;
}

/* A read lease is granted only on a file nobody has open for writing: so it
 * cannot change under our eyes, nor after. */
static bool no_writer(int fd, struct error *err)
{
    fcntl(fd, F_SETSIG, SIGURG); /* harmless, were it ever broken */
    if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        return errno == EAGAIN
                   ? error_set(err, ERR_BUSY, "the upload is being written to")
                   : error_errno(err, ERR_INTERNAL, errno,
                                 "the storage's file system grants no leases, "
                                 "so that nothing can be inspected safely");
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return true;
}

/* The upload as a file that stays as it is, on disk. */
static int settle(const char *path, const char *upload_id, struct error *err)
{
    _autoclose_ int fd = local_open(path, O_RDONLY, "upload", upload_id, err);
    if (fd < 0 || !no_writer(fd, err))
        return -1;
    if (fchmod(fd, 0444) < 0 || fsync(fd) < 0) {
        error_errno(err, errno == ENOSPC ? ERR_NO_SPACE : ERR_INTERNAL, errno,
                    "upload %s", upload_id);
        return -1;
    }
    return steal_fd(&fd);
}

/* Converts the upload to qcow2 as tmp/<upload id>. */
static bool convert(struct local *d, const char *upload_id,
                    const struct inspection *found, struct error *err)
{
    struct layers *l = &d->layers;
    _autofree_ char *from = layers_path(l, PLACE_UPLOADS, upload_id, "");
    _autofree_ char *to = layers_path(l, PLACE_TMP, upload_id, "");
    unlink(to);
    _autoclose_ int fd =
        local_open(to, O_CREAT | O_EXCL | O_RDWR, "image", upload_id, err);
    struct inspection made;
    bool ok = fd >= 0;
    if (ok && fchown(fd, d->checker.uid, d->checker.gid) < 0)
        ok = error_errno(err, ERR_INTERNAL, errno, "image %s", upload_id);
    ok = ok && image_convert(&d->checker, from, found, "qcow2", to, err) &&
         layers_finish(l, to, true, err) && inspect_fd(fd, "qcow2", &made, err);
    if (!ok)
        layers_abandon(l, upload_id);
    return ok;
}

/* Zeros that were uploaded take no space. */
static bool thin_out(const char *path, const char *upload_id, struct error *err)
{
    _autoclose_ int fd = local_open(path, O_RDWR, "upload", upload_id, err);
    return fd >= 0 && sparse_dig(fd, err);
}

/* Moves the upload, or what was made of it, to the images. */
static bool publish_image(struct layers *l, const char *upload_id,
                          bool converted, const char *suffix, struct error *err)
{
    _autofree_ char *from = layers_path(l, PLACE_UPLOADS, upload_id, "");
    _autofree_ char *to = layers_path(l, PLACE_IMAGES, upload_id, suffix);
    layers_point(l, "checked");
    if (converted) {
        if (!layers_publish(l, upload_id, PLACE_IMAGES, to, err))
            return false;
        layers_point(l, "published");
        return layers_drop(l, from, err);
    }
    if (!layers_finish(l, from, true, err))
        return false;
    if (rename(from, to) < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot rename to %s", to);
    layers_point(l, "published");
    return layers_sync(l, PLACE_IMAGES, err);
}

/* Looks at the upload and makes it a blob; *type is the blob's. */
static bool commit(struct local *d, const char *upload_id,
                   const char *disk_format, size_t *type, struct error *err)
{
    struct layers *l = &d->layers;
    struct inspection found;
    _autofree_ char *path = layers_path(l, PLACE_UPLOADS, upload_id, "");
    _autoclose_ int fd = settle(path, upload_id, err);
    if (fd < 0 || !inspect_fd(fd, disk_format, &found, err))
        return false;
    for (*type = 0; *type < ARRAY_SIZE(blob_types); (*type)++)
        if (blob_types[*type].format == found.format)
            break;
    bool converted = *type == ARRAY_SIZE(blob_types);
    if (converted)
        *type = 0; /* qcow2 */
    if (converted && !convert(d, upload_id, &found, err))
        return false;
    if (found.format == FORMAT_QCOW2 &&
        !image_check(&d->checker, path, &found, err))
        return false;
    if (found.format == FORMAT_RAW && !thin_out(path, upload_id, err))
        return false;
    return publish_image(l, upload_id, converted, blob_types[*type].suffix,
                         err);
}

bool local_image_commit(struct volumes *v, const char *upload_id,
                        const char *disk_format, struct image_info *info,
                        struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    enum image_format declared;
    size_t type;
    if (!local_name_check("upload", upload_id, err))
        return false;
    if (!format_from_disk_format(disk_format, &declared))
        return error_set(err, ERR_MEDIA_TYPE,
                         "disk format \"%.32s\" is not taken",
                         disk_format ? disk_format : "");
    if (!blob_of(l, upload_id, &type) &&
        !commit(local_of(v), upload_id, disk_format, &type, err))
        return false;
    _autofree_ char *upload = layers_path(l, PLACE_UPLOADS, upload_id, "");
    return layers_drop(l, upload, err) &&
           describe(l, upload_id, type, blob_types[type].format != declared,
                    info, err);
}

int local_image_open_read(struct volumes *v, const char *blob,
                          struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    enum image_format format;
    if (!local_blob_check(blob, &format, err))
        return -1;
    _autofree_ char *path = layers_path(l, PLACE_IMAGES, blob, "");
    return local_open(path, O_RDONLY, "image", blob, err);
}

bool local_image_delete(struct volumes *v, const char *blob, struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    enum image_format format;
    if (!local_blob_check(blob, &format, err))
        return false;
    _autofree_ char *path = layers_path(l, PLACE_IMAGES, blob, "");
    return layers_drop(l, path, err);
}

/* ---- an image of a volume --------------------------------------------- */

/* Copies a volume's content to tmp/<upload id>; what the guest has written
 * must not pass for another format either. */
static bool copy_out(struct layers *l, const char *from, const char *upload_id,
                     const char *format, struct error *err)
{
    struct inspection found;
    _autofree_ char *to = layers_path(l, PLACE_TMP, upload_id, "");
    bool ok = layers_qemu_img(l, err, "convert", "-q", "-f", "qcow2", "-O",
                              format, from, to, NULL) &&
              layers_finish(l, to, true, err);
    _autoclose_ int fd =
        ok ? local_open(to, O_RDONLY, "image", upload_id, err) : -1;
    if (fd >= 0 && inspect_fd(fd, format, &found, err))
        return true;
    layers_abandon(l, upload_id);
    return false;
}

bool local_volume_to_image(struct volumes *v, enum volume_source from,
                           const char *source, const char *upload_id,
                           const char *disk_format, struct image_info *info,
                           struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    _autounder_ struct under u = { 0 };
    size_t type;
    if (!local_name_check("upload", upload_id, err))
        return false;
    if (!disk_format ||
        (strcmp(disk_format, "qcow2") != 0 && strcmp(disk_format, "raw") != 0))
        return error_set(err, ERR_MEDIA_TYPE,
                         "volumes are uploaded as qcow2 or raw, not as "
                         "\"%.32s\"",
                         disk_format ? disk_format : "");
    if (!blob_of(l, upload_id, &type)) {
        type = strcmp(disk_format, "qcow2") == 0 ? 0 : 1;
        _autofree_ char *to =
            layers_path(l, PLACE_IMAGES, upload_id, blob_types[type].suffix);
        if (!local_under_qcow2(l, from, source, &u, err) ||
            !copy_out(l, u.path, upload_id, disk_format, err) ||
            !layers_publish(l, upload_id, PLACE_IMAGES, to, err))
            return false;
    }
    return describe(l, upload_id, type, true, info, err);
}
