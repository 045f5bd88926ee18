#include "daemon/ceph_report.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "model/node_disks.h"
#include "storage/ceph_leave.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OSD_NAME 16

/* One look: what all of it needs. */
struct look {
    struct ceph_report *r;
    struct ceph *c;
    const struct ceph_seen *seen;
    json_t *df, *perf; /* of this node's OSDs; of all: NULL without manager */
    struct snapshot *snap;
};

static void name_osd(char out[OSD_NAME], int osd)
{
    snprintf(out, OSD_NAME, "osd.%d", osd);
}

/* ---- what the cluster says of an OSD ----------------------------------- */

static bool command(const struct look *l, json_t *what, json_t **reply,
                    struct error *err)
{
    return l->r->module->command(l->c, what, NULL, reply, err);
}

static json_t *about_osd(const char *what, int osd)
{
    return json_pack("{ss s[o]}", "prefix", what, "ids",
                     json_sprintf("%d", osd));
}

static const struct ceph_osd_facts *facts_of(const struct ceph_seen *seen,
                                             int osd)
{
    for (size_t i = 0; i < seen->facts.n_osds; i++)
        if (seen->osds[i].id == osd)
            return &seen->osds[i];
    return NULL;
}

/* What "osd df" says of it; NULL: nothing. */
static const json_t *row_of(const struct look *l, int osd)
{
    size_t i;
    json_t *row;
    json_array_foreach(
        json_object_get(l->df, "nodes"), i,
        row) if (json_integer_value(json_object_get(row, "id")) ==
                 osd) return row;
    return NULL;
}

/* "BUSY" is its answer when it is not. */
static bool is_safe(const struct look *l, int osd)
{
    size_t i;
    json_t *id;
    struct error none;
    _autojson_ json_t *reply = NULL;
    if (!command(l, about_osd("osd safe-to-destroy", osd), &reply, &none))
        return false;
    json_array_foreach(json_object_get(reply, "safe_to_destroy"), i,
                       id) if (json_integer_value(id) == osd) return true;
    return false;
}

/* What writes take at each OSD, ms; returns how many, `own` that of one. */
static size_t latencies(const struct look *l, int osd, int *own,
                        int all[CEPH_OSDS_MAX])
{
    const json_t *list =
        json_object_get(json_object_get(l->perf, "osdstats"), "osd_perf_infos");
    size_t i, n = 0;
    json_t *one;
    *own = 0;
    json_array_foreach(list, i, one)
    {
        if (n == CEPH_OSDS_MAX)
            break;
        const json_t *stats = json_object_get(one, "perf_stats");
        all[n] = (int)json_integer_value(
            json_object_get(stats, "commit_latency_ms"));
        if (json_integer_value(json_object_get(one, "id")) == osd)
            *own = all[n];
        n++;
    }
    return n;
}

/* ---- leaving ----------------------------------------------------------- */

static bool do_leave(const struct look *l, int osd, enum ceph_leave next,
                     struct error *err)
{
    static const char *const said[] = {
        [CEPH_BACK] = "stays after all",
        [CEPH_OUT] = "gives its data away",
        [CEPH_PURGE] = "is removed",
    };
    json_t *what = NULL;
    if (next == CEPH_BACK || next == CEPH_OUT)
        what = about_osd(next == CEPH_OUT ? "osd out" : "osd in", osd);
    if (next == CEPH_PURGE)
        what = json_pack("{ss si sb}", "prefix", "osd purge-actual", "id", osd,
                         "yes_i_really_mean_it", 1);
    if (!what)
        return true;
    log_info("ceph", "osd.%d %s", osd, said[next]);
    return command(l, what, NULL, err);
}

/* The next step for an OSD, done. */
static bool leave(const struct look *l, int osd, const struct node_disk *was,
                  bool gone, bool slow, enum ceph_leave *next,
                  struct error *err)
{
    const struct ceph_facts *facts = &l->seen->facts;
    const struct ceph_osd_facts *o = facts_of(l->seen, osd);
    struct ceph_leave_facts f = {
        .asked = (was && was->leave) || (slow && facts->clean),
        .leaving = was && was->state == NODE_DISK_LEAVING,
        .gone = gone,
        .up = o && o->up,
        .in = o && o->in,
        .whole = facts->whole,
    };
    f.asked |= slow && f.leaving;
    f.room = f.asked && ceph_leave_has_room(facts, osd);
    f.safe = (f.asked || f.gone) && (!o || (!f.in && is_safe(l, osd)));
    *next = ceph_leave_next(&f);
    return (*next == CEPH_PURGE && !o) || do_leave(l, osd, *next, err);
}

/* ---- the record -------------------------------------------------------- */

static const char why_full[] =
    "asked to leave, but without it there are too few for all copies";
static const char why_slow[] = "far slower than its peers";

static void fill_disk(const struct look *l, struct node_disks *rec,
                      struct node_disk *d, int osd, enum ceph_leave next)
{
    char name[OSD_NAME];
    const json_t *row = row_of(l, osd);
    name_osd(name, osd);
    d->osd = rec_str(rec, name);
    d->used_gb = json_integer_value(json_object_get(row, "kb_used_data")) >> 20;
    d->groups = json_integer_value(json_object_get(row, "pgs"));
    d->state = next == CEPH_OUT || next == CEPH_MOVING || next == CEPH_STOP
                   ? NODE_DISK_LEAVING
                   : NODE_DISK_IN_USE;
    if (d->slow)
        d->reason = rec_str(rec, why_slow);
    if (next == CEPH_STAY_FULL)
        d->reason = rec_str(rec, why_full);
}

/* Reads of a slow one are served by others meanwhile. */
static void watch_speed(const struct look *l, const struct ceph_slot *slot,
                        const struct node_disk *was, struct node_disk *d)
{
    static int all[CEPH_OSDS_MAX];
    int own;
    struct error err;
    size_t n = latencies(l, slot->osd, &own, all);
    struct ceph_slow *s = &l->r->slow[slot->n - 1];
    if (was && was->slow && !s->slow && !s->looks)
        s->slow = true; /* known before this cairnd was started */
    d->slow = ceph_slow_look(s, own, all, n);
    d->latency = d->slow ? own : 0;
    if (d->slow == (was && was->slow))
        return;
    log_warn("ceph", "osd.%d on %s is %s its peers (%d ms)", slot->osd,
             slot->path, d->slow ? "far slower than" : "as fast again as", own);
    if (!command(l,
                 json_pack("{ss si sf}", "prefix", "osd primary-affinity", "id",
                           slot->osd, "weight", d->slow ? 0.0 : 1.0),
                 NULL, &err))
        log_warn("ceph", "%s", err.text);
}

/* An OSD of this node; false: it is no more. */
static bool report_slot(const struct look *l, const struct node_disks *was,
                        struct node_disks *rec, struct ceph_slot *slot,
                        struct node_disk *d, struct error *err)
{
    char name[OSD_NAME];
    enum ceph_leave next = CEPH_STAY;
    bool gone = ceph_disks_is_gone(l->r->disks, slot);
    name_osd(name, slot->osd);
    const struct node_disk *old = node_disk_named(was, name);
    d->leave = old && old->leave;
    watch_speed(l, slot, old, d);
    if (!leave(l, slot->osd, old, gone, d->slow, &next, err))
        log_limited(LOG_WARN, "ceph", "%s: %s", name, err->text);
    if (next == CEPH_STOP || next == CEPH_PURGE)
        l->r->stop(l->r->arg, slot);
    if (next == CEPH_PURGE && ceph_slot_drop(l->r->disks->files, slot, err))
        return false;
    fill_disk(l, rec, d, slot->osd, next);
    l->r->busy |= d->state == NODE_DISK_LEAVING;
    if (gone) {
        d->state = NODE_DISK_GONE;
        d->reason = rec_str(rec, "the disk is not there, or does not answer");
    }
    return true;
}

static struct node_disk *add_disk(struct node_disks *rec, const char *path,
                                  int64_t size)
{
    struct node_disk *d = list_add(rec, &rec->disks, sizeof(*d));
    d->path = rec_str(rec, path);
    d->size_gb = size >> 30;
    return d;
}

/* First the OSDs, whose disks may be gone; then the disks without one. */
static void report_own(const struct look *l, const struct node_disks *was,
                       struct node_disks *rec)
{
    struct ceph_disks *disks = l->r->disks;
    struct error err = { 0 };
    for (int i = 0; i < CEPH_SLOTS; i++) {
        struct ceph_slot *slot = &disks->slots[i];
        const struct disk *at = ceph_disks_of(disks, slot);
        struct node_disk d = { 0 };
        if (!slot->ready || !report_slot(l, was, rec, slot, &d, &err))
            continue;
        d.path = rec_str(rec, at ? at->path : slot->path);
        d.size_gb = at ? at->facts.size >> 30 : 0;
        *(struct node_disk *)list_add(rec, &rec->disks, sizeof(d)) = d;
    }
    for (size_t i = 0; i < disks->n; i++) {
        const struct disk *one = &disks->all[i];
        const struct ceph_slot *owner = ceph_disks_owner(disks, one);
        if (owner && owner->ready)
            continue;
        struct node_disk *d = add_disk(rec, one->path, one->facts.size);
        d->state = one->free ? NODE_DISK_FREE : NODE_DISK_ALONE;
        d->reason = rec_str(rec, one->free ? NULL : one->reason);
    }
}

static bool write_record(const struct look *l, const struct node_disks *was,
                         const struct node_disks *is, struct error *err)
{
    struct txn_result result;
    _autotxn_ struct txn t = TXN_INIT;
    if (was && record_equal(was, is))
        return true;
    txn_change_record(&t, is);
    if (store_commit(l->r->store, &t, &result) || result.status == TXN_CONFLICT)
        return true; /* somebody asked for something: at the next look */
    error_copy(err, &result.err);
    return false;
}

/* ---- nodes that are silent --------------------------------------------- */

static bool is_live(const struct ceph_seen *seen, const char *node)
{
    for (size_t i = 0; i < seen->facts.n_nodes; i++)
        if (strcmp(seen->facts.nodes[i].name, node) == 0)
            return seen->facts.nodes[i].live;
    return false;
}

static bool look_after(const struct look *l, const struct node_disks *was,
                       struct error *err)
{
    _autorecord_ struct node_disks *rec = record_copy(was);
    for (size_t i = 0; i < rec->disks.n; i++) {
        struct node_disk *d = LIST_AT(rec->disks, struct node_disk, i);
        enum ceph_leave next = CEPH_STAY;
        if (!d->osd || !d->leave)
            continue;
        if (!leave(l, atoi(d->osd + strlen("osd.")), d, true, false, &next,
                   err))
            return false;
        if (next == CEPH_OUT || next == CEPH_MOVING)
            d->state = NODE_DISK_LEAVING;
        if (next != CEPH_PURGE)
            continue;
        d->osd = NULL;
        d->leave = false;
        d->state = NODE_DISK_ALONE;
        d->reason = rec_str(rec, "its OSD was removed");
    }
    return write_record(l, was, rec, err);
}

static bool look_after_silent(const struct look *l, struct error *err)
{
    struct snap_iter it = snap_all(l->snap, &kind_node_disks);
    for (const struct node_disks *d; (d = snap_next(&it));)
        if (strcmp(d->rec.id, l->r->node) != 0 &&
            !is_live(l->seen, d->rec.id) && !look_after(l, d, err))
            return false;
    return true;
}

/* ---- one look ---------------------------------------------------------- */

bool ceph_report_look(struct ceph_report *r, struct ceph *c,
                      const struct ceph_seen *seen, bool leads,
                      struct error *err)
{
    struct error none;
    _autosnap_ struct snapshot *snap = cache_snapshot(r->cache);
    _autojson_ json_t *df = NULL, *perf = NULL;
    struct look l = { .r = r, .c = c, .seen = seen, .snap = snap };
    const struct node_disks *was = snap_get(snap, &kind_node_disks, r->node);
    _autorecord_ struct node_disks *is =
        was ? record_copy(was) : record_new(&kind_node_disks, r->node);
    is->disks = (struct list){ 0 };
    if (seen->facts.n_mgrs) {
        (void)command(&l,
                      json_pack("{ss ss ss}", "prefix", "osd df", "filter_by",
                                "name", "filter", r->node),
                      &df, &none);
        (void)command(&l, json_pack("{ss}", "prefix", "osd perf"), &perf,
                      &none);
    }
    r->busy = false;
    l.df = df;
    l.perf = perf;
    report_own(&l, was, is);
    return write_record(&l, was, is, err) &&
           (!leads || look_after_silent(&l, err));
}
