#include "daemon/measure.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "compute/host_counters.h"
#include "engine/forecast.h"
#include "model/pool.h"
#include "model/use.h"
#include "state/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOG_NAME "measure"
#define GUESTS   4096 /* that are read */

struct guest {
    char id[UUID_SIZE];
    struct domain_stats last; /* counters */
    int64_t read;             /* when, microseconds */
    struct forecast_set use;
    int64_t asked, dirty_at; /* count_dirty: when, and its last answer's */
};

struct measure {
    struct measure_config c;
    char *node, *proc, *sys;
    char uplink[UPLINK_NAME]; /* "": not known yet */
    struct guest *guests;     /* ascending by id */
    size_t n, size;
    struct host_counters last;
    int64_t read; /* when */
    struct forecast_set machine;
    int64_t link;    /* KiB/s; USE_UNKNOWN */
    int64_t written; /* when */

    pthread_t thread;
    pthread_mutex_t lock; /* stop */
    pthread_cond_t wake;
    bool stop;
};

/* ---- rates --------------------------------------------------------------- */

static void nothing(int64_t values[FORECAST_METRICS_N])
{
    for (int i = 0; i < FORECAST_METRICS_N; i++)
        values[i] = USE_UNKNOWN;
}

/* A counter that is not there, or went back, tells nothing. */
static int64_t per_second(int64_t was, int64_t is, int64_t us)
{
    return was < 0 || is < was || us <= 0 ? USE_UNKNOWN
                                          : (is - was) * SECOND_US / us;
}

static int64_t bytes_to_kib(int64_t rate)
{
    return rate < 0 ? rate : rate / 1024;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Stalled microseconds of a microsecond, thousandths. */
static int64_t stalled(const struct pressure_counters *was,
                       const struct pressure_counters *is, enum pressure what,
                       int64_t us)
{
    int64_t rate = per_second(was->us[what], is->us[what], us);
    return rate < 0 ? rate : rate / 1000;
}

/* ---- the machine --------------------------------------------------------- */

static void find_uplink(struct measure *m)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(m->c.cache);
    const struct node *n = snap_get(snap, &kind_node, m->node);
    if (n && !*m->uplink)
        host_uplink(m->sys, n->address, m->uplink);
}

static void machine_values(const struct host_counters *was,
                           const struct host_counters *is, int64_t us,
                           int64_t values[FORECAST_METRICS_N])
{
    int64_t ticks = is->all - was->all;
    if (ticks > 0) {
        values[FORECAST_VCPU] = (is->busy - was->busy) * 1000 / ticks;
        values[FORECAST_STEAL] = (is->steal - was->steal) * 1000 / ticks;
    }
    values[FORECAST_CPU_PRESSURE] =
        stalled(&was->stalled, &is->stalled, PRESSURE_CPU, us);
    values[FORECAST_MEMORY_PRESSURE] =
        stalled(&was->stalled, &is->stalled, PRESSURE_MEMORY, us);
    values[FORECAST_IO_PRESSURE] =
        stalled(&was->stalled, &is->stalled, PRESSURE_IO, us);
    values[FORECAST_SWAP] = per_second(was->swap_kib, is->swap_kib, us);
    values[FORECAST_DISK] = per_second(was->disk_kib, is->disk_kib, us);
    values[FORECAST_NETWORK] =
        larger(per_second(was->received_kib, is->received_kib, us),
               per_second(was->sent_kib, is->sent_kib, us));
}

static void read_machine(struct measure *m, int64_t now)
{
    int64_t values[FORECAST_METRICS_N];
    struct host_counters is;
    nothing(values);
    find_uplink(m);
    host_counters_read(m->proc, m->sys, m->uplink, &is);
    values[FORECAST_MEMORY] = is.memory_mb;
    if (m->read && now > m->read)
        machine_values(&m->last, &is, now - m->read, values);
    forecast_read(&m->machine, &forecast_usual, now / 1000, values);
    m->link = is.link_kib_s;
    m->last = is;
    m->read = now;
}

/* ---- guests -------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct guest *)a)->id, ((const struct guest *)b)->id);
}

static struct guest *find(struct measure *m, const char *id)
{
    struct guest key;
    snprintf(key.id, sizeof(key.id), "%s", id);
    return m->n ? bsearch(&key, m->guests, m->n, sizeof(key), by_id) : NULL;
}

static struct guest *add_guest(struct measure *m, const char *id)
{
    if (m->n == GUESTS)
        return NULL;
    if (m->n == m->size) {
        m->size = m->size ? m->size * 2 : 16;
        m->guests = xrealloc(m->guests, m->size * sizeof(*m->guests));
    }
    size_t at = m->n++;
    while (at && strcmp(m->guests[at - 1].id, id) > 0)
        at--;
    memmove(&m->guests[at + 1], &m->guests[at],
            (m->n - 1 - at) * sizeof(*m->guests));
    m->guests[at] = (struct guest){ .read = 0 };
    snprintf(m->guests[at].id, sizeof(m->guests[at].id), "%s", id);
    return &m->guests[at];
}

/* Its vCPUs' own waiting; where that is not told, its group's. */
static int64_t steal_of(const struct domain_stats *was,
                        const struct domain_stats *is, int64_t us)
{
    int64_t ran = is->cpu_ns - was->cpu_ns;
    int64_t waited = is->wait_ns - was->wait_ns;
    if (was->wait_ns < 0 || is->wait_ns < 0)
        return stalled(&was->stalled, &is->stalled, PRESSURE_CPU, us);
    return waited < 0         ? USE_UNKNOWN
           : ran + waited > 0 ? waited * 1000 / (ran + waited)
                              : 0;
}

static void guest_values(const struct domain_stats *was,
                         const struct domain_stats *is, int64_t us,
                         int64_t values[FORECAST_METRICS_N])
{
    values[FORECAST_VCPU] = (is->cpu_ns - was->cpu_ns) / us;
    values[FORECAST_STEAL] = steal_of(was, is, us);
    values[FORECAST_MEMORY_PRESSURE] =
        stalled(&was->stalled, &is->stalled, PRESSURE_MEMORY, us);
    values[FORECAST_IO_PRESSURE] =
        stalled(&was->stalled, &is->stalled, PRESSURE_IO, us);
    values[FORECAST_SWAP] = per_second(was->swap_kb, is->swap_kb, us);
    values[FORECAST_DISK] =
        bytes_to_kib(per_second(was->disk_bytes, is->disk_bytes, us));
    values[FORECAST_NETWORK] = bytes_to_kib(
        larger(per_second(was->received_bytes, is->received_bytes, us),
               per_second(was->sent_bytes, is->sent_bytes, us)));
}

/* Counters that went back are those of a guest that was started anew. */
static void read_guest(struct guest *g, const struct domain_stats *is,
                       int64_t now)
{
    int64_t us = now - g->read;
    int64_t values[FORECAST_METRICS_N];
    nothing(values);
    values[FORECAST_MEMORY] = is->used_kb / 1024;
    if (g->read && us > 0 && is->cpu_ns >= g->last.cpu_ns)
        guest_values(&g->last, is, us, values);
    if (is->dirty_at != g->dirty_at)
        values[FORECAST_DIRTY] = is->dirty_mib_s;
    g->dirty_at = is->dirty_at;
    forecast_read(&g->use, &forecast_usual, now / 1000, values);
    g->last = *is;
    g->read = now;
}

/* Those whose last time is longest ago; one that cannot be asked now (it
 * moves) waits for its next turn. */
static void count_dirty(struct measure *m, int64_t now)
{
    struct hypervisor *h = m->c.hypervisor;
    for (int n = 0; h->ops->count_dirty && n < MEASURE_DIRTY_MOST; n++) {
        struct error err = { 0 };
        struct guest *oldest = NULL;
        for (size_t i = 0; i < m->n; i++)
            if (m->guests[i].read == now &&
                (!oldest || m->guests[i].asked < oldest->asked))
                oldest = &m->guests[i];
        if (!oldest ||
            (oldest->asked && now - oldest->asked < MEASURE_DIRTY_US))
            return;
        oldest->asked = now;
        if (!h->ops->count_dirty(h, oldest->id, &err))
            log_limited(LOG_DEBUG, LOG_NAME, "%s", err.text);
    }
}

struct pass {
    char ids[GUESTS][UUID_SIZE];
    size_t n;
};

static void on_domain(void *arg, const char *id, enum domain_state state)
{
    struct pass *p = arg;
    if (state == DOMAIN_RUNNING && p->n < GUESTS)
        snprintf(p->ids[p->n++], UUID_SIZE, "%s", id);
}

static void read_guests(struct measure *m, int64_t now)
{
    struct hypervisor *h = m->c.hypervisor;
    struct error err = { 0 };
    _autofree_ struct pass *p = xcalloc(1, sizeof(*p));
    if (!h->ops->list(h, on_domain, p, &err))
        log_limited(LOG_WARN, LOG_NAME, "%s", err.text);
    for (size_t i = 0; i < p->n; i++) {
        struct domain_stats stats;
        struct guest *g = find(m, p->ids[i]);
        if (!h->ops->stats(h, p->ids[i], &stats, &err))
            continue; /* it may have stopped in between */
        if (g || (g = add_guest(m, p->ids[i])))
            read_guest(g, &stats, now);
    }
    size_t kept = 0;
    for (size_t i = 0; i < m->n; i++)
        if (now - m->guests[i].read <= MEASURE_GONE_US)
            m->guests[kept++] = m->guests[i];
    m->n = kept;
    count_dirty(m, now);
}

/* ---- the record ---------------------------------------------------------- */

static int64_t smoothed(const struct forecast_set *s, enum forecast_metric i)
{
    return s->of[i].samples
               ? forecast_peak(&s->of[i], &forecast_usual, MEASURE_AHEAD_MS)
               : USE_UNKNOWN;
}

/* Of what is always measured, sooner or later. */
static int64_t amount(const struct forecast_set *s, enum forecast_metric i)
{
    return larger(smoothed(s, i), 0);
}

/* The busiest USE_GUESTS come into the record: what they use must exceed
 * this. */
static int busier(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? 1 : x > y ? -1 : 0;
}

static int64_t least_told(const struct measure *m)
{
    if (m->n <= USE_GUESTS)
        return -1;
    _autofree_ int64_t *all = xcalloc(m->n, sizeof(*all));
    for (size_t i = 0; i < m->n; i++)
        all[i] = amount(&m->guests[i].use, FORECAST_VCPU);
    qsort(all, m->n, sizeof(*all), busier);
    return all[USE_GUESTS - 1];
}

static void fill_guest(struct node_use *u, const struct guest *from)
{
    const struct forecast_set *of = &from->use;
    struct guest_use *g = list_add(u, &u->guests, sizeof(*g));
    g->id = rec_str(u, from->id);
    g->vcpu = amount(of, FORECAST_VCPU);
    g->steal = amount(of, FORECAST_STEAL);
    g->memory = amount(of, FORECAST_MEMORY);
    g->disk = amount(of, FORECAST_DISK);
    g->net = amount(of, FORECAST_NETWORK);
    g->mem_stall = smoothed(of, FORECAST_MEMORY_PRESSURE);
    g->io_stall = smoothed(of, FORECAST_IO_PRESSURE);
    g->swap = smoothed(of, FORECAST_SWAP);
    g->dirty = smoothed(of, FORECAST_DIRTY);
}

static void fill(const struct measure *m, struct node_use *u, int64_t now)
{
    const struct forecast_set *of = &m->machine;
    int64_t least = least_told(m);
    u->measured = now;
    u->cpu = amount(of, FORECAST_VCPU);
    u->steal = amount(of, FORECAST_STEAL);
    u->memory = amount(of, FORECAST_MEMORY);
    u->cpu_pressure = smoothed(of, FORECAST_CPU_PRESSURE);
    u->memory_pressure = smoothed(of, FORECAST_MEMORY_PRESSURE);
    u->io_pressure = smoothed(of, FORECAST_IO_PRESSURE);
    u->swap = smoothed(of, FORECAST_SWAP);
    u->disk = smoothed(of, FORECAST_DISK);
    u->net = smoothed(of, FORECAST_NETWORK);
    u->link = m->link;
    for (size_t i = 0; i < m->n && u->guests.n < USE_GUESTS; i++)
        if (m->guests[i].use.of[FORECAST_VCPU].samples &&
            amount(&m->guests[i].use, FORECAST_VCPU) >= least)
            fill_guest(u, &m->guests[i]);
}

/* By more than a fifth, and by more than what does not matter; or it is
 * measured now and was not, or the other way. */
static bool differs(int64_t was, int64_t is, int64_t trifle)
{
    int64_t d = llabs(is - was);
    return (was < 0) != (is < 0) ||
           (d > trifle && d * 5 > (was > is ? was : is));
}

#define TRIFLE_PRESSURE 20   /* thousandths */
#define TRIFLE_RATE     1024 /* KiB/s */
#define TRIFLE_DIRTY    16   /* MiB/s */

static bool guest_differs(const struct guest_use *a, const struct guest_use *b)
{
    return strcmp(a->id, b->id) != 0 || differs(a->vcpu, b->vcpu, 100) ||
           differs(a->steal, b->steal, TRIFLE_PRESSURE) ||
           differs(a->memory, b->memory, 64) ||
           differs(a->disk, b->disk, TRIFLE_RATE) ||
           differs(a->net, b->net, TRIFLE_RATE) ||
           differs(a->mem_stall, b->mem_stall, TRIFLE_PRESSURE) ||
           differs(a->io_stall, b->io_stall, TRIFLE_PRESSURE) ||
           differs(a->swap, b->swap, TRIFLE_RATE) ||
           differs(a->dirty, b->dirty, TRIFLE_DIRTY);
}

static bool machine_differs(const struct node_use *a, const struct node_use *b)
{
    return differs(a->cpu, b->cpu, 50) ||
           differs(a->steal, b->steal, TRIFLE_PRESSURE) ||
           differs(a->memory, b->memory, 256) ||
           differs(a->cpu_pressure, b->cpu_pressure, 50) ||
           differs(a->memory_pressure, b->memory_pressure, TRIFLE_PRESSURE) ||
           differs(a->io_pressure, b->io_pressure, 50) ||
           differs(a->swap, b->swap, TRIFLE_RATE) ||
           differs(a->disk, b->disk, 16L * TRIFLE_RATE) ||
           differs(a->net, b->net, 16L * TRIFLE_RATE) ||
           differs(a->link, b->link, 0);
}

static bool is_news(const struct node_use *was, const struct node_use *is)
{
    if (!was || was->guests.n != is->guests.n || machine_differs(was, is))
        return true;
    for (size_t i = 0; i < is->guests.n; i++)
        if (guest_differs(LIST_AT(was->guests, struct guest_use, i),
                          LIST_AT(is->guests, struct guest_use, i)))
            return true;
    return false;
}

static bool put_record(struct measure *m, int64_t now, struct error *err)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(m->c.cache);
    _autotxn_ struct txn txn = TXN_INIT;
    struct txn_result result;
    const struct node_use *was = snap_get(snap, &kind_node_use, m->node);
    _autorecord_ struct node_use *is = record_new(&kind_node_use, m->node);
    if (was) {
        is->rec.mod_rev = was->rec.mod_rev;
        is->rec.create_rev = was->rec.create_rev;
    }
    fill(m, is, now);
    if (!is_news(was, is))
        return true;
    txn_change_record(&txn, is);
    m->written = now;
    if (store_commit(m->c.store, &txn, &result))
        return true;
    error_copy(err, &result.err);
    return error_prefix(err, "what node %s uses", m->node);
}

bool measure_pass(struct measure *m, struct error *err)
{
    int64_t now = env_now(m->c.env);
    bool counted = m->read != 0;
    read_machine(m, now);
    read_guests(m, now);
    if (!counted || now - m->written < MEASURE_WRITE_US)
        return true;
    return put_record(m, now, err);
}

/* ---- the thread ---------------------------------------------------------- */

static bool wait_for_next(struct measure *m)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += MEASURE_US / SECOND_US;
    pthread_mutex_lock(&m->lock);
    int rc = 0;
    while (!m->stop && rc == 0)
        rc = pthread_cond_timedwait(&m->wake, &m->lock, &until);
    bool go_on = !m->stop;
    pthread_mutex_unlock(&m->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct error err = { 0 };
    do {
        if (!measure_pass(arg, &err))
            log_limited(LOG_WARN, LOG_NAME, "%s", err.text);
    } while (wait_for_next(arg));
    return NULL;
}

/* ---- outside ------------------------------------------------------------- */

struct measure *measure_new(const struct measure_config *config)
{
    struct measure *m = xcalloc(1, sizeof(*m));
    pthread_condattr_t attr;
    m->c = *config;
    m->node = xstrdup(config->node);
    m->proc = xstrdup(config->proc);
    m->sys = xstrdup(config->sys);
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &attr);
    pthread_condattr_destroy(&attr);
    return m;
}

void measure_free(struct measure *m)
{
    if (!m)
        return;
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->wake);
    free(m->guests);
    free(m->node);
    free(m->proc);
    free(m->sys);
    free(m);
}

struct measure *measure_start(const struct measure_config *config,
                              struct error *err)
{
    struct measure *m = measure_new(config);
    if (pthread_create(&m->thread, NULL, run, m) == 0)
        return m;
    error_set(err, ERR_INTERNAL, "no thread to measure with");
    measure_free(m);
    return NULL;
}

void measure_stop(struct measure *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    m->stop = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->thread, NULL);
    measure_free(m);
}
