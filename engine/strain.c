#include "engine/strain.h"

#include "engine/board.h"

/* Thousandths of the machine's memory, whatever the policy says of CPU: it
 * does not bend. */
#define MEMORY_TRIGGER 980
#define MEMORY_TARGET  950
#define SHED           900 /* ... of what they have, where it is short before */

#define DISK_MIN   1024 /* KiB/s of which a disk is not short */
#define ALONE      800  /* thousandths of the use by one: it is his own */
#define A_CPU      1000 /* whole troubles: a vCPU */
#define A_MEMORY   4096 /* MiB */
#define A_SHARE    4    /* ... a quarter of comfort, of disk and network */
#define STEAL_MOST 900
#define BELOW_MOST 800 /* of the machine's CPUs */

const char *strain_name(enum strain s)
{
    static const char *const names[] = {
#define X(name, word) word,
        STRAIN_LIST(X)
#undef X
    };
    return names[s];
}

static int32_t known(int32_t value)
{
    return value > 0 ? value : 0;
}

void strain_of_guest(const struct fleet_use *use, int32_t amounts[STRAINS],
                     int32_t stalls[STRAINS])
{
    int32_t steal = known(use->steal);
    int32_t got = 1000 - (steal < STEAL_MOST ? steal : STEAL_MOST);
    amounts[STRAIN_CPU] = (int32_t)((int64_t)use->vcpu * 1000 / got);
    amounts[STRAIN_MEMORY] = known(use->memory);
    amounts[STRAIN_DISK] = known(use->disk);
    amounts[STRAIN_NETWORK] = known(use->network);
    stalls[STRAIN_CPU] = steal;
    stalls[STRAIN_MEMORY] = known(use->memory_stall);
    stalls[STRAIN_DISK] = known(use->disk_stall);
    stalls[STRAIN_NETWORK] = 0;
}

/* ---- one host ------------------------------------------------------------ */

struct look {
    const struct board *board;
    const struct strain_policy *policy;
    const struct board_host *host;
    struct fleet_host_use machine;
    struct strains *out;
    bool settling;
};

static void find_capacity(const struct look *l, uint32_t host)
{
    const struct fleet_host_use *m = &l->machine;
    int32_t below = m->steal < BELOW_MOST ? known(m->steal) : BELOW_MOST;
    int64_t net = l->host->use[STRAIN_NETWORK];
    l->out->has[STRAIN_CPU] = (int64_t)l->host->cpus * (1000 - below) / 1000;
    l->out->has[STRAIN_MEMORY] =
        m->ram ? m->ram : l->board->fleet->capacity[FLEET_MEMORY][host];
    l->out->has[STRAIN_NETWORK] = known(m->link);
    if (m->network > net)
        l->out->base[STRAIN_NETWORK] = m->network - net;
}

static bool is_alone(const struct look *l, enum strain s, int64_t use)
{
    return use * 1000 > l->host->use[s] * ALONE;
}

/* Does one of them lose time that others take? */
static bool any_guest_stalls(const struct look *l, enum strain s)
{
    const struct board *b = l->board;
    bool any = false;
    for (uint32_t i = l->host->first; i != BOARD_NONE; i = b->guests[i].next) {
        const struct board_guest *g = &b->guests[i];
        if (g->stall[s] > l->out->stall[s])
            l->out->stall[s] = g->stall[s];
        any =
            any || (l->policy->stall[s] && g->stall[s] >= l->policy->stall[s] &&
                    (s != STRAIN_DISK || !is_alone(l, s, g->use[s])));
    }
    return any;
}

static bool any_is_alone(const struct look *l, enum strain s)
{
    const struct board *b = l->board;
    for (uint32_t i = l->host->first; i != BOARD_NONE; i = b->guests[i].next)
        if (is_alone(l, s, b->guests[i].use[s]))
            return true;
    return false;
}

static bool machine_stalls(const struct look *l, enum strain s, int32_t stall)
{
    if (stall > l->out->stall[s])
        l->out->stall[s] = stall;
    return l->policy->machine_stall[s] && stall >= l->policy->machine_stall[s];
}

static void look_at_cpu(const struct look *l)
{
    const struct strain_policy *p = l->policy;
    struct strains *o = l->out;
    int64_t has = o->has[STRAIN_CPU], use = l->host->use[STRAIN_CPU];
    int64_t target = has * p->target / 1000;
    bool stalls = any_guest_stalls(l, STRAIN_CPU);
    bool yes =
        has > 0 && (use * 1000 > has * p->trigger || (stalls && use > target));
    o->strained[STRAIN_CPU] = yes;
    o->comfort[STRAIN_CPU] = yes || use < target ? target : use;
    o->unit[STRAIN_CPU] = A_CPU;
}

static void look_at_memory(const struct look *l)
{
    struct strains *o = l->out;
    int64_t has = o->has[STRAIN_MEMORY], use = l->host->use[STRAIN_MEMORY];
    int64_t target = has * MEMORY_TARGET / 1000, shed = use * SHED / 1000;
    bool stalls = any_guest_stalls(l, STRAIN_MEMORY);
    bool waits =
        machine_stalls(l, STRAIN_MEMORY, known(l->machine.memory_stall)) ||
        (l->policy->swap && l->machine.swap >= l->policy->swap);
    bool is_short = (stalls || waits) && use * 2 > has;
    bool yes = use * 1000 > has * MEMORY_TRIGGER || is_short;
    o->strained[STRAIN_MEMORY] = yes;
    o->comfort[STRAIN_MEMORY] = yes || use < target ? target : use;
    if (is_short && shed < o->comfort[STRAIN_MEMORY])
        o->comfort[STRAIN_MEMORY] = shed;
    o->unit[STRAIN_MEMORY] = A_MEMORY;
}

static void look_at_disk(const struct look *l)
{
    int64_t use = l->host->use[STRAIN_DISK];
    bool stalls = any_guest_stalls(l, STRAIN_DISK);
    bool waits = machine_stalls(l, STRAIN_DISK, known(l->machine.disk_stall)) &&
                 !any_is_alone(l, STRAIN_DISK);
    l->out->strained[STRAIN_DISK] = (stalls || waits) && use >= DISK_MIN;
    l->out->comfort[STRAIN_DISK] = use * l->policy->target / 1000;
}

static void look_at_network(const struct look *l)
{
    const struct strain_policy *p = l->policy;
    struct strains *o = l->out;
    int64_t has = o->has[STRAIN_NETWORK];
    int64_t use = l->host->use[STRAIN_NETWORK] + o->base[STRAIN_NETWORK];
    int64_t target = has * p->target / 1000;
    /* Guests of one host speak with each other beside the link: where its own
     * counters are read, they decide. */
    int64_t wire = l->machine.network > 0 ? l->machine.network : use;
    bool yes = has > 0 && wire * 1000 > has * p->trigger;
    o->strained[STRAIN_NETWORK] = yes;
    o->comfort[STRAIN_NETWORK] = !has                  ? INT64_MAX / 2
                                 : yes || use < target ? target
                                                       : use;
    o->unit[STRAIN_NETWORK] = has ? target / A_SHARE + 1 : INT64_MAX / 2;
}

/* ---- all ----------------------------------------------------------------- */

/* What disks are trusted with: as much as the least that was too much; all,
 * if nobody waits. */
static void trust_disks(const struct board *b, struct strains *all)
{
    int64_t least = INT64_MAX / 2;
    for (uint32_t h = 0; h < b->n_hosts; h++)
        if (all[h].strained[STRAIN_DISK] && all[h].comfort[STRAIN_DISK] < least)
            least = all[h].comfort[STRAIN_DISK];
    for (uint32_t h = 0; h < b->n_hosts; h++) {
        struct strains *s = &all[h];
        int64_t use = b->hosts[h].use[STRAIN_DISK];
        if (!s->strained[STRAIN_DISK])
            s->comfort[STRAIN_DISK] = use > least ? use : least;
        s->unit[STRAIN_DISK] = least / A_SHARE + 1;
    }
}

static bool is_settling(const struct strain_policy *p, uint32_t host)
{
    bool any = false;
    for (uint32_t i = 0; i < p->n_settling; i++)
        any = any || p->settling[i] == host;
    return any;
}

void strain_find(const struct board *b, const struct strain_policy *p,
                 struct strains *out)
{
    for (uint32_t h = 0; h < b->n_hosts; h++) {
        struct look l = {
            b, p, &b->hosts[h], b->fleet->uses[h], &out[h], false
        };
        l.settling = is_settling(p, h);
        if (l.settling)
            l.machine = (struct fleet_host_use){ .ram = l.machine.ram,
                                                 .steal = l.machine.steal,
                                                 .link = l.machine.link };
        out[h] = (struct strains){ 0 };
        find_capacity(&l, h);
        look_at_cpu(&l);
        look_at_memory(&l);
        look_at_disk(&l);
        look_at_network(&l);
        out[h].urgent = out[h].strained[STRAIN_CPU] ||
                        out[h].strained[STRAIN_MEMORY] ||
                        out[h].strained[STRAIN_NETWORK];
    }
    trust_disks(b, out);
}
