#include "compute/guest_metadata.h"

#include "common/b64.h"
#include "model/network.h"

#include <arpa/inet.h>
#include <string.h>

#define JSON "application/json"
#define TEXT "text/plain; charset=UTF-8"

/* ---- who asks ---------------------------------------------------------- */

/* A port's device_id is what its owner says; only a server that has the port
 * among its own is told who it is. */
static bool has_port(const struct server *server, const char *port_id)
{
    for (size_t i = 0; server && i < server->ports.n; i++)
        if (strcmp(LIST_AT(server->ports, struct server_port, i)->port_id,
                   port_id) == 0)
            return true;
    return false;
}

const struct server *guest_find(const struct snapshot *s,
                                const char *network_id, const char *source_ip)
{
    struct snap_iter it =
        snap_by(s, &kind_port, "fixed_ips.ip_address", source_ip);
    for (const struct port *p; (p = snap_next(&it));)
        if (strcmp(p->network_id, network_id) == 0) {
            const struct server *of = snap_get(s, &kind_server, p->device_id);
            return has_port(of, p->rec.id) ? of : NULL;
        }
    return NULL;
}

/* The server's ports in the order of its cards; NULL after the last. */
static const struct port *port_at(const struct snapshot *s,
                                  const struct server *server, size_t *i)
{
    while (*i < server->ports.n) {
        const struct server_port *sp =
            LIST_AT(server->ports, struct server_port, (*i)++);
        const struct port *p = snap_get(s, &kind_port, sp->port_id);
        if (p)
            return p;
    }
    return NULL;
}

/* ---- meta_data.json ---------------------------------------------------- */

static void write_keys(struct jw *w, const struct server *v)
{
    if (!v->key_name || !v->key_public)
        return;
    jw_obj(w, "public_keys");
    jw_str(w, v->key_name, v->key_public);
    jw_obj_end(w);
    jw_arr(w, "keys");
    jw_obj(w, NULL);
    jw_str(w, "name", v->key_name);
    jw_str(w, "type", "ssh");
    jw_str(w, "data", v->key_public);
    jw_obj_end(w);
    jw_arr_end(w);
}

/* Devices with a tag, so that a guest finds the one it was told of. */
static void write_devices(struct jw *w, const struct snapshot *s,
                          const struct server *v)
{
    jw_arr(w, "devices");
    for (size_t i = 0; i < v->ports.n; i++) {
        const struct server_port *sp = LIST_AT(v->ports, struct server_port, i);
        const struct port *p = snap_get(s, &kind_port, sp->port_id);
        if (!sp->tag || !p)
            continue;
        jw_obj(w, NULL);
        jw_str(w, "type", "nic");
        jw_str(w, "bus", "none");
        jw_str(w, "mac", p->mac_address);
        jw_arr(w, "tags");
        jw_str(w, NULL, sp->tag);
        jw_arr_end(w);
        jw_obj_end(w);
    }
    for (size_t i = 0; i < v->volumes.n; i++) {
        const struct server_volume *sv =
            LIST_AT(v->volumes, struct server_volume, i);
        if (!sv->tag)
            continue;
        jw_obj(w, NULL);
        jw_str(w, "type", "disk");
        jw_str(w, "bus", "none");
        jw_str(w, "serial", sv->volume_id);
        jw_str(w, "path", sv->device);
        jw_arr(w, "tags");
        jw_str(w, NULL, sv->tag);
        jw_arr_end(w);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

bool guest_meta_data_json(const struct snapshot *s, const struct server *v,
                          struct buf *out)
{
    struct jw w = JW_INIT(out);
    jw_obj(&w, NULL);
    jw_str(&w, "uuid", v->rec.id);
    jw_str(&w, "availability_zone", v->zone);
    jw_str(&w, "hostname", v->hostname);
    jw_int(&w, "launch_index", v->launch_index);
    jw_str(&w, "name", v->name);
    jw_str(&w, "project_id", v->project_id);
    if (v->metadata.n) {
        jw_obj(&w, "meta");
        for (size_t i = 0; i < v->metadata.n; i++)
            jw_str(&w, v->metadata.v[i].key, v->metadata.v[i].value);
        jw_obj_end(&w);
    }
    write_keys(&w, v);
    write_devices(&w, s, v);
    jw_obj_end(&w);
    return true;
}

/* ---- network_data.json ------------------------------------------------- */

static void link_id(char out[16], const struct port *p)
{
    snprintf(out, 16, "tap%.11s", p->rec.id);
}

static void write_link(struct jw *w, const struct snapshot *s,
                       const struct port *p)
{
    const struct network *net = snap_get(s, &kind_network, p->network_id);
    char id[16];
    link_id(id, p);
    jw_obj(w, NULL);
    jw_str(w, "id", id);
    jw_str(w, "vif_id", p->rec.id);
    jw_str(w, "type", "ovs");
    if (net && net->mtu)
        jw_int(w, "mtu", net->mtu);
    else
        jw_null(w, "mtu");
    jw_str(w, "ethernet_mac_address", p->mac_address);
    jw_obj_end(w);
}

/* "10.0.0.0/24" -> network "10.0.0.0", mask "255.255.255.0". */
static bool split_cidr(const char *cidr, char network[INET6_ADDRSTRLEN],
                       char mask[INET6_ADDRSTRLEN])
{
    unsigned char bits[16] = { 0 };
    int family = strchr(cidr, ':') ? AF_INET6 : AF_INET;
    const char *slash = strchr(cidr, '/');
    int len = slash ? atoi(slash + 1) : -1;
    if (len < 0 || len > (family == AF_INET ? 32 : 128) ||
        slash - cidr >= INET6_ADDRSTRLEN)
        return false;
    memcpy(network, cidr, (size_t)(slash - cidr));
    network[slash - cidr] = '\0';
    for (int i = 0; i < len; i++)
        bits[i / 8] |= (unsigned char)(0x80 >> i % 8);
    return inet_ntop(family, bits, mask, INET6_ADDRSTRLEN) != NULL;
}

static void write_route(struct jw *w, const char *cidr, const char *gateway)
{
    char network[INET6_ADDRSTRLEN], mask[INET6_ADDRSTRLEN];
    if (!split_cidr(cidr, network, mask))
        return;
    jw_obj(w, NULL);
    jw_str(w, "network", network);
    jw_str(w, "netmask", mask);
    jw_str(w, "gateway", gateway);
    jw_obj_end(w);
}

static void write_dns(struct jw *w, const char *address)
{
    jw_obj(w, NULL);
    jw_str(w, "type", "dns");
    jw_str(w, "address", address);
    jw_obj_end(w);
}

static void write_static(struct jw *w, const struct subnet *n,
                         const struct fixed_ip *ip)
{
    char network[INET6_ADDRSTRLEN], mask[INET6_ADDRSTRLEN];
    jw_str(w, "ip_address", ip->ip_address);
    jw_str(w, "netmask", split_cidr(n->cidr, network, mask) ? mask : NULL);
    jw_arr(w, "routes");
    if (n->gateway_ip)
        write_route(w, n->ip_version == 6 ? "::/0" : "0.0.0.0/0",
                    n->gateway_ip);
    for (size_t i = 0; i < n->host_routes.n; i++) {
        const struct host_route *r =
            LIST_AT(n->host_routes, struct host_route, i);
        write_route(w, r->destination, r->nexthop);
    }
    jw_arr_end(w);
    jw_arr(w, "services");
    for (size_t i = 0; i < n->dns_nameservers.n; i++)
        write_dns(w, n->dns_nameservers.v[i]);
    jw_arr_end(w);
}

/* Nova's choice: an IPv6 address mode shows in the type and is written out
 * like a static address; DHCP says all there is to say; else static. */
static void write_network(struct jw *w, const struct snapshot *s,
                          const struct port *p, const struct fixed_ip *ip,
                          int number)
{
    const struct subnet *n = snap_get(s, &kind_subnet, ip->subnet_id);
    char id[16];
    if (!n)
        return;
    bool mode = n->ip_version == 6 && n->ipv6_address_mode;
    link_id(id, p);
    jw_obj(w, NULL);
    jw_strf(w, "id", "network%d", number);
    jw_strf(w, "type", "ipv%d%s%s", (int)n->ip_version,
            mode || n->enable_dhcp ? "_" : "",
            mode             ? n->ipv6_address_mode
            : n->enable_dhcp ? "dhcp"
                             : "");
    jw_str(w, "link", id);
    jw_str(w, "network_id", p->network_id);
    if (mode || !n->enable_dhcp)
        write_static(w, n, ip);
    jw_obj_end(w);
}

static void write_networks(struct jw *w, const struct snapshot *s,
                           const struct server *v)
{
    int number = 0;
    size_t i = 0;
    for (const struct port *p; (p = port_at(s, v, &i));)
        for (size_t k = 0; k < p->fixed_ips.n; k++)
            write_network(w, s, p, LIST_AT(p->fixed_ips, struct fixed_ip, k),
                          number++);
}

static void write_services(struct jw *w, const struct snapshot *s,
                           const struct server *v)
{
    size_t i = 0;
    for (const struct port *p; (p = port_at(s, v, &i));)
        for (size_t k = 0; k < p->fixed_ips.n; k++) {
            const struct subnet *n =
                snap_get(s, &kind_subnet,
                         LIST_AT(p->fixed_ips, struct fixed_ip, k)->subnet_id);
            for (size_t d = 0; n && d < n->dns_nameservers.n; d++)
                write_dns(w, n->dns_nameservers.v[d]);
        }
}

bool guest_network_data_json(const struct snapshot *s, const struct server *v,
                             struct buf *out)
{
    struct jw w = JW_INIT(out);
    size_t i = 0;
    jw_obj(&w, NULL);
    jw_arr(&w, "links");
    for (const struct port *p; (p = port_at(s, v, &i));)
        write_link(&w, s, p);
    jw_arr_end(&w);
    jw_arr(&w, "networks");
    write_networks(&w, s, v);
    jw_arr_end(&w);
    jw_arr(&w, "services");
    write_services(&w, s, v);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return true;
}

bool guest_vendor_data_json(const struct snapshot *s, const struct server *v,
                            struct buf *out)
{
    buf_adds(out, "{}");
    return true;
}

bool guest_user_data(const struct snapshot *s, const struct server *v,
                     struct buf *out)
{
    return v->user_data && b64_decode(out, v->user_data);
}

/* ---- EC2 leaves -------------------------------------------------------- */

typedef bool guest_fn(const struct snapshot *s, const struct server *v,
                      struct buf *out);

static bool add_text(struct buf *out, const char *text)
{
    if (!text || !*text)
        return false;
    buf_adds(out, text);
    return true;
}

/* EC2's ids are short: the head of the UUID has to do. */
static bool add_short_id(struct buf *out, const char *prefix, const char *id)
{
    if (id)
        buf_addf(out, "%s-%.8s", prefix, id);
    return id != NULL;
}

static bool ec2_ami_id(const struct snapshot *s, const struct server *v,
                       struct buf *out)
{
    return add_short_id(out, "ami", v->image_id);
}

static bool ec2_launch_index(const struct snapshot *s, const struct server *v,
                             struct buf *out)
{
    buf_addi(out, v->launch_index);
    return true;
}

static bool ec2_root_disk(const struct snapshot *s, const struct server *v,
                          struct buf *out)
{
    return add_text(out, v->root_device);
}

static bool ec2_boot_partition(const struct snapshot *s, const struct server *v,
                               struct buf *out)
{
    const char *device = v->root_device;
    return add_text(out, device && strncmp(device, "/dev/", 5) == 0 ? device + 5
                                                                    : device);
}

/* As nova has it: the device without its directory's name. */
static bool ec2_local(const struct server *v, const char *name, struct buf *out)
{
    struct local_disk local[LOCAL_DISKS_MAX];
    for (size_t i = server_local_disks(v, local); i-- > 0;)
        if (strcmp(local[i].name, name) == 0)
            return add_text(out, local[i].device + strlen("/dev/"));
    return false;
}

static bool ec2_ephemeral(const struct snapshot *s, const struct server *v,
                          struct buf *out)
{
    return ec2_local(v, "ephemeral0", out);
}

static bool ec2_swap(const struct snapshot *s, const struct server *v,
                     struct buf *out)
{
    return ec2_local(v, "swap", out);
}

static bool ec2_hostname(const struct snapshot *s, const struct server *v,
                         struct buf *out)
{
    return add_text(out, v->hostname);
}

static bool ec2_action(const struct snapshot *s, const struct server *v,
                       struct buf *out)
{
    return add_text(out, "none");
}

static bool ec2_instance_id(const struct snapshot *s, const struct server *v,
                            struct buf *out)
{
    return add_short_id(out, "i", v->rec.id);
}

static bool ec2_type(const struct snapshot *s, const struct server *v,
                     struct buf *out)
{
    return add_text(out, v->flavor_name);
}

static const char *first_ipv4(const struct port *p)
{
    for (size_t k = 0; k < p->fixed_ips.n; k++) {
        const char *ip = LIST_AT(p->fixed_ips, struct fixed_ip, k)->ip_address;
        if (!strchr(ip, ':'))
            return ip;
    }
    return NULL;
}

static bool ec2_local_ipv4(const struct snapshot *s, const struct server *v,
                           struct buf *out)
{
    size_t i = 0;
    for (const struct port *p; (p = port_at(s, v, &i));)
        if (first_ipv4(p))
            return add_text(out, first_ipv4(p));
    return false;
}

static bool ec2_public_ipv4(const struct snapshot *s, const struct server *v,
                            struct buf *out)
{
    size_t i = 0;
    for (const struct port *p; (p = port_at(s, v, &i));) {
        const struct floating_ip *f =
            snap_find(s, &kind_floating_ip, "port_id", p->rec.id);
        if (f)
            return add_text(out, f->address);
    }
    buf_adds(out, ""); /* there, and empty, as nova has it */
    return true;
}

static bool ec2_zone(const struct snapshot *s, const struct server *v,
                     struct buf *out)
{
    return add_text(out, v->zone);
}

static bool ec2_key(const struct snapshot *s, const struct server *v,
                    struct buf *out)
{
    return v->key_name && add_text(out, v->key_public);
}

static bool ec2_reservation(const struct snapshot *s, const struct server *v,
                            struct buf *out)
{
    return add_text(out, v->reservation_id);
}

static bool ec2_groups(const struct snapshot *s, const struct server *v,
                       struct buf *out)
{
    struct strs seen = { 0 };
    _autorecord_ void *scratch = record_new(&kind_server, "");
    size_t i = 0;
    for (const struct port *p; (p = port_at(s, v, &i));)
        for (size_t k = 0; k < p->security_group_ids.n; k++) {
            const struct security_group *g =
                snap_get(s, &kind_security_group, p->security_group_ids.v[k]);
            if (!g || strs_has(&seen, g->name))
                continue;
            buf_addf(out, "%s%s", seen.n ? "\n" : "", g->name);
            strs_add(scratch, &seen, g->name);
        }
    return seen.n > 0;
}

/* In the order of the listings. */
static const struct leaf {
    const char *path;
    guest_fn *fn;
} ec2_leaves[] = {
    { "ami-id", ec2_ami_id },
    { "ami-launch-index", ec2_launch_index },
    { "block-device-mapping/ami", ec2_boot_partition },
    { "block-device-mapping/ephemeral0", ec2_ephemeral },
    { "block-device-mapping/root", ec2_root_disk },
    { "block-device-mapping/swap", ec2_swap },
    { "hostname", ec2_hostname },
    { "instance-action", ec2_action },
    { "instance-id", ec2_instance_id },
    { "instance-type", ec2_type },
    { "local-hostname", ec2_hostname },
    { "local-ipv4", ec2_local_ipv4 },
    { "placement/availability-zone", ec2_zone },
    { "public-hostname", ec2_hostname },
    { "public-ipv4", ec2_public_ipv4 },
    { "public-keys/0/openssh-key", ec2_key },
    { "reservation-id", ec2_reservation },
    { "security-groups", ec2_groups },
    { NULL, NULL },
};

static const struct leaf openstack_leaves[] = {
    { "meta_data.json", guest_meta_data_json },
    { "network_data.json", guest_network_data_json },
    { "user_data", guest_user_data },
    { "vendor_data.json", guest_vendor_data_json },
    { "vendor_data2.json", guest_vendor_data_json },
    { NULL, NULL },
};

/* ---- trees ------------------------------------------------------------- */

/* Does `path` lie below the directory `dir` (len bytes, without a slash at
 * its end; 0: the top)?  Its rest, or NULL. */
static const char *below(const char *path, const char *dir, size_t len)
{
    if (len == 0)
        return path;
    return strncmp(path, dir, len) == 0 && path[len] == '/' ? path + len + 1
                                                            : NULL;
}

/* The names right below `dir`, each once; directories end with a slash.
 * The table is sorted, so a directory's leaves follow each other. */
static bool list_dir(const struct snapshot *s, const struct server *v,
                     const struct leaf *leaves, const char *dir, size_t len,
                     struct buf *out)
{
    const char *before = "";
    size_t before_len = 0;
    bool any = false;
    for (const struct leaf *l = leaves; l->path; l++) {
        const char *rest = below(l->path, dir, len);
        if (!rest)
            continue;
        size_t n = strcspn(rest, "/");
        struct buf value = BUF_INIT(GUEST_METADATA_MAX);
        bool there = l->fn(s, v, &value);
        buf_free(&value);
        if (!there || (n == before_len && memcmp(rest, before, n) == 0))
            continue;
        buf_addf(out, "%s%.*s%s", any ? "\n" : "", (int)n, rest,
                 rest[n] ? "/" : "");
        before = rest;
        before_len = n;
        any = true;
    }
    return any;
}

static bool get_leaf(const struct snapshot *s, const struct server *v,
                     const struct leaf *leaves, const char *path, size_t len,
                     struct buf *out)
{
    for (const struct leaf *l = leaves; l->path; l++)
        if (strlen(l->path) == len && memcmp(l->path, path, len) == 0)
            return l->fn(s, v, out);
    return false;
}

static const char *const ec2_versions[] = {
    "1.0",        "2007-01-19", "2007-03-01", "2007-08-29",
    "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
    "2009-04-04", "latest",     NULL
};
static const char *const openstack_versions[] = {
    "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15",
    "2016-06-30", "2016-10-06", "2017-02-22", "2018-08-27",
    "2020-10-14", "latest",     NULL
};

static bool list_names(const char *const *names, struct buf *out)
{
    for (size_t i = 0; names[i]; i++)
        buf_addf(out, "%s%s", i ? "\n" : "", names[i]);
    return true;
}

/* If the path's first part is one of the names: what follows it. */
static const char *after_version(const char *const *names, const char *path)
{
    size_t n = strcspn(path, "/");
    for (size_t i = 0; names[i]; i++)
        if (strlen(names[i]) == n && memcmp(names[i], path, n) == 0)
            return path + n + strspn(path + n, "/");
    return NULL;
}

static bool get_ec2(const struct snapshot *s, const struct server *v,
                    const char *path, size_t len, struct buf *out)
{
    const char *rest;
    if (len == 0) {
        buf_adds(out, v->user_data ? "meta-data/\nuser-data" : "meta-data/");
        return true;
    }
    if (len == strlen("user-data") && memcmp(path, "user-data", len) == 0)
        return guest_user_data(s, v, out);
    if (len == strlen("meta-data") && memcmp(path, "meta-data", len) == 0)
        return list_dir(s, v, ec2_leaves, "", 0, out);
    rest = below(path, "meta-data", strlen("meta-data"));
    if (!rest)
        return false;
    len -= (size_t)(rest - path);
    if (len == strlen("public-keys") && memcmp(rest, "public-keys", len) == 0) {
        if (v->key_name) /* the one listing that says more than names */
            buf_addf(out, "0=%s", v->key_name);
        return v->key_name != NULL;
    }
    return get_leaf(s, v, ec2_leaves, rest, len, out) ||
           list_dir(s, v, ec2_leaves, rest, len, out);
}

static bool get_openstack(const struct snapshot *s, const struct server *v,
                          const char *path, size_t len, struct buf *out)
{
    return len ? get_leaf(s, v, openstack_leaves, path, len, out)
               : list_dir(s, v, openstack_leaves, "", 0, out);
}

static size_t length(const char *path) /* without slashes at its end */
{
    size_t n = strlen(path);
    while (n && path[n - 1] == '/')
        n--;
    return n;
}

static const char *type_of(const char *path, size_t len)
{
    static const char json[] = ".json";
    size_t n = sizeof(json) - 1;
    if (len > n && memcmp(path + len - n, json, n) == 0)
        return JSON;
    n = strlen("user_data"); /* as long as "user-data" */
    if (len >= n && (memcmp(path + len - n, "user_data", n) == 0 ||
                     memcmp(path + len - n, "user-data", n) == 0))
        return "application/octet-stream";
    return TEXT;
}

bool guest_metadata_path(const struct snapshot *s, const struct server *v,
                         const char *path, struct buf *out,
                         const char **content_type, struct error *err)
{
    const char *p = path + strspn(path, "/"), *rest;
    bool found;
    *content_type = type_of(p, length(p));
    if (!*p)
        found = list_names(ec2_versions, out);
    else if (length(p) == 9 && memcmp(p, "openstack", 9) == 0)
        found = list_names(openstack_versions, out);
    else if (strncmp(p, "openstack/", 10) == 0)
        found = (rest = after_version(openstack_versions, p + 10)) &&
                get_openstack(s, v, rest, length(rest), out);
    else
        found = (rest = after_version(ec2_versions, p)) &&
                get_ec2(s, v, rest, length(rest), out);
    if (!found)
        return error_set(err, ERR_NOT_FOUND, "metadata: no such path");
    if (out->overflow)
        return error_set(err, ERR_TOO_LARGE, "metadata: too large");
    return true;
}

bool guest_metadata_get(const struct snapshot *s, const char *network_id,
                        const char *source_ip, const char *path,
                        struct buf *out, const char **content_type,
                        struct error *err)
{
    const struct server *server = guest_find(s, network_id, source_ip);
    if (!server)
        return error_set(err, ERR_NOT_FOUND, "metadata: no such guest");
    return guest_metadata_path(s, server, path, out, content_type, err);
}

/* ---- the EC2 tree as one document -------------------------------------- */

static void add_member(struct json_t *object, const char *path, json_t *value)
{
    char name[64];
    size_t n = strcspn(path, "/");
    snprintf(name, sizeof(name), "%.*s", (int)n, path);
    if (!path[n]) {
        json_object_set_new(object, name, value);
        return;
    }
    json_t *inner = json_object_get(object, name);
    if (!inner) {
        inner = json_object();
        json_object_set_new(object, name, inner);
    }
    add_member(inner, path + n + 1, value);
}

bool guest_ec2_json(const struct snapshot *s, const struct server *v,
                    struct buf *out)
{
    _autojson_ json_t *tree = json_object();
    for (const struct leaf *l = ec2_leaves; l->path; l++) {
        struct buf value = BUF_INIT(GUEST_METADATA_MAX);
        if (l->fn(s, v, &value))
            add_member(tree, l->path, json_string(buf_str(&value)));
        buf_free(&value);
    }
    struct jw w = JW_INIT(out);
    jw_json(&w, NULL, tree);
    return true;
}
