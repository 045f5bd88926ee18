/* POST /servers: everything a server needs, in one transaction. */
#include "openstack-compat/compute/nova.h"
#include "openstack-compat/network/defaults.h"
#include "openstack-compat/network/ipam.h"
#include "openstack-compat/network/neutron.h"
#include "openstack-compat/volume/volumes.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <string.h>

#define USER_DATA_MAX 65535
#define COUNT_MAX     20
#define NICS_MAX      16
#define VOLUMES_MAX   16

/* What the body asks for, checked, before any server is made. */
struct nic {
    const struct network *network; /* make a port on it, or */
    const struct port *port;       /* take this one */
    const char *fixed_ip;
    const char *tag;
};

struct block_device {
    const char *source; /* image, volume, snapshot, blank */
    const char *id;
    int64_t size_gb;
    bool delete_on_termination;
    bool boot;
    const char *tag;
    const char *volume_type;
};

struct plan {
    const json_t *body;
    const json_t *hints;
    const char *name;
    const struct flavor *flavor;
    const struct image *image; /* local disk from it; NULL: from a volume */
    const struct keypair *keypair;
    const struct server_group *group;
    const char *zone, *host;
    int64_t min_count, max_count;
    struct nic nics[NICS_MAX];
    size_t n_nics;
    struct block_device devices[VOLUMES_MAX];
    size_t n_devices;
    struct strs groups;     /* ids of security groups */
    struct record *scratch; /* whose arena holds them */
    const char *reservation;
};

static bool invalid(struct req *r, const char *what)
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
        return invalid(r, "'flavorRef' is a required property");
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

static const struct image *find_image(struct req *r, const char *id)
{
    const struct image *i = snap_get(r->snap, &kind_image, id);
    if (i && image_visible(r, i))
        return i;
    error_set(&r->err, ERR_INVALID, "Can not find requested image");
    return NULL;
}

static bool image_fits(struct req *r, const struct image *i,
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
    p->image = find_image(r, id);
    return p->image && image_fits(r, p->image, p->flavor, true);
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
    return p->keypair || invalid(r, "Invalid key_name provided.");
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
        return invalid(r, "No valid host was found: host and "
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

static bool zone_exists(struct req *r, const char *zone)
{
    struct snap_iter it = snap_all(r->snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it));) {
        const char *have = n->availability_zone ? n->availability_zone : "nova";
        if (strcmp(have, zone) == 0)
            return true;
    }
    return invalid(r, "The requested availability zone is not available");
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
        return invalid(r, "min_count must be <= max_count");
    if (p->max_count > COUNT_MAX)
        return error_set(&r->err, ERR_INVALID,
                         "At most %d servers can be made by one request.",
                         COUNT_MAX);
    return true;
}

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
        return !must || invalid(r, "No network is available to this project; "
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
        return invalid(r, "Unable to launch multiple instances with a single "
                          "configured port ID. Please launch your instance "
                          "one by one with different ports.");
    if (nic->fixed_ip)
        return invalid(r, "networks: fixed_ip goes with uuid, not with port");
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
static bool read_tag(struct req *r, const json_t *item, microversion since,
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
        return r->err.code ? false : invalid(r, "networks: objects expected");
    if (nic->fixed_ip && !check_ip(nic->fixed_ip))
        return error_set(&r->err, ERR_INVALID, "Invalid fixed IP address %.64s",
                         nic->fixed_ip);
    if (nic->fixed_ip && p->max_count > 1)
        return invalid(r, "Invalid fixed IPs: max_count cannot be greater than "
                          "1 if a fixed_ip is specified.");
    if (!read_tag(r, item, MV(2, 32), &nic->tag))
        return false;
    if (port && !plan_port(r, p, nic, port))
        return false;
    p->n_nics++;
    if (port)
        return true;
    return network ? plan_network(r, nic, network)
                   : invalid(r, "networks: uuid or port is expected");
}

static bool plan_networks(struct req *r, struct plan *p)
{
    size_t i;
    json_t *item, *v = json_object_get(p->body, "networks");
    const char *word = json_string_value(v);
    if (word && r->mv >= MV(2, 37))
        return strcmp(word, "none") == 0 ||
               (strcmp(word, "auto") == 0
                    ? plan_only_network(r, p, true)
                    : invalid(r, "networks must be auto, none or a list"));
    if (!v && r->mv >= MV(2, 37))
        return invalid(r, "'networks' is a required property");
    if (!v || json_is_null(v) || (json_is_array(v) && !json_array_size(v)))
        return plan_only_network(r, p, false);
    if (!json_is_array(v) || json_array_size(v) > NICS_MAX)
        return invalid(r, "networks must be a list of at most 16");
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

static bool plan_groups(struct req *r, struct plan *p)
{
    size_t i;
    json_t *item, *v = json_object_get(p->body, "security_groups");
    if (v && !json_is_array(v))
        return invalid(r, "security_groups must be a list");
    json_array_foreach(v, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (!name)
            return invalid(r, "security_groups: a name is expected");
        const struct security_group *g = find_group(r, name);
        if (!g)
            return false;
        if (!strs_has(&p->groups, g->rec.id))
            strs_add(p->scratch, &p->groups, g->rec.id);
    }
    return true;
}

/* ---- block devices ----------------------------------------------------- */

static bool read_size(struct req *r, const json_t *item, int64_t *size)
{
    struct attr a = { "volume_size", .check = CHECK_INT, .min = 1,
                      .max = INT32_MAX };
    _autojson_ json_t *owned = NULL;
    const json_t *v = json_object_get(item, "volume_size");
    if (!v || json_is_null(v) || (json_is_string(v) && !*json_string_value(v)))
        return true;
    if (!check_value(&a, STYLE_NOVA, v, &owned, &r->err))
        return false;
    *size = json_integer_value(owned ? owned : v);
    return true;
}

static bool read_device(struct req *r, const json_t *item,
                        struct block_device *d, int64_t *boot_index,
                        bool *local)
{
    static const char *const known[] = { "source_type",
                                         "destination_type",
                                         "uuid",
                                         "boot_index",
                                         "volume_size",
                                         "volume_type",
                                         "delete_on_termination",
                                         "device_name",
                                         "device_type",
                                         "disk_bus",
                                         "guest_format",
                                         "no_device",
                                         "tag",
                                         NULL };
    const json_t *index = json_object_get(item, "boot_index");
    const char *to =
        json_string_value(json_object_get(item, "destination_type"));
    *d = (struct block_device){
        .source = json_string_value(json_object_get(item, "source_type")),
        .id = json_string_value(json_object_get(item, "uuid")),
        .delete_on_termination =
            json_is_true(json_object_get(item, "delete_on_termination")),
        .volume_type = json_string_value(json_object_get(item, "volume_type")),
    };
    *boot_index = json_is_string(index)
                      ? strtoll(json_string_value(index), NULL, 10)
                  : json_is_integer(index) ? json_integer_value(index)
                                           : -1;
    *local = to ? strcmp(to, "local") == 0
                : d->source && strcmp(d->source, "image") == 0;
    if (!json_is_object(item) || !d->source)
        return invalid(r, "block_device_mapping_v2: source_type is expected");
    if (!nova_only(r, item, known) || !read_tag(r, item, MV(2, 32), &d->tag))
        return false;
    return read_size(r, item, &d->size_gb);
}

static bool check_device(struct req *r, const struct plan *p,
                         const struct block_device *d)
{
    bool blank = strcmp(d->source, "blank") == 0;
    bool image = strcmp(d->source, "image") == 0;
    bool snapshot = strcmp(d->source, "snapshot") == 0;
    bool volume = strcmp(d->source, "volume") == 0;
    if (!blank && !image && !snapshot && !volume)
        return invalid(r, "block_device_mapping_v2: unknown source_type");
    if ((blank || image) && !d->size_gb)
        return invalid(r, "block_device_mapping_v2: volume_size is expected");
    if (!blank && (!d->id || !check_id(d->id)))
        return invalid(r, "block_device_mapping_v2: uuid is expected");
    if (d->volume_type && r->mv < MV(2, 67))
        return invalid(r, "volume_type needs microversion 2.67");
    const struct image *i = image ? find_image(r, d->id) : NULL;
    if (image && (!i || !image_fits(r, i, p->flavor, false)))
        return false;
    if (!volume)
        return true;
    const struct volume *v = snap_get(r->snap, &kind_volume, d->id);
    if (!v || !req_may_see(r, v->project_id))
        return error_set(&r->err, ERR_INVALID,
                         "Block Device Mapping is Invalid: failed to get "
                         "volume %.64s.",
                         d->id);
    if (volume_is_copied(r->snap, v))
        return error_set(&r->err, ERR_CONFLICT,
                         "Volume %s is being copied, try again.", v->rec.id);
    if (v->status != VOLUME_AVAILABLE)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: status must be 'available'. "
                         "Currently in '%s'",
                         volume_status_names[v->status]);
    if (d->boot && !v->bootable)
        return error_set(&r->err, ERR_INVALID,
                         "Block Device Mapping is Invalid: Volume %s is not "
                         "bootable.",
                         v->rec.id);
    return true;
}

static bool boots_twice(const struct plan *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_devices; i++)
        n += p->devices[i].boot;
    return n > 1;
}

static bool plan_device(struct req *r, struct plan *p, const json_t *item)
{
    int64_t boot_index;
    bool local;
    struct block_device d;
    if (!read_device(r, item, &d, &boot_index, &local))
        return false;
    if (local && strcmp(d.source, "image") == 0) {
        p->image = d.id ? find_image(r, d.id) : NULL;
        return p->image && image_fits(r, p->image, p->flavor, true);
    }
    if (local)
        return error_set(&r->err, ERR_NOT_IMPLEMENTED,
                         "Local ephemeral and swap disks are not built yet.");
    d.boot = boot_index == 0;
    if (!check_device(r, p, &d))
        return false;
    if (d.boot && p->image) /* --image with --boot-from-volume's mapping */
        p->image = NULL;
    for (size_t i = 0; i < p->n_devices; i++)
        if (strcmp(d.source, "volume") == 0 && p->devices[i].id &&
            strcmp(p->devices[i].id, d.id) == 0)
            return error_set(&r->err, ERR_INVALID,
                             "Block Device Mapping is Invalid: volume %.64s "
                             "is in it twice.",
                             d.id);
    if (p->n_devices == VOLUMES_MAX)
        return invalid(r, "block_device_mapping_v2: at most 16 are supported");
    p->devices[p->n_devices++] = d;
    return true;
}

static bool plan_devices(struct req *r, struct plan *p)
{
    size_t i;
    json_t *item, *v = json_object_get(p->body, "block_device_mapping_v2");
    bool boots = false;
    if (v && !json_is_array(v))
        return invalid(r, "block_device_mapping_v2 must be a list");
    json_array_foreach(v, i, item) if (!plan_device(r, p, item)) return false;
    for (i = 0; i < p->n_devices; i++)
        boots |= p->devices[i].boot;
    if (boots_twice(p))
        return invalid(r, "Block Device Mapping is Invalid: Boot sequence for "
                          "the instance and image/block device mapping "
                          "combination is not valid.");
    if (!boots && !p->image)
        return invalid(r, "Invalid imageRef provided.");
    if (p->flavor->ephemeral_gb || p->flavor->swap_mb)
        return error_set(&r->err, ERR_NOT_IMPLEMENTED,
                         "Flavors with ephemeral or swap disks are not built "
                         "yet.");
    if (p->max_count > 1)
        for (i = 0; i < p->n_devices; i++)
            if (strcmp(p->devices[i].source, "volume") == 0)
                return invalid(r, "Cannot attach one or more volumes to "
                                  "multiple instances");
    return true;
}

/* ---- making ------------------------------------------------------------ */

static void set_hostname(struct server *s, const char *name)
{
    char text[64];
    size_t n = 0;
    for (const char *c = name; *c && n < sizeof(text) - 1; c++) {
        if (isalnum((unsigned char)*c))
            text[n++] = (char)tolower((unsigned char)*c);
        else if ((*c == '-' || *c == '_' || *c == ' ' || *c == '.') && n)
            text[n++] = '-';
    }
    while (n && text[n - 1] == '-')
        n--;
    text[n] = '\0';
    s->hostname = n ? rec_str(s, text) : rec_strf(s, "server-%s", s->rec.id);
}

static void copy_map(void *record, struct map *to, const struct map *from,
                     bool hardware_only)
{
    for (size_t i = 0; i < from->n; i++) {
        const char *key = from->v[i].key;
        if (!hardware_only || strncmp(key, "hw_", 3) == 0 ||
            strncmp(key, "os_", 3) == 0 || strncmp(key, "trait:", 6) == 0)
            map_put(record, to, key, from->v[i].value);
    }
}

static void fill_from_plan(struct req *r, struct server *s,
                           const struct plan *p)
{
    const struct flavor *f = p->flavor;
    s->project_id = rec_str(s, r->auth.project_id);
    s->user_id = rec_str(s, r->auth.user_id);
    s->flavor_id = rec_str(s, f->rec.id);
    s->flavor_name = rec_str(s, f->name);
    s->vcpus = f->vcpus;
    s->ram_mb = f->ram_mb;
    s->disk_gb = f->disk_gb;
    copy_map(s, &s->extra_specs, &f->extra_specs, false);
    if (p->image) {
        s->image_id = rec_str(s, p->image->rec.id);
        copy_map(s, &s->image_properties, &p->image->properties, true);
    }
    if (p->keypair) {
        s->key_name = rec_str(s, p->keypair->name);
        s->key_public = rec_str(s, p->keypair->public_key);
    }
    if (p->group)
        s->server_group_id = rec_str(s, p->group->rec.id);
    s->requested_zone = rec_str(s, p->zone);
    s->requested_host = rec_str(s, p->host);
    s->reservation_id = rec_str(s, p->reservation);
    s->goal = GOAL_RUNNING;
    s->vm_state = VM_BUILDING;
    s->task_state = TASK_SCHEDULING;
    s->created = s->updated = r->now;
}

static bool read_user_data(struct req *r, struct server *s, const json_t *body)
{
    const char *text;
    if (!nova_string(r, body, "user_data", 0, USER_DATA_MAX, &text))
        return false;
    size_t n = text ? strlen(text) : 0;
    if (n % 4 ||
        (n && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
                           "wxyz0123456789+/=") != n))
        return invalid(r, "Userdata content cannot be decoded: base64 is "
                          "expected.");
    s->user_data = rec_str(s, text);
    return true;
}

static bool read_config_drive(struct req *r, struct server *s,
                              const json_t *body)
{
    const json_t *v = json_object_get(body, "config_drive");
    if (json_is_string(v) && !*json_string_value(v))
        return true;
    if (json_is_string(v) && parse_bool(json_string_value(v), &s->config_drive))
        return true;
    s->config_drive = json_is_true(v);
    return !v || json_is_boolean(v) || json_is_null(v) ||
           invalid(r, "config_drive must be a boolean");
}

/* Files to inject: the limit is none, and the limits say so. */
static bool no_personality(struct req *r, const json_t *body)
{
    return !json_array_size(json_object_get(body, "personality")) ||
           error_set(&r->err, ERR_QUOTA, "Personality file limit exceeded");
}

static bool read_tags(struct req *r, struct server *s, const json_t *body)
{
    size_t i;
    json_t *item, *v = json_object_get(body, "tags");
    if (v &&
        (r->mv < MV(2, 52) || !json_is_array(v) || json_array_size(v) > 50))
        return invalid(r, "tags: a list of at most 50 from 2.52 on");
    json_array_foreach(v, i, item)
    {
        const char *tag = json_string_value(item);
        if (!tag || !*tag || strlen(tag) > 60 || strpbrk(tag, "/,"))
            return invalid(r, "A tag has 1 to 60 characters, no '/' or ','");
        if (!strs_has(&s->tags, tag))
            strs_add(s, &s->tags, tag);
    }
    return true;
}

static bool fill_from_body(struct req *r, struct server *s,
                           const struct plan *p)
{
    const json_t *body = p->body, *metadata = json_object_get(body, "metadata");
    const char *description, *hostname;
    if (!nova_string(r, body, "description", 0, 255, &description) ||
        !nova_string(r, body, "hostname", 1, 63, &hostname) ||
        !read_user_data(r, s, body) || !read_config_drive(r, s, body) ||
        !read_tags(r, s, body) || !no_personality(r, body))
        return false;
    if (description && r->mv < MV(2, 19))
        return invalid(r, "description needs microversion 2.19");
    if (hostname && r->mv < MV(2, 90))
        return invalid(r, "hostname needs microversion 2.90");
    if (!server_read_access(r, s, body))
        return false;
    s->description = rec_str(s, description);
    if (hostname)
        s->hostname = rec_str(s, hostname);
    if (json_is_object(p->hints)) {
        _autofree_ char *text = json_dumps(p->hints, JSON_COMPACT);
        s->scheduler_hints = rec_str(s, text);
    }
    return !metadata ||
           nova_read_metadata(r, s, &s->metadata, metadata, "metadata");
}

static bool join_port(struct req *r, struct server *s, const struct nic *nic)
{
    struct server_port *sp = list_add(s, &s->ports, sizeof(*sp));
    _autorecord_ struct port *port = record_copy(nic->port);
    sp->port_id = rec_str(s, port->rec.id);
    sp->tag = rec_str(s, nic->tag);
    port->device_id = rec_str(port, s->rec.id);
    port->device_owner = OWNER_COMPUTE "nova";
    port->dns_name = rec_str(port, s->hostname);
    port->updated = r->now;
    txn_change_record(&r->txn, port);
    return true;
}

static bool make_port(struct req *r, struct server *s, const struct plan *p,
                      const struct nic *nic)
{
    struct port_wish wish = { .any_address = true, .default_group = true };
    struct server_port *sp = list_add(s, &s->ports, sizeof(*sp));
    _autorecord_ struct port *port = record_new(&kind_port, req_uuid(r));
    sp->port_id = rec_str(s, port->rec.id);
    sp->tag = rec_str(s, nic->tag);
    sp->delete_on_termination = true;
    port->project_id = rec_str(port, s->project_id);
    port->network_id = rec_str(port, nic->network->rec.id);
    port->device_id = rec_str(port, s->rec.id);
    port->device_owner = OWNER_COMPUTE "nova";
    port->dns_name = rec_str(port, s->hostname);
    port->name = port->description = "";
    port->vnic_type = "normal";
    port->admin_state_up = true;
    port->port_security_enabled = nic->network->port_security_enabled;
    port->created = port->updated = r->now;
    if (port->port_security_enabled)
        for (size_t i = 0; i < p->groups.n; i++)
            strs_add(port, &port->security_group_ids, p->groups.v[i]);
    if (nic->fixed_ip && !nova_give_address(r, port, nic->fixed_ip))
        return false;
    return port_place(&r->txn, r->snap, r->env, port, wish, &r->err);
}

static bool make_ports(struct req *r, struct server *s, const struct plan *p)
{
    for (size_t i = 0; i < p->n_nics; i++)
        if (!(p->nics[i].port ? join_port(r, s, &p->nics[i])
                              : make_port(r, s, p, &p->nics[i])))
            return false;
    return true;
}

/* A new volume for the server, made from the image, snapshot or nothing. */
static bool new_volume(struct req *r, struct volume *v, const struct server *s,
                       const struct block_device *d)
{
    v->project_id = rec_str(v, s->project_id);
    v->user_id = rec_str(v, s->user_id);
    v->name = v->description = "";
    v->size_gb = d->size_gb;
    v->volume_type_id = rec_str(v, d->volume_type);
    v->created = v->updated = r->now;
    if (strcmp(d->source, "image") == 0)
        v->image_id = rec_str(v, d->id);
    if (strcmp(d->source, "snapshot") == 0)
        v->snapshot_id = rec_str(v, d->id);
    return volume_make(&r->txn, r->snap, v, &r->err);
}

static bool make_volume(struct req *r, struct server *s,
                        const struct block_device *d, int letter)
{
    bool existing = strcmp(d->source, "volume") == 0;
    const struct volume *was =
        existing ? snap_get(r->snap, &kind_volume, d->id) : NULL;
    _autorecord_ struct volume *v =
        existing ? record_copy(was) : record_new(&kind_volume, req_uuid(r));
    struct server_volume *sv = list_add(s, &s->volumes, sizeof(*sv));
    sv->volume_id = rec_str(s, v->rec.id);
    sv->attachment_id = rec_str(s, req_uuid(r));
    sv->device = rec_strf(s, "/dev/vd%c", letter);
    sv->tag = rec_str(s, d->tag);
    sv->boot = d->boot;
    sv->delete_on_termination = d->delete_on_termination;
    struct volume_attachment *a = list_add(v, &v->attachments, sizeof(*a));
    a->attachment_id = rec_str(v, sv->attachment_id);
    a->server_id = rec_str(v, s->rec.id);
    a->device = rec_str(v, sv->device);
    if (!existing)
        return new_volume(r, v, s, d);
    v->status = VOLUME_RESERVED;
    v->updated = r->now;
    txn_change_record(&r->txn, v);
    return true;
}

static bool make_volumes(struct req *r, struct server *s, const struct plan *p)
{
    int next = 'b';
    for (size_t i = 0; i < p->n_devices; i++) {
        const struct block_device *d = &p->devices[i];
        if (!make_volume(r, s, d, d->boot ? 'a' : next++))
            return false;
    }
    return true;
}

static void make_disk(struct req *r, const struct server *s,
                      const struct plan *p)
{
    if (!p->image)
        return;
    _autorecord_ struct disk *d = record_new(&kind_disk, s->rec.id);
    d->project_id = rec_str(d, s->project_id);
    d->image_id = rec_str(d, s->image_id);
    d->size_gb = s->disk_gb;
    d->state = DISK_WANTED;
    txn_change_record(&r->txn, d);
    txn_expect_record(&r->txn, p->image); /* not deleted meanwhile */
}

static struct server *make_server(struct req *r, const struct plan *p,
                                  int64_t index)
{
    struct server *s = record_new(&kind_server, req_uuid(r));
    fill_from_plan(r, s, p);
    s->launch_index = index;
    server_note(r, s, "create");
    s->name = p->max_count > 1
                  ? rec_strf(s, "%s-%lld", p->name, (long long)index + 1)
                  : rec_str(s, p->name);
    bool ok = fill_from_body(r, s, p);
    if (ok && !s->hostname)
        set_hostname(s, s->name);
    ok = ok && make_ports(r, s, p) && make_volumes(r, s, p);
    if (!ok) {
        record_unref(s);
        return NULL;
    }
    make_disk(r, s, p);
    txn_change_record(&r->txn, s);
    return s;
}

/* ---- the handler ------------------------------------------------------- */

static bool make_plan(struct req *r, struct plan *p)
{
    static const char *const around[] = { "server", "os:scheduler_hints",
                                          "OS-SCH-HNT:scheduler_hints", NULL };
    p->body = req_envelope(r, "server");
    p->reservation = req_strf(r, "r-%.8s", req_uuid(r));
    return p->body && nova_only(r, r->body, around) &&
           nova_only(r, p->body, known_members) &&
           nova_string(r, p->body, "name", 1, 255, &p->name) &&
           (p->name || invalid(r, "'name' is a required property")) &&
           plan_counts(r, p) && plan_flavor(r, p) && plan_image(r, p) &&
           plan_key(r, p) && plan_zone(r, p) &&
           (!p->zone || zone_exists(r, p->zone)) &&
           (!p->host || host_exists(r, p->host)) && plan_hints(r, p) &&
           plan_groups(r, p) && plan_networks(r, p) && plan_devices(r, p);
}

/* max_count if the quota allows, else as many as it does, min_count at
 * least. */
static bool charge(struct req *r, const struct plan *p, int64_t *count)
{
    const char *project = r->auth.project_id;
    const struct flavor *f = p->flavor;
    for (*count = p->max_count; *count >= p->min_count; --*count) {
        struct amount amounts[] = {
            { "instances", *count },
            { "cores", *count * f->vcpus },
            { "ram", *count * f->ram_mb },
        };
        error_clear(&r->err);
        if (quota_charge(&r->txn, r->snap, "compute", project, amounts,
                         ARRAY_SIZE(amounts), &r->err))
            return true;
        if (r->err.code != ERR_QUOTA)
            return false;
    }
    return false;
}

static enum outcome reply(struct req *r, const struct plan *p,
                          const struct server *first)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    if (json_is_true(json_object_get(p->body, "return_reservation_id"))) {
        jw_str(&w, "reservation_id", p->reservation);
        jw_obj_end(&w);
        return req_reply(r, 202);
    }
    jw_obj(&w, "server");
    jw_str(&w, "id", first->rec.id);
    nova_links(r, &w, "servers", first->rec.id);
    jw_str(&w, "OS-DCF:diskConfig", "MANUAL");
    jw_arr(&w, "security_groups");
    if (!p->groups.n && p->n_nics) { /* each port has its own project's */
        jw_obj(&w, NULL);
        jw_str(&w, "name", "default");
        jw_obj_end(&w);
    }
    for (size_t i = 0; i < p->groups.n; i++) {
        const struct security_group *g =
            snap_get(r->snap, &kind_security_group, p->groups.v[i]);
        jw_obj(&w, NULL);
        jw_str(&w, "name", g->name);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    jw_obj_end(&w);
    http_header(
        &r->resp, "Location",
        req_strf(r, "%s/v2.1/servers/%s", req_base_url(r), first->rec.id));
    return req_reply(r, 202);
}

static enum outcome create(struct req *r, struct plan *p)
{
    int64_t count;
    enum outcome out = OUT_FAIL;
    if (!make_plan(r, p) || !charge(r, p, &count))
        return req_failed(r);
    for (int64_t i = 0; i < count; i++) {
        _autorecord_ struct server *s = make_server(r, p, i);
        if (!s)
            return req_failed(r);
        if (i == 0)
            out = reply(r, p, s);
    }
    return out;
}

enum outcome server_create(struct req *r)
{
    struct plan p = { .scratch = record_new(&kind_server, "scratch") };
    enum outcome out = create(r, &p);
    record_unref(p.scratch);
    return out;
}
