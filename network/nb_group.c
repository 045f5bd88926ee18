/* nb: security groups and their rules as port groups and ACLs. */
#include "network/nb_build.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PRIORITY_ALLOW 1002
#define PRIORITY_DROP  1001
#define MATCH_MAX      1024

/* A group's name in matches: letters, digits, underscores. */
static void group_name(const char *id, char out[NB_KEY_MAX])
{
    snprintf(out, NB_KEY_MAX, "pg_%s", id);
    for (char *c = out; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                    "0123456789_",
                    *c))
            *c = '_';
}

/* ---- a rule's match ---------------------------------------------------- */

enum ports_of { PORTS_NONE, PORTS_L4, PORTS_ICMP };

static const struct protocol {
    const char *name;
    int number;
    const char *match; /* NULL: by number */
    enum ports_of ports;
} protocols[] = {
    { "tcp", 6, "tcp", PORTS_L4 },
    { "udp", 17, "udp", PORTS_L4 },
    { "sctp", 132, "sctp", PORTS_L4 },
    { "icmp", 1, NULL, PORTS_ICMP },
    { "icmpv6", 58, NULL, PORTS_ICMP },
    { "ipv6-icmp", 58, NULL, PORTS_ICMP },
    { "ah", 51, NULL, PORTS_NONE },
    { "dccp", 33, NULL, PORTS_NONE },
    { "egp", 8, NULL, PORTS_NONE },
    { "esp", 50, NULL, PORTS_NONE },
    { "gre", 47, NULL, PORTS_NONE },
    { "hopopt", 0, NULL, PORTS_NONE },
    { "igmp", 2, NULL, PORTS_NONE },
    { "ip", 0, "", PORTS_NONE },
    { "ipip", 4, NULL, PORTS_NONE },
    { "ipv6-encap", 41, NULL, PORTS_NONE },
    { "ipv6-frag", 44, NULL, PORTS_NONE },
    { "ipv6-nonxt", 59, NULL, PORTS_NONE },
    { "ipv6-opts", 60, NULL, PORTS_NONE },
    { "ipv6-route", 43, NULL, PORTS_NONE },
    { "ospf", 89, NULL, PORTS_NONE },
    { "pgm", 113, NULL, PORTS_NONE },
    { "rsvp", 46, NULL, PORTS_NONE },
    { "udplite", 136, NULL, PORTS_NONE },
    { "vrrp", 112, NULL, PORTS_NONE },
};

/* 0..255, or -1 when the text is no number of a protocol. */
static int protocol_number(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    int n = digits && digits <= 3 && !text[digits] ? atoi(text) : -1;
    return n <= 255 ? n : -1;
}

static bool find_protocol(const char *text, struct protocol *found)
{
    int number = protocol_number(text);
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
        if (number >= 0 ? protocols[i].number == number && number
                        : !strcmp(protocols[i].name, text)) {
            *found = protocols[i];
            return true;
        }
    *found = (struct protocol){ NULL, number, NULL, PORTS_NONE };
    return number >= 0;
}

static void match_ports(struct buf *m, const struct protocol *p,
                        const struct security_group_rule *r)
{
    int64_t low = r->port_min, high = r->port_max;
    if (low < 0)
        return;
    if (high < low || high == low)
        buf_addf(m, " && %s.dst == %" PRId64, p->match, low);
    else
        buf_addf(m, " && %s.dst >= %" PRId64 " && %s.dst <= %" PRId64, p->match,
                 low, p->match, high);
}

/* "icmp" in a rule about IPv6 means ICMPv6. */
static void match_icmp(struct buf *m, int version,
                       const struct security_group_rule *r)
{
    const char *icmp = version == 6 ? "icmp6" : "icmp4";
    buf_addf(m, " && %s", icmp);
    if (r->port_min >= 0)
        buf_addf(m, " && %s.type == %" PRId64, icmp, r->port_min);
    if (r->port_min >= 0 && r->port_max >= 0)
        buf_addf(m, " && %s.code == %" PRId64, icmp, r->port_max);
}

static bool match_protocol(struct buf *m, int version,
                           const struct security_group_rule *r)
{
    struct protocol p;
    if (!r->protocol || !*r->protocol || !strcmp(r->protocol, "any"))
        return true;
    if (!find_protocol(r->protocol, &p))
        return false;
    if (p.ports == PORTS_ICMP)
        match_icmp(m, version, r);
    else if (!p.match)
        buf_addf(m, " && ip.proto == %d", p.number);
    else if (*p.match)
        buf_addf(m, " && %s", p.match);
    if (p.ports == PORTS_L4)
        match_ports(m, &p, r);
    return true;
}

static bool match_remote(struct nb *b, struct buf *m, int version, bool ingress,
                         const struct security_group_rule *r)
{
    char name[NB_KEY_MAX];
    const char *field = ingress ? "src" : "dst";
    if (r->remote_ip_prefix) {
        if (cidr_version(r->remote_ip_prefix) != version)
            return false;
        buf_addf(m, " && ip%d.%s == %s", version, field, r->remote_ip_prefix);
    }
    if (r->remote_group_id) {
        if (!snap_get(b->s, &kind_security_group, r->remote_group_id))
            return false;
        group_name(r->remote_group_id, name);
        buf_addf(m, " && ip%d.%s == $%s_ip%d", version, field, name, version);
    }
    return true;
}

/* False when the rule cannot be expressed: then it allows nothing. */
static bool rule_match(struct nb *b, struct buf *m, const char *group,
                       const struct security_group_rule *r)
{
    bool ingress = r->direction && !strcmp(r->direction, "ingress");
    bool egress = r->direction && !strcmp(r->direction, "egress");
    int version = r->ethertype && !strcasecmp(r->ethertype, "IPv6") ? 6 : 4;
    if (!ingress && !egress)
        return false;
    buf_addf(m, "%s == @%s && ip%d", ingress ? "outport" : "inport", group,
             version);
    return match_remote(b, m, version, ingress, r) &&
           match_protocol(m, version, r) && !m->overflow;
}

/* ---- groups ------------------------------------------------------------ */

static void acl(struct nb *b, const char *key, const char *group_key,
                bool ingress, int priority, const char *action,
                const char *match)
{
    json_t *row = nb_row(b, NB_ACL, key, group_key);
    nb_str(row, "direction", ingress ? "to-lport" : "from-lport");
    nb_put(row, "priority", json_integer(priority));
    nb_str(row, "action", "%s", action);
    nb_str(row, "match", "%s", match);
}

static void rule(struct nb *b, const struct security_group *g,
                 const char *group, const struct security_group_rule *r)
{
    struct buf m = BUF_INIT(MATCH_MAX);
    if (rule_match(b, &m, group, r))
        acl(b, r->rec.id, g->rec.id, !strcmp(r->direction, "ingress"),
            PRIORITY_ALLOW, g->stateless ? "allow-stateless" : "allow-related",
            buf_str(&m));
    buf_free(&m);
}

static json_t *port_group(struct nb *b, const char *key, const char *name,
                          json_t *ports)
{
    json_t *row = nb_row(b, NB_PORT_GROUP, key, NULL);
    nb_str(row, "name", "%s", name);
    nb_set(row, "ports", ports);
    return row;
}

static void add_guarded(struct nb *b, json_t *ports, const struct port *p)
{
    if (port_is_guarded(p) && nb_find(b, NB_LOGICAL_SWITCH_PORT, p->rec.id))
        json_array_append_new(ports, nb_ref(NB_LOGICAL_SWITCH_PORT, p->rec.id));
}

static void group(struct nb *b, const struct security_group *g)
{
    char name[NB_KEY_MAX];
    json_t *ports = json_array();
    struct snap_iter it =
        snap_by(b->s, &kind_port, "security_group_ids", g->rec.id);
    for (const struct port *p; (p = snap_next(&it));)
        add_guarded(b, ports, p);
    group_name(g->rec.id, name);
    nb_note(port_group(b, g->rec.id, name, ports), "cairn:name", g->name);
    it = snap_by(b->s, &kind_security_group_rule, "security_group_id",
                 g->rec.id);
    for (const struct security_group_rule *r; (r = snap_next(&it));)
        rule(b, g, name, r);
}

/* All ports with port security: nothing passes but what a rule allows, and
 * what a machine needs to get its address and its metadata. */
static void drop_group(struct nb *b)
{
    static const struct {
        const char *key;
        bool ingress;
        int priority;
        const char *action, *match;
    } acls[] = {
        { "drop/ingress", true, PRIORITY_DROP, "drop",
          "outport == @" NB_DROP_GROUP " && ip" },
        { "drop/egress", false, PRIORITY_DROP, "drop",
          "inport == @" NB_DROP_GROUP " && ip" },
        { "dhcp4", false, PRIORITY_ALLOW, "allow",
          "inport == @" NB_DROP_GROUP
          " && ip4 && udp && udp.src == 68 && udp.dst == 67" },
        { "dhcp6", false, PRIORITY_ALLOW, "allow",
          "inport == @" NB_DROP_GROUP
          " && ip6 && udp && udp.src == 546 && udp.dst == 547" },
        { "metadata", false, PRIORITY_ALLOW, "allow-related",
          "inport == @" NB_DROP_GROUP
          " && ip4 && ip4.dst == 169.254.169.254 && tcp && tcp.dst == 80" },
    };
    json_t *ports = json_array();
    struct snap_iter it = snap_all(b->s, &kind_port);
    for (const struct port *p; (p = snap_next(&it));)
        add_guarded(b, ports, p);
    port_group(b, NB_DROP_GROUP, NB_DROP_GROUP, ports);
    for (size_t i = 0; i < ARRAY_SIZE(acls); i++)
        acl(b, acls[i].key, NB_DROP_GROUP, acls[i].ingress, acls[i].priority,
            acls[i].action, acls[i].match);
}

void nb_groups(struct nb *b)
{
    drop_group(b);
    struct snap_iter it = snap_all(b->s, &kind_security_group);
    for (const struct security_group *g; (g = snap_next(&it));)
        group(b, g);
}
