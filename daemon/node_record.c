#include "daemon/node_record.h"

#include "common/alloc.h"
#include "common/log.h"
#include "compute/libvirt_driver.h"
#include "model/pool.h"
#include "state/reconcile.h"

#include <stdlib.h>
#include <sys/statvfs.h>

/* Nova's defaults: 16 virtual processors a thread was long the rule, 4 is
 * its newer one; memory is not promised twice. */
#define CPU_OVERCOMMIT 4.0
#define RAM_OVERCOMMIT 1.0

/* What the host itself needs: an eighth of its memory, between these. */
#define RESERVE_MIN_MB 512
#define RESERVE_MAX_MB 4096

struct node_record {
    struct node_config config;
    struct reconciler *beat;
    int64_t started;
};

static int64_t disk_gb(const char *dir)
{
    struct statvfs fs;
    if (statvfs(dir, &fs) < 0)
        return 0;
    return (int64_t)((uint64_t)fs.f_blocks * fs.f_frsize >> 30);
}

static int64_t reserve_mb(int64_t ram_mb)
{
    int64_t mb = ram_mb / 8;
    return mb < RESERVE_MIN_MB   ? RESERVE_MIN_MB
           : mb > RESERVE_MAX_MB ? RESERVE_MAX_MB
                                 : mb;
}

/* A node that is new to the pool. */
static struct node *first_record(const struct node_record *n)
{
    char id[UUID_SIZE];
    struct node *node = record_new(&kind_node, n->config.name);
    env_uuid(n->config.env, id);
    node->hypervisor_id = rec_str(node, id);
    node->availability_zone = "nova";
    node->cpu_overcommit = CPU_OVERCOMMIT;
    node->ram_overcommit = RAM_OVERCOMMIT;
    node->created = env_now(n->config.env);
    return node;
}

/* What may have changed since the daemon ran last. */
static void refresh(const struct node_record *n, struct node *node,
                    const struct libvirt_facts *facts)
{
    const struct node_config *c = &n->config;
    node->address = rec_str(node, c->address);
    node->hypervisor_type = c->kvm ? "KVM" : "QEMU";
    node->hypervisor_version = facts->version;
    node->machine = rec_str(node, facts->machine);
    node->vcpus = facts->vcpus;
    node->ram_mb = facts->ram_mb;
    node->ram_reserved_mb = reserve_mb(facts->ram_mb);
    node->disk_gb = disk_gb(c->disk_dir);
    node->kvm = c->kvm;
    node->kvm_reason = rec_str(node, c->kvm_reason);
    node->started = n->started;
}

static enum reconcile_verdict beat(void *self, const char *key,
                                   int64_t *delay_us, struct error *err)
{
    struct node_record *n = self;
    const struct node_config *c = &n->config;
    struct libvirt_facts facts;
    struct txn_result result;
    _autotxn_ struct txn t = TXN_INIT;
    _autosnap_ struct snapshot *s = cache_snapshot(c->cache);
    const struct node *was = snap_get(s, &kind_node, c->name);
    bool fresh = !was || was->started != n->started;
    /* Without its hypervisor a node is silent: it can take no server. */
    if (!libvirt_facts(c->hypervisor, &facts, err))
        return RECONCILE_RETRY;
    _autorecord_ struct node *node = was ? record_copy(was) : first_record(n);
    if (fresh)
        refresh(n, node, &facts);
    node->seen = env_now(c->env);
    txn_change_record(&t, node);
    if (!store_commit(c->store, &t, &result)) {
        error_copy(err, &result.err);
        return RECONCILE_RETRY;
    }
    if (fresh)
        log_info("node", "%s: %lld processors, %lld MB, %lld GB, %s", c->name,
                 (long long)node->vcpus, (long long)node->ram_mb,
                 (long long)node->disk_gb, node->hypervisor_type);
    *delay_us = NODE_BEAT_US;
    return RECONCILE_AGAIN;
}

struct node_record *node_record_start(const struct node_config *config)
{
    struct node_record *n = xcalloc(1, sizeof(*n));
    n->config = *config;
    n->started = env_now(config->env);
    n->beat = reconciler_new("node", beat, n, config->env, 1);
    reconciler_add(n->beat, config->name);
    return n;
}

void node_record_stop(struct node_record *n)
{
    if (!n)
        return;
    reconciler_stop(n->beat);
    free(n);
}
