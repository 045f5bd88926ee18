#include "network/metadata.h"

#include "common/alloc.h"
#include "common/env.h"
#include "common/log.h"
#include "model/network.h"
#include "network/addr.h"
#include "network/link.h"
#include "network/ovsdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#define METADATA_IP "169.254.169.254"
#define HTTP_PORT   80
#define BACKLOG     128
#define OVS_WAIT_US (5 * SECOND_US)
#define OVS_MARK    "cairn:metadata" /* in external_ids of a port: network */

/* One network that is served. */
struct served {
    struct served *next;
    char *network_id;
    char *facts; /* all it was made from: changed facts, made anew */
    char outer[IFNAMSIZ], inner[IFNAMSIZ];
    int listen;
    bool wanted;
};

struct metadata {
    struct metadata_config config;
    int ns;
    struct link_ns outside, inside;
    struct ovsdb *ovs;
    bool swept;           /* what an earlier run left was removed */
    pthread_mutex_t lock; /* the list */
    struct served *served;
};

static const char module[] = "metadata";

/* ---- the namespace ----------------------------------------------------- */

/* Work for a thread that enters the namespace and ends. */
struct visit {
    struct metadata *m;
    bool (*work)(struct metadata *m, void *arg, struct error *err);
    void *arg;
    struct error *err;
    bool ok;
};

static void *visitor(void *arg)
{
    struct visit *v = arg;
    if (v->m->ns >= 0 && setns(v->m->ns, CLONE_NEWNET))
        v->ok = error_errno(v->err, ERR_INTERNAL, errno,
                            "entering the metadata namespace");
    else
        v->ok = v->work(v->m, v->arg, v->err);
    return NULL;
}

/* A namespace belongs to a thread: never to one that does other things. */
static bool in_namespace(struct metadata *m,
                         bool (*work)(struct metadata *, void *,
                                      struct error *),
                         void *arg, struct error *err)
{
    pthread_t thread;
    struct visit v = { m, work, arg, err, false };
    int rc = pthread_create(&thread, NULL, visitor, &v);
    if (rc)
        return error_errno(err, ERR_INTERNAL, rc, "starting a thread");
    pthread_join(thread, NULL);
    return v.ok;
}

static bool sysctl(const char *name, const char *value, struct error *err)
{
    _autofree_ char *path = xasprintf("/proc/sys/net/%s", name);
    _autoclose_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return true;
}

static bool make_namespace(struct metadata *m, void *arg, struct error *err)
{
    static const char *const settings[][2] = {
        { "ipv4/ip_forward", "0" }, /* networks meet here and must not mix */
        { "ipv4/conf/all/rp_filter", "0" },
        { "ipv4/conf/default/rp_filter", "0" },
        { "ipv4/conf/all/arp_ignore", "1" },
        { "ipv6/conf/all/disable_ipv6", "1" },
        { "ipv6/conf/default/disable_ipv6", "1" },
    };
    if (unshare(CLONE_NEWNET))
        return error_errno(err, ERR_INTERNAL, errno, "a network namespace");
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
        if (!sysctl(settings[i][0], settings[i][1], err))
            return false;
    m->ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (m->ns < 0)
        return error_errno(err, ERR_INTERNAL, errno, "a network namespace");
    return link_open(&m->inside, err) &&
           link_up(&m->inside, "lo", NULL, 0, err);
}

static bool make_socket(struct metadata *m, void *arg, struct error *err)
{
    struct served *s = arg;
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(HTTP_PORT) };
    int one = 1;
    inet_pton(AF_INET, METADATA_IP, &at.sin_addr);
    _autoclose_ int fd =
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, s->inner,
                   (socklen_t)strlen(s->inner)) ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, BACKLOG))
        return error_errno(err, ERR_INTERNAL, errno, "a socket for network %s",
                           s->network_id);
    s->listen = steal_fd(&fd);
    return true;
}

/* ---- the switch -------------------------------------------------------- */

static json_t *monitored(void)
{
    return json_pack("{s:[s,s],s:[s,s]}", "Bridge", "name", "ports", "Port",
                     "name", "external_ids");
}

static json_t *find_bridge(const json_t *replica, const char *name)
{
    const char *uuid;
    json_t *row;
    json_object_foreach(
        ovsdb_replica_table(replica, "Bridge"), uuid,
        row) if (!strcmp(json_string_value(json_object_get(row, "name")),
                         name)) return ovsdb_uuid(uuid);
    return NULL;
}

/* The uuids of ports that carry our mark (of `network_id`; NULL: of any). */
static json_t *marked_ports(const json_t *replica, const char *network_id)
{
    const char *uuid;
    json_t *row, *found = json_array();
    json_object_foreach(ovsdb_replica_table(replica, "Port"), uuid, row)
    {
        const char *mark =
            ovsdb_map_get(json_object_get(row, "external_ids"), OVS_MARK);
        if (mark && (!network_id || !strcmp(mark, network_id)))
            json_array_append_new(found, ovsdb_uuid(uuid));
    }
    return found;
}

static bool look(struct metadata *m, const char *network_id, json_t **bridge,
                 json_t **ports, struct error *err)
{
    if (!ovsdb_wait(m->ovs, OVS_WAIT_US, err))
        return false;
    const json_t *replica = ovsdb_lock(m->ovs, NULL);
    if (!replica)
        return error_set(err, ERR_UNAVAILABLE, "Open vSwitch comes and goes");
    *bridge = find_bridge(replica, m->config.bridge);
    *ports = marked_ports(replica, network_id);
    ovsdb_unlock(m->ovs);
    return *bridge ||
           error_set(err, ERR_UNAVAILABLE, "the bridge %s is not there yet",
                     m->config.bridge);
}

static json_t *mutate_ports(const json_t *bridge, const char *mutator,
                            json_t *value)
{
    return json_pack("{s:s,s:s,s:[[s,s,O]],s:[[s,s,o]]}", "op", "mutate",
                     "table", "Bridge", "where", "_uuid", "==", bridge,
                     "mutations", "ports", mutator, value);
}

static bool transact(struct metadata *m, json_t *ops, struct error *err)
{
    bool ok = ovsdb_transact(m->ovs, ops, OVS_WAIT_US, NULL, err);
    json_decref(ops);
    return ok;
}

/* Takes the port of a network (NULL: of any) off the bridge. */
static bool unplug(struct metadata *m, const char *network_id,
                   struct error *err)
{
    _autojson_ json_t *bridge = NULL, *ports = NULL;
    if (!look(m, network_id, &bridge, &ports, err))
        return false;
    if (!json_array_size(ports))
        return true;
    json_t *value = ovsdb_set(steal(&ports));
    return transact(m, json_pack("[o]", mutate_ports(bridge, "delete", value)),
                    err);
}

static json_t *insert_op(const char *table, const char *name, json_t *row)
{
    return json_pack("{s:s,s:s,s:s,s:o}", "op", "insert", "table", table,
                     "uuid-name", name, "row", row);
}

static bool plug(struct metadata *m, const struct served *s,
                 const char *port_id, struct error *err)
{
    _autojson_ json_t *bridge = NULL, *ports = NULL;
    if (!look(m, s->network_id, &bridge, &ports, err))
        return false;
    json_t *bound = ovsdb_map(json_pack("{s:s}", "iface-id", port_id));
    json_t *mark = ovsdb_map(json_pack("{s:s}", OVS_MARK, s->network_id));
    json_t *interface =
        json_pack("{s:s,s:o}", "name", s->outer, "external_ids", bound);
    json_t *port =
        json_pack("{s:s,s:o,s:o}", "name", s->outer, "interfaces",
                  ovsdb_named_uuid("interface"), "external_ids", mark);
    return transact(
        m,
        json_pack("[o,o,o]", insert_op("Interface", "interface", interface),
                  insert_op("Port", "port", port),
                  mutate_ports(bridge, "insert", ovsdb_named_uuid("port"))),
        err);
}

/* ---- one network ------------------------------------------------------- */

static void hand_out(struct metadata *m, const struct served *s, bool gone)
{
    int fd = gone ? -1 : fcntl(s->listen, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 || gone)
        m->config.listener(m->config.arg, s->network_id, fd);
}

/* Takes away all there is of it; may be there in part. */
static bool take_down(struct metadata *m, struct served *s, struct error *err)
{
    if (s->listen >= 0) {
        hand_out(m, s, true);
        close(steal_fd(&s->listen));
    }
    return unplug(m, s->network_id, err) &&
           link_delete(&m->outside, s->outer, err);
}

static const struct subnet *address_subnet(const struct snapshot *s,
                                           const struct fixed_ip *ip)
{
    const struct subnet *sub = snap_get(s, &kind_subnet, ip->subnet_id);
    return sub && addr_version(ip->ip_address) == 4 ? sub : NULL;
}

static bool add_addresses(struct metadata *m, const struct served *it,
                          const struct snapshot *s, const struct port *p,
                          struct error *err)
{
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        const struct subnet *sub = address_subnet(s, ip);
        if (!sub)
            continue;
        _autofree_ char *cidr =
            xasprintf("%s/%d", ip->ip_address, cidr_length(sub->cidr));
        if (!link_add_address(&m->inside, it->inner, cidr, err))
            return false;
    }
    return link_add_address(&m->inside, it->inner, METADATA_IP "/32", err);
}

static bool set_up(struct metadata *m, struct served *it,
                   const struct snapshot *s, const struct network *n,
                   const struct port *p, struct error *err)
{
    int mtu = n->mtu > 0 ? (int)n->mtu : 0;
    return link_add_veth(&m->outside, it->outer, it->inner, m->ns, err) &&
           link_tx_checksum_off(&m->outside, it->outer, err) &&
           link_tx_checksum_off(&m->inside, it->inner, err) &&
           link_up(&m->outside, it->outer, NULL, mtu, err) &&
           link_up(&m->inside, it->inner, p->mac_address, mtu, err) &&
           add_addresses(m, it, s, p, err) && plug(m, it, p->rec.id, err) &&
           in_namespace(m, make_socket, it, err);
}

/* What the plumbing is made from, as one text to compare. */
static char *facts_of(const struct snapshot *s, const struct network *n,
                      const struct port *p)
{
    struct buf text = BUF_INIT(65536);
    buf_addf(&text, "%s %s %d", p->rec.id, p->mac_address, (int)n->mtu);
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        const struct subnet *sub = address_subnet(s, ip);
        if (sub)
            buf_addf(&text, " %s/%d", ip->ip_address, cidr_length(sub->cidr));
    }
    return buf_steal(&text);
}

/* Device names have 15 characters: three, and twelve of the network's id. */
static void device_name(char out[IFNAMSIZ], const char *prefix,
                        const char *network_id)
{
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    for (; *network_id && n < IFNAMSIZ - 1; network_id++)
        if (*network_id != '-')
            out[n++] = *network_id;
    out[n] = '\0';
}

static struct served *find_served(struct metadata *m, const char *network_id)
{
    struct served *it = m->served;
    while (it && strcmp(it->network_id, network_id))
        it = it->next;
    return it;
}

static struct served *add_served(struct metadata *m, const char *network_id)
{
    struct served *it = xcalloc(1, sizeof(*it));
    it->network_id = xstrdup(network_id);
    it->listen = -1;
    device_name(it->outer, "cmo", network_id);
    device_name(it->inner, "cmi", network_id);
    pthread_mutex_lock(&m->lock);
    it->next = m->served;
    m->served = it;
    pthread_mutex_unlock(&m->lock);
    return it;
}

static void free_served(struct served *it)
{
    cleanup_close(&it->listen);
    free(it->network_id);
    free(it->facts);
    free(it);
}

/* ---- all networks ------------------------------------------------------ */

/* Has the network a guest on this node, or one that is on its way? */
static bool has_guest(const struct metadata *m, const struct snapshot *s,
                      const char *network_id)
{
    struct snap_iter it = snap_by(s, &kind_port, "network_id", network_id);
    for (const struct port *p; (p = snap_next(&it));)
        if ((p->node && !strcmp(p->node, m->config.node)) ||
            (p->migrating_to && !strcmp(p->migrating_to, m->config.node)))
            return true;
    return false;
}

static bool serve(struct metadata *m, const struct snapshot *s,
                  const struct network *n, const struct port *p,
                  struct error *err)
{
    struct served *it = find_served(m, n->rec.id);
    _autofree_ char *facts = facts_of(s, n, p);
    if (!it)
        it = add_served(m, n->rec.id);
    it->wanted = true;
    if (it->facts && !strcmp(it->facts, facts) &&
        link_index(&m->outside, it->outer))
        return true;
    free(steal(&it->facts));
    if (!take_down(m, it, err) || !set_up(m, it, s, n, p, err))
        return error_prefix(err, "metadata of network %s", n->rec.id);
    it->facts = steal(&facts);
    hand_out(m, it, false);
    return true;
}

/* Serves all that should be; keeps the first error and goes on. */
static void serve_all(struct metadata *m, const struct snapshot *s,
                      struct error *first)
{
    struct snap_iter it = snap_all(s, &kind_network);
    for (const struct network *n; (n = snap_next(&it));) {
        struct error err = { 0 };
        const struct port *p = snap_get(s, &kind_port, n->metadata_port_id);
        if (!p || !mac_valid(p->mac_address) || !has_guest(m, s, n->rec.id))
            continue;
        if (!serve(m, s, n, p, &err) && !first->code)
            error_copy(first, &err);
    }
}

static void remove_unwanted(struct metadata *m, struct error *first)
{
    for (struct served **p = &m->served, *it; (it = *p);) {
        struct error err = { 0 };
        if (it->wanted || !take_down(m, it, &err)) {
            if (err.code && !first->code)
                error_copy(first, &err);
            p = &it->next;
            continue;
        }
        pthread_mutex_lock(&m->lock);
        *p = it->next;
        pthread_mutex_unlock(&m->lock);
        free_served(it);
    }
}

bool metadata_apply(struct metadata *m, const struct snapshot *s,
                    struct error *err)
{
    struct error first = { 0 };
    if (!m->swept && !unplug(m, NULL, err))
        return false;
    m->swept = true;
    for (struct served *it = m->served; it; it = it->next)
        it->wanted = false;
    serve_all(m, s, &first);
    remove_unwanted(m, &first);
    if (first.code)
        error_copy(err, &first);
    return !first.code;
}

void metadata_announce(struct metadata *m)
{
    pthread_mutex_lock(&m->lock);
    for (struct served *it = m->served; it; it = it->next)
        if (it->listen >= 0)
            hand_out(m, it, false);
    pthread_mutex_unlock(&m->lock);
}

int metadata_namespace(const struct metadata *m)
{
    return m->ns;
}

/* ---- life -------------------------------------------------------------- */

struct metadata *metadata_open(const struct metadata_config *config,
                               struct error *err)
{
    struct metadata *m = xcalloc(1, sizeof(*m));
    _autojson_ json_t *monitor = monitored();
    m->config = *config;
    m->ns = -1;
    m->outside = m->inside = LINK_NS_NONE;
    pthread_mutex_init(&m->lock, NULL);
    if (!link_open(&m->outside, err) ||
        !in_namespace(m, make_namespace, NULL, err)) {
        metadata_close(m);
        return NULL;
    }
    m->ovs = ovsdb_new(&(struct ovsdb_config){ .socket = config->ovs_socket,
                                               .database = "Open_vSwitch",
                                               .monitor = monitor });
    return m;
}

void metadata_close(struct metadata *m)
{
    if (!m)
        return;
    for (struct served *it = m->served, *next; it; it = next) {
        struct error err = { 0 };
        next = it->next;
        if (!take_down(m, it, &err))
            log_warn(module, "%s", err.text);
        free_served(it);
    }
    ovsdb_free(m->ovs);
    link_close(&m->outside);
    link_close(&m->inside);
    cleanup_close(&m->ns);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
