#include "openstack-compat/compute/create_plan.h"

#include <ctype.h>
#include <string.h>

#define COUNT_MAX 20

bool create_invalid(struct req *r, const char *what)
{
    return error_set(&r->err, ERR_INVALID, "%s", what);
}

/* ---- flavor, image, key ------------------------------------------------ */

static const char *const known_members[] = { "name",
                                             "flavorRef",
                                             "imageRef",
                                             "networks",
                                             "key_name",
                                             "metadata",
                                             "user_data",
                                             "config_drive",
                                             "availability_zone",
                                             "security_groups",
                                             "block_device_mapping_v2",
                                             "min_count",
                                             "max_count",
                                             "return_reservation_id",
                                             "adminPass",
                                             "personality",
                                             "tags",
                                             "description",
                                             "hostname",
                                             "OS-DCF:diskConfig",
                                             "accessIPv4",
                                             "accessIPv6",
                                             "host",
                                             "hypervisor_hostname",
                                             NULL };

/* The last part of an id or a URL that ends in one. */
static const char *ref_id(const json_t *v)
{
    const char *text = json_string_value(v);
    const char *slash = text ? strrchr(text, '/') : NULL;
    return slash ? slash + 1 : text;
}

static bool plan_flavor(struct req *r, struct plan *p)
{
    const json_t *ref = json_object_get(p->body, "flavorRef");
    const char *id = json_is_integer(ref)
                         ? req_strf(r, "%lld", json_integer_value(ref))
                         : ref_id(ref);
    if (!id)
        return create_invalid(r, "'flavorRef' is a required property");
    p->flavor = flavor_get(r, id);
    if (!p->flavor)
        r->err.code = ERR_INVALID; /* as nova: a bad reference is a 400 */
    return p->flavor != NULL;
}

static bool image_visible(struct req *r, const struct image *i)
{
    bool open = i->visibility && (strcmp(i->visibility, "public") == 0 ||
                                  strcmp(i->visibility, "community") == 0);
    return i->status != IMAGE_DELETED && (open || req_may_see(r, i->owner));
}

const struct image *create_find_image(struct req *r, const char *id)
{
    const struct image *i = snap_get(r->snap, &kind_image, id);
    if (i && image_visible(r, i))
        return i;
    error_set(&r->err, ERR_INVALID, "Can not find requested image");
    return NULL;
}

bool create_image_fits(struct req *r, const struct image *i,
                       const struct flavor *f, bool local)
{
    if (i->status != IMAGE_ACTIVE)
        return error_set(&r->err, ERR_INVALID, "Image %s is not active.",
                         i->rec.id);
    if (i->min_ram_mb > f->ram_mb)
        return error_set(&r->err, ERR_INVALID,
                         "Flavor's memory is too small for requested image.");
    int64_t gb = INT64_C(1) << 30;
    if (local && f->disk_gb &&
        (i->min_disk_gb > f->disk_gb || i->virtual_size > f->disk_gb * gb))
        return error_set(&r->err, ERR_INVALID,
                         "Flavor's disk is too small for requested image. "
                         "Flavor disk is %lld bytes, image is %lld bytes.",
                         (long long)f->disk_gb * gb,
                         (long long)i->virtual_size);
    return true;
}

static bool plan_image(struct req *r, struct plan *p)
{
    const char *id = ref_id(json_object_get(p->body, "imageRef"));
    if (!id || !*id)
        return true;
    p->image = create_find_image(r, id);
    return p->image && create_image_fits(r, p->image, p->flavor, true);
}

static bool plan_key(struct req *r, struct plan *p)
{
    const char *name;
    if (!nova_string(r, p->body, "key_name", 1, 255, &name))
        return false;
    if (!name)
        return true;
    p->keypair = snap_get(r->snap, &kind_keypair,
                          req_strf(r, "%s/%s", r->auth.user_id, name));
    return p->keypair || create_invalid(r, "Invalid key_name provided.");
}

/* ---- where ------------------------------------------------------------- */

/* "zone", "zone:host" or "zone:host:hypervisor" (admin) */
static bool plan_zone(struct req *r, struct plan *p)
{
    const char *text, *host, *hypervisor;
    if (!nova_string(r, p->body, "availability_zone", 1, 255, &text) ||
        !nova_string(r, p->body, "host", 1, 255, &host) ||
        !nova_string(r, p->body, "hypervisor_hostname", 1, 255, &hypervisor))
        return false;
    if (host && hypervisor && strcmp(host, hypervisor) != 0)
        return create_invalid(r, "No valid host was found: host and "
                                 "hypervisor_hostname are different nodes.");
    host = host ? host : hypervisor; /* one hypervisor a node */
    if (host && (r->mv < MV(2, 74) || !r->auth.is_admin))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Policy doesn't allow compute:servers:create:"
                         "requested_destination to be performed.");
    p->host = host;
    if (!text)
        return true;
    char *zone = arena_strdup(&r->arena, text);
    char *colon = strchr(zone, ':');
    if (colon) {
        *colon = '\0';
        if (!r->auth.is_admin)
            return error_set(&r->err, ERR_FORBIDDEN,
                             "Policy doesn't allow os_compute_api:servers:"
                             "create:forced_host to be performed.");
        colon[1 + strcspn(colon + 1, ":")] = '\0';
        p->host = colon + 1;
    }
    p->zone = *zone ? zone : NULL;
    return true;
}

static bool host_exists(struct req *r, const char *host)
{
    return snap_get(r->snap, &kind_node, host) ||
           error_set(&r->err, ERR_INVALID,
                     "Compute host %.64s could not be found.", host);
}

bool create_zone_exists(struct req *r, const char *zone)
{
    struct snap_iter it = snap_all(r->snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it));) {
        const char *have = n->availability_zone ? n->availability_zone : "nova";
        if (strcmp(have, zone) == 0)
            return true;
    }
    return create_invalid(r,
                          "The requested availability zone is not available");
}

static bool plan_hints(struct req *r, struct plan *p)
{
    p->hints = json_object_get(r->body, "os:scheduler_hints");
    if (!p->hints)
        p->hints = json_object_get(r->body, "OS-SCH-HNT:scheduler_hints");
    const char *group = json_string_value(json_object_get(p->hints, "group"));
    if (!group)
        return true;
    p->group = snap_get(r->snap, &kind_server_group, group);
    if (p->group && req_may_see(r, p->group->project_id))
        return true;
    return error_set(&r->err, ERR_INVALID,
                     "Instance group %.80s could not be found.", group);
}

static bool read_count(struct req *r, const json_t *body, const char *name,
                       int64_t dflt, int64_t *out)
{
    struct attr a = { name, .check = CHECK_INT, .min = 1, .max = INT32_MAX };
    _autojson_ json_t *owned = NULL;
    const json_t *v = json_object_get(body, name);
    *out = dflt;
    if (!v)
        return true;
    if (!check_value(&a, STYLE_NOVA, v, &owned, &r->err))
        return false;
    *out = json_integer_value(owned ? owned : v);
    return true;
}

static bool plan_counts(struct req *r, struct plan *p)
{
    if (!read_count(r, p->body, "min_count", 1, &p->min_count) ||
        !read_count(r, p->body, "max_count", p->min_count, &p->max_count))
        return false;
    if (p->min_count > p->max_count)
        return create_invalid(r, "min_count must be <= max_count");
    if (p->max_count > COUNT_MAX)
        return error_set(&r->err, ERR_INVALID,
                         "At most %d servers can be made by one request.",
                         COUNT_MAX);
    return true;
}

/* ---- all of it --------------------------------------------------------- */

bool create_plan(struct req *r, struct plan *p)
{
    static const char *const around[] = { "server", "os:scheduler_hints",
                                          "OS-SCH-HNT:scheduler_hints", NULL };
    p->body = req_envelope(r, "server");
    p->reservation = req_strf(r, "r-%.8s", req_uuid(r));
    return p->body && nova_only(r, r->body, around) &&
           nova_only(r, p->body, known_members) &&
           nova_string(r, p->body, "name", 1, 255, &p->name) &&
           (p->name || create_invalid(r, "'name' is a required property")) &&
           plan_counts(r, p) && plan_flavor(r, p) && plan_image(r, p) &&
           plan_key(r, p) && plan_zone(r, p) &&
           (!p->zone || create_zone_exists(r, p->zone)) &&
           (!p->host || host_exists(r, p->host)) && plan_hints(r, p) &&
           create_plan_groups(r, p) && create_plan_networks(r, p) &&
           create_plan_devices(r, p);
}
