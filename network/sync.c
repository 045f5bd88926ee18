#include "network/sync.h"

#include "common/alloc.h"
#include "common/env.h"
#include "common/log.h"

#include <inttypes.h>
#include <string.h>

#define WAIT_US     (5 * SECOND_US)
#define TRANSACT_US (20 * SECOND_US)
#define ROUNDS_MAX  10000

/* ---- diff -------------------------------------------------------------- */

struct diff {
    const json_t *replica, *content, *skip;
    size_t max_ops;
    json_t *ours[NB_N_TABLES];    /* key -> uuid, rows in the replica */
    json_t *holder[NB_N_TABLES];  /* uuid of a child -> uuid of its parent */
    json_t *doubled[NB_N_TABLES]; /* uuids of rows whose key is there twice */
    json_t *named[NB_N_TABLES];   /* key -> name, rows inserted in this batch */
    unsigned n_named;
    struct sync_batch batch;
};

static json_t *rows_of(const json_t *from, enum nb_table t)
{
    return json_object_get(from, nb_tables[t].name);
}

static void index_ours(struct diff *d, enum nb_table t)
{
    const char *uuid;
    json_t *row;
    json_object_foreach(rows_of(d->replica, t), uuid, row)
    {
        const char *key =
            ovsdb_map_get(json_object_get(row, "external_ids"), NB_ID);
        if (!key)
            continue;
        json_t *into =
            json_object_get(d->ours[t], key) ? d->doubled[t] : d->ours[t];
        json_object_set_new(into, into == d->ours[t] ? key : uuid,
                            json_string(uuid));
    }
}

static void index_holders(struct diff *d, enum nb_table t)
{
    const struct nb_table_def *def = &nb_tables[t];
    const char *holder;
    json_t *row;
    if (def->parent < 0)
        return;
    json_object_foreach(rows_of(d->replica, (enum nb_table)def->parent), holder,
                        row)
    {
        const json_t *set = json_object_get(row, def->parent_column), *child;
        for (size_t i = 0; (child = ovsdb_set_at(set, i)); i++)
            if (ovsdb_value_uuid(child))
                json_object_set_new(d->holder[t], ovsdb_value_uuid(child),
                                    json_string(holder));
    }
}

static void diff_begin(struct diff *d)
{
    for (int t = 0; t < NB_N_TABLES; t++) {
        d->ours[t] = json_object();
        d->holder[t] = json_object();
        d->doubled[t] = json_object();
        d->named[t] = json_object();
        index_ours(d, (enum nb_table)t);
        index_holders(d, (enum nb_table)t);
    }
    d->batch.ops = json_array();
}

static void diff_end(struct diff *d)
{
    for (int t = 0; t < NB_N_TABLES; t++) {
        json_decref(d->ours[t]);
        json_decref(d->holder[t]);
        json_decref(d->doubled[t]);
        json_decref(d->named[t]);
    }
    if (!json_array_size(d->batch.ops))
        sync_batch_free(&d->batch);
}

static bool full(const struct diff *d)
{
    return json_array_size(d->batch.ops) >= d->max_ops;
}

/* ---- operations -------------------------------------------------------- */

static json_t *where_uuid(const json_t *id)
{
    return json_pack("[[s,s,O]]", "_uuid", "==", id);
}

static void op(struct diff *d, json_t *operation)
{
    json_array_append_new(d->batch.ops, operation);
}

/* Adds a child to the column of its parent ("insert") or takes it out. */
static void op_hold(struct diff *d, enum nb_table child_table,
                    const char *mutator, const json_t *parent, json_t *child)
{
    const struct nb_table_def *def = &nb_tables[child_table];
    op(d, json_pack("{s:s,s:s,s:o,s:[[s,s,o]]}", "op", "mutate", "table",
                    nb_tables[def->parent].name, "where", where_uuid(parent),
                    "mutations", def->parent_column, mutator, child));
}

/* Remembers what a batch begins with; false when the row is to be skipped. */
static bool unit(struct diff *d, enum nb_table t, const char *key)
{
    _autofree_ char *name = xasprintf("%s/%s", nb_tables[t].name, key);
    if (json_object_get(d->skip, name))
        return false;
    if (!d->batch.first)
        d->batch.first = steal(&name);
    d->batch.units++;
    return true;
}

/* Takes back a unit that turned out to need no operation. */
static void unit_empty(struct diff *d)
{
    if (!--d->batch.units) {
        free(d->batch.first);
        d->batch.first = NULL;
    }
}

/* ---- references -------------------------------------------------------- */

/* The row's uuid, or its name in this batch; NULL when it is in neither. */
static json_t *row_id(const struct diff *d, enum nb_table t, const char *key)
{
    const char *uuid = json_string_value(json_object_get(d->ours[t], key));
    const char *name = json_string_value(json_object_get(d->named[t], key));
    if (uuid)
        return ovsdb_uuid(uuid);
    return name ? ovsdb_named_uuid(name) : NULL;
}

static bool is_ref(const json_t *v)
{
    const char *tag = json_string_value(json_array_get(v, 0));
    return tag && !strcmp(tag, "ref");
}

static json_t *resolve_ref(const struct diff *d, const json_t *ref)
{
    const char *table = json_string_value(json_array_get(ref, 1));
    const char *key = json_string_value(json_array_get(ref, 2));
    for (int t = 0; t < NB_N_TABLES; t++)
        if (!strcmp(nb_tables[t].name, table))
            return row_id(d, (enum nb_table)t, key);
    return NULL;
}

/* A value with its references turned into uuids; those to rows that are not
 * there (refused ones) are left out. */
static json_t *resolve(const struct diff *d, const json_t *v)
{
    bool one = is_ref(v);
    const json_t *elements = json_array_get(v, 1);
    if (!one && !is_ref(json_array_get(elements, 0)))
        return json_incref((json_t *)v);
    json_t *out = json_array();
    for (size_t i = 0; i < (one ? 1 : json_array_size(elements)); i++) {
        json_t *id = resolve_ref(d, one ? v : json_array_get(elements, i));
        if (id)
            json_array_append_new(out, id);
    }
    return ovsdb_set(out);
}

/* ---- rows that go ------------------------------------------------------ */

static bool wanted(const struct diff *d, enum nb_table t, const char *key)
{
    return json_object_get(rows_of(d->content, t), key);
}

/* Is the row one of ours that goes as a whole (and takes its children)? */
static bool goes(const struct diff *d, enum nb_table t, const char *uuid)
{
    const json_t *row = json_object_get(rows_of(d->replica, t), uuid);
    const char *key =
        ovsdb_map_get(json_object_get(row, "external_ids"), NB_ID);
    const char *holder = json_string_value(json_object_get(d->holder[t], uuid));
    if (key && (!wanted(d, t, key) || json_object_get(d->doubled[t], uuid)))
        return true;
    return holder && goes(d, (enum nb_table)nb_tables[t].parent, holder);
}

static void remove_row(struct diff *d, enum nb_table t, const char *key,
                       const char *uuid)
{
    const char *holder = json_string_value(json_object_get(d->holder[t], uuid));
    int parent = nb_tables[t].parent;
    _autojson_ json_t *id = ovsdb_uuid(uuid);
    if (parent < 0) {
        if (unit(d, t, key))
            op(d, json_pack("{s:s,s:s,s:o}", "op", "delete", "table",
                            nb_tables[t].name, "where", where_uuid(id)));
        return;
    }
    if (!holder || goes(d, (enum nb_table)parent, holder))
        return; /* it goes with its parent */
    _autojson_ json_t *parent_id = ovsdb_uuid(holder);
    if (unit(d, t, key))
        op_hold(d, t, "delete", parent_id, steal(&id));
}

static void removals(struct diff *d, enum nb_table t)
{
    const char *key;
    json_t *uuid;
    json_object_foreach(d->ours[t], key,
                        uuid) if (!full(d) && !wanted(d, t, key))
        remove_row(d, t, key, json_string_value(uuid));
    json_object_foreach(d->doubled[t], key, uuid) if (!full(d))
        remove_row(d, t, key, json_string_value(uuid));
}

/* ---- rows that come or change ------------------------------------------ */

static json_t *parent_id(const struct diff *d, enum nb_table t,
                         const json_t *entry)
{
    const char *parent = json_string_value(json_object_get(entry, "parent"));
    return parent ? row_id(d, (enum nb_table)nb_tables[t].parent, parent)
                  : NULL;
}

static json_t *resolved_row(const struct diff *d, const json_t *row)
{
    const char *column;
    json_t *value, *out = json_object();
    json_object_foreach((json_t *)row, column, value)
        json_object_set_new(out, column, resolve(d, value));
    return out;
}

static void insert_row(struct diff *d, enum nb_table t, const char *key,
                       const json_t *entry)
{
    char name[24];
    _autojson_ json_t *parent = parent_id(d, t, entry);
    if (nb_tables[t].parent >= 0 && !parent)
        return; /* the parent was refused */
    if (!unit(d, t, key))
        return;
    snprintf(name, sizeof(name), "row%u", d->n_named++);
    json_object_set_new(d->named[t], key, json_string(name));
    op(d, json_pack("{s:s,s:s,s:s,s:o}", "op", "insert", "table",
                    nb_tables[t].name, "uuid-name", name, "row",
                    resolved_row(d, json_object_get(entry, "row"))));
    if (parent)
        op_hold(d, t, "insert", parent, ovsdb_named_uuid(name));
}

/* The columns of a row that are not as they should be. */
static json_t *changed_columns(const struct diff *d, const json_t *row,
                               const json_t *now)
{
    const char *column;
    json_t *value, *out = json_object();
    json_object_foreach((json_t *)row, column, value)
    {
        _autojson_ json_t *should = resolve(d, value);
        if (!json_equal(should, json_object_get(now, column)))
            json_object_set(out, column, should);
    }
    return out;
}

/* Moves a child to the parent it should have. */
static void move_row(struct diff *d, enum nb_table t, const char *uuid,
                     const json_t *entry)
{
    const char *holder = json_string_value(json_object_get(d->holder[t], uuid));
    _autojson_ json_t *should = parent_id(d, t, entry);
    const char *to = ovsdb_value_uuid(should);
    if (!should || (holder && to && !strcmp(holder, to)))
        return;
    op_hold(d, t, "insert", should, ovsdb_uuid(uuid));
    if (!holder || goes(d, (enum nb_table)nb_tables[t].parent, holder))
        return;
    _autojson_ json_t *from = ovsdb_uuid(holder);
    op_hold(d, t, "delete", from, ovsdb_uuid(uuid));
}

static void update_row(struct diff *d, enum nb_table t, const char *key,
                       const char *uuid, const json_t *entry)
{
    size_t before = json_array_size(d->batch.ops);
    const json_t *now = json_object_get(rows_of(d->replica, t), uuid);
    if (!unit(d, t, key))
        return;
    move_row(d, t, uuid, entry);
    json_t *changes = changed_columns(d, json_object_get(entry, "row"), now);
    if (json_object_size(changes)) {
        _autojson_ json_t *id = ovsdb_uuid(uuid);
        op(d, json_pack("{s:s,s:s,s:o,s:O}", "op", "update", "table",
                        nb_tables[t].name, "where", where_uuid(id), "row",
                        changes));
    }
    json_decref(changes);
    if (json_array_size(d->batch.ops) == before)
        unit_empty(d);
}

static void arrivals(struct diff *d, enum nb_table t)
{
    const char *key;
    json_t *entry;
    json_object_foreach(rows_of(d->content, t), key, entry)
    {
        const char *uuid = json_string_value(json_object_get(d->ours[t], key));
        if (full(d))
            return;
        if (uuid)
            update_row(d, t, key, uuid, entry);
        else
            insert_row(d, t, key, entry);
    }
}

struct sync_batch sync_diff(const json_t *replica, const json_t *content,
                            size_t max_ops, const json_t *skip)
{
    struct diff d = { replica, content, skip, max_ops };
    diff_begin(&d);
    for (int t = NB_N_TABLES - 1; t >= 0; t--)
        removals(&d, (enum nb_table)t);
    for (int t = 0; t < NB_N_TABLES; t++)
        arrivals(&d, (enum nb_table)t);
    diff_end(&d);
    return d.batch;
}

void sync_batch_free(struct sync_batch *batch)
{
    json_decref(batch->ops);
    free(batch->first);
    *batch = (struct sync_batch){ 0 };
}

/* ---- apply ------------------------------------------------------------- */

struct apply {
    struct ovsdb *db;
    const json_t *content;
    json_t *fence;     /* NULL: none */
    json_t *skip;      /* rows that were refused */
    size_t max_ops;    /* 1 once something was refused */
    struct error *err; /* of the first refused row */
    struct sync_stats stats;
};

static bool next_batch(struct apply *a, struct sync_batch *batch,
                       struct error *err)
{
    const json_t *replica = ovsdb_lock(a->db, &a->stats.version);
    if (!replica) {
        if (!ovsdb_wait(a->db, WAIT_US, err))
            return false;
        if (!(replica = ovsdb_lock(a->db, &a->stats.version)))
            return error_set(err, ERR_UNAVAILABLE,
                             "the northbound database comes and goes");
    }
    *batch = sync_diff(replica, a->content, a->max_ops, a->skip);
    ovsdb_unlock(a->db);
    return true;
}

/* The database refused a batch: go on row by row, and without the row when
 * it was the only one. */
static void refused(struct apply *a, const struct sync_batch *batch,
                    const struct error *why)
{
    if (batch->units > 1) {
        a->max_ops = 1;
        return;
    }
    if (!json_object_size(a->skip)) {
        error_copy(a->err, why);
        error_prefix(a->err, "%s", batch->first);
    }
    log_limited(LOG_ERR, "network", "%s: %s", batch->first, why->text);
    json_object_set_new(a->skip, batch->first, json_true());
}

/* Is the replica what was looked at last and our transaction, no more?  Then
 * what a diff left out of it is all that is left. */
static bool ours_alone(struct apply *a)
{
    uint64_t version;
    if (!ovsdb_lock(a->db, &version))
        return false;
    ovsdb_unlock(a->db);
    if (version != a->stats.version + 1)
        return false;
    a->stats.version = version;
    return true;
}

/* One transaction.  False ends it: all done (err clear), or no way on. */
static bool apply_round(struct apply *a, struct error *err)
{
    struct sync_batch batch = { 0 };
    if (!next_batch(a, &batch, err) || !batch.ops)
        return false;
    bool all =
        json_array_size(batch.ops) < a->max_ops && !json_object_size(a->skip);
    if (a->fence)
        json_array_insert(batch.ops, 0, a->fence);
    bool ok = ovsdb_transact(a->db, batch.ops, TRANSACT_US, NULL, err);
    bool cut_off =
        !ok && (err->code == ERR_UNAVAILABLE || err->code == ERR_UNKNOWN);
    a->stats.transactions++;
    if (ok)
        a->stats.rows += batch.units;
    else if (!cut_off)
        refused(a, &batch, err);
    sync_batch_free(&batch);
    if (!cut_off)
        error_clear(err);
    return !cut_off && !(ok && all && ours_alone(a));
}

bool sync_apply(struct ovsdb *db, const json_t *content, json_t *fence,
                struct sync_stats *stats, struct error *err)
{
    struct error why = { 0 };
    struct apply a = { db, content, fence, json_object(), SYNC_BATCH_OPS, err };
    int rounds = 0;
    while (rounds++ < ROUNDS_MAX && apply_round(&a, &why))
        ;
    bool ok = !json_object_size(a.skip) && !why.code;
    json_decref(a.skip);
    if (stats) {
        stats->transactions += a.stats.transactions;
        stats->rows += a.stats.rows;
        stats->version = a.stats.version;
    }
    if (why.code)
        error_copy(err, &why);
    else if (rounds > ROUNDS_MAX)
        return error_set(err, ERR_INTERNAL,
                         "the northbound database does not come to rest");
    return ok;
}
