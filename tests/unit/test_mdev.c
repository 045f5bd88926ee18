/* Parts of devices, against a sysfs tree and a kernel that does with it what
 * the real one does: parts appear, what is left falls, types exclude each
 * other, and creating fails. */
#include "compute/mdev.h"

#include "common/cleanup.h"
#include "compute/inventory.h"
#include "model/share.h"
#include "tempdir.h"
#include "test.h"

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>

#define A       "0000:3b:00.0"
#define B       "0000:af:00.0"
#define FOREIGN "4b20d080-1b54-4048-85b3-a6a62d165c01"

static char root[TEMPDIR_MAX];
static int fails_with, puts_seen; /* errno of the next writes; 0: none */

/* ---- the tree ------------------------------------------------------------ */

static void path_of(char out[600], const char *fmt, ...)
{
    int n = snprintf(out, 600, "%s/", root);
    va_list args;
    va_start(args, fmt);
    vsnprintf(out + n, (size_t)(600 - n), fmt, args);
    va_end(args);
}

static void make_dirs(const char *path)
{
    char part[600];
    snprintf(part, sizeof(part), "%s", path);
    for (char *p = part + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(part, 0755);
        *p = '/';
    }
    mkdir(part, 0755);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[700];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    _autofile_ FILE *f = fopen(path, "we");
    assert_non_null(f);
    fprintf(f, "%s\n", text);
}

static int read_number(const char *dir)
{
    char path[700];
    int n = -1;
    snprintf(path, sizeof(path), "%s/available_instances", dir);
    _autofile_ FILE *f = fopen(path, "re");
    return f && fscanf(f, "%d", &n) == 1 ? n : -1;
}

static void put_type(const char *parent, const char *type, const char *name,
                     const char *description, int available)
{
    char dir[600], count[16];
    path_of(dir, "class/mdev_bus/%s/mdev_supported_types/%s/devices", parent,
            type);
    make_dirs(dir);
    *strrchr(dir, '/') = '\0';
    snprintf(count, sizeof(count), "%d", available);
    write_file(dir, "available_instances", count);
    write_file(dir, "device_api", "vfio-pci");
    write_file(dir, "name", name);
    write_file(dir, "description", description);
    write_file(dir, "create", "");
}

static void put_parent(const char *parent)
{
    char dir[600];
    path_of(dir, "class/mdev_bus/%s", parent);
    make_dirs(dir);
    write_file(dir, "vendor", "0x10de");
    write_file(dir, "device", "0x1eb8");
    write_file(dir, "numa_node", "1");
}

static void put_made(const char *parent, const char *type, const char *uuid)
{
    char dir[600];
    path_of(dir, "class/mdev_bus/%s/mdev_supported_types/%s/devices/%s", parent,
            type, uuid);
    make_dirs(dir);
    path_of(dir, "bus/mdev/devices/%s", uuid);
    make_dirs(dir);
    write_file(dir, "remove", "");
    write_file(dir, "parent", parent);
    write_file(dir, "type", type);
}

/* A T4's: two types, one at a time. */
static int setup(void **state)
{
    char dir[600];
    tempdir_make(root);
    path_of(dir, "bus/mdev/devices");
    make_dirs(dir);
    put_parent(A);
    put_type(A, "nvidia-230", "GRID T4-1Q", "num_heads=4, max_instance=16", 16);
    put_type(A, "nvidia-231", "GRID T4-2Q", "num_heads=4, max_instance=8", 8);
    fails_with = puts_seen = 0;
    return 0;
}

static int drop(const char *path, const struct stat *st, int flag,
                struct FTW *ftw)
{
    return remove(path);
}

static int teardown(void **state)
{
    return nftw(root, drop, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the kernel ---------------------------------------------------------- */

static void set_available(const char *types, const char *type, int n)
{
    char dir[700], text[16];
    snprintf(dir, sizeof(dir), "%s/%s", types, type);
    snprintf(text, sizeof(text), "%d", n);
    write_file(dir, "available_instances", text);
}

static int count_in(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

/* What the vendor's driver shows after a change: of the type that is there
 * what is left, of others nothing; all of an empty one. */
static void show_left(const char *parent)
{
    static const struct {
        const char *type;
        int most;
    } types[] = { { "nvidia-230", 16 }, { "nvidia-231", 8 } };
    char dir[600], made[700];
    int n[2], all = 0;
    path_of(dir, "class/mdev_bus/%s/mdev_supported_types", parent);
    for (int i = 0; i < 2; i++) {
        snprintf(made, sizeof(made), "%s/%s/devices", dir, types[i].type);
        all += n[i] = count_in(made);
    }
    for (int i = 0; i < 2; i++)
        set_available(dir, types[i].type,
                      all && !n[i] ? 0 : types[i].most - n[i]);
}

static int kernel_create(const char *path, const char *uuid)
{
    char parent[64], type[64], dir[600];
    const char *at = strstr(path, "mdev_bus/");
    assert_int_equal(sscanf(at, "mdev_bus/%63[^/]/mdev_supported_types/%63[^/]",
                            parent, type),
                     2);
    path_of(dir, "bus/mdev/devices/%s", uuid);
    if (access(dir, F_OK) == 0)
        return EEXIST;
    path_of(dir, "class/mdev_bus/%s/mdev_supported_types/%s", parent, type);
    if (read_number(dir) < 1)
        return ENOSPC;
    put_made(parent, type, uuid);
    show_left(parent);
    return 0;
}

static int kernel_remove(const char *path)
{
    char dir[600], parent[64], type[64], name[700];
    snprintf(dir, sizeof(dir), "%.*s", (int)(strlen(path) - strlen("/remove")),
             path);
    snprintf(name, sizeof(name), "%s/parent", dir);
    FILE *f = fopen(name, "re");
    if (!f)
        return ENOENT;
    assert_int_equal(fscanf(f, "%63s", parent), 1);
    fclose(f);
    snprintf(name, sizeof(name), "%s/type", dir);
    f = fopen(name, "re");
    assert_int_equal(fscanf(f, "%63s", type), 1);
    fclose(f);
    const char *uuid = strrchr(dir, '/') + 1;
    snprintf(name, sizeof(name),
             "%s/class/mdev_bus/%s/mdev_supported_types/"
             "%s/devices/%s",
             root, parent, type, uuid);
    nftw(name, drop, 4, FTW_DEPTH | FTW_PHYS);
    nftw(dir, drop, 4, FTW_DEPTH | FTW_PHYS);
    show_left(parent);
    return 0;
}

static int kernel_put(void *arg, const char *path, const char *text)
{
    puts_seen++;
    if (fails_with)
        return fails_with;
    return strstr(path, "/create") ? kernel_create(path, text)
                                   : kernel_remove(path);
}

static const struct mdev_host kernel = { .sys = root, .put = kernel_put };

static int made(void)
{
    char dir[600];
    path_of(dir, "bus/mdev/devices");
    return count_in(dir);
}

/* ---- what is offered ----------------------------------------------------- */

static struct node *look_after(const struct node *was, const char *types)
{
    struct node *n = record_new(&kind_node, "n");
    mdev_inventory(&kernel, types, was, n);
    return n;
}

static int64_t instances(const struct node *n, size_t device, const char *type)
{
    const struct node_device *d =
        LIST_AT(n->devices, struct node_device, device);
    for (size_t i = 0; i < d->shares.n; i++) {
        const struct node_share *s = LIST_AT(d->shares, struct node_share, i);
        if (strcmp(s->type, type) == 0)
            return s->instances;
    }
    return 0;
}

static void give(const char *server, const char *address, const char *type)
{
    struct error err;
    const struct hostdev_spec d = { address, type };
    if (!mdev_give(&kernel, server, &d, 1, &err))
        fail_msg("%s", err.text);
}

static void test_offered(void **state)
{
    _autorecord_ struct node *n = look_after(NULL, "");
    assert_int_equal(n->devices.n, 1);
    const struct node_device *d = LIST_AT(n->devices, struct node_device, 0);
    assert_string_equal(d->address, A);
    assert_string_equal(d->class_, "VGPU");
    assert_string_equal(d->model, "10de:1eb8");
    assert_int_equal(d->cell, 1);
    assert_int_equal(d->shares.n, 2);
    assert_string_equal(LIST_AT(d->shares, struct node_share, 0)->name,
                        "GRID T4-1Q");
    assert_int_equal(instances(n, 0, "nvidia-230"), 16);
    assert_int_equal(instances(n, 0, "nvidia-231"), 8);
    _autorecord_ struct node *one = look_after(NULL, "nvidia-231, other");
    assert_int_equal(instances(one, 0, "nvidia-230"), 0);
    assert_int_equal(instances(one, 0, "nvidia-231"), 8);
    _autorecord_ struct node *none = look_after(NULL, "other");
    assert_int_equal(none->devices.n, 0);
    /* Looked at once more it is the same, not twice. */
    mdev_inventory(&kernel, "", one, one);
    assert_int_equal(one->devices.n, 1);
    assert_int_equal(one->devices.n, 1);
}

/* What an empty one has room for is known when it is not empty: by the
 * vendor's word, or from before; not at first sight otherwise. */
static void test_not_empty(void **state)
{
    put_parent(B);
    put_type(B, "nvidia-230", "GRID T4-1Q", "", 16);
    put_type(B, "nvidia-231", "GRID T4-2Q", "", 8);
    _autorecord_ struct node *empty = look_after(NULL, "");
    give("s1", A, "nvidia-231");
    give("s1x", B, "nvidia-231");
    _autorecord_ struct node *first = look_after(NULL, "");
    _autorecord_ struct node *later = look_after(empty, "");
    assert_int_equal(instances(first, 0, "nvidia-230"), 16);
    assert_int_equal(instances(first, 0, "nvidia-231"), 8);
    assert_int_equal(instances(first, 1, "nvidia-230"), 0);
    assert_int_equal(instances(first, 1, "nvidia-231"), 8);
    assert_int_equal(instances(later, 1, "nvidia-230"), 16);
    assert_int_equal(instances(later, 1, "nvidia-231"), 8);
}

/* Whoever makes parts himself has the parent; his parts are not ours. */
static void test_foreign(void **state)
{
    struct error err;
    _autorecord_ struct node *n = record_new(&kind_node, "n");
    put_made(A, "nvidia-230", FOREIGN);
    mdev_inventory(&kernel, "", NULL, n);
    assert_int_equal(n->devices.n, 0);
    char xml[300], own[UUID_SIZE];
    mdev_uuid("s1", A, "nvidia-230", own);
    const char *const uuids[] = { FOREIGN, own };
    for (int i = 0; i < 2; i++) {
        snprintf(xml, sizeof(xml),
                 "<device><capability type='mdev'><type id='nvidia-230'/>"
                 "<uuid>%s</uuid></capability></device>",
                 uuids[i]);
        assert_true(inventory_device(xml, "", n, &err));
    }
    assert_int_equal(n->devices.n, 1);
    assert_string_equal(LIST_AT(n->devices, struct node_device, 0)->address,
                        FOREIGN);
    assert_true(mdev_take(&kernel, "s1", &err));
    assert_int_equal(made(), 1);
}

/* A parent whose guests see no PCI device, and a crowded node. */
static void test_not_for_us(void **state)
{
    char dir[600];
    path_of(dir, "class/mdev_bus/" A "/mdev_supported_types/nvidia-231");
    write_file(dir, "device_api", "vfio-ap");
    _autorecord_ struct node *n = look_after(NULL, "");
    assert_int_equal(instances(n, 0, "nvidia-231"), 0);
    assert_int_equal(instances(n, 0, "nvidia-230"), 16);
    _autorecord_ struct node *full = record_new(&kind_node, "n");
    for (int i = 0; i < INVENTORY_DEVICES; i++) {
        struct node_device *d = list_add(full, &full->devices, sizeof(*d));
        d->address = rec_strf(full, "0000:01:00.%x", i);
    }
    mdev_inventory(&kernel, "", NULL, full);
    assert_int_equal(full->devices.n, INVENTORY_DEVICES);
    _autorecord_ struct node *whole = record_new(&kind_node, "n");
    struct node_device *d = list_add(whole, &whole->devices, sizeof(*d));
    d->address = A; /* the operator offers it as a whole */
    mdev_inventory(&kernel, "", NULL, whole);
    assert_int_equal(whole->devices.n, 1);
    assert_int_equal(instances(whole, 0, "nvidia-230"), 0);
}

/* ---- making -------------------------------------------------------------- */

static void test_made_once(void **state)
{
    struct error err;
    char uuid[UUID_SIZE], other[UUID_SIZE];
    mdev_uuid("s1", A, "nvidia-231", uuid);
    mdev_uuid("s2", A, "nvidia-231", other);
    assert_int_equal(strlen(uuid), UUID_LEN);
    assert_true(mdev_is_ours(uuid) && mdev_is_of(uuid, "s1"));
    assert_false(mdev_is_of(uuid, "s2") || mdev_is_ours(FOREIGN));
    give("s1", A, "nvidia-231");
    assert_int_equal(puts_seen, 1);
    give("s1", A, "nvidia-231"); /* after a crash, say */
    assert_int_equal(puts_seen, 1);
    give("s2", A, "nvidia-231");
    assert_int_equal(made(), 2);
    /* Resized: another type, on an empty parent. */
    assert_true(mdev_take(&kernel, "s2", &err));
    give("s1", A, "nvidia-230");
    assert_int_equal(made(), 1);
    mdev_uuid("s1", A, "nvidia-230", uuid);
    char dir[600];
    path_of(dir, "bus/mdev/devices/%s", uuid);
    assert_int_equal(access(dir, F_OK), 0);
    assert_true(mdev_take(&kernel, "s1", &err));
    assert_true(mdev_take(&kernel, "s1", &err));
    assert_int_equal(made(), 0);
}

static void expect_refused(const char *type, int e, enum error_code code)
{
    struct error err;
    const struct hostdev_spec d = { A, type };
    fails_with = e;
    assert_false(mdev_give(&kernel, "s9", &d, 1, &err));
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, A));
    fails_with = 0;
}

static void test_refused(void **state)
{
    char id[8];
    expect_refused("nvidia-230", EINVAL, ERR_CONFLICT);
    expect_refused("nvidia-230", ENOSPC, ERR_NO_SPACE);
    expect_refused("nvidia-999", 0, ERR_NOT_FOUND);
    /* Between the look and the write another made it. */
    fails_with = EEXIST;
    give("s1", A, "nvidia-231");
    fails_with = 0;
    for (int i = 0; i < 8; i++) {
        snprintf(id, sizeof(id), "t%d", i);
        give(id, A, "nvidia-231");
    }
    puts_seen = 0;
    expect_refused("nvidia-231", 0, ERR_NO_SPACE); /* full */
    expect_refused("nvidia-230", 0, ERR_NO_SPACE); /* another type */
    assert_int_equal(puts_seen, 0);
    /* One that does not let go is tried again later, not forgotten. */
    struct error err;
    fails_with = EBUSY;
    assert_false(mdev_take(&kernel, "t0", &err));
    assert_int_equal(err.code, ERR_BUSY);
    fails_with = 0;
    assert_true(mdev_take(&kernel, "t0", &err));
    assert_int_equal(made(), 7);
}

/* Without a kernel behind it the write is a write. */
static void test_really_written(void **state)
{
    struct error err;
    char uuid[UUID_SIZE], got[64] = "", path[600];
    const struct mdev_host plain = { .sys = root };
    const struct hostdev_spec d = { A, "nvidia-230" };
    assert_true(mdev_give(&plain, "s1", &d, 1, &err));
    mdev_uuid("s1", A, "nvidia-230", uuid);
    path_of(path,
            "class/mdev_bus/" A "/mdev_supported_types/nvidia-230/create");
    _autofile_ FILE *f = fopen(path, "re");
    assert_int_equal(fscanf(f, "%63s", got), 1);
    assert_string_equal(got, uuid);
}

/* ---- functions of one card ----------------------------------------------- */

/* As on cards with SR-IOV: each function takes one part, the card so many. */
static void test_functions(void **state)
{
    struct error err;
    char dir[600], one[64];
    for (int i = 4; i < 8; i++) {
        snprintf(one, sizeof(one), "0000:af:00.%d", i);
        put_parent(one);
        put_type(one, "nvidia-557", "NVIDIA A40-12Q", "max_instance=3", 1);
        path_of(dir, "class/mdev_bus/%s/physfn", one);
        assert_int_equal(symlink("../" B, dir), 0);
    }
    _autorecord_ struct node *n = look_after(NULL, "");
    assert_int_equal(n->devices.n, 2);
    assert_string_equal(LIST_AT(n->devices, struct node_device, 1)->address, B);
    assert_int_equal(instances(n, 1, "nvidia-557"), 3);
    const struct mdev_host plain = { .sys = root };
    const struct hostdev_spec d = { B, "nvidia-557" };
    path_of(dir, "class/mdev_bus/0000:af:00.4/mdev_supported_types/nvidia-557");
    write_file(dir, "available_instances", "0");
    assert_true(mdev_give(&plain, "s1", &d, 1, &err));
    path_of(dir, "class/mdev_bus/0000:af:00.5/mdev_supported_types/nvidia-557/"
                 "create");
    char got[64] = "", uuid[UUID_SIZE];
    mdev_uuid("s1", B, "nvidia-557", uuid);
    _autofile_ FILE *f = fopen(dir, "re");
    assert_int_equal(fscanf(f, "%63s", got), 1);
    assert_string_equal(got, uuid);
}

/* ---- what is left behind ------------------------------------------------- */

static bool is_s2s(void *arg, const char *uuid)
{
    ++*(int *)arg;
    return mdev_is_of(uuid, "s2");
}

static void test_sweep(void **state)
{
    int asked = 0;
    give("s1", A, "nvidia-230");
    give("s2", A, "nvidia-230");
    put_made(A, "nvidia-230", FOREIGN);
    mdev_sweep(&kernel, is_s2s, &asked);
    assert_int_equal(asked, 2);
    assert_int_equal(made(), 2);
    fails_with = EBUSY; /* said in the log, and tried again */
    put_made(A, "nvidia-230", "63616972-0000-8000-8000-000000000000");
    mdev_sweep(&kernel, is_s2s, &asked);
    fails_with = 0;
    assert_int_equal(made(), 3);
    mdev_sweep(&kernel, is_s2s, &asked);
    assert_int_equal(made(), 2);
}

/* ---- shares -------------------------------------------------------------- */

static void test_thousandths(void **state)
{
    char trait[SHARE_TRAIT_MAX];
    for (int64_t n = 1; n <= 1000; n++)
        assert_true(1000 / share_thousandths(n) <= n);
    for (int64_t n = 1; n <= 32; n++) /* and none is lost */
        assert_int_equal(1000 / share_thousandths(n), n);
    assert_int_equal(share_thousandths(0), 1000);
    assert_int_equal(share_thousandths(16), 62);
    assert_int_equal(share_thousandths(5000), 1);
    share_trait("GRID T4-2Q", trait);
    assert_string_equal(trait, "CUSTOM_GRID_T4_2Q");
    share_trait(NULL, trait);
    assert_string_equal(trait, "");
}

#define TEST(f_) cmocka_unit_test_setup_teardown(f_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_offered),        TEST(test_not_empty),
        TEST(test_foreign),        TEST(test_not_for_us),
        TEST(test_made_once),      TEST(test_refused),
        TEST(test_really_written), TEST(test_functions),
        TEST(test_sweep),          cmocka_unit_test(test_thousandths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
