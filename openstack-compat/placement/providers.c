/* Nodes as resource providers. */
#include "openstack-compat/placement/placement.h"

#include "model/cpus.h"
#include "model/shape.h"
#include "model/share.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- amounts ----------------------------------------------------------- */

struct amounts server_amounts(const struct server *s)
{
    int64_t swap_gb = (s->swap_mb + 1023) / 1024;
    int64_t root = s->image_id ? s->disk_gb : 0; /* else it is a volume */
    struct amounts a = { { s->vcpus, s->ram_mb,
                           root + s->ephemeral_gb + swap_gb } };
    struct shape shape;
    struct error err;
    if (shape_of_server(s, &shape, &err) && shape.pinned) {
        a.n[CLASS_PCPU] = s->vcpus;
        a.n[CLASS_VCPU] = 0;
    }
    return a;
}

struct amounts node_used(struct req *r, const struct node *n)
{
    struct amounts sum = { { 0 } };
    struct snap_iter it = snap_by(r->snap, &kind_server, "node", n->rec.id);
    for (const struct server *s; (s = snap_next(&it));) {
        struct amounts a = server_amounts(s);
        for (int c = 0; c < N_CLASSES; c++)
            sum.n[c] += a.n[c];
    }
    return sum;
}

static double ratio(double overcommit)
{
    return overcommit > 0 ? overcommit : 1.0;
}

static int64_t pinned_cpus(const struct node *n)
{
    struct cpus kept;
    cpus_parse(n->pinned_cpus, &kept);
    return cpus_count(&kept);
}

struct inventory node_inventory(const struct node *n, enum resource_class c)
{
    switch (c) {
    case CLASS_VCPU:
        return (struct inventory){ n->vcpus - pinned_cpus(n), 0,
                                   ratio(n->cpu_overcommit) };
    case CLASS_PCPU:
        return (struct inventory){ pinned_cpus(n), 0, 1.0 };
    case CLASS_RAM:
        return (struct inventory){ n->ram_mb, n->ram_reserved_mb,
                                   ratio(n->ram_overcommit) };
    default:
        return (struct inventory){ n->disk_gb, 0, 1.0 };
    }
}

int64_t inventory_capacity(const struct inventory *inv)
{
    return (int64_t)((double)(inv->total - inv->reserved) * inv->ratio);
}

void write_amounts(struct jw *w, const char *key, const struct amounts *a)
{
    jw_obj(w, key);
    for (int c = 0; c < N_CLASSES; c++)
        if (a->n[c])
            jw_int(w, class_names[c], a->n[c]);
    jw_obj_end(w);
}

/* ---- devices ------------------------------------------------------------- */

/* nova's class of a PCI device: "CUSTOM_PCI_10DE_20B0"; of one that is given
 * in parts: "VGPU". */
static void device_class(const struct node_device *d, char out[64])
{
    if (d->shares.n) {
        snprintf(out, 64, SHARE_CLASS);
        return;
    }
    snprintf(out, 64, "CUSTOM_PCI_%s", d->model ? d->model : "");
    for (char *p = out; *p; p++)
        *p =
            isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
}

static const struct node_device *device_at(const struct node *n, size_t i)
{
    return LIST_AT(n->devices, struct node_device, i);
}

static bool same_class(const struct node_device *a, const struct node_device *b)
{
    char one[64], other[64];
    device_class(a, one);
    device_class(b, other);
    return strcmp(one, other) == 0;
}

/* Is it the first of its class?  Then `total`: how many there are; of parts
 * as many as there are of the least. */
static bool first_of_class(const struct node *n, size_t i, int64_t *total)
{
    *total = 0;
    for (size_t k = 0; k < n->devices.n; k++) {
        if (!same_class(device_at(n, k), device_at(n, i)))
            continue;
        if (k < i)
            return false;
        const struct node_share *part = share_usual(device_at(n, k));
        *total += part ? part->instances : 1;
    }
    return true;
}

/* Devices of that class which servers have. */
static int64_t devices_used(struct req *r, const struct node *n,
                            const struct node_device *like)
{
    int64_t used = 0;
    struct snap_iter it = snap_by(r->snap, &kind_server, "node", n->rec.id);
    for (const struct server *s; (s = snap_next(&it));)
        for (size_t i = 0; i < s->devices.n; i++)
            for (size_t k = 0; k < n->devices.n; k++)
                used += same_class(device_at(n, k), like) &&
                        strcmp(device_at(n, k)->address,
                               LIST_AT(s->devices, struct server_device, i)
                                   ->address) == 0;
    return used;
}

/* ---- which providers --------------------------------------------------- */

static bool bad_parameter(struct req *r, const struct param *p)
{
    return error_set(&r->err, ERR_INVALID,
                     "Invalid query string parameters: '%.40s=%.64s'", p->name,
                     p->value);
}

/* "VCPU:2,MEMORY_MB:512" */
static bool parse_resources(struct req *r, const struct param *p,
                            struct wish *wish)
{
    char *list = arena_strdup(&r->arena, p->value), *rest = NULL;
    for (char *one = strtok_r(list, ",", &rest); one;
         one = strtok_r(NULL, ",", &rest)) {
        char *end = NULL, *colon = strchr(one, ':');
        if (colon)
            *colon++ = '\0';
        int c = enum_from_name(class_names, one);
        long long n = colon ? strtoll(colon, &end, 10) : 0;
        if (c < 0)
            return error_set(&r->err, ERR_INVALID,
                             "Invalid resource class in resources parameter: "
                             "No such resource class %.64s",
                             one);
        if (n < 1 || *end || n > INT32_MAX)
            return bad_parameter(r, p);
        wish->amounts.n[c] = n;
        wish->any_amount = true;
    }
    return wish->any_amount || bad_parameter(r, p);
}

/* Names that nobody has are an error, not an empty answer. */
static bool check_traits(struct req *r, const struct param *p)
{
    bool any = strncmp(p->value, "in:", 3) == 0;
    char *list = arena_strdup(&r->arena, p->value + (any ? 3 : 0));
    char *rest = NULL;
    for (char *one = strtok_r(list, ",", &rest); one;
         one = strtok_r(NULL, ",", &rest))
        if (enum_from_name(trait_names, one + (*one == '!')) < 0)
            return error_set(&r->err, ERR_INVALID,
                             "Invalid query string parameters: no such "
                             "trait(s): %.64s.",
                             one);
    return true;
}

bool wish_parse(struct req *r, const char *const *known, struct wish *wish)
{
    const struct params *q = &r->http->query;
    *wish = (struct wish){ 0 };
    for (size_t i = 0; i < q->n; i++) {
        const struct param *p = &q->v[i];
        if (enum_from_name(known, p->name) < 0)
            return bad_parameter(r, p);
        if (strcmp(p->name, "resources") == 0 && !parse_resources(r, p, wish))
            return false;
        if (strcmp(p->name, "required") == 0 && !check_traits(r, p))
            return false;
    }
    return true;
}

/* "A,!B": has A and lacks B; "in:A,B": has one of them. */
static bool traits_fit(struct req *r, const struct node *n, const char *value)
{
    bool any = strncmp(value, "in:", 3) == 0, found = false;
    char *list = arena_strdup(&r->arena, value + (any ? 3 : 0)), *rest = NULL;
    for (char *one = strtok_r(list, ",", &rest); one;
         one = strtok_r(NULL, ",", &rest)) {
        bool without = *one == '!';
        bool fits = node_has_trait(n, one + without) != without;
        if (!any && !fits)
            return false;
        found |= fits;
    }
    return !any || found;
}

static bool is_member(struct req *r, const struct node *n, const char *uuid)
{
    struct snap_iter it = snap_all(r->snap, &kind_aggregate);
    for (const struct aggregate *a; (a = snap_next(&it));)
        if (a->uuid && strcmp(a->uuid, uuid) == 0)
            return strs_has(&a->hosts, n->rec.id);
    return false;
}

/* "uuid", "in:uuid,uuid", either with "!" before it. */
static bool member_fits(struct req *r, const struct node *n, const char *value)
{
    bool without = *value == '!', found = false;
    value += without;
    value += strncmp(value, "in:", 3) == 0 ? 3 : 0;
    char *list = arena_strdup(&r->arena, value), *rest = NULL;
    for (char *one = strtok_r(list, ",", &rest); one;
         one = strtok_r(NULL, ",", &rest))
        found |= is_member(r, n, one);
    return found != without;
}

static bool param_fits(struct req *r, const struct node *n,
                       const struct param *p)
{
    if (strcmp(p->name, "name") == 0)
        return strcmp(n->rec.id, p->value) == 0;
    if (strcmp(p->name, "uuid") == 0 || strcmp(p->name, "in_tree") == 0)
        return n->hypervisor_id && strcmp(n->hypervisor_id, p->value) == 0;
    if (strcmp(p->name, "required") == 0)
        return traits_fit(r, n, p->value);
    if (strcmp(p->name, "member_of") == 0)
        return member_fits(r, n, p->value);
    return true;
}

bool wish_fits(struct req *r, const struct wish *wish, const struct node *n)
{
    const struct params *q = &r->http->query;
    struct amounts used = { { 0 } };
    for (size_t i = 0; i < q->n; i++)
        if (!param_fits(r, n, &q->v[i]))
            return false;
    if (wish->any_amount)
        used = node_used(r, n);
    for (int c = 0; c < N_CLASSES; c++) {
        struct inventory inv = node_inventory(n, c);
        if (wish->amounts.n[c] > inv.total ||
            (wish->amounts.n[c] &&
             wish->amounts.n[c] + used.n[c] > inventory_capacity(&inv)))
            return false;
    }
    return true;
}

/* ---- answers ----------------------------------------------------------- */

static void write_link(struct jw *w, const struct node *n, const char *rel,
                       const char *tail)
{
    jw_obj(w, NULL);
    jw_str(w, "rel", rel);
    jw_strf(w, "href", "/placement/resource_providers/%s%s", n->hypervisor_id,
            tail);
    jw_obj_end(w);
}

static void write_provider(struct req *r, struct jw *w, const struct node *n)
{
    jw_obj(w, NULL);
    jw_str(w, "uuid", n->hypervisor_id);
    jw_str(w, "name", n->rec.id);
    jw_int(w, "generation", n->rec.mod_rev);
    if (r->mv >= MV(1, 14)) {
        jw_str(w, "root_provider_uuid", n->hypervisor_id);
        jw_null(w, "parent_provider_uuid");
    }
    jw_arr(w, "links");
    write_link(w, n, "self", "");
    write_link(w, n, "inventories", "/inventories");
    write_link(w, n, "usages", "/usages");
    if (r->mv >= MV(1, 1))
        write_link(w, n, "aggregates", "/aggregates");
    if (r->mv >= MV(1, 6))
        write_link(w, n, "traits", "/traits");
    if (r->mv >= MV(1, 11))
        write_link(w, n, "allocations", "/allocations");
    jw_arr_end(w);
    jw_obj_end(w);
}

enum outcome provider_list(struct req *r)
{
    static const char *const known[] = { "name",     "uuid",      "in_tree",
                                         "required", "member_of", "resources",
                                         NULL };
    struct wish wish;
    if (!wish_parse(r, known, &wish))
        return req_failed(r);
    struct snap_iter it = snap_all(r->snap, &kind_node);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "resource_providers");
    for (const struct node *n; (n = snap_next(&it));)
        if (n->hypervisor_id && wish_fits(r, &wish, n))
            write_provider(r, &w, n);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static const struct node *node_of_path(struct req *r)
{
    const struct node *n =
        snap_find(r->snap, &kind_node, "hypervisor_id", r->param[0]);
    if (!n)
        error_set(&r->err, ERR_NOT_FOUND,
                  "No resource provider with uuid %.80s found", r->param[0]);
    return n;
}

enum outcome provider_show(struct req *r)
{
    const struct node *n = node_of_path(r);
    if (!n)
        return req_failed(r);
    struct jw w = req_json(r);
    write_provider(r, &w, n);
    return req_reply(r, 200);
}

static void write_inventory(struct jw *w, const struct inventory *inv)
{
    jw_int(w, "total", inv->total);
    jw_int(w, "reserved", inv->reserved);
    jw_int(w, "min_unit", 1);
    jw_int(w, "max_unit", inv->total);
    jw_int(w, "step_size", 1);
    jw_real(w, "allocation_ratio", inv->ratio);
}

enum outcome provider_inventories(struct req *r)
{
    const struct node *n = node_of_path(r);
    if (!n)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_int(&w, "resource_provider_generation", n->rec.mod_rev);
    jw_obj(&w, "inventories");
    for (int c = 0; c < N_CLASSES; c++) {
        struct inventory inv = node_inventory(n, c);
        if (!inv.total)
            continue;
        jw_obj(&w, class_names[c]);
        write_inventory(&w, &inv);
        jw_obj_end(&w);
    }
    for (size_t i = 0; i < n->devices.n; i++) {
        char name[64];
        struct inventory inv = { .ratio = 1.0 };
        if (!first_of_class(n, i, &inv.total))
            continue;
        device_class(device_at(n, i), name);
        jw_obj(&w, name);
        write_inventory(&w, &inv);
        jw_obj_end(&w);
    }
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome provider_inventory(struct req *r)
{
    const struct node *n = node_of_path(r);
    int c = enum_from_name(class_names, r->param[1]);
    if (!n)
        return req_failed(r);
    struct inventory inv = { 0 };
    if (c >= 0)
        inv = node_inventory(n, c);
    if (!inv.total)
        return req_fail(r, ERR_NOT_FOUND, "No inventory of class %.64s for %s",
                        r->param[1], n->hypervisor_id);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_int(&w, "resource_provider_generation", n->rec.mod_rev);
    write_inventory(&w, &inv);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome provider_usages(struct req *r)
{
    const struct node *n = node_of_path(r);
    if (!n)
        return req_failed(r);
    struct amounts used = node_used(r, n);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_int(&w, "resource_provider_generation", n->rec.mod_rev);
    jw_obj(&w, "usages");
    for (int c = 0; c < N_CLASSES; c++)
        if (node_inventory(n, c).total || used.n[c])
            jw_int(&w, class_names[c], used.n[c]);
    for (size_t i = 0; i < n->devices.n; i++) {
        char name[64];
        int64_t total;
        device_class(device_at(n, i), name);
        if (first_of_class(n, i, &total))
            jw_int(&w, name, devices_used(r, n, device_at(n, i)));
    }
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome provider_aggregates(struct req *r)
{
    const struct node *n = node_of_path(r);
    if (!n)
        return req_failed(r);
    struct snap_iter it = snap_all(r->snap, &kind_aggregate);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "aggregates");
    for (const struct aggregate *a; (a = snap_next(&it));)
        if (a->uuid && strs_has(&a->hosts, n->rec.id))
            jw_str(&w, NULL, a->uuid);
    jw_arr_end(&w);
    if (r->mv >= MV(1, 19))
        jw_int(&w, "resource_provider_generation", n->rec.mod_rev);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome provider_traits(struct req *r)
{
    const struct node *n = node_of_path(r);
    if (!n)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_traits(&w, "traits", n);
    jw_int(&w, "resource_provider_generation", n->rec.mod_rev);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome provider_allocations(struct req *r)
{
    const struct node *n = node_of_path(r);
    if (!n)
        return req_failed(r);
    struct snap_iter it = snap_by(r->snap, &kind_server, "node", n->rec.id);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "allocations");
    for (const struct server *s; (s = snap_next(&it));) {
        struct amounts a = server_amounts(s);
        jw_obj(&w, s->rec.id);
        write_amounts(&w, "resources", &a);
        if (r->mv >= MV(1, 28))
            jw_int(&w, "consumer_generation", s->rec.mod_rev);
        jw_obj_end(&w);
    }
    jw_obj_end(&w);
    jw_int(&w, "resource_provider_generation", n->rec.mod_rev);
    jw_obj_end(&w);
    return req_reply(r, 200);
}
