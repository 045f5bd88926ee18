#include "engine/assign.h"

#include "engine/fleet.h"
#include "model/migration.h"
#include "model/shape.h"
#include "model/share.h"

#include <string.h>

/* ---- cells --------------------------------------------------------------- */

static const struct node_cell *cell_at(const struct node *n, size_t i)
{
    return i < n->cells.n ? LIST_AT(n->cells, struct node_cell, i) : NULL;
}

struct cpus assign_cell_cpus(const struct node *n, size_t i)
{
    const struct node_cell *c = cell_at(n, i);
    struct cpus cpus = { { 0 } };
    if (c)
        cpus_parse(c->cpus, &cpus);
    for (unsigned k = 0; !n->cells.n && k < (unsigned)n->vcpus; k++)
        cpus_add(&cpus, k);
    return cpus;
}

struct cpus assign_pinned(const struct node *n, size_t i)
{
    struct cpus all = assign_cell_cpus(n, i), kept;
    cpus_parse(n->pinned_cpus, &kept);
    return cpus_both(&all, &kept);
}

static int number_of_cell(const struct node *n, int64_t id)
{
    for (int i = 0; i < (int)n->cells.n && i < FLEET_CELLS; i++)
        if (cell_at(n, (size_t)i)->id == id)
            return i;
    return n->cells.n || id ? -1 : 0;
}

/* ---- CPUs ---------------------------------------------------------------- */

void assign_cpus(const struct list *cells, struct cpus *out)
{
    for (size_t i = 0; i < cells->n; i++) {
        struct cpus own;
        cpus_parse(LIST_AT(*cells, struct server_cell, i)->cpus, &own);
        cpus_join(out, &own);
    }
}

static void add_moves(const struct snapshot *snap, const char *end,
                      const char *node, struct cpus *out)
{
    struct snap_iter it = snap_by(snap, &kind_migration, end, node);
    for (const struct migration *m; (m = snap_next(&it));) {
        const struct server *s = snap_get(snap, &kind_server, m->server_id);
        struct server_flavor what;
        const char *other = s ? migration_holds(m, s, &what) : NULL;
        if (other && strcmp(other, node) == 0)
            assign_cpus(&m->cells, out);
    }
}

void assign_taken(const struct snapshot *snap, const char *node,
                  struct cpus *out)
{
    *out = (struct cpus){ { 0 } };
    struct snap_iter it = snap_by(snap, &kind_server, "node", node);
    for (const struct server *s; (s = snap_next(&it));)
        assign_cpus(&s->cells, out);
    add_moves(snap, "dest", node, out);
    add_moves(snap, "source", node, out);
}

/* ---- reading ------------------------------------------------------------- */

static int number_of_device(const struct node *n, const char *address)
{
    for (int i = 0; i < (int)n->devices.n && i < FLEET_DEVICES; i++)
        if (strcmp(LIST_AT(n->devices, struct node_device, i)->address,
                   address) == 0)
            return i;
    return -1;
}

void assign_read(const struct node *n, const struct list *cells,
                 const struct list *devices, struct placing *at)
{
    at->cells = 0;
    memset(at->devices, 0, sizeof(at->devices));
    for (size_t i = 0; i < cells->n; i++) {
        int c = number_of_cell(n, LIST_AT(*cells, struct server_cell, i)->cell);
        if (c >= 0)
            at->cells = (uint8_t)(at->cells | 1U << c);
    }
    for (size_t i = 0; i < devices->n; i++) {
        const struct server_device *d =
            LIST_AT(*devices, struct server_device, i);
        int k = number_of_device(n, d->address);
        if (k >= 0 && d->row >= 0 && d->row < REQUEST_DEVICES)
            at->devices[d->row] = (uint16_t)(at->devices[d->row] | 1U << k);
    }
}

/* ---- writing ------------------------------------------------------------- */

static bool write_cpus(const struct node *n, size_t cell, unsigned want,
                       const struct cpus *taken, struct server *draft,
                       struct server_cell *out)
{
    char text[CPUS_TEXT];
    struct cpus all = assign_pinned(n, cell);
    struct cpus free = cpus_without(&all, taken);
    struct cpus own = cpus_first(&free, want);
    out->cpus = rec_str(draft, cpus_text(&own, text));
    return cpus_count(&own) == want;
}

static void write_part(const struct node_device *of, struct server *draft,
                       struct server_device *out)
{
    const struct node_share *s = share_of_server(draft, of);
    out->type = s ? rec_str(draft, s->type) : NULL;
    out->thousandths = s ? share_thousandths(s->instances) : 0;
}

static void write_devices(const struct node *n, const struct placing *at,
                          struct server *draft)
{
    for (int row = 0; row < REQUEST_DEVICES; row++)
        for (unsigned left = at->devices[row]; left; left &= left - 1) {
            size_t i = (size_t)__builtin_ctz(left);
            struct server_device *d =
                list_add(draft, &draft->devices, sizeof(*d));
            d->address = rec_str(
                draft, LIST_AT(n->devices, struct node_device, i)->address);
            d->row = row;
            write_part(LIST_AT(n->devices, struct node_device, i), draft, d);
        }
}

bool assign_write(const struct node *n, const struct placing *at,
                  const struct cpus *taken, struct server *draft)
{
    struct shape shape;
    struct error err;
    unsigned cells = (unsigned)__builtin_popcount(at->cells);
    draft->cells = draft->devices = (struct list){ 0 };
    bool ok = shape_of_server(draft, &shape, &err);
    for (unsigned left = at->cells; left; left &= left - 1) {
        size_t i = (size_t)__builtin_ctz(left);
        struct server_cell *c = list_add(draft, &draft->cells, sizeof(*c));
        c->cell = n->cells.n ? cell_at(n, i)->id : 0;
        if (shape.pinned)
            ok = write_cpus(n, i, (unsigned)draft->vcpus / cells, taken, draft,
                            c) &&
                 ok;
    }
    write_devices(n, at, draft);
    return ok;
}
