#include "nets.h"

#include "common/alloc.h"
#include "core.h"
#include "guests.h"
#include "model/network.h"

#include <string.h>

struct sim_net {
    struct net_driver d;
    struct sim_net *next; /* of those that are open */
    struct sim_node *node;
    struct nets *nets;
    void (*fn)(void *arg);
    void *arg;
};

struct nets {
    struct world *w;
    char (*ports)[UUID_SIZE]; /* in order of their ids */
    size_t n;
    int64_t term;         /* of who applied last */
    struct sim_net *open; /* a node's each */
};

#define nets_of(d_) (((struct sim_net *)(d_))->nets)

size_t nets_count(const struct nets *n)
{
    return n->n;
}

bool nets_has(const struct nets *n, const char *port_id)
{
    return bsearch(port_id, n->ports, n->n, sizeof(*n->ports),
                   (int (*)(const void *, const void *))strcmp) != NULL;
}

static bool net_apply(struct net_driver *d, const struct snapshot *s,
                      struct error *err)
{
    struct nets *n = nets_of(d);
    struct sim_node *node = ((struct sim_net *)d)->node;
    if (!core_leads(node))
        return true; /* the database is another's to write */
    int64_t term = core_term(node);
    if (!effect_begin(node, "net_apply", "all", err))
        return false;
    if (term < n->term)
        return error_set(err, ERR_CONFLICT,
                         "simulated: the networks are of another's term");
    n->term = term;
    n->n = 0;
    n->ports =
        xrealloc(n->ports, (snap_count(s, &kind_port) + 1) * sizeof(*n->ports));
    struct snap_iter it = snap_all(s, &kind_port);
    for (const struct port *p; (p = snap_next(&it));)
        snprintf(n->ports[n->n++], UUID_SIZE, "%s", p->rec.id);
    return effect_end(node, err);
}

static bool is_plugged(struct world *w, const char *port_id)
{
    for (unsigned i = 0; i < w->n_nodes; i++)
        for (struct guest *g = guests_first(w->nodes[i].guests); g; g = g->next)
            if (guest_active(g) && domain_has_nic(&g->info, port_id))
                return true;
    return false;
}

static enum port_state net_port_state(struct net_driver *d, const char *port_id)
{
    struct nets *n = nets_of(d);
    if (!core_leads(((struct sim_net *)d)->node))
        return PORT_UNKNOWN;
    if (n->w->chaos && chance_permille(n->w, 20))
        return PORT_UNKNOWN;
    if (!nets_has(n, port_id))
        return PORT_ABSENT;
    return is_plugged(n->w, port_id) ? PORT_UP : PORT_DOWN;
}

static void net_watch(struct net_driver *d, void (*fn)(void *), void *arg)
{
    ((struct sim_net *)d)->fn = fn;
    ((struct sim_net *)d)->arg = arg;
}

static void net_close(struct net_driver *d)
{
    struct sim_net **at = &nets_of(d)->open;
    while (*at != (struct sim_net *)d)
        at = &(*at)->next;
    *at = (*at)->next;
    free(d);
}

static const struct network_ops ops = {
    .apply = net_apply,
    .port_state = net_port_state,
    .watch = net_watch,
    .close = net_close,
};

void nets_changed(struct nets *n)
{
    for (struct sim_net *d = n->open; d; d = d->next)
        if (d->fn && core_leads(d->node)) {
            sim_node_woken(d->node);
            d->fn(d->arg);
        }
}

struct nets *nets_new(struct world *w)
{
    struct nets *n = xcalloc(1, sizeof(*n));
    n->w = w;
    return n;
}

void nets_free(struct nets *n)
{
    free(n->ports);
    free(n);
}

struct net_driver *nets_open(struct nets *n, struct sim_node *node)
{
    struct sim_net *d = xcalloc(1, sizeof(*d));
    d->node = node;
    d->next = n->open;
    d->d.ops = &ops;
    d->nets = n;
    n->open = d;
    return &d->d;
}
