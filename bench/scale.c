/* bench/scale: one leader of a large pool, from an empty process: what the
 * records cost in the cache and in the fleet, how long until it is ready,
 * how fast it decides then, and what each change costs everybody who follows.
 * Times are of one core (CPU time).  One JSON line; docs/scale.md says what
 * follows from it.
 *
 *   build/bench/scale [--nodes 1000] [--servers 100000] [--whole]
 *
 * --whole: each server with its volume, port and claims. */
#include "bench/scale/made.h"
#include "common/env.h"
#include "common/jw.h"
#include "engine/choose.h"
#include "engine/view.h"

#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CHANGES      20000
#define DECIDE_US    (3 * SECOND_US)
#define LOOK_EACH    256 /* decisions between looks at the clock */
#define NEW_GUEST_ID (1ULL << 62)

struct scale {
    struct made_pool pool;
    struct store *store;
    struct cache *cache;
    struct view *view;
    struct chooser *chooser;
    uint64_t rng;
};

struct costs {
    double make_s, load_s, view_s, first_choice_s, decisions;
    double server_change_us, server_follow_us, beat_us, beat_follow_us;
    int64_t bytes, records, cache_rss, view_rss, all_rss;
};

/* Of this process, microseconds: others run on the machine. */
static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double since(double begun)
{
    return (cpu_us() - begun) / 1e6;
}

/* Resident bytes. */
static int64_t resident(void)
{
    char text[128] = "";
    FILE *f = fopen("/proc/self/statm", "r");
    malloc_trim(0);
    if (!f)
        return 0;
    char *line = fgets(text, sizeof(text), f);
    fclose(f);
    char *at = line;
    if (!line)
        return 0;
    strtol(line, &at, 10);
    return strtol(at, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static uint64_t draw(struct scale *s, uint64_t below)
{
    s->rng = s->rng * 6364136223846793005U + 1442695040888963407U;
    return (s->rng >> 33) % below;
}

/* ---- getting ready ------------------------------------------------------- */

static bool weigh(void *arg, const struct kv *kv)
{
    struct costs *c = arg;
    c->bytes += (int64_t)kv->len;
    c->records++;
    return true;
}

static void load(struct scale *s, struct costs *c)
{
    struct error err;
    int64_t revision;
    double begun = cpu_us();
    store_range(s->store, "", weigh, c, &revision, &err);
    c->make_s = since(begun);
    int64_t before = resident();
    begun = cpu_us();
    s->cache = cache_new(model_kinds, N_KINDS);
    if (!cache_follow(s->cache, s->store, &err))
        abort();
    c->load_s = since(begun) - c->make_s;
    c->cache_rss = resident() - before;
}

static void follow(struct scale *s, int64_t now)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(s->cache);
    view_follow(s->view, snap, now);
}

/* A request like one of the servers. */
static struct request drawn(struct scale *s)
{
    int32_t n = 1 << draw(s, 4);
    return (struct request){
        .demand = { .need = { n * 1000, n * 4096 },
                    .policy = VIEW_POLICY_POOL },
    };
}

static void get_ready(struct scale *s, struct costs *c)
{
    struct placing at;
    int64_t before = resident();
    double begun = cpu_us();
    s->view = view_new();
    follow(s, s->pool.now);
    c->view_s = since(begun);
    begun = cpu_us();
    s->chooser = chooser_new(view_fleet(s->view));
    for (int i = 0; i < 4; i++) {
        struct request r = { .demand = { .need = { 1000 << i, 4096 << i },
                                         .policy = VIEW_POLICY_POOL } };
        choose(s->chooser, &r, &at);
    }
    c->first_choice_s = since(begun);
    c->view_rss = resident() - before;
}

/* ---- then ---------------------------------------------------------------- */

/* One goes, one comes. */
static void decide(struct scale *s, struct costs *c)
{
    struct fleet *f = view_fleet(s->view);
    int64_t n = 0;
    double begun = cpu_us();
    while (n % LOOK_EACH || cpu_us() - begun < DECIDE_US) {
        struct request r = drawn(s);
        struct placing at;
        uint64_t id = f->guests[draw(s, f->guest_slots)].id;
        if (id)
            fleet_remove(f, id);
        if (choose(s->chooser, &r, &at))
            fleet_put(f, NEW_GUEST_ID + (uint64_t)n, &r, &at);
        n++;
    }
    c->decisions = (double)n / since(begun);
}

/* Records that change one after another: what it costs the cache, what it
 * costs a view that follows each. */
static void change(struct scale *s, bool beat, double *cache_us,
                   double *view_us)
{
    double in_view = 0, in_cache = 0;
    for (int i = 0; i < CHANGES; i++) {
        int64_t now = s->pool.now + i;
        void *record;
        if (beat) {
            struct node *n =
                made_node(&s->pool, (int64_t)draw(s, (uint64_t)s->pool.nodes));
            n->seen = now;
            record = n;
        } else {
            struct server *v = made_server(
                &s->pool, (int64_t)draw(s, (uint64_t)s->pool.servers));
            v->vm_state = i % 2 ? VM_ACTIVE : VM_STOPPED;
            v->updated = now;
            record = v;
        }
        double begun = cpu_us();
        made_change(s->store, record);
        double cached = cpu_us();
        follow(s, s->pool.now);
        in_cache += cached - begun;
        in_view += cpu_us() - cached;
    }
    *cache_us = in_cache / CHANGES;
    *view_us = in_view / CHANGES;
}

static void tell(const struct scale *s, const struct costs *c)
{
    static const double mib = 1 << 20;
    struct buf out = BUF_INIT(4096);
    struct jw w = JW_INIT(&out);
    jw_obj(&w, NULL);
    jw_int(&w, "nodes", s->pool.nodes);
    jw_int(&w, "servers", s->pool.servers);
    jw_bool(&w, "whole", s->pool.whole);
    jw_int(&w, "records", c->records);
    jw_int(&w, "store_mib", (int64_t)((double)c->bytes / mib));
    jw_int(&w, "cache_mib", (int64_t)((double)c->cache_rss / mib));
    jw_int(&w, "view_mib", (int64_t)((double)c->view_rss / mib));
    jw_int(&w, "all_mib", (int64_t)((double)c->all_rss / mib));
    jw_int(&w, "cache_bytes_per_server", c->cache_rss / s->pool.servers);
    jw_int(&w, "view_bytes_per_server", c->view_rss / s->pool.servers);
    jw_real(&w, "load_s", c->load_s);
    jw_real(&w, "view_s", c->view_s);
    jw_real(&w, "indexes_s", c->first_choice_s);
    jw_int(&w, "decisions_per_s", (int64_t)c->decisions);
    jw_real(&w, "server_change_cache_us", c->server_change_us);
    jw_real(&w, "server_change_view_us", c->server_follow_us);
    jw_real(&w, "beat_cache_us", c->beat_us);
    jw_real(&w, "beat_view_us", c->beat_follow_us);
    jw_obj_end(&w);
    puts(buf_str(&out));
    buf_free(&out);
}

int main(int argc, char **argv)
{
    static const struct option table[] = { { "nodes", 1, NULL, 'n' },
                                           { "servers", 1, NULL, 's' },
                                           { "whole", 0, NULL, 'w' },
                                           { 0 } };
    struct scale s = { .pool = { .nodes = 1000, .servers = 100000 }, .rng = 1 };
    struct costs c = { 0 };
    for (int o; (o = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        int64_t n = optarg ? strtoll(optarg, NULL, 10) : 1;
        s.pool.whole |= o == 'w';
        if (o != 'w')
            *(o == 'n' ? &s.pool.nodes : &s.pool.servers) = n;
        if (o == '?' || n <= 0)
            return 2;
    }
    s.pool.now = env_now(&env_system);
    s.store = made_open(&s.pool);
    load(&s, &c);
    get_ready(&s, &c);
    change(&s, false, &c.server_change_us, &c.server_follow_us);
    change(&s, true, &c.beat_us, &c.beat_follow_us);
    decide(&s, &c);
    c.all_rss = resident();
    tell(&s, &c);
    chooser_free(s.chooser);
    view_free(s.view);
    cache_unfollow(s.cache);
    cache_free(s.cache);
    store_close(s.store);
    return 0;
}
