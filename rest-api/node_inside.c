#include "rest-api/node_inside.h"

#include "model/compute.h"

#include <string.h>

static void write_cells(struct jw *w, const struct node *n)
{
    jw_arr(w, "cells");
    for (size_t i = 0; i < n->cells.n; i++) {
        const struct node_cell *c = LIST_AT(n->cells, struct node_cell, i);
        jw_obj(w, NULL);
        jw_int(w, "id", c->id);
        jw_str(w, "cpus", c->cpus);
        jw_int(w, "ram_mb", c->ram_mb);
        jw_str(w, "distances", c->distances);
        jw_arr(w, "huge_pages");
        for (size_t k = 0; k < c->pages.n; k++) {
            const struct node_pages *p =
                LIST_AT(c->pages, struct node_pages, k);
            jw_obj(w, NULL);
            jw_int(w, "kib", p->kib);
            jw_int(w, "count", p->count);
            jw_obj_end(w);
        }
        jw_arr_end(w);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

/* Whom a device was given to; NULL: nobody. */
static const char *owner_of(struct req *r, const struct node *n,
                            const char *address)
{
    struct snap_iter it = snap_by(r->snap, &kind_server, "node", n->rec.id);
    for (const struct server *s; (s = snap_next(&it));)
        for (size_t i = 0; i < s->devices.n; i++)
            if (strcmp(LIST_AT(s->devices, struct server_device, i)->address,
                       address) == 0)
                return s->rec.id;
    return NULL;
}

/* What it can be divided into, and who has how much of it. */
static void write_parts(struct req *r, struct jw *w, const struct node *n,
                        const struct node_device *of)
{
    jw_arr(w, "shares");
    for (size_t i = 0; i < of->shares.n; i++) {
        const struct node_share *s = LIST_AT(of->shares, struct node_share, i);
        jw_obj(w, NULL);
        jw_str(w, "type", s->type);
        jw_str(w, "name", s->name);
        jw_int(w, "instances", s->instances);
        jw_obj_end(w);
    }
    jw_arr_end(w);
    jw_arr(w, "given");
    struct snap_iter it = snap_by(r->snap, &kind_server, "node", n->rec.id);
    for (const struct server *s; (s = snap_next(&it));)
        for (size_t i = 0; i < s->devices.n; i++) {
            const struct server_device *d =
                LIST_AT(s->devices, struct server_device, i);
            if (strcmp(d->address, of->address) != 0)
                continue;
            jw_obj(w, NULL);
            jw_str(w, "server_id", s->rec.id);
            jw_str(w, "type", d->type);
            jw_int(w, "thousandths", d->thousandths);
            jw_obj_end(w);
        }
    jw_arr_end(w);
}

static void write_devices(struct req *r, struct jw *w, const struct node *n)
{
    jw_arr(w, "devices");
    for (size_t i = 0; i < n->devices.n; i++) {
        const struct node_device *d =
            LIST_AT(n->devices, struct node_device, i);
        jw_obj(w, NULL);
        jw_str(w, "address", d->address);
        jw_str(w, "class", d->class_);
        jw_str(w, "model", d->model);
        jw_str(w, "name", d->name);
        jw_str(w, "text", d->text);
        jw_int(w, "cell", d->cell);
        if (d->shares.n)
            write_parts(r, w, n, d);
        else
            jw_str(w, "server_id", owner_of(r, n, d->address));
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

void write_node_inside(struct req *r, struct jw *w, const struct node *n)
{
    jw_str(w, "pinned_cpus", n->pinned_cpus);
    write_cells(w, n);
    write_devices(r, w, n);
}
