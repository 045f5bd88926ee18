/* What the subjects of nova share. */
#include "openstack-compat/compute/nova.h"
#include "openstack-compat/network/ipam.h"

#include <stdlib.h>
#include <string.h>

const struct server *server_get(struct req *r, const char *id)
{
    const struct server *s = snap_get(r->snap, &kind_server, id);
    if (s && req_may_see(r, s->project_id))
        return s;
    error_set(&r->err, ERR_NOT_FOUND, "Instance %.80s could not be found.", id);
    return NULL;
}

bool server_unlocked(struct req *r, const struct server *s)
{
    return !s->locked || r->auth.is_admin ||
           error_set(&r->err, ERR_CONFLICT, "Instance %s is locked", s->rec.id);
}

size_t server_ports(struct req *r, const struct server *s,
                    const struct port *ports[SERVER_PORTS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < s->ports.n && n < SERVER_PORTS_MAX; i++) {
        const struct port *p =
            snap_get(r->snap, &kind_port,
                     LIST_AT(s->ports, struct server_port, i)->port_id);
        if (p)
            ports[n++] = p;
    }
    return n;
}

bool nova_give_address(struct req *r, struct port *port, const char *address)
{
    struct ip ip;
    struct cidr c;
    struct snap_iter it =
        snap_by(r->snap, &kind_subnet, "network_id", port->network_id);
    for (const struct subnet *n; (n = snap_next(&it));)
        if (ip_parse(address, &ip) && cidr_parse(n->cidr, &c) &&
            cidr_contains(c, ip))
            return ipam_give(&r->txn, r->snap, r->env, port, n, address,
                             &r->err);
    return error_set(&r->err, ERR_INVALID,
                     "Fixed IP %.64s is not a valid ip address for network %s.",
                     address, port->network_id);
}

/* ---- pages ------------------------------------------------------------- */

#define PAGE_MAX 1000

bool window_open(struct req *r, struct window *w)
{
    char *end;
    const char *limit = req_query(r, "limit");
    *w = (struct window){ PAGE_MAX, req_query(r, "marker"), false };
    w->inside = !w->marker || !*w->marker;
    if (!limit)
        return true;
    long long n = strtoll(limit, &end, 10);
    if (end == limit || *end || n < 0)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for query parameters limit: '%.40s' is "
                         "not a non-negative integer.",
                         limit);
    w->left = n < PAGE_MAX ? n : PAGE_MAX;
    return true;
}

bool window_takes(struct window *w, const char *id)
{
    if (w->inside)
        return w->left-- > 0;
    w->inside = strcmp(w->marker, id) == 0;
    return false;
}

bool window_closed(struct req *r, const struct window *w)
{
    return w->inside || error_set(&r->err, ERR_INVALID,
                                  "marker [%.64s] not found", w->marker);
}

void nova_links(struct req *r, struct jw *w, const char *collection,
                const char *id)
{
    const char *base = req_base_url(r);
    jw_arr(w, "links");
    jw_obj(w, NULL);
    jw_str(w, "rel", "self");
    jw_join(w, "href", base, "/v2.1/", collection, "/", id, NULL);
    jw_obj_end(w);
    jw_obj(w, NULL);
    jw_str(w, "rel", "bookmark");
    jw_join(w, "href", base, "/", collection, "/", id, NULL);
    jw_obj_end(w);
    jw_arr_end(w);
}

void nova_write_map(struct jw *w, const char *key, const struct map *map)
{
    jw_obj(w, key);
    for (size_t i = 0; i < map->n; i++)
        jw_str(w, map->v[i].key, map->v[i].value);
    jw_obj_end(w);
}

#define METADATA_MAX 128

bool nova_read_metadata(struct req *r, void *record, struct map *map,
                        const json_t *value, const char *what)
{
    const char *key;
    json_t *item;
    if (!json_is_object(value))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for field/attribute %s: an object of "
                         "strings is expected.",
                         what);
    json_object_foreach((json_t *)value, key, item)
    {
        const char *text = json_string_value(item);
        if (!*key || utf8_length(key) > 255 || !text || utf8_length(text) > 255)
            return error_set(&r->err, ERR_INVALID,
                             "Invalid input for field/attribute %s: keys have "
                             "1 to 255 characters, values are strings of at "
                             "most 255.",
                             what);
        map_put(record, map, key, text);
    }
    if (map->n > METADATA_MAX)
        return error_set(&r->err, ERR_QUOTA,
                         "Maximum number of metadata items exceeds %d",
                         METADATA_MAX);
    return true;
}

bool nova_only(struct req *r, const json_t *body, const char *const *known)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)body, name, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], name) != 0)
            i++;
        if (!known[i])
            return error_set(&r->err, ERR_INVALID,
                             "Additional properties are not allowed ('%.64s' "
                             "was unexpected)",
                             name);
    }
    return true;
}

bool nova_string(struct req *r, const json_t *body, const char *name,
                 size_t min, size_t max, const char **value)
{
    const json_t *v = json_object_get(body, name);
    *value = json_string_value(v);
    if (!v || json_is_null(v))
        return true;
    size_t n = *value ? utf8_length(*value) : 0;
    if (*value && n >= min && n <= max)
        return true;
    return error_set(&r->err, ERR_INVALID,
                     "Invalid input for field/attribute %s: a string of %zu to "
                     "%zu characters is expected.",
                     name, min, max);
}
