#include "network/ovn.h"

#include "common/alloc.h"
#include "common/log.h"
#include "network/fence.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define CLAIM_US (20 * SECOND_US)

struct ovn {
    struct net_driver driver;
    struct nb_config nb;
    struct metadata *metadata;
    int64_t (*term)(void *arg);
    void *term_arg;
    struct ovsdb *db;

    pthread_mutex_t lock; /* all below */
    void (*changed)(void *arg);
    void *changed_arg;
    json_t *port_ids;     /* name -> uuid of the switch ports ... */
    uint64_t ids_version; /* ... of this version of the replica */
    struct sync_stats stats;

    /* Of the thread that applies: what the last success was about. */
    int64_t revision;
    uint64_t version;
    int64_t passed_over; /* since when a larger term stands there, us; 0 */
};

static struct ovn *self_of(struct net_driver *d)
{
    return container_of(d, struct ovn, driver);
}

static void replica_changed(void *arg)
{
    struct ovn *o = arg;
    pthread_mutex_lock(&o->lock);
    void (*fn)(void *) = o->changed;
    void *fn_arg = o->changed_arg;
    pthread_mutex_unlock(&o->lock);
    if (fn)
        fn(fn_arg);
}

/* ---- apply ------------------------------------------------------------- */

/* Neither the records nor the database changed since the last success. */
static bool nothing_changed(struct ovn *o, const struct snapshot *s)
{
    uint64_t version;
    if (!ovsdb_lock(o->db, &version))
        return false;
    ovsdb_unlock(o->db);
    return o->revision == snapshot_revision(s) && o->version == version;
}

/* The term in which the database is ours; 0: it is not. */
static int64_t term_of(const struct ovn *o)
{
    return !o->db ? 0 : o->term ? o->term(o->term_arg) : 1;
}

/* Somebody led later than we do.  Whether we must believe it. */
static bool passed_over(struct ovn *o, int64_t theirs, int64_t ours,
                        struct error *err)
{
    int64_t now = env_mono(&env_system);
    if (!o->passed_over)
        o->passed_over = now;
    if (now - o->passed_over < FENCE_PATIENCE_US)
        return error_set(err, ERR_UNAVAILABLE,
                         "the northbound database belongs to term %" PRId64
                         ", this node leads in term %" PRId64,
                         theirs, ours);
    log_warn("network",
             "the northbound database belongs to term %" PRId64
             ", which nobody leads in: taken over in term %" PRId64,
             theirs, ours);
    return true;
}

/* Makes the database ours, if it is not. */
static bool take(struct ovn *o, int64_t term, struct error *err)
{
    const json_t *replica = ovsdb_lock(o->db, NULL);
    if (!replica)
        return error_set(err, ERR_BUSY, "the northbound database comes");
    int64_t theirs = fence_term(replica);
    _autojson_ json_t *claim =
        theirs == term ? NULL : fence_claim(replica, term);
    ovsdb_unlock(o->db);
    if (theirs > term && !passed_over(o, theirs, term, err))
        return false;
    if (claim && !ovsdb_transact(o->db, claim, CLAIM_US, NULL, err))
        return false;
    o->passed_over = 0;
    return true;
}

static bool bring_to(struct ovn *o, int64_t term, const json_t *content,
                     struct error *err)
{
    struct sync_stats done = { 0 };
    _autojson_ json_t *fence = o->term ? fence_check(term) : NULL;
    if (fence && !take(o, term, err))
        return false;
    bool ok = sync_apply(o->db, content, fence, &done, err);
    pthread_mutex_lock(&o->lock);
    o->stats.transactions += done.transactions;
    o->stats.rows += done.rows;
    pthread_mutex_unlock(&o->lock);
    o->version = done.version;
    return ok;
}

static bool apply_northbound(struct ovn *o, const struct snapshot *s,
                             struct error *err)
{
    int64_t term = term_of(o);
    if (!term) {
        o->revision = -1; /* somebody else writes meanwhile */
        return true;
    }
    if (!ovsdb_wait(o->db, 0, err)) {
        if (err && ovsdb_absent_us(o->db) < OVSDB_PATIENCE_US)
            err->code = ERR_BUSY;
        return false;
    }
    if (nothing_changed(o, s))
        return true;
    _autojson_ json_t *content = nb_derive(s, &o->nb);
    o->revision = -1;
    if (!bring_to(o, term, content, err))
        return false;
    o->revision = snapshot_revision(s);
    return true;
}

static bool apply(struct net_driver *d, const struct snapshot *s,
                  struct error *err)
{
    struct ovn *o = self_of(d);
    struct error later = { 0 };
    bool ok = apply_northbound(o, s, err);
    if (!o->metadata || metadata_apply(o->metadata, s, &later))
        return ok;
    if (ok)
        error_copy(err, &later);
    return false;
}

static bool writes(struct net_driver *d)
{
    return term_of(self_of(d)) != 0;
}

static bool rebuild(struct net_driver *d, const struct snapshot *s,
                    struct error *err)
{
    struct ovn *o = self_of(d);
    _autojson_ json_t *nothing = json_object();
    o->revision = -1;
    int64_t term = term_of(o);
    if (!term)
        return apply(d, s, err);
    return bring_to(o, term, nothing, err) && apply(d, s, err);
}

/* ---- ports ------------------------------------------------------------- */

static const char *port_name(const json_t *row)
{
    return json_string_value(json_object_get(row, "name"));
}

static json_t *index_ports(const json_t *rows)
{
    json_t *index = json_object();
    const char *uuid;
    json_t *row;
    json_object_foreach((json_t *)rows, uuid, row) if (port_name(row))
        json_object_set_new(index, port_name(row), json_string(uuid));
    return index;
}

static const json_t *find_port(struct ovn *o, const json_t *rows,
                               uint64_t version, const char *id)
{
    if (!o->port_ids || o->ids_version != version) {
        json_decref(o->port_ids);
        o->port_ids = index_ports(rows);
        o->ids_version = version;
    }
    const char *uuid = json_string_value(json_object_get(o->port_ids, id));
    return uuid ? json_object_get(rows, uuid) : NULL;
}

static enum port_state row_state(const json_t *row)
{
    if (!row)
        return PORT_ABSENT;
    return json_is_true(json_object_get(row, "up")) ? PORT_UP : PORT_DOWN;
}

static enum port_state port_state(struct net_driver *d, const char *port_id)
{
    struct ovn *o = self_of(d);
    uint64_t version;
    const json_t *replica = term_of(o) ? ovsdb_lock(o->db, &version) : NULL;
    if (!replica)
        return PORT_UNKNOWN;
    pthread_mutex_lock(&o->lock);
    const json_t *rows =
        ovsdb_replica_table(replica, nb_tables[NB_LOGICAL_SWITCH_PORT].name);
    enum port_state state = row_state(find_port(o, rows, version, port_id));
    pthread_mutex_unlock(&o->lock);
    ovsdb_unlock(o->db);
    return state;
}

static void watch(struct net_driver *d, void (*fn)(void *arg), void *arg)
{
    struct ovn *o = self_of(d);
    pthread_mutex_lock(&o->lock);
    o->changed = fn;
    o->changed_arg = arg;
    pthread_mutex_unlock(&o->lock);
}

/* ---- life -------------------------------------------------------------- */

static void close_driver(struct net_driver *d)
{
    struct ovn *o = self_of(d);
    if (o->db)
        ovsdb_free(o->db);
    json_decref(o->port_ids);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

static const struct network_ops ovn_ops = {
    .apply = apply,
    .rebuild = rebuild,
    .port_state = port_state,
    .watch = watch,
    .close = close_driver,
    .writes = writes,
};

struct net_driver *ovn_open(const struct ovn_config *config)
{
    struct ovn *o = xcalloc(1, sizeof(*o));
    _autojson_ json_t *monitor = nb_monitor();
    o->driver.ops = &ovn_ops;
    o->nb = config->nb;
    o->metadata = config->metadata;
    o->term = config->term;
    o->term_arg = config->term_arg;
    o->revision = -1;
    pthread_mutex_init(&o->lock, NULL);
    if (!config->nb_socket)
        return &o->driver;
    o->db = ovsdb_new(&(struct ovsdb_config){ .socket = config->nb_socket,
                                              .database = NB_DATABASE,
                                              .monitor = monitor,
                                              .quiet = "up",
                                              .changed = replica_changed,
                                              .arg = o });
    return &o->driver;
}

struct sync_stats ovn_stats(struct net_driver *d)
{
    struct ovn *o = self_of(d);
    pthread_mutex_lock(&o->lock);
    struct sync_stats stats = o->stats;
    pthread_mutex_unlock(&o->lock);
    return stats;
}
