#include "engine/wish.h"

#include "common/alloc.h"
#include "engine/weights.h"
#include "model/cpu_type.h"
#include "model/shape.h"
#include "model/share.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THOUSAND 1000

/* ---- small helpers ------------------------------------------------------- */

static int32_t amount(int64_t n)
{
    return n < 0 ? 0 : n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

uint64_t wish_number(const char *kind, const char *id)
{
    uint64_t h = 0xCBF29CE484222325ULL;
    for (const char *p = kind; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001B3ULL;
    h = (h ^ '/') * 0x100000001B3ULL;
    for (const char *p = id; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001B3ULL;
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93ULL;
    h ^= h >> 32;
    return h ? h : 1;
}

int64_t wish_priority(const char *text)
{
    int64_t n = text ? strtoll(text, NULL, 10) : 0;
    return n > WISH_PRIORITY_MAX    ? WISH_PRIORITY_MAX
           : n < -WISH_PRIORITY_MAX ? -WISH_PRIORITY_MAX
                                    : n;
}

static int64_t wish_local_disk_gb(const struct server *s)
{
    int64_t root = s->image_id ? s->disk_gb : 0;
    return root + s->ephemeral_gb + (s->swap_mb + 1023) / 1024;
}

/* The node that local storage binds a volume to: its own, or that of what
 * it is made from; NULL: none yet. */
static const char *wish_volume_home(const struct snapshot *s,
                                    const struct volume *volume)
{
    if (volume->node)
        return volume->node;
    const struct volume_snapshot *from =
        snap_get(s, &kind_snapshot, volume->snapshot_id);
    if (from)
        return from->node;
    const struct volume *source = snap_get(s, &kind_volume, volume->source_id);
    return source ? source->node : NULL;
}

/* ---- extra specs --------------------------------------------------------- */

/* What is being read: a server's flavor and image into a wish. */
struct reading {
    struct view *v;
    const struct server *server;
    struct wish *w;
    struct error *err;
    bool bad; /* a word makes no sense; *err says which */
};

static void note_nobody(struct wish *w, const char *name)
{
    if (!*w->nobody)
        snprintf(w->nobody, sizeof(w->nobody), "%.*s",
                 (int)sizeof(w->nobody) - 1, name);
}

/* A name that no node has: the request keeps a stand-in, the wish its name. */
static unsigned known_or_nobody(struct reading *in, enum fleet_name kind,
                                const char *name, unsigned nobody)
{
    int n = view_known(in->v, kind, name);
    if (n < 0)
        note_nobody(in->w, name);
    return n < 0 ? nobody : (unsigned)n;
}

/* Or else nobody has it, and names that are made up take no room. */
static bool some_cpu_has(struct reading *in, const char *trait)
{
    const struct fleet_names *kinds = &view_fleet(in->v)->names[FLEET_NAME_CPU];
    for (uint32_t i = 1; i < kinds->n; i++)
        if (cpu_type_has(kinds->at[i], trait))
            return true;
    return false;
}

static void read_trait(struct reading *in, const char *name, const char *value)
{
    struct demand *d = &in->w->request.demand;
    if (cpu_type_is_trait(name) && some_cpu_has(in, name))
        view_condition(in->v, name); /* made at first sight */
    if (same(value, "required"))
        set_add(&d->required,
                known_or_nobody(in, FLEET_NAME_TRAIT, name, VIEW_NOBODY));
    int n = view_known(in->v, FLEET_NAME_TRAIT, name);
    if (same(value, "forbidden") && n >= 0)
        set_add(&d->forbidden, (unsigned)n);
}

static void read_condition(struct reading *in, const char *name)
{
    int n = view_condition(in->v, name);
    set_add(&in->w->request.demand.required, n < 0 ? VIEW_NOBODY : (unsigned)n);
    if (n < 0)
        note_nobody(in->w, name);
}

static void read_aggregate_spec(struct reading *in, const char *key,
                                const char *wanted)
{
    char name[512];
    snprintf(name, sizeof(name), "aggregate:%s=%s", key, wanted);
    read_condition(in, name);
}

/* One more kind of device; `must`: also when no node has had such.  What is
 * beyond the rows counts as what nobody has. */
static bool add_device(struct reading *in, const char *name, int64_t count,
                       bool must)
{
    struct request_device *want = in->w->request.demand.devices;
    struct request_device one = {
        .kind = VIEW_NOBODY,
        .count = (uint8_t)(count < 1               ? 1
                           : count > FLEET_DEVICES ? FLEET_DEVICES + 1
                                                   : count),
        .thousandths = THOUSAND,
    };
    int i = 0;
    bool known = view_device(in->v, name, &one);
    if (!known && !must)
        return false;
    while (i < REQUEST_DEVICES && want[i].count)
        i++;
    if (!known || i == REQUEST_DEVICES)
        note_nobody(in->w, name);
    if (i == REQUEST_DEVICES) {
        one.kind = VIEW_NOBODY;
        i--;
    }
    want[i] = one;
    return true;
}

static void read_resource(struct reading *in, const char *class_,
                          const char *text)
{
    static const struct {
        const char *name;
        enum fleet_resource resource;
        int64_t factor;
    } fixed[] = { { "VCPU", FLEET_VCPU, THOUSAND },
                  { "MEMORY_MB", FLEET_MEMORY, 1 },
                  { "DISK_GB", FLEET_DISK, 1 } };
    int32_t *need = in->w->request.demand.need;
    int64_t n = strtoll(text, NULL, 10);
    if (same(class_, "NET_BW_EGR_KILOBIT_PER_SEC") ||
        same(class_, "NET_BW_IGR_KILOBIT_PER_SEC")) {
        int32_t mbit = amount((n + 999) / 1000); /* links go both ways */
        if (mbit > need[FLEET_BANDWIDTH])
            need[FLEET_BANDWIDTH] = mbit;
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        if (strcmp(class_, fixed[i].name) == 0) {
            need[fixed[i].resource] = amount(n * fixed[i].factor);
            return;
        }
    if (n > 0 && add_device(in, class_, n, false))
        return;
    if (n <= 0)
        return;
    int known = view_known(in->v, FLEET_NAME_RESOURCE, class_);
    if (known <= FLEET_CUSTOM) /* the fleet's own names are not Placement's */
        note_nobody(in->w, class_);
    need[known <= FLEET_CUSTOM ? FLEET_CUSTOM : known] = amount(n);
}

/* "alias:2,other": so many of them; a name may hold a colon itself. */
static void read_devices(struct reading *in, const char *rest, const char *text)
{
    char name[64];
    for (const char *p = text; *p; p += strcspn(p, ",")) {
        p += strspn(p, ", ");
        size_t len = strcspn(p, ",");
        const char *colon = memrchr(p, ':', len);
        char *end = NULL;
        long count = colon ? strtol(colon + 1, &end, 10) : 1;
        if (colon && end == p + len)
            len = (size_t)(colon - p);
        snprintf(name, sizeof(name), "%.*s", (int)len, p);
        if (*name)
            add_device(in, name, count, true);
    }
}

static void read_profile(struct reading *in, const char *rest, const char *text)
{
    add_device(in, text, 1, true);
}

static void read_policy(struct reading *in, const char *rest, const char *text)
{
    struct score_policy policy;
    in->bad |= !weights_read(view_fleet(in->v), text, &policy, in->err);
    if (!in->bad)
        in->w->request.demand.policy = (uint16_t)view_policy(in->v, &policy);
}

/* For whom a rebalancing move is a larger matter. */
static void read_priority(struct reading *in, const char *rest,
                          const char *text)
{
    in->w->request.priority = (int32_t)wish_priority(text);
}

/* "rack", "zone:2": the members of its group may differ by so many. */
static void read_spread(struct reading *in, const char *rest, const char *text)
{
    static const char *const levels[] = { "host", "rack", "zone", NULL };
    struct request_group *g = &in->w->request.group;
    char name[8];
    const char *colon = strchr(text, ':');
    long skew = colon ? strtol(colon + 1, NULL, 10) : 1;
    snprintf(name, sizeof(name), "%.*s",
             (int)(colon ? colon - text : (long)strlen(text)), text);
    int level = enum_from_name(levels, name);
    if (level < 0 || skew < 1 || skew > 1000)
        return;
    g->level = (uint8_t)level;
    g->skew = (uint16_t)skew;
}

typedef void read_fn(struct reading *in, const char *rest, const char *value);

/* A name that ends in ':' is a prefix; `rest` is what follows it. */
static const struct {
    const char *name;
    read_fn *fn;
} specs[] = {
    { "trait:", read_trait },
    { "resources:", read_resource },
    { "aggregate_instance_extra_specs:", read_aggregate_spec },
    { "pci_passthrough:alias", read_devices },
    { "accel:device_profile", read_profile },
    { WEIGHTS_SPEC, read_policy },
    { WISH_SPREAD, read_spread },
    { WISH_PRIORITY, read_priority },
};

static void read_spec(struct reading *in, const struct map_item *item)
{
    for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
        size_t n = strlen(specs[i].name);
        bool prefix = specs[i].name[n - 1] == ':';
        if (strncmp(item->key, specs[i].name, n) == 0 &&
            (prefix || !item->key[n]))
            specs[i].fn(in, item->key + n, item->value);
    }
}

static void read_image(struct reading *in, const struct map *properties)
{
    const char *machine = map_get(properties, "hw_architecture");
    char name[80];
    for (size_t i = 0; i < properties->n; i++)
        if (strncmp(properties->v[i].key, "trait:", 6) == 0)
            read_trait(in, properties->v[i].key + 6, properties->v[i].value);
    if (!machine)
        return;
    snprintf(name, sizeof(name), "machine=%s", machine);
    int n = view_known(in->v, FLEET_NAME_TRAIT, name);
    set_add(&in->w->request.demand.required, n < 0 ? VIEW_NOBODY : (unsigned)n);
    if (n < 0)
        note_nobody(in->w, name);
}

/* The type of the parts of devices that are asked for. */
static void read_parts(struct reading *in, const struct map *words)
{
    struct request_device *want = in->w->request.demand.devices;
    for (size_t i = 0; i < words->n; i++)
        for (int k = 0; k < REQUEST_DEVICES && want[k].count; k++)
            if (strncmp(words->v[i].key, "trait:", 6) == 0 &&
                same(words->v[i].value, "required"))
                view_part(in->v, words->v[i].key + 6, &want[k]);
}

/* ---- tenants, groups ----------------------------------------------------- */

/* "a, b,c" */
static bool in_list(const char *list, const char *one)
{
    size_t n = strlen(one);
    for (const char *p = list; *p; p += strcspn(p, ",")) {
        p += strspn(p, ", ");
        size_t len = strcspn(p, ",");
        while (len && p[len - 1] == ' ')
            len--;
        if (len == n && strncmp(p, one, n) == 0)
            return true;
    }
    return false;
}

/* The isolating aggregates that let the tenant in. */
static void read_tenant(struct reading *in, const char *project)
{
    if (!project || set_empty(&view_fleet(in->v)->isolating))
        return;
    struct snap_iter it = snap_all(view_snapshot(in->v), &kind_aggregate);
    for (const struct aggregate *a; (a = snap_next(&it));) {
        int n = view_known(in->v, FLEET_NAME_AGGREGATE, a->rec.id);
        for (size_t i = 0; n >= 0 && i < a->metadata.n; i++)
            if (strncmp(a->metadata.v[i].key, "filter_tenant_id", 16) == 0 &&
                in_list(a->metadata.v[i].value, project))
                set_add(&in->w->request.demand.entitled, (unsigned)n);
    }
}

/* The hint goes before the flavor. */
static void read_spread_hint(struct reading *in)
{
    const char *text = in->server->scheduler_hints;
    if (!text || !strstr(text, WISH_SPREAD))
        return;
    _autojson_ json_t *hints = json_loads(text, 0, NULL);
    const char *spread = json_string_value(json_object_get(hints, WISH_SPREAD));
    if (spread)
        read_spread(in, "", spread);
}

static void read_group(struct reading *in)
{
    static const char *const names[] = {
        "",  "affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity",
        NULL
    };
    const struct server_group *g = snap_get(
        view_snapshot(in->v), &kind_server_group, in->server->server_group_id);
    int policy = g && g->policy ? enum_from_name(names, g->policy) : -1;
    struct request_group *out = &in->w->request.group;
    if (policy <= 0 || in->server->goal == GOAL_DELETED) {
        *out = (struct request_group){ 0 };
        return;
    }
    read_spread_hint(in);
    out->id = wish_number("server_group", g->rec.id);
    out->policy = (uint8_t)policy;
    out->most = (uint32_t)amount(g->max_server_per_host);
}

static void read_zone(struct reading *in, const char *zone)
{
    in->w->zone = zone;
    if (!zone)
        return;
    int n = view_known(in->v, FLEET_NAME_ZONE, zone);
    in->w->request.demand.zone = n < 0 ? UINT32_MAX : (uint32_t)n;
}

/* Memory in huge pages is none of the ordinary one, a CPU of its own none of
 * those that are shared. */
static void take_instead(int32_t *need, enum fleet_resource from,
                         enum fleet_resource to, int32_t n)
{
    need[from] = 0;
    need[to] = n;
}

static bool read_shape(struct reading *in, struct error *err)
{
    const struct server *s = in->server;
    struct demand *d = &in->w->request.demand;
    struct shape shape;
    bool ok = shape_of_server(s, &shape, err);
    d->cells = (uint16_t)shape.cells;
    if (shape.page_kib)
        take_instead(d->need, FLEET_MEMORY,
                     shape.page_kib == SHAPE_GIGA_KIB ? FLEET_GIGAPAGES
                                                      : FLEET_HUGEPAGES,
                     amount(s->ram_mb));
    if (shape.pinned)
        take_instead(d->need, FLEET_VCPU, FLEET_PCPU, amount(s->vcpus));
    return ok;
}

/* What holds for a server for as long as it lives.  False: its shape makes no
 * sense; all else is read. */
static bool read_lasting(struct reading *in, struct error *err)
{
    const struct server *s = in->server;
    struct demand *d = &in->w->request.demand;
    in->err = err;
    d->need[FLEET_VCPU] = amount(s->vcpus * THOUSAND);
    d->need[FLEET_MEMORY] = amount(s->ram_mb);
    d->need[FLEET_DISK] = amount(wish_local_disk_gb(s));
    d->policy = VIEW_POLICY_POOL;
    for (size_t i = 0; i < s->extra_specs.n; i++)
        read_spec(in, &s->extra_specs.v[i]);
    read_image(in, &s->image_properties);
    read_parts(in, &s->extra_specs);
    read_parts(in, &s->image_properties);
    read_tenant(in, s->project_id);
    read_group(in);
    read_zone(in, s->requested_zone);
    bool ok = read_shape(in, err);
    return ok && !in->bad;
}

/* Of parts of devices it has what it was given, whatever they are now. */
static void keep_parts(struct view *v, const struct list *devices,
                       struct request_device *want)
{
    char trait[SHARE_TRAIT_MAX];
    for (size_t i = 0; i < devices->n; i++) {
        const struct server_device *d =
            LIST_AT(*devices, struct server_device, i);
        if (!d->type || d->row < 0 || d->row >= REQUEST_DEVICES ||
            d->thousandths < 1 || d->thousandths > THOUSAND)
            continue;
        share_trait(d->type, trait);
        view_part(v, trait, &want[d->row]);
        want[d->row].thousandths = (uint16_t)d->thousandths;
    }
}

static void read_placed(struct view *v, const struct server *server,
                        const struct list *devices, struct request *out)
{
    struct wish w = { .request = { { { 0 } } } };
    struct reading in = { v, server, &w };
    struct error err;
    read_lasting(&in, &err);
    keep_parts(v, devices, w.request.demand.devices);
    *out = w.request;
}

void wish_of_placed_server(struct view *v, const struct server *server,
                           struct request *out)
{
    read_placed(v, server, &server->devices, out);
}

void wish_of_placed_volume(const struct volume *volume, struct request *out)
{
    *out = (struct request){ { { 0 } } };
    out->demand.need[FLEET_VOLUMES] = amount(volume->size_gb);
}

/* ---- where --------------------------------------------------------------- */

/* Narrows the allowed hosts down to those of `list`. */
static void allow(struct wish *w, const uint32_t *list, uint32_t n)
{
    uint32_t kept = 0;
    uint32_t *at = w->lists;
    bool first = !w->request.allowed.n;
    for (uint32_t i = 0; i < (first ? n : w->request.allowed.n); i++) {
        bool keep = first;
        for (uint32_t k = 0; !first && k < n; k++)
            keep |= list[k] == at[i];
        if (keep)
            at[kept++] = first ? list[i] : at[i];
    }
    if (!kept) /* nowhere, which is not the same as anywhere */
        at[kept++] = FLEET_NOWHERE;
    w->request.allowed = (struct host_list){ at, kept };
}

static void allow_node(struct reading *in, const char *node)
{
    uint32_t host = fleet_find_host(view_fleet(in->v), node);
    allow(in->w, &host, 1);
}

/* The hosts of the servers that a hint names: one id or an array. */
static uint32_t hinted(struct reading *in, const json_t *hint, uint32_t *out,
                       uint32_t max)
{
    const struct fleet *f = view_fleet(in->v);
    uint32_t n = 0;
    size_t count = json_is_array(hint) ? json_array_size(hint) : 1;
    for (size_t i = 0; i < count && n < max; i++) {
        const char *id = json_string_value(
            json_is_array(hint) ? json_array_get(hint, i) : hint);
        const struct server *s =
            snap_get(view_snapshot(in->v), &kind_server, id);
        uint32_t host =
            s && s->node ? fleet_find_host(f, s->node) : FLEET_NOWHERE;
        if (host != FLEET_NOWHERE)
            out[n++] = host;
    }
    return n;
}

#define HINTED_MAX 256

static void read_hints(struct reading *in)
{
    const char *text = in->server->scheduler_hints;
    uint32_t hosts[HINTED_MAX];
    if (!text ||
        (!strstr(text, "same_host") && !strstr(text, "different_host")))
        return;
    _autojson_ json_t *hints = json_loads(text, 0, NULL);
    const json_t *with = json_object_get(hints, "same_host");
    const json_t *without = json_object_get(hints, "different_host");
    if (with) {
        allow(in->w, hosts, hinted(in, with, hosts, HINTED_MAX));
        in->w->kept_beside = true;
    }
    if (without) {
        uint32_t *at = in->w->lists + HINTED_MAX;
        in->w->request.excluded =
            (struct host_list){ at, hinted(in, without, at, HINTED_MAX) };
    }
}

/* Where the volumes of a server are, and how much the new ones take. */
static bool read_volumes(struct reading *in, struct error *err)
{
    const struct server *s = in->server;
    const struct snapshot *snap = view_snapshot(in->v);
    int64_t gb = 0;
    for (size_t i = 0; i < s->volumes.n; i++) {
        const struct volume *v =
            snap_get(snap, &kind_volume,
                     LIST_AT(s->volumes, struct server_volume, i)->volume_id);
        const char *home = v ? wish_volume_home(snap, v) : NULL;
        if (v && !v->node && v->status == VOLUME_CREATING)
            gb += v->size_gb;
        if (!home)
            continue;
        if (in->w->home && strcmp(in->w->home, home) != 0)
            return error_set(err, ERR_NOT_FOUND,
                             "its volumes are on different nodes");
        in->w->home = home;
    }
    in->w->request.demand.need[FLEET_VOLUMES] = amount(gb);
    return true;
}

static void bind(struct reading *in)
{
    if (in->w->host)
        allow_node(in, in->w->host);
    if (in->w->home)
        allow_node(in, in->w->home);
}

bool wish_of_server(struct view *v, const struct server *server,
                    struct wish *out, struct error *err)
{
    struct reading in = { v, server, out };
    *out = (struct wish){ .host = server->requested_host };
    out->lists = xcalloc((size_t)2 * HINTED_MAX + 1, sizeof(*out->lists));
    if (!read_lasting(&in, err) || !read_volumes(&in, err))
        return false;
    bind(&in);
    read_hints(&in);
    return true;
}

bool wish_of_volume(struct view *v, const struct volume *volume,
                    struct wish *out, struct error *err)
{
    struct reading in = { v, NULL, out };
    *out = (struct wish){ .home = wish_volume_home(view_snapshot(v), volume) };
    out->lists = xcalloc((size_t)2 * HINTED_MAX + 1, sizeof(*out->lists));
    out->request.demand.policy = VIEW_POLICY_POOL;
    out->request.demand.need[FLEET_VOLUMES] = amount(volume->size_gb);
    read_zone(&in, volume->availability_zone);
    bind(&in);
    return true;
}

/* ---- moves --------------------------------------------------------------- */

const char *wish_of_move_beside(struct view *v, const struct migration *m,
                                const struct server *server,
                                struct request *out)
{
    struct server_flavor what;
    const char *node = migration_holds(m, server, &what);
    if (!node)
        return NULL;
    _autorecord_ struct server *there = record_copy(server);
    server_set_flavor(there, &what);
    read_placed(v, there, &m->devices, out);
    return node;
}

/* It goes on while it moves: where the CPU has all that it has seen, or is
 * not known. */
static void read_cpu(struct reading *in, const char *node)
{
    const struct fleet *f = view_fleet(in->v);
    uint32_t host = fleet_find_host(f, node);
    uint8_t kind = host != FLEET_NOWHERE ? f->hosts[host].facts.cpu : 0;
    if (kind)
        in->w->request.demand.cpus = f->cpu_takes[kind] | 1ULL << kind | 1;
}

/* Not where it is: after the hosts that a hint excludes. */
static void exclude_source(struct reading *in, const char *node)
{
    uint32_t *at = in->w->lists + HINTED_MAX;
    struct host_list *out = &in->w->request.excluded;
    uint32_t host = fleet_find_host(view_fleet(in->v), node);
    if (host == FLEET_NOWHERE)
        return;
    at[out->n] = host;
    *out = (struct host_list){ at, out->n + 1 };
}

/* Where it is, if that can be; beside nobody's hint. */
static void prefer_node(struct reading *in, const char *node)
{
    uint32_t *at = in->w->lists + (size_t)2 * HINTED_MAX;
    *at = fleet_find_host(view_fleet(in->v), node);
    if (*at != FLEET_NOWHERE)
        in->w->request.preferred = (struct host_list){ at, 1 };
}

/* Does a node have disks of it?  On that node a copy is made in no time. */
static bool has_own_disks(const struct snapshot *s, const struct server *server)
{
    struct snap_iter it = snap_by(s, &kind_disk, "server_id", server->rec.id);
    for (const struct disk *d; (d = snap_next(&it));)
        if (d->generation == server->disks && !disk_is_shared(d))
            return true;
    return false;
}

bool wish_of_move(struct view *v, const struct migration *m,
                  const struct server *server, struct wish *out,
                  struct error *err)
{
    struct server *there = record_copy(server);
    server_set_flavor(there, &m->new_flavor);
    there->requested_host = m->requested_host;
    bool fine = wish_of_server(v, there, out, err);
    out->moved = there;
    if (!fine)
        return false;
    struct reading in = { v, there, out };
    out->request.demand.need[FLEET_VOLUMES] = 0; /* they are there */
    if (m->type == MIGRATION_RESIZE && has_own_disks(view_snapshot(v), server))
        prefer_node(&in, server->node);
    if (m->type != MIGRATION_RESIZE)
        exclude_source(&in, server->node);
    if (m->type == MIGRATION_LIVE)
        read_cpu(&in, server->node);
    return true;
}

void wish_free(struct wish *w)
{
    record_unref(w->moved);
    w->moved = NULL;
    free(w->lists);
    w->lists = NULL;
}
