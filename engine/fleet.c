#include "engine/fleet_impl.h"

#include "common/alloc.h"
#include "engine/outlook.h"
#include "engine/pages.h"
#include "engine/score.h"

#include <stdlib.h>
#include <string.h>

const enum fleet_resource fleet_cell_more[CELL_MORE] = {
    [CELL_HUGEPAGES] = FLEET_HUGEPAGES,
    [CELL_GIGAPAGES] = FLEET_GIGAPAGES,
    [CELL_PCPU] = FLEET_PCPU,
};

#define NONE        FLEET_NONE
#define HOSTS_MIN   64
#define DOMAINS_MAX 65536
#define HASH_BASIS  0xCBF29CE484222325ULL /* FNV-1a */

/* ---- small helpers ------------------------------------------------------- */

void fleet_widen(void *p, size_t entry, uint32_t size, uint32_t wanted)
{
    char *at;
    memcpy(&at, p, sizeof(at));
    at = pages_widen(at, entry, size, wanted);
    memcpy(p, &at, sizeof(at));
}

static void *duplicate(const void *p, size_t entry, uint32_t n)
{
    void *copy = pages_new(n, entry);
    if (p && n)
        memcpy(copy, p, entry * n);
    return copy;
}

/* The host itself is not what it was, whatever its guests take. */
static void describe(struct fleet *f, uint32_t host)
{
    fleet_touch(f, host);
    f->hosts[host].described = f->sequence;
}

/* What the hosts are is other than it was: by the mix, each of them may now
 * expect other requests. */
static void relayout(struct fleet *f)
{
    f->layout++;
    f->foresight += f->mix != NULL;
}

/* ---- the fleet ----------------------------------------------------------- */

struct fleet *fleet_new(void)
{
    struct fleet *f = xcalloc(1, sizeof(*f));
    f->host_hole = f->guest_hole = f->group_hole = NONE;
    f->ranked = true;
    for (int i = 0; i < FLEET_CUSTOM; i++) {
        static const char *const fixed[] = { "VCPU",      "MEMORY",
                                             "DISK",      "BANDWIDTH",
                                             "HUGEPAGES", "VOLUMES",
                                             "GIGAPAGES", "PCPU" };
        fleet_name(f, FLEET_NAME_RESOURCE, fixed[i]);
    }
    /* Number 0 says "none" there. */
    fleet_name(f, FLEET_NAME_ZONE, "");
    fleet_name(f, FLEET_NAME_RACK, "");
    fleet_name(f, FLEET_NAME_SHARE, "");
    fleet_name(f, FLEET_NAME_SHARE, "any");
    return f;
}

static void free_names(struct fleet_names *names)
{
    for (uint32_t i = 0; i < names->n; i++)
        free(names->at[i]);
    free(names->at);
}

void fleet_free(struct fleet *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < f->n; i++) {
        free(f->hosts[i].name);
        free(f->hosts[i].far);
    }
    for (int r = 0; r < FLEET_RESOURCES; r++) {
        free(f->capacity[r]);
        free(f->free[r]);
        free(f->scale[r]);
    }
    for (uint32_t i = 0; i < f->group_slots; i++)
        free(f->groups[i].at);
    for (int k = 0; k < FLEET_NAME_KINDS; k++)
        free_names(&f->names[k]);
    outlook_free(f->outlook);
    map64_free(&f->guest_ids);
    map64_free(&f->group_ids);
    map64_free(&f->class_hashes);
    map64_free(&f->host_names);
    free(f->hosts);
    free(f->uses);
    free(f->n_devices);
    free(f->look);
    free(f->looks);
    map64_free(&f->look_hashes);
    free(f->rank);
    free(f->by_rank);
    free(f->domain_up[0]);
    free(f->domain_up[1]);
    free(f->guests);
    free(f->guest_uses);
    free(f->groups);
    free(f->classes);
    free(f);
}

static void copy_hosts(struct fleet *to, const struct fleet *from)
{
    for (int r = 0; r < FLEET_RESOURCES; r++) {
        to->capacity[r] = duplicate(from->capacity[r], 4, from->size);
        to->free[r] = duplicate(from->free[r], 4, from->size);
        to->scale[r] = duplicate(from->scale[r], 4, from->size);
    }
    to->hosts = duplicate(from->hosts, sizeof(*to->hosts), from->size);
    for (uint32_t i = 0; i < from->n; i++) {
        struct fleet_host *h = &to->hosts[i];
        if (!h->name)
            continue;
        h->name = xstrdup(h->name);
        if (h->far)
            h->far = duplicate(h->far, sizeof(*h->far), h->size);
    }
    to->uses = duplicate(from->uses, sizeof(*to->uses), from->size);
    to->n_devices = duplicate(from->n_devices, 1, from->size);
    to->look = duplicate(from->look, 4, from->size);
    to->looks = duplicate(from->looks, sizeof(*to->looks), from->look_size);
    map64_copy(&to->look_hashes, &from->look_hashes);
    to->rank = duplicate(from->rank, 4, from->size);
    to->by_rank = duplicate(from->by_rank, 4, from->size);
    for (int i = 0; i < 2; i++)
        to->domain_up[i] =
            duplicate(from->domain_up[i], 4, from->domain_size[i]);
}

static void copy_names(struct fleet_names *to, const struct fleet_names *from)
{
    to->at = duplicate(from->at, sizeof(*to->at), from->n);
    for (uint32_t i = 0; i < from->n; i++)
        to->at[i] = xstrdup(from->at[i]);
}

static void copy_groups(struct fleet *to, const struct fleet *from)
{
    to->groups = duplicate(from->groups, sizeof(*to->groups), from->group_size);
    for (uint32_t i = 0; i < from->group_slots; i++)
        to->groups[i].at = duplicate(
            from->groups[i].at, sizeof(*to->groups[i].at), to->groups[i].size);
}

struct fleet *fleet_copy(const struct fleet *f)
{
    struct fleet *c = xmalloc(sizeof(*c));
    *c = *f;
    copy_hosts(c, f);
    copy_groups(c, f);
    for (int k = 0; k < FLEET_NAME_KINDS; k++)
        copy_names(&c->names[k], &f->names[k]);
    c->guests = duplicate(f->guests, sizeof(*c->guests), f->guest_size);
    c->guest_uses =
        duplicate(f->guest_uses, sizeof(*c->guest_uses), f->guest_size);
    c->classes = duplicate(f->classes, sizeof(*c->classes), f->class_size);
    map64_copy(&c->guest_ids, &f->guest_ids);
    map64_copy(&c->group_ids, &f->group_ids);
    map64_copy(&c->class_hashes, &f->class_hashes);
    map64_copy(&c->host_names, &f->host_names);
    c->outlook = f->mix ? outlook_new() : NULL;
    c->epoch++;
    return c;
}

/* ---- names --------------------------------------------------------------- */

static const uint32_t names_max[FLEET_NAME_KINDS] = {
    [FLEET_NAME_RESOURCE] = FLEET_RESOURCES,
    [FLEET_NAME_TRAIT] = FLEET_SET_MAX,
    [FLEET_NAME_AGGREGATE] = FLEET_SET_MAX,
    [FLEET_NAME_ZONE] = DOMAINS_MAX,
    [FLEET_NAME_RACK] = DOMAINS_MAX,
    [FLEET_NAME_DEVICE] = 256,
    [FLEET_NAME_SHARE] = 256,
    [FLEET_NAME_MODEL] = 64,
    [FLEET_NAME_CPU] = 64,
};

int fleet_name(struct fleet *f, enum fleet_name kind, const char *name)
{
    struct fleet_names *names = &f->names[kind];
    for (uint32_t i = 0; i < names->n; i++)
        if (strcmp(names->at[i], name) == 0)
            return (int)i;
    if (names->n == names_max[kind])
        return -1;
    fleet_widen(&names->at, sizeof(*names->at), names->n, names->n + 1);
    names->at[names->n] = xstrdup(name);
    return (int)names->n++;
}

void fleet_cpu_takes(struct fleet *f, unsigned from, unsigned to)
{
    f->cpu_takes[from] |= 1ULL << to;
}

const char *fleet_name_of(const struct fleet *f, enum fleet_name kind,
                          unsigned number)
{
    return number < f->names[kind].n ? f->names[kind].at[number] : NULL;
}

/* ---- hosts --------------------------------------------------------------- */

static uint64_t bytes_key(const void *bytes, size_t n)
{
    uint64_t h = HASH_BASIS;
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)bytes)[i]) * 0x100000001B3ULL;
    return h | 1;
}

/* Names of equal hash stand under keys one after another. */
static uint64_t host_key(const struct fleet *f, const char *name)
{
    uint64_t key = bytes_key(name, strlen(name));
    for (uint32_t i; (i = map64_get(&f->host_names, key)) != MAP64_NONE; key++)
        if (strcmp(f->hosts[i].name, name) == 0)
            break;
    return key;
}

uint32_t fleet_find_host(const struct fleet *f, const char *name)
{
    return map64_get(&f->host_names, host_key(f, name));
}

/* Anew, because a key that is taken out would part those of equal hash. */
static void index_hosts(struct fleet *f)
{
    map64_free(&f->host_names);
    for (uint32_t i = 0; i < f->n; i++)
        if (f->hosts[i].name)
            map64_set(&f->host_names, host_key(f, f->hosts[i].name), i);
}

static void widen_hosts(struct fleet *f)
{
    uint32_t size = f->size ? f->size * 2 : HOSTS_MIN;
    for (int r = 0; r < FLEET_RESOURCES; r++) {
        fleet_widen(&f->capacity[r], 4, f->size, size);
        fleet_widen(&f->free[r], 4, f->size, size);
        fleet_widen(&f->scale[r], 4, f->size, size);
    }
    fleet_widen(&f->hosts, sizeof(*f->hosts), f->size, size);
    fleet_widen(&f->uses, sizeof(*f->uses), f->size, size);
    fleet_widen(&f->n_devices, 1, f->size, size);
    fleet_widen(&f->look, 4, f->size, size);
    fleet_widen(&f->rank, 4, f->size, size);
    fleet_widen(&f->by_rank, 4, f->size, size);
    f->size = size;
}

static uint32_t vacant_host(struct fleet *f)
{
    uint32_t i = f->host_hole;
    if (i != NONE) {
        f->host_hole = f->hosts[i].hole;
        return i;
    }
    if (f->n == f->size)
        widen_hosts(f);
    return f->n++;
}

uint32_t fleet_add_host(struct fleet *f, const char *name)
{
    uint32_t i = vacant_host(f);
    f->hosts[i] = (struct fleet_host){ .name = xstrdup(name) };
    map64_set(&f->host_names, host_key(f, name), i);
    fleet_set_facts(f, i, &(struct fleet_facts){ .state = FLEET_DISABLED });
    f->ranked = false;
    f->epoch++;
    return i;
}

void fleet_drop_host(struct fleet *f, uint32_t host)
{
    struct fleet_host *h = &f->hosts[host];
    while (h->guests)
        fleet_remove(f, f->guests[fleet_slots(h)[h->guests - 1]].id);
    fleet_set_facts(f, host, &(struct fleet_facts){ .state = FLEET_VACANT });
    for (int r = 0; r < FLEET_RESOURCES; r++)
        fleet_set_capacity(f, host, r, 0);
    free(h->name);
    free(h->far);
    *h = (struct fleet_host){ .hole = f->host_hole };
    f->uses[host] = (struct fleet_host_use){ 0 };
    f->n_devices[host] = 0;
    index_hosts(f);
    f->host_hole = host;
    f->ranked = false;
    f->epoch++;
}

void fleet_set_host_use(struct fleet *f, uint32_t host,
                        const struct fleet_host_use *use)
{
    f->uses[host] = *use;
}

uint32_t fleet_domain(const struct fleet *f, uint32_t host,
                      enum fleet_level level)
{
    const struct fleet_facts *facts = &f->hosts[host].facts;
    return level == FLEET_LEVEL_HOST   ? host
           : level == FLEET_LEVEL_RACK ? facts->rack
                                       : facts->zone;
}

/* Adds `by` to the hosts that are up in a domain. */
static void count_domain(struct fleet *f, int which, uint32_t domain, int by)
{
    uint32_t size = f->domain_size[which];
    if (domain >= size) {
        fleet_widen(&f->domain_up[which], 4, size, domain * 2 + 16);
        f->domain_size[which] = domain * 2 + 16;
    }
    f->domain_up[which][domain] += (uint32_t)by;
}

static void count_domains(struct fleet *f, const struct fleet_facts *facts,
                          int by)
{
    int up = facts->state == FLEET_UP ? by : 0;
    count_domain(f, 0, facts->rack, up);
    count_domain(f, 1, facts->zone, up);
}

/* Save whether it is up, and its rack. */
static bool same_nature(const struct fleet_facts *a,
                        const struct fleet_facts *b)
{
    return (a->state == FLEET_VACANT) == (b->state == FLEET_VACANT) &&
           a->zone == b->zone && a->cpu == b->cpu &&
           a->largest_vcpu == b->largest_vcpu &&
           memcmp(&a->traits, &b->traits, sizeof(a->traits)) == 0 &&
           memcmp(&a->aggregates, &b->aggregates, sizeof(a->aggregates)) == 0;
}

/* Looks that no host has are forgotten when there are too many. */
static uint32_t look_number(struct fleet *f, const struct fleet_facts *look)
{
    uint64_t key = bytes_key(look, sizeof(*look));
    for (uint32_t i; (i = map64_get(&f->look_hashes, key)) != MAP64_NONE; key++)
        if (f->looks[i].state == look->state && same_nature(&f->looks[i], look))
            return i;
    if (f->n_looks == f->look_size) {
        uint32_t size = f->look_size ? f->look_size * 2 : 16;
        fleet_widen(&f->looks, sizeof(*f->looks), f->look_size, size);
        f->look_size = size;
    }
    f->looks[f->n_looks] = *look;
    map64_set(&f->look_hashes, key, f->n_looks);
    return f->n_looks++;
}

static void look_at(struct fleet *f, uint32_t host)
{
    const struct fleet_facts *facts = &f->hosts[host].facts;
    struct fleet_facts look;
    memset(&look, 0, sizeof(look)); /* hashed byte by byte */
    look.state = facts->state;
    look.zone = facts->zone;
    look.cpu = facts->cpu;
    look.largest_vcpu = facts->largest_vcpu;
    look.traits = facts->traits;
    look.aggregates = facts->aggregates;
    f->look[host] = look_number(f, &look);
    if (f->n_looks <= 2 * f->n + 64)
        return;
    f->n_looks = 0;
    map64_free(&f->look_hashes);
    for (uint32_t i = 0; i < f->n; i++)
        look_at(f, i);
    f->epoch++;
}

void fleet_set_facts(struct fleet *f, uint32_t host,
                     const struct fleet_facts *facts)
{
    struct fleet_host *h = &f->hosts[host];
    if (!same_nature(&h->facts, facts))
        relayout(f);
    count_domains(f, &h->facts, -1);
    h->facts = *facts;
    count_domains(f, &h->facts, 1);
    look_at(f, host);
    describe(f, host);
}

void fleet_set_capacity(struct fleet *f, uint32_t host,
                        enum fleet_resource resource, int32_t capacity)
{
    if (capacity != f->capacity[resource][host])
        relayout(f);
    f->free[resource][host] += capacity - f->capacity[resource][host];
    f->capacity[resource][host] = capacity;
    f->scale[resource][host] =
        capacity > 0 ? (float)SCORE_ONE / (float)capacity : 0;
    describe(f, host);
}

void fleet_set_cells(struct fleet *f, uint32_t host, unsigned n, int32_t vcpu,
                     int32_t memory)
{
    struct fleet_host *h = &f->hosts[host];
    h->n_cells = (uint8_t)(n < FLEET_CELLS ? n : FLEET_CELLS);
    for (unsigned i = 0; i < h->n_cells; i++)
        h->cells[i] = (struct fleet_cell){
            .vcpu = vcpu,
            .memory = memory,
            .free_vcpu = vcpu,
            .free_memory = memory,
        };
    relayout(f);
    describe(f, host);
}

void fleet_set_cell(struct fleet *f, uint32_t host, unsigned i,
                    const struct fleet_cell *like)
{
    struct fleet_cell *c = &f->hosts[host].cells[i];
    *c = *like;
    c->free_vcpu = c->vcpu;
    c->free_memory = c->memory;
    memcpy(c->free_more, c->more, sizeof(c->more));
    relayout(f);
    describe(f, host);
}

bool fleet_add_device(struct fleet *f, uint32_t host, uint8_t kind,
                      uint8_t model, uint8_t cell)
{
    struct fleet_host *h = &f->hosts[host];
    if (h->n_devices == FLEET_DEVICES)
        return false;
    h->devices[h->n_devices++] = (struct fleet_device){
        .kind = kind,
        .model = model,
        .cell = cell,
        .free = 1000,
    };
    relayout(f);
    f->n_devices[host] = h->n_devices;
    describe(f, host);
    return true;
}

void fleet_divide_device(struct fleet *f, uint32_t host, uint8_t usual)
{
    struct fleet_host *h = &f->hosts[host];
    h->devices[h->n_devices - 1].usual = usual;
    relayout(f);
    describe(f, host);
}

void fleet_drop_devices(struct fleet *f, uint32_t host)
{
    if (!f->n_devices[host])
        return;
    f->hosts[host].n_devices = f->n_devices[host] = 0;
    relayout(f);
    describe(f, host);
}

/* ---- what concerns all hosts --------------------------------------------- */

void fleet_set_policy(struct fleet *f, unsigned row,
                      const struct score_policy *policy)
{
    f->policies[row] = *policy;
    for (int r = 0; r < FLEET_RESOURCES; r++)
        if (policy->weight[r] > SCORE_WEIGHT_MAX)
            f->policies[row].weight[r] = SCORE_WEIGHT_MAX;
    f->epoch++;
}

void fleet_set_isolating(struct fleet *f, const struct fleet_set *aggregates)
{
    f->isolating = *aggregates;
    f->epoch++;
}

void fleet_set_mix(struct fleet *f, const struct mix *mix)
{
    if (mix && !f->outlook)
        f->outlook = outlook_new();
    f->mix = mix;
    f->foresight++;
}

static int by_name(const void *a, const void *b, void *fleet)
{
    const struct fleet *f = fleet;
    const uint32_t *x = a, *y = b;
    const char *p = f->hosts[*x].name, *q = f->hosts[*y].name;
    if (!p || !q)
        return p ? -1 : q ? 1 : *x < *y ? -1 : 1;
    return strcmp(p, q);
}

void fleet_ranks(struct fleet *f)
{
    if (f->ranked)
        return;
    for (uint32_t i = 0; i < f->n; i++)
        f->by_rank[i] = i;
    qsort_r(f->by_rank, f->n, sizeof(*f->by_rank), by_name, f);
    for (uint32_t i = 0; i < f->n; i++)
        f->rank[f->by_rank[i]] = i;
    f->ranked = true;
}
