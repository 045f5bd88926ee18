#include "local_world.h"

static void image_becomes_blob(void **state)
{
    struct fixture *f = *state;
    struct image_info info;
    base_image(f, &info);
    assert_string_equal(info.blob, "img.qcow2");
    assert_string_equal(info.format, "qcow2");
    assert_int_equal(info.virtual_size, 8 * MIB);
    assert_string_equal(info.md5, "");
    assert_int_equal(files_in(f, "uploads"), 0);
    assert_int_equal(shell_in(f->dir, "cmp src images/img.qcow2"), 0);
    /* Again: the answer got lost. */
    struct image_info again;
    struct error err;
    must(f->v->ops->image_commit(f->v, "img", "qcow2", &again, &err), &err);
    assert_memory_equal(&info, &again, sizeof(info));
    _autoclose_ int fd = f->v->ops->image_open_read(f->v, "img.qcow2", &err);
    char magic[4];
    assert_int_equal(read(fd, magic, 4), 4);
    assert_memory_equal(magic, "QFI\xfb", 4);
    assert_true(f->v->ops->image_delete(f->v, "img.qcow2", &err));
    assert_true(f->v->ops->image_delete(f->v, "img.qcow2", &err));
    assert_int_equal(f->v->ops->image_open_read(f->v, "img.qcow2", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void open_upload_is_busy(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct image_info info;
    _autoclose_ int fd = f->v->ops->image_open_write(f->v, "u", &err);
    assert_int_equal(write(fd, "abc", 3), 3);
    assert_false(f->v->ops->image_commit(f->v, "u", "raw", &info, &err));
    assert_int_equal(err.code, ERR_BUSY);
    close(steal_fd(&fd));
    must(f->v->ops->image_commit(f->v, "u", "raw", &info, &err), &err);
    assert_int_equal(info.size, 3);
    assert_int_equal(info.virtual_size, 512);
    assert_true(f->v->ops->image_discard(f->v, "u", &err));
    assert_int_equal(files_in(f, "images"), 0);
}

static void raw_image_is_sparse(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct image_info info;
    struct stat st;
    char path[TEMPDIR_MAX + 32];
    assert_int_equal(
        shell_in(f->dir, "head -c 8M /dev/zero > r && echo x >> r"), 0);
    must(upload(f, "r", "r", "raw", &info, &err), &err);
    assert_string_equal(info.blob, "r.raw");
    assert_int_equal(info.size, 8 * MIB + 2);
    assert_int_equal(shell_in(f->dir, "cmp r images/r.raw"), 0);
    snprintf(path, sizeof(path), "%s/images/r.raw", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 < MIB);
    assert_int_equal(st.st_mode & 0777, 0440);
}

static void conversions(void **state)
{
    static const char *const formats[][2] = {
        { "vmdk", "vmdk" }, { "vmdk -o subformat=streamOptimized", "vmdk" },
        { "vpc", "vhd" },   { "vpc -o subformat=fixed", "vhd" },
        { "vhdx", "vhdx" }, { "vdi", "vdi" },
    };
    struct fixture *f = *state;
    struct error err;
    assert_int_equal(shell_in(f->dir, "qemu-img create -q -f qcow2 s 8M && "
                                      "qemu-io -c 'write -q -P 66 1M 1M' s"),
                     0);
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        struct image_info info, again;
        char md5[DIGEST_MD5_SIZE], sha512[DIGEST_SHA512_SIZE];
        assert_int_equal(
            shell_in(f->dir, "qemu-img convert -q -O %s s t", formats[i][0]),
            0);
        must(upload(f, "t", "c", formats[i][1], &info, &err), &err);
        assert_string_equal(info.format, "qcow2");
        assert_true(holds(f, "images/c.qcow2", 66, 1, 1));
        _autoclose_ int fd = f->v->ops->image_open_read(f->v, info.blob, &err);
        assert_true(digest_fd(fd, md5, sha512, &err));
        assert_string_equal(info.md5, md5);
        assert_string_equal(info.sha512, sha512);
        must(f->v->ops->image_commit(f->v, "c", formats[i][1], &again, &err),
             &err);
        assert_memory_equal(&info, &again, sizeof(info));
        assert_true(f->v->ops->image_discard(f->v, "c", &err));
        assert_int_equal(files_in(f, "images") + files_in(f, "uploads") +
                             files_in(f, "tmp"),
                         0);
    }
}

static void refusals_leave_nothing(void **state)
{
    /* made by; declared as; what the sentence must hold */
    static const char *const bad[][3] = {
        { "qemu-img create -q -f qcow2 -u -b /etc/passwd -F raw t 8M", "qcow2",
          "backing file" },
        { "qemu-img create -q -f qcow2 -o data_file=d,data_file_raw=on t 8M",
          "qcow2", "external data file" },
        { "qemu-img create -q -f qcow2 t 8M", "raw", "content is qcow2" },
        { "truncate -s 1M t", "qcow2", "no such header" },
        { "qemu-img create -q -f vmdk -o subformat=monolithicFlat t 8M", "vmdk",
          "vmdk descriptor" },
        { "qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse t 8M",
          "vmdk", "vmdk descriptor" },
        { "qemu-img create -q -f qed t 8M", "raw", "qed" },
        { "qemu-img create -q -f qcow2 t 8M && "
          "qemu-io -c 'write -q 0 1M' t && truncate -s 700k t",
          "qcow2", "corrupt" },
        { "qemu-img create -q -f qcow2 t 8M && qemu-io -c 'write -q 0 1M' t && "
          "printf '\\377\\377\\377' | dd of=t bs=1 seek=262146 conv=notrunc "
          "status=none",
          "qcow2", "corrupt" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct image_info info;
        struct error err = { 0 };
        assert_int_equal(shell_in(f->dir, "rm -f t d && %s", bad[i][0]), 0);
        if (upload(f, "t", "bad", bad[i][1], &info, &err))
            fail_msg("taken: %s", bad[i][0]);
        if (!strstr(err.text, bad[i][2]))
            fail_msg("%s: %s", bad[i][0], err.text);
        assert_true(err.code == ERR_INVALID || err.code == ERR_MEDIA_TYPE);
        assert_true(f->v->ops->image_discard(f->v, "bad", &err));
        assert_int_equal(files_in(f, "images") + files_in(f, "uploads") +
                             files_in(f, "tmp"),
                         0);
    }
}

static void disk_outlives_its_image(void **state)
{
    struct fixture *f = *state;
    struct image_info info;
    struct error err;
    char path[STORAGE_PATH_MAX], again[STORAGE_PATH_MAX];
    base_image(f, &info);
    assert_false(f->v->ops->disk_create(f->v, "s", info.blob, MIB, path, &err));
    assert_int_equal(err.code, ERR_INVALID);
    must(f->v->ops->disk_create(f->v, "s", info.blob, 16 * MIB, path, &err),
         &err);
    must(f->v->ops->disk_create(f->v, "s", info.blob, 16 * MIB, again, &err),
         &err);
    assert_string_equal(path, again);
    must(f->v->ops->disk_create(f->v, "s2", info.blob, 0, path, &err), &err);
    assert_true(f->v->ops->image_delete(f->v, info.blob, &err));
    assert_true(f->v->ops->tidy(f->v, &err));
    assert_true(holds(f, "disks/s.qcow2", 65, 0, 1));
    assert_true(holds(f, "disks/s.qcow2", 0, 8, 8));
    assert_int_equal(files_in(f, "base"), 2);
    assert_true(f->v->ops->disk_delete(f->v, "s", &err));
    assert_true(holds(f, "disks/s2.qcow2", 65, 0, 1));
    assert_true(f->v->ops->disk_delete(f->v, "s2", &err));
    assert_int_equal(files_in(f, "base"), 0);
    assert_false(f->v->ops->disk_create(f->v, "s", info.blob, 0, path, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* The first page of a disk's content. */
static void first_page(struct fixture *f, const char *path, uint8_t page[4096])
{
    char command[1400], raw[700];
    snprintf(raw, sizeof(raw), "%s.raw", path);
    snprintf(command, sizeof(command), "qemu-img convert -O raw %s %s", path,
             raw);
    assert_int_equal(system(command), 0);
    FILE *in = fopen(raw, "rb");
    assert_non_null(in);
    assert_int_equal(fread(page, 1, 4096, in), 4096);
    fclose(in);
    unlink(raw);
}

static void blank_disks(void **state)
{
    struct fixture *f = *state;
    struct error err;
    char path[STORAGE_PATH_MAX];
    uint8_t page[4096], zeros[4096] = { 0 };
    const uint8_t last_page[] = { 0xff, 0x07, 0, 0 }; /* 8 MiB: 2048 pages */
    must(f->v->ops->disk_blank(f->v, "s.e", 8 * MIB, false, path, &err), &err);
    first_page(f, path, page);
    assert_memory_equal(page, zeros, sizeof(page));
    must(f->v->ops->disk_blank(f->v, "s.swap", 8 * MIB, true, path, &err),
         &err);
    must(f->v->ops->disk_blank(f->v, "s.swap", 8 * MIB, true, path, &err),
         &err);
    first_page(f, path, page);
    assert_memory_equal(page + 4086, "SWAPSPACE2", 10);
    assert_memory_equal(page + 1028, last_page, 4);
    must(f->v->ops->tidy(f->v, &err), &err);
    first_page(f, path, page);
    assert_memory_equal(page + 4086, "SWAPSPACE2", 10);
    assert_int_equal(files_in(f, "tmp"), 0);
    must(f->v->ops->disk_delete(f->v, "s.swap", &err), &err);
    must(f->v->ops->disk_delete(f->v, "s.e", &err), &err);
    assert_int_equal(files_in(f, "disks") + files_in(f, "base"), 0);
}

static void snapshots_and_clones(void **state)
{
    struct fixture *f = *state;
    struct error err;
    create(f, "v", SOURCE_EMPTY, NULL, 4);
    fill(f, "volumes/v.qcow2", 1, 0);
    take(f, "s1", "v");
    fill(f, "volumes/v.qcow2", 2, 0);
    take(f, "s2", "v");
    take(f, "s2", "v"); /* again: it stays as it was */
    fill(f, "volumes/v.qcow2", 3, 0);
    create(f, "c", SOURCE_VOLUME, "v", 6);
    fill(f, "volumes/v.qcow2", 4, 0);
    create(f, "w", SOURCE_SNAPSHOT, "s1", 4);
    assert_true(holds(f, "snapshots/s1.qcow2", 1, 0, 1));
    assert_true(holds(f, "snapshots/s2.qcow2", 2, 0, 1));
    assert_true(holds(f, "volumes/c.qcow2", 3, 0, 1));
    assert_true(holds(f, "volumes/c.qcow2", 0, 4, 2));
    assert_true(holds(f, "volumes/v.qcow2", 4, 0, 1));
    assert_true(holds(f, "volumes/w.qcow2", 1, 0, 1));
    assert_true(f->v->ops->tidy(f->v, &err));
    assert_true(f->v->ops->volume_delete(f->v, "v", &err));
    assert_true(f->v->ops->snapshot_delete(f->v, "s1", &err));
    assert_true(holds(f, "volumes/w.qcow2", 1, 0, 1));
    assert_true(holds(f, "volumes/c.qcow2", 3, 0, 1));
    assert_true(f->v->ops->volume_delete(f->v, "c", &err));
    assert_true(holds(f, "snapshots/s2.qcow2", 2, 0, 1));
    assert_true(f->v->ops->snapshot_delete(f->v, "s2", &err));
    assert_true(f->v->ops->volume_delete(f->v, "w", &err));
    assert_int_equal(files_in(f, "base"), 0);
}

/* A chain that gets too long is copied instead; nothing is lost on the way. */
static void chains_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct error err;
    char id[16];
    create(f, "v", SOURCE_EMPTY, NULL, 4);
    fill(f, "volumes/v.qcow2", 7, 1);
    for (int i = 0; i < 36; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        take(f, id, "v");
        assert_true(f->v->ops->snapshot_delete(f->v, id, &err));
    }
    assert_true(holds(f, "volumes/v.qcow2", 7, 1, 1));
    assert_true(files_in(f, "base") < 10);
    assert_true(f->v->ops->tidy(f->v, &err));
    assert_true(holds(f, "volumes/v.qcow2", 7, 1, 1));
    assert_true(f->v->ops->volume_delete(f->v, "v", &err));
    assert_int_equal(files_in(f, "base"), 0);
}

static void extend(void **state)
{
    struct fixture *f = *state;
    struct error err;
    create(f, "v", SOURCE_EMPTY, NULL, 4);
    fill(f, "volumes/v.qcow2", 1, 3);
    must(f->v->ops->volume_extend(f->v, "v", 8 * MIB, &err), &err);
    must(f->v->ops->volume_extend(f->v, "v", 8 * MIB, &err), &err);
    assert_true(holds(f, "volumes/v.qcow2", 1, 3, 1));
    assert_true(holds(f, "volumes/v.qcow2", 0, 7, 1));
    assert_false(holds(f, "volumes/v.qcow2", 0, 8, 1));
    assert_false(f->v->ops->volume_extend(f->v, "x", 8 * MIB, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* A guest that has the volume open keeps it from being changed below it. */
static void volume_in_use(void **state)
{
    struct fixture *f = *state;
    struct error err;
    char path[STORAGE_PATH_MAX];
    struct image_info info;
    create(f, "v", SOURCE_EMPTY, NULL, 4);
    assert_int_equal(shell_in(f->dir,
                              "mkfifo in && (qemu-io -f qcow2 "
                              "volumes/v.qcow2 <in >io.log 2>&1 &) && "
                              "exec 7>in && echo 'write -P 5 0 64k' >&7 && "
                              "sleep 1 && (sleep 8 & echo $! >pid) >&7"),
                     0);
    assert_false(
        f->v->ops->snapshot_create(f->v, "s", SOURCE_VOLUME, "v", path, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(f->v->ops->volume_extend(f->v, "v", 8 * MIB, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(f->v->ops->volume_to_image(f->v, SOURCE_VOLUME, "v", "u",
                                            "raw", &info, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(files_in(f, "tmp") + files_in(f, "base"), 0);
    assert_int_equal(shell_in(f->dir, "kill $(cat pid); sleep 0.3"), 0);
    must(f->v->ops->snapshot_create(f->v, "s", SOURCE_VOLUME, "v", path, &err),
         &err);
}

/* ---- snapshots of what a guest has ------------------------------------- */

static void snapshot_while_in_use(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    char path[STORAGE_PATH_MAX], next[STORAGE_PATH_MAX];
    create(f, "v", SOURCE_EMPTY, NULL, 4);
    fill(f, "volumes/v.qcow2", 5, 0);
    must(begin(f, "s", false, path, &err), &err);
    int guest = guest_opens(path);
    must(begin(f, "s", true, next, &err), &err);
    assert_string_not_equal(path, next);
    must(begin(f, "s", true, next, &err), &err); /* again */
    /* The guest is not moved yet: what it writes is in the snapshot. */
    assert_false(
        f->v->ops->snapshot_create(f->v, "s", SOURCE_VOLUME, "v", path, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    must(begin(f, "s2", true, path, &err), &err); /* has to wait for that */
    assert_string_equal(path, next);
    assert_false(
        f->v->ops->snapshot_create(f->v, "s2", SOURCE_VOLUME, "v", path, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(files_in(f, "volumes"), 2);
    close(guest);
    fill(f, "snapshots/s.qcow2", 6, 1);
    fill(f, next, 7, 2);
    int moved = guest_opens(next);
    must(f->v->ops->snapshot_create(f->v, "s", SOURCE_VOLUME, "v", path, &err),
         &err);
    assert_int_equal(files_in(f, "volumes"), 1);
    assert_true(holds(f, path, 5, 0, 1));
    assert_true(holds(f, path, 6, 1, 1));
    assert_true(holds(f, path, 0, 2, 1));
    /* A second one on top, and the first is deleted meanwhile. */
    must(begin(f, "s2", true, path, &err), &err);
    must(f->v->ops->snapshot_delete(f->v, "s", &err), &err);
    close(moved);
    must(f->v->ops->snapshot_create(f->v, "s2", SOURCE_VOLUME, "v", next, &err),
         &err);
    assert_true(holds(f, path, 5, 0, 1));
    assert_true(holds(f, path, 7, 2, 1));
    /* What nobody has is extended and frozen where it is. */
    must(f->v->ops->volume_extend(f->v, "v", 8 * MIB, &err), &err);
    take(f, "s3", "v");
    must(begin(f, "s3", false, next, &err), &err);
    assert_string_equal(path, next);
    assert_true(holds(f, path, 7, 2, 1));
    must(f->v->ops->tidy(f->v, &err), &err);
    assert_true(holds(f, path, 6, 1, 1));
    must(f->v->ops->volume_delete(f->v, "v", &err), &err);
    must(f->v->ops->snapshot_delete(f->v, "s2", &err), &err);
    must(f->v->ops->snapshot_delete(f->v, "s3", &err), &err);
    assert_int_equal(files_in(f, "base") + files_in(f, "volumes") +
                         files_in(f, "heads") + files_in(f, "snapshots"),
                     0);
}

static void layers_in_use_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    char path[STORAGE_PATH_MAX], id[16];
    int i;
    create(f, "v", SOURCE_EMPTY, NULL, 4);
    for (i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        must(begin(f, id, false, path, &err), &err);
        _autoclose_ int guest = guest_opens(path);
        if (!begin(f, id, true, path, &err))
            break;
    }
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(i, 32);
    take(f, id, "v"); /* off, it is copied instead */
}

/* A volume deleted when a crash left its second file without a use. */
static void half_moved_is_removed(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    char path[STORAGE_PATH_MAX];
    create(f, "v", SOURCE_EMPTY, NULL, 4);
    must(begin(f, "s", false, path, &err), &err);
    int guest = guest_opens(path);
    must(begin(f, "s", true, path, &err), &err);
    assert_int_equal(shell_in(f->dir, "ln -sfn v.qcow2 heads/*"), 0);
    close(guest);
    must(f->v->ops->volume_delete(f->v, "v", &err), &err);
    must(f->v->ops->snapshot_delete(f->v, "s", &err), &err);
    assert_int_equal(
        files_in(f, "volumes") + files_in(f, "heads") + files_in(f, "base"), 0);
}

static void volume_as_image(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct image_info info;
    create(f, "v", SOURCE_EMPTY, NULL, 4);
    fill(f, "volumes/v.qcow2", 9, 1);
    must(f->v->ops->volume_to_image(f->v, SOURCE_VOLUME, "v", "u", "raw", &info,
                                    &err),
         &err);
    assert_string_equal(info.blob, "u.raw");
    assert_int_equal(info.size, 4 * MIB);
    assert_int_equal(strlen(info.md5), 32);
    assert_int_equal(strlen(info.sha512), 128);
    must(f->v->ops->volume_to_image(f->v, SOURCE_VOLUME, "v", "u2", "qcow2",
                                    &info, &err),
         &err);
    create(f, "w", SOURCE_IMAGE, "u2.qcow2", 4);
    assert_true(holds(f, "volumes/w.qcow2", 9, 1, 1));
    /* A guest wrote a qcow2 header on its disk: not a raw image. */
    assert_int_equal(shell_in(f->dir, "qemu-img create -q -f qcow2 t 1M && "
                                      "qemu-img convert -n -f raw -O qcow2 t "
                                      "volumes/v.qcow2 2>/dev/null; "
                                      "qemu-img convert -f raw -O qcow2 t "
                                      "volumes/v.qcow2"),
                     0);
    assert_false(f->v->ops->volume_to_image(f->v, SOURCE_VOLUME, "v", "u3",
                                            "raw", &info, &err));
    assert_int_equal(err.code, ERR_MEDIA_TYPE);
    assert_int_equal(files_in(f, "tmp"), 0);
}

static void count_one(void *arg, const struct stored *what)
{
    ((int *)arg)[what->kind]++;
    assert_true(what->changed > 0);
    assert_null(strstr(what->kind == STORED_IMAGE ? "" : what->name, "."));
}

static void listing(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct image_info info;
    struct storage_stats stats;
    char path[STORAGE_PATH_MAX];
    int n[5] = { 0 };
    base_image(f, &info);
    close(f->v->ops->image_open_write(f->v, "u", &err));
    create(f, "v", SOURCE_IMAGE, info.blob, 8);
    take(f, "s", "v");
    must(f->v->ops->disk_create(f->v, "d", info.blob, 0, path, &err), &err);
    must(f->v->ops->list(f->v, count_one, n, &err), &err);
    for (int i = 0; i < 5; i++)
        assert_int_equal(n[i], 1);
    must(f->v->ops->stats(f->v, &stats, &err), &err);
    assert_true(stats.free > 0 && stats.free < stats.total);
}

static void bad_names(void **state)
{
    static const char *const names[] = { "",    ".",   "..",      "../x",
                                         "a/b", "a b", ".hidden", NULL };
    struct fixture *f = *state;
    char path[STORAGE_PATH_MAX];
    struct volume_spec spec = { MIB, SOURCE_EMPTY, NULL };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct error err = { 0 };
        assert_false(
            f->v->ops->volume_create(f->v, names[i], &spec, path, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(f->v->ops->image_open_write(f->v, names[i], &err), -1);
        assert_false(f->v->ops->volume_delete(f->v, names[i], &err));
    }
}

int main(void)
{
#define T(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(image_becomes_blob),
        T(open_upload_is_busy),
        T(raw_image_is_sparse),
        T(conversions),
        T(refusals_leave_nothing),
        T(disk_outlives_its_image),
        T(blank_disks),
        T(snapshots_and_clones),
        T(chains_are_bounded),
        T(extend),
        T(volume_in_use),
        T(snapshot_while_in_use),
        T(layers_in_use_are_bounded),
        T(half_moved_is_removed),
        T(volume_as_image),
        T(listing),
        T(bad_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
