#include "daemon/node_services.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/etcd_member.h"
#include "daemon/guest_pki.h"
#include "daemon/pool_store.h"
#include "daemon/supervisor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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
#define ETCD_US  (30 * SECOND_US)

#define NB_PORT      6641 /* IANA's for OVN; RAFT has the two after them */
#define SB_PORT      6642
#define NB_RAFT_PORT 6643
#define SB_RAFT_PORT 6644
#define MEMBERS_MAX  16

/* What prepare, command and probe are given. */
struct node_setup {
    const struct config *config;
    char node[64], address[64];
    pthread_mutex_t lock; /* all below */
    struct service_member members[MEMBERS_MAX];
    size_t n_members;
};

struct node_services {
    struct node_setup setup;
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

/* ---- the pool ---------------------------------------------------------- */

static size_t central_members(const struct node_setup *n)
{
    return n->n_members < NODE_SERVICES_CENTRAL ? n->n_members
                                                : NODE_SERVICES_CENTRAL;
}

static bool is_clustered(struct node_setup *n)
{
    pthread_mutex_lock(&n->lock);
    bool yes = n->n_members > 1;
    pthread_mutex_unlock(&n->lock);
    return yes;
}

/* "ssl:a:6642,ssl:b:6642", or the socket where there is one database. */
static char *remotes(struct node_setup *n, int port, const char *alone)
{
    struct buf b = BUF_INIT(4096);
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; n->n_members > 1 && i < central_members(n); i++)
        buf_addf(&b, "%sssl:%s:%d", i ? "," : "", n->members[i].address, port);
    pthread_mutex_unlock(&n->lock);
    if (!b.len)
        buf_adds(&b, alone);
    return buf_steal(&b);
}

static void add_tls(const struct node_setup *n, struct words *w)
{
    words_add(w, "--private-key=%s/pki/server.key", n->config->state_dir);
    words_add(w, "--certificate=%s/pki/server.crt", n->config->state_dir);
    words_add(w, "--ca-cert=%s/pki/ca.crt", n->config->state_dir);
}

static bool is_member(void *arg)
{
    struct node_setup *n = arg;
    pthread_mutex_lock(&n->lock);
    bool yes = n->n_members > 0;
    pthread_mutex_unlock(&n->lock);
    return yes;
}

static bool is_central(void *arg)
{
    struct node_setup *n = arg;
    bool yes = false;
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < central_members(n); i++)
        if (strcmp(n->members[i].name, n->node) == 0)
            yes = true;
    pthread_mutex_unlock(&n->lock);
    return yes;
}

static bool in_a_pool(struct node_setup *n, struct error *err)
{
    return is_member(n) ||
           error_set(err, ERR_BUSY, "waits until this node is in a pool");
}

static bool tell_controller(struct node_setup *n, struct error *err)
{
    const struct config *cf = n->config;
    _autofree_ char *sb = remotes(n, SB_PORT, "unix:" SB_SOCKET);
    _autowords_ struct words w = WORDS_INIT;
    words_add(&w, "ovs-vsctl");
    words_add(&w, "--timeout=10");
    words_add(&w, "set");
    words_add(&w, "Open_vSwitch");
    words_add(&w, ".");
    words_add(&w, "external_ids:system-id=%s", n->node);
    words_add(&w, "external_ids:hostname=%s", n->node);
    words_add(&w, "external_ids:ovn-remote=\"%s\"", sb);
    words_add(&w, "external_ids:ovn-encap-type=geneve");
    words_add(&w, "external_ids:ovn-encap-ip=%.*s",
              (int)strcspn(cf->address, "/"), cf->address);
    words_add(&w, "external_ids:ovn-bridge-datapath-type=%s", cf->datapath);
    words_add(&w, "external_ids:ovn-bridge-mappings=%s:br-ex", cf->physnet);
    return command_run(&w, 20000, NULL, err);
}

static bool do_uplink(void *arg, struct error *err)
{
    struct node_setup *n = arg;
    const struct config *cf = n->config;
    return (!*cf->uplink || (add_bridge(cf, err) && move_address(cf, err))) &&
           tell_controller(n, err);
}

/* ---- OVN --------------------------------------------------------------- */

struct database {
    const char *name, *schema, *file, *tables;
    int port, raft_port;
};

static const struct database nb = { "nb",
                                    "OVN_Northbound",
                                    "/var/lib/ovn/nb.db",
                                    "/usr/share/ovn/ovn-nb.ovsschema",
                                    NB_PORT,
                                    NB_RAFT_PORT };
static const struct database sb = { "sb",
                                    "OVN_Southbound",
                                    "/var/lib/ovn/sb.db",
                                    "/usr/share/ovn/ovn-sb.ovsschema",
                                    SB_PORT,
                                    SB_RAFT_PORT };

static bool ovsdb_tool(struct error *err, const char *verb,
                       const struct database *db)
{
    return command_do(err, "ovsdb-tool", verb, db->file, NULL);
}

/* The first member's content becomes the cluster's. */
static bool become_cluster(const struct node_setup *n,
                           const struct database *db, struct error *err)
{
    _autofree_ char *own = xasprintf("ssl:%s:%d", n->address, db->raft_port);
    _autofree_ char *alone = xasprintf("%s.alone", db->file);
    unlink(alone);
    if (rename(db->file, alone) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", db->file);
    if (command_do(err, "ovsdb-tool", "create-cluster", db->file, alone, own,
                   NULL))
        return true;
    (void)rename(alone, db->file);
    return false;
}

/* What this node had alone is derived from the pool's records as well. */
static bool join_cluster(struct node_setup *n, const struct database *db,
                         struct error *err)
{
    _autowords_ struct words w = WORDS_INIT;
    unlink(db->file);
    words_add(&w, "ovsdb-tool");
    words_add(&w, "join-cluster");
    words_add(&w, "%s", db->file);
    words_add(&w, "%s", db->schema);
    words_add(&w, "ssl:%s:%d", n->address, db->raft_port);
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < central_members(n); i++)
        if (strcmp(n->members[i].name, n->node) != 0)
            words_add(&w, "ssl:%s:%d", n->members[i].address, db->raft_port);
    pthread_mutex_unlock(&n->lock);
    return command_run(&w, 20000, NULL, err);
}

static bool is_first(struct node_setup *n)
{
    pthread_mutex_lock(&n->lock);
    bool first = n->n_members && strcmp(n->members[0].name, n->node) == 0;
    pthread_mutex_unlock(&n->lock);
    return first;
}

static bool prepare_database(struct node_setup *n, const struct database *db,
                             struct error *err)
{
    static const char *const dirs[] = { "/var/lib/ovn", "/run/ovn",
                                        "/var/log/ovn", NULL };
    struct error no;
    if (!in_a_pool(n, err) || !make_dirs(err, dirs))
        return false;
    bool there = exists(db->file), first = is_first(n);
    if (!there && first &&
        !command_do(err, "ovsdb-tool", "create", db->file, db->tables, NULL))
        return false;
    if (!is_clustered(n) || (there && ovsdb_tool(&no, "db-is-clustered", db)))
        return true;
    return first ? become_cluster(n, db, err) : join_cluster(n, db, err);
}

static bool prepare_nb(void *arg, struct error *err)
{
    return prepare_database(arg, &nb, err);
}

static bool prepare_sb(void *arg, struct error *err)
{
    return prepare_database(arg, &sb, err);
}

static void command_database(struct node_setup *n, struct words *w,
                             const struct database *db)
{
    words_add(w, "ovsdb-server");
    words_add(w, "%s", db->file);
    words_add(w, "-vconsole:off");
    words_add(w, "--remote=punix:/run/ovn/ovn%s_db.sock", db->name);
    words_add(w, "--unixctl=/run/ovn/ovn%s_db.ctl", db->name);
    words_add(w, "--pidfile=/run/ovn/ovn%s_db.pid", db->name);
    words_add(w, "--log-file=/var/log/ovn/ovsdb-server-%s.log", db->name);
    if (!is_clustered(n))
        return;
    words_add(w, "--remote=pssl:%d:%s", db->port, n->address);
    add_tls(n, w);
}

static void command_nb(void *arg, struct words *w)
{
    command_database(arg, w, &nb);
}

static void command_sb(void *arg, struct words *w)
{
    command_database(arg, w, &sb);
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
    if (is_clustered(arg))
        return true; /* done when there was one */
    return command_do(err, "ovn-nbctl", "--timeout=5", "init", NULL) &&
           command_do(err, "ovn-sbctl", "--timeout=5", "init", NULL);
}

static void command_northd(void *arg, struct words *w)
{
    struct node_setup *n = arg;
    _autofree_ char *north = remotes(n, NB_PORT, "unix:" NB_SOCKET);
    _autofree_ char *south = remotes(n, SB_PORT, "unix:" SB_SOCKET);
    words_add(w, "ovn-northd");
    words_add(w, "-vconsole:off");
    words_add(w, "--ovnnb-db=%s", north);
    words_add(w, "--ovnsb-db=%s", south);
    words_add(w, "--pidfile=/run/ovn/ovn-northd.pid");
    words_add(w, "--log-file=/var/log/ovn/ovn-northd.log");
    if (is_clustered(n))
        add_tls(n, w);
}

static bool prepare_controller(void *arg, struct error *err)
{
    static const char *const dirs[] = { "/run/ovn", "/var/log/ovn", NULL };
    return in_a_pool(arg, err) && make_dirs(err, dirs);
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
    add_tls(arg, w);
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

/* With TLS the other nodes' libvirt may come in, to bring guests; only a
 * member of the pool has a certificate of its CA. */
static char *libvirt_listen(const struct node_setup *n)
{
    const char *dir = n->config->state_dir;
    if (!n->config->tls)
        return xstrdup("listen_tls = 0\n");
    return xasprintf("listen_tls = 1\nlisten_addr = \"%s\"\n"
                     "auth_tls = \"none\"\n"
                     "key_file = \"%s/pki/server.key\"\n"
                     "cert_file = \"%s/pki/server.crt\"\n"
                     "ca_file = \"%s/pki/ca.crt\"\n",
                     n->address, dir, dir, dir);
}

static bool write_libvirt_conf(const struct node_setup *n, struct error *err)
{
    char uuid[UUID_SIZE];
    if (!host_uuid(n->config, uuid, err))
        return false;
    _autofree_ char *listen = libvirt_listen(n);
    _autofree_ char *text =
        xasprintf("# Written by cairnd.\n"
                  "host_uuid = \"%s\"\n"
                  "%slisten_tcp = 0\n"
                  "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\n"
                  "unix_sock_group = \"root\"\nunix_sock_rw_perms = \"0700\"\n"
                  "log_level = 3\n"
                  "log_outputs = \"3:file:/var/log/libvirt/libvirtd.log\"\n",
                  uuid, listen);
    return write_file(LIBVIRT_CONF, text, err);
}

/* stdio_handler: no virtlogd.  security_driver: the machine's AppArmor knows
 * nothing of Cairn's paths. */
static bool write_qemu_conf(const struct node_setup *n, struct error *err)
{
    const struct config *cf = n->config;
    _autofree_ char *tls =
        cf->tls ? xasprintf("migrate_tls_x509_cert_dir = \"%s/guest-pki\"\n"
                            "migrate_tls_x509_verify = 1\n",
                            cf->state_dir)
                : xstrdup("");
    _autofree_ char *text =
        xasprintf("# Written by cairnd.\n"
                  "user = \"%s\"\ngroup = \"kvm\"\n"
                  "dynamic_ownership = 1\nremember_owner = 0\n"
                  "stdio_handler = \"file\"\nsecurity_driver = \"none\"\n"
                  "max_core = 0\n"
                  "migration_address = \"%s\"\nmigration_host = \"%s\"\n%s",
                  cf->guest_user, n->address, n->address, tls);
    return write_file(QEMU_CONF, text, err);
}

/* By which libvirtd is a client of others' (pkipath), by libvirt's names. */
static bool link_libvirt_pki(const struct config *cf, struct error *err)
{
    static const char *const links[][2] = {
        { "cacert.pem", "../pki/ca.crt" },
        { "clientcert.pem", "../pki/server.crt" },
        { "clientkey.pem", "../pki/server.key" },
    };
    _autofree_ char *dir = xasprintf("%s/libvirt-pki", cf->state_dir);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return error_errno(err, ERR_INTERNAL, errno, "%s", dir);
    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        _autofree_ char *path = xasprintf("%s/%s", dir, links[i][0]);
        if (symlink(links[i][1], path) != 0 && errno != EEXIST)
            return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    }
    return true;
}

/* What guests are moved with. */
static bool make_move_keys(const struct node_setup *n, struct error *err)
{
    const struct config *cf = n->config;
    uid_t user = 0;
    gid_t group = 0;
    if (!cf->tls)
        return true;
    _autofree_ char *cert = xasprintf("%s/pki/server.crt", cf->state_dir);
    _autofree_ char *key = xasprintf("%s/pki/ca.key", cf->state_dir);
    _autofree_ char *dir = xasprintf("%s/guest-pki", cf->state_dir);
    if (!exists(cert))
        return error_set(err, ERR_BUSY, "waits until this node is in a pool");
    config_user(cf->guest_user, 0, &user, &group);
    return link_libvirt_pki(cf, err) &&
           guest_pki_make(dir, key, n->address, user, group,
                          env_now(&env_system), err);
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
    return make_move_keys(n, err) && write_libvirt_conf(n, err) &&
           write_qemu_conf(n, err);
}

static void command_libvirtd(void *arg, struct words *w)
{
    words_add(w, "libvirtd");
    words_add(w, "--listen"); /* as its configuration says */
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

/* A node alone whose state is in etcd: it speaks to nobody else. */
static void command_alone(const struct node_setup *n, struct words *w)
{
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

static void command_etcd(void *arg, struct words *w)
{
    const struct node_setup *n = arg;
    const char *dir = n->config->state_dir;
    if (etcd_member_here(dir))
        etcd_member_command(dir, n->node, n->address, w);
    else
        command_alone(n, w);
}

static bool probe_etcd(void *arg)
{
    const struct node_setup *n = arg;
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons(2379),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (etcd_member_here(n->config->state_dir) &&
        inet_pton(AF_INET, n->address, &sa.sin_addr) != 1)
        return true; /* it is not found out this way */
    _autoclose_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (void *)&sa, sizeof(sa)) == 0;
}

/* A member of the pool's, or one for this node alone unless the configuration
 * names others. */
static bool has_etcd(void *arg)
{
    const struct node_setup *n = arg;
    const struct config *cf = n->config;
    return etcd_member_here(cf->state_dir) ||
           (strcmp(cf->etcd_endpoints, ETCD_CLIENT) == 0 &&
            pool_store_is_alone(cf));
}

/* ---- the table --------------------------------------------------------- */

static const struct service_spec table[] = {
    { "ovsdb-server", { NULL }, prepare_ovsdb, command_ovsdb, probe_ovsdb },
    { "ovs-vswitchd",
      { "ovsdb-server" },
      prepare_vswitchd,
      command_vswitchd,
      NULL },
    { "uplink", { "ovs-vswitchd" }, do_uplink, NULL, NULL },
    { "etcd",
      { "uplink" }, /* which has the address where it listens */
      prepare_etcd,
      command_etcd,
      probe_etcd,
      has_etcd },
    { "libvirtd",
      { NULL },
      prepare_libvirtd,
      command_libvirtd,
      probe_libvirtd },
    { "ovn-nb", { NULL }, prepare_nb, command_nb, probe_nb, is_central },
    { "ovn-sb", { NULL }, prepare_sb, command_sb, probe_sb, is_central },
    { "ovn-northd",
      { "ovn-nb", "ovn-sb" },
      prepare_northd,
      command_northd,
      NULL,
      is_central },
    { "ovn-controller",
      { "uplink" },
      prepare_controller,
      command_controller,
      probe_controller,
      is_member },
};

/* ---- life -------------------------------------------------------------- */

static void fill(struct node_setup *n, const struct config *config,
                 const char *node)
{
    *n = (struct node_setup){ .config = config };
    snprintf(n->node, sizeof(n->node), "%s", node);
    snprintf(n->address, sizeof(n->address), "%.*s",
             (int)strcspn(config->address, "/"), config->address);
    pthread_mutex_init(&n->lock, NULL);
}

static bool same_members(const struct node_setup *s,
                         const struct service_member *members, size_t n)
{
    if (s->n_members != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(s->members[i].name, members[i].name) != 0 ||
            strcmp(s->members[i].address, members[i].address) != 0)
            return false;
    return true;
}

/* True if that is news; *was: how many there were. */
static bool take_members(struct node_setup *s,
                         const struct service_member *members, size_t n,
                         size_t *was)
{
    if (n > MEMBERS_MAX)
        n = MEMBERS_MAX;
    pthread_mutex_lock(&s->lock);
    bool news = !same_members(s, members, n);
    *was = s->n_members;
    memcpy(s->members, members, n * sizeof(*members));
    s->n_members = n;
    pthread_mutex_unlock(&s->lock);
    return news;
}

/* A cairnd that is started again must know what its daemons know before it
 * looks at them.  The file goes with the boot, as they do. */
static char *members_file(const struct node_setup *s)
{
    return xasprintf("%s/services/members", s->config->run_dir);
}

static void save_members(struct node_setup *s)
{
    struct error err;
    struct buf text = BUF_INIT(4096);
    _autofree_ char *path = members_file(s);
    for (size_t i = 0; i < s->n_members; i++)
        buf_addf(&text, "%s %s\n", s->members[i].name, s->members[i].address);
    if (!write_file(path, buf_str(&text), &err))
        log_warn("services", "%s", err.text);
    buf_free(&text);
}

static void load_members(struct node_setup *s)
{
    _autofree_ char *path = members_file(s);
    _autofile_ FILE *f = fopen(path, "re");
    struct service_member *m = s->members;
    while (f && s->n_members < MEMBERS_MAX &&
           fscanf(f, "%63s %63s", m->name, m->address) == 2) {
        m++;
        s->n_members++;
    }
}

struct node_services *node_services_start(const struct config *config,
                                          const struct env *env,
                                          const char *node, struct error *err)
{
    struct node_services *n = xcalloc(1, sizeof(*n));
    struct error late = { 0 };
    _autofree_ char *dir = xasprintf("%s/services", config->run_dir);
    fill(&n->setup, config, node);
    load_members(&n->setup);
    struct supervisor_config sc = {
        .env = env,
        .table = table,
        .n = ARRAY_SIZE(table),
        .arg = &n->setup,
        .dir = dir,
        .log_dir = config->log_dir,
    };
    n->supervisor = supervisor_start(&sc, err);
    if (!n->supervisor) {
        free(n);
        return NULL;
    }
    if (!supervisor_await(n->supervisor, "uplink", START_US, &late) ||
        (has_etcd(&n->setup) &&
         !supervisor_await(n->supervisor, "etcd", START_US, &late)))
        log_warn("services", "%s", late.text);
    return n;
}

void node_services_await(struct node_services *n)
{
    struct error late = { 0 };
    if (!supervisor_await(n->supervisor, NULL, START_US, &late))
        log_warn("services", "%s", late.text);
}

void node_services_members(struct node_services *n,
                           const struct service_member *members,
                           size_t n_members)
{
    static const char *const central_ones[] = { "ovn-nb", "ovn-sb",
                                                "ovn-northd" };
    struct supervisor *s = n->supervisor;
    size_t was;
    if (!take_members(&n->setup, members, n_members, &was))
        return;
    save_members(&n->setup);
    /* The databases change their ways only once; northd and the controllers
     * must hear of each. */
    supervisor_restart(s, "uplink");
    if (was == 1 && n_members > 1) {
        supervisor_restart(s, "ovn-nb");
        supervisor_restart(s, "ovn-sb");
    }
    supervisor_restart(s, "ovn-northd");
    for (size_t i = 0; i < ARRAY_SIZE(central_ones); i++)
        supervisor_want(s, central_ones[i], is_central(&n->setup));
    supervisor_want(s, "ovn-controller", true);
    supervisor_hurry(s);
}

bool node_services_etcd(struct node_services *n, bool wanted, struct error *err)
{
    supervisor_want(n->supervisor, "etcd", wanted);
    supervisor_hurry(n->supervisor);
    return !wanted || supervisor_await(n->supervisor, "etcd", ETCD_US, err);
}

void node_services_renewed(struct node_services *n)
{
    if (n && n->setup.config->tls)
        supervisor_restart(n->supervisor, "libvirtd");
}

void node_services_free(struct node_services *n)
{
    if (!n)
        return;
    supervisor_free(n->supervisor, false);
    pthread_mutex_destroy(&n->setup.lock);
    free(n);
}
