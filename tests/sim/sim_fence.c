#include "sim_fence.h"

#include "common/alloc.h"
#include "guests.h"

struct sim_fence {
    struct fence f;
    struct sim_node *n; /* who asks */
};

static struct sim_node *asker(struct fence *f)
{
    return ((struct sim_fence *)f)->n;
}

static void set(struct sim_node *n, bool closed)
{
    if (n->fenced == closed)
        return;
    n->fenced = closed;
    node_event(n, closed ? "is refused by the files" : "may use the files");
    if (closed)
        guests_refuse(n->guests);
}

/* An answer that does not come: done, or done later, or never. */
static bool is_lost(struct sim_node *target, bool closed, struct error *err)
{
    struct world *w = target->w;
    if (!w->chaos || !chance_percent(w, 15))
        return false;
    switch (chance(w, 3)) {
    case 0:
        set(target, closed);
        break;
    case 1:
        target->fence_late = w->time + (int64_t)chance(w, 30) * SECOND_US;
        target->fence_then = closed;
        break;
    default:
        break;
    }
    error_set(err, ERR_TIMEOUT, "simulated: the fence of %s does not answer",
              target->name);
    return true;
}

/* The monitors answer those as well whom they refuse. */
static bool begin(struct sim_node *n, const char *what, const char *node,
                  struct error *err)
{
    return effect_begin(n, what, node, err) &&
           (!(sim_node_cut(n) & CUT_FILES) ||
            error_set(err, ERR_TIMEOUT, "simulated: %s reaches no monitor",
                      n->name));
}

static bool change(struct fence *f, const char *what, const char *node,
                   bool closed, struct error *err)
{
    struct sim_node *n = asker(f), *target = sim_node_named(n->w, node);
    if (!begin(n, what, node, err))
        return false;
    if (!target)
        return error_set(err, ERR_NOT_FOUND, "there is no node %s", node);
    if (is_lost(target, closed, err))
        return false;
    set(target, closed);
    return effect_end(n, err);
}

static bool fence_close(struct fence *f, const char *node, struct error *err)
{
    return change(f, "fences", node, true, err);
}

static bool fence_lift(struct fence *f, const char *node, struct error *err)
{
    return change(f, "lifts the fence of", node, false, err);
}

static bool fence_list(struct fence *f, fence_node_fn *fn, void *arg,
                       struct error *err)
{
    struct sim_node *n = asker(f);
    if (!begin(n, "lists", "fences", err))
        return false;
    for (unsigned i = 0; i < n->w->n_nodes; i++)
        if (n->w->nodes[i].fenced)
            fn(arg, n->w->nodes[i].name);
    return effect_end(n, err);
}

static const struct fence_ops ops = {
    .close = fence_close,
    .lift = fence_lift,
    .list = fence_list,
};

struct fence *sim_fence_open(struct sim_node *n)
{
    struct sim_fence *f = xcalloc(1, sizeof(*f));
    f->f.ops = &ops;
    f->n = n;
    return &f->f;
}

void sim_fence_close(struct fence *f)
{
    free(f);
}

bool sim_fence_late(struct sim_node *n)
{
    if (!n->fence_late || (n->w->chaos && n->fence_late > n->w->time))
        return false;
    n->fence_late = 0;
    set(n, n->fence_then);
    return true;
}
