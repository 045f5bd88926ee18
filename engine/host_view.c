#include "engine/host_view.h"

#include "model/use.h"

#include "common/alloc.h"
#include "engine/assign.h"
#include "engine/extra_spec.h"
#include "engine/placement.h"
#include "engine/view.h"
#include "model/cpu_type.h"
#include "model/shape.h"
#include "model/share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- what aggregates say ------------------------------------------ */

static struct snap_iter aggregates_of(const struct host_source *src,
                                      const char *node)
{
    return snap_by(src->snap, &kind_aggregate, "hosts", node);
}

/* Has it metadata `key` of which one value (they are a list) meets? */
static bool aggregate_meets(const struct aggregate *a, const char *key,
                            const char *wanted)
{
    const char *list = map_get(&a->metadata, key);
    char one[256];
    for (const char *p = list; p && *p; p += strcspn(p, ",")) {
        p += strspn(p, ", ");
        int n = (int)strcspn(p, ",");
        while (n && p[n - 1] == ' ')
            n--;
        snprintf(one, sizeof(one), "%.*s", n, p);
        if (extra_spec_meets(wanted, one))
            return true;
    }
    return false;
}

/* Does the condition hold on the node?  Other traits are no conditions. */
bool host_holds(const struct host_source *src, const struct node *node,
                const char *condition)
{
    char key[256];
    const char *wanted = strchr(condition, '=');
    if (cpu_type_is_trait(condition))
        return node->kvm && cpu_type_has(node->cpu_info, condition);
    if (strncmp(condition, "aggregate:", 10) != 0 || !wanted)
        return false;
    snprintf(key, sizeof(key), "%.*s", (int)(wanted - condition - 10),
             condition + 10);
    struct snap_iter it = aggregates_of(src, node->rec.id);
    for (const struct aggregate *a; (a = snap_next(&it));)
        if (aggregate_meets(a, key, wanted + 1))
            return true;
    return false;
}

/* The smallest ratio that an aggregate of it gives, else `own`. */
static double ratio(const struct host_source *src, const struct node *node,
                    const char *key, double own, double otherwise)
{
    double least = 0;
    struct snap_iter it = aggregates_of(src, node->rec.id);
    for (const struct aggregate *a; (a = snap_next(&it));) {
        const char *text = map_get(&a->metadata, key);
        double n = text ? strtod(text, NULL) : 0;
        if (n > 0 && (least <= 0 || n < least))
            least = n;
    }
    return least > 0 ? least : own > 0 ? own : otherwise;
}

/* ---- facts -------------------------------------------------------- */

static void add_trait(const struct host_source *src, struct fleet_facts *facts,
                      const char *name)
{
    int n = fleet_name(src->fleet, FLEET_NAME_TRAIT, name);
    if (n > 0)
        set_add(&facts->traits, (unsigned)n);
}

/* Of the parts that it can give: the node has them for its device. */
static void add_part_traits(const struct host_source *src,
                            const struct node_device *d,
                            struct fleet_facts *facts)
{
    char trait[SHARE_TRAIT_MAX];
    if (!d->shares.n && d->model && strcmp(d->class_, SHARE_CLASS) == 0) {
        share_trait(d->model, trait);
        add_trait(src, facts, trait);
    }
    for (size_t i = 0; i < d->shares.n; i++) {
        const struct node_share *s = LIST_AT(d->shares, struct node_share, i);
        share_trait(s->type, trait);
        add_trait(src, facts, trait);
        share_trait(s->name, trait);
        if (*trait)
            add_trait(src, facts, trait);
    }
}

static void read_traits(const struct host_source *src, const struct node *n,
                        struct fleet_facts *facts)
{
    char name[80];
    const struct fleet_names *traits = &src->fleet->names[FLEET_NAME_TRAIT];
    add_trait(src, facts, "COMPUTE_NODE");
    if (n->machine) {
        snprintf(name, sizeof(name), "machine=%s", n->machine);
        add_trait(src, facts, name);
        snprintf(name, sizeof(name), "HW_ARCH_%s", n->machine);
        for (char *p = name; *p; p++)
            if (*p >= 'a' && *p <= 'z')
                *p = (char)(*p - 'a' + 'A');
        add_trait(src, facts, name);
    }
    for (size_t i = 0; i < n->traits.n; i++)
        add_trait(src, facts, n->traits.v[i]);
    for (size_t i = 0; i < n->devices.n; i++)
        add_part_traits(src, LIST_AT(n->devices, struct node_device, i), facts);
    for (uint32_t i = 1; i < traits->n; i++)
        if (host_holds(src, n, traits->at[i]))
            set_add(&facts->traits, i);
}

/* The kind of a CPU: that of all that are described alike.  Without KVM guests
 * see none of it; what there are no numbers for is not known. */
static uint8_t cpu_kind(const struct host_source *src, const struct node *n)
{
    struct fleet *f = src->fleet;
    const struct fleet_names *kinds = &f->names[FLEET_NAME_CPU];
    uint32_t known = kinds->n;
    int kind =
        n->kvm && n->cpu_info ? fleet_name(f, FLEET_NAME_CPU, n->cpu_info) : 0;
    for (uint32_t i = 1; kind > 0 && kinds->n > known && i < kinds->n; i++) {
        if (cpu_type_covers(kinds->at[i], n->cpu_info))
            fleet_cpu_takes(f, (unsigned)kind, i);
        if (cpu_type_covers(n->cpu_info, kinds->at[i]))
            fleet_cpu_takes(f, i, (unsigned)kind);
    }
    return kind > 0 ? (uint8_t)kind : 0;
}

void host_facts(const struct host_source *src, const struct node *n,
                struct fleet_facts *facts)
{
    *facts = (struct fleet_facts){ .state = FLEET_DISABLED };
    facts->state = n->health != HEALTH_UP          ? FLEET_DEAD
                   : !placement_alive(n, src->now) ? FLEET_DEAD
                   : n->draining                   ? FLEET_DRAINING
                   : n->disabled || n->maintenance ? FLEET_DISABLED
                                                   : FLEET_UP;
    facts->zone = (uint32_t)fleet_name(src->fleet, FLEET_NAME_ZONE,
                                       placement_zone(src->snap, n));
    facts->rack = (uint32_t)fleet_name(src->fleet, FLEET_NAME_RACK,
                                       n->rack ? n->rack : "");
    facts->cpu = cpu_kind(src, n);
    /* More vCPUs than threads only make a guest slower. */
    facts->largest_vcpu = (int32_t)(n->vcpus * 1000);
    read_traits(src, n, facts);
    struct snap_iter it = aggregates_of(src, n->rec.id);
    for (const struct aggregate *a; (a = snap_next(&it));) {
        int number = fleet_name(src->fleet, FLEET_NAME_AGGREGATE, a->rec.id);
        if (number > 0)
            set_add(&facts->aggregates, (unsigned)number);
    }
}

/* ---- capacity ----------------------------------------------------- */

static int32_t whole(double n)
{
    return n <= 0 ? 0 : n >= INT32_MAX ? INT32_MAX : (int32_t)n;
}

/* Of a cell: pages of a size, in MiB. */
static int64_t pages_mb(const struct node_cell *c, int64_t kib)
{
    int64_t mb = 0;
    for (size_t i = 0; i < c->pages.n; i++) {
        const struct node_pages *p = LIST_AT(c->pages, struct node_pages, i);
        if (p->kib == kib)
            mb += p->count * (kib / 1024);
    }
    return mb;
}

/* Huge pages and CPUs that are kept for guests of their own are not there for
 * others. */
static void read_cell(const struct node *n, size_t i, double cpu, double ram,
                      struct fleet_cell *out)
{
    const struct node_cell *c = LIST_AT(n->cells, struct node_cell, i);
    struct cpus all = assign_cell_cpus(n, i), kept = assign_pinned(n, i);
    int64_t huge = pages_mb(c, SHAPE_HUGE_KIB);
    int64_t giga = pages_mb(c, SHAPE_GIGA_KIB);
    unsigned own = cpus_count(&kept);
    out->vcpu = whole((double)(cpus_count(&all) - own) * cpu * 1000);
    out->memory = whole((double)(c->ram_mb - huge - giga) * ram);
    out->more[CELL_HUGEPAGES] = whole((double)huge);
    out->more[CELL_GIGAPAGES] = whole((double)giga);
    out->more[CELL_PCPU] = (int32_t)own;
}

/* A record that tells of no cells means one. */
static void read_cells(const struct node *n, double cpu, double ram,
                       struct host_capacity *out)
{
    struct cpus own = assign_pinned(n, 0);
    out->n_cells =
        n->cells.n < FLEET_CELLS ? (unsigned)n->cells.n : FLEET_CELLS;
    for (size_t i = 0; i < out->n_cells; i++)
        read_cell(n, i, cpu, ram, &out->cells[i]);
    if (n->cells.n)
        return;
    out->n_cells = 1;
    out->cells[0].more[CELL_PCPU] = (int32_t)cpus_count(&own);
    out->cells[0].vcpu =
        whole((double)(n->vcpus - out->cells[0].more[CELL_PCPU]) * cpu * 1000);
    out->cells[0].memory =
        whole((double)n->ram_mb * ram - (double)n->ram_reserved_mb);
}

static void read_capacity(const struct host_source *src, const struct node *n,
                          struct host_capacity *capacity)
{
    int32_t *out = capacity->of;
    double cpu = ratio(src, n, "cpu_allocation_ratio", n->cpu_overcommit,
                       PLACEMENT_CPU_OVERCOMMIT);
    double ram = ratio(src, n, "ram_allocation_ratio", n->ram_overcommit,
                       PLACEMENT_RAM_OVERCOMMIT);
    read_cells(n, cpu, ram, capacity);
    for (unsigned i = 0; i < capacity->n_cells; i++)
        for (int m = 0; m < CELL_MORE; m++)
            out[fleet_cell_more[m]] += capacity->cells[i].more[m];
    int64_t pages = (int64_t)out[FLEET_HUGEPAGES] + out[FLEET_GIGAPAGES];
    out[FLEET_VCPU] = whole((double)(n->vcpus - out[FLEET_PCPU]) * cpu * 1000);
    out[FLEET_MEMORY] =
        whole((double)(n->ram_mb - pages) * ram - (double)n->ram_reserved_mb);
    out[FLEET_DISK] = whole((double)n->disk_gb);
    out[FLEET_BANDWIDTH] = whole((double)n->bandwidth_mbps);
    out[FLEET_VOLUMES] = whole((double)n->disk_gb * PLACEMENT_THIN);
    for (size_t i = 0; i < n->resources.n; i++) {
        const struct amount *a = LIST_AT(n->resources, struct amount, i);
        int r = fleet_name(src->fleet, FLEET_NAME_RESOURCE, a->name);
        if (r > FLEET_CUSTOM)
            out[r] = whole((double)a->n);
    }
}

/* ---- devices ------------------------------------------------------ */

static struct device_word *find_word(const struct device_words *words,
                                     const char *name, bool type)
{
    for (uint32_t i = 0; i < words->n; i++)
        if (words->at[i].type == type &&
            strcasecmp(words->at[i].name, name) == 0)
            return &words->at[i];
    return NULL;
}

/* A name of two kinds, or types, means the one that was first. */
static void add_word(struct device_words *words, const struct device_word *like)
{
    struct device_word *w = find_word(words, like->name, like->type);
    if (w && w->kind == like->kind && w->share == like->share) {
        w->models |= like->models;
        if (w->thousandths < like->thousandths)
            w->thousandths = like->thousandths;
    }
    if (w)
        return;
    if (words->n == words->size) {
        words->size = words->size * 2 + 8;
        words->at = xrealloc(words->at, words->size * sizeof(*words->at));
    }
    words->at[words->n] = *like;
    words->at[words->n++].name = xstrdup(like->name);
}

static void name_device(struct device_words *words, const char *name,
                        const struct fleet_device *d, uint8_t share,
                        uint16_t thousandths)
{
    if (name && *name)
        add_word(words, &(struct device_word){ .name = (char *)name,
                                               .kind = d->kind,
                                               .models = 1ULL << d->model,
                                               .share = share,
                                               .thousandths = thousandths });
}

/* By the traits that the type and the vendor's name of it make. */
static void name_type(const struct host_source *src, const char *type,
                      const char *called, const struct fleet_device *d,
                      int64_t thousandths)
{
    char trait[SHARE_TRAIT_MAX];
    int number = fleet_name(src->fleet, FLEET_NAME_SHARE, type);
    share_trait(called, trait);
    if (*trait && number > FLEET_SHARE_ANY)
        add_word(src->words,
                 &(struct device_word){ .name = trait,
                                        .type = true,
                                        .kind = d->kind,
                                        .models = 1ULL << d->model,
                                        .share = (uint8_t)number,
                                        .thousandths = (uint16_t)thousandths });
}

/* Placement's class of a device: nova's CUSTOM_PCI_<vendor>_<product>. */
static void name_class(struct device_words *words,
                       const struct node_device *from,
                       const struct fleet_device *d)
{
    char name[80];
    snprintf(name, sizeof(name), "CUSTOM_PCI_%s", from->model);
    for (char *p = name; *p; p++)
        *p = *p == ':' ? '_' : *p;
    name_device(words, name, d, 0, 0);
    if (strcmp(from->class_, "GPU") == 0)
        name_device(words, "PGPU", d, 0, 0);
    snprintf(name, sizeof(name), "CUSTOM_%s", from->name ? from->name : "");
    if (from->name)
        name_device(words, name, d, 0, 0);
}

/* One that is given as a whole, a mediated device that the operator made
 * included. */
static void name_whole(const struct host_source *src,
                       const struct node_device *from,
                       const struct fleet_device *d)
{
    bool part = strcmp(from->class_, SHARE_CLASS) == 0;
    uint8_t share = part ? FLEET_SHARE_ANY : 0;
    name_device(src->words, from->class_, d, share, 0);
    name_device(src->words, from->name, d, share, 0);
    name_device(src->words, from->model, d, share, 0);
    if (from->model)
        name_class(src->words, from, d);
    if (part && from->model)
        name_type(src, from->model, from->model, d, 0);
}

static void name_parts(const struct host_source *src,
                       const struct node_device *from, struct fleet_device *d)
{
    const struct node_share *usual = share_usual(from);
    int number = fleet_name(src->fleet, FLEET_NAME_SHARE, usual->type);
    d->usual = number > FLEET_SHARE_ANY ? (uint8_t)number : 0;
    name_device(src->words, from->class_, d, FLEET_SHARE_ANY,
                (uint16_t)share_thousandths(usual->instances));
    for (size_t i = 0; i < from->shares.n; i++) {
        const struct node_share *s =
            LIST_AT(from->shares, struct node_share, i);
        int64_t part = share_thousandths(s->instances);
        name_type(src, s->type, s->type, d, part);
        name_type(src, s->type, s->name, d, part);
    }
}

/* Devices that are divided otherwise are of different models. */
static void write_model(const struct node_device *from, char out[512])
{
    size_t n = (size_t)snprintf(out, 256, "%.100s/%.100s",
                                from->model ? from->model : "",
                                from->name ? from->name : "");
    for (size_t i = 0; i < from->shares.n && n < 400; i++)
        n +=
            (size_t)snprintf(out + n, 100, "/%.90s",
                             LIST_AT(from->shares, struct node_share, i)->type);
}

/* Devices of one model that the operator names differently are different
 * models here.  Of more than there are numbers for, the last is shared. */
static void read_device(const struct host_source *src, const struct node *n,
                        size_t i, struct fleet_device *out)
{
    const struct node_device *from = LIST_AT(n->devices, struct node_device, i);
    char model[512];
    int cell = -1;
    write_model(from, model);
    int kind = fleet_name(src->fleet, FLEET_NAME_DEVICE, from->class_);
    int number = fleet_name(src->fleet, FLEET_NAME_MODEL, model);
    for (size_t k = 0; k < n->cells.n && k < FLEET_CELLS; k++)
        if (LIST_AT(n->cells, struct node_cell, k)->id == from->cell)
            cell = (int)k;
    out->kind = kind < 0 ? VIEW_NOBODY : (uint8_t)kind;
    out->model = number < 0 || number > 63 ? 63 : (uint8_t)number;
    out->cell = cell < 0 ? 0 : (uint8_t)cell;
    if (from->shares.n)
        name_parts(src, from, out);
    else
        name_whole(src, from, out);
}

static void read_devices(const struct host_source *src, const struct node *n,
                         struct host_capacity *out)
{
    for (size_t i = 0; i < n->devices.n && i < FLEET_DEVICES; i++)
        read_device(src, n, i, &out->devices[out->n_devices++]);
}

void host_capacity(const struct host_source *src, const struct node *n,
                   struct host_capacity *out)
{
    memset(out, 0, sizeof(*out));
    read_capacity(src, n, out);
    read_devices(src, n, out);
}

/* ---- taking it over ----------------------------------------------- */

static bool same_device(const struct fleet_device *a,
                        const struct fleet_device *b)
{
    return a->kind == b->kind && a->model == b->model && a->cell == b->cell &&
           a->usual == b->usual;
}

static bool same_cell(const struct fleet_cell *a, const struct fleet_cell *b)
{
    return a->vcpu == b->vcpu && a->memory == b->memory &&
           memcmp(a->more, b->more, sizeof(a->more)) == 0;
}

bool host_differs(const struct fleet *f, uint32_t host,
                  const struct host_capacity *c)
{
    const struct fleet_host *h = &f->hosts[host];
    bool any = h->n_cells != c->n_cells || h->n_devices != c->n_devices;
    for (int r = 0; r < FLEET_RESOURCES; r++)
        any |= f->capacity[r][host] != c->of[r];
    for (unsigned i = 0; !any && i < c->n_cells; i++)
        any = !same_cell(&h->cells[i], &c->cells[i]);
    for (unsigned i = 0; !any && i < c->n_devices; i++)
        any = !same_device(&h->devices[i], &c->devices[i]);
    return any;
}

void host_set(struct fleet *f, uint32_t host, const struct host_capacity *c)
{
    for (int r = 0; r < FLEET_RESOURCES; r++)
        if (f->capacity[r][host] != c->of[r])
            fleet_set_capacity(f, host, (enum fleet_resource)r, c->of[r]);
    fleet_set_cells(f, host, c->n_cells, 0, 0);
    for (unsigned i = 0; i < c->n_cells; i++)
        fleet_set_cell(f, host, i, &c->cells[i]);
    fleet_drop_devices(f, host);
    for (unsigned i = 0; i < c->n_devices; i++) {
        fleet_add_device(f, host, c->devices[i].kind, c->devices[i].model,
                         c->devices[i].cell);
        fleet_divide_device(f, host, c->devices[i].usual);
    }
}

/* ---- words --------------------------------------------------------------- */

const struct device_word *device_words_find(const struct device_words *w,
                                            const char *name, bool type)
{
    return find_word(w, name, type);
}

void device_words_free(struct device_words *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        free(w->at[i].name);
    free(w->at);
}

/* ---- measured use -------------------------------------------------------- */

static int32_t narrow(int64_t n)
{
    return n < 0 ? -1 : n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

/* Memory is not made by promising it: what the machine has is the measure. */
void host_use_of(const struct node *n, const struct node_use *u,
                 struct fleet_host_use *out)
{
    int64_t ram = n->ram_mb - n->ram_reserved_mb;
    *out = (struct fleet_host_use){ .ram = narrow(ram > 0 ? ram : 0),
                                    .memory_stall = -1,
                                    .disk_stall = -1,
                                    .swap = -1,
                                    .network = -1,
                                    .link = -1 };
    if (!u)
        return;
    out->steal = narrow(u->steal);
    out->memory_stall = narrow(u->memory_pressure);
    out->disk_stall = narrow(u->io_pressure);
    out->swap = narrow(u->swap);
    out->network = narrow(u->net);
    out->link = narrow(u->link);
}

void guest_use_of(const struct guest_use *g, struct fleet_use *out)
{
    *out =
        (struct fleet_use){ .memory_stall = -1, .disk_stall = -1, .dirty = -1 };
    if (!g)
        return;
    *out = (struct fleet_use){ .vcpu = narrow(g->vcpu),
                               .memory = narrow(g->memory),
                               .disk = narrow(g->disk),
                               .network = narrow(g->net),
                               .steal = narrow(g->steal),
                               .memory_stall = narrow(g->mem_stall),
                               .disk_stall = narrow(g->io_stall),
                               .dirty = narrow(g->dirty) };
}
