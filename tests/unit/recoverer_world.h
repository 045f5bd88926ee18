/* recoverer_world - a pool of records, leases and a fence; nodes die and
 * return.  For the tests of the recoverer. */
#ifndef CAIRN_TESTS_RECOVERER_WORLD_H
#define CAIRN_TESTS_RECOVERER_WORLD_H

#include "server_world.h"

#include "engine/evacuate.h"
#include "engine/placement.h"
#include "engine/recoverer.h"
#include "model/migration.h"
#include "state/election.h"

/* ---- the fence ----------------------------------------------------------- */

#define N_NODES 4

static const char *const names[N_NODES] = { "h1", "h2", "h3", "h4" };

static struct {
    bool closed[N_NODES];
    bool down; /* the storage does not answer */
    unsigned closes, lifts;
    void (*meanwhile)(void); /* happens while a lift is on its way, once */
} storage;

static inline int index_of(const char *node)
{
    return node[1] - '1';
}

static inline bool answers(struct error *err)
{
    return !storage.down || error_set(err, ERR_TIMEOUT, "no monitor");
}

static inline bool fence_close(struct fence *f, const char *node,
                               struct error *err)
{
    if (!answers(err))
        return false;
    storage.closed[index_of(node)] = true;
    storage.closes++;
    return true;
}

static inline bool fence_lift(struct fence *f, const char *node,
                              struct error *err)
{
    void (*meanwhile)(void) = storage.meanwhile;
    if (!answers(err))
        return false;
    storage.meanwhile = NULL;
    if (meanwhile)
        meanwhile();
    storage.closed[index_of(node)] = false;
    storage.lifts++;
    return true;
}

static inline bool fence_list(struct fence *f, fence_node_fn *fn, void *arg,
                              struct error *err)
{
    for (int i = 0; i < N_NODES; i++)
        if (storage.closed[i])
            fn(arg, names[i]);
    return answers(err);
}

static const struct fence_ops fence_ops = { fence_close, fence_lift,
                                            fence_list };
static struct fence fence = { &fence_ops };

/* ---- the pool ------------------------------------------------------------ */

static struct recoverer *r;
static bool leading;

static inline bool leads(void *arg)
{
    return leading;
}

static inline bool guard(void *arg, struct txn *t)
{
    if (leading)
        txn_exists(t, "election/leader");
    return leading;
}

static inline const char *node_id(int i)
{
    static char id[UUID_SIZE] = "00000000-0000-4000-8000-000000000000";
    id[UUID_LEN - 1] = (char)('0' + i);
    return id;
}

static inline void lease(int i, bool there)
{
    char key[STORE_KEY_MAX];
    struct txn t = TXN_INIT;
    snprintf(key, sizeof(key), ELECTION_PREFIX ELECTION_NODES "%s", node_id(i));
    if (there)
        txn_put(&t, key, "x", 1);
    else
        txn_delete(&t, key);
    world_commit(&t);
}

static inline void put_node(int i)
{
    struct node *n = record_new(&kind_node, names[i]);
    struct member *m = record_new(&kind_member, names[i]);
    n->vcpus = 8;
    n->ram_mb = 4096;
    n->disk_gb = 100;
    n->cpu_overcommit = n->ram_overcommit = 1;
    n->seen = world_time;
    m->node_id = rec_str(m, node_id(i));
    world_put(n);
    world_put(m);
    lease(i, true);
}

static inline void open_recoverer(void)
{
    struct recoverer_config c = { .store = world_store,
                                  .cache = world_cache,
                                  .env = &env_system,
                                  .fence = &fence,
                                  .node = "h1",
                                  .leads = leads,
                                  .guard = guard };
    static struct env env;
    env = world_env;
    env.random = env_system.random; /* ids of migrations differ */
    c.env = &env;
    r = recoverer_new(&c);
}

static inline int setup(void **state)
{
    memset(&storage, 0, sizeof(storage));
    world_open();
    open_recoverer();
    world_follow();
    for (int i = 0; i < 3; i++)
        put_node(i);
    struct txn t = TXN_INIT;
    txn_put(&t, "election/leader", "h1", 2);
    world_commit(&t);
    leading = true;
    recoverer_start(r);
    return 0;
}

static inline int teardown(void **state)
{
    cache_unfollow(world_cache);
    recoverer_free(r);
    cache_free(world_cache);
    store_close(world_store);
    return 0;
}

static inline void pass_time(double seconds)
{
    int64_t until = world_time + (int64_t)(seconds * SECOND_US);
    while (world_time < until) {
        while (reconciler_step(recoverer_queue(r), 0))
            ;
        world_time += SECOND_US / 100;
    }
}

/* ---- records ------------------------------------------------------------- */

static inline const char *server_id(int i)
{
    static char ids[8][UUID_SIZE];
    memcpy(ids[i], "10000000-0000-4000-8000-000000000000", UUID_SIZE);
    ids[i][UUID_LEN - 1] = (char)('0' + i);
    return ids[i];
}

static inline void put_server(int i, const char *node, const char *path,
                              const char *priority)
{
    struct server *s = record_new(&kind_server, server_id(i));
    struct disk *d = record_new(&kind_disk, server_id(i));
    struct port *p = record_new(&kind_port, server_id(i));
    s->name = rec_str(s, "web");
    s->project_id = rec_str(s, "p1");
    s->node = d->node = p->node = rec_str(s, node);
    s->image_id = rec_str(s, "image");
    s->vcpus = 1;
    s->ram_mb = 1024;
    s->vm_state = VM_ACTIVE;
    s->power_state = POWER_RUNNING;
    s->created = i;
    if (priority)
        map_put(s, &s->extra_specs, "cairn:priority", priority);
    d->node = rec_str(d, node);
    d->server_id = rec_str(d, server_id(i));
    d->state = path ? DISK_READY : DISK_WANTED;
    d->path = rec_str(d, path);
    p->node = rec_str(p, node);
    p->device_id = rec_str(p, server_id(i));
    world_put(s);
    world_put(d);
    world_put(p);
}

#define RBD   "rbd:cairn/x"
#define LOCAL "/disks/x.qcow2"

static inline const struct server *server(int i)
{
    static const struct server *last;
    record_unref((void *)last);
    return last = world_get(&kind_server, server_id(i));
}

static inline int health(const char *node)
{
    _autorecord_ const struct node *n = world_get(&kind_node, node);
    return n->health;
}

static inline void assert_on(int i, const char *node)
{
    assert_string_equal(server(i)->node, node);
}

static inline void want(int i, enum vm_state state, enum server_goal goal)
{
    struct server *s = world_edit(&kind_server, server_id(i));
    s->vm_state = (int)state;
    s->goal = (int)goal;
    world_put(s);
}

static inline void lose_storage(const char *node, bool lost)
{
    struct node *n = world_edit(&kind_node, node);
    n->storage_lost = lost;
    world_put(n);
}

static inline void clean(const char *node)
{
    struct node *n = world_edit(&kind_node, node);
    n->cleaned = n->fence;
    world_put(n);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
