/* bench/rebalance: what a plan makes of a fragmented cluster, with so many
 * migrations, against the optimum of a mixed-integer program.  Every
 * migration is checked when it is its turn, by an account of its own.
 * Prints one JSON line a seed. */
#include "bench/rebalance/cluster.h"
#include "bench/rebalance/mip.h"
#include "common/env.h"
#include "common/jw.h"
#include "engine/plan.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct options {
    int hosts, servers, migrations, seeds, solver;
    uint64_t seed, steps;
};

/* ---- the cluster as a fleet ---------------------------------------------- */

static void add_host(struct fleet *f, int h)
{
    char name[16];
    snprintf(name, sizeof(name), "host%04d", h);
    uint32_t host = fleet_add_host(f, name);
    fleet_set_facts(f, host, &(struct fleet_facts){ .state = FLEET_UP });
    fleet_set_capacity(f, host, FLEET_VCPU,
                       CLUSTER_CELLS * CLUSTER_CORES * 1000);
    fleet_set_capacity(f, host, FLEET_MEMORY, CLUSTER_CELLS * CLUSTER_MEMORY);
    fleet_set_cells(f, host, CLUSTER_CELLS, CLUSTER_CORES * 1000,
                    CLUSTER_MEMORY);
}

static struct fleet *to_fleet(const struct cluster *c)
{
    struct fleet *f = fleet_new();
    for (int h = 0; h < c->n_hosts; h++)
        add_host(f, h);
    for (int i = 0; i < c->n_servers; i++) {
        const struct cluster_server *s = &c->servers[i];
        const struct cluster_class *k = &cluster_classes[s->class];
        struct request r = { .demand = { .cells = (uint16_t)k->cells } };
        r.demand.need[FLEET_VCPU] = k->cores * 1000;
        r.demand.need[FLEET_MEMORY] = k->memory;
        struct placing at = {
            .host = (uint32_t)s->host,
            .cells = (uint8_t)(((1U << k->cells) - 1) << s->cell),
        };
        fleet_put(f, (uint64_t)i + 1, &r, &at);
        fleet_guest(f, (uint64_t)i + 1)->movable = true;
    }
    fleet_ranks(f);
    return f;
}

/* ---- an account of its own ----------------------------------------------- */

/* Carries the plan out on the cluster.  False: a move had no room. */
static bool carry_out(struct cluster *c, const struct plan *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct plan_move *m = &p->moves[i];
        struct cluster_server *s = &c->servers[m->guest - 1];
        if (s->host != (int)m->from.host || m->to.host == m->from.host ||
            !cluster_move(c, s, (int)m->to.host, __builtin_ctz(m->to.cells)))
            return false;
    }
    return true;
}

/* ---- one cluster --------------------------------------------------------- */

static struct plan_policy policy(const struct options *o, uint64_t seed)
{
    struct plan_policy p = plan_careful;
    p.goals = (struct goals_policy){ .vcpu = CLUSTER_UNIT * 1000 };
    p.goals.weight[GOAL_DEFRAGMENT] = 100000;
    p.hysteresis = 1000;
    p.most = (uint32_t)o->migrations;
    p.steps = o->steps;
    p.seed = seed;
    return p;
}

static void tell_solver(struct jw *w, const struct mip_answer *a, int gain)
{
    jw_obj(w, "optimum");
    jw_bool(w, "solver", a->ran);
    if (a->ran) {
        jw_bool(w, "proof", a->proof);
        jw_int(w, "gain", (int64_t)a->gain);
        jw_int(w, "bound", (int64_t)a->bound);
        jw_real(w, "seconds", a->seconds);
        jw_real(w, "share", a->bound > 0 ? gain / a->bound : 1);
    }
    jw_obj_end(w);
}

static bool measure(const struct options *o, uint64_t seed)
{
    struct cluster c;
    struct plan plan;
    struct mip_answer answer = { 0 };
    struct buf out = BUF_INIT(4096);
    struct jw w = JW_INIT(&out);
    cluster_draw(&c, o->hosts, o->servers, seed);
    int before = cluster_unusable(&c);
    struct fleet *f = to_fleet(&c);
    struct plan_policy p = policy(o, seed);
    int64_t begun = env_mono(&env_system);
    clock_t cpu = clock();
    plan_make(f, &p, &plan);
    cpu = clock() - cpu;
    int64_t took = env_mono(&env_system) - begun;
    if (o->solver)
        mip_solve(&c, o->migrations, o->solver, &answer);
    jw_obj(&w, NULL);
    jw_int(&w, "hosts", o->hosts);
    jw_int(&w, "servers", c.n_servers);
    jw_int(&w, "seed", (int64_t)seed);
    jw_real(&w, "full", cluster_full(&c));
    bool valid = carry_out(&c, &plan);
    jw_int(&w, "unusable", before);
    jw_int(&w, "after", cluster_unusable(&c));
    jw_int(&w, "gain", before - cluster_unusable(&c));
    jw_int(&w, "migrations", plan.n);
    jw_bool(&w, "valid", valid);
    jw_int(&w, "stayed", plan.stays.n);
    jw_real(&w, "seconds", (double)took / (double)SECOND_US);
    jw_real(&w, "cpu", (double)cpu / CLOCKS_PER_SEC);
    if (o->solver)
        tell_solver(&w, &answer, before - cluster_unusable(&c));
    jw_obj_end(&w);
    printf("%s\n", buf_str(&out));
    buf_free(&out);
    plan_free(&plan);
    fleet_free(f);
    cluster_free(&c);
    return valid;
}

/* ---- main ---------------------------------------------------------------- */

static const struct option table[] = {
    { "hosts", 1, NULL, 'h' },      { "servers", 1, NULL, 'n' },
    { "migrations", 1, NULL, 'm' }, { "seed", 1, NULL, 's' },
    { "seeds", 1, NULL, 'k' },      { "steps", 1, NULL, 't' },
    { "solver", 1, NULL, 'o' },     { 0 },
};

static bool read_options(int argc, char **argv, struct options *o)
{
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        long n = optarg ? strtol(optarg, NULL, 10) : 0;
        switch (c) {
        case 'h':
            o->hosts = (int)n;
            break;
        case 'n':
            o->servers = (int)n;
            break;
        case 'm':
            o->migrations = (int)n;
            break;
        case 's':
            o->seed = (uint64_t)n;
            break;
        case 'k':
            o->seeds = (int)n;
            break;
        case 't':
            o->steps = (uint64_t)n;
            break;
        case 'o':
            o->solver = (int)n;
            break;
        default:
            return false;
        }
    }
    return o->hosts > 1 && o->servers > 0 && o->migrations > 0;
}

int main(int argc, char **argv)
{
    struct options o = { .hosts = 280,
                         .servers = 2100,
                         .migrations = 50,
                         .seed = 1,
                         .seeds = 1,
                         .steps = 4000000 };
    if (!read_options(argc, argv, &o)) {
        fprintf(stderr, "usage: rebalance [--hosts N] [--servers N] "
                        "[--migrations N] [--seed K] [--seeds N] "
                        "[--steps N] [--solver SECONDS]\n");
        return 2;
    }
    bool good = true;
    for (int i = 0; i < o.seeds; i++)
        good = measure(&o, o.seed + (uint64_t)i) && good;
    return good ? 0 : 1;
}
