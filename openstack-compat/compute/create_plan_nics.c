#include "openstack-compat/compute/create_plan.h"
#include "openstack-compat/network/defaults.h"
#include "openstack-compat/network/ipam.h"
#include "openstack-compat/network/neutron.h"

#include <string.h>

/* ---- networks ---------------------------------------------------------- */

static bool usable_network(struct req *r, const struct network *n)
{
    return n->shared ? !n->external
                     : !n->external && r->auth.project_id && n->project_id &&
                           strcmp(n->project_id, r->auth.project_id) == 0;
}

bool nova_may_plug(struct req *r, const struct network *n)
{
    return r->auth.is_admin || usable_network(r, n);
}

static bool has_subnet(struct req *r, const struct network *n)
{
    return snap_find(r->snap, &kind_subnet, "network_id", n->rec.id) ||
           error_set(&r->err, ERR_INVALID,
                     "Network %s requires a subnet in order to boot instances "
                     "on.",
                     n->rec.id);
}

/* No network asked for: the one there is. */
static bool plan_only_network(struct req *r, struct plan *p, bool must)
{
    const struct network *found = NULL;
    struct snap_iter it = snap_all(r->snap, &kind_network);
    for (const struct network *n; (n = snap_next(&it));) {
        if (!usable_network(r, n))
            continue;
        if (found)
            return error_set(&r->err, ERR_CONFLICT,
                             "Multiple possible networks found, use a Network "
                             "ID to be more specific.");
        found = n;
    }
    if (!found)
        return !must ||
               create_invalid(r, "No network is available to this project; "
                                 "make one or ask for \"none\".");
    p->nics[p->n_nics++] = (struct nic){ .network = found };
    return has_subnet(r, found);
}

/* A port is one card of one server. */
static bool is_planned(const struct plan *p, const struct port *port)
{
    for (size_t i = 0; i < p->n_nics; i++)
        if (p->nics[i].port == port)
            return true;
    return false;
}

static bool plan_port(struct req *r, struct plan *p, struct nic *nic,
                      const char *id)
{
    const struct port *port = snap_get(r->snap, &kind_port, id);
    if (!port || !req_may_see(r, port->project_id))
        return error_set(&r->err, ERR_INVALID,
                         "Port id %.80s could not be found.", id);
    if ((port->device_id && *port->device_id) || is_planned(p, port))
        return error_set(&r->err, ERR_CONFLICT, "Port %s is still in use.",
                         port->rec.id);
    if (p->max_count > 1)
        return create_invalid(
            r, "Unable to launch multiple instances with a single "
               "configured port ID. Please launch your instance "
               "one by one with different ports.");
    if (nic->fixed_ip)
        return create_invalid(
            r, "networks: fixed_ip goes with uuid, not with port");
    nic->port = port;
    return true;
}

static bool plan_network(struct req *r, struct nic *nic, const char *id)
{
    nic->network = snap_get(r->snap, &kind_network, id);
    if (!nic->network || !nova_may_plug(r, nic->network))
        return error_set(&r->err, ERR_INVALID,
                         "Network %.80s could not be found.", id);
    return has_subnet(r, nic->network);
}

/* The name under which the guest finds the device. */
bool create_read_tag(struct req *r, const json_t *item, microversion since,
                     const char **tag)
{
    if (!nova_string(r, item, "tag", 1, 60, tag))
        return false;
    return !*tag || r->mv >= since ||
           error_set(&r->err, ERR_INVALID, "tag needs microversion %d.%d",
                     since / 1000, since % 1000);
}

static bool plan_nic(struct req *r, struct plan *p, const json_t *item)
{
    static const char *const known[] = { "uuid", "port", "fixed_ip", "tag",
                                         NULL };
    struct nic *nic = &p->nics[p->n_nics];
    const char *network = json_string_value(json_object_get(item, "uuid"));
    const char *port = json_string_value(json_object_get(item, "port"));
    *nic = (struct nic){
        .fixed_ip = json_string_value(json_object_get(item, "fixed_ip")),
    };
    if (!json_is_object(item) || !nova_only(r, item, known))
        return r->err.code ? false
                           : create_invalid(r, "networks: objects expected");
    if (nic->fixed_ip && !check_ip(nic->fixed_ip))
        return error_set(&r->err, ERR_INVALID, "Invalid fixed IP address %.64s",
                         nic->fixed_ip);
    if (nic->fixed_ip && p->max_count > 1)
        return create_invalid(
            r, "Invalid fixed IPs: max_count cannot be greater than "
               "1 if a fixed_ip is specified.");
    if (!create_read_tag(r, item, MV(2, 32), &nic->tag))
        return false;
    if (port && !plan_port(r, p, nic, port))
        return false;
    p->n_nics++;
    if (port)
        return true;
    return network ? plan_network(r, nic, network)
                   : create_invalid(r, "networks: uuid or port is expected");
}

bool create_plan_networks(struct req *r, struct plan *p)
{
    size_t i;
    json_t *item, *v = json_object_get(p->body, "networks");
    const char *word = json_string_value(v);
    if (word && r->mv >= MV(2, 37))
        return strcmp(word, "none") == 0 ||
               (strcmp(word, "auto") == 0
                    ? plan_only_network(r, p, true)
                    : create_invalid(r,
                                     "networks must be auto, none or a list"));
    if (!v && r->mv >= MV(2, 37))
        return create_invalid(r, "'networks' is a required property");
    if (!v || json_is_null(v) || (json_is_array(v) && !json_array_size(v)))
        return plan_only_network(r, p, false);
    if (!json_is_array(v) || json_array_size(v) > NICS_MAX)
        return create_invalid(r, "networks must be a list of at most 16");
    json_array_foreach(v, i, item) if (!plan_nic(r, p, item)) return false;
    return true;
}

/* By id, or by a name that is the only one of its kind in the project. */
static const struct security_group *find_group(struct req *r, const char *name)
{
    const struct security_group *found = NULL;
    struct snap_iter it = snap_by(r->snap, &kind_security_group, "project_id",
                                  r->auth.project_id);
    for (const struct security_group *g; (g = snap_next(&it));) {
        if (strcmp(g->rec.id, name) == 0)
            return g;
        if (strcmp(g->name, name) != 0)
            continue;
        if (found) {
            error_set(&r->err, ERR_CONFLICT,
                      "Multiple security_group matches found for name '%.80s', "
                      "use an ID to be more specific.",
                      name);
            return NULL;
        }
        found = g;
    }
    if (!found)
        error_set(&r->err, ERR_INVALID, "Security group %.80s not found.",
                  name);
    return found;
}

bool create_plan_groups(struct req *r, struct plan *p)
{
    size_t i;
    json_t *item, *v = json_object_get(p->body, "security_groups");
    if (v && !json_is_array(v))
        return create_invalid(r, "security_groups must be a list");
    json_array_foreach(v, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (!name)
            return create_invalid(r, "security_groups: a name is expected");
        const struct security_group *g = find_group(r, name);
        if (!g)
            return false;
        if (!strs_has(&p->groups, g->rec.id))
            strs_add(p->scratch, &p->groups, g->rec.id);
    }
    return true;
}
