#include "daemon/ceph_node.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/ceph_files.h"
#include "daemon/drivers.h"
#include "daemon/supervisor.h"
#include "state/reconcile.h"
#include "storage/ceph/module.h"
#include "storage/ceph_facts.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define LOOK_US    (15 * SECOND_US)
#define CLEAN_US   (20 * SECOND_US)
#define CONNECT_US (10 * SECOND_US)
#define MON        0
#define MGR        1
#define FIRST_SLOT 2
#define ROWS       (FIRST_SLOT + CEPH_SLOTS)

struct slot_service {
    struct ceph_node *node;
    struct ceph_slot slot;
    char name[24];
};

struct ceph_node {
    struct ceph_files files;
    const struct ceph_module *module;
    struct slot_service slots[CEPH_SLOTS];
    struct service_spec table[ROWS];
    struct supervisor *supervisor;
    struct reconciler *queue; /* NULL before ceph_node_follow */
    struct disk disks[DISKS_MAX];
    size_t n_disks;
    int64_t began; /* monotonic */
    uint64_t told; /* of which disks the log knows why they are not taken */
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
    while (i < n && strcmp(disks[i].facts.osd, s->slot.uuid) != 0)
        i++;
    bool ok = i < n ? ceph_slot_attach(f, &s->slot, disks[i].path, err)
                    : error_set(err, ERR_NOT_FOUND,
                                "the disk of osd.%d (%s) is not there",
                                s->slot.osd, s->slot.path);
    free(disks);
    return ok;
}

static void command_osd(void *arg, struct words *w)
{
    const struct slot_service *s = arg;
    _autofree_ char *dir = ceph_slot_dir(&s->node->files, s->slot.n);
    add_common(s->node, w, "ceph-osd");
    words_add(w, "--id=%d", s->slot.osd);
    words_add(w, "--osd-data=%s", dir);
    words_add(w, "--keyring=%s/keyring", dir);
}

static bool is_ready(void *arg)
{
    const struct slot_service *s = arg;
    return s->slot.ready;
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
        ceph_slot_load(&n->files, &s->slot, i + 1);
        n->table[FIRST_SLOT + i] =
            (struct service_spec){ .name = s->name,
                                   .prepare = prepare_osd,
                                   .command = command_osd,
                                   .wanted = is_ready,
                                   .arg = s };
    }
}

/* ---- what is there ----------------------------------------------------- */

/* An unfinished slot for this very disk, or NULL. */
static struct slot_service *slot_of(struct ceph_node *n,
                                    const struct disk *disk)
{
    for (int i = 0; i < CEPH_SLOTS; i++) {
        struct ceph_slot *s = &n->slots[i].slot;
        bool same = *disk->facts.osd
                        ? strcmp(s->uuid, disk->facts.osd) == 0
                        : disk->free && strcmp(s->path, disk->path) == 0;
        if (s->used && !s->ready && same)
            return &n->slots[i];
    }
    return NULL;
}

static bool may_take(struct ceph_node *n, const struct disk *disk)
{
    return disk->free || slot_of(n, disk);
}

static bool is_ours(const struct ceph_node *n, const struct disk *disk)
{
    for (int i = 0; i < CEPH_SLOTS; i++)
        if (*disk->facts.osd &&
            strcmp(n->slots[i].slot.uuid, disk->facts.osd) == 0)
            return true;
    return false;
}

/* Says once why disks are left alone. */
static int look_at_disks(struct ceph_node *n)
{
    int free_ones = 0;
    uint64_t mark = 1;
    n->n_disks = disks_look(n->files.config->disks, n->disks, DISKS_MAX);
    for (size_t i = 0; i < n->n_disks; i++) {
        const struct disk *d = &n->disks[i];
        free_ones += may_take(n, d);
        for (const char *c = d->path; *c; c++)
            mark = mark * 31 + (unsigned char)*c;
        mark = mark * 31 + d->free;
    }
    for (size_t i = 0; i < n->n_disks && mark != n->told; i++)
        if (!n->disks[i].free && !is_ours(n, &n->disks[i]))
            log_info("ceph", "%s is left alone: %s", n->disks[i].path,
                     n->disks[i].reason);
    n->told = mark;
    return free_ones;
}

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
    const char *key =
        json_string_value(json_object_get(json_array_get(reply, 0), "key"));
    if (!key)
        return error_set(err, ERR_INTERNAL, "no key for %s", entity);
    if (!ceph_files_keep(&n->files, "mgr", key, err))
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

static struct slot_service *slot_for(struct ceph_node *n,
                                     const struct disk *disk, struct error *err)
{
    struct slot_service *s = slot_of(n, disk);
    for (int i = 0; i < CEPH_SLOTS && !s; i++)
        if (!n->slots[i].slot.used)
            s = &n->slots[i];
    if (!s)
        error_set(err, ERR_NO_SPACE, "no more than %d OSDs a node", CEPH_SLOTS);
    else if (!s->slot.used &&
             !ceph_slot_take(&n->files, &s->slot, disk->path, err))
        return NULL;
    return s;
}

static bool add_osd(struct ceph_node *n, struct ceph *c,
                    const struct disk *disk, struct error *err)
{
    int osd = 0;
    struct slot_service *s = slot_for(n, disk, err);
    if (!s || !new_osd(n, c, &s->slot, &osd, err) ||
        !ceph_slot_make(&n->files, &s->slot, osd, err))
        return error_prefix(err, "%s", disk->path);
    log_info("ceph", "osd.%d is on %s", osd, disk->path);
    supervisor_want(n->supervisor, s->name, true);
    return true;
}

static bool add_osds(struct ceph_node *n, struct ceph *c, struct error *err)
{
    bool ok = true;
    for (size_t i = 0; i < n->n_disks; i++)
        if (may_take(n, &n->disks[i]))
            ok = add_osd(n, c, &n->disks[i], err) && ok;
    return ok;
}

/* ---- the pool of volumes ----------------------------------------------- */

static json_t *set_pool(const struct ceph_node *n, const char *what,
                        const char *value)
{
    return json_pack("{ss ss ss ss}", "prefix", "osd pool set", "pool",
                     n->files.config->ceph_pool, "var", what, "val", value);
}

static json_t *pool_step(const struct ceph_node *n, const struct ceph_step *s)
{
    const char *pool = n->files.config->ceph_pool;
    const char *rule = ceph_rule_name(s->domain);
    char size[12], least[12];
    snprintf(size, sizeof(size), "%d", s->size);
    snprintf(least, sizeof(least), "%d", s->min_size);
    switch (s->kind) {
    case CEPH_ADD_RULE:
        return json_pack("{ss ss ss ss}", "prefix",
                         "osd crush rule create-replicated", "name", rule,
                         "root", "default", "type",
                         ceph_domain_type(s->domain));
    case CEPH_ADD_POOL:
        return json_pack("{ss ss si si ss ss si}", "prefix", "osd pool create",
                         "pool", pool, "pg_num", CEPH_PGS, "pgp_num", CEPH_PGS,
                         "pool_type", "replicated", "rule", rule, "size",
                         s->size);
    case CEPH_READY_POOL:
        return json_pack("{ss ss ss}", "prefix", "osd pool application enable",
                         "pool", pool, "app", "rbd");
    case CEPH_SET_RULE:
        return set_pool(n, "crush_rule", rule);
    case CEPH_SET_SIZE:
        return set_pool(n, "size", size);
    case CEPH_SET_MINIMUM:
        return set_pool(n, "min_size", least);
    default:
        return NULL;
    }
}

static bool do_step(struct ceph_node *n, struct ceph *c,
                    const struct ceph_step *s, struct error *err)
{
    json_t *what = pool_step(n, s);
    log_info("ceph", "%s %s", ceph_step_name(s->kind),
             *s->node ? s->node : n->files.config->ceph_pool);
    if (what)
        return command(n, c, what, err);
    if (s->kind == CEPH_ADD_MGR)
        return add_mgr(n, c, err);
    if (s->kind == CEPH_ADD_OSDS)
        return add_osds(n, c, err);
    return error_set(err, ERR_NOT_IMPLEMENTED, "%s", ceph_step_name(s->kind));
}

/* ---- one look ---------------------------------------------------------- */

static bool found(struct ceph_node *n, struct error *err)
{
    log_info("ceph", "founding a cluster on %s", n->files.node);
    if (!ceph_files_found(&n->files, err))
        return false;
    supervisor_want(n->supervisor, "ceph-mon", true);
    return true;
}

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

/* True if there was nothing to do. */
static bool look(struct ceph_node *n, struct ceph *c, bool *there,
                 struct error *err)
{
    struct ceph_seen seen = { 0 };
    struct ceph_step steps[CEPH_STEPS_MAX];
    struct ceph_node_facts self = { .live = true };
    size_t done = 0, n_steps;
    if (!ask(n, c, &seen, err))
        return false;
    snprintf(self.name, sizeof(self.name), "%s", n->files.node);
    self.free_disks = look_at_disks(n);
    seen.facts.nodes = &self;
    seen.facts.n_nodes = 1;
    /* It shows itself in the cluster seconds after it is started. */
    if (!seen.facts.n_mgrs && ceph_files_has(&n->files, "mgr")) {
        snprintf(seen.mgrs[0], CEPH_NAME_MAX, "%s", n->files.node);
        seen.facts.n_mgrs = 1;
    }
    *there = pool_is_there(n, &seen);
    n_steps = ceph_plan(&seen.facts, steps);
    ceph_seen_free(&seen);
    while (done < n_steps && do_step(n, c, &steps[done], err))
        done++;
    return done == n_steps &&
           (!n_steps || error_set(err, ERR_BUSY, "more may follow"));
}

static bool settle(struct ceph_node *n, bool *there, struct error *err)
{
    const struct ceph_config config = { .conf = n->files.config->ceph_conf,
                                        .client = "admin",
                                        .timeout_us = CONNECT_US };
    *there = false;
    if (!ceph_files_founded(&n->files) && !found(n, err))
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
    *delay_us = err->code == ERR_BUSY ? SECOND_US : LOOK_US;
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

struct ceph_node *ceph_node_start(const struct config *config,
                                  const struct env *env, const char *node,
                                  struct error *err)
{
    struct ceph_node *n = xcalloc(1, sizeof(*n));
    n->began = env_mono(env);
    if (ceph_files_open(&n->files, config, env, node, err) && start(n, err))
        return n;
    ceph_node_free(n);
    return NULL;
}

void ceph_node_follow(struct ceph_node *n)
{
    n->queue = reconciler_new("ceph", follow, n, n->files.env, 1);
    reconciler_add_after(n->queue, "ceph", LOOK_US);
}

void ceph_node_free(struct ceph_node *n)
{
    if (!n)
        return;
    if (n->queue)
        reconciler_stop(n->queue);
    supervisor_free(n->supervisor, false);
    ceph_files_close(&n->files);
    free(n);
}
