#include "daemon/measure.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "engine/forecast.h"
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
};

/* Counters of the machine. */
struct machine {
    int64_t read, busy, steal, all; /* of /proc/stat, ticks */
    int64_t stalled[3];             /* microseconds: cpu, memory, io */
};
enum { STALL_CPU, STALL_MEMORY, STALL_IO };

struct measure {
    struct measure_config c;
    char *node, *proc;
    struct guest *guests; /* ascending by id */
    size_t n, size;
    struct machine last;
    struct forecast cpu, steal, memory, stalled[3];
    int64_t written; /* when */

    pthread_t thread;
    pthread_mutex_t lock; /* stop */
    pthread_cond_t wake;
    bool stop;
};

/* ---- the machine --------------------------------------------------------- */

static FILE *open_proc(const struct measure *m, const char *name)
{
    _autofree_ char *path = xasprintf("%s/%s", m->proc, name);
    return fopen(path, "re");
}

/* user nice system idle iowait irq softirq steal */
static void read_stat(const struct measure *m, struct machine *out)
{
    long long t[8] = { 0 };
    _autofile_ FILE *f = open_proc(m, "stat");
    if (!f || fscanf(f, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &t[0],
                     &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) != 8)
        return;
    out->steal = t[7];
    out->busy = t[0] + t[1] + t[2] + t[5] + t[6];
    out->all = out->busy + out->steal + t[3] + t[4];
}

/* "some avg10=0.00 ... total=N"; a kernel without PSI has none. */
static int64_t read_stalled(const struct measure *m, const char *what)
{
    char name[32];
    long long total = 0;
    snprintf(name, sizeof(name), "pressure/%s", what);
    _autofile_ FILE *f = open_proc(m, name);
    if (!f || fscanf(f, "some avg10=%*f avg60=%*f avg300=%*f total=%lld",
                     &total) != 1)
        return 0;
    return total;
}

/* MiB that are not available; below 0: not known. */
static int64_t read_memory(const struct measure *m)
{
    char line[128];
    long long total = -1, available = -1;
    _autofile_ FILE *f = open_proc(m, "meminfo");
    while (f && fgets(line, sizeof(line), f)) {
        sscanf(line, "MemTotal: %lld", &total);
        sscanf(line, "MemAvailable: %lld", &available);
    }
    return total < 0 || available < 0 ? -1 : (total - available) / 1024;
}

static void add(struct forecast *f, int64_t now, int64_t value)
{
    if (value >= 0)
        forecast_add(f, &forecast_usual, now / 1000, value);
}

static void read_machine(struct measure *m, int64_t now)
{
    static const char *const files[] = { "cpu", "memory", "io" };
    struct machine is = { .read = now };
    const struct machine *was = &m->last;
    read_stat(m, &is);
    for (int i = 0; i < 3; i++)
        is.stalled[i] = read_stalled(m, files[i]);
    add(&m->memory, now, read_memory(m));
    if (was->read && now > was->read) {
        int64_t ticks = is.all - was->all;
        if (ticks > 0) {
            add(&m->cpu, now, (is.busy - was->busy) * 1000 / ticks);
            add(&m->steal, now, (is.steal - was->steal) * 1000 / ticks);
        }
        for (int i = 0; i < 3; i++)
            add(&m->stalled[i], now,
                (is.stalled[i] - was->stalled[i]) * 1000 / (now - was->read));
    }
    m->last = is;
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

/* Per second, in thousandths of a billionth: ns into thousandths. */
static int64_t thousandths(int64_t ns, int64_t us)
{
    return us > 0 ? ns / us : 0;
}

static int64_t kib_a_second(int64_t bytes, int64_t us)
{
    return us > 0 ? bytes / 1024 * SECOND_US / us : 0;
}

/* Counters that went back are those of a guest that was started anew. */
static void read_guest(struct guest *g, const struct domain_stats *is,
                       int64_t now)
{
    const struct domain_stats *was = &g->last;
    int64_t us = now - g->read;
    int64_t ran = is->cpu_ns - was->cpu_ns;
    int64_t waited = is->wait_ns - was->wait_ns;
    int64_t values[FORECAST_METRICS_N];
    for (int i = 0; i < FORECAST_METRICS_N; i++)
        values[i] = -1;
    values[FORECAST_MEMORY] = is->used_kb / 1024;
    if (g->read && us > 0 && ran >= 0 && waited >= 0) {
        values[FORECAST_VCPU] = thousandths(ran, us);
        values[FORECAST_STEAL] =
            ran + waited > 0 ? waited * 1000 / (ran + waited) : 0;
        values[FORECAST_DISK] =
            kib_a_second(is->disk_bytes - was->disk_bytes, us);
        values[FORECAST_NETWORK] =
            kib_a_second(is->net_bytes - was->net_bytes, us);
    }
    forecast_read(&g->use, &forecast_usual, now / 1000, values);
    g->last = *is;
    g->read = now;
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
}

/* ---- the record ---------------------------------------------------------- */

static int64_t smoothed(const struct forecast *f)
{
    return forecast_peak(f, &forecast_usual, MEASURE_AHEAD_MS);
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
        all[i] = smoothed(&m->guests[i].use.of[FORECAST_VCPU]);
    qsort(all, m->n, sizeof(*all), busier);
    return all[USE_GUESTS - 1];
}

static void fill(const struct measure *m, struct node_use *u, int64_t now)
{
    int64_t least = least_told(m);
    u->measured = now;
    u->cpu = smoothed(&m->cpu);
    u->steal = smoothed(&m->steal);
    u->memory = smoothed(&m->memory);
    u->cpu_pressure = smoothed(&m->stalled[STALL_CPU]);
    u->memory_pressure = smoothed(&m->stalled[STALL_MEMORY]);
    u->io_pressure = smoothed(&m->stalled[STALL_IO]);
    for (size_t i = 0; i < m->n && u->guests.n < USE_GUESTS; i++) {
        const struct forecast *of = m->guests[i].use.of;
        if (!of[FORECAST_VCPU].samples || smoothed(&of[FORECAST_VCPU]) < least)
            continue;
        struct guest_use *g = list_add(u, &u->guests, sizeof(*g));
        g->id = rec_str(u, m->guests[i].id);
        g->vcpu = smoothed(&of[FORECAST_VCPU]);
        g->steal = smoothed(&of[FORECAST_STEAL]);
        g->memory = smoothed(&of[FORECAST_MEMORY]);
        g->disk = smoothed(&of[FORECAST_DISK]);
        g->net = smoothed(&of[FORECAST_NETWORK]);
    }
}

/* By more than a fifth, and by more than what does not matter. */
static bool differs(int64_t was, int64_t is, int64_t trifle)
{
    int64_t d = llabs(is - was);
    return d > trifle && d * 5 > (was > is ? was : is);
}

static bool guest_differs(const struct guest_use *a, const struct guest_use *b)
{
    return strcmp(a->id, b->id) != 0 || differs(a->vcpu, b->vcpu, 100) ||
           differs(a->steal, b->steal, 20) ||
           differs(a->memory, b->memory, 64) ||
           differs(a->disk, b->disk, 1024) || differs(a->net, b->net, 1024);
}

static bool is_news(const struct node_use *was, const struct node_use *is)
{
    if (!was || was->guests.n != is->guests.n ||
        differs(was->cpu, is->cpu, 50) || differs(was->steal, is->steal, 20) ||
        differs(was->memory, is->memory, 256) ||
        differs(was->cpu_pressure, is->cpu_pressure, 50) ||
        differs(was->memory_pressure, is->memory_pressure, 20) ||
        differs(was->io_pressure, is->io_pressure, 50))
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
    bool counted = m->last.read != 0;
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
