#include "storage/layers.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/inspect.h"
#include "storage/qcow2.h"
#include "storage/sandbox.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define QEMU_IMG_TIMEOUT (INT64_C(3600) * SECOND_US)
#define BASE_PREFIX      "../base/"
#define QCOW2_BACKING_AT 8 /* where the header says where its name is */

/* The directories others must pass through (the hypervisor's user opens
 * files by path) can be passed, not listed. */
static const struct {
    const char *name;
    mode_t mode;
} places[N_PLACES] = {
    [PLACE_UPLOADS] = { "uploads", 0700 },
    [PLACE_IMAGES] = { "images", 0711 },
    [PLACE_DISKS] = { "disks", 0711 },
    [PLACE_VOLUMES] = { "volumes", 0711 },
    [PLACE_SNAPSHOTS] = { "snapshots", 0711 },
    [PLACE_BASE] = { "base", 0711 },
    [PLACE_HEADS] = { "heads", 0700 },
    [PLACE_TMP] = { "tmp", 0700 },
    [PLACE_ROOT] = { "root", 0700 },
};

/* ---- the directory ----------------------------------------------------- */

static bool make_dir(const char *path, mode_t mode, struct error *err)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return error_errno(err, ERR_INTERNAL, errno, "cannot make %s", path);
    if (chmod(path, mode) < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot use %s", path);
    return true;
}

bool layers_init(struct layers *l, const struct env *env, const char *dir,
                 struct error *err)
{
    *l = (struct layers){ .env = env, .qemu_img = "/usr/bin/qemu-img" };
    pthread_mutex_init(&l->links, NULL);
    pthread_rwlock_init(&l->busy, NULL);
    l->dir = xstrdup(dir);
    if (dir[0] != '/')
        return error_set(err, ERR_INVALID, "%s is not an absolute path", dir);
    if (!make_dir(dir, 0711, err))
        return false;
    for (int i = 0; i < N_PLACES; i++) {
        _autofree_ char *path = xasprintf("%s/%s", dir, places[i].name);
        if (!make_dir(path, places[i].mode, err))
            return false;
    }
    return true;
}

void layers_destroy(struct layers *l)
{
    free(l->dir);
    pthread_mutex_destroy(&l->links);
    pthread_rwlock_destroy(&l->busy);
}

void layers_enter(struct layers *l)
{
    pthread_rwlock_rdlock(&l->busy);
}

void layers_leave(struct layers *l)
{
    pthread_rwlock_unlock(&l->busy);
}

void layers_point(struct layers *l, const char *name)
{
    if (l->crash_point)
        l->crash_point(l->crash_arg, name);
}

char *layers_path(const struct layers *l, enum place place, const char *name,
                  const char *suffix)
{
    return xasprintf("%s/%s/%s%s", l->dir, places[place].name, name, suffix);
}

bool layers_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static enum error_code code_of(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT ? ERR_NO_SPACE : ERR_INTERNAL;
}

static bool sync_path(const char *path, int flags, struct error *err)
{
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0 || fsync(fd) < 0)
        return error_errno(err, code_of(errno), errno, "cannot sync %s", path);
    return true;
}

bool layers_sync(const struct layers *l, enum place place, struct error *err)
{
    _autofree_ char *path = layers_path(l, place, "", "");
    return sync_path(path, O_DIRECTORY, err);
}

/* ---- qemu-img ---------------------------------------------------------- */

static const struct {
    const char *says;
    enum error_code code;
} qemu_errors[] = {
    { "No space left on device", ERR_NO_SPACE },
    { "Disk quota exceeded", ERR_NO_SPACE },
    { " lock", ERR_CONFLICT }, /* Failed to get "write" lock */
    { "No such file or directory", ERR_NOT_FOUND },
};

bool layers_qemu_error(const char *text, enum error_code otherwise,
                       struct error *err)
{
    enum error_code code = otherwise;
    for (size_t i = 0; i < ARRAY_SIZE(qemu_errors); i++)
        if (strstr(text, qemu_errors[i].says)) {
            code = qemu_errors[i].code;
            break;
        }
    size_t len = strcspn(text, "\n");
    return error_set(err, code, "qemu-img: %.*s", (int)(len < 300 ? len : 300),
                     text);
}

bool layers_qemu_img(struct layers *l, struct error *err, const char *word, ...)
{
    const char *argv[24] = { l->qemu_img };
    size_t n = 1;
    va_list ap;
    va_start(ap, word);
    for (const char *w = word; w && n + 1 < ARRAY_SIZE(argv);
         w = va_arg(ap, const char *))
        argv[n++] = w;
    va_end(ap);
    struct sandbox_job job = { .argv = argv, .timeout_us = QEMU_IMG_TIMEOUT };
    _autoresult_ struct sandbox_result r;
    if (!sandbox_run(&job, l->env, &r, err))
        return false;
    return r.code == 0 ||
           layers_qemu_error(buf_str(&r.errors), ERR_INTERNAL, err);
}

/* ---- files ------------------------------------------------------------- */

static bool read_head(const char *path, struct qcow2_head *head,
                      struct error *err)
{
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_INTERNAL,
                           errno, "cannot open %s", path);
    return inspect_own_qcow2(fd, head, err) || error_prefix(err, "%s", path);
}

bool layers_size(const char *path, int64_t *size, struct error *err)
{
    struct qcow2_head head = { 0 };
    if (!read_head(path, &head, err))
        return false;
    *size = head.virtual_size;
    return true;
}

bool layers_finish(struct layers *l, const char *path, bool frozen,
                   struct error *err)
{
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fchmod(fd, frozen ? 0440 : 0600) < 0 ||
        fchown(fd, frozen ? geteuid() : l->owner, l->group) < 0 ||
        fsync(fd) < 0)
        return error_errno(err, code_of(errno), errno, "cannot finish %s",
                           path);
    return true;
}

/* ---- overlays ---------------------------------------------------------- */

/* Is it the name of a base, as we write it? */
static bool is_base(const char *backing)
{
    size_t n = strlen(BASE_PREFIX);
    const char *gen = backing + n;
    return strncmp(backing, BASE_PREFIX, n) == 0 &&
           strspn(gen, "0123456789abcdef") == GENERATION_SIZE - 1 &&
           !gen[GENERATION_SIZE - 1];
}

/* base/<generation> that it stands on, or NULL. */
static char *base_of(const struct layers *l, const struct qcow2_head *head)
{
    return is_base(head->backing)
               ? layers_path(l, PLACE_BASE, head->backing + strlen(BASE_PREFIX),
                             "")
               : NULL;
}

char *layers_base(const struct layers *l, const char *path)
{
    struct qcow2_head head = { 0 };
    return read_head(path, &head, NULL) ? base_of(l, &head) : NULL;
}

/* All generations are of one length: the name is written over the other. */
bool layers_rebase(int fd, const char *gen, struct error *err)
{
    struct qcow2_head head = { 0 };
    struct error why = { 0 };
    uint64_t at;
    char name[sizeof(BASE_PREFIX) + GENERATION_SIZE];
    int n = snprintf(name, sizeof(name), BASE_PREFIX "%s", gen ? gen : "");
    if (!inspect_own_qcow2(fd, &head, &why) && (gen || head.backing[0])) {
        error_copy(err, &why);
        return false;
    }
    if (!gen && !head.backing[0])
        return true;
    if (!gen || !is_base(head.backing) ||
        pread(fd, &at, sizeof(at), QCOW2_BACKING_AT) != sizeof(at))
        return error_set(err, ERR_INVALID,
                         "a layer stands on what it must not");
    return pwrite(fd, name, (size_t)n, (off_t)be64toh(at)) == n ||
           error_errno(err, code_of(errno), errno, "cannot write a layer");
}

int layers_depth(const struct layers *l, const char *path)
{
    int depth = 0;
    _autofree_ char *at = layers_base(l, path);
    while (at && depth <= LAYERS_DEPTH_MAX) {
        char *below = layers_base(l, at);
        depth++;
        free(at);
        at = below;
    }
    return depth;
}

static bool link_locked(struct layers *l, const char *from, const char *to,
                        struct error *err)
{
    pthread_mutex_lock(&l->links);
    int result = link(from, to);
    int saved = errno;
    pthread_mutex_unlock(&l->links);
    if (result < 0 && saved != EEXIST)
        return error_errno(err,
                           saved == ENOENT ? ERR_NOT_FOUND : code_of(saved),
                           saved, "cannot link %s", from);
    return true;
}

/* A copy of everything below instead of an overlay. */
static bool new_copy(struct layers *l, const char *under, const char *driver,
                     const char *size, const char *path, struct error *err)
{
    return layers_qemu_img(l, err, "convert", "-q", "-f", driver, "-O", "qcow2",
                           under, path, NULL) &&
           layers_qemu_img(l, err, "resize", "-q", "-f", "qcow2", path, size,
                           NULL);
}

/* An empty disk, or an overlay on `backing`. */
static bool new_qcow2(const char *path, int64_t size, const char *backing,
                      const char *driver, struct error *err)
{
    _autoclose_ int fd =
        open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, code_of(errno), errno, "cannot make %s", path);
    return qcow2_write(fd, size, backing, driver, err);
}

static bool new_file(struct layers *l, const char *under, const char *driver,
                     int64_t size, const char *gen, bool *flat,
                     struct error *err)
{
    char bytes[32];
    snprintf(bytes, sizeof(bytes), "%" PRId64, size);
    _autofree_ char *path = layers_path(l, PLACE_TMP, gen, "");
    _autofree_ char *backing = xasprintf(BASE_PREFIX "%s", gen);
    *flat = !under || layers_depth(l, under) >= LAYERS_DEPTH_MAX;
    bool ok = under && *flat
                  ? new_copy(l, under, driver, bytes, path, err)
                  : new_qcow2(path, size, under ? backing : NULL, driver, err);
    return ok && layers_finish(l, path, false, err);
}

static bool new_layer(struct layers *l, const char *under, const char *driver,
                      int64_t size, const char *gen, bool *flat,
                      struct error *err)
{
    if (under) {
        _autofree_ char *base = layers_path(l, PLACE_BASE, gen, "");
        if (!link_locked(l, under, base, err) ||
            !layers_sync(l, PLACE_BASE, err))
            return false;
        layers_point(l, "linked");
    }
    if (!new_file(l, under, driver, size, gen, flat, err))
        return false;
    layers_point(l, "made");
    return true;
}

bool layers_new(struct layers *l, const char *under, const char *driver,
                int64_t size, char gen[GENERATION_SIZE], struct error *err)
{
    bool flat;
    env_hex_id(l->env, gen);
    if (!new_layer(l, under, driver, size, gen, &flat, err)) {
        layers_abandon(l, gen);
        return false;
    }
    if (under && flat) { /* it stands on its own feet */
        _autofree_ char *base = layers_path(l, PLACE_BASE, gen, "");
        layers_drop(l, base, NULL);
    }
    return true;
}

bool layers_publish(struct layers *l, const char *name, enum place place,
                    const char *path, struct error *err)
{
    _autofree_ char *tmp = layers_path(l, PLACE_TMP, name, "");
    if (rename(tmp, path) < 0) {
        int saved = errno;
        layers_abandon(l, name);
        return error_errno(err, code_of(saved), saved, "cannot rename to %s",
                           path);
    }
    return layers_sync(l, place, err);
}

void layers_abandon(struct layers *l, const char *gen)
{
    _autofree_ char *path = layers_path(l, PLACE_TMP, gen, "");
    _autofree_ char *base = layers_path(l, PLACE_BASE, gen, "");
    unlink(path);
    layers_drop(l, base, NULL);
}

/*
 * qemu's own protocol of locks on an image file (block/file-posix.c): who
 * may write holds a shared lock on byte 101, who cannot stand writers one on
 * byte 201, and each looks at the other's.  We are the latter kind.
 */
#define QEMU_WRITES    101
#define QEMU_NO_WRITES 201

static bool guest_writes(int fd)
{
    struct flock theirs = { .l_type = F_WRLCK,
                            .l_whence = SEEK_SET,
                            .l_start = QEMU_WRITES,
                            .l_len = 1 };
    return fcntl(fd, F_OFD_GETLK, &theirs) < 0 || theirs.l_type != F_UNLCK;
}

int layers_guard(const char *path, struct error *err)
{
    _autoclose_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        error_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_INTERNAL, errno,
                    "cannot open %s", path);
        return -1;
    }
    struct flock mine = { .l_type = F_RDLCK,
                          .l_whence = SEEK_SET,
                          .l_start = QEMU_NO_WRITES,
                          .l_len = 1 };
    /* Looked at first: our lock, for a moment, must not get in the way of a
     * guest that is just being moved off this file. */
    if (guest_writes(fd) || fcntl(fd, F_OFD_SETLK, &mine) < 0 ||
        guest_writes(fd)) {
        error_set(err, ERR_CONFLICT, "%s is in use by a guest", path);
        return -1;
    }
    return steal_fd(&fd);
}

/*
 * The order matters: the old head gets its second name, the new one is made
 * complete, and one rename puts it in place.  Up to then nothing has
 * happened; from then on the old content cannot change any more.
 */
bool layers_freeze(struct layers *l, enum place place, const char *head,
                   char **frozen, struct error *err)
{
    _autoclose_ int held = layers_guard(head, err);
    int64_t size;
    char gen[GENERATION_SIZE];
    bool flat;
    if (held < 0 || !layers_size(head, &size, err))
        return false;
    env_hex_id(l->env, gen);
    if (!new_layer(l, head, "qcow2", size, gen, &flat, err)) {
        layers_abandon(l, gen);
        return false;
    }
    if (!layers_publish(l, gen, place, head, err))
        return false;
    _autofree_ char *base = layers_path(l, PLACE_BASE, gen, "");
    layers_point(l, "frozen");
    *frozen = steal(&base);
    return layers_finish(l, *frozen, true, err);
}

bool layers_link(struct layers *l, const char *from, enum place place,
                 const char *path, struct error *err)
{
    return link_locked(l, from, path, err) && layers_sync(l, place, err);
}

void layers_release(struct layers *l, const char *frozen, const char *head)
{
    struct qcow2_head h = { 0 };
    if (!read_head(head, &h, NULL))
        return;
    _autofree_ char *base = base_of(l, &h);
    if (!base || strcmp(base, frozen) != 0)
        layers_drop(l, frozen, NULL);
}

/* ---- removing ---------------------------------------------------------- */

/* Removes one name.  *below = the link its inode stood on, when that was its
 * last name.  The file is kept open over the unlink: giving its blocks back
 * takes long, and happens when it is closed, after the lock. */
static bool drop_one(struct layers *l, const char *path, char **below,
                     struct error *err)
{
    struct stat st;
    struct qcow2_head head = { 0 };
    *below = NULL;
    pthread_mutex_lock(&l->links);
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool last = fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink == 1;
    int result = unlink(path);
    int saved = errno;
    pthread_mutex_unlock(&l->links);
    if (result < 0)
        return saved == ENOENT ||
               error_errno(err, ERR_INTERNAL, saved, "cannot remove %s", path);
    if (last && inspect_own_qcow2(fd, &head, NULL))
        *below = base_of(l, &head);
    return true;
}

bool layers_drop(struct layers *l, const char *path, struct error *err)
{
    _autofree_ char *at = xstrdup(path);
    while (at) {
        char *below;
        if (!drop_one(l, at, &below, err))
            return false;
        layers_point(l, "dropped");
        free(at);
        at = below;
    }
    return true;
}

bool layers_each(struct layers *l, enum place place, layers_fn *fn, void *arg,
                 struct error *err)
{
    _autofree_ char *path = layers_path(l, place, "", "");
    DIR *d = opendir(path);
    if (!d)
        return error_errno(err, ERR_INTERNAL, errno, "cannot list %s", path);
    bool ok = true;
    errno = 0;
    for (struct dirent *e; ok && (e = readdir(d)); errno = 0)
        if (e->d_name[0] != '.')
            ok = fn(l, arg, place, e->d_name, err);
    if (ok && errno != 0)
        ok = error_errno(err, ERR_INTERNAL, errno, "cannot list %s", path);
    closedir(d);
    return ok;
}

/* Names of the bases that files need, and of those that are there. */
struct names {
    char **v;
    size_t n;
};

static void names_add(struct names *s, char *name)
{
    if ((s->n & (s->n + 1)) == 0) /* full at 0, 1, 3, 7 ... */
        s->v = xrealloc(s->v, (2 * s->n + 1) * sizeof(*s->v));
    s->v[s->n++] = name;
}

static void names_free(struct names *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
}

static int names_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A file that cannot be read fails the whole: what it stands on would look
 * unneeded. */
static bool note_base(struct layers *l, void *arg, enum place place,
                      const char *name, struct error *err)
{
    struct qcow2_head head = { 0 };
    struct error why;
    _autofree_ char *path = layers_path(l, place, name, "");
    if (!read_head(path, &head, &why)) {
        if (why.code == ERR_NOT_FOUND || why.code == ERR_MEDIA_TYPE)
            return true; /* gone since, or a raw image */
        error_copy(err, &why);
        return false;
    }
    char *base = base_of(l, &head);
    if (base)
        names_add(arg, base);
    return true;
}

static bool note_name(struct layers *l, void *arg, enum place place,
                      const char *name, struct error *err)
{
    names_add(arg, layers_path(l, place, name, ""));
    return true;
}

static bool remove_file(struct layers *l, void *arg, enum place place,
                        const char *name, struct error *err)
{
    _autofree_ char *path = layers_path(l, place, name, "");
    unlink(path);
    return true;
}

static bool drop_unneeded(struct layers *l, struct names *there,
                          struct names *needed, struct error *err)
{
    static const enum place holders[] = { PLACE_DISKS, PLACE_VOLUMES,
                                          PLACE_SNAPSHOTS, PLACE_BASE };
    if (!layers_each(l, PLACE_BASE, note_name, there, err))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(holders); i++)
        if (!layers_each(l, holders[i], note_base, needed, err))
            return false;
    if (needed->n > 0)
        qsort(needed->v, needed->n, sizeof(*needed->v), names_order);
    for (size_t i = 0; i < there->n; i++)
        if (needed->n == 0 || !bsearch(&there->v[i], needed->v, needed->n,
                                       sizeof(*needed->v), names_order))
            if (!layers_drop(l, there->v[i], err))
                return false;
    return true;
}

bool layers_tidy(struct layers *l, struct error *err)
{
    if (pthread_rwlock_trywrlock(&l->busy) != 0)
        return true;
    struct names there = { 0 }, needed = { 0 };
    bool ok = layers_each(l, PLACE_TMP, remove_file, NULL, err) &&
              drop_unneeded(l, &there, &needed, err);
    names_free(&there);
    names_free(&needed);
    pthread_rwlock_unlock(&l->busy);
    return ok;
}
