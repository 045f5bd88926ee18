/* bench/plan: how long a plan takes in a large pool: nothing to do, hosts in
 * trouble, hosts to be emptied (where there is room, and where there is next
 * to none), new hosts that are empty.  Times are of one core.  One JSON line.
 *
 *   build/bench/plan [--hosts 1000] [--guests 100] [--trouble 20]
 *                    [--draining 10] */
#include "engine/plan.h"
#include "common/buf.h"
#include "common/jw.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS 128
#define SPEED   1000 /* thousandths of a vCPU */
#define LEFT    2048 /* MiB free in a full pool: less than the smallest */

struct pool {
    struct fleet *f;
    uint64_t rng;
    uint32_t hosts, guests, trouble, draining, empty; /* guests: of a host */
    bool full;
};

static uint32_t draw(struct pool *p, uint32_t below)
{
    p->rng = p->rng * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(p->rng >> 33) % below;
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add_host(struct pool *p, uint32_t i)
{
    char name[16];
    snprintf(name, sizeof(name), "host%06u", i);
    uint32_t h = fleet_add_host(p->f, name);
    fleet_set_facts(p->f, h,
                    &(struct fleet_facts){ .state = FLEET_UP,
                                           .largest_vcpu = THREADS * SPEED });
    fleet_set_capacity(p->f, h, FLEET_VCPU, THREADS * 4 * SPEED);
    fleet_set_capacity(p->f, h, FLEET_MEMORY, 1 << 21);
}

/* One in ten is in a group of three that keep away from each other. */
static struct request drawn(struct pool *p, uint32_t i)
{
    int32_t n = 1 << draw(p, 4);
    struct request r = { .demand.need = { n * SPEED, n * 4096 } };
    if (i % 10 == 0)
        r.group = (struct request_group){ .id = 1 + i / 30,
                                          .policy = REQUEST_ANTI_AFFINITY };
    return r;
}

/* The first hosts lose time; the others have 60 % of the machine in use. */
static void add_guest(struct pool *p, uint32_t i)
{
    uint32_t host = i % (p->hosts - p->empty);
    bool trouble = host < p->trouble;
    struct request r = drawn(p, i);
    struct placing at = { .host = host };
    fleet_put(p->f, 1 + i, &r, &at);
    int32_t vcpus = r.demand.need[FLEET_VCPU];
    int32_t mean = 15 * SPEED / 4 * (int32_t)p->guests; /* of a host */
    int64_t share = (int64_t)THREADS * SPEED * (trouble ? 105 : 60) / 100;
    struct fleet_use use = {
        .vcpu = (int32_t)(vcpus * share / mean),
        .memory = r.demand.need[FLEET_MEMORY] / 2,
        .steal = trouble ? 80 : 0,
    };
    fleet_set_use(p->f, 1 + i, &use);
}

static void make_pool(struct pool *p)
{
    p->f = fleet_new();
    for (uint32_t i = 0; i < p->hosts; i++)
        add_host(p, i);
    for (uint32_t i = 0; i < p->hosts * p->guests; i++)
        add_guest(p, i);
    for (uint32_t h = p->hosts - p->draining; h < p->hosts; h++) {
        struct fleet_facts facts = p->f->hosts[h].facts;
        facts.state = FLEET_DRAINING;
        fleet_set_facts(p->f, h, &facts);
    }
    for (uint32_t h = 0; h < p->hosts && p->full; h++)
        fleet_set_capacity(p->f, h, FLEET_MEMORY,
                           p->f->capacity[FLEET_MEMORY][h] -
                               p->f->free[FLEET_MEMORY][h] + LEFT);
    fleet_ranks(p->f);
}

static void measure(struct jw *w, const char *name, struct pool p)
{
    struct plan plan;
    make_pool(&p);
    double begun = cpu_s();
    plan_make(p.f, &plan_careful, &plan);
    double took = cpu_s() - begun;
    jw_obj(w, name);
    jw_real(w, "seconds", took);
    jw_int(w, "moves", plan.n);
    jw_int(w, "stayed", plan.stays.n);
    jw_int(w, "gain", plan.gain);
    jw_int(w, "cost", plan.cost);
    jw_obj_end(w);
    plan_free(&plan);
    fleet_free(p.f);
}

int main(int argc, char **argv)
{
    static const struct option table[] = { { "hosts", 1, NULL, 'h' },
                                           { "guests", 1, NULL, 'g' },
                                           { "trouble", 1, NULL, 't' },
                                           { "draining", 1, NULL, 'd' },
                                           { 0 } };
    struct pool p = {
        .hosts = 1000, .guests = 100, .trouble = 20, .draining = 10, .rng = 1
    };
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        uint32_t n = optarg ? (uint32_t)strtoul(optarg, NULL, 10) : 0;
        *(c == 'h'   ? &p.hosts
          : c == 'g' ? &p.guests
          : c == 't' ? &p.trouble
                     : &p.draining) = n;
    }
    if (!p.guests || p.hosts <= p.trouble + p.draining)
        return 2;
    struct buf out = BUF_INIT(4096);
    struct jw w = JW_INIT(&out);
    struct pool calm = p, trouble = p, draining = p, full, fill;
    calm.trouble = calm.draining = trouble.draining = draining.trouble = 0;
    fill = calm;
    fill.empty = p.draining;
    full = draining;
    full.full = true;
    jw_obj(&w, NULL);
    jw_int(&w, "hosts", p.hosts);
    jw_int(&w, "guests", (int64_t)p.hosts * p.guests);
    measure(&w, "calm", calm);
    measure(&w, "trouble", trouble);
    measure(&w, "draining", draining);
    measure(&w, "draining_full", full);
    measure(&w, "fill", fill);
    jw_obj_end(&w);
    puts(buf_str(&out));
    buf_free(&out);
    return 0;
}
