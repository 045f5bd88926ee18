#include "asks.h"

#include "model/pool.h"

#include <string.h>

#define CAIRN "/cairn/v1"

static const char *node_path(struct make *m, const char *tail)
{
    const char *id = ask_an_id(m, &kind_node);
    return id ? ask_text(m, CAIRN "/nodes/%s%s", id, tail) : NULL;
}

static const struct node *draining(struct make *m)
{
    const struct node *found = NULL;
    struct snap_iter it = snap_all(m->s, &kind_node);
    for (const struct node *n; (n = snap_next(&it));)
        if (n->draining || n->maintenance)
            found = n;
    return found;
}

/* One at a time, mostly: who drains all has no pool. */
static bool node_drain(struct make *m)
{
    const char *path = node_path(m, "/drain");
    if (!path || (draining(m) && !chance_percent(m->w, 10)))
        return false;
    return ask(m, "POST", path,
               chance_percent(m->w, 60) ? "{\"anyway\": true}" : "{}");
}

static bool node_use(struct make *m)
{
    const struct node *n = draining(m);
    if (!n)
        return false;
    if (n->draining)
        return ask(m, "DELETE", ask_text(m, CAIRN "/nodes/%s/drain", n->rec.id),
                   NULL);
    return ask(m, "PATCH", ask_text(m, CAIRN "/nodes/%s", n->rec.id),
               "{\"maintenance\": false}");
}

static bool node_maintain(struct make *m)
{
    const char *path = node_path(m, "");
    if (!path || (draining(m) && !chance_percent(m->w, 10)))
        return false;
    return ask(m, "PATCH", path, "{\"maintenance\": true}");
}

/* Mostly refused: the node lives, or has servers. */
static bool node_remove(struct make *m)
{
    const char *id = ask_an_id(m, &kind_node);
    if (!id || (m->w->local && strcmp(id, "node1") == 0))
        return false; /* which has the images */
    return ask(m, "DELETE", ask_text(m, CAIRN "/nodes/%s", id), NULL);
}

static bool node_show(struct make *m)
{
    const char *path = node_path(m, "");
    return path && ask(m, "GET", path, NULL);
}

static bool pool_steer(struct make *m)
{
    static const char *const bodies[] = {
        "{\"placement\": \"spread\"}",
        "{\"placement\": \"pack\"}",
        "{\"placement\": \"fragmentation\"}",
        "{\"rebalancing\": \"on\"}",
        "{\"rebalancing\": \"on\"}",
        "{\"rebalancing\": \"advise\"}",
        "{\"rebalancing\": \"off\"}",
        "{\"reserve\": 0}",
        "{\"reserve\": 1}",
        "{\"reserve\": 1}",
        "{\"reserve\": 2}",
        "{\"reserve\": -1}",
    };
    return ask(m, "PUT", CAIRN "/policy",
               bodies[chance(m->w, ARRAY_SIZE(bodies))]);
}

static bool pool_look(struct make *m)
{
    static const char *const paths[] = { "plan", "policy", "nodes", "status" };
    return ask(m, "GET",
               ask_text(m, CAIRN "/%s", paths[chance(m->w, ARRAY_SIZE(paths))]),
               NULL);
}

const struct ask_row asks_node[] = {
    { "node drain", 6, ADM, node_drain },
    { "node maintain", 3, ADM, node_maintain },
    { "node use", 5, ADM, node_use },
    { "node remove", 4, ADM, node_remove },
    { "node show", 3, ADM, node_show },
    { "pool steer", 4, ADM, pool_steer },
    { "pool look", 2, ADM, pool_look },
    { 0 },
};
