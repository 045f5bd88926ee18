#include "openstack-compat/network/defaults.h"
#include "openstack-compat/network/neutron.h"
#include "rest-api/check.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- groups ------------------------------------------------------------ */

/* r->state: the rules, as JSON, that this very request makes. */
static void show_rules(struct req *r, struct jw *w, const char *name,
                       const void *record)
{
    const struct security_group *g = record;
    if (r->state) {
        jw_raw(w, name, r->state);
        return;
    }
    struct snap_iter it = snap_by(r->snap, &kind_security_group_rule,
                                  "security_group_id", g->rec.id);
    jw_arr(w, name);
    for (const void *rule; (rule = snap_next(&it));)
        resource_write(r, &neutron_security_group_rules, w, NULL, rule);
    jw_arr_end(w);
}

static void show_stateful(struct req *r, struct jw *w, const char *name,
                          const void *record)
{
    jw_bool(w, name, !((const struct security_group *)record)->stateless);
}

static bool set_stateful(struct req *r, void *record, const struct attr *a,
                         const json_t *value)
{
    ((struct security_group *)record)->stateless = !json_is_true(value);
    return true;
}

static const struct attr group_attrs[] = {
    { "id", NULL, A_FILTER },
    { "name", NULL, A_CU | A_REQUIRED | A_FILTER, CHECK_NAME },
    { "description", NULL, A_CU | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "stateful", "stateless", A_CU, CHECK_BOOL, .show = show_stateful,
      .set = set_stateful },
    { .name = "security_group_rules", .show = show_rules },
    NEUTRON_OWNER_ATTRS,
    NEUTRON_TAG_ATTRS,
    NEUTRON_TAIL_ATTRS,
    ATTR_END,
};

static bool is_default(const struct security_group *g)
{
    return strcmp(g->name, "default") == 0;
}

/* A new group lets everything out, as neutron's does. */
static void egress_rule(struct req *r, const struct security_group *g,
                        const char *ethertype, struct jw *shown)
{
    _autorecord_ struct security_group_rule *rule =
        record_new(&kind_security_group_rule, req_uuid(r));
    rule->project_id = rec_str(rule, g->project_id);
    rule->security_group_id = rec_str(rule, g->rec.id);
    rule->direction = "egress";
    rule->ethertype = rec_str(rule, ethertype);
    rule->port_min = rule->port_max = -1;
    rule->created = r->now;
    txn_change_record(&r->txn, rule);
    resource_write(r, &neutron_security_group_rules, shown, NULL, rule);
}

static void egress_rules(struct req *r, const struct security_group *g)
{
    struct buf text = BUF_INIT(HTTP_BODY_MAX);
    struct jw w = JW_INIT(&text);
    jw_arr(&w, NULL);
    egress_rule(r, g, "IPv4", &w);
    egress_rule(r, g, "IPv6", &w);
    jw_arr_end(&w);
    r->state = arena_strdup(&r->arena, buf_str(&text));
    buf_free(&text);
}

static bool group_created(struct req *r, void *draft, const json_t *body)
{
    const struct security_group *g = draft;
    if (is_default(g))
        return neutron_fail(r, ERR_CONFLICT,
                            "SecurityGroupDefaultAlreadyExists",
                            "Default security group already exists.");
    egress_rules(r, g);
    return neutron_charge(r, g->project_id, "security_group_rule", 2);
}

static bool group_updated(struct req *r, const void *old, void *draft,
                          const json_t *body)
{
    const struct security_group *was = old, *g = draft;
    if (is_default(was) != is_default(g))
        return neutron_fail(r, ERR_CONFLICT, "SecurityGroupCannotUpdateDefault",
                            "Updating default security group not allowed.");
    return true;
}

static bool drop_rules(struct req *r, const char *path, const char *group_id)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_security_group_rule, path, group_id);
    bool own = strcmp(path, "security_group_id") == 0;
    for (const struct security_group_rule *x; (x = snap_next(&it));) {
        if (!own && strcmp(x->security_group_id, group_id) == 0)
            continue; /* goes as the group's own */
        txn_delete_record(&r->txn, x);
        if (!neutron_charge(r, x->project_id, "security_group_rule", -1))
            return false;
    }
    return true;
}

static bool group_deleted(struct req *r, const void *record)
{
    const struct security_group *g = record;
    if (is_default(g) && !r->auth.is_admin)
        return neutron_fail(r, ERR_CONFLICT, "SecurityGroupCannotRemoveDefault",
                            "Insufficient rights for removing default security "
                            "group.");
    if (snap_find(r->snap, &kind_port, "security_group_ids", g->rec.id))
        return neutron_fail(r, ERR_CONFLICT, "SecurityGroupInUse",
                            "Security Group %s in use.", g->rec.id);
    if (is_default(g)) {
        char id[STORE_KEY_MAX];
        claim_release(&r->txn,
                      claim_id(id, "default_security_group/%s", g->project_id));
    }
    return drop_rules(r, "security_group_id", g->rec.id) &&
           drop_rules(r, "remote_group_id", g->rec.id);
}

const struct resource neutron_security_groups = {
    .kind = &kind_security_group,
    .singular = "security_group",
    .plural = "security_groups",
    .noun = "Security group",
    .not_found_type = "SecurityGroupNotFound",
    .attrs = group_attrs,
    .quota_service = "network",
    .quota_name = "security_group",
    .path = "/v2.0/security-groups",
    .times = TIME_Z,
    .created = group_created,
    .updated = group_updated,
    .deleted = group_deleted,
};

/* ---- rules ------------------------------------------------------------- */

static const char *const directions[] = { "ingress", "egress", NULL };
static const char *const protocols[] = {
    "ah",        "dccp",       "egp",       "esp",       "gre",
    "hopopt",    "icmp",       "icmpv6",    "igmp",      "ip",
    "ipip",      "ipv6-encap", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt",
    "ipv6-opts", "ipv6-route", "ospf",      "pgm",       "rsvp",
    "sctp",      "tcp",        "udp",       "udplite",   "vrrp",
    NULL,
};

static void show_port_number(struct req *r, struct jw *w, const char *name,
                             const void *record)
{
    const struct security_group_rule *x = record;
    int64_t n = strcmp(name, "port_range_min") == 0 ? x->port_min : x->port_max;
    if (n < 0)
        jw_null(w, name);
    else
        jw_int(w, name, n);
}

static bool set_port_number(struct req *r, void *record, const struct attr *a,
                            const json_t *value)
{
    struct security_group_rule *x = record;
    int64_t n = json_is_null(value) ? -1 : json_integer_value(value);
    *(strcmp(a->name, "port_range_min") == 0 ? &x->port_min : &x->port_max) = n;
    return true;
}

static bool known_protocol(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end != text && !*end)
        return n >= 0 && n <= 255;
    for (const char *const *p = protocols; *p; p++)
        if (strcmp(*p, text) == 0)
            return true;
    return false;
}

/* A name, a number, or a number as text; "any" and null are none. */
static bool set_protocol(struct req *r, void *record, const struct attr *a,
                         const json_t *value)
{
    struct security_group_rule *x = record;
    char *text = json_is_integer(value)
                     ? rec_strf(x, "%lld", json_integer_value(value))
                     : rec_str(x, json_string_value(value));
    if (json_is_null(value) || (text && strcasecmp(text, "any") == 0)) {
        x->protocol = NULL;
        return true;
    }
    for (char *c = text; c && *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c += 'a' - 'A';
    if (!text || !known_protocol(text))
        return neutron_fail(r, ERR_INVALID, "SecurityGroupRuleInvalidProtocol",
                            "Security group rule protocol %.40s not supported.",
                            text ? text : "(not a string)");
    x->protocol = text;
    return true;
}

/* "ipv4" is taken as "IPv4" */
static bool set_ethertype(struct req *r, void *record, const struct attr *a,
                          const json_t *value)
{
    struct security_group_rule *x = record;
    const char *text = json_string_value(value);
    bool v6 = text && strcasecmp(text, "IPv6") == 0;
    if (!v6 && (!text || strcasecmp(text, "IPv4") != 0))
        return neutron_fail(r, ERR_INVALID, "SecurityGroupRuleInvalidEtherType",
                            "Security group rule for ethertype '%.40s' not "
                            "supported. Allowed values are IPv4 and IPv6.",
                            text ? text : "");
    x->ethertype = v6 ? "IPv6" : "IPv4";
    return true;
}

static bool set_prefix(struct req *r, void *record, const struct attr *a,
                       const json_t *value)
{
    struct security_group_rule *x = record;
    struct cidr c;
    char text[CIDR_TEXT_MAX];
    const char *asked = json_string_value(value);
    x->remote_ip_prefix = NULL;
    if (json_is_null(value))
        return true;
    if (!asked || !cidr_parse(asked, &c))
        return neutron_fail(r, ERR_INVALID, "InvalidInput",
                            "Invalid input for remote_ip_prefix: '%.64s' is "
                            "not a valid IP subnet.",
                            asked ? asked : "");
    x->remote_ip_prefix = rec_str(x, cidr_format(c, text));
    return true;
}

static const struct attr rule_attrs[] = {
    { "id", NULL, A_FILTER },
    { "security_group_id", NULL, A_CREATE | A_REQUIRED | A_FILTER, CHECK_ID },
    { "description", NULL, A_CREATE | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "direction", NULL, A_CREATE | A_REQUIRED | A_FILTER, CHECK_ENUM, 0, 0,
      directions },
    { "ethertype", NULL, A_CREATE | A_FILTER, .set = set_ethertype,
      .dflt = "\"IPv4\"" },
    { "protocol", NULL, A_CREATE | A_NULL | A_FILTER, .set = set_protocol },
    { "port_range_min", "port_min", A_CREATE | A_NULL | A_FILTER, CHECK_INT, 0,
      65535, .show = show_port_number, .set = set_port_number, .dflt = "-1" },
    { "port_range_max", "port_max", A_CREATE | A_NULL | A_FILTER, CHECK_INT, 0,
      65535, .show = show_port_number, .set = set_port_number, .dflt = "-1" },
    { "remote_group_id", NULL, A_CREATE | A_NULL | A_FILTER, CHECK_ID },
    { "remote_ip_prefix", NULL, A_CREATE | A_NULL | A_FILTER,
      .set = set_prefix },
    { "remote_address_group_id", NULL, 0, .show = neutron_show_null },
    NEUTRON_OWNER_ATTRS,
    { "created_at", "created", A_FILTER },
    { "updated_at", "created", A_FILTER },
    { .name = "revision_number", .show = neutron_show_revision },
    ATTR_END,
};

static bool has_ports(const char *protocol)
{
    static const char *const with[] = { "tcp",     "udp", "sctp", "dccp",
                                        "udplite", "6",   "17",   "132" };
    for (size_t i = 0; i < ARRAY_SIZE(with); i++)
        if (strcmp(with[i], protocol) == 0)
            return true;
    return false;
}

static bool is_icmp(const char *protocol)
{
    return strncmp(protocol, "icmp", 4) == 0 ||
           strcmp(protocol, "ipv6-icmp") == 0 || strcmp(protocol, "1") == 0 ||
           strcmp(protocol, "58") == 0;
}

static bool check_range(struct req *r, const struct security_group_rule *x)
{
    bool any = x->port_min >= 0 || x->port_max >= 0;
    if (!any)
        return true;
    if (!x->protocol)
        return neutron_fail(r, ERR_INVALID,
                            "SecurityGroupProtocolRequiredWithPorts",
                            "Must also specify protocol if port range is "
                            "given.");
    if (is_icmp(x->protocol)) {
        if (x->port_min < 0 || x->port_min > 255 || x->port_max > 255)
            return neutron_fail(r, ERR_INVALID, "SecurityGroupInvalidIcmpValue",
                                "Invalid value for ICMP type or code: 0 to "
                                "255 are allowed, and a code needs a type.");
        return true;
    }
    if (!has_ports(x->protocol))
        return neutron_fail(r, ERR_INVALID,
                            "SecurityGroupInvalidProtocolForPort",
                            "Invalid protocol %s for port range, must be TCP, "
                            "UDP, SCTP or UDPLITE.",
                            x->protocol);
    if (x->port_min < 1 || x->port_max < x->port_min)
        return neutron_fail(r, ERR_INVALID, "SecurityGroupInvalidPortRange",
                            "For TCP/UDP protocols, port_range_min must be <= "
                            "port_range_max and both at least 1.");
    return true;
}

static bool check_remote(struct req *r, const struct security_group_rule *x)
{
    struct cidr c;
    if (x->remote_group_id && x->remote_ip_prefix)
        return neutron_fail(r, ERR_INVALID,
                            "SecurityGroupMultipleRemoteEntities",
                            "Only one of remote_ip_prefix or remote_group_id "
                            "may be provided.");
    const void *remote =
        x->remote_group_id
            ? resource_get(r, &neutron_security_groups, x->remote_group_id)
            : NULL;
    if (remote)
        txn_touch_record(&r->txn, remote);
    else if (x->remote_group_id)
        return false;
    if (x->remote_ip_prefix && cidr_parse(x->remote_ip_prefix, &c) &&
        (c.ip.version == 6) != (strcmp(x->ethertype, "IPv6") == 0))
        return neutron_fail(r, ERR_INVALID,
                            "SecurityGroupRuleParameterConflict",
                            "Conflicting value ethertype %s for CIDR %s",
                            x->ethertype, x->remote_ip_prefix);
    return true;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_rule(const struct security_group_rule *a,
                      const struct security_group_rule *b)
{
    return same(a->direction, b->direction) &&
           same(a->ethertype, b->ethertype) && same(a->protocol, b->protocol) &&
           a->port_min == b->port_min && a->port_max == b->port_max &&
           same(a->remote_group_id, b->remote_group_id) &&
           same(a->remote_ip_prefix, b->remote_ip_prefix);
}

static bool check_duplicate(struct req *r, const struct security_group_rule *x)
{
    struct snap_iter it = snap_by(r->snap, &kind_security_group_rule,
                                  "security_group_id", x->security_group_id);
    for (const struct security_group_rule *o; (o = snap_next(&it));)
        if (same_rule(o, x))
            return neutron_fail(r, ERR_CONFLICT, "SecurityGroupRuleExists",
                                "Security group rule already exists. Rule id "
                                "is %s.",
                                o->rec.id);
    return true;
}

static bool rule_created(struct req *r, void *draft, const json_t *body)
{
    struct security_group_rule *x = draft;
    const struct security_group *g =
        resource_get(r, &neutron_security_groups, x->security_group_id);
    if (!g || !check_range(r, x) || !check_remote(r, x) ||
        !check_duplicate(r, x))
        return false;
    /* Two equal rules at once: the second sees the group changed. */
    txn_touch_record(&r->txn, g);
    x->project_id = rec_str(x, g->project_id);
    return neutron_charge(r, x->project_id, "security_group_rule", 1);
}

static bool rule_deleted(struct req *r, const void *record)
{
    const struct security_group_rule *x = record;
    return neutron_charge(r, x->project_id, "security_group_rule", -1);
}

const struct resource neutron_security_group_rules = {
    .kind = &kind_security_group_rule,
    .singular = "security_group_rule",
    .plural = "security_group_rules",
    .noun = "Security group rule",
    .not_found_type = "SecurityGroupRuleNotFound",
    .attrs = rule_attrs,
    .path = "/v2.0/security-group-rules",
    .times = TIME_Z,
    .created = rule_created,
    .deleted = rule_deleted,
};
