#include "daemon/node_services.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/pool_store.h"
#include "daemon/supervisor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define OVS_DB         "/etc/openvswitch/conf.db"
#define OVS_SOCKET     "/run/openvswitch/db.sock"
#define OVS_BOOTED     "/run/openvswitch/cairn-booted"
#define NB_SOCKET      "/run/ovn/ovnnb_db.sock"
#define SB_SOCKET      "/run/ovn/ovnsb_db.sock"
#define LIBVIRT_SOCKET "/run/libvirt/libvirt-sock"
#define LIBVIRT_CONF   "/etc/libvirt/libvirtd.conf"
#define QEMU_CONF      "/etc/libvirt/qemu.conf"

#define START_US (60 * SECOND_US)

/* What prepare, command and probe are given. */
struct node_setup {
    const struct config *config;
    char node[64];
    bool central; /* runs OVN's databases and northd */
};

struct node_services {
    struct node_setup setup;
    struct service_spec specs[SERVICES_MAX];
    struct supervisor *supervisor;
};

/* ---- files ------------------------------------------------------------- */

static bool make_dirs(struct error *err, const char *const *paths)
{
    for (; *paths; paths++)
        if (mkdir(*paths, 0755) != 0 && errno != EEXIST)
            return error_errno(err, ERR_INTERNAL, errno, "%s", *paths);
    return true;
}

static bool exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_size > 0;
}

/* A new file in one step, readable by root alone. */
static bool write_file(const char *path, const char *text, struct error *err)
{
    _autofree_ char *new = xasprintf("%s.new", path);
    _autoclose_ int fd =
        open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len || fsync(fd) != 0 ||
        rename(new, path) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return true;
}

/* ---- Open vSwitch ------------------------------------------------------ */

static bool prepare_ovsdb(void *arg, struct error *err)
{
    static const char *const dirs[] = { "/etc/openvswitch", "/run/openvswitch",
                                        "/var/log/openvswitch", NULL };
    if (!make_dirs(err, dirs))
        return false;
    if (exists(OVS_BOOTED) && exists(OVS_DB))
        return true;
    unlink(OVS_DB);
    return command_do(err, "ovsdb-tool", "create", OVS_DB,
                      "/usr/share/openvswitch/vswitch.ovsschema", NULL) &&
           write_file(OVS_BOOTED, "its database is of this boot\n", err);
}

static void command_ovsdb(void *arg, struct words *w)
{
    static const char *const words[] = {
        "ovsdb-server",
        OVS_DB,
        "-vconsole:off",
        ("--remote=punix:" OVS_SOCKET),
        "--pidfile=/run/openvswitch/ovsdb-server.pid",
        "--log-file=/var/log/openvswitch/ovsdb-server.log",
        NULL
    };
    words_list(w, words);
}

static bool probe_ovsdb(void *arg)
{
    return service_listens(OVS_SOCKET);
}

static bool prepare_vswitchd(void *arg, struct error *err)
{
    return command_do(err, "ovs-vsctl", "--no-wait", "--timeout=5", "init",
                      NULL);
}

static void command_vswitchd(void *arg, struct words *w)
{
    static const char *const words[] = {
        "ovs-vswitchd",
        ("unix:" OVS_SOCKET),
        "-vconsole:off",
        "--pidfile=/run/openvswitch/ovs-vswitchd.pid",
        "--log-file=/var/log/openvswitch/ovs-vswitchd.log",
        NULL
    };
    words_list(w, words);
}

/* ---- the node's NIC and address ---------------------------------------- */

/* br-ex has the NIC's MAC, or each neighbour would have to notice. */
static bool nic_mac(const char *nic, char mac[32], struct error *err)
{
    _autofree_ char *path = xasprintf("/sys/class/net/%s/address", nic);
    _autofile_ FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%31s", mac) == 1)
        return true;
    return error_set(err, ERR_UNAVAILABLE, "no network device %s yet", nic);
}

static bool add_bridge(const struct config *cf, struct error *err)
{
    char mac[32];
    _autowords_ struct words w = WORDS_INIT;
    if (!nic_mac(cf->uplink, mac, err))
        return false;
    static const char *const words[] = { "ovs-vsctl",   "--timeout=10",
                                         "--may-exist", "add-br",
                                         "br-ex",       NULL };
    words_list(&w, words);
    words_add(&w, "--");
    words_add(&w, "--may-exist");
    words_add(&w, "add-port");
    words_add(&w, "br-ex");
    words_add(&w, "%s", cf->uplink);
    words_add(&w, "--");
    words_add(&w, "set");
    words_add(&w, "Bridge");
    words_add(&w, "br-ex");
    words_add(&w, "datapath_type=%s", cf->datapath);
    words_add(&w, "other-config:hwaddr=\"%s\"", mac);
    return command_run(&w, 20000, NULL, err);
}

/* The NIC is the switch's: the kernel must not answer on it as well. */
static bool move_address(const struct config *cf, struct error *err)
{
    return command_do(err, "ip", "link", "set", cf->uplink, "arp", "off", "up",
                      NULL) &&
           command_do(err, "ip", "link", "set", "br-ex", "up", NULL) &&
           command_do(err, "ip", "addr", "replace", cf->address, "dev", "br-ex",
                      NULL) &&
           (!*cf->gateway || command_do(err, "ip", "route", "replace",
                                        "default", "via", cf->gateway, NULL));
}

static bool tell_controller(const struct node_setup *n, struct error *err)
{
    const struct config *cf = n->config;
    _autowords_ struct words w = WORDS_INIT;
    words_add(&w, "ovs-vsctl");
    words_add(&w, "--timeout=10");
    words_add(&w, "set");
    words_add(&w, "Open_vSwitch");
    words_add(&w, ".");
    words_add(&w, "external_ids:system-id=%s", n->node);
    words_add(&w, "external_ids:hostname=%s", n->node);
    words_add(&w, "external_ids:ovn-remote=\"unix:" SB_SOCKET "\"");
    words_add(&w, "external_ids:ovn-encap-type=geneve");
    words_add(&w, "external_ids:ovn-encap-ip=%.*s",
              (int)strcspn(cf->address, "/"), cf->address);
    words_add(&w, "external_ids:ovn-bridge-datapath-type=%s", cf->datapath);
    words_add(&w, "external_ids:ovn-bridge-mappings=%s:br-ex", cf->physnet);
    return command_run(&w, 20000, NULL, err);
}

static bool do_uplink(void *arg, struct error *err)
{
    const struct node_setup *n = arg;
    const struct config *cf = n->config;
    return (!*cf->uplink || (add_bridge(cf, err) && move_address(cf, err))) &&
           tell_controller(n, err);
}

/* ---- OVN --------------------------------------------------------------- */

static bool prepare_database(const char *file, const char *schema,
                             struct error *err)
{
    static const char *const dirs[] = { "/var/lib/ovn", "/run/ovn",
                                        "/var/log/ovn", NULL };
    return make_dirs(err, dirs) &&
           (exists(file) ||
            command_do(err, "ovsdb-tool", "create", file, schema, NULL));
}

static bool prepare_nb(void *arg, struct error *err)
{
    return prepare_database("/var/lib/ovn/nb.db",
                            "/usr/share/ovn/ovn-nb.ovsschema", err);
}

static bool prepare_sb(void *arg, struct error *err)
{
    return prepare_database("/var/lib/ovn/sb.db",
                            "/usr/share/ovn/ovn-sb.ovsschema", err);
}

static void command_database(struct words *w, const char *db)
{
    words_add(w, "ovsdb-server");
    words_add(w, "/var/lib/ovn/%s.db", db);
    words_add(w, "-vconsole:off");
    words_add(w, "--remote=punix:/run/ovn/ovn%s_db.sock", db);
    words_add(w, "--unixctl=/run/ovn/ovn%s_db.ctl", db);
    words_add(w, "--pidfile=/run/ovn/ovn%s_db.pid", db);
    words_add(w, "--log-file=/var/log/ovn/ovsdb-server-%s.log", db);
}

static void command_nb(void *arg, struct words *w)
{
    command_database(w, "nb");
}

static void command_sb(void *arg, struct words *w)
{
    command_database(w, "sb");
}

static bool probe_nb(void *arg)
{
    return service_listens(NB_SOCKET);
}

static bool probe_sb(void *arg)
{
    return service_listens(SB_SOCKET);
}

static bool prepare_northd(void *arg, struct error *err)
{
    return command_do(err, "ovn-nbctl", "--timeout=5", "init", NULL) &&
           command_do(err, "ovn-sbctl", "--timeout=5", "init", NULL);
}

static void command_northd(void *arg, struct words *w)
{
    static const char *const words[] = {
        "ovn-northd",
        "-vconsole:off",
        ("--ovnnb-db=unix:" NB_SOCKET),
        ("--ovnsb-db=unix:" SB_SOCKET),
        "--pidfile=/run/ovn/ovn-northd.pid",
        "--log-file=/var/log/ovn/ovn-northd.log",
        NULL
    };
    words_list(w, words);
}

static bool prepare_controller(void *arg, struct error *err)
{
    static const char *const dirs[] = { "/run/ovn", "/var/log/ovn", NULL };
    return make_dirs(err, dirs);
}

static void command_controller(void *arg, struct words *w)
{
    static const char *const words[] = {
        "ovn-controller",
        "-vconsole:off",
        ("unix:" OVS_SOCKET),
        "--pidfile=/run/ovn/ovn-controller.pid",
        "--log-file=/var/log/ovn/ovn-controller.log",
        NULL
    };
    words_list(w, words);
}

/* It makes br-int when it knows what to make; guests are plugged into it. */
static bool probe_controller(void *arg)
{
    struct error err;
    return command_do(&err, "ovs-vsctl", "--timeout=2", "br-exists", "br-int",
                      NULL);
}

/* ---- libvirt ----------------------------------------------------------- */

/* Unique and lasting: hosts that have the same refuse to migrate guests to
 * each other. */
static bool host_uuid(const struct config *cf, char uuid[UUID_SIZE],
                      struct error *err)
{
    _autofree_ char *path = xasprintf("%s/host-uuid", cf->state_dir);
    _autofile_ FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%36s", uuid) == 1 && uuid_valid(uuid))
        return true;
    env_uuid(&env_system, uuid);
    return write_file(path, uuid, err);
}

static bool write_libvirt_conf(const struct config *cf, struct error *err)
{
    char uuid[UUID_SIZE];
    if (!host_uuid(cf, uuid, err))
        return false;
    _autofree_ char *text =
        xasprintf("# Written by cairnd.\n"
                  "host_uuid = \"%s\"\n"
                  "listen_tls = 0\nlisten_tcp = 0\n"
                  "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\n"
                  "unix_sock_group = \"root\"\nunix_sock_rw_perms = \"0700\"\n"
                  "log_level = 3\n"
                  "log_outputs = \"3:file:/var/log/libvirt/libvirtd.log\"\n",
                  uuid);
    return write_file(LIBVIRT_CONF, text, err);
}

/* stdio_handler: no virtlogd.  security_driver: the machine's AppArmor knows
 * nothing of Cairn's paths. */
static bool write_qemu_conf(const struct config *cf, struct error *err)
{
    _autofree_ char *text =
        xasprintf("# Written by cairnd.\n"
                  "user = \"%s\"\ngroup = \"kvm\"\n"
                  "dynamic_ownership = 1\nremember_owner = 0\n"
                  "stdio_handler = \"file\"\nsecurity_driver = \"none\"\n"
                  "max_core = 0\n",
                  cf->guest_user);
    return write_file(QEMU_CONF, text, err);
}

static bool prepare_libvirtd(void *arg, struct error *err)
{
    static const char *const dirs[] = { "/etc/libvirt",
                                        "/run/libvirt",
                                        "/var/log/libvirt",
                                        "/var/log/libvirt/qemu",
                                        "/var/lib/libvirt",
                                        "/var/lib/libvirt/qemu",
                                        "/var/lib/libvirt/images",
                                        NULL };
    const struct node_setup *n = arg;
    const struct passwd *pw = getpwnam(n->config->guest_user);
    if (!make_dirs(err, dirs))
        return false;
    if (pw && chown("/var/lib/libvirt/qemu", pw->pw_uid, pw->pw_gid) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "/var/lib/libvirt/qemu");
    return write_libvirt_conf(n->config, err) &&
           write_qemu_conf(n->config, err);
}

static void command_libvirtd(void *arg, struct words *w)
{
    words_add(w, "libvirtd");
}

static bool probe_libvirtd(void *arg)
{
    return service_listens(LIBVIRT_SOCKET);
}

/* ---- etcd -------------------------------------------------------------- */

#define ETCD_CLIENT "127.0.0.1:2379"
#define ETCD_PEER   "http://127.0.0.1:2380"

static bool prepare_etcd(void *arg, struct error *err)
{
    const struct node_setup *n = arg;
    _autofree_ char *dir = xasprintf("%s/etcd", n->config->state_dir);
    if (mkdir(dir, 0700) == 0 || errno == EEXIST)
        return true;
    return error_errno(err, ERR_INTERNAL, errno, "%s", dir);
}

/* A pool of one: it speaks to nobody but this node. */
static void command_etcd(void *arg, struct words *w)
{
    const struct node_setup *n = arg;
    words_add(w, "etcd");
    words_add(w, "--name=%s", n->node);
    words_add(w, "--data-dir=%s/etcd", n->config->state_dir);
    words_add(w, "--listen-client-urls=http://" ETCD_CLIENT);
    words_add(w, "--advertise-client-urls=http://" ETCD_CLIENT);
    words_add(w, "--listen-peer-urls=" ETCD_PEER);
    words_add(w, "--initial-advertise-peer-urls=" ETCD_PEER);
    words_add(w, "--initial-cluster=%s=" ETCD_PEER, n->node);
    words_add(w, "--max-txn-ops=%d", STORE_OPS_MAX);
    words_add(w, "--logger=zap");
    words_add(w, "--log-level=warn");
}

static bool probe_etcd(void *arg)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons(2379),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    _autoclose_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (void *)&sa, sizeof(sa)) == 0;
}

/* Our own member, unless the configuration names others. */
static bool has_etcd(const struct config *cf)
{
    return pool_store_wants_etcd(cf) &&
           strcmp(cf->etcd_endpoints, ETCD_CLIENT) == 0;
}

/* ---- the table --------------------------------------------------------- */

enum role { EVERY_NODE, CENTRAL, ETCD };

static const struct {
    enum role role;
    struct service_spec spec;
} table[] = {
    { ETCD, { "etcd", { NULL }, prepare_etcd, command_etcd, probe_etcd } },
    { EVERY_NODE,
      { "ovsdb-server", { NULL }, prepare_ovsdb, command_ovsdb, probe_ovsdb } },
    { EVERY_NODE,
      { "ovs-vswitchd",
        { "ovsdb-server" },
        prepare_vswitchd,
        command_vswitchd,
        NULL } },
    { EVERY_NODE, { "uplink", { "ovs-vswitchd" }, do_uplink, NULL, NULL } },
    { EVERY_NODE,
      { "libvirtd",
        { NULL },
        prepare_libvirtd,
        command_libvirtd,
        probe_libvirtd } },
    { CENTRAL, { "ovn-nb", { NULL }, prepare_nb, command_nb, probe_nb } },
    { CENTRAL, { "ovn-sb", { NULL }, prepare_sb, command_sb, probe_sb } },
    { CENTRAL,
      { "ovn-northd",
        { "ovn-nb", "ovn-sb" },
        prepare_northd,
        command_northd,
        NULL } },
    { EVERY_NODE,
      { "ovn-controller",
        { "uplink" },
        prepare_controller,
        command_controller,
        probe_controller } },
};

static size_t choose(const struct node_setup *setup,
                     struct service_spec out[SERVICES_MAX])
{
    size_t n = 0;
    const bool here[] = { [EVERY_NODE] = true,
                          [CENTRAL] = setup->central,
                          [ETCD] = has_etcd(setup->config) };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (here[table[i].role])
            out[n++] = table[i].spec;
    return n;
}

struct node_services *node_services_start(const struct config *config,
                                          const struct env *env,
                                          const char *node, bool central,
                                          struct error *err)
{
    struct node_services *n = xcalloc(1, sizeof(*n));
    struct error late = { 0 };
    _autofree_ char *dir = xasprintf("%s/services", config->run_dir);
    n->setup = (struct node_setup){ .config = config, .central = central };
    snprintf(n->setup.node, sizeof(n->setup.node), "%s", node);
    struct supervisor_config sc = {
        .env = env,
        .table = n->specs,
        .n = choose(&n->setup, n->specs),
        .arg = &n->setup,
        .dir = dir,
        .log_dir = config->log_dir,
    };
    n->supervisor = supervisor_start(&sc, err);
    if (!n->supervisor) {
        free(n);
        return NULL;
    }
    if (!supervisor_await(n->supervisor, START_US, &late))
        log_warn("services", "%s", late.text);
    return n;
}

void node_services_free(struct node_services *n)
{
    if (!n)
        return;
    supervisor_free(n->supervisor, false);
    free(n);
}
