/* local_world - the local driver in a directory of its own, for its tests. */
#ifndef CAIRN_TESTS_LOCAL_WORLD_H
#define CAIRN_TESTS_LOCAL_WORLD_H

#include "shell.h"
#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/digest.h"
#include "storage/local_driver.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MIB (1 << 20)

struct fixture {
    char dir[TEMPDIR_MAX];
    struct local_config config;
    struct volumes *v;
};

static inline void open_driver(struct fixture *f)
{
    struct error err = { 0 };
    f->v = local_driver_open(&f->config, &env_system, &err);
    if (!f->v)
        fail_msg("%s", err.text);
}

static inline int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    tempdir_make(f->dir);
    f->config.dir = f->dir;
    open_driver(f);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    f->v->ops->close(f->v);
    shell_in(f->dir, "rm -rf %s", f->dir);
    free(f);
    return 0;
}

/* Uploads a file of the directory and commits it. */
static inline bool upload(struct fixture *f, const char *file, const char *id,
                          const char *disk_format, struct image_info *info,
                          struct error *err)
{
    int to = f->v->ops->image_open_write(f->v, id, err);
    assert_true(to >= 0);
    close(to);
    assert_int_equal(shell_in(f->dir, "cat %s > uploads/%s", file, id), 0);
    return f->v->ops->image_commit(f->v, id, disk_format, info, err);
}

static inline void must(bool ok, const struct error *err)
{
    if (!ok)
        fail_msg("%s: %s", error_code_name(err->code), err->text);
}

/* An image of 8 MiB whose byte 4096.. holds `letter`, blob "img.qcow2". */
static inline void base_image(struct fixture *f, struct image_info *info)
{
    struct error err = { 0 };
    assert_int_equal(shell_in(f->dir, "qemu-img create -q -f qcow2 src 8M && "
                                      "qemu-io -c 'write -q -P 65 0 1M' src"),
                     0);
    must(upload(f, "src", "img", "qcow2", info, &err), &err);
}

static inline bool holds(struct fixture *f, const char *path, int byte,
                         int from_mib, int mib)
{
    return shell_in(f->dir,
                    "qemu-io -r -f qcow2 -c 'read -q -P %d %dM %dM' %s "
                    ">out 2>&1 && ! grep -q failed out",
                    byte, from_mib, mib, path) == 0;
}

static inline void fill(struct fixture *f, const char *path, int byte, int mib)
{
    assert_int_equal(shell_in(f->dir,
                              "qemu-io -f qcow2 -c 'write -q -P %d %dM 1M' %s",
                              byte, mib, path),
                     0);
}

static inline int files_in(struct fixture *f, const char *place)
{
    char cmd[64];
    snprintf(cmd, sizeof(cmd), "exit $(ls %s | wc -l)", place);
    return shell_in(f->dir, "%s", cmd);
}

static inline void create(struct fixture *f, const char *id,
                          enum volume_source from, const char *source, int mib)
{
    struct volume_spec spec = { (int64_t)mib * MIB, from, source };
    char path[STORAGE_PATH_MAX];
    struct error err = { 0 };
    must(f->v->ops->volume_create(f->v, id, &spec, path, &err), &err);
}

static inline void take(struct fixture *f, const char *id, const char *volume)
{
    char path[STORAGE_PATH_MAX];
    struct error err = { 0 };
    must(
        f->v->ops->snapshot_create(f->v, id, SOURCE_VOLUME, volume, path, &err),
        &err);
}

/* What QEMU holds on a file that it may write to: see layers.c.  Closing the
 * descriptor ends it. */
static inline int guest_opens(const char *path)
{
    struct flock lock = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1
    };
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    return fd;
}

static inline bool begin(struct fixture *f, const char *id, bool in_use,
                         char path[STORAGE_PATH_MAX], struct error *err)
{
    bool moved;
    return f->v->ops->snapshot_begin(f->v, id, SOURCE_VOLUME, "v", in_use, path,
                                     &moved, err) &&
           (moved || !in_use ||
            error_set(err, ERR_INTERNAL, "nothing was moved"));
}

#endif
