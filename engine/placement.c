#include "engine/placement.h"

#include <string.h>

#define EXPLANATION_MAX 256

/* ---- nodes ------------------------------------------------------------- */

bool placement_alive(const struct node *node, int64_t now)
{
    return now - node->seen <= PLACEMENT_ALIVE_US;
}

const char *placement_zone(const struct snapshot *s, const struct node *node)
{
    struct snap_iter it = snap_all(s, &kind_aggregate);
    for (const struct aggregate *a; (a = snap_next(&it));) {
        const char *zone = map_get(&a->metadata, "availability_zone");
        if (zone && strs_has(&a->hosts, node->rec.id))
            return zone;
    }
    return node->availability_zone ? node->availability_zone : PLACEMENT_ZONE;
}

static int64_t local_disk_gb(const struct server *s)
{
    int64_t root = s->image_id ? s->disk_gb : 0;
    return root + s->ephemeral_gb + (s->swap_mb + 1023) / 1024;
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

void placement_used(const struct snapshot *s, const char *node,
                    struct placement_used *out)
{
    *out = (struct placement_used){ 0 };
    struct snap_iter it = snap_by(s, &kind_server, "node", node);
    for (const struct server *v; (v = snap_next(&it));) {
        out->servers++;
        out->vcpus += v->vcpus;
        out->ram_mb += v->ram_mb;
        out->disk_gb += local_disk_gb(v);
    }
    it = snap_all(s, &kind_volume);
    for (const struct volume *v; (v = snap_next(&it));)
        if (same(v->node, node))
            out->volumes_gb += v->size_gb;
}

const char *placement_volume_home(const struct snapshot *s,
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

/* ---- why a node is excluded --------------------------------------------- */

/* In the order in which they are asked; texts are for the tenant. */
#define REASONS(X)                                                             \
    X(FITS, "can take it")                                                     \
    X(HOST, "not the requested host")                                          \
    X(ZONE, "not in the requested availability zone")                          \
    X(VOLUME, "away from its volumes")                                         \
    X(DISABLED, "disabled")                                                    \
    X(GROUP, "excluded by the server group")                                   \
    X(CPU, "without enough vCPUs")                                             \
    X(RAM, "without enough memory")                                            \
    X(DISK, "without enough disk space")                                       \
    X(DEAD, "not answering")

enum reason {
#define X(reason, text) REASON_##reason,
    REASONS(X)
#undef X
        N_REASONS
};

static const char *const reason_texts[N_REASONS] = {
#define X(reason, text) text,
    REASONS(X)
#undef X
};

/* What is asked of each node. */
struct wanted {
    const struct snapshot *s;
    int64_t now;
    const struct server *server; /* NULL: for a volume */
    const struct server_group *group;
    const char *zone, *host, *home;
    int64_t vcpus, ram_mb, disk_gb, volumes_gb;
};

struct candidate {
    const struct node *node;
    struct placement_used used;
    int64_t members; /* of the server's group, here */
    double left;     /* share of the scarcest resource, 0 .. 1 */
    char why[EXPLANATION_MAX];
};

static enum reason say(struct candidate *c, enum reason reason, const char *fmt,
                       ...) __attribute__((format(printf, 3, 4)));
static enum reason say(struct candidate *c, enum reason reason, const char *fmt,
                       ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->why, sizeof(c->why), fmt, args);
    va_end(args);
    return reason;
}

static enum reason check_where(const struct wanted *w, struct candidate *c)
{
    const struct node *n = c->node;
    if (w->host && strcmp(w->host, n->rec.id) != 0)
        return say(c, REASON_HOST, "host %s is requested", w->host);
    const char *zone = placement_zone(w->s, n);
    if (w->zone && strcmp(w->zone, zone) != 0)
        return say(c, REASON_ZONE, "zone %s is requested, it is in %s", w->zone,
                   zone);
    if (w->home && strcmp(w->home, n->rec.id) != 0)
        return say(c, REASON_VOLUME, "a volume is on node %s", w->home);
    if (n->disabled)
        return say(c, REASON_DISABLED, "disabled: %s",
                   n->disabled_reason ? n->disabled_reason : "no reason given");
    return REASON_FITS;
}

static int64_t group_members(const struct snapshot *s, const char *group,
                             const char *node)
{
    int64_t n = 0;
    struct snap_iter it = snap_by(s, &kind_server, "server_group_id", group);
    for (const struct server *v; (v = snap_next(&it));)
        n += v->node && v->goal != GOAL_DELETED &&
             (!node || strcmp(v->node, node) == 0);
    return n;
}

static enum reason check_group(const struct wanted *w, struct candidate *c)
{
    const struct server_group *g = w->group;
    if (!g)
        return REASON_FITS;
    c->members = group_members(w->s, g->rec.id, c->node->rec.id);
    int64_t most = g->max_server_per_host ? g->max_server_per_host : 1;
    if (same(g->policy, "anti-affinity") && c->members >= most)
        return say(c, REASON_GROUP,
                   "anti-affinity: %lld of the group are here, %lld allowed",
                   (long long)c->members, (long long)most);
    int64_t all = group_members(w->s, g->rec.id, NULL);
    if (same(g->policy, "affinity") && all > c->members)
        return say(c, REASON_GROUP,
                   "affinity: %lld of the group are on another node",
                   (long long)(all - c->members));
    return REASON_FITS;
}

/* One resource: notes its share that is left afterwards. */
static bool has_room(struct candidate *c, double capacity, int64_t used,
                     int64_t more)
{
    if (!more)
        return true;
    double left = capacity - (double)used - (double)more;
    if (left < 0)
        return false;
    if (left / capacity < c->left)
        c->left = left / capacity;
    return true;
}

static enum reason lacks(struct candidate *c, enum reason reason,
                         const char *unit, double capacity, int64_t used,
                         int64_t more)
{
    return say(c, reason, "%lld %s wanted, %lld of %.0f in use",
               (long long)more, unit, (long long)used, capacity);
}

static double or_default(double value, double otherwise)
{
    return value > 0 ? value : otherwise;
}

static enum reason check_room(const struct wanted *w, struct candidate *c)
{
    const struct node *n = c->node;
    const struct placement_used *u = &c->used;
    double cpu = (double)n->vcpus *
                 or_default(n->cpu_overcommit, PLACEMENT_CPU_OVERCOMMIT);
    double ram = (double)n->ram_mb *
                     or_default(n->ram_overcommit, PLACEMENT_RAM_OVERCOMMIT) -
                 (double)n->ram_reserved_mb;
    double disk = (double)n->disk_gb;
    placement_used(w->s, n->rec.id, &c->used);
    /* More vCPUs than threads only make a guest slower. */
    if (w->vcpus > n->vcpus)
        return say(c, REASON_CPU, "%lld vCPUs wanted, the machine has %lld",
                   (long long)w->vcpus, (long long)n->vcpus);
    if (!has_room(c, cpu, u->vcpus, w->vcpus))
        return lacks(c, REASON_CPU, "vCPUs", cpu, u->vcpus, w->vcpus);
    if (!has_room(c, ram, u->ram_mb, w->ram_mb))
        return lacks(c, REASON_RAM, "MB of memory", ram, u->ram_mb, w->ram_mb);
    if (!has_room(c, disk, u->disk_gb, w->disk_gb))
        return lacks(c, REASON_DISK, "GB of disk", disk, u->disk_gb,
                     w->disk_gb);
    disk *= PLACEMENT_THIN;
    if (!has_room(c, disk, u->volumes_gb, w->volumes_gb))
        return lacks(c, REASON_DISK, "GB of volumes", disk, u->volumes_gb,
                     w->volumes_gb);
    return REASON_FITS;
}

/* Dead is asked last: whoever fits but for that is worth waiting for. */
static enum reason check(const struct wanted *w, struct candidate *c)
{
    enum reason reason = check_where(w, c);
    if (reason == REASON_FITS)
        reason = check_group(w, c);
    if (reason == REASON_FITS)
        reason = check_room(w, c);
    if (reason == REASON_FITS && !placement_alive(c->node, w->now))
        return say(c, REASON_DEAD, "not heard of for %lld s",
                   (long long)((w->now - c->node->seen) / SECOND_US));
    return reason;
}

/* ---- the choice --------------------------------------------------------- */

/* Nodes come in order of their names, so equals leave the first. */
static bool better(const struct wanted *w, const struct candidate *a,
                   const struct candidate *b)
{
    const char *policy = w->group ? w->group->policy : NULL;
    if (a->members != b->members && same(policy, "soft-affinity"))
        return a->members > b->members;
    if (a->members != b->members && policy)
        return a->members < b->members;
    return a->left > b->left;
}

/* "2 nodes without enough memory, 1 node disabled" */
static bool none_fits(const struct wanted *w, const int counts[N_REASONS],
                      struct error *err)
{
    struct buf text = BUF_INIT(ERROR_TEXT_MAX);
    for (int i = 0; i < N_REASONS; i++)
        if (counts[i])
            buf_addf(&text, "%s%d node%s %s", text.len ? ", " : "", counts[i],
                     counts[i] == 1 ? "" : "s", reason_texts[i]);
    error_set(err, counts[REASON_DEAD] ? ERR_UNAVAILABLE : ERR_NOT_FOUND, "%s",
              text.len ? buf_str(&text) : "there are no nodes");
    buf_free(&text);
    return false;
}

static bool choose(const struct wanted *w, const char **node,
                   struct buf *explanation, struct error *err)
{
    struct candidate best = { 0 };
    int counts[N_REASONS] = { 0 };
    struct snap_iter it = snap_all(w->s, &kind_node);
    for (const struct node *n; (n = snap_next(&it));) {
        struct candidate c = { .node = n, .left = 1 };
        enum reason reason = check(w, &c);
        counts[reason]++;
        if (reason != REASON_FITS && explanation)
            buf_addf(explanation, "%s%s: %s", explanation->len ? "; " : "",
                     n->rec.id, c.why);
        if (reason == REASON_FITS && (!best.node || better(w, &c, &best)))
            best = c;
    }
    if (!best.node)
        return none_fits(w, counts, err);
    *node = best.node->rec.id;
    return true;
}

/* Where the volumes of a server are, and how much the new ones take. */
static bool wanted_volumes(struct wanted *w, struct error *err)
{
    const struct server *server = w->server;
    for (size_t i = 0; i < server->volumes.n; i++) {
        const struct server_volume *sv =
            LIST_AT(server->volumes, struct server_volume, i);
        const struct volume *v = snap_get(w->s, &kind_volume, sv->volume_id);
        const char *home = v ? placement_volume_home(w->s, v) : NULL;
        if (v && !v->node)
            w->volumes_gb += v->size_gb;
        if (!home)
            continue;
        if (w->home && strcmp(w->home, home) != 0)
            return error_set(err, ERR_NOT_FOUND,
                             "its volumes are on different nodes");
        w->home = home;
    }
    return true;
}

bool placement_choose(const struct snapshot *s, const struct server *server,
                      int64_t now, const char **node, struct buf *explanation,
                      struct error *err)
{
    struct wanted w = {
        .s = s,
        .now = now,
        .server = server,
        .group = snap_get(s, &kind_server_group, server->server_group_id),
        .zone = server->requested_zone,
        .host = server->requested_host,
        .vcpus = server->vcpus,
        .ram_mb = server->ram_mb,
        .disk_gb = local_disk_gb(server),
    };
    return wanted_volumes(&w, err) && choose(&w, node, explanation, err);
}

bool placement_choose_volume(const struct snapshot *s,
                             const struct volume *volume, int64_t now,
                             const char **node, struct buf *explanation,
                             struct error *err)
{
    struct wanted w = {
        .s = s,
        .now = now,
        .zone = volume->availability_zone,
        .home = placement_volume_home(s, volume),
        .volumes_gb = volume->size_gb,
    };
    return choose(&w, node, explanation, err);
}

const struct placer placement_simple = {
    placement_choose,
    placement_choose_volume,
};
