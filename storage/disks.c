#include "storage/disks.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <blkid/blkid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define EDGE  (1 << 20) /* bytes of each end that must be zero */
#define LABEL "bluestore block device\n"

/* ---- the decision ------------------------------------------------------ */

bool disk_judge(const struct disk_facts *f, char reason[DISK_REASON_MAX])
{
    const struct {
        bool so;
        const char *why;
    } objections[] = {
        { f->special, "not a disk" },
        { f->partition, "a partition, not a whole disk" },
        { f->optical, "an optical drive" },
        { f->removable, "removable" },
        { f->read_only, "read-only" },
        { f->virtual && !f->named, "not a disk of its own" },
        { *f->osd != '\0', "an OSD's" },
        { f->held, "another device is made of it" },
        { f->partitions > 0, "has partitions" },
        { f->in_use, "in use" },
        { f->unread, "cannot be read" },
        { f->data, "has data" },
        { f->size < DISK_SIZE_LEAST, "too small" },
    };
    reason[0] = '\0';
    if (*f->format && !*f->osd) {
        snprintf(reason, DISK_REASON_MAX, "has data: %s", f->format);
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(objections); i++)
        if (objections[i].so) {
            snprintf(reason, DISK_REASON_MAX, "%s", objections[i].why);
            return false;
        }
    return true;
}

/* ---- what the kernel says ---------------------------------------------- */

/* A number in a file of a device's directory in /sys; 0 when there is none. */
static long sys_number(dev_t dev, const char *name)
{
    long n = 0;
    _autofree_ char *path =
        xasprintf("/sys/dev/block/%u:%u/%s", major(dev), minor(dev), name);
    _autofile_ FILE *f = fopen(path, "re");
    return f && fscanf(f, "%ld", &n) == 1 ? n : 0;
}

static bool sys_has(dev_t dev, const char *name)
{
    _autofree_ char *path =
        xasprintf("/sys/dev/block/%u:%u/%s", major(dev), minor(dev), name);
    return access(path, F_OK) == 0;
}

/* Entries of such a directory; with `having`, those that have that file. */
static int sys_count(dev_t dev, const char *name, const char *having)
{
    int n = 0;
    _autofree_ char *path =
        xasprintf("/sys/dev/block/%u:%u/%s", major(dev), minor(dev), name);
    DIR *d = opendir(path);
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        _autofree_ char *file = xasprintf("%s/%s/%s", path, e->d_name, having);
        n += !*having || access(file, F_OK) == 0;
    }
    if (d)
        closedir(d);
    return n;
}

/* Devices that are parts of others, by their names in /dev. */
static bool is_made_of_others(const char *path)
{
    static const char *const kinds[] = { "/dev/loop", "/dev/ram",  "/dev/zram",
                                         "/dev/dm-",  "/dev/md",   "/dev/nbd",
                                         "/dev/rbd",  "/dev/drbd", "/dev/fd" };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (strncmp(path, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return false;
}

static void look_in_sys(struct disk *disk, dev_t dev)
{
    struct disk_facts *f = &disk->facts;
    f->partition = sys_has(dev, "partition");
    f->removable = sys_number(dev, "removable") != 0;
    f->read_only = sys_number(dev, "ro") != 0;
    f->optical = strncmp(disk->path, "/dev/sr", strlen("/dev/sr")) == 0;
    f->virtual = is_made_of_others(disk->path);
    f->held = sys_count(dev, "holders", "") > 0;
    f->partitions = sys_count(dev, ".", "partition");
}

/* ---- what is on it ----------------------------------------------------- */

static bool all_zero(const char *bytes, size_t n)
{
    return n == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0);
}

static void read_label(struct disk_facts *f, const char *bytes, size_t n)
{
    size_t at = strlen(LABEL);
    if (n < at + UUID_LEN || memcmp(bytes, LABEL, at) != 0)
        return;
    snprintf(f->osd, sizeof(f->osd), "%.36s", bytes + at);
    if (!uuid_valid(f->osd))
        f->osd[0] = '\0';
}

static void look_at_edges(struct disk_facts *f, int fd)
{
    _autofree_ char *edge = xcalloc(1, EDGE);
    size_t n = f->size < EDGE ? (size_t)f->size : EDGE;
    ssize_t got = pread(fd, edge, n, 0);
    f->unread = got != (ssize_t)n;
    if (f->unread)
        return;
    read_label(f, edge, n);
    f->data = !all_zero(edge, n);
    got = pread(fd, edge, n, f->size - (off_t)n);
    f->unread = got != (ssize_t)n;
    f->data |= !f->unread && !all_zero(edge, n);
}

static void look_for_formats(struct disk_facts *f, int fd)
{
    const char *name = NULL;
    blkid_probe probe = blkid_new_probe();
    if (!probe || blkid_probe_set_device(probe, fd, 0, f->size) != 0) {
        f->unread = true;
    } else {
        blkid_probe_enable_superblocks(probe, 1);
        blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
        blkid_probe_enable_partitions(probe, 1);
        int rc = blkid_do_safeprobe(probe);
        if (rc == 0 &&
            (blkid_probe_lookup_value(probe, "TYPE", &name, NULL) == 0 ||
             blkid_probe_lookup_value(probe, "PTTYPE", &name, NULL) == 0))
            snprintf(f->format, sizeof(f->format), "%s", name);
        else if (rc == -2)
            snprintf(f->format, sizeof(f->format), "several formats");
    }
    blkid_free_probe(probe);
}

/* O_EXCL of a block device: fails when it is mounted or part of another. */
static void look_at(struct disk *disk)
{
    struct disk_facts *f = &disk->facts;
    struct stat st;
    uint64_t bytes = 0;
    if (stat(disk->path, &st) != 0 ||
        !(S_ISBLK(st.st_mode) || S_ISREG(st.st_mode))) {
        f->special = true;
        return;
    }
    if (S_ISBLK(st.st_mode))
        look_in_sys(disk, st.st_rdev);
    int excl = S_ISBLK(st.st_mode) ? O_EXCL : 0;
    _autoclose_ int fd = open(disk->path, O_RDONLY | O_CLOEXEC | excl);
    f->in_use = fd < 0 && errno == EBUSY;
    if (f->in_use)
        fd = open(disk->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        f->unread = true;
        return;
    }
    f->size = st.st_size;
    if (S_ISBLK(st.st_mode))
        f->size = ioctl(fd, BLKGETSIZE64, &bytes) == 0 ? (int64_t)bytes : 0;
    look_at_edges(f, fd);
    look_for_formats(f, fd);
}

/* ---- all of them ------------------------------------------------------- */

static void add(struct disk *disks, size_t *n, size_t max, const char *path,
                bool named)
{
    if (*n == max || strlen(path) >= DISK_PATH_MAX || access(path, F_OK) != 0)
        return;
    struct disk *d = &disks[(*n)++];
    *d = (struct disk){ .facts.named = named };
    snprintf(d->path, sizeof(d->path), "%s", path);
    look_at(d);
    d->free = disk_judge(&d->facts, d->reason);
}

static size_t look_at_pattern(const char *pattern, bool named,
                              struct disk *disks, size_t n, size_t max)
{
    glob_t g = { 0 };
    if (glob(pattern, 0, NULL, &g) == 0)
        for (size_t i = 0; i < g.gl_pathc; i++) {
            const char *name = strrchr(g.gl_pathv[i], '/') + 1;
            _autofree_ char *dev = xasprintf("/dev/%s", name);
            add(disks, &n, max, named ? g.gl_pathv[i] : dev, named);
        }
    globfree(&g);
    return n;
}

static int by_path(const void *a, const void *b)
{
    const struct disk *x = a, *y = b;
    return strcmp(x->path, y->path);
}

size_t disks_look(const char *which, struct disk *disks, size_t max)
{
    size_t n = 0;
    if (strcmp(which, "auto") == 0)
        n = look_at_pattern("/sys/block/*", false, disks, 0, max);
    else
        for (const char *at = which; *at;) {
            size_t len = strcspn(at, ", ");
            _autofree_ char *one = xstrndup(at, len);
            if (len && *one == '/')
                n = look_at_pattern(one, true, disks, n, max);
            at += len + (at[len] != '\0');
        }
    qsort(disks, n, sizeof(disks[0]), by_path);
    return n;
}
