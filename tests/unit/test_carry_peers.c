/* carry: a disk asked for and sent between two nodes, with TLS between them,
 * and all that may go wrong there. */
#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "daemon/carry.h"
#include "model/migration.h"
#include "model/pool.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERVER "10000000-0000-4000-8000-000000000001"
#define MOVE   "20000000-0000-4000-8000-000000000001"
#define NEXT   SERVER ".1"
#define BYTES  ((size_t)700 << 10) /* three pieces */

static const char *const names[] = { "127.0.0.1", NULL };

enum sender { AS_MEANT, CUTS, IS_SILENT };

struct fixture {
    char dir[TEMPDIR_MAX];
    struct store *store;
    struct cache *cache;
    struct config near, far; /* of n2, which asks, and of n1 */
    struct pki pki;          /* of n1 */
    struct carry asks, gives;
    struct volumes volumes; /* n1's */
    struct error fault;     /* of the export, after the first bytes */
    atomic_uint exports;
    enum sender sender;
    int fd;
    pthread_t threads[2];
};

/* ---- n1, which has the disk ------------------------------------------------
 */

static unsigned char byte_at(size_t i)
{
    return (unsigned char)(i * 31 >> 3);
}

static bool export(struct volumes *v, const char *id,
                   const struct byte_sink *to, struct error *err)
{
    struct fixture *f = container_of(v, struct fixture, volumes);
    unsigned char some[1000];
    f->exports++;
    assert_string_equal(id, SERVER);
    for (size_t at = 0; at < BYTES; at += sizeof(some)) {
        size_t n = BYTES - at < sizeof(some) ? BYTES - at : sizeof(some);
        for (size_t i = 0; i < n; i++)
            some[i] = byte_at(at + i);
        if (!to->put(to->arg, some, n, err))
            return false;
        if (f->fault.code && at > BYTES / 2) {
            error_copy(err, &f->fault);
            return false;
        }
    }
    return true;
}

/* One piece, and the plug is pulled. */
static void cut(struct peer *peer)
{
    struct error err;
    struct buf piece = BUF_INIT(1000);
    buf_add(&piece, "Dsome", 5);
    peer_send(peer, &piece, &err);
    buf_free(&piece);
}

/* Until the other has had enough. */
static void be_silent(struct peer *peer)
{
    char byte;
    while (recv(peer->fd, &byte, 1, 0) > 0)
        ;
}

static void *serve_one(void *arg)
{
    struct fixture *f = arg;
    struct peer peer;
    struct error err = { 0 };
    SSL_CTX *ctx = peer_context(&f->pki, &err);
    int fd = accept(f->fd, NULL, NULL);
    if (ctx && peer_accept(&peer, ctx, fd, &err)) {
        bool member = peer_is_for(&peer, PEER_DISK) && peer_is_member(&peer);
        if (member && f->sender == CUTS)
            cut(&peer);
        else if (member && f->sender == IS_SILENT)
            be_silent(&peer);
        else if (member)
            carry_answer(&f->gives, &peer, "n2");
        peer_close(&peer);
    }
    SSL_CTX_free(ctx);
    return NULL;
}

static void serve(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&f->threads[i], NULL, serve_one, f), 0);
}

static void served(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++)
        pthread_join(f->threads[i], NULL);
}

/* ---- n2, which wants it ----------------------------------------------------
 */

static bool take(void *arg, const struct byte_source *from, struct error *err)
{
    unsigned char some[3000];
    for (size_t at = 0; at < BYTES; at += sizeof(some)) {
        size_t n = BYTES - at < sizeof(some) ? BYTES - at : sizeof(some);
        if (!from->get(from->arg, some, n, err))
            return false;
        for (size_t i = 0; i < n; i++)
            if (some[i] != byte_at(at + i))
                return error_set(err, ERR_INTERNAL, "byte %zu is wrong", at);
    }
    return true;
}

static bool fetch(struct fixture *f, const char *id, struct error *err)
{
    error_clear(err);
    return carry_fetch(&f->asks, "n1", id, take, f, err);
}

/* ---- both ------------------------------------------------------------------
 */

static void put(struct fixture *f, void *draft)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_put_record(&t, draft);
    assert_true(store_commit(f->store, &t, NULL));
    record_unref(draft);
}

static struct disk *a_disk(const char *id, const char *node, int state)
{
    struct disk *d = record_new(&kind_disk, id);
    d->server_id = SERVER;
    d->node = node;
    d->state = state;
    return d;
}

/* The server goes from n1 to n2, and is off. */
static void put_move(struct fixture *f)
{
    struct server *s = record_new(&kind_server, SERVER);
    struct migration *m = record_new(&kind_migration, MOVE);
    struct member *n1 = record_new(&kind_member, "n1");
    struct disk *next = a_disk(NEXT, "n2", DISK_WANTED);
    s->node = "n1";
    s->migration_id = MOVE;
    m->server_id = SERVER;
    m->type = MIGRATION_COLD;
    m->status = MIGRATION_MIGRATING;
    m->source = "n1";
    m->dest = "n2";
    n1->address = "127.0.0.1";
    next->source_id = SERVER;
    put(f, s);
    put(f, m);
    put(f, n1);
    put(f, a_disk(SERVER, "n1", DISK_READY));
    put(f, next);
}

static void open_pki(struct fixture *f, const char *node, struct pki *out)
{
    struct error err = { 0 };
    _autofree_ char *dir = xasprintf("%s/%s/pki", f->dir, node);
    _autofree_ char *above = xasprintf("%s/%s", f->dir, node);
    mkdir(above, 0700);
    if (!pki_open(dir, names, env_now(&env_system), out, &err))
        fail_msg("%s", err.text);
}

static void listen_somewhere(struct fixture *f)
{
    struct sockaddr_in sa = { .sin_family = AF_INET };
    socklen_t len = sizeof(sa);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->fd, (void *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(f->fd, 4), 0);
    assert_int_equal(getsockname(f->fd, (void *)&sa, &len), 0);
    f->near.peer_port = ntohs(sa.sin_port);
}

/* Both have the pool's certificates; "other" is the node of another pool. */
static int setup(void **state)
{
    static const struct volume_ops ops = { .disk_export = export };
    struct error err = { 0 };
    struct fixture *f = *state = xcalloc(1, sizeof(*f));
    tempdir_make(f->dir);
    open_pki(f, "pool", &f->pki);
    f->store = store_memory_open(&env_system);
    f->cache = cache_new(model_kinds, N_KINDS);
    assert_true(cache_follow(f->cache, f->store, &err));
    put_move(f);
    f->volumes.ops = &ops;
    listen_somewhere(f);
    f->near.state_dir = xasprintf("%s/pool", f->dir);
    f->asks = (struct carry){
        .config = &f->near, .cache = f->cache, .node = "n2", .patience_s = 20
    };
    f->gives = (struct carry){ .config = &f->far,
                               .cache = f->cache,
                               .volumes = &f->volumes,
                               .node = "n1" };
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close(f->fd);
    cache_unfollow(f->cache);
    cache_free(f->cache);
    store_close(f->store);
    pki_close(&f->pki);
    tempdir_remove(f->dir);
    free((char *)f->near.state_dir);
    free(f);
    return 0;
}

/* ---- tests ----------------------------------------------------------------
 */

static void it_arrives(void **state)
{
    struct fixture *f = *state;
    struct error err;
    serve(f, 1);
    if (!fetch(f, NEXT, &err))
        fail_msg("%s", err.text);
    served(f, 1);
}

struct asker {
    struct fixture *f;
    bool ok;
};

static void *ask_for_it(void *arg)
{
    struct asker *a = arg;
    struct error err;
    a->ok = fetch(a->f, NEXT, &err);
    return NULL;
}

static void two_at_once_both_arrive(void **state)
{
    struct fixture *f = *state;
    struct asker a = { f, false }, b = { f, false };
    pthread_t other;
    serve(f, 2);
    assert_int_equal(pthread_create(&other, NULL, ask_for_it, &a), 0);
    ask_for_it(&b);
    pthread_join(other, NULL);
    served(f, 2);
    assert_true(a.ok && b.ok);
    assert_int_equal(f->exports, 2);
}

/* Names are records' or nobody's: none reaches the storage. */
static void what_no_record_names_is_not_given(void **state)
{
    static const char *const ids[] = { "../../etc/passwd", "/etc/passwd",
                                       SERVER, "", (SERVER ".1/../x") };
    struct fixture *f = *state;
    struct error err;
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        serve(f, 1);
        assert_false(fetch(f, ids[i], &err));
        served(f, 1);
        assert_int_equal(err.code, ERR_UNAVAILABLE);
    }
    assert_int_equal(f->exports, 0);
}

/* Nor one that has arrived, goes elsewhere, or is not its move's. */
static void only_what_is_on_its_way_is_given(void **state)
{
    struct fixture *f = *state;
    struct error err;
    _autosnap_ struct snapshot *before = cache_snapshot(f->cache);
    assert_string_equal(carry_permits(before, "n1", NEXT, &err), SERVER);
    assert_null(carry_permits(before, "n3", NEXT, &err));
    struct disk *d = a_disk(NEXT, "n3", DISK_WANTED);
    d->source_id = SERVER;
    put(f, d);
    _autosnap_ struct snapshot *astray = cache_snapshot(f->cache);
    assert_null(carry_permits(astray, "n1", NEXT, &err));
    d = a_disk(NEXT, "n2", DISK_READY);
    d->source_id = SERVER;
    put(f, d);
    _autosnap_ struct snapshot *after = cache_snapshot(f->cache);
    assert_null(carry_permits(after, "n1", NEXT, &err));
}

/* Neither gives a stranger anything, nor takes anything from one. */
static void a_stranger_gets_nothing(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct pki other;
    open_pki(f, "other", &other);
    pki_close(&other);
    free((char *)f->near.state_dir);
    f->near.state_dir = xasprintf("%s/other", f->dir);
    serve(f, 1);
    assert_false(fetch(f, NEXT, &err));
    served(f, 1);
    assert_int_equal(f->exports, 0);
}

static void what_is_cut_has_not_arrived(void **state)
{
    struct fixture *f = *state;
    struct error err;
    f->sender = CUTS;
    serve(f, 1);
    assert_false(fetch(f, NEXT, &err));
    served(f, 1);
}

/* The one who asks hears why. */
static void a_fault_there_is_told_here(void **state)
{
    struct fixture *f = *state;
    struct error err;
    error_set(&f->fault, ERR_CONFLICT, "a guest has it");
    serve(f, 1);
    assert_false(fetch(f, NEXT, &err));
    served(f, 1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "a guest has it"));
}

static void who_is_silent_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct error err;
    f->sender = IS_SILENT;
    f->asks.patience_s = 1;
    serve(f, 1);
    assert_false(fetch(f, NEXT, &err));
    served(f, 1);
}

/* Two senders share what there is, and a rest does not add up. */
static void all_keep_the_pace(void **state)
{
    _Atomic int64_t free_at = 0;
    int64_t now = 100 * SECOND_US;
    const size_t mib = 1 << 20;
    assert_int_equal(carry_pace(&free_at, now, mib, 0), 0);
    assert_int_equal(carry_pace(&free_at, now, mib, 4), 0);
    assert_int_equal(carry_pace(&free_at, now, mib, 4), SECOND_US / 4);
    assert_int_equal(carry_pace(&free_at, now, mib, 4), SECOND_US / 2);
    now += 60 * SECOND_US;
    assert_int_equal(carry_pace(&free_at, now, mib, 4), 0);
    assert_int_equal(carry_pace(&free_at, now, mib, 4), SECOND_US / 4);
}

/* 700 KiB at 1 MiB/s, the first piece at once: at least 0.4 s. */
static void a_limit_holds(void **state)
{
    struct fixture *f = *state;
    struct error err;
    int64_t begun = env_mono(&env_system);
    f->far.copy_mib_s = 1;
    serve(f, 1);
    assert_true(fetch(f, NEXT, &err));
    served(f, 1);
    assert_true(env_mono(&env_system) - begun > SECOND_US * 4 / 10);
}

#define CARRY(f_) cmocka_unit_test_setup_teardown(f_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CARRY(it_arrives),
        CARRY(two_at_once_both_arrive),
        CARRY(what_no_record_names_is_not_given),
        CARRY(only_what_is_on_its_way_is_given),
        CARRY(a_stranger_gets_nothing),
        CARRY(what_is_cut_has_not_arrived),
        CARRY(a_fault_there_is_told_here),
        CARRY(who_is_silent_is_given_up),
        cmocka_unit_test(all_keep_the_pace),
        CARRY(a_limit_holds),
    };
    signal(SIGPIPE, SIG_IGN); /* as cairnd has it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
