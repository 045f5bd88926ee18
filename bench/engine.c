/*
 * bench/engine: placement decisions a second of one core, in a pool that is
 * 85 % full with servers coming and going.  Prints one JSON line.
 *
 *   build/bench/engine --hosts 10000 --flavors 20 --mix plain|mixed
 *                      --seconds 3 --seed 1
 *
 * The pool is filled blindly to 83 %, then by decisions.  Then it is measured:
 * a step is one arrival: choose, and take the place (fleet_put); then random
 * servers leave until the pool is as full as before.  `decisions_per_s` is
 * arrivals by the CPU time of all of it, departures included; p50 and p99
 * are wall time of arrivals alone (one in sixteen is timed).
 *
 * Hosts: 64 to 128 threads in 2 NUMA cells, 4 to 8 GiB a thread, overcommit
 * 4 for vCPUs; 3 zones, racks of 20; half have the trait AVX512, a third is
 * in aggregate ssd, a tenth in one that is set apart for a tenant; a tenth
 * has 8 GPUs of one of 2 models, and is kept for those who ask for them.
 *
 * plain: every flavor is vCPU, memory and disk, of sizes 1 to 16; spread.
 * mixed: of the flavors 15 % ask for 1 or 2 NUMA cells, 15 % for aggregate
 * ssd, 10 % for the trait; besides, 10 % of the requests ask for GPUs (half
 * of them for a part of one, the others for 1, 2, 4 or 8; a third by model;
 * least fragmentation, by the mix learnt from the arrivals).  Of the requests
 * 10 % ask for a zone, 5 % come from the tenant with hosts of its own, 1 % are
 * of a size nobody else asks for; 30 % are in groups of up to 8 (a third each
 * anti-affinity and soft anti-affinity, a sixth each affinity and spread over
 * racks by 1), 10 % exclude 1 to 8 hosts, 5 % prefer some, 1 % name a host.
 */
#include "common/alloc.h"
#include "common/jw.h"
#include "engine/choose.h"
#include "engine/mix.h"
#include "engine/pages.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FULL        0.85
#define STREWN      0.83   /* filled blindly up to here */
#define SETTLE      100000 /* decisions before it counts */
#define SAMPLES_MAX (1 << 20)
#define SAMPLE_EACH 16
#define FLAVORS_MAX 1000
#define LIST_MAX    8
#define GROUP_MAX   8
#define GROUPS      512 /* that fill at the same time */

enum { MODEL_A, MODEL_B, MODELS };
enum { KIND_GPU };
enum { TRAIT_AVX512 };
enum { AGGREGATE_SSD, AGGREGATE_APART, AGGREGATE_GPUS };
enum { POLICY_SPREAD, POLICY_FRAGMENTATION };

/* ---- what is measured ---------------------------------------------------- */

struct member {
    uint64_t id;
    int64_t amount;
};

struct crowd { /* servers of one sort, and how full they make the pool */
    struct member *at;
    uint32_t n, size;
    uint32_t next; /* who leaves next */
    int64_t used, capacity;
};

struct bench {
    unsigned hosts, flavors;
    double seconds;
    bool mixed;
    uint64_t random;
    struct fleet *f;
    struct chooser *c;
    struct mix *mix; /* learnt from the arrivals */
    struct demand *flavor;
    struct crowd servers, gpus; /* by vCPU; by thousandths of GPUs */
    struct request_group groups[GROUPS];
    uint64_t next_id, next_group, decisions, refused;
    uint32_t *samples; /* ns */
    size_t n_samples;
};

static uint32_t draw(struct bench *b, uint32_t below)
{
    b->random += 0x9E3779B97F4A7C15ULL;
    uint64_t z = b->random;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return (uint32_t)(((z >> 32) * below) >> 32);
}

static bool chance(struct bench *b, uint32_t percent)
{
    return draw(b, 100) < percent;
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- the pool ------------------------------------------------------------ */

static void describe(struct bench *b, uint32_t h, unsigned number, bool gpus)
{
    struct fleet_facts facts = {
        .state = FLEET_UP,
        .zone = 1 + number % 3,
        .rack = 1 + number / 20,
    };
    if (chance(b, 50))
        set_add(&facts.traits, TRAIT_AVX512);
    if (chance(b, 33))
        set_add(&facts.aggregates, AGGREGATE_SSD);
    if (chance(b, 10))
        set_add(&facts.aggregates, AGGREGATE_APART);
    if (gpus)
        set_add(&facts.aggregates, AGGREGATE_GPUS);
    fleet_set_facts(b->f, h, &facts);
}

static void add_gpus(struct bench *b, uint32_t h)
{
    uint8_t model = (uint8_t)draw(b, MODELS);
    for (int i = 0; i < 8; i++)
        fleet_add_device(b->f, h, KIND_GPU, model, (uint8_t)(i / 4));
    b->gpus.capacity += 8000;
}

static void add_host(struct bench *b, unsigned number)
{
    char name[32];
    snprintf(name, sizeof(name), "node%06u", number);
    uint32_t h = fleet_add_host(b->f, name);
    int32_t threads = 64 + 32 * (int32_t)draw(b, 3);
    int32_t memory = threads * 4096 * (1 + (int32_t)draw(b, 2));
    fleet_set_capacity(b->f, h, FLEET_VCPU, threads * 4000);
    fleet_set_capacity(b->f, h, FLEET_MEMORY, memory);
    fleet_set_capacity(b->f, h, FLEET_DISK, threads * 60);
    fleet_set_cells(b->f, h, 2, threads * 2000, memory / 2);
    bool gpus = b->mixed && chance(b, 10);
    describe(b, h, number, gpus);
    if (gpus)
        add_gpus(b, h);
    else
        b->servers.capacity += memory;
}

static void make_flavor(struct bench *b, unsigned i, struct demand *d)
{
    int32_t n = 1 << i % 5;
    int32_t each = 2048 * (1 + (int32_t)draw(b, 3));
    *d = (struct demand){ .need = { n * 1000, n * each, 10 + n * 5 } };
    d->need[FLEET_MEMORY] += 64 * (int32_t)(i / 5); /* all differ */
    set_add(&d->barred, AGGREGATE_GPUS);
    uint32_t sort = b->mixed ? i * 100 / b->flavors : 100;
    if (sort < 15)
        d->cells = n > 4 ? 2 : 1;
    else if (sort < 30)
        set_add(&d->any[0], AGGREGATE_SSD);
    else if (sort < 40)
        set_add(&d->required, TRAIT_AVX512);
}

static void set_up(struct bench *b)
{
    struct fleet_set apart = { 0 };
    b->f = fleet_new();
    fleet_set_policy(b->f, POLICY_FRAGMENTATION,
                     &(struct score_policy){ .kind = SCORE_FRAGMENTATION });
    if (b->mixed)
        set_add(&apart, AGGREGATE_APART);
    fleet_set_isolating(b->f, &apart);
    for (unsigned i = 0; i < b->hosts; i++)
        add_host(b, i);
    b->flavor = xcalloc(b->flavors, sizeof(*b->flavor));
    for (unsigned i = 0; i < b->flavors; i++)
        make_flavor(b, i, &b->flavor[i]);
    b->c = chooser_new(b->f);
    b->mix = mix_new();
    b->samples = xcalloc(SAMPLES_MAX, sizeof(*b->samples));
}

/* ---- requests ------------------------------------------------------------ */

static void ask_for_gpus(struct bench *b, struct demand *d)
{
    uint32_t n = 1U << draw(b, 4);
    bool part = chance(b, 50);
    *d = (struct demand){ .need = { 4000, 16384, 50 } };
    d->policy = POLICY_FRAGMENTATION;
    d->devices[0] = (struct request_device){
        .kind = KIND_GPU,
        .count = (uint8_t)(part ? 1 : n),
        .thousandths = (uint16_t)(part ? 250 * (1 + draw(b, 3)) : 1000),
        .models = chance(b, 33) ? 1U << draw(b, MODELS) : 0,
    };
}

static struct request_group new_group(struct bench *b)
{
    static const uint8_t policies[] = {
        REQUEST_ANTI_AFFINITY,      REQUEST_ANTI_AFFINITY,
        REQUEST_SOFT_ANTI_AFFINITY, REQUEST_SOFT_ANTI_AFFINITY,
        REQUEST_AFFINITY,           REQUEST_ALONE /* spread */
    };
    struct request_group g = { .id = ++b->next_group };
    g.policy = policies[draw(b, 6)];
    if (g.policy == REQUEST_ALONE) {
        g.level = FLEET_LEVEL_RACK;
        g.skew = 1;
    }
    return g;
}

/* One of the groups that are filling; full ones make room for new ones. */
static struct request_group pick_group(struct bench *b)
{
    struct request_group *g = &b->groups[draw(b, GROUPS)];
    const struct fleet_group *now = fleet_group(b->f, g->id);
    if (!g->id || (now && now->total >= GROUP_MAX))
        *g = new_group(b);
    return *g;
}

static struct host_list some_hosts(struct bench *b, uint32_t *at,
                                   uint32_t percent, uint32_t most)
{
    struct host_list list = { .at = at };
    if (chance(b, percent))
        list.n = 1 + draw(b, most);
    for (uint32_t i = 0; i < list.n; i++)
        at[i] = draw(b, b->hosts);
    return list;
}

/* `lists`: room for 3 * LIST_MAX. */
static void make_mixed(struct bench *b, struct request *r, uint32_t *lists)
{
    if (chance(b, 10))
        ask_for_gpus(b, &r->demand);
    if (chance(b, 10))
        r->demand.zone = 1 + draw(b, 3);
    if (chance(b, 5))
        set_add(&r->demand.entitled, AGGREGATE_APART);
    if (chance(b, 1))
        r->demand.need[FLEET_MEMORY] += 1 + (int32_t)draw(b, 4000);
    if (chance(b, 30))
        r->group = pick_group(b);
    r->excluded = some_hosts(b, lists, 10, LIST_MAX);
    r->preferred = some_hosts(b, lists + LIST_MAX, 5, LIST_MAX);
    r->allowed = some_hosts(b, lists + 2 * LIST_MAX, 1, 1);
}

static void make_request(struct bench *b, struct request *r, uint32_t *lists)
{
    *r = (struct request){ .demand = b->flavor[draw(b, b->flavors)] };
    if (b->mixed)
        make_mixed(b, r, lists);
}

/* ---- coming and going ---------------------------------------------------- */

static struct crowd *crowd_of(struct bench *b, const struct demand *d,
                              int64_t *amount)
{
    const struct request_device *v = &d->devices[0];
    *amount = v->count ? v->count * v->thousandths : d->need[FLEET_MEMORY];
    return v->count ? &b->gpus : &b->servers;
}

static void enter(struct bench *b, const struct request *r)
{
    int64_t amount;
    struct crowd *w = crowd_of(b, &r->demand, &amount);
    if (w->n == w->size) {
        uint32_t size = w->size ? w->size * 2 : 1024;
        w->at = pages_widen(w->at, sizeof(*w->at), w->size, size);
        w->size = size;
    }
    w->at[w->n++] = (struct member){ b->next_id, amount };
    w->used += amount;
}

/* The next one is drawn now, so that the bench's own list is not among what
 * is waited for. */
static void leave(struct bench *b, struct crowd *w)
{
    uint32_t i = w->next;
    w->used -= w->at[i].amount;
    fleet_remove(b->f, w->at[i].id);
    w->at[i] = w->at[--w->n];
    w->next = draw(b, w->n);
    __builtin_prefetch(&w->at[w->next], 1);
}

static bool is_full(const struct crowd *w)
{
    return (double)w->used > (double)w->capacity * FULL;
}

static bool arrive(struct bench *b, const struct request *r)
{
    struct placing at;
    if (b->mixed && mix_note(b->mix, &r->demand))
        fleet_set_mix(b->f, b->mix);
    if (!choose(b->c, r, &at))
        return false;
    fleet_put(b->f, ++b->next_id, r, &at);
    return true;
}

static bool arrive_timed(struct bench *b, const struct request *r)
{
    double begun = seconds(CLOCK_MONOTONIC);
    bool placed = arrive(b, r);
    double ns = (seconds(CLOCK_MONOTONIC) - begun) * 1e9;
    if (b->n_samples < SAMPLES_MAX)
        b->samples[b->n_samples++] = (uint32_t)ns;
    return placed;
}

static void step(struct bench *b)
{
    struct request r;
    uint32_t lists[3 * LIST_MAX];
    make_request(b, &r, lists);
    bool placed =
        b->decisions % SAMPLE_EACH ? arrive(b, &r) : arrive_timed(b, &r);
    b->decisions++;
    if (placed)
        enter(b, &r);
    else
        b->refused++;
    while (is_full(&b->servers))
        leave(b, &b->servers);
    while (is_full(&b->gpus))
        leave(b, &b->gpus);
}

/* Somebody on a host drawn blindly, if it fits there. */
static void strew(struct bench *b)
{
    struct request r;
    struct fit_rules rules;
    uint32_t lists[3 * LIST_MAX];
    struct placing at;
    int32_t score;
    make_request(b, &r, lists);
    fit_rules(b->f, &r, &rules);
    if (fit_host(b->f, &rules, draw(b, b->hosts), &at, &score) == FIT_OK &&
        fleet_put(b->f, ++b->next_id, &r, &at))
        enter(b, &r);
}

/* Most of it blindly, which is quick; the rest, and then some, by choice. */
static void fill(struct bench *b)
{
    uint64_t refused_in_a_row = 0;
    while ((double)b->servers.used < (double)b->servers.capacity * STREWN)
        strew(b);
    while (refused_in_a_row < 1000) {
        uint64_t before = b->refused;
        double used = (double)b->servers.used;
        step(b);
        if ((double)b->servers.used < used)
            break; /* somebody had to leave: full */
        refused_in_a_row = b->refused > before ? refused_in_a_row + 1 : 0;
    }
    for (unsigned i = 0; i < SETTLE; i++)
        step(b);
    b->decisions = b->refused = b->n_samples = 0;
}

static void measure(struct bench *b, double *cpu)
{
    double end = seconds(CLOCK_MONOTONIC) + b->seconds;
    double begun = seconds(CLOCK_THREAD_CPUTIME_ID);
    while (seconds(CLOCK_MONOTONIC) < end)
        for (int i = 0; i < 1000; i++)
            step(b);
    *cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - begun;
}

/* ---- the page ------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double percentile_us(struct bench *b, double share)
{
    size_t i = (size_t)((double)b->n_samples * share);
    return b->n_samples ? b->samples[i] / 1000.0 : 0;
}

static double share(int64_t used, int64_t capacity)
{
    return capacity ? (double)used / (double)capacity : 0;
}

static void print(struct bench *b, double cpu)
{
    struct buf json = BUF_INIT(4096);
    struct jw w = JW_INIT(&json);
    qsort(b->samples, b->n_samples, sizeof(*b->samples), by_value);
    jw_obj(&w, NULL);
    jw_int(&w, "hosts", b->hosts);
    jw_int(&w, "flavors", b->flavors);
    jw_str(&w, "mix", b->mixed ? "mixed" : "plain");
    jw_int(&w, "servers", b->f->n_guests);
    jw_int(&w, "decisions", (int64_t)b->decisions);
    jw_int(&w, "decisions_per_s", (int64_t)((double)b->decisions / cpu));
    jw_real(&w, "p50_us", percentile_us(b, 0.5));
    jw_real(&w, "p99_us", percentile_us(b, 0.99));
    jw_real(&w, "memory_full", share(b->servers.used, b->servers.capacity));
    jw_real(&w, "gpus_full", share(b->gpus.used, b->gpus.capacity));
    jw_real(&w, "refused", share((int64_t)b->refused, (int64_t)b->decisions));
    jw_obj_end(&w);
    puts(buf_str(&json));
    buf_free(&json);
}

static bool read_options(int argc, char **argv, struct bench *b)
{
    static const struct option options[] = {
        { "hosts", required_argument, NULL, 'h' },
        { "flavors", required_argument, NULL, 'f' },
        { "mix", required_argument, NULL, 'm' },
        { "seconds", required_argument, NULL, 's' },
        { "seed", required_argument, NULL, 'k' },
        { 0 },
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (c) {
        case 'h':
            b->hosts = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'f':
            b->flavors = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'm':
            b->mixed = strcmp(optarg, "mixed") == 0;
            break;
        case 's':
            b->seconds = strtod(optarg, NULL);
            break;
        case 'k':
            b->random = strtoull(optarg, NULL, 10);
            break;
        default:
            return false;
        }
    return optind == argc && b->hosts && b->flavors &&
           b->flavors <= FLAVORS_MAX;
}

int main(int argc, char **argv)
{
    struct bench b = {
        .hosts = 10000, .flavors = 20, .seconds = 3, .random = 1
    };
    double cpu;
    if (!read_options(argc, argv, &b)) {
        fprintf(stderr,
                "usage: %s --hosts N --flavors F --mix plain|mixed "
                "--seconds S --seed K\n",
                argv[0]);
        return 2;
    }
    set_up(&b);
    fill(&b);
    measure(&b, &cpu);
    print(&b, cpu);
    chooser_free(b.c);
    fleet_free(b.f);
    mix_free(b.mix);
    free(b.flavor);
    free(b.servers.at);
    free(b.gpus.at);
    free(b.samples);
    return 0;
}
