/* The RBD driver against a real Ceph cluster; tests/lab/rbd starts one and
 * runs this in it. CEPH_CONF names the cluster. */
#include "shell.h"
#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "model/model.h"
#include "model/pool.h"
#include "storage/ceph/ceph_io.h"
#include "storage/ceph/rbd_driver.h"
#include "storage/ceph/rbd_fence.h"
#include "storage/ceph/rbd_image.h"
#include "storage/digest.h"
#include "storage/luks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define MIB INT64_C(1048576)

struct fixture {
    char dir[TEMPDIR_MAX];
    struct ceph *ceph;
    rados_ioctx_t io;
    struct volumes *v;
};

static struct error err;

static void must(bool ok)
{
    if (!ok)
        fail_msg("%s: %s", error_code_name(err.code), err.text);
}

static void refused(bool ok, enum error_code code)
{
    assert_false(ok);
    assert_string_equal(error_code_name(err.code), error_code_name(code));
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    const struct ceph_config ceph = { .conf = getenv("CEPH_CONF"),
                                      .client = "admin" };
    tempdir_make(f->dir);
    shell_in(f->dir, "chmod 755 .");
    must((f->ceph = ceph_connect(&ceph, &err)) != NULL);
    must((f->io = ceph_pool(f->ceph, "rbd", &err)) != NULL);
    const struct rbd_config config = { .ceph = f->ceph,
                                       .pool = "rbd",
                                       .dir = f->dir };
    must((f->v = rbd_driver_open(&config, &env_system, &err)) != NULL);
    *state = f;
    return 0;
}

static void remove_one(void *arg, const char *name)
{
    struct fixture *f = arg;
    must(rbd_image_remove(f->io, name, &err));
}

/* Whatever a test leaves is gone afterwards, the trash included. */
static int teardown(void **state)
{
    struct fixture *f = *state;
    must(rbd_image_each(f->io, remove_one, f, &err));
    for (int i = 0; i < 16; i++) /* clones of clones: the youngest first */
        must(f->v->ops->tidy(f->v, &err));
    assert_int_equal(shell_in(f->dir, "test -z \"$(rbd ls; rbd trash ls -a)\""),
                     0);
    f->v->ops->close(f->v);
    rados_ioctx_destroy(f->io);
    ceph_free(f->ceph);
    shell_in(f->dir, "rm -rf %s", f->dir);
    free(f);
    return 0;
}

/* ---- helpers ------------------------------------------------------------- */

static bool upload(struct fixture *f, const char *file, const char *id,
                   const char *format, struct image_info *info)
{
    int fd = f->v->ops->image_open_write(f->v, id, &err);
    must(fd >= 0);
    close(fd);
    assert_int_equal(shell_in(f->dir, "cat %s > uploads/%s", file, id), 0);
    return f->v->ops->image_commit(f->v, id, format, info, &err);
}

/* 8 MiB whose first holds 'A', as blob "img.qcow2". */
static void base_image(struct fixture *f, struct image_info *info)
{
    assert_int_equal(shell_in(f->dir, "qemu-img create -q -f qcow2 src 8M && "
                                      "qemu-io -c 'write -q -P 65 0 1M' src"),
                     0);
    must(upload(f, "src", "img", "qcow2", info));
}

static void fill(struct fixture *f, const char *path, int byte, int mib)
{
    assert_int_equal(shell_in(f->dir,
                              "qemu-io -f raw -c 'write -q -P %d %dM 1M' %s",
                              byte, mib, path),
                     0);
}

static bool holds(struct fixture *f, const char *path, int byte, int mib)
{
    return shell_in(
               f->dir,
               "qemu-io -r -f raw -c 'read -q -P %d %dM 1M' %s >out 2>&1 && "
               "! grep -q failed out",
               byte, mib, path) == 0;
}

static void volume(struct fixture *f, const char *id, enum volume_source from,
                   const char *source, char path[STORAGE_PATH_MAX])
{
    const struct volume_spec spec = { 16 * MIB, from, source };
    must(f->v->ops->volume_create(f->v, id, &spec, path, &err));
}

#define SECRET                                                                 \
    "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"

/* qemu-io on a volume as a guest's QEMU opens it. */
static int guest_io(struct fixture *f, const char *id, const char *what)
{
    return shell_in(f->dir,
                    "printf %%s " SECRET " > key && "
                    "qemu-io --object secret,id=k,file=key -c '%s' "
                    "--image-opts driver=luks,key-secret=k,file.driver=rbd,"
                    "file.pool=rbd,file.image=volume.%s,file.conf=$CEPH_CONF,"
                    "file.user=admin >out 2>&1 && ! grep -q failed out",
                    what, id);
}

static void make_luks(struct fixture *f, const char *id,
                      enum volume_source from, const char *source, int64_t mib)
{
    const struct luks luks = { SECRET, 256 };
    char path[STORAGE_PATH_MAX];
    const struct volume_spec spec = { .size = mib * MIB + luks_overhead(256),
                                      .from = from,
                                      .source = source,
                                      .luks = &luks };
    must(f->v->ops->volume_create(f->v, id, &spec, path, &err));
}

static void download(struct fixture *f, const char *blob, const char *as)
{
    int fd = f->v->ops->image_open_read(f->v, blob, &err);
    must(fd >= 0);
    assert_int_equal(
        shell_in(f->dir, "cat /proc/%d/fd/%d > %s", getpid(), fd, as), 0);
    close(fd);
}

/* ---- tests --------------------------------------------------------------- */

static void test_upload_boot_download(void **state)
{
    struct fixture *f = *state;
    struct image_info info, again;
    char path[STORAGE_PATH_MAX];
    base_image(f, &info);
    assert_string_equal(info.blob, "img.qcow2");
    assert_int_equal(info.virtual_size, 8 * MIB);
    must(f->v->ops->image_commit(f->v, "img", "qcow2", &again, &err));
    assert_string_equal(again.blob, info.blob);
    assert_int_equal(again.size, info.size);
    must(f->v->ops->disk_create(f->v, "srv", info.blob, 16 * MIB, path, &err));
    assert_string_equal(path, "rbd:rbd/disk.srv");
    assert_true(holds(f, path, 'A', 0));
    assert_true(holds(f, path, 0, 15));
    download(f, info.blob, "back");
    assert_int_equal(shell_in(f->dir, "cmp src back"), 0);
    must(f->v->ops->image_delete(f->v, info.blob, &err));
    assert_true(holds(f, path, 'A', 0)); /* from the trash */
    refused(f->v->ops->disk_create(f->v, "s2", info.blob, 0, path, &err),
            ERR_NOT_FOUND);
}

static void test_raw_is_kept_once(void **state)
{
    struct fixture *f = *state;
    struct image_info info;
    assert_int_equal(shell_in(f->dir, "head -c 3000000 /dev/urandom > src && "
                                      "truncate -s 5000000 src"),
                     0);
    must(upload(f, "src", "r", "raw", &info));
    assert_int_equal(info.size, 5000000);
    assert_int_equal(info.virtual_size % 512, 0);
    download(f, info.blob, "back");
    assert_int_equal(shell_in(f->dir, "cmp src back"), 0);
    assert_int_equal(shell_in(f->dir, "test \"$(rbd ls)\" = image.r"), 0);
}

static void test_hostile_image(void **state)
{
    struct fixture *f = *state;
    struct image_info info;
    assert_int_equal(shell_in(f->dir,
                              "qemu-img create -q -f raw secret 1M && qemu-img "
                              "create -q -f qcow2 -b secret -F raw src"),
                     0);
    refused(upload(f, "src", "bad", "qcow2", &info), ERR_INVALID);
    must(f->v->ops->image_discard(f->v, "bad", &err));
    assert_int_equal(shell_in(f->dir, "test -z \"$(rbd ls)\""), 0);
}

/* A crash in the middle of an import left an image without its seal. */
static void test_interrupted_import(void **state)
{
    struct fixture *f = *state;
    struct image_info info;
    char path[STORAGE_PATH_MAX];
    must(rbd_image_make(f->io, "image.img", 4 * MIB, &err));
    refused(f->v->ops->disk_create(f->v, "s", "img.qcow2", 0, path, &err),
            ERR_NOT_FOUND);
    base_image(f, &info);
    must(f->v->ops->disk_create(f->v, "s", info.blob, 0, path, &err));
    assert_true(holds(f, path, 'A', 0));
}

static void test_snapshots_and_clones(void **state)
{
    struct fixture *f = *state;
    char one[STORAGE_PATH_MAX], path[STORAGE_PATH_MAX], two[STORAGE_PATH_MAX];
    volume(f, "one", SOURCE_EMPTY, NULL, one);
    fill(f, one, 'B', 0);
    must(f->v->ops->snapshot_create(f->v, "sn", SOURCE_VOLUME, "one", path,
                                    &err));
    must(f->v->ops->snapshot_create(f->v, "sn", SOURCE_VOLUME, "one", path,
                                    &err));
    fill(f, one, 'C', 0);
    volume(f, "two", SOURCE_SNAPSHOT, "sn", two);
    volume(f, "three", SOURCE_VOLUME, "one", path);
    must(f->v->ops->volume_delete(f->v, "one", &err));
    must(f->v->ops->volume_delete(f->v, "one", &err));
    must(f->v->ops->snapshot_delete(f->v, "sn", &err));
    must(f->v->ops->tidy(f->v, &err));
    assert_true(holds(f, two, 'B', 0));
    assert_true(holds(f, path, 'C', 0));
}

static void test_generations(void **state)
{
    struct fixture *f = *state;
    char path[STORAGE_PATH_MAX], from[16] = "g0", id[16];
    volume(f, from, SOURCE_EMPTY, NULL, path);
    fill(f, path, 'G', 3);
    for (int i = 1; i <= RBD_DEPTH_MAX + 2; i++) {
        snprintf(id, sizeof(id), "g%d", i);
        volume(f, id, SOURCE_VOLUME, from, path);
        must(f->v->ops->volume_delete(f->v, from, &err));
        memcpy(from, id, sizeof(from));
    }
    assert_true(holds(f, path, 'G', 3));
}

/* What a guest has open can be snapshotted, not removed, not grown. */
static void test_in_use(void **state)
{
    struct fixture *f = *state;
    char one[STORAGE_PATH_MAX], path[STORAGE_PATH_MAX];
    rbd_image_t guest;
    volume(f, "one", SOURCE_EMPTY, NULL, one);
    assert_int_equal(rbd_open(f->io, "volume.one", &guest, NULL), 0);
    assert_int_equal(rbd_write(guest, 0, 3, "abc"), 3);
    refused(f->v->ops->volume_delete(f->v, "one", &err), ERR_CONFLICT);
    refused(f->v->ops->volume_extend(f->v, "one", 32 * MIB, &err),
            ERR_CONFLICT);
    must(f->v->ops->volume_extend(f->v, "one", 16 * MIB, &err));
    must(f->v->ops->snapshot_create(f->v, "sn", SOURCE_VOLUME, "one", path,
                                    &err));
    assert_int_equal(rbd_write(guest, 0, 3, "xyz"), 3);
    rbd_close(guest);
    must(f->v->ops->volume_extend(f->v, "one", 32 * MIB, &err));
    assert_int_equal(shell_in(f->dir,
                              "qemu-img convert -f raw -O raw %s f && "
                              "test \"$(head -c 3 f)\" = abc",
                              path),
                     0);
}

static void test_volume_to_image(void **state)
{
    static const char *const formats[] = { "raw", "qcow2" };
    struct fixture *f = *state;
    char path[STORAGE_PATH_MAX], disk[STORAGE_PATH_MAX];
    char md5[DIGEST_MD5_SIZE], sha512[DIGEST_SHA512_SIZE];
    struct image_info info;
    volume(f, "v", SOURCE_EMPTY, NULL, path);
    fill(f, path, 'V', 2);
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        must(f->v->ops->volume_to_image(f->v, SOURCE_VOLUME, "v", formats[i],
                                        formats[i], &info, &err));
        int fd = f->v->ops->image_open_read(f->v, info.blob, &err);
        must(fd >= 0 && digest_fd(fd, md5, sha512, &err));
        assert_int_equal(lseek(fd, 0, SEEK_END), info.size);
        close(fd);
        assert_string_equal(md5, info.md5);
        assert_string_equal(sha512, info.sha512);
        must(
            f->v->ops->disk_create(f->v, formats[i], info.blob, 0, disk, &err));
        assert_true(holds(f, disk, 'V', 2));
    }
    refused(f->v->ops->volume_to_image(f->v, SOURCE_VOLUME, "v", "u", "vmdk",
                                       &info, &err),
            ERR_MEDIA_TYPE);
}

/* An image whose header is gone, as of one who was killed while he made or
 * removed it. */
static void leave_half(struct fixture *f, const char *name)
{
    must(rbd_image_make(f->io, name, 8 * MIB, &err));
    assert_int_equal(
        shell_in(f->dir,
                 "rados -p rbd rm rbd_header.$(rbd info %s --format json | "
                 "python3 -c 'import json,sys; "
                 "print(json.load(sys.stdin)[\"id\"])') && rbd ls | grep -q %s",
                 name, name),
        0);
}

static void test_half_an_image(void **state)
{
    struct fixture *f = *state;
    struct rbd_facts facts;
    leave_half(f, "half");
    must(rbd_image_remove(f->io, "half", &err));
    assert_int_equal(shell_in(f->dir, "test -z \"$(rbd ls)\""), 0);
    must(rbd_image_remove(f->io, "half", &err));
    leave_half(f, "half");
    must(rbd_image_make(f->io, "half", 16 * MIB, &err));
    must(rbd_image_facts(f->io, "half", &facts, &err));
    assert_int_equal(facts.size, 16 * MIB);
}

/* One that was made and has no parent yet is no clone: it would be empty. */
static void test_half_a_clone(void **state)
{
    struct fixture *f = *state;
    must(rbd_image_make(f->io, "from", 8 * MIB, &err));
    must(rbd_image_snap(f->io, "from", RBD_SEAL, &err));
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            must(rbd_image_remove(f->io, "to", &err));
        if (i == 1)
            must(rbd_image_make(f->io, "to", 8 * MIB, &err));
        must(rbd_image_clone(f->io, "from", RBD_SEAL, "to", 8 * MIB, &err));
        assert_int_equal(shell_in(f->dir,
                                  "rbd info to | grep -q 'parent: rbd/from@%s'",
                                  RBD_SEAL),
                         0);
    }
    /* A clone that was made a whole copy since stays what it is. */
    assert_int_equal(shell_in(f->dir, "rbd flatten --no-progress to"), 0);
    must(rbd_image_clone(f->io, "from", RBD_SEAL, "to", 8 * MIB, &err));
    assert_int_not_equal(shell_in(f->dir, "rbd info to | grep -q parent"), 0);
}

static void test_too_small(void **state)
{
    struct fixture *f = *state;
    struct image_info info;
    char path[STORAGE_PATH_MAX];
    const struct volume_spec spec = { 4 * MIB, SOURCE_IMAGE, "img.qcow2" };
    base_image(f, &info);
    refused(f->v->ops->disk_create(f->v, "s", info.blob, 4 * MIB, path, &err),
            ERR_INVALID);
    refused(f->v->ops->volume_create(f->v, "v", &spec, path, &err),
            ERR_INVALID);
    refused(f->v->ops->volume_create(f->v, "../x", &spec, path, &err),
            ERR_INVALID);
}

struct count {
    int images, disks, volumes, snapshots, uploads;
};

static void count_one(void *arg, const struct stored *what)
{
    struct count *c = arg;
    int *const by_kind[] = { &c->uploads, &c->images, &c->disks, &c->volumes,
                             &c->snapshots };
    assert_true(what->changed > 0);
    ++*by_kind[what->kind];
}

static void test_list_and_stats(void **state)
{
    struct fixture *f = *state;
    struct image_info info;
    struct storage_stats stats;
    struct count c = { 0 };
    char path[STORAGE_PATH_MAX];
    base_image(f, &info);
    must(f->v->ops->disk_create(f->v, "d", info.blob, 0, path, &err));
    volume(f, "v", SOURCE_IMAGE, info.blob, path);
    must(f->v->ops->snapshot_create(f->v, "s", SOURCE_VOLUME, "v", path, &err));
    must(f->v->ops->list(f->v, count_one, &c, &err));
    assert_int_equal(c.images, 1);
    assert_int_equal(c.disks, 1);
    assert_int_equal(c.volumes, 1);
    assert_int_equal(c.snapshots, 1);
    assert_int_equal(c.uploads, 0);
    must(f->v->ops->stats(f->v, &stats, &err));
    assert_in_range(stats.free, 1 * GIB, 4 * GIB);
    assert_true(stats.total >= stats.free);
}

static void test_commands(void **state)
{
    struct fixture *f = *state;
    _autojson_ json_t *reply = NULL;
    must(ceph_command(f->ceph, json_pack("{ss}", "prefix", "osd pool ls"), NULL,
                      &reply, &err));
    assert_true(json_is_array(reply) && json_array_size(reply) > 0);
    refused(ceph_command(f->ceph, json_pack("{ss}", "prefix", "no such thing"),
                         NULL, NULL, &err),
            ERR_INVALID);
    assert_null(ceph_pool(f->ceph, "absent", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* No monitor there: an answer in time. */
static void test_no_cluster(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(shell_in(f->dir, "sed 's/:3300/:3999/; s/:6789/:3998/' "
                                      "$CEPH_CONF > conf"),
                     0);
    _autofree_ char *conf = xasprintf("%s/conf", f->dir);
    const struct ceph_config config = { conf, "admin", 2 * SECOND_US };
    int64_t before = env_mono(&env_system);
    assert_null(ceph_connect(&config, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_true(env_mono(&env_system) - before < 10 * SECOND_US);
}

/* ---- the fence ------------------------------------------------------------
 */

static void note_node(void *arg, const char *node)
{
    struct buf *b = arg;
    buf_addf(b, "%s;", node);
}

static const char *refused_nodes(struct fence *fence, struct buf *b)
{
    buf_reset(b);
    must(fence->ops->list(fence, note_node, b, &err));
    return buf_str(b);
}

static void add_node(struct store *store, const char *name, const char *address)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    _autorecord_ struct node *n = record_new(&kind_node, name);
    n->storage_address = address;
    txn_put_record(&t, n);
    assert_true(store_commit(store, &t, &result));
}

static bool can_write(void)
{
    const struct ceph_config ceph = { getenv("CEPH_CONF"), "admin",
                                      10 * SECOND_US };
    struct ceph *c = ceph_connect(&ceph, &err);
    rados_ioctx_t io = c ? ceph_pool(c, "rbd", &err) : NULL;
    bool ok = io && rados_write_full(io, "fenced", "x", 1) == 0;
    if (io)
        rados_ioctx_destroy(io);
    ceph_free(c);
    return ok;
}

/* This node is the one that is refused; its commands to the monitors, which
 * lift that, are not. */
static void test_fence(void **state)
{
    struct fixture *f = *state;
    struct buf b = BUF_INIT(4096);
    struct store *store = store_memory_open(&env_system);
    struct cache *cache = cache_new(model_kinds, N_KINDS);
    must(cache_follow(cache, store, &err));
    add_node(store, "here", "127.0.0.1");
    add_node(store, "there", "127.0.0.99");
    add_node(store, "local", NULL);
    struct fence *fence = rbd_fence_open(
        &(struct rbd_fence_config){ getenv("CEPH_CONF"), "admin", cache });
    refused(fence->ops->close(fence, "local", &err), ERR_NOT_FOUND);
    assert_string_equal(refused_nodes(fence, &b), "");
    assert_true(can_write());
    for (int i = 0; i < 2; i++) {
        must(fence->ops->close(fence, "here", &err));
        assert_string_equal(refused_nodes(fence, &b), "here;");
        assert_false(can_write());
        assert_int_equal(rados_write_full(f->io, "fenced", "x", 1), -ESHUTDOWN);
    }
    must(fence->ops->close(fence, "there", &err));
    for (int i = 0; i < 2; i++)
        must(fence->ops->lift(fence, "here", &err));
    assert_string_equal(refused_nodes(fence, &b), "there;");
    assert_true(can_write());
    must(fence->ops->lift(fence, "there", &err));
    assert_string_equal(refused_nodes(fence, &b), "");
    rbd_fence_close(fence);
    cache_unfollow(cache);
    cache_free(cache);
    store_close(store);
    buf_free(&b);
}

/* What a guest writes, its clones read, and nobody without the key. */
static void test_encrypted(void **state)
{
    struct fixture *f = *state;
    struct image_info info;
    char path[STORAGE_PATH_MAX];
    base_image(f, &info);
    make_luks(f, "e", SOURCE_EMPTY, NULL, 16);
    make_luks(f, "i", SOURCE_IMAGE, info.blob, 16);
    assert_int_equal(guest_io(f, "i", "read -q -P 65 0 1M"), 0);
    assert_int_equal(guest_io(f, "e", "write -q -P 66 15M 1M"), 0);
    assert_int_not_equal(guest_io(f, "e", "write -q -P 66 16M 1M"), 0);
    /* Asked again it does not begin anew. */
    make_luks(f, "e", SOURCE_EMPTY, NULL, 16);
    must(f->v->ops->snapshot_create(f->v, "s", SOURCE_VOLUME, "e", path, &err));
    make_luks(f, "c", SOURCE_SNAPSHOT, "s", 32);
    assert_int_equal(guest_io(f, "c", "read -q -P 66 15M 1M"), 0);
    assert_int_equal(guest_io(f, "c", "write -q -P 67 31M 1M"), 0);
    must(f->v->ops->volume_extend(f->v, "e", 24 * MIB + luks_overhead(256),
                                  &err));
    assert_int_equal(guest_io(f, "e", "write -q -P 67 23M 1M"), 0);
    assert_int_equal(guest_io(f, "e", "read -q -P 66 15M 1M"), 0);
    assert_int_equal(shell_in(f->dir, "rbd export volume.e raw.e >out 2>&1 && "
                                      "rbd export volume.i raw.i >out 2>&1 && "
                                      "head -c 6 raw.e | grep -q LUKS"),
                     0);
    assert_int_not_equal(shell_in(f->dir, "grep -qa BBBBBBBB raw.e"), 0);
    assert_int_not_equal(shell_in(f->dir, "grep -qa AAAAAAAA raw.i"), 0);
}

static void test_for_several(void **state)
{
    struct fixture *f = *state;
    char path[STORAGE_PATH_MAX];
    const struct volume_spec spec = { .size = 8 * MIB, .multiattach = true };
    for (int i = 0; i < 2; i++)
        must(f->v->ops->volume_create(f->v, "m", &spec, path, &err));
    assert_int_not_equal(
        shell_in(f->dir, "rbd info volume.m | grep -q exclusive-lock"), 0);
    must(f->v->ops->volume_extend(f->v, "m", 16 * MIB, &err));
    must(f->v->ops->snapshot_create(f->v, "s", SOURCE_VOLUME, "m", path, &err));
}

/* Ratios under which the empty cluster counts as full; and until the monitors
 * have marked the pool, or taken that back. */
static void pretend(struct fixture *f, const char *near, const char *full,
                    const char *mark)
{
    assert_int_equal(shell_in(f->dir,
                              "ceph osd set-nearfull-ratio %s && "
                              "ceph osd set-backfillfull-ratio %s && "
                              "ceph osd set-full-ratio %s",
                              near, full, full),
                     0);
    assert_int_equal(shell_in(f->dir,
                              "for i in $(seq 300); do ceph osd pool ls "
                              "detail | grep -oE '[a-z]*full' | sort | tail "
                              "-n 1 | grep -qx '%s' && exit; [ -z '%s' ] && ! "
                              "ceph osd pool ls detail | grep -q full && exit; "
                              "sleep 0.2; done; exit 1",
                              mark, mark),
                     0);
}

/* Nothing new from nearfull on; what is removed goes even when it is full. */
static void test_full(void **state)
{
    struct fixture *f = *state;
    struct image_info info;
    char path[STORAGE_PATH_MAX];
    const struct volume_spec spec = { .size = 8 * MIB };
    base_image(f, &info);
    must(f->v->ops->volume_create(f->v, "v", &spec, path, &err));
    fill(f, "rbd:rbd/volume.v", 67, 1);
    pretend(f, "0.0001", "0.9", "nearfull");
    int64_t until = env_mono(&env_system) + 10 * SECOND_US;
    while (f->v->ops->volume_create(f->v, "w", &spec, path, &err))
        assert_true(env_mono(&env_system) < until); /* what it remembers */
    assert_int_equal(err.code, ERR_NO_SPACE);
    refused(f->v->ops->disk_create(f->v, "d", info.blob, 0, path, &err),
            ERR_NO_SPACE);
    fill(f, "rbd:rbd/volume.v", 68, 1); /* who is there goes on */
    pretend(f, "0.0001", "0.0002", "full");
    must(f->v->ops->volume_delete(f->v, "v", &err));
    must(f->v->ops->image_delete(f->v, info.blob, &err));
    must(f->v->ops->volume_delete(f->v, "w", &err));
    pretend(f, "0.85", "0.95", "");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_upload_boot_download),
        T(test_raw_is_kept_once),
        T(test_hostile_image),
        T(test_interrupted_import),
        T(test_snapshots_and_clones),
        T(test_generations),
        T(test_in_use),
        T(test_volume_to_image),
        T(test_half_an_image),
        T(test_half_a_clone),
        T(test_too_small),
        T(test_encrypted),
        T(test_for_several),
        T(test_list_and_stats),
        T(test_commands),
        T(test_no_cluster),
        T(test_fence),
        T(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
