#include "daemon/ceph_node.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/ceph_report.h"
#include "daemon/ceph_share.h"
#include "daemon/drivers.h"
#include "daemon/peers.h"
#include "daemon/supervisor.h"
#include "model/pool.h"
#include "state/reconcile.h"
#include "storage/ceph/module.h"
#include "storage/ceph_command.h"
#include "storage/ceph_facts.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LOOK_US    (15 * SECOND_US)
#define EARLY_US   (2 * SECOND_US) /* between looks while the pool grows */
#define GROWING_US (60 * SECOND_US)
#define CLEAN_US   (20 * SECOND_US)
#define SILENT_US  (45 * SECOND_US)  /* a node that gives no sign of life */
#define STRANGE_US (120 * SECOND_US) /* a monitor that nobody knows */
#define CONNECT_US (10 * SECOND_US)
#define MON        0
#define MGR        1
#define FIRST_SLOT 2
#define ROWS       (FIRST_SLOT + CEPH_SLOTS)

struct slot_service {
    struct ceph_node *node;
    struct ceph_slot *slot;
    char name[24];
};

struct ceph_node {
    struct ceph_node_config c;
    struct ceph_files files;
    pthread_mutex_t lock; /* files.mons, for those who ask */
    struct cache *cache;  /* NULL before ceph_node_follow, as all here */
    bool (*leads)(void *arg);
    void *leads_arg;
    size_t n_members;
    int64_t grown;   /* when that was another number */
    int64_t strange; /* since when no monitor knows ours; 0: it does */
    const struct ceph_module *module;
    struct ceph_disks disks;
    struct ceph_report report;
    struct slot_service slots[CEPH_SLOTS];
    struct service_spec table[ROWS];
    struct supervisor *supervisor;
    struct reconciler *queue; /* NULL before ceph_node_follow */
    int64_t began;            /* monotonic */
};

bool ceph_node_wanted(const struct config *config)
{
    return strcmp(config->volumes, "ceph") == 0 && config->services &&
           !ceph_files_foreign(config);
}

/* ---- the daemons ------------------------------------------------------- */

static void add_common(const struct ceph_node *n, struct words *w,
                       const char *program)
{
    words_add(w, "%s", program);
    words_add(w, "-f");
    words_add(w, "--conf=%s", n->files.config->ceph_conf);
    words_add(w, "--setuser=ceph");
    words_add(w, "--setgroup=ceph");
}

static void command_mon(void *arg, struct words *w)
{
    const struct ceph_node *n = arg;
    add_common(n, w, "ceph-mon");
    words_add(w, "--id=%s", n->files.node);
}

static void command_mgr(void *arg, struct words *w)
{
    const struct ceph_node *n = arg;
    add_common(n, w, "ceph-mgr");
    words_add(w, "--id=%s", n->files.node);
}

static bool has_mon(void *arg)
{
    const struct ceph_node *n = arg;
    return ceph_files_founded(&n->files) && ceph_files_has(&n->files, "mon");
}

static bool has_mgr(void *arg)
{
    const struct ceph_node *n = arg;
    return ceph_files_founded(&n->files) && ceph_files_has(&n->files, "mgr");
}

/* The disk has the OSD's uuid, whatever its name is today. */
static bool prepare_osd(void *arg, struct error *err)
{
    const struct slot_service *s = arg;
    const struct ceph_files *f = &s->node->files;
    struct disk *disks = xcalloc(DISKS_MAX, sizeof(*disks));
    size_t n = disks_look(f->config->disks, disks, DISKS_MAX), i = 0;
    while (i < n && strcmp(disks[i].facts.osd, s->slot->uuid) != 0)
        i++;
    bool ok = i < n ? ceph_slot_attach(f, s->slot, disks[i].path, err)
                    : error_set(err, ERR_NOT_FOUND,
                                "the disk of osd.%d (%s) is not there",
                                s->slot->osd, s->slot->path);
    free(disks);
    return ok;
}

static void command_osd(void *arg, struct words *w)
{
    const struct slot_service *s = arg;
    _autofree_ char *dir = ceph_slot_dir(&s->node->files, s->slot->n);
    add_common(s->node, w, "ceph-osd");
    words_add(w, "--id=%d", s->slot->osd);
    words_add(w, "--osd-data=%s", dir);
    words_add(w, "--keyring=%s/keyring", dir);
}

static bool is_ready(void *arg)
{
    const struct slot_service *s = arg;
    return s->slot->ready;
}

static void fill_table(struct ceph_node *n)
{
    n->table[MON] = (struct service_spec){ .name = "ceph-mon",
                                           .command = command_mon,
                                           .wanted = has_mon };
    n->table[MGR] = (struct service_spec){ .name = "ceph-mgr",
                                           .command = command_mgr,
                                           .wanted = has_mgr };
    for (int i = 0; i < CEPH_SLOTS; i++) {
        struct slot_service *s = &n->slots[i];
        s->node = n;
        snprintf(s->name, sizeof(s->name), "ceph-disk-%d", i + 1);
        s->slot = &n->disks.slots[i];
        n->table[FIRST_SLOT + i] =
            (struct service_spec){ .name = s->name,
                                   .prepare = prepare_osd,
                                   .command = command_osd,
                                   .wanted = is_ready,
                                   .arg = s };
    }
}

/* ---- what is there ----------------------------------------------------- */

/* Placement groups are the manager's to tell: without one nobody answers. */
static bool may_ask(int what, json_t *const answers[CEPH_ASKS])
{
    return what != CEPH_ASK_PGS ||
           json_is_true(json_object_get(answers[CEPH_ASK_MGR], "available"));
}

static bool ask(struct ceph_node *n, struct ceph *c, struct ceph_seen *seen,
                struct error *err)
{
    json_t *answers[CEPH_ASKS] = { NULL };
    bool ok = true;
    for (int i = 0; i < CEPH_ASKS && ok; i++)
        ok = !may_ask(i, answers) ||
             n->module->command(c, json_pack("{ss}", "prefix", ceph_asks[i]),
                                NULL, &answers[i], err);
    ok = ok && ceph_seen_read(seen, answers, n->files.config->ceph_pool, err);
    for (int i = 0; i < CEPH_ASKS; i++)
        json_decref(answers[i]);
    return ok;
}

/* ---- the steps --------------------------------------------------------- */

static bool command(struct ceph_node *n, struct ceph *c, json_t *what,
                    struct error *err)
{
    return n->module->command(c, what, NULL, NULL, err);
}

static const char *key_of(const json_t *reply)
{
    return json_string_value(json_object_get(json_array_get(reply, 0), "key"));
}

static bool add_mon(struct ceph_node *n, struct ceph *c, struct error *err)
{
    _autojson_ json_t *reply = NULL;
    if (!n->module->command(
            c, json_pack("{ss ss}", "prefix", "auth get", "entity", "mon."),
            NULL, &reply, err))
        return false;
    if (!key_of(reply))
        return error_set(err, ERR_INTERNAL, "no key for monitors");
    if (!ceph_files_add_mon(&n->files, key_of(reply), err))
        return false;
    n->strange = env_mono(n->files.env);
    supervisor_want(n->supervisor, "ceph-mon", true);
    return true;
}

/* First it is told to leave the disks' health alone: the monitor would run
 * smartctl by sudo for it and stand still meanwhile. */
static bool add_mgr(struct ceph_node *n, struct ceph *c, struct error *err)
{
    _autojson_ json_t *reply = NULL;
    _autofree_ char *entity = xasprintf("mgr.%s", n->files.node);
    if (!command(n, c,
                 json_pack("{ss ss ss ss sb}", "prefix", "config set", "who",
                           "mgr", "name", "mgr/devicehealth/enable_monitoring",
                           "value", "false", "force", 1),
                 err) ||
        !n->module->command(c,
                            json_pack("{ss ss s[ssssss]}", "prefix",
                                      "auth get-or-create", "entity", entity,
                                      "caps", "mon", "allow profile mgr", "osd",
                                      "allow *", "mds", "allow *"),
                            NULL, &reply, err))
        return false;
    if (!key_of(reply))
        return error_set(err, ERR_INTERNAL, "no key for %s", entity);
    if (!ceph_files_keep(&n->files, "mgr", key_of(reply), err))
        return false;
    supervisor_want(n->supervisor, "ceph-mgr", true);
    return true;
}

/* The number that the cluster gives an OSD; the same when asked again. */
static bool new_osd(struct ceph_node *n, struct ceph *c,
                    const struct ceph_slot *slot, int *osd, struct error *err)
{
    char key[CEPH_SECRET_MAX];
    _autojson_ json_t *reply = NULL;
    if (!ceph_slot_secret(&n->files, slot, key, err))
        return false;
    _autofree_ char *input = xasprintf("{\"cephx_secret\": \"%s\"}", key);
    bool ok = n->module->command(
        c, json_pack("{ss ss}", "prefix", "osd new", "uuid", slot->uuid), input,
        &reply, err);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(input, strlen(input));
    json_t *id = json_object_get(reply, "osdid");
    if (ok && !json_is_integer(id))
        return error_set(err, ERR_INTERNAL, "osd new gave no number");
    *osd = (int)json_integer_value(id);
    return ok;
}

/* What makes an OSD of a disk; its service is started. */
static bool add_osd(struct ceph_node *n, struct ceph *c,
                    const struct disk *disk, struct error *err)
{
    int osd = 0;
    struct ceph_slot *slot = ceph_disks_slot(&n->disks, disk, err);
    if (!slot || !new_osd(n, c, slot, &osd, err) ||
        !ceph_slot_make(&n->files, slot, osd, err))
        return error_prefix(err, "%s", disk->path);
    log_info("ceph", "osd.%d is on %s", osd, disk->path);
    supervisor_want(n->supervisor, n->slots[slot->n - 1].name, true);
    return true;
}

static bool add_osds(struct ceph_node *n, struct ceph *c, struct error *err)
{
    bool ok = true;
    for (size_t i = 0; i < n->disks.n; i++)
        if (ceph_disks_may_take(&n->disks, &n->disks.all[i]))
            ok = add_osd(n, c, &n->disks.all[i], err) && ok;
    return ok;
}

static bool remove_mgr(struct ceph_node *n, struct error *err)
{
    supervisor_want(n->supervisor, "ceph-mgr", false);
    return ceph_files_drop(&n->files, "mgr", err);
}

static bool do_step(struct ceph_node *n, struct ceph *c,
                    const struct ceph_step *s, struct error *err)
{
    json_t *what = ceph_step_command(s, n->files.config->ceph_pool);
    log_info("ceph", "%s %s", ceph_step_name(s->kind),
             *s->node ? s->node : n->files.config->ceph_pool);
    if (what)
        return command(n, c, what, err);
    if (s->kind == CEPH_ADD_MON)
        return add_mon(n, c, err);
    if (s->kind == CEPH_ADD_MGR)
        return add_mgr(n, c, err);
    if (s->kind == CEPH_REMOVE_MGR)
        return remove_mgr(n, err);
    if (s->kind == CEPH_ADD_OSDS)
        return add_osds(n, c, err);
    return error_set(err, ERR_NOT_IMPLEMENTED, "%s", ceph_step_name(s->kind));
}

/* ---- beginning --------------------------------------------------------- */

static bool found(struct ceph_node *n, struct error *err)
{
    log_info("ceph", "founding a cluster on %s", n->files.node);
    if (!ceph_files_found(&n->files, err))
        return false;
    supervisor_want(n->supervisor, "ceph-mon", true);
    return true;
}

/* The pool has a cluster: another member knows its keys. */
static bool enter(struct ceph_node *n, struct error *err)
{
    struct ceph_share share;
    struct buf text = BUF_INIT(16384);
    bool ok = peers_ask_ceph(n->c.pool, n->c.config, &text, err) &&
              ceph_share_read(&share, text.data, text.len, err);
    if (ok) {
        ok = ceph_files_accept(&n->files, &share, err);
        ceph_share_wipe(&share);
    }
    if (text.data)
        OPENSSL_cleanse(text.data, text.len);
    buf_free(&text);
    if (ok)
        log_info("ceph", "this node is at %s in the cluster %s",
                 n->files.address, n->files.fsid);
    return ok;
}

static bool begin(struct ceph_node *n, struct error *err)
{
    pthread_mutex_lock(&n->lock);
    bool ok = ceph_files_founded(&n->files) ||
              (n->c.pool->founder ? found(n, err) : enter(n, err));
    pthread_mutex_unlock(&n->lock);
    return ok;
}

/* ---- who there is ------------------------------------------------------ */

/* This node's own monitor and manager are seen in the cluster seconds after
 * they were started; until then they count all the same. */
static void count_own(struct ceph_node *n, struct ceph_seen *seen)
{
    struct ceph_facts *f = &seen->facts;
    bool mon = false, mgr = false;
    for (size_t i = 0; i < f->n_mons; i++)
        mon |= strcmp(f->mons[i].name, n->files.node) == 0;
    for (size_t i = 0; i < f->n_mgrs; i++)
        mgr |= strcmp(f->mgrs[i], n->files.node) == 0;
    if (!mgr && ceph_files_has(&n->files, "mgr") && f->n_mgrs < CEPH_MGRS_MAX)
        snprintf(seen->mgrs[f->n_mgrs++], CEPH_NAME_MAX, "%s", n->files.node);
    if (mon || !ceph_files_has(&n->files, "mon"))
        n->strange = 0;
    else if (f->n_mons < CEPH_MONS_SEEN)
        snprintf(seen->mons[f->n_mons++].name, CEPH_NAME_MAX, "%s",
                 n->files.node);
    if (!mon && ceph_files_has(&n->files, "mon") && !n->strange)
        n->strange = env_mono(n->files.env);
}

/* One that was removed while it was away would ask for ever to be let in. */
static bool drop_strange(struct ceph_node *n, struct error *err)
{
    if (!n->strange || env_mono(n->files.env) < n->strange + STRANGE_US)
        return true;
    log_info("ceph", "the cluster does not know this node's monitor: it goes");
    n->strange = 0;
    supervisor_want(n->supervisor, "ceph-mon", false);
    return ceph_files_drop(&n->files, "mon", err);
}

static void fill_own(const struct ceph_node *n, int free_disks,
                     struct ceph_node_facts *out)
{
    snprintf(out->name, CEPH_NAME_MAX, "%s", n->files.node);
    out->live = true;
    out->free_disks = free_disks;
}

/* The members, in the same order on each of them, so that all see the same
 * node's turn; this one alone before there are records. */
static struct ceph_node_facts *list_nodes(struct ceph_node *n, int free_disks,
                                          size_t *count)
{
    int64_t since = env_now(n->files.env) - SILENT_US;
    struct ceph_node_facts *all = xcalloc(1, sizeof(*all));
    fill_own(n, free_disks, all);
    *count = 1;
    if (!n->cache)
        return all;
    _autosnap_ struct snapshot *snap = cache_snapshot(n->cache);
    size_t most = snap_count(snap, &kind_member), i = 0;
    struct snap_iter it = snap_all(snap, &kind_member);
    all = xrealloc(all, (most + 1) * sizeof(*all));
    memset(all, 0, (most + 1) * sizeof(*all));
    for (const struct member *m; (m = snap_next(&it)) && i < most; i++) {
        const struct node *node = snap_get(snap, &kind_node, m->rec.id);
        snprintf(all[i].name, CEPH_NAME_MAX, "%s", m->rec.id);
        snprintf(all[i].rack, CEPH_NAME_MAX, "%s",
                 node && node->rack ? node->rack : "");
        all[i].live = node && node->seen >= since;
        if (strcmp(m->rec.id, n->files.node) == 0)
            fill_own(n, free_disks, &all[i]);
    }
    *count = i;
    return all;
}

static bool keep_mons(struct ceph_node *n, const struct ceph_seen *seen,
                      struct error *err)
{
    struct ceph_place mons[CEPH_PLACES_MAX];
    size_t k = 0;
    for (size_t i = 0; i < seen->facts.n_mons && k < CEPH_PLACES_MAX; i++) {
        if (!*seen->mons[i].address)
            continue;
        memcpy(mons[k].name, seen->mons[i].name, CEPH_NAME_MAX);
        memcpy(mons[k++].address, seen->mons[i].address, CEPH_NAME_MAX);
    }
    pthread_mutex_lock(&n->lock);
    bool ok = ceph_files_mons(&n->files, mons, k, err);
    pthread_mutex_unlock(&n->lock);
    return ok;
}

/* What CRUSH takes for a name. */
static bool is_bucket_name(const char *s)
{
    return *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY"
                           "Z0123456789_-.") == strlen(s);
}

/* An administrator has moved this node to another rack: so has its OSDs. */
static bool follow_rack(struct ceph_node *n, struct ceph *c,
                        const struct ceph_seen *seen, const char *rack,
                        struct error *err)
{
    bool elsewhere = false;
    for (size_t i = 0; i < seen->facts.n_osds; i++)
        elsewhere |= strcmp(seen->osds[i].node, n->files.node) == 0 &&
                     strcmp(seen->osds[i].rack, rack) != 0;
    if (*rack && !is_bucket_name(rack))
        return error_set(err, ERR_INVALID, "\"%s\" is no name of a rack", rack);
    if (!ceph_files_rack(&n->files, rack, err) || !elsewhere)
        return err->code == ERR_NONE;
    log_info("ceph", "%s is in rack \"%s\" now", n->files.node, rack);
    return command(n, c, ceph_rack_command(n->files.node, rack), err);
}

static const char *own_rack(const struct ceph_node *n,
                            const struct ceph_seen *seen)
{
    for (size_t i = 0; i < seen->facts.n_nodes; i++)
        if (strcmp(seen->facts.nodes[i].name, n->files.node) == 0)
            return seen->facts.nodes[i].rack;
    return "";
}

/* ---- one look ---------------------------------------------------------- */

/* Until data is where it should be the cluster knows of no free space; but a
 * node of a pool that is being repaired does not wait for that. */
static bool pool_is_there(const struct ceph_node *n,
                          const struct ceph_seen *seen)
{
    if (!seen->facts.clean && env_mono(n->files.env) < n->began + CLEAN_US)
        return false;
    for (size_t i = 0; i < seen->facts.n_pools; i++)
        if (strcmp(seen->pools[i].name, seen->facts.pool) == 0)
            return seen->pools[i].ready && seen->n_up > 0;
    return false;
}

/* What a node adds is its own; the rest is done by one.  Before the members
 * are known that is the founder, until the volumes have their place. */
static bool is_for_us(const struct ceph_node *n, const struct ceph_step *s,
                      bool there)
{
    if (!n->cache && !n->c.pool->founder && s->kind != CEPH_ADD_OSDS)
        return false;
    if (s->kind == CEPH_ADD_MON || s->kind == CEPH_ADD_MGR ||
        s->kind == CEPH_REMOVE_MGR || s->kind == CEPH_ADD_OSDS)
        return strcmp(s->node, n->files.node) == 0;
    if (n->cache)
        return n->leads(n->leads_arg);
    return n->c.pool->founder && !there && s->kind != CEPH_REMOVE_MON;
}

static size_t plan(struct ceph_node *n, const struct ceph_seen *seen,
                   bool *there, struct ceph_step steps[CEPH_STEPS_MAX])
{
    size_t n_steps, kept = 0;
    if (seen->facts.n_nodes != n->n_members)
        n->grown = env_mono(n->files.env);
    n->n_members = seen->facts.n_nodes;
    *there = pool_is_there(n, seen);
    n_steps = ceph_plan(&seen->facts, steps);
    for (size_t i = 0; i < n_steps; i++)
        if (is_for_us(n, &steps[i], *there))
            steps[kept++] = steps[i];
    return kept;
}

/* What is seen, thought and told; what is left to do is in `steps`. */
static bool consider(struct ceph_node *n, struct ceph *c,
                     struct ceph_seen *seen, bool *there,
                     struct ceph_step steps[CEPH_STEPS_MAX], size_t *n_steps,
                     struct error *err)
{
    struct error late = { 0 };
    if (!keep_mons(n, seen, err))
        return false;
    count_own(n, seen);
    struct ceph_node_facts *nodes =
        list_nodes(n, ceph_disks_look(&n->disks), &seen->facts.n_nodes);
    seen->facts.nodes = nodes;
    *n_steps = plan(n, seen, there, steps);
    if (n->cache && !follow_rack(n, c, seen, own_rack(n, seen), &late))
        log_limited(LOG_WARN, "ceph", "%s", late.text);
    error_clear(&late);
    if (n->cache &&
        !ceph_report_look(&n->report, c, seen, n->leads(n->leads_arg), &late))
        log_limited(LOG_WARN, "ceph", "%s", late.text);
    seen->facts.nodes = NULL;
    free(nodes);
    return true;
}

/* True if there was nothing to do. */
static bool look(struct ceph_node *n, struct ceph *c, bool *there,
                 struct error *err)
{
    struct ceph_seen seen = { 0 };
    struct ceph_step steps[CEPH_STEPS_MAX];
    size_t done = 0, n_steps = 0;
    if (!ask(n, c, &seen, err))
        return false;
    bool ok = consider(n, c, &seen, there, steps, &n_steps, err);
    ceph_seen_free(&seen);
    ok = ok && drop_strange(n, err);
    while (ok && done < n_steps && do_step(n, c, &steps[done], err))
        done++;
    return ok && done == n_steps &&
           (!n_steps || error_set(err, ERR_BUSY, "more may follow"));
}

static bool settle(struct ceph_node *n, bool *there, struct error *err)
{
    const struct ceph_config config = { .conf = n->files.config->ceph_conf,
                                        .client = "admin",
                                        .timeout_us = CONNECT_US };
    *there = false;
    if (!begin(n, err))
        return false;
    struct ceph *c = n->module->connect(&config, err);
    if (!c)
        return false;
    bool ok = look(n, c, there, err);
    n->module->free(c);
    return ok;
}

/* A disk without a place, or a cluster that is busy, is no reason to do
 * without the volumes that are there. */
bool ceph_node_settle(struct ceph_node *n, struct error *err)
{
    bool there, ok = settle(n, &there, err);
    if (there && !ok && err->code != ERR_BUSY)
        log_warn("ceph", "%s", err->text);
    return there ||
           (ok && error_set(err, ERR_BUSY, "its data is not in place yet"));
}

static enum reconcile_verdict follow(void *self, const char *key,
                                     int64_t *delay_us, struct error *err)
{
    bool there;
    if (!settle(self, &there, err) && err->code != ERR_BUSY)
        return RECONCILE_RETRY;
    struct ceph_node *n = self;
    bool early =
        n->report.busy || env_mono(n->files.env) < n->grown + GROWING_US;
    *delay_us = err->code == ERR_BUSY ? SECOND_US : early ? EARLY_US : LOOK_US;
    return RECONCILE_AGAIN;
}

/* ---- life -------------------------------------------------------------- */

static bool start(struct ceph_node *n, struct error *err)
{
    const struct config *config = n->files.config;
    _autofree_ char *dir = xasprintf("%s/services", config->run_dir);
    n->module = drivers_ceph_module(err);
    if (!n->module ||
        (ceph_files_founded(&n->files) && !ceph_files_conf(&n->files, err)))
        return false;
    ceph_disks_load(&n->disks, &n->files);
    fill_table(n);
    struct supervisor_config sc = {
        .env = n->files.env,
        .table = n->table,
        .n = ROWS,
        .arg = n,
        .dir = dir,
        .log_dir = config->log_dir,
    };
    n->supervisor = supervisor_start(&sc, err);
    return n->supervisor != NULL;
}

struct ceph_node *ceph_node_start(const struct ceph_node_config *config,
                                  struct error *err)
{
    struct ceph_node *n = xcalloc(1, sizeof(*n));
    n->c = *config;
    n->began = env_mono(config->env);
    pthread_mutex_init(&n->lock, NULL);
    if (ceph_files_open(&n->files, config->config, config->env, config->node,
                        err) &&
        start(n, err))
        return n;
    ceph_node_free(n);
    return NULL;
}

/* It runs no more, and is not started again. */
static void stop_osd(void *arg, const struct ceph_slot *slot)
{
    struct ceph_node *n = arg;
    supervisor_want(n->supervisor, n->slots[slot->n - 1].name, false);
}

void ceph_node_follow(struct ceph_node *n, struct store *store,
                      struct cache *cache, bool (*leads)(void *), void *arg)
{
    n->cache = cache;
    n->leads = leads;
    n->leads_arg = arg;
    n->report = (struct ceph_report){ .disks = &n->disks,
                                      .store = store,
                                      .cache = cache,
                                      .node = n->files.node,
                                      .module = n->module,
                                      .stop = stop_osd,
                                      .arg = n };
    n->queue = reconciler_new("ceph", follow, n, n->files.env, 1);
    reconciler_add_after(n->queue, "ceph", SECOND_US);
}

const char *ceph_node_address(const struct ceph_node *n)
{
    return n->files.address;
}

bool ceph_node_share(struct ceph_node *n, struct buf *out, struct error *err)
{
    struct ceph_share share;
    pthread_mutex_lock(&n->lock);
    bool ok = ceph_files_share(&n->files, &share, err);
    pthread_mutex_unlock(&n->lock);
    if (ok)
        ceph_share_write(&share, out);
    ceph_share_wipe(&share);
    return ok;
}

void ceph_node_free(struct ceph_node *n)
{
    if (!n)
        return;
    if (n->queue)
        reconciler_stop(n->queue);
    supervisor_free(n->supervisor, false);
    ceph_files_close(&n->files);
    pthread_mutex_destroy(&n->lock);
    free(n);
}
