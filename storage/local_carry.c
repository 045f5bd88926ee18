/*
 * Disks that leave for another node's files, or come from there: all layers
 * as they are, the guest's on top.
 */
#include "common/alloc.h"
#include "storage/disk_stream.h"
#include "storage/heads.h"
#include "storage/local_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* ---- leaving ------------------------------------------------------------- */

/* Open files, the guest's first, each on the next. */
struct chain {
    int fd[DISK_STREAM_LAYERS];
    uint32_t n;
};

static void close_chain(struct chain *c)
{
    while (c->n)
        close(c->fd[--c->n]);
}
#define _autochain_ _cleanup_(close_chain)

/* As long as it is open nothing of it goes: what is below is held by what is
 * above, and that by our descriptor. */
static bool open_chain(struct layers *l, const char *head, struct chain *c,
                       struct error *err)
{
    int fd = layers_guard(head, err);
    _autofree_ char *at = xstrdup(head);
    while (fd >= 0) {
        c->fd[c->n++] = fd;
        char *below = layers_base(l, at);
        free(at);
        at = below;
        if (!at)
            return true;
        if (c->n == DISK_STREAM_LAYERS)
            return error_set(err, ERR_INTERNAL, "%s has too many layers", head);
        fd = local_open(at, O_RDONLY, "layer", at, err);
    }
    return false;
}

static int64_t bytes_of(const struct chain *c)
{
    int64_t sum = 0;
    struct stat st;
    for (uint32_t i = 0; i < c->n; i++)
        sum += fstat(c->fd[i], &st) == 0 ? (int64_t)st.st_blocks * 512 : 0;
    return sum;
}

bool local_disk_export(struct volumes *v, const char *disk_id,
                       const struct byte_sink *to, struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    _autochain_ struct chain c = { .n = 0 };
    if (!local_name_check("disk", disk_id, err))
        return false;
    _autofree_ char *path = heads_path(l, PLACE_DISKS, disk_id);
    if (!open_chain(l, path, &c, err))
        return false;
    const struct disk_stream_head head = { c.n, bytes_of(&c) };
    bool ok = disk_stream_write_head(to, &head, err);
    for (uint32_t i = c.n; ok && i-- > 0;)
        ok = disk_stream_write_layer(to, c.fd[i], err);
    return ok;
}

/* ---- coming -------------------------------------------------------------- */

static bool has_room(const struct layers *l, int64_t bytes, struct error *err)
{
    struct statvfs fs;
    if (statvfs(l->dir, &fs) < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot look at %s",
                           l->dir);
    int64_t free = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    return bytes <= free ||
           error_set(err, ERR_NO_SPACE,
                     "a disk of %lld bytes does not fit: %lld are free",
                     (long long)bytes, (long long)free);
}

/* The next layer as tmp/<name>, on base/<below>; below NULL: on nothing. */
static bool take_layer(struct layers *l, const struct byte_source *from,
                       const char *name, const char *below, int64_t *done,
                       int64_t total, struct error *err)
{
    _autofree_ char *path = layers_path(l, PLACE_TMP, name, "");
    _autoclose_ int fd =
        local_open(path, O_CREAT | O_EXCL | O_RDWR, "layer", name, err);
    return fd >= 0 && disk_stream_read_layer(from, fd, done, total, err) &&
           layers_rebase(fd, below, err) && layers_finish(l, path, true, err);
}

/* All layers below each other in base/; `top` is the name of the uppermost.
 * They have names of their own here: one layer may come twice. */
static bool take_layers(struct layers *l, const struct byte_source *from,
                        char top[GENERATION_SIZE], struct error *err)
{
    struct disk_stream_head head;
    int64_t done = 0;
    *top = '\0';
    if (!disk_stream_read_head(from, &head, err) ||
        !has_room(l, head.total, err))
        return false;
    for (uint32_t i = 0; i < head.layers; i++) {
        char name[GENERATION_SIZE];
        env_hex_id(l->env, name);
        _autofree_ char *path = layers_path(l, PLACE_BASE, name, "");
        if (!take_layer(l, from, name, i ? top : NULL, &done, head.total,
                        err)) {
            layers_abandon(l, name);
            return false;
        }
        layers_point(l, "taken");
        if (!layers_publish(l, name, PLACE_BASE, path, err))
            return false;
        memcpy(top, name, GENERATION_SIZE);
    }
    return true;
}

/* The guest's own file on top of what has come. */
static bool put_on(struct layers *l, const char *top, int64_t size,
                   const char *to, struct error *err)
{
    _autounder_ struct under u = { .path = layers_path(l, PLACE_BASE, top, ""),
                                   .driver = "qcow2" };
    if (!layers_size(u.path, &u.size, err))
        return false;
    size = size ? size : u.size;
    return local_fits(&u, size, err) &&
           local_make(l, &u, size, PLACE_DISKS, to, err);
}

bool local_disk_import(struct volumes *v, const char *disk_id,
                       const struct byte_source *from, int64_t size,
                       char path[STORAGE_PATH_MAX], struct error *err)
{
    _autoleave_ struct layers *l = local_enter(v);
    char top[GENERATION_SIZE];
    if (!local_name_check("disk", disk_id, err))
        return false;
    _autofree_ char *to = heads_path(l, PLACE_DISKS, disk_id);
    if (layers_exists(to))
        return local_path_out(to, path, err);
    bool ok = take_layers(l, from, top, err) && put_on(l, top, size, to, err);
    if (*top) { /* the disk has a name of its own for it, or it goes */
        _autofree_ char *base = layers_path(l, PLACE_BASE, top, "");
        layers_drop(l, base, NULL);
    }
    return ok && local_path_out(to, path, err);
}
