#include "storage/ceph_conf.h"

#include "common/b64.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

/* Failures are noticed in seconds, not in half a minute, and an OSD takes a
 * quarter of the memory that is its default. */
static const char global_settings[] =
    "auth_cluster_required = cephx\n"
    "auth_service_required = cephx\n"
    "auth_client_required = cephx\n"
    "auth_allow_insecure_global_id_reclaim = false\n"
    "ms_bind_ipv6 = false\n"
    "osd_pool_default_pg_autoscale_mode = off\n"
    "mon_allow_pool_size_one = true\n"
    "mon_warn_on_pool_no_redundancy = false\n"
    "mon_warn_on_too_few_osds = false\n"
    "mon_data_avail_warn = 5\n"
    "mon_data_avail_crit = 2\n"
    "mon_election_timeout = 1\n"
    "mon_lease = 3\n"
    "mon_tick_interval = 1\n"
    "mon_probe_timeout = 1\n"
    "paxos_propose_interval = 0.1\n"
    "paxos_min_wait = 0.01\n"
    "mgr_tick_period = 1\n"
    "mgr_stats_period = 1\n"
    "mon_mgr_digest_period = 1\n"
    "mon_mgr_beacon_grace = 10\n"
    "mgr_initial_modules = iostat\n"
    "mon_client_ping_interval = 2\n"
    "mon_client_ping_timeout = 6\n"
    "mon_client_hunt_interval = 1\n"
    "objecter_tick_interval = 1\n"
    "objecter_timeout = 3\n"
    "osd_heartbeat_interval = 1\n"
    "osd_heartbeat_grace = 6\n"
    "mon_osd_adjust_heartbeat_grace = false\n"
    "mon_osd_adjust_down_out_interval = false\n"
    "mon_osd_down_out_interval = 600\n"
    "mon_osd_report_timeout = 30\n"
    "osd_beacon_report_interval = 5\n"
    "osd_mon_report_interval = 1\n";

static const char osd_settings[] =
    "osd_objectstore = bluestore\n"
    "osd_memory_target = 939524096\n"
    "bluestore_cache_autotune = false\n"
    "bluestore_cache_size = 67108864\n"
    "bluestore_rocksdb_options = compression=kNoCompression,"
    "max_write_buffer_number=4,min_write_buffer_number_to_merge=1,"
    "recycle_log_file_num=4,write_buffer_size=16777216,"
    "writable_file_max_buffer_size=0,compaction_readahead_size=2097152,"
    "max_background_compactions=2,max_total_wal_size=67108864\n"
    "osd_max_pg_log_entries = 500\n"
    "osd_min_pg_log_entries = 100\n"
    "osd_pg_log_dups_tracked = 100\n"
    "osd_op_num_shards = 2\n"
    "osd_op_num_threads_per_shard = 1\n"
    "osd_recovery_sleep = 0\n"
    "osd_recovery_sleep_hdd = 0\n"
    "osd_max_backfills = 4\n"
    "osd_recovery_max_active = 8\n";

static void add_mons(const struct ceph_conf *c, struct buf *out)
{
    buf_adds(out, "mon_host = ");
    for (size_t i = 0; i < c->n_mons; i++)
        buf_addf(out, "%s[v2:%s:3300/0,v1:%s:6789/0]", i ? "," : "",
                 c->mons[i].address, c->mons[i].address);
    buf_adds(out, "\n");
}

/* What a daemon of the kind keeps, and where it complains. */
static void add_daemon(const struct ceph_conf *c, const char *kind,
                       struct buf *out)
{
    buf_addf(out,
             "[%s]\n"
             "public_addr = %s\n"
             "%s_data = %s/$type-$id\n"
             "keyring = %s/$type-$id/keyring\n"
             "log_file = %s/ceph-$type.$id.log\n",
             kind, c->address, kind, c->dir, c->dir, c->log_dir);
}

void ceph_conf_text(const struct ceph_conf *c, struct buf *out)
{
    buf_addf(out, CEPH_CONF_MARK "\n[global]\nfsid = %s\n", c->fsid);
    add_mons(c, out);
    buf_addf(out, "run_dir = %s/run\nadmin_socket = \ncrash_dir = %s/crash\n%s",
             c->dir, c->dir, global_settings);
    buf_addf(out, "[client]\nkeyring = %s/$name.keyring\nlog_file =\n", c->dir);
    add_daemon(c, "mon", out);
    buf_addf(out, "mon_cluster_log_file = %s/ceph.log\n", c->log_dir);
    add_daemon(c, "mgr", out);
    add_daemon(c, "osd", out);
    buf_addf(out, "crush_location = root=default %s%s%shost=%s\n%s",
             *c->rack ? "rack=" : "", c->rack, *c->rack ? " " : "", c->node,
             osd_settings);
}

/* Ceph's CryptoKey: type (1: AES), time of making (sec, nsec), length, key;
 * little endian (ceph, src/auth/Crypto.cc). */
void ceph_conf_secret(const struct env *env, char key[CEPH_SECRET_MAX])
{
    enum { HEAD = 12, SECRET = 16 };
    unsigned char raw[HEAD + SECRET] = { 1, 0 };
    uint64_t seconds = (uint64_t)(env_now(env) / SECOND_US);
    struct buf text = BUF_INIT(CEPH_SECRET_MAX);
    for (int i = 0; i < 4; i++)
        raw[2 + i] = (unsigned char)(seconds >> (8 * i));
    raw[10] = SECRET;
    env_random(env, raw + HEAD, SECRET);
    b64_encode(&text, raw, sizeof(raw));
    snprintf(key, CEPH_SECRET_MAX, "%s", buf_str(&text));
    OPENSSL_cleanse(raw, sizeof(raw));
    OPENSSL_cleanse(text.data, text.len);
    buf_free(&text);
}

void ceph_conf_key(struct buf *out, const char *entity, const char *key,
                   const char *const *caps)
{
    buf_addf(out, "[%s]\n\tkey = %s\n", entity, key);
    for (; caps && caps[0]; caps += 2)
        buf_addf(out, "\tcaps %s = \"%s\"\n", caps[0], caps[1]);
}
