#include "asks.h"

#include "model/compute.h"
#include "model/migration.h"
#include "model/pool.h"

static bool mv(struct make *m, const char *value)
{
    m->c->headers[1] = (struct param){ "OpenStack-API-Version", value };
    return true;
}

static bool server_move(struct make *m)
{
    const char *id = ask_an_id(m, &kind_server);
    const struct node *n = ask_a_record(m, &kind_node);
    const char *host = n && chance_percent(m->w, 30)
                           ? ask_text(m, "\"%s\"", n->rec.id)
                           : "null";
    mv(m, "compute 2.79");
    return id && ask(m, "POST", ask_text(m, NOVA "/servers/%s/action", id),
                     ask_text(m,
                              "{\"os-migrateLive\": {\"host\": %s, "
                              "\"block_migration\": \"auto\"}}",
                              host));
}

/* Off, with the disks that it has there. */
static bool server_send(struct make *m)
{
    const char *id = ask_an_id(m, &kind_server);
    return id && ask(m, "POST", ask_text(m, NOVA "/servers/%s/action", id),
                     "{\"migrate\": null}");
}

static const struct migration *a_move(struct make *m)
{
    const struct migration *found = ask_a_record(m, &kind_migration);
    struct snap_iter it = snap_all(m->s, &kind_migration);
    for (const struct migration *x; (x = snap_next(&it));)
        if (migration_under_way(x))
            found = x;
    return found;
}

static bool move_stop(struct make *m)
{
    const struct migration *x = a_move(m);
    mv(m, "compute 2.79");
    return x && ask(m, "DELETE",
                    ask_text(m, NOVA "/servers/%s/migrations/%lld",
                             x->server_id, (long long)x->number),
                    NULL);
}

static bool move_push(struct make *m)
{
    const struct migration *x = a_move(m);
    mv(m, "compute 2.79");
    return x && ask(m, "POST",
                    ask_text(m, NOVA "/servers/%s/migrations/%lld/action",
                             x->server_id, (long long)x->number),
                    "{\"force_complete\": null}");
}

static bool move_list(struct make *m)
{
    mv(m, "compute 2.79");
    return ask(m, "GET", NOVA "/os-migrations", NULL);
}

const struct ask_row asks_pool[] = {
    { "server move", 24, ADM, server_move },
    { "server send", 14, ADM, server_send },
    { "move stop", 3, ADM, move_stop },
    { "move push", 3, ADM, move_push },
    { "move list", 2, ADM, move_list },
    { 0 },
};
