#include "storage/ceph/rbd_image.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/env.h"
#include "storage/ceph/ceph_io.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define ORDER 22 /* objects of 4 MiB */
#define PIECE ((size_t)1 << ORDER)
#define FEATURES                                                               \
    (RBD_FEATURE_LAYERING | RBD_FEATURE_EXCLUSIVE_LOCK |                       \
     RBD_FEATURE_OBJECT_MAP | RBD_FEATURE_FAST_DIFF |                          \
     RBD_FEATURE_DEEP_FLATTEN)
#define TRASH_MAX 1024 /* entries looked at in one purge */

static void close_image(rbd_image_t *image)
{
    if (*image)
        rbd_close(*image);
}
#define _autoimage_ _cleanup_(close_image)

static rbd_image_t open_image(rados_ioctx_t io, const char *name,
                              const char *snap, bool write, struct error *err)
{
    rbd_image_t image = NULL;
    int rc = write ? rbd_open(io, name, &image, snap)
                   : rbd_open_read_only(io, name, &image, snap);
    if (rc >= 0)
        return image;
    ceph_error(err, rc, "RBD image %s", name);
    return NULL;
}

static rbd_image_options_t new_options(void)
{
    rbd_image_options_t o;
    rbd_image_options_create(&o);
    rbd_image_options_set_uint64(o, RBD_IMAGE_OPTION_FEATURES, FEATURES);
    rbd_image_options_set_uint64(o, RBD_IMAGE_OPTION_ORDER, ORDER);
    return o;
}

static void free_options(rbd_image_options_t *o)
{
    rbd_image_options_destroy(*o);
}
#define _autooptions_ _cleanup_(free_options)

/* ---- looking ------------------------------------------------------------ */

/* Somebody who has it open for writing watches its header; with `own` one of
 * the watchers is ourselves. */
static bool watched(rbd_image_t image, bool own)
{
    rbd_image_watcher_t watchers[8];
    size_t n = ARRAY_SIZE(watchers);
    int rc = rbd_watchers_list(image, watchers, &n);
    if (rc == -ERANGE)
        return true;
    if (rc < 0)
        return false;
    rbd_watchers_list_cleanup(watchers, n);
    return n > (own ? 1 : 0);
}

bool rbd_image_facts(rados_ioctx_t io, const char *name,
                     struct rbd_facts *facts, struct error *err)
{
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, false, err);
    struct timespec created = { 0 };
    uint64_t size = 0, seal = 0;
    if (!image)
        return false;
    int rc = rbd_get_size(image, &size);
    if (rc >= 0)
        rc = rbd_get_create_timestamp(image, &created);
    if (rc < 0)
        return ceph_error(err, rc, "RBD image %s", name);
    *facts = (struct rbd_facts){
        .size = (int64_t)size,
        .created = created.tv_sec * SECOND_US + created.tv_nsec / 1000,
        .sealed = rbd_snap_get_id(image, RBD_SEAL, &seal) >= 0,
        .in_use = watched(image, false),
    };
    return true;
}

/* The number of images that this one stands on. */
static int depth(rados_ioctx_t io, const char *name)
{
    struct error ignored;
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, false, &ignored);
    rbd_linked_image_spec_t parent;
    rbd_snap_spec_t snap;
    if (!image || rbd_get_parent(image, &parent, &snap) < 0)
        return 0;
    /* A parent in the trash has no name to go on from; what counts is that
     * chains stay bounded, so it stands for the deepest. */
    int n = parent.trash ? RBD_DEPTH_MAX / 2 : 1 + depth(io, parent.image_name);
    rbd_linked_image_spec_cleanup(&parent);
    rbd_snap_spec_cleanup(&snap);
    return n;
}

/* ---- making ------------------------------------------------------------- */

static bool grow(rbd_image_t image, const char *name, int64_t size,
                 struct error *err)
{
    uint64_t now = 0;
    int rc = rbd_get_size(image, &now);
    if (rc >= 0 && (int64_t)now < size)
        rc = watched(image, true) ? -EBUSY : rbd_resize(image, (uint64_t)size);
    return rc >= 0 || ceph_error(err, rc, "RBD image %s cannot grow", name);
}

bool rbd_image_grow(rados_ioctx_t io, const char *name, int64_t size,
                    struct error *err)
{
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, true, err);
    return image && grow(image, name, size, err);
}

/* Who was killed while it made or removed an image left its name, and
 * nothing behind it. */
static bool is_only_a_name(rados_ioctx_t io, const char *name)
{
    struct error why = { 0 };
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, false, &why);
    return !image && why.code == ERR_NOT_FOUND;
}

bool rbd_image_make(rados_ioctx_t io, const char *name, int64_t size,
                    struct error *err)
{
    _autooptions_ rbd_image_options_t o = new_options();
    int rc = rbd_create4(io, name, (uint64_t)size, o);
    if (rc == -EEXIST && is_only_a_name(io, name)) {
        rbd_remove(io, name);
        rc = rbd_create4(io, name, (uint64_t)size, o);
    }
    if (rc == -EEXIST)
        return rbd_image_grow(io, name, size, err);
    return rc >= 0 || ceph_error(err, rc, "RBD image %s cannot be made", name);
}

/* A clone that is finished notes its name: notes are cloned as well. */
#define CLONED "cairn.cloned"

/* It has neither its parent yet, nor ever been finished. */
static bool is_half_a_clone(rados_ioctx_t io, const char *name)
{
    struct error why = { 0 };
    char said[RBD_NAME_MAX] = "";
    size_t size = sizeof(said);
    rbd_linked_image_spec_t parent;
    rbd_snap_spec_t snap;
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, false, &why);
    if (!image)
        return why.code == ERR_NOT_FOUND;
    int rc = rbd_get_parent(image, &parent, &snap);
    if (rc >= 0) {
        rbd_linked_image_spec_cleanup(&parent);
        rbd_snap_spec_cleanup(&snap);
    }
    return rc == -ENOENT && (rbd_metadata_get(image, CLONED, said, &size) < 0 ||
                             strcmp(said, name) != 0);
}

static bool finish_clone(rados_ioctx_t io, const char *name, int64_t size,
                         struct error *err)
{
    bool deep = depth(io, name) > RBD_DEPTH_MAX;
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, true, err);
    if (!image || !grow(image, name, size, err))
        return false;
    int rc = rbd_metadata_set(image, CLONED, name);
    if (rc >= 0 && deep)
        rc = rbd_flatten(image);
    return rc >= 0 || ceph_error(err, rc,
                                 "RBD image %s cannot be copied from "
                                 "what it stands on",
                                 name);
}

bool rbd_image_share(rados_ioctx_t io, const char *name, struct error *err)
{
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, true, err);
    uint64_t has = 0;
    if (!image)
        return false;
    int rc = rbd_get_features(image, &has);
    has &= RBD_FEATURE_EXCLUSIVE_LOCK | RBD_FEATURE_OBJECT_MAP |
           RBD_FEATURE_FAST_DIFF;
    if (rc >= 0 && has)
        rc = rbd_update_features(image, has, 0);
    return rc >= 0 ||
           ceph_error(err, rc, "RBD image %s cannot be shared", name);
}

bool rbd_image_clone(rados_ioctx_t io, const char *parent, const char *snap,
                     const char *name, int64_t size, struct error *err)
{
    _autooptions_ rbd_image_options_t o = new_options();
    rbd_image_options_set_uint64(o, RBD_IMAGE_OPTION_CLONE_FORMAT, 2);
    int rc = rbd_clone3(io, parent, snap, io, name, o);
    if (rc == -EEXIST && is_half_a_clone(io, name)) {
        if (!rbd_image_remove(io, name, err))
            return false;
        rc = rbd_clone3(io, parent, snap, io, name, o);
    }
    if (rc < 0 && rc != -EEXIST)
        return ceph_error(err, rc, "RBD image %s cannot be cloned from %s",
                          name, parent);
    return finish_clone(io, name, size, err);
}

bool rbd_image_snap(rados_ioctx_t io, const char *name, const char *snap,
                    struct error *err)
{
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, true, err);
    if (!image)
        return false;
    int rc = rbd_snap_create(image, snap);
    return rc >= 0 || rc == -EEXIST ||
           ceph_error(err, rc, "snapshot of RBD image %s", name);
}

bool rbd_image_unsnap(rados_ioctx_t io, const char *name, const char *snap,
                      struct error *err)
{
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, true, err);
    if (!image)
        return err->code == ERR_NOT_FOUND;
    int rc = rbd_snap_remove(image, snap);
    return rc >= 0 || rc == -ENOENT ||
           ceph_error(err, rc, "snapshot %s of RBD image %s", snap, name);
}

/* ---- removing ----------------------------------------------------------- */

static bool drop_snaps(rbd_image_t image, const char *name, struct error *err)
{
    rbd_snap_info_t snaps[64];
    int max = ARRAY_SIZE(snaps);
    int n = rbd_snap_list(image, snaps, &max);
    if (n < 0)
        return ceph_error(err, n, "snapshots of RBD image %s", name);
    int rc = 0;
    for (int i = 0; i < n && (rc >= 0 || rc == -ENOENT); i++)
        rc = rbd_snap_remove(image, snaps[i].name);
    rbd_snap_list_end(snaps);
    return rc >= 0 || rc == -ENOENT ||
           ceph_error(err, rc, "snapshots of RBD image %s", name);
}

/* Frees the image of its snapshots, unless somebody has it. */
static bool strip(rados_ioctx_t io, const char *name, struct error *err)
{
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, true, err);
    if (!image)
        return false;
    if (watched(image, true))
        return error_set(err, ERR_CONFLICT, "RBD image %s is in use", name);
    return drop_snaps(image, name, err);
}

/* With clones it cannot be removed yet: it goes to the trash. */
bool rbd_image_remove(rados_ioctx_t io, const char *name, struct error *err)
{
    struct error why = { 0 };
    /* Its name may still be there, if somebody has begun. */
    if (!strip(io, name, &why) && why.code != ERR_NOT_FOUND) {
        error_copy(err, &why);
        return false;
    }
    int rc = rbd_remove(io, name);
    if (rc == -EBUSY || rc == -ENOTEMPTY)
        rc = rbd_trash_move(io, name, 0);
    return rc >= 0 || rc == -ENOENT ||
           ceph_error(err, rc, "RBD image %s cannot be removed", name);
}

bool rbd_image_purge(rados_ioctx_t io, struct error *err)
{
    size_t n = TRASH_MAX;
    _autofree_ rbd_trash_image_info_t *all = xcalloc(n, sizeof(*all));
    int rc = rbd_trash_list(io, all, &n);
    if (rc == -ERANGE)
        return true; /* its clones first */
    if (rc < 0)
        return ceph_error(err, rc, "RBD trash");
    for (size_t i = 0; i < n; i++)
        rbd_trash_remove(io, all[i].id, false); /* refused while it has any */
    rbd_trash_list_cleanup(all, n);
    return true;
}

/* ---- notes -------------------------------------------------------------- */

bool rbd_image_note(rados_ioctx_t io, const char *name, const char *key,
                    const char *text, struct error *err)
{
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, true, err);
    if (!image)
        return false;
    int rc = rbd_metadata_set(image, key, text);
    return rc >= 0 || ceph_error(err, rc, "RBD image %s, %s", name, key);
}

bool rbd_image_noted(rados_ioctx_t io, const char *name, const char *key,
                     char *text, size_t size, struct error *err)
{
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, false, err);
    if (!image)
        return false;
    int rc = rbd_metadata_get(image, key, text, &size);
    return rc >= 0 || ceph_error(err, rc, "RBD image %s, %s", name, key);
}

/* ---- bytes -------------------------------------------------------------- */

static bool all_zero(const char *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* One object's worth at `at`; *end when the file is through. */
static bool fill_piece(rbd_image_t image, int fd, char *piece, int64_t at,
                       bool *end, struct error *err)
{
    ssize_t n = pread(fd, piece, PIECE, at);
    *end = n <= 0;
    if (n < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot read the file");
    if (n == 0 || all_zero(piece, (size_t)n))
        return true;
    ssize_t rc = rbd_write(image, (uint64_t)at, (size_t)n, piece);
    return rc == n || ceph_error(err, (int)rc, "RBD write");
}

bool rbd_image_fill(rados_ioctx_t io, const char *name, int fd,
                    struct error *err)
{
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, true, err);
    _autofree_ char *piece = xmalloc(PIECE);
    int64_t at = 0;
    bool end = false, ok = image != NULL;
    while (ok && !end) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* only a hole is left */
        if (data > at)
            at = data - data % (off_t)PIECE;
        ok = fill_piece(image, fd, piece, at, &end, err);
        at += (int64_t)PIECE;
    }
    int rc = ok ? rbd_flush(image) : 0;
    return ok && (rc >= 0 || ceph_error(err, rc, "RBD image %s", name));
}

bool rbd_image_read(rados_ioctx_t io, const char *name, int64_t size,
                    rbd_piece_fn *fn, void *arg, struct error *err)
{
    _autoimage_ rbd_image_t image = open_image(io, name, NULL, false, err);
    _autofree_ char *piece = xmalloc(PIECE);
    if (!image)
        return false;
    for (int64_t at = 0; at < size; at += (int64_t)PIECE) {
        size_t len = size - at < (int64_t)PIECE ? (size_t)(size - at) : PIECE;
        ssize_t n = rbd_read(image, (uint64_t)at, len, piece);
        if (n < 0)
            return ceph_error(err, (int)n, "RBD image %s", name);
        if ((size_t)n != len)
            return error_set(err, ERR_INTERNAL, "RBD image %s ends early",
                             name);
        if (!fn(arg, piece, len, err))
            return false;
    }
    return true;
}

bool rbd_image_each(rados_ioctx_t io, rbd_name_fn *fn, void *arg,
                    struct error *err)
{
    size_t n = 256;
    _autofree_ rbd_image_spec_t *all = NULL;
    int rc = -ERANGE;
    while (rc == -ERANGE) {
        free(all);
        all = xcalloc(n, sizeof(*all));
        rc = rbd_list2(io, all, &n);
    }
    if (rc < 0)
        return ceph_error(err, rc, "RBD images");
    for (size_t i = 0; i < n; i++)
        fn(arg, all[i].name);
    rbd_image_spec_list_cleanup(all, n);
    return true;
}
