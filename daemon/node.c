#include "daemon/node.h"

#include "common/alloc.h"
#include "common/jw.h"
#include "common/log.h"
#include "compute/libvirt_driver.h"
#include "compute/mdev.h"
#include "model/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

#define TRIES 10

struct node_beat {
    struct node_config c;
    int64_t started;
    pthread_t thread;
    pthread_mutex_t lock; /* stop */
    pthread_cond_t wake;
    bool stop;
    bool ended; /* of whoever stops it */
};

/* ---- what the machine is ----------------------------------------------- */

/* The value of the first line "key : value" of /proc/cpuinfo. */
static void cpuinfo(const char *key, char *out, size_t size)
{
    char line[512];
    _autofile_ FILE *f = fopen("/proc/cpuinfo", "re");
    snprintf(out, size, "unknown");
    while (f && fgets(line, sizeof(line), f)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, key, strlen(key)) != 0)
            continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(out, size, "%s", colon[1] ? colon + 2 : "");
        return;
    }
}

/* The object that nova shows as cpu_info. */
static char *cpu_info(struct node *n)
{
    struct buf b = BUF_INIT(4096);
    struct jw w = JW_INIT(&b);
    char model[128], vendor[64];
    cpuinfo("model name", model, sizeof(model));
    cpuinfo("vendor_id", vendor, sizeof(vendor));
    jw_obj(&w, NULL);
    jw_str(&w, "arch", n->machine);
    jw_str(&w, "model", model);
    jw_str(&w, "vendor", vendor);
    jw_arr(&w, "features");
    jw_arr_end(&w);
    jw_obj(&w, "topology");
    jw_int(&w, "cells", 1);
    jw_int(&w, "sockets", 1);
    jw_int(&w, "cores", n->vcpus);
    jw_int(&w, "threads", 1);
    jw_obj_end(&w);
    jw_obj_end(&w);
    char *text = rec_str(n, buf_str(&b));
    buf_free(&b);
    return text;
}

/* One that fills up is told of while there is room to do something. */
static void fill_storage(struct node *n, const struct storage_stats *s)
{
    n->disk_gb = s->total / GIB;
    n->disk_used_gb = (s->total - s->free) / GIB;
    int64_t percent = s->total ? (s->total - s->free) * 100 / s->total : 0;
    if (percent >= NODE_STORAGE_WARN)
        log_limited(LOG_WARN, "node", "the storage is %lld %% full: %lld GiB",
                    (long long)percent, (long long)n->disk_gb);
}

static void fill_machine(const struct node_config *c, const struct node *was,
                         struct node *n)
{
    struct sysinfo info;
    struct utsname uts;
    struct libvirt_facts facts;
    struct storage_stats stats;
    struct error err;
    if (sysinfo(&info) == 0)
        n->ram_mb = (int64_t)(info.totalram / 1024 * info.mem_unit / 1024);
    if (uname(&uts) == 0)
        n->machine = rec_str(n, uts.machine);
    n->vcpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (c->hypervisor && libvirt_facts(c->hypervisor, &facts, &err))
        n->hypervisor_version = facts.version;
    if (c->volumes && c->volumes->ops->stats(c->volumes, &stats, &err))
        fill_storage(n, &stats);
    if (c->hypervisor &&
        !libvirt_inventory(c->hypervisor, c->passthrough, n, &err))
        log_limited(LOG_WARN, "node", "%s", err.text); /* as it was */
    const struct mdev_host kernel = { .sys = c->sys };
    mdev_inventory(&kernel, c->mdev_types, was, n);
    n->pinned_cpus = *c->pinned_cpus ? rec_str(n, c->pinned_cpus) : NULL;
    n->hypervisor_type = "QEMU"; /* nova's word for KVM as well */
    n->kvm = c->kvm;
    n->kvm_reason = rec_str(n, c->kvm_reason);
    n->address = rec_str(n, c->address);
    n->storage_address = rec_str(n, c->storage_address);
    n->replicated = c->volumes && c->volumes->own;
    if (!n->cpu_info)
        n->cpu_info = cpu_info(n);
}

static void fill_new(const struct node_config *c, struct node *n, int64_t now)
{
    char id[UUID_SIZE];
    env_uuid(c->env, id);
    n->hypervisor_id = rec_str(n, id);
    n->ram_reserved_mb = NODE_RAM_RESERVED_MB;
    n->cpu_overcommit = 16;
    n->ram_overcommit = 1;
    n->created = now;
}

/* Kept as it was while it is the same but for a second or two of drift. */
static void fill_booted(struct node *n, int64_t at)
{
    struct timespec up;
    clock_gettime(CLOCK_BOOTTIME, &up);
    int64_t booted = at - up.tv_sec * SECOND_US;
    if (llabs(booted - n->booted) > 2 * SECOND_US)
        n->booted = booted;
}

/* ---- beats ------------------------------------------------------------- */

static bool beat(struct node_beat *b, bool stops, struct error *err)
{
    const struct node_config *c = &b->c;
    struct txn_result result;
    for (int i = 0; i < TRIES; i++) {
        _autosnap_ struct snapshot *snap = cache_snapshot(c->cache);
        _autotxn_ struct txn txn = TXN_INIT;
        const struct node *was = snap_get(snap, &kind_node, c->name);
        _autorecord_ struct node *now =
            was ? record_copy(was) : record_new(&kind_node, c->name);
        int64_t at = env_now(c->env);
        if (!was)
            fill_new(c, now, at);
        fill_machine(c, was, now);
        fill_booted(now, at);
        now->started = b->started;
        now->stopped = stops ? at : 0;
        now->seen = at;
        txn_change_record(&txn, now);
        if (store_commit(c->store, &txn, &result))
            return true;
        if (result.status != TXN_CONFLICT)
            break;
    }
    error_copy(err, &result.err);
    return error_prefix(err, "the record of node %s", c->name);
}

static bool wait_for_next(struct node_beat *b)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += NODE_BEAT_US / SECOND_US;
    pthread_mutex_lock(&b->lock);
    int rc = 0;
    while (!b->stop && rc == 0)
        rc = pthread_cond_timedwait(&b->wake, &b->lock, &until);
    bool go_on = !b->stop;
    pthread_mutex_unlock(&b->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct error err = { 0 };
    while (wait_for_next(arg))
        if (!beat(arg, false, &err))
            log_limited(LOG_WARN, "node", "%s", err.text);
    return NULL;
}

struct node_beat *node_beat_start(const struct node_config *config,
                                  struct error *err)
{
    struct node_beat *b = xcalloc(1, sizeof(*b));
    pthread_condattr_t attr;
    b->c = *config;
    b->started = env_now(config->env);
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (!beat(b, false, err)) {
        free(b);
        return NULL;
    }
    if (pthread_create(&b->thread, NULL, run, b) == 0)
        return b;
    error_set(err, ERR_INTERNAL, "no thread for the node's beats");
    free(b);
    return NULL;
}

static void end_thread(struct node_beat *b)
{
    if (b->ended)
        return;
    b->ended = true;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
}

void node_beat_goodbye(struct node_beat *b)
{
    struct error err = { 0 };
    if (!b)
        return;
    end_thread(b);
    if (!beat(b, true, &err))
        log_warn("node", "%s", err.text);
}

void node_beat_stop(struct node_beat *b)
{
    if (!b)
        return;
    end_thread(b);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->wake);
    free(b);
}
