#include "local_world.h"

#include <pthread.h>

/* ---- many at once ------------------------------------------------------ */

struct thread {
    pthread_t id;
    struct fixture *f;
    int n;
    bool ok;
};

/* All work on the same image and the same volume. */
static void *crowd(void *arg)
{
    struct thread *t = arg;
    struct volumes *v = t->f->v;
    struct error err;
    char path[STORAGE_PATH_MAX], id[32];
    struct volume_spec clone = { 8 * MIB, SOURCE_VOLUME, "v" };
    struct volume_spec copy = { 8 * MIB, SOURCE_SNAPSHOT, id };
    t->ok = true;
    for (int i = 0; i < 4; i++) {
        snprintf(id, sizeof(id), "t%d-%d", t->n, i);
        t->ok =
            t->ok && v->ops->disk_create(v, id, "img.qcow2", 0, path, &err) &&
            v->ops->snapshot_create(v, id, SOURCE_VOLUME, "v", path, &err) &&
            v->ops->volume_create(v, id, i % 2 ? &clone : &copy, path, &err) &&
            v->ops->tidy(v, &err) && v->ops->disk_delete(v, id, &err) &&
            v->ops->snapshot_delete(v, id, &err);
    }
    if (!t->ok)
        print_error("%s\n", err.text);
    return NULL;
}

static void many_at_once(void **state)
{
    struct fixture *f = *state;
    struct image_info info;
    struct error err;
    struct thread threads[4];
    base_image(f, &info);
    create(f, "v", SOURCE_IMAGE, "img.qcow2", 8);
    for (int i = 0; i < 4; i++) {
        threads[i] = (struct thread){ .f = f, .n = i };
        pthread_create(&threads[i].id, NULL, crowd, &threads[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i].id, NULL);
        assert_true(threads[i].ok);
    }
    for (int i = 0; i < 16; i++) {
        char id[32], path[64];
        snprintf(id, sizeof(id), "t%d-%d", i / 4, i % 4);
        snprintf(path, sizeof(path), "volumes/%s.qcow2", id);
        assert_true(holds(f, path, 65, 0, 1));
        must(f->v->ops->volume_delete(f->v, id, &err), &err);
    }
    assert_true(holds(f, "volumes/v.qcow2", 65, 0, 1));
    must(f->v->ops->volume_delete(f->v, "v", &err), &err);
    must(f->v->ops->tidy(f->v, &err), &err);
    assert_int_equal(files_in(f, "base") + files_in(f, "tmp"), 0);
}

/* ---- power cuts -------------------------------------------------------- */

static int points_left;

static void die_here(void *arg, const char *name)
{
    if (points_left-- == 0)
        _exit(9);
}

/* Runs `work` in a process that dies at its n-th step.  True: it ended
 * before that. */
static bool survives(struct fixture *f, void (*work)(struct fixture *), int n)
{
    pid_t pid = fork();
    if (pid == 0) {
        points_left = n;
        f->config.crash_point = die_here;
        open_driver(f);
        work(f);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
    return WEXITSTATUS(status) == 0;
}

static void take_in_use(struct fixture *f, const char *id, const char *volume)
{
    struct error err = { 0 };
    char path[STORAGE_PATH_MAX];
    bool moved;
    must(f->v->ops->snapshot_begin(f->v, id, SOURCE_VOLUME, volume, false, path,
                                   &moved, &err),
         &err);
    int guest = guest_opens(path);
    must(f->v->ops->snapshot_begin(f->v, id, SOURCE_VOLUME, volume, true, path,
                                   &moved, &err),
         &err);
    close(guest);
    must(
        f->v->ops->snapshot_create(f->v, id, SOURCE_VOLUME, volume, path, &err),
        &err);
}

static void story(struct fixture *f)
{
    struct error err;
    struct image_info info;
    char path[STORAGE_PATH_MAX];
    must(f->v->ops->image_commit(f->v, "img", "vmdk", &info, &err), &err);
    create(f, "v", SOURCE_IMAGE, "img.qcow2", 8);
    take(f, "s", "v");
    create(f, "c", SOURCE_VOLUME, "v", 8);
    create(f, "w", SOURCE_SNAPSHOT, "s", 8);
    must(f->v->ops->volume_extend(f->v, "w", 9 * MIB, &err), &err);
    must(f->v->ops->disk_create(f->v, "d", "img.qcow2", 0, path, &err), &err);
    take(f, "z", "v"); /* nothing after it freezes the volume for it */
    create(f, "m", SOURCE_IMAGE, "img.qcow2", 8);
    take_in_use(f, "ms", "m");
}

static void story_ends(struct fixture *f)
{
    struct error err;
    must(f->v->ops->image_delete(f->v, "img.qcow2", &err), &err);
    must(f->v->ops->volume_delete(f->v, "v", &err), &err);
    must(f->v->ops->snapshot_delete(f->v, "s", &err), &err);
    must(f->v->ops->disk_delete(f->v, "d", &err), &err);
    must(f->v->ops->volume_delete(f->v, "w", &err), &err);
    must(f->v->ops->snapshot_delete(f->v, "z", &err), &err);
    must(f->v->ops->volume_delete(f->v, "m", &err), &err);
    must(f->v->ops->snapshot_delete(f->v, "ms", &err), &err);
}

/* Whatever step it is killed at: the same calls again finish the work, every
 * disk holds what it should, and in the end nothing is left over. */
static void killed_at_any_step(void **state)
{
    struct fixture *f = *state;
    static const char *const made[] = { "volumes/v",    "volumes/c",
                                        "volumes/w",    "snapshots/s",
                                        "disks/d",      "snapshots/z",
                                        "volumes/m~ms", "snapshots/ms" };
    struct error err;
    assert_int_equal(shell_in(f->dir, "qemu-img create -q -f qcow2 src 8M && "
                                      "qemu-io -c 'write -q -P 65 0 1M' src && "
                                      "qemu-img convert -O vmdk src src.vmdk"),
                     0);
    bool over = false;
    int n = 0;
    for (; !over; n++) {
        close(f->v->ops->image_open_write(f->v, "img", &err));
        assert_int_equal(shell_in(f->dir, "cat src.vmdk > uploads/img"), 0);
        over = survives(f, story, n);
        f->v->ops->close(f->v);
        open_driver(f);
        story(f);
        for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
            char path[TEMPDIR_MAX + 32];
            snprintf(path, sizeof(path), "%s.qcow2", made[i]);
            if (!holds(f, path, 65, 0, 1))
                fail_msg("killed at step %d: %s is damaged", n, path);
        }
        fill(f, "volumes/v.qcow2", 66, 0); /* must not be seen elsewhere */
        for (size_t i = 1; i < ARRAY_SIZE(made); i++) {
            char path[TEMPDIR_MAX + 32];
            snprintf(path, sizeof(path), "%s.qcow2", made[i]);
            if (!holds(f, path, 65, 0, 1))
                fail_msg("killed at step %d: %s is not its own", n, path);
        }
        over = survives(f, story_ends, n) && over;
        f->v->ops->close(f->v);
        open_driver(f);
        story_ends(f);
        assert_true(holds(f, "volumes/c.qcow2", 65, 0, 1));
        must(f->v->ops->volume_delete(f->v, "c", &err), &err);
        assert_int_equal(files_in(f, "base") + files_in(f, "tmp") +
                             files_in(f, "images") + files_in(f, "volumes") +
                             files_in(f, "snapshots") + files_in(f, "disks") +
                             files_in(f, "uploads") + files_in(f, "heads"),
                         0);
    }
    assert_true(n > 15);
}

/* ---- a full disk ------------------------------------------------------- */

static void full_disk(void **state)
{
    struct fixture *f = *state;
    struct error err;
    char path[STORAGE_PATH_MAX];
    struct volume_spec spec = { 4 * MIB, SOURCE_EMPTY, NULL };
    if (shell_in(f->dir, "mount -t tmpfs -o size=3m none . 2>/dev/null") != 0)
        skip();
    f->v->ops->close(f->v);
    open_driver(f);
    shell_in(f->dir, "head -c 4M /dev/zero > full 2>/dev/null");
    bool made = f->v->ops->volume_create(f->v, "v", &spec, path, &err) &&
                f->v->ops->volume_create(f->v, "v2", &spec, path, &err);
    int left = files_in(f, "tmp") + files_in(f, "base");
    shell_in(f->dir, "cd / && umount -l %s", f->dir);
    f->v->ops->close(f->v);
    open_driver(f);
    assert_false(made);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_int_equal(left, 0);
}

int main(void)
{
#define T(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(many_at_once),
        T(killed_at_any_step),
        T(full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
