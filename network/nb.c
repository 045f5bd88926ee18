#include "network/nb.h"

#include "network/fence.h"
#include "network/nb_build.h"

#include <stdarg.h>
#include <string.h>

#define COLUMNS(...) ((const struct nb_column[]){ __VA_ARGS__, { NULL } })
#define ATOM(name_)                                                            \
    {                                                                          \
        name_, NB_ATOM                                                         \
    }
#define SET(name_)                                                             \
    {                                                                          \
        name_, NB_SET                                                          \
    }
#define MAP(name_)                                                             \
    {                                                                          \
        name_, NB_MAP                                                          \
    }
#define CHILDREN(name_)                                                        \
    {                                                                          \
        name_, NB_CHILDREN                                                     \
    }
#define SEEN(name_)                                                            \
    {                                                                          \
        name_, NB_SEEN                                                         \
    }

const struct nb_table_def nb_tables[NB_N_TABLES] = {
    [NB_DHCP_OPTIONS] = { "DHCP_Options", -1, NULL,
                          COLUMNS(ATOM("cidr"), MAP("options"),
                                  MAP("external_ids")) },
    [NB_DNS] = { "DNS", -1, NULL,
                 COLUMNS(MAP("records"), MAP("external_ids")) },
    [NB_LOGICAL_SWITCH] = { "Logical_Switch", -1, NULL,
                            COLUMNS(ATOM("name"), SET("dns_records"),
                                    MAP("other_config"), MAP("external_ids"),
                                    CHILDREN("ports")) },
    [NB_LOGICAL_SWITCH_PORT] = { "Logical_Switch_Port", NB_LOGICAL_SWITCH,
                                 "ports",
                                 COLUMNS(ATOM("name"), ATOM("type"),
                                         SET("addresses"), SET("port_security"),
                                         SET("enabled"), SET("tag"),
                                         SET("dhcpv4_options"),
                                         SET("dhcpv6_options"), MAP("options"),
                                         MAP("external_ids"), SEEN("up")) },
    [NB_LOGICAL_ROUTER] = { "Logical_Router", -1, NULL,
                            COLUMNS(
                                ATOM("name"), SET("enabled"), MAP("options"),
                                MAP("external_ids"), CHILDREN("ports"),
                                CHILDREN("static_routes"), CHILDREN("nat")) },
    [NB_LOGICAL_ROUTER_PORT] = { "Logical_Router_Port", NB_LOGICAL_ROUTER,
                                 "ports",
                                 COLUMNS(ATOM("name"), ATOM("mac"),
                                         SET("networks"), SET("enabled"),
                                         MAP("options"), MAP("ipv6_ra_configs"),
                                         MAP("external_ids"),
                                         CHILDREN("gateway_chassis")) },
    [NB_GATEWAY_CHASSIS] = { "Gateway_Chassis", NB_LOGICAL_ROUTER_PORT,
                             "gateway_chassis",
                             COLUMNS(ATOM("name"), ATOM("chassis_name"),
                                     ATOM("priority"), MAP("external_ids")) },
    [NB_STATIC_ROUTE] = { "Logical_Router_Static_Route", NB_LOGICAL_ROUTER,
                          "static_routes",
                          COLUMNS(ATOM("ip_prefix"), ATOM("nexthop"),
                                  SET("output_port"), MAP("external_ids")) },
    [NB_NAT] = { "NAT", NB_LOGICAL_ROUTER, "nat",
                 COLUMNS(ATOM("type"), ATOM("external_ip"), ATOM("logical_ip"),
                         MAP("external_ids")) },
    [NB_PORT_GROUP] = { "Port_Group", -1, NULL,
                        COLUMNS(ATOM("name"), SET("ports"), MAP("external_ids"),
                                CHILDREN("acls")) },
    [NB_ACL] = { "ACL", NB_PORT_GROUP, "acls",
                 COLUMNS(ATOM("direction"), ATOM("priority"), ATOM("match"),
                         ATOM("action"), MAP("external_ids")) },
};

json_t *nb_monitor(void)
{
    json_t *tables = json_object();
    for (int t = 0; t < NB_N_TABLES; t++) {
        json_t *columns = json_array();
        for (const struct nb_column *c = nb_tables[t].columns; c->name; c++)
            json_array_append_new(columns, json_string(c->name));
        json_object_set_new(tables, nb_tables[t].name, columns);
    }
    json_object_set_new(tables, FENCE_TABLE, json_pack("[s]", "external_ids"));
    return tables;
}

json_t *nb_derive(const struct snapshot *s, const struct nb_config *config)
{
    struct nb b = { .s = s, .config = config, .content = json_object() };
    b.empty[NB_ATOM] = json_string("");
    b.empty[NB_SET] = ovsdb_set(json_array());
    b.empty[NB_MAP] = ovsdb_map(json_object());
    for (int t = 0; t < NB_N_TABLES; t++)
        json_object_set_new(b.content, nb_tables[t].name, json_object());
    nb_networks(&b);
    nb_routers(&b);
    nb_groups(&b);
    for (size_t i = 0; i < ARRAY_SIZE(b.empty); i++)
        json_decref(b.empty[i]);
    return b.content;
}

/* ---- nb_build.h -------------------------------------------------------- */

json_t *nb_row(struct nb *b, enum nb_table table, const char *key,
               const char *parent)
{
    json_t *entry = json_object(), *row = json_object();
    for (const struct nb_column *c = nb_tables[table].columns; c->name; c++)
        if (c->type < NB_CHILDREN)
            json_object_set(row, c->name, b->empty[c->type]);
    nb_map(row, "external_ids", json_pack("{s:s}", NB_ID, key));
    if (parent)
        json_object_set_new(entry, "parent", json_string(parent));
    json_object_set_new(entry, "row", row);
    json_object_set_new(json_object_get(b->content, nb_tables[table].name), key,
                        entry);
    return row;
}

json_t *nb_find(struct nb *b, enum nb_table table, const char *key)
{
    json_t *rows = json_object_get(b->content, nb_tables[table].name);
    return key ? json_object_get(json_object_get(rows, key), "row") : NULL;
}

void nb_put(json_t *row, const char *column, json_t *v)
{
    json_object_set_new(row, column, v);
}

static json_t *json_formatv(const char *fmt, va_list args)
{
    return json_vsprintf(fmt, args);
}

json_t *json_format(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    json_t *v = json_formatv(fmt, args);
    va_end(args);
    return v;
}

void nb_str(json_t *row, const char *column, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    nb_put(row, column, json_formatv(fmt, args));
    va_end(args);
}

void nb_set(json_t *row, const char *column, json_t *array)
{
    nb_put(row, column, ovsdb_set(array));
}

void nb_map(json_t *row, const char *column, json_t *object)
{
    nb_put(row, column, ovsdb_map(object));
}

json_t *nb_ref(enum nb_table table, const char *key)
{
    return json_pack("[s,s,s]", "ref", nb_tables[table].name, key);
}

void nb_note(json_t *row, const char *key, const char *value)
{
    json_t *pairs = json_array_get(json_object_get(row, "external_ids"), 1);
    size_t at = 0;
    if (!value || !*value)
        return;
    /* In order of the keys, as canonical maps are. */
    while (
        at < json_array_size(pairs) &&
        strcmp(json_string_value(json_array_get(json_array_get(pairs, at), 0)),
               key) < 0)
        at++;
    json_array_insert_new(pairs, at, json_pack("[s,s]", key, value));
}

static bool owner_is(const struct port *p, const char *owner)
{
    return p->device_owner && !strcmp(p->device_owner, owner);
}

bool port_is_gateway(const struct port *p)
{
    return owner_is(p, OWNER_GATEWAY);
}

static bool port_is_metadata(const struct port *p)
{
    return owner_is(p, OWNER_METADATA);
}

bool port_is_router_port(const struct port *p)
{
    return owner_is(p, OWNER_ROUTER) || port_is_gateway(p);
}

bool port_is_vif(const struct port *p)
{
    return !port_is_router_port(p) && !port_is_metadata(p) &&
           !owner_is(p, OWNER_FLOATINGIP);
}

bool port_is_guarded(const struct port *p)
{
    return port_is_vif(p) && p->port_security_enabled;
}

const struct router *port_router(struct nb *b, const struct port *p)
{
    return port_is_router_port(p) ? snap_get(b->s, &kind_router, p->device_id)
                                  : NULL;
}

const struct subnet *fixed_ip_subnet(struct nb *b, const struct fixed_ip *ip)
{
    return snap_get(b->s, &kind_subnet, ip->subnet_id);
}

const char *network_domain(struct nb *b, const struct network *n, char tmp[256])
{
    const char *domain =
        n->dns_domain && *n->dns_domain ? n->dns_domain : b->config->dns_domain;
    if (!domain_valid(domain))
        return NULL;
    snprintf(tmp, 256, "%s", domain);
    size_t len = strlen(tmp);
    if (len && tmp[len - 1] == '.')
        tmp[len - 1] = '\0';
    return *tmp ? tmp : NULL;
}
