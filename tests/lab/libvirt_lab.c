/*
 * libvirt_lab - the libvirt driver against a real libvirtd.
 *
 * tests/lab/libvirt runs it in a sandbox and says where things are:
 * CAIRN_TEST_LIBVIRT (a URI, "qemu:///system"), CAIRN_TEST_GUEST (the small
 * guest's qcow2), CAIRN_TEST_LIBVIRTD_PID (a file), CAIRN_TEST_OWNER (who
 * guests run as: storage/ hands disks to them, libvirt does not).
 */
#include "test.h"

#include "server_world.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "compute/config_drive.h"
#include "compute/libvirt_driver.h"
#include "compute/server_reconcile.h"

#include <libvirt/libvirt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DIR     "/var/lib/libvirt/cairn-test"
#define ID      "5f6d7a52-0000-4000-8000-00000000000a"
#define FOREIGN "5f6d7a52-0000-4000-8000-00000000000b"
#define PORT    "b0b0b0b0-0000-4000-8000-00000000000a"
#define PORT2   "b1b1b1b1-0000-4000-8000-00000000000b"

#define PATIENCE_S 60 /* the machine may be busy */

static struct hypervisor *h;
static struct error err;
static atomic_int n_events;

static void on_event(void *arg, const char *id)
{
    if (strcmp(id, ID) == 0)
        atomic_fetch_add(&n_events, 1);
}

static bool wait_event_after(int before)
{
    for (int i = 0; i < 6000 && atomic_load(&n_events) <= before; i++)
        usleep(10000);
    return atomic_load(&n_events) > before;
}

static double seconds(void)
{
    return (double)env_mono(&env_system) / SECOND_US;
}

/* Calls that must succeed, with the time they took. */
#define OK(call)                                                               \
    do {                                                                       \
        double t0_ = seconds();                                                \
        if (!(call))                                                           \
            fail_msg("%s: %s", #call, err.text);                               \
        print_message("  %6.3f s  %s\n", seconds() - t0_, #call);              \
    } while (0)

static void run(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s", command);
}

static void make_disk(const char *path, const char *base)
{
    _autofree_ char *c =
        base ? xasprintf("qemu-img create -q -f qcow2 -b %s -F qcow2 %s", base,
                         path)
             : xasprintf("qemu-img create -q -f qcow2 %s 64M", path);
    run(c);
    _autofree_ char *own =
        xasprintf("chown %s %s", getenv("CAIRN_TEST_OWNER"), path);
    run(own);
}

static struct domain_info info(void)
{
    struct domain_info i = { 0 };
    if (!h->ops->info(h, ID, &i, &err))
        fail_msg("info: %s", err.text);
    return i;
}

static bool wait_state(enum domain_state want, int most_s)
{
    for (int i = 0; i < most_s * 20; i++) {
        if (info().state == want)
            return true;
        usleep(50000);
    }
    return false;
}

static bool wait_shell(const char *command, int most_s)
{
    for (int i = 0; i < most_s * 10; i++) {
        if (system(command) == 0)
            return true;
        usleep(100000);
    }
    return false;
}

static bool wait_console(const char *text, int most_s)
{
    _autofree_ char *c =
        xasprintf("grep -aq '%s' " DIR "/" ID "/console.log", text);
    return wait_shell(c, most_s);
}

static struct disk_spec disks[] = {
    { DIR "/root.qcow2", "qcow2", "virtio", "vda", NULL, false, false },
    { DIR "/v.qcow2", "qcow2", "virtio", "vdb",
      "a0a0a0a0-0000-4000-8000-000000000001", false, false },
};
static struct nic_spec nics[] = {
    { PORT, "fa:16:3e:00:00:0a", "virtio", 1442 },
    { PORT2, "fa:16:3e:00:00:0b", "virtio", 1442 },
};

/* A real one, so that the guest can say that it has read it. */
static struct buf drive = { .max = CONFIG_DRIVE_MAX };
static void make_drive(void)
{
    world_open();
    world_follow();
    world_put(a_server());
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    if (!config_drive_write(s, snap_get(s, &kind_server, SERVER_ID), &drive,
                            &err))
        fail_msg("%s", err.text);
}

static struct domain_spec spec(void)
{
    return (struct domain_spec){
        .id = ID,
        .name = "instance-cairn-test",
        .vcpus = 1,
        .ram_mb = 256,
        .reboot = 7,
        .disks = disks,
        .n_disks = 1,
        .nics = nics,
        .n_nics = 1,
        .vnc = true,
        .title = "te<st",
        .config_drive = drive.data,
        .config_drive_len = drive.len,
    };
}

static void cleanup(void)
{
    h->ops->destroy(h, ID, &err);
    h->ops->undefine(h, ID, &err);
}

static int setup(void **state)
{
    struct libvirt_config config = {
        .uri = getenv("CAIRN_TEST_LIBVIRT"),
        .dir = DIR,
        .host = { .kvm = getenv("CAIRN_TEST_KVM"),
                  .bridge = "br-int",
                  .userspace_switch = true,
                  .vnc_listen = "127.0.0.1" },
    };
    h = libvirt_open(&config, 10000, &err);
    assert_non_null(h);
    h->ops->listen(h, on_event, NULL);
    make_drive();
    cleanup();
    make_disk(DIR "/root.qcow2", getenv("CAIRN_TEST_GUEST"));
    make_disk(DIR "/v.qcow2", NULL);
    return 0;
}

static int teardown(void **state)
{
    cleanup();
    h->ops->close(h);
    run("rm -r " DIR);
    buf_free(&drive);
    world_close();
    return 0;
}

static void nothing_there(void **state)
{
    struct domain_spec s = spec();
    assert_int_equal(info().state, DOMAIN_ABSENT);
    OK(h->ops->shutdown(h, ID, &err));
    OK(h->ops->destroy(h, ID, &err));
    OK(h->ops->undefine(h, ID, &err));
    OK(h->ops->detach_disk(h, ID, "vdb", &err));
    assert_false(h->ops->start(h, ID, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    s.hw.machine = "abacus";
    assert_false(h->ops->define_start(h, &s, &err));
    print_message("  %s\n", err.text);
    assert_int_equal(err.code, ERR_INTERNAL);
}

static void starts(void **state)
{
    struct domain_spec s = spec();
    OK(h->ops->define_start(h, &s, &err));
    OK(h->ops->define_start(h, &s, &err)); /* runs already */
    struct domain_info i = info();
    assert_int_equal(i.state, DOMAIN_RUNNING);
    assert_int_equal(i.reboot, 7);
    assert_true(i.vnc_port >= 5900);
    assert_string_equal(i.vnc_host, "127.0.0.1");
    assert_string_equal(i.serial_log, DIR "/" ID "/console.log");
    assert_true(domain_has_disk(&i, "vda"));
    assert_true(domain_has_disk(&i, "hdd"));
    assert_true(domain_has_nic(&i, PORT));
    assert_true(atomic_load(&n_events) > 0);
    OK(wait_console("power button works", 2 * PATIENCE_S));
    OK(wait_console("metadata from config drive, hostname web", PATIENCE_S));
}

static void is_measured(void **state)
{
    struct domain_stats stats;
    struct libvirt_facts facts;
    OK(h->ops->stats(h, ID, &stats, &err));
    assert_int_equal(stats.vcpus, 1);
    assert_int_equal(stats.memory_kb, 256 * 1024);
    assert_true(stats.cpu_ns > 0);
    assert_true(stats.wait_ns >= 0);
    assert_int_equal(stats.dirty_mib_s, -1); /* nobody has asked */
    OK(h->ops->count_dirty(h, ID, &err));
    for (int i = 0; i < PATIENCE_S * 5 && stats.dirty_mib_s < 0; i++) {
        usleep(200000);
        OK(h->ops->stats(h, ID, &stats, &err));
    }
    assert_true(stats.dirty_mib_s >= 0 && stats.dirty_at > 0);
    print_message("it writes %lld MiB/s of its memory; swap %lld KiB; "
                  "stalled %lld %lld %lld us\n",
                  (long long)stats.dirty_mib_s, (long long)stats.swap_kb,
                  (long long)stats.stalled.us[0],
                  (long long)stats.stalled.us[1],
                  (long long)stats.stalled.us[2]);
    OK(libvirt_facts(h, &facts, &err));
    assert_true(facts.vcpus > 0 && facts.ram_mb > 0);
    assert_true(facts.version >= 7000000);
    assert_string_equal(facts.machine, "x86_64");
}

static void seen(void *arg, const char *id, enum domain_state state)
{
    if (strcmp(id, ID) == 0)
        *(int *)arg += 1;
    if (strcmp(id, FOREIGN) == 0)
        *(int *)arg += 100;
}

static const char foreign_xml[] =
    "<domain type='qemu'><name>somebody-elses</name><uuid>" FOREIGN
    "</uuid><memory unit='MiB'>32</memory><os><type>hvm</type></os></domain>";

static void foreign_domains(void **state)
{
    struct domain_info i = { 0 };
    struct domain_spec s = spec();
    int n = 0;
    virConnectPtr c = virConnectOpen(getenv("CAIRN_TEST_LIBVIRT"));
    virDomainPtr d = virDomainDefineXML(c, foreign_xml);
    assert_non_null(d);
    OK(h->ops->list(h, seen, &n, &err));
    assert_int_equal(n, 1);
    assert_false(h->ops->info(h, FOREIGN, &i, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_false(h->ops->destroy(h, FOREIGN, &err));
    assert_false(h->ops->undefine(h, FOREIGN, &err));
    s.id = FOREIGN;
    assert_false(h->ops->define_start(h, &s, &err));
    assert_int_equal(virDomainUndefine(d), 0);
    virDomainFree(d);
    virConnectClose(c);
}

static void pauses(void **state)
{
    OK(h->ops->suspend(h, ID, &err));
    OK(h->ops->suspend(h, ID, &err));
    assert_int_equal(info().state, DOMAIN_PAUSED);
    OK(h->ops->resume(h, ID, &err));
    OK(h->ops->resume(h, ID, &err));
    assert_int_equal(info().state, DOMAIN_RUNNING);
}

static bool has_disk(const char *device)
{
    struct domain_info now = info();
    return domain_has_disk(&now, device);
}

static bool has_nic(const char *port)
{
    struct domain_info now = info();
    return domain_has_nic(&now, port);
}

/* A guest may overlook a request, as when it still looks at what was plugged
 * in a moment ago: as the reconciler does, it is asked again. */
static bool unplugged(bool (*has)(const char *what), const char *what,
                      bool (*ask)(struct hypervisor *h, const char *id,
                                  const char *what, struct error *err))
{
    int64_t until = env_mono(&env_system) + PATIENCE_S * SECOND_US;
    while (env_mono(&env_system) < until) {
        if (!ask(h, ID, what, &err))
            return false;
        for (int i = 0; i < 40; i++) {
            if (!has(what))
                return true;
            usleep(50000);
        }
    }
    return false;
}

static void plugs_disks(void **state)
{
    OK(h->ops->attach_disk(h, ID, &disks[1], &err));
    OK(h->ops->attach_disk(h, ID, &disks[1], &err));
    assert_true(has_disk("vdb"));
    OK(h->ops->resize_disk(h, ID, "vdb", 128 << 20, &err));
    OK(h->ops->detach_disk(h, ID, "vdb", &err));
    OK(unplugged(has_disk, "vdb", h->ops->detach_disk));
    OK(h->ops->detach_disk(h, ID, "vdb", &err));
    struct stat st;
    assert_int_equal(stat(DIR "/v.qcow2", &st), 0);
}

/* Who opens it without force is refused as long as a guest writes to it. */
#define READ_BELOW                                                             \
    "qemu-io -r -f qcow2 -c 'read 0 64k' " DIR "/v.qcow2 >/dev/null"

/* The guest goes on in an overlay and writes no more to the file below
 * (storage/heads.h waits for that). */
static void moves_disks(void **state)
{
    OK(h->ops->attach_disk(h, ID, &disks[1], &err));
    assert_int_not_equal(system(READ_BELOW " 2>&1"), 0);
    make_disk(DIR "/next.qcow2", DIR "/v.qcow2");
    OK(h->ops->move_disk(h, ID, "vdb", DIR "/next.qcow2", &err));
    OK(h->ops->move_disk(h, ID, "vdb", DIR "/next.qcow2", &err));
    struct domain_info now = info();
    assert_string_equal(domain_disk_path(&now, "vdb"), DIR "/next.qcow2");
    assert_string_equal(domain_disk_path(&now, "vda"), DIR "/root.qcow2");
    OK(wait_shell(READ_BELOW " 2>&1", PATIENCE_S));
    assert_false(h->ops->move_disk(h, ID, "vdc", DIR "/next.qcow2", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    OK(unplugged(has_disk, "vdb", h->ops->detach_disk));
}

static void plugs_nics(void **state)
{
    OK(h->ops->attach_nic(h, ID, &nics[1], &err));
    OK(h->ops->attach_nic(h, ID, &nics[1], &err));
    assert_true(has_nic(PORT2));
    OK(unplugged(has_nic, PORT2, h->ops->detach_nic));
    OK(h->ops->detach_nic(h, ID, PORT2, &err));
}

static void saves(void **state)
{
    OK(h->ops->managed_save(h, ID, &err));
    OK(h->ops->managed_save(h, ID, &err));
    assert_int_equal(info().state, DOMAIN_SAVED);
    OK(h->ops->start(h, ID, &err));
    assert_int_equal(info().state, DOMAIN_RUNNING);
    OK(h->ops->start(h, ID, &err));
}

static void powers_off(void **state)
{
    int before = atomic_load(&n_events);
    OK(h->ops->shutdown(h, ID, &err));
    OK(wait_state(DOMAIN_OFF, PATIENCE_S));
    OK(wait_event_after(before));
    OK(h->ops->shutdown(h, ID, &err));
}

/* The log of the console goes on, and the start is a new one. */
static void starts_again(void **state)
{
    struct domain_spec s = spec();
    struct stat before, after;
    assert_int_equal(stat(DIR "/" ID "/console.log", &before), 0);
    s.reboot = 8;
    OK(h->ops->define_start(h, &s, &err));
    assert_int_equal(info().reboot, 8);
    assert_int_equal(stat(DIR "/" ID "/console.log", &after), 0);
    assert_true(after.st_size >= before.st_size && before.st_size > 0);
}

static void a_new_process_finds_it(void **state)
{
    struct libvirt_config config = { .uri = getenv("CAIRN_TEST_LIBVIRT"),
                                     .dir = DIR,
                                     .host = { .bridge = "br-int",
                                               .userspace_switch = true,
                                               .vnc_listen = "127.0.0.1" } };
    h->ops->close(h);
    h = libvirt_open(&config, 10000, &err);
    assert_non_null(h);
    assert_int_equal(info().state, DOMAIN_RUNNING);
}

/* libvirtd is killed; the guest does not notice, and we find it again: the
 * driver says so by an event, which it also sends when it has connected anew.
 * How short the gap is nobody knows: a question may never meet it. */
static void libvirtd_comes_back(void **state)
{
    const char *pidfile = getenv("CAIRN_TEST_LIBVIRTD_PID");
    struct domain_info i = { 0 };
    h->ops->listen(h, on_event, NULL);
    int before = atomic_load(&n_events);
    _autofree_ char *kill = xasprintf("kill -9 $(cat %s)", pidfile);
    run(kill);
    double t0 = seconds();
    bool found = false;
    while (seconds() - t0 < 120 && !found) {
        bool ok = h->ops->info(h, ID, &i, &err);
        if (!ok)
            assert_int_equal(err.code, ERR_UNAVAILABLE);
        found = ok && atomic_load(&n_events) > before;
        usleep(10000);
    }
    print_message("  %6.3f s  until it is found again\n", seconds() - t0);
    assert_true(found);
    assert_int_equal(i.state, DOMAIN_RUNNING);
}

static void dies(void **state)
{
    OK(h->ops->destroy(h, ID, &err));
    assert_int_equal(info().state, DOMAIN_OFF);
    OK(h->ops->undefine(h, ID, &err));
    assert_int_equal(info().state, DOMAIN_ABSENT);
    assert_int_equal(access(DIR "/" ID, F_OK), -1);
}

/* ---- with the reconciler and its threads --------------------------------- */

static bool wait_server(int vm_state, int64_t reboots, int most_s)
{
    for (int i = 0; i < most_s * 100; i++) {
        _autorecord_ const struct server *v =
            world_get(&kind_server, SERVER_ID);
        if (!v)
            return vm_state < 0;
        if (v->vm_state == vm_state && v->reboots_done == reboots &&
            v->task_state == TASK_NONE)
            return true;
        usleep(10000);
    }
    return false;
}

/* Changes a field of the server as the API does, in spite of others. */
static void api(int goal, int64_t reboot, int task)
{
    struct txn_result result;
    do {
        struct txn t = TXN_INIT;
        struct server *v = world_edit(&kind_server, SERVER_ID);
        v->goal = goal;
        v->reboot = reboot;
        v->reboot_type = REBOOT_HARD;
        v->task_state = task;
        txn_change_record(&t, v);
        record_unref(v);
        store_commit(world_store, &t, &result);
    } while (result.status == TXN_CONFLICT);
}

static void put_root_disk(void)
{
    make_disk(DIR "/root2.qcow2", getenv("CAIRN_TEST_GUEST"));
    struct disk *d = a_disk(DISK_READY);
    d->path = rec_str(d, DIR "/root2.qcow2");
    world_put(d);
}

static void whole_lives(void **state)
{
    cache_unfollow(world_cache);
    cache_free(world_cache);
    world_cache = cache_new(model_kinds, N_KINDS);
    struct server_reconciler_config config = {
        .store = world_store,
        .cache = world_cache,
        .hypervisor = h,
        .env = &env_system,
        .node = "node1",
        .workers = 2,
    };
    struct server_reconciler *r = server_reconciler_new(&config);
    world_follow();
    put_root_disk();
    world_put(a_server());
    OK(wait_server(VM_ACTIVE, 0, PATIENCE_S));
    api(GOAL_PAUSED, 0, TASK_PAUSING);
    OK(wait_server(VM_PAUSED, 0, PATIENCE_S));
    api(GOAL_RUNNING, 0, TASK_UNPAUSING);
    OK(wait_server(VM_ACTIVE, 0, PATIENCE_S));
    api(GOAL_RUNNING, 1, TASK_REBOOTING_HARD);
    OK(wait_server(VM_ACTIVE, 1, PATIENCE_S));
    api(GOAL_SUSPENDED, 1, TASK_SUSPENDING);
    OK(wait_server(VM_SUSPENDED, 1, PATIENCE_S));
    api(GOAL_RUNNING, 1, TASK_RESUMING);
    OK(wait_server(VM_ACTIVE, 1, PATIENCE_S));
    OK(h->ops->destroy(h, SERVER_ID, &err)); /* an accident */
    OK(wait_server(VM_STOPPED, 1, PATIENCE_S));
    api(GOAL_RUNNING, 1, TASK_POWERING_ON);
    OK(wait_server(VM_ACTIVE, 1, PATIENCE_S));
    api(GOAL_DELETED, 1, TASK_DELETING);
    OK(wait_server(-1, 0, PATIENCE_S));
    struct domain_info i;
    OK(h->ops->info(h, SERVER_ID, &i, &err));
    assert_int_equal(i.state, DOMAIN_ABSENT);
    cache_unfollow(world_cache);
    server_reconciler_free(r);
}

/* ---- where it sits ------------------------------------------------------- */

#define PAGES "/proc/sys/vm/nr_hugepages"

static long number_in(const char *path, const char *key)
{
    char line[256];
    long n = -1;
    _autofile_ FILE *f = fopen(path, "re");
    while (f && n < 0 && fgets(line, sizeof(line), f))
        if (strncmp(line, key, strlen(key)) == 0)
            n = strtol(line + strlen(key), NULL, 10);
    return n;
}

static void set_pages(long n)
{
    _autofile_ FILE *f = fopen(PAGES, "we");
    if (f)
        fprintf(f, "%ld\n", n);
}

static int64_t huge_pages_told(const struct node *n)
{
    const struct node_cell *c = LIST_AT(n->cells, struct node_cell, 0);
    for (size_t i = 0; i < c->pages.n; i++)
        if (LIST_AT(c->pages, struct node_pages, i)->kib == 2048)
            return LIST_AT(c->pages, struct node_pages, i)->count;
    return 0;
}

/* QEMU's process, as /proc shows it. */
static void assert_in_qemu(const char *what)
{
    _autofree_ char *c = xasprintf(
        "p=$(cat /run/libvirt/qemu/instance-cairn-test.pid); %s", what);
    run(c);
}

static void assert_vcpu_on(const struct cpus *cpus)
{
    char text[CPUS_TEXT];
    _autofree_ char *c =
        xasprintf("grep -l 'CPU 0' /proc/$p/task/*/comm | head -n 1 | "
                  "xargs dirname | xargs -I T "
                  "grep -qx 'Cpus_allowed_list:\t%s' T/status",
                  cpus_text(cpus, text));
    assert_in_qemu(c);
}

/* As the other end of a live move has it: libvirt compares what the guest sees
 * and starts QEMU by the new description, with the memory of the old one. */
static bool start_placed(const struct place_spec *place)
{
    static const char file[] = DIR "/moved.save";
    struct domain_info i = info();
    struct buf out = BUF_INIT(DOMAIN_XML_MAX);
    struct migrate_spec to = { .vnc_listen = "127.0.0.1",
                               .config_drive = domain_disk_path(&i, "sda"),
                               .serial_log = i.serial_log,
                               .place = *place };
    for (size_t k = 0; k < i.n_disks; k++)
        to.disks[to.n_disks++] =
            (struct migrate_disk){ .device = i.disks[k], .path = i.paths[k] };
    virConnectPtr c = virConnectOpen(getenv("CAIRN_TEST_LIBVIRT"));
    virDomainPtr d = virDomainLookupByUUIDString(c, ID);
    _autofree_ char *xml = virDomainGetXMLDesc(d, VIR_DOMAIN_XML_MIGRATABLE |
                                                      VIR_DOMAIN_XML_SECURE);
    bool ok = xml && domain_xml_moved(&out, xml, &to, &err) &&
              virDomainSaveFlags(d, file, buf_str(&out), 0) == 0 &&
              virDomainRestore(c, file) == 0;
    virDomainFree(d);
    virConnectClose(c);
    buf_free(&out);
    unlink(file);
    return ok;
}

/* The same guest on the cell's second CPU. */
static void sits_elsewhere(struct place_spec *place, const struct cpus *all,
                           long before)
{
    struct cpus first = cpus_first(all, 1), two = cpus_first(all, 2);
    place->cells[0].cpus = cpus_without(&two, &first);
    if (cpus_count(&two) < 2) {
        print_message("  NOT SEEN: the cell has no second CPU\n");
        return;
    }
    set_pages(before + 160);
    bool started = start_placed(place);
    set_pages(before);
    assert_true(started);
    assert_int_equal(info().state, DOMAIN_RUNNING);
    assert_vcpu_on(&place->cells[0].cpus);
}

/* One of the machine's cells, a CPU of its own, its memory in huge pages: as
 * the process itself shows it.  Without room for huge pages (the machine's,
 * put back afterwards) only the rest is looked at, and said. */
static void sits_in_its_cell(void **state)
{
    struct domain_spec s = spec();
    long before = number_in(PAGES, "");
    _autorecord_ struct node *n = record_new(&kind_node, "n");
    set_pages(before + 160);
    bool huge = number_in("/proc/meminfo", "HugePages_Free:") >= 128;
    OK(libvirt_inventory(h, "", n, &err));
    assert_true(n->cells.n >= 1);
    const struct node_cell *c = LIST_AT(n->cells, struct node_cell, 0);
    print_message("  cell %d: CPUs %s, %d MB, %d pages of 2 MiB\n", (int)c->id,
                  c->cpus, (int)c->ram_mb, (int)huge_pages_told(n));
    struct cpus all;
    assert_true(cpus_parse(c->cpus, &all) && cpus_count(&all));
    s.place = (struct place_spec){ .n_cells = 1,
                                   .pinned = true,
                                   .page_kib = huge ? 2048 : 0 };
    s.place.cells[0] =
        (struct cell_spec){ .host = c->id, .cpus = cpus_first(&all, 1) };
    cleanup();
    bool started = h->ops->define_start(h, &s, &err);
    long free = number_in("/proc/meminfo", "HugePages_Free:");
    set_pages(before);
    if (!started)
        fail_msg("%s", err.text);
    OK(wait_console("power button works", 2 * PATIENCE_S));
    assert_vcpu_on(&s.place.cells[0].cpus);
    if (huge) {
        assert_true(huge_pages_told(n) >= 128);
        assert_in_qemu("grep -q 'bind:0 .*huge .*kernelpagesize_kB=2048' "
                       "/proc/$p/numa_maps");
        print_message("  %ld huge pages were free while it ran\n", free);
    } else {
        print_message("  NOT SEEN: no huge pages to be had here\n");
    }
    sits_elsewhere(&s.place, &all, before);
    cleanup();
    set_pages(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_there),
        cmocka_unit_test(starts),
        cmocka_unit_test(is_measured),
        cmocka_unit_test(foreign_domains),
        cmocka_unit_test(pauses),
        cmocka_unit_test(plugs_disks),
        cmocka_unit_test(moves_disks),
        cmocka_unit_test(plugs_nics),
        cmocka_unit_test(saves),
        cmocka_unit_test(powers_off),
        cmocka_unit_test(starts_again),
        cmocka_unit_test(a_new_process_finds_it),
        cmocka_unit_test(libvirtd_comes_back),
        cmocka_unit_test(dies),
        cmocka_unit_test(whole_lives),
        cmocka_unit_test(sits_in_its_cell),
    };
    static const char *const needed[] = { "CAIRN_TEST_LIBVIRT",
                                          "CAIRN_TEST_GUEST",
                                          "CAIRN_TEST_LIBVIRTD_PID",
                                          "CAIRN_TEST_OWNER" };
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        if (!getenv(needed[i])) {
            fprintf(stderr, "%s is not set: run tests/lab/libvirt\n",
                    needed[i]);
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN); /* as cairnd does: libvirtd is killed */
    return cmocka_run_group_tests(tests, setup, teardown);
}
