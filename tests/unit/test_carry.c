/* A disk goes from one node's files to another's: the local driver's export
 * and import, with a buffer for a cable. */
#include "shell.h"
#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "storage/disk_stream.h"
#include "storage/local_driver.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define MIB       (1 << 20)
#define CABLE_MAX ((size_t)64 << 20)

struct node {
    char dir[TEMPDIR_MAX];
    struct local_config config;
    struct volumes *v;
};

struct fixture {
    struct node here, there;
    struct buf cable;
    size_t read;
};

static void must(bool ok, const struct error *err)
{
    if (!ok)
        fail_msg("%s: %s", error_code_name(err->code), err->text);
}

static void open_node(struct node *n)
{
    struct error err = { 0 };
    n->config.dir = n->dir;
    n->v = local_driver_open(&n->config, &env_system, &err);
    must(n->v != NULL, &err);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->cable = BUF_INIT(CABLE_MAX);
    tempdir_make(f->here.dir);
    tempdir_make(f->there.dir);
    open_node(&f->here);
    open_node(&f->there);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->here.v->ops->close(f->here.v);
    f->there.v->ops->close(f->there.v);
    shell_in(f->here.dir, "rm -rf %s %s", f->here.dir, f->there.dir);
    buf_free(&f->cable);
    free(f);
    return 0;
}

/* ---- the cable ----------------------------------------------------------- */

static bool put(void *arg, const void *data, size_t len, struct error *err)
{
    struct fixture *f = arg;
    buf_add(&f->cable, data, len);
    return !f->cable.overflow;
}

static bool get(void *arg, void *data, size_t len, struct error *err)
{
    struct fixture *f = arg;
    if (f->cable.len - f->read < len)
        return error_set(err, ERR_UNAVAILABLE, "the cable is cut");
    memcpy(data, f->cable.data + f->read, len);
    f->read += len;
    return true;
}

static bool send_disk(struct fixture *f, const char *id, struct error *err)
{
    const struct byte_sink to = { put, f };
    buf_reset(&f->cable);
    f->read = 0;
    return f->here.v->ops->disk_export(f->here.v, id, &to, err);
}

static bool take_disk(struct fixture *f, const char *id, int64_t size,
                      struct error *err)
{
    char path[STORAGE_PATH_MAX];
    const struct byte_source from = { get, NULL, f };
    f->read = 0;
    return f->there.v->ops->disk_import(f->there.v, id, &from, size, path, err);
}

/* ---- disks --------------------------------------------------------------- */

static bool holds(struct node *n, const char *path, int byte, int from_mib,
                  int mib)
{
    return shell_in(n->dir,
                    "qemu-io -r -f qcow2 -c 'read -q -P %d %dM %dM' %s "
                    ">out 2>&1 && ! grep -q failed out",
                    byte, from_mib, mib, path) == 0;
}

static int files_in(struct node *n, const char *place)
{
    return shell_in(n->dir, "exit $(ls %s | wc -l)", place);
}

/* An image whose first MiB is 65, a disk of 16 MiB on it with a 66 at 2 MiB,
 * and one that was cloned from that, with a 67 at 4 MiB. */
static void make_disks(struct fixture *f)
{
    struct error err = { 0 };
    struct image_info info;
    char path[STORAGE_PATH_MAX];
    struct volumes *v = f->here.v;
    int to = v->ops->image_open_write(v, "img", &err);
    must(to >= 0, &err);
    close(to);
    assert_int_equal(shell_in(f->here.dir,
                              "qemu-img create -q -f qcow2 src 8M && "
                              "qemu-io -c 'write -q -P 65 0 1M' src && "
                              "cat src > uploads/img"),
                     0);
    must(v->ops->image_commit(v, "img", "qcow2", &info, &err), &err);
    must(v->ops->disk_create(v, "d", info.blob, 16 * MIB, path, &err), &err);
    assert_int_equal(shell_in(f->here.dir,
                              "qemu-io -f qcow2 -c 'write -q -P 66 2M 1M' "
                              "disks/d.qcow2"),
                     0);
    must(v->ops->disk_clone(v, "d2", "d", 0, path, &err), &err);
    assert_int_equal(shell_in(f->here.dir,
                              "qemu-io -f qcow2 -c 'write -q -P 67 4M 1M' "
                              "disks/d2.qcow2"),
                     0);
}

static void assert_whole(struct node *n, const char *path)
{
    assert_true(holds(n, path, 65, 0, 1));
    assert_true(holds(n, path, 0, 1, 1));
    assert_true(holds(n, path, 66, 2, 1));
    assert_true(holds(n, path, 67, 4, 1));
    assert_true(holds(n, path, 0, 5, 11));
    assert_int_equal(shell_in(n->dir, "qemu-img check -q %s", path), 0);
}

static void it_arrives_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    make_disks(f);
    must(send_disk(f, "d2", &err), &err);
    assert_true(f->cable.len < (size_t)8 * MIB); /* holes are not sent */
    must(take_disk(f, "d3", 0, &err), &err);
    assert_whole(&f->there, "disks/d3.qcow2");
    must(take_disk(f, "d3", 0, &err), &err); /* asked again: there it is */
    /* What it came from is untouched, and goes by itself. */
    assert_whole(&f->here, "disks/d2.qcow2");
    must(f->here.v->ops->disk_delete(f->here.v, "d2", &err), &err);
    assert_true(holds(&f->here, "disks/d.qcow2", 66, 2, 1));
}

/* The same layers, under names of their own: one goes, the other stays. */
static void twice_is_two(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    make_disks(f);
    must(send_disk(f, "d2", &err), &err);
    must(take_disk(f, "one", 0, &err), &err);
    must(take_disk(f, "two", 32 * MIB, &err), &err);
    must(f->there.v->ops->disk_delete(f->there.v, "one", &err), &err);
    must(f->there.v->ops->tidy(f->there.v, &err), &err);
    assert_whole(&f->there, "disks/two.qcow2");
    assert_true(holds(&f->there, "disks/two.qcow2", 0, 16, 16));
    must(f->there.v->ops->disk_delete(f->there.v, "two", &err), &err);
    assert_int_equal(files_in(&f->there, "base"), 0);
    assert_int_equal(files_in(&f->there, "tmp"), 0);
}

static void assert_refused(struct fixture *f, enum error_code code)
{
    struct error err = { 0 };
    assert_false(take_disk(f, "d3", 0, &err));
    if (code != ERR_NONE)
        assert_int_equal(err.code, code);
    assert_int_equal(files_in(&f->there, "disks"), 0);
    assert_int_equal(files_in(&f->there, "base"), 0);
    assert_int_equal(files_in(&f->there, "tmp"), 0);
}

static void what_breaks_on_the_way_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    make_disks(f);
    must(send_disk(f, "d2", &err), &err);
    size_t all = f->cable.len;
    for (int i = 0; i < 20; i++) { /* cut anywhere */
        f->cable.len = all / 20 * (size_t)i;
        assert_refused(f, ERR_UNAVAILABLE);
    }
    f->cable.len = all;
    for (size_t at = all / 7; at < all; at += all / 7) { /* or flipped */
        f->cable.data[at] ^= 4;
        assert_refused(f, ERR_NONE);
        f->cable.data[at] ^= 4;
    }
    must(take_disk(f, "d3", 0, &err), &err);
    assert_whole(&f->there, "disks/d3.qcow2");
    assert_false(take_disk(f, "small", 8 * MIB, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

/* Holds a file as a QEMU that writes does; see layers.c. */
static int guest_opens(const char *dir, const char *file)
{
    _autofree_ char *path = xasprintf("%s/%s", dir, file);
    struct flock lock = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 101, .l_len = 1
    };
    int fd = open(path, O_RDWR);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    return fd;
}

static void a_guest_that_writes_keeps_it(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    make_disks(f);
    int guest = guest_opens(f->here.dir, "disks/d2.qcow2");
    assert_false(send_disk(f, "d2", &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    close(guest);
    must(send_disk(f, "d2", &err), &err);
    assert_false(send_disk(f, "none", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* ---- power cuts ---------------------------------------------------------- */

static int points_left;

static void die_here(void *arg, const char *name)
{
    if (points_left-- == 0)
        _exit(9);
}

static bool survives(struct fixture *f, int n)
{
    struct error err = { 0 };
    pid_t pid = fork();
    if (pid == 0) {
        points_left = n;
        f->there.config.crash_point = die_here;
        open_node(&f->there);
        _exit(take_disk(f, "d3", 0, &err) ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 1);
    return WEXITSTATUS(status) == 0;
}

/* Whatever step it is killed at: what is left is cleared away, and once more
 * is enough. */
static void killed_at_any_step(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    int n = 0;
    make_disks(f);
    must(send_disk(f, "d2", &err), &err);
    while (!survives(f, n)) {
        must(f->there.v->ops->tidy(f->there.v, &err), &err);
        must(take_disk(f, "d3", 0, &err), &err);
        assert_whole(&f->there, "disks/d3.qcow2");
        must(f->there.v->ops->disk_delete(f->there.v, "d3", &err), &err);
        assert_int_equal(files_in(&f->there, "base"), 0);
        n++;
    }
    assert_true(n >= 4);
}

int main(void)
{
#define T(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(it_arrives_as_it_was),
        T(twice_is_two),
        T(what_breaks_on_the_way_leaves_nothing),
        T(a_guest_that_writes_keeps_it),
        T(killed_at_any_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
