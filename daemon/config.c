#include "daemon/config.h"

#include "common/cleanup.h"
#include "common/ip.h"
#include "common/log.h"
#include "compute/inventory.h"
#include "model/cpus.h"
#include "state/grpc.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- checks: false with a reason --------------------------------------- */

typedef bool check_fn(const char *value);

static bool any(const char *v)
{
    return true;
}

static bool is_path(const char *v)
{
    return v[0] == '/' && strlen(v) < 256;
}

static bool is_path_or_none(const char *v)
{
    return !*v || is_path(v);
}

static bool is_address(const char *v)
{
    char host[64];
    int port;
    return config_split_address(v, host, &port);
}

/* "https://host[:port]", nothing behind it. */
static bool is_url(const char *v)
{
    const char *rest = strstr(v, "://");
    if (!*v)
        return true;
    return rest &&
           (strncmp(v, "https", 5) == 0 || strncmp(v, "http:", 5) == 0) &&
           rest[3] && !strpbrk(rest + 3, "/?# \"'\\");
}

static bool is_name(const char *v)
{
    return strlen(v) < 64 &&
           strspn(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789._-") == strlen(v);
}

static bool is_database(const char *v)
{
    return strncmp(v, "unix:/", 6) == 0 && strlen(v) < 100;
}

static bool is_cpus(const char *v)
{
    struct cpus cpus;
    return cpus_parse(v, &cpus);
}

static bool is_store(const char *v)
{
    return strcmp(v, "sqlite") == 0 || strcmp(v, "etcd") == 0;
}

/* "host:port", up to GRPC_ENDPOINTS_MAX of them with a comma between. */
static bool is_endpoints(const char *v)
{
    char one[ENDPOINT_MAX], parsed[ENDPOINT_MAX];
    for (size_t n = 0; n < GRPC_ENDPOINTS_MAX; n++) {
        size_t len = strcspn(v, ",");
        if (len >= sizeof(one))
            return false;
        snprintf(one, sizeof(one), "%.*s", (int)len, v);
        if (!endpoint_parse(one, parsed, NULL))
            return false;
        if (!v[len])
            return true;
        v += len + 1;
    }
    return false;
}

static bool is_datapath(const char *v)
{
    return strcmp(v, "netdev") == 0 || strcmp(v, "system") == 0;
}

static bool is_volumes(const char *v)
{
    return strcmp(v, "local") == 0 || strcmp(v, "ceph") == 0;
}

static bool is_disks(const char *v)
{
    return strcmp(v, "auto") == 0 || is_path_or_none(v);
}

static bool is_cidr_or_none(const char *v)
{
    struct cidr c;
    return !*v || cidr_parse(v, &c);
}

static bool is_ip_or_none(const char *v)
{
    struct ip ip;
    return !*v || ip_parse(v, &ip);
}

static bool is_port(const char *v)
{
    size_t n = strlen(v);
    return n > 0 && n < 6 && strspn(v, "0123456789") == n && atoi(v) > 0 &&
           atoi(v) < 65536;
}

static bool is_rate(const char *v)
{
    size_t n = strlen(v);
    return n > 0 && n < 7 && strspn(v, "0123456789") == n;
}

static bool is_addresses(const char *v)
{
    struct ip ip;
    _autofree_ char *copy = xstrdup(v);
    char *rest = copy;
    for (char *one; (one = strsep(&rest, ", "));)
        if (*one && !ip_parse(one, &ip))
            return false;
    return strlen(v) < 1024;
}

static bool is_switch(const char *v)
{
    return strcmp(v, "on") == 0 || strcmp(v, "off") == 0;
}

static const char *const levels[] = { "error", "warning", "info", "debug" };

static int level_of(const char *v)
{
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
        if (strcmp(v, levels[i]) == 0)
            return (int)i;
    return -1;
}

static bool is_level(const char *v)
{
    return level_of(v) >= 0;
}

/* ---- the keys ---------------------------------------------------------- */

enum key_type { KEY_TEXT, KEY_SWITCH, KEY_LEVEL, KEY_NUMBER };

static const struct key {
    const char *name;
    size_t offset;
    const char *dflt;
    check_fn *check;
    enum key_type type;
    const char *wants; /* after "must be" */
    const char *help;
} keys[] = {
#define KEY(member_) #member_, offsetof(struct config, member_)
    { KEY(state_dir), "/var/lib/cairn", is_path, KEY_TEXT, "an absolute path",
      "database, images, disks, keys" },
    { KEY(run_dir), "/run/cairn", is_path, KEY_TEXT, "an absolute path",
      "sockets and what may go with a restart" },
    { KEY(listen), "0.0.0.0:443", is_address, KEY_TEXT, "address:port",
      "where the API answers" },
    { KEY(public_url), "", is_url, KEY_TEXT, "https://host[:port]",
      "how clients reach it; empty: the address of listen" },
    { KEY(pool_name), "cairn", is_name, KEY_TEXT, "a name", "of the pool" },
    { KEY(region), "RegionOne", is_name, KEY_TEXT, "a name",
      "region in the catalogue" },
    { KEY(node_name), "", is_name, KEY_TEXT, "a name",
      "of this node; empty: the host's" },
    { KEY(face_user), "cairn", is_name, KEY_TEXT, "a user's name",
      "whom the API's process runs as; nobody if there is none" },
    { KEY(libvirt_uri), "qemu:///system", any, KEY_TEXT, "a URI",
      "the hypervisor" },
    { KEY(guest_user), "libvirt-qemu", is_name, KEY_TEXT, "a user's name",
      "whom QEMU runs as: owns the disks" },
    { KEY(passthrough_devices), "", inventory_is_list, KEY_TEXT,
      "vendor:product or address, =name",
      "PCI devices that guests may have, by the name that flavors use, beside "
      "those bound to vfio-pci" },
    { KEY(mdev_types), "", any, KEY_TEXT, "nvidia-35, nvidia-36",
      "types of mediated devices that devices may be divided into for guests; "
      "empty: all that they support" },
    { KEY(pinned_cpus), "", is_cpus, KEY_TEXT, "0-3,8",
      "CPUs kept for guests with hw:cpu_policy=dedicated" },
    { KEY(store), "sqlite", is_store, KEY_TEXT, "sqlite or etcd",
      "where the state is; etcd: what is in SQLite moves there, for good" },
    { KEY(etcd_endpoints), "127.0.0.1:2379", is_endpoints, KEY_TEXT,
      "host:port, ...", "etcd's members, until the pool knows better" },
    { KEY(etcd_ca), "", is_path_or_none, KEY_TEXT, "an absolute path",
      "CA of etcd's certificates; empty: without TLS" },
    { KEY(etcd_cert), "", is_path_or_none, KEY_TEXT, "an absolute path",
      "what this node shows to etcd" },
    { KEY(etcd_key), "", is_path_or_none, KEY_TEXT, "an absolute path",
      "its key" },
    { KEY(volumes), "local", is_volumes, KEY_TEXT, "local or ceph",
      "disks are files of this node, or images of a Ceph cluster" },
    { KEY(ceph_conf), "/etc/ceph/ceph.conf", is_path, KEY_TEXT,
      "an absolute path",
      "of the Ceph cluster; written by cairnd when it runs that itself" },
    { KEY(ceph_client), "cairn", is_name, KEY_TEXT, "a name",
      "whose key is used: client.<name>" },
    { KEY(ceph_pool), "rbd", is_name, KEY_TEXT, "a name",
      "Ceph pool of images, disks and volumes" },
    { KEY(disks), "auto", is_disks, KEY_TEXT, "auto, or paths with commas",
      "which empty disks become the pool's (patterns are fine); auto: all" },
    { KEY(storage_nic), "st0", is_name, KEY_TEXT, "a name",
      "network device of Ceph, where it is there; else Ceph is at `address`" },
    { KEY(ovn_nb), "unix:/run/ovn/ovnnb_db.sock", is_database, KEY_TEXT,
      "unix:/path", "OVN's northbound database" },
    { KEY(ovs_db), "unix:/run/openvswitch/db.sock", is_database, KEY_TEXT,
      "unix:/path", "Open vSwitch's database" },
    { KEY(join), "off", is_switch, KEY_SWITCH, "on or off",
      "a new node looks for a pool to join (off: founds one of its own)" },
    { KEY(join_secret_file), "/etc/cairn/join-secret", is_path, KEY_TEXT,
      "an absolute path", "what it proves there; the founder makes it valid" },
    { KEY(peers), "", is_addresses, KEY_TEXT, "addresses, with commas",
      "members to ask where multicast does not reach" },
    { KEY(peer_port), "6780", is_port, KEY_NUMBER, "a port",
      "where nodes meet: TCP, and UDP for finding each other" },
    { KEY(copy_mib_s), "0", is_rate, KEY_NUMBER, "MiB a second",
      "what this node sends at most of disks that go elsewhere; 0: no limit" },
    { KEY(services), "off", is_switch, KEY_SWITCH, "on or off",
      "start and supervise libvirt, Open vSwitch, OVN ... (off: others do)" },
    { KEY(log_dir), "/var/log/cairn", is_path, KEY_TEXT, "an absolute path",
      "what those print" },
    { KEY(uplink), "", is_name, KEY_TEXT, "a name",
      "network device that br-ex gets; empty: others did that" },
    { KEY(address), "", is_cidr_or_none, KEY_TEXT, "address/length",
      "this node's on br-ex" },
    { KEY(gateway), "", is_ip_or_none, KEY_TEXT, "an address",
      "the way out of there; empty: none" },
    { KEY(datapath), "system", is_datapath, KEY_TEXT, "netdev or system",
      "the switch forwards in user space (netdev) or in the kernel" },
    { KEY(physnet), "physnet1", is_name, KEY_TEXT, "a name",
      "provider network of the network \"public\"" },
    { KEY(external_cidr), "", is_cidr_or_none, KEY_TEXT, "a prefix",
      "addresses of the network \"public\"; empty: none is made" },
    { KEY(external_gateway), "", is_ip_or_none, KEY_TEXT, "an address",
      "its gateway" },
    { KEY(external_pool_start), "", is_ip_or_none, KEY_TEXT, "an address",
      "first floating address" },
    { KEY(external_pool_end), "", is_ip_or_none, KEY_TEXT, "an address",
      "last floating address" },
    { KEY(admin_password_file), "/etc/cairn/admin-password", is_path, KEY_TEXT,
      "an absolute path", "first line: password of admin at first start" },
    { KEY(demo_password_file), "", is_path_or_none, KEY_TEXT,
      "an absolute path", "the same for user demo; empty: there is none" },
    { KEY(tls), "on", is_switch, KEY_SWITCH, "on or off", "HTTPS" },
    { KEY(log_level), "info", is_level, KEY_LEVEL,
      "error, warning, info or debug", "how much is logged" },
#undef KEY
};
#define N_KEYS ARRAY_SIZE(keys)

static void assign(struct config *c, const struct key *k, const char *value)
{
    void *at = (char *)c + k->offset;
    switch (k->type) {
    case KEY_TEXT:
        *(const char **)at = value;
        break;
    case KEY_SWITCH:
        *(bool *)at = strcmp(value, "on") == 0;
        break;
    case KEY_LEVEL:
        *(int *)at = level_of(value);
        break;
    case KEY_NUMBER:
        *(int *)at = atoi(value);
        break;
    }
}

/* ---- lines ------------------------------------------------------------- */

static const char blank[] = " \t\r";

/* Without blanks at both ends; cuts the text. */
static char *trim(char *s)
{
    s += strspn(s, blank);
    size_t len = strlen(s);
    while (len && strchr(blank, s[len - 1]))
        s[--len] = '\0';
    return s;
}

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < N_KEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

/* A control character or a quote has no business in any value. */
static bool is_clean(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == '"' || *s == 0x7f)
            return false;
    return true;
}

static bool note_unknown(struct config *c, const char *name, int number,
                         struct error *err)
{
    if (!*name || !is_name(name))
        return error_set(err, ERR_INVALID, "line %d: no key before the '='",
                         number);
    if (c->n_unknown < CONFIG_UNKNOWN_MAX)
        c->unknown[c->n_unknown++] = (struct config_unknown){ number, name };
    return true;
}

static bool parse_line(struct config *c, char *line, int number,
                       bool seen[N_KEYS], struct error *err)
{
    line = trim(line);
    if (!*line || *line == '#')
        return true;
    char *eq = strchr(line, '=');
    if (!eq)
        return error_set(err, ERR_INVALID, "line %d: no '='", number);
    *eq = '\0';
    const struct key *k = find_key(trim(line));
    char *value = trim(eq + 1);
    size_t len = strlen(value);
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        value[len - 1] = '\0';
        value++;
    }
    if (!k)
        return note_unknown(c, trim(line), number, err);
    if (seen[k - keys])
        return error_set(err, ERR_INVALID, "line %d: %s is given twice", number,
                         k->name);
    if (!is_clean(value) || !k->check(value))
        return error_set(err, ERR_INVALID, "line %d: %s must be %s", number,
                         k->name, k->wants);
    seen[k - keys] = true;
    assign(c, k, value);
    return true;
}

bool config_parse(struct config *c, const char *text, size_t len,
                  struct error *err)
{
    bool seen[N_KEYS] = { false };
    *c = (struct config){ 0 };
    if (len > CONFIG_FILE_MAX)
        return error_set(err, ERR_TOO_LARGE, "more than %d bytes",
                         CONFIG_FILE_MAX);
    if (memchr(text, '\0', len))
        return error_set(err, ERR_INVALID, "a NUL byte in it");
    char *copy = arena_strndup(&c->arena, text, len);
    for (size_t i = 0; i < N_KEYS; i++)
        assign(c, &keys[i], keys[i].dflt);
    bool ok = true;
    for (int number = 1; ok && copy; number++) {
        char *line = strsep(&copy, "\n");
        ok = parse_line(c, line, number, seen, err);
    }
    if (!ok)
        config_free(c);
    return ok;
}

bool config_load(struct config *c, const char *path, struct error *err)
{
    _autofree_ char *text = xmalloc(CONFIG_FILE_MAX + 1);
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, CONFIG_FILE_MAX + 1);
    if (n < 0)
        return error_errno(err, ERR_INVALID, errno, "%s", path);
    return config_parse(c, text, (size_t)n, err) ||
           error_prefix(err, "%s", path);
}

void config_free(struct config *c)
{
    arena_free(&c->arena);
}

bool config_split_address(const char *text, char host[64], int *port)
{
    const char *colon = strrchr(text, ':');
    struct ip ip;
    if (!colon || !colon[1] || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    size_t len = (size_t)(colon - text);
    bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (brackets) {
        text++;
        len -= 2;
    }
    if (len >= 64)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    *port = atoi(colon + 1);
    return ip_parse(host, &ip) && (ip.version == 6) == brackets && *port > 0 &&
           *port < 65536;
}

void config_user(const char *name, uid_t dflt, uid_t *uid, gid_t *gid)
{
    const struct passwd *pw = getpwnam(name);
    *uid = pw ? pw->pw_uid : dflt;
    *gid = pw ? pw->pw_gid : (gid_t)dflt;
}

void config_describe(struct buf *out)
{
    for (size_t i = 0; i < N_KEYS; i++)
        buf_addf(out, "  %-20s %s (%s%s)\n", keys[i].name, keys[i].help,
                 *keys[i].dflt ? "default " : "no default", keys[i].dflt);
}

void config_page(struct buf *out)
{
    buf_adds(out,
             "# The configuration file\n\n"
             "<!-- Written by scripts/docs from daemon/config.c. -->\n\n"
             "`" CONFIG_FILE "`, or what `cairnd --config FILE` names: lines "
             "of `key = value`.\nBlank lines and lines that begin with `#` "
             "are skipped; a value may stand in double\nquotes. Every key has "
             "a default, an empty file is a configuration. A key that is\n"
             "given twice or impossible is an error that names its line; "
             "one that this version\ndoes not know is a warning, so that a "
             "file serves an older and a newer cairnd.\n"
             "`cairnd --check-config` tells without starting anything.\n\n"
             "| key | value | default | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < N_KEYS; i++) {
        const struct key *k = &keys[i];
        const char *tick = *k->dflt ? "`" : "";
        buf_addf(out, "| `%s` | %s | %s%s%s | %s |\n", k->name, k->wants, tick,
                 k->dflt, tick, k->help);
    }
}
