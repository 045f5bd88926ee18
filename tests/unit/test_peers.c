/* Where nodes meet: strangers who dawdle or crowd, and an end that does not
 * wait for anybody. */
#include "eventually.h"
#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "daemon/peers.h"
#include "model/pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONG_S 600 /* nothing here takes so long */

static const char *const names[] = { "127.0.0.1", NULL };

struct fixture {
    char dir[TEMPDIR_MAX];
    struct env env;
    atomic_llong later; /* us by which its clock is ahead */
    struct pki pki;
    struct membership pool;
    struct store *store;
    struct cache *cache;
    struct peers *peers;
    int port;
    atomic_int giving;
};

static int64_t clock_of(void *self)
{
    struct fixture *f = self;
    return env_mono(&env_system) + atomic_load(&f->later);
}

static void random_of(void *self, void *out, size_t len)
{
    env_random(&env_system, out, len);
}

static bool share(void *arg, struct buf *out, struct error *err)
{
    buf_adds(out, "the keys");
    return true;
}

/* Waits for what the other side does not say. */
static void give(void *arg, struct peer *peer, const char *from)
{
    struct fixture *f = arg;
    struct buf message = BUF_INIT(100);
    struct error err;
    peer_patience(peer, LONG_S);
    atomic_fetch_add(&f->giving, 1);
    peer_receive(peer, &message, &err);
    buf_free(&message);
}

static int free_port(void)
{
    struct sockaddr_in sa = { .sin_family = AF_INET };
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (void *)&sa, sizeof(sa)), 0);
    assert_int_equal(getsockname(fd, (void *)&sa, &len), 0);
    close(fd);
    return ntohs(sa.sin_port);
}

static void put_member(struct fixture *f, const char *name, const char *address)
{
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct member *m = record_new(&kind_member, name);
    m->address = address;
    txn_change_record(&t, m);
    assert_true(store_commit(f->store, &t, NULL));
}

static int setup(void **state)
{
    struct fixture *f = *state = xcalloc(1, sizeof(*f));
    struct error err = { 0 };
    tempdir_make(f->dir);
    _autofree_ char *pki = xasprintf("%s/pki", f->dir);
    f->env = (struct env){ f, clock_of, clock_of, random_of };
    f->store = store_memory_open(&f->env);
    f->cache = cache_new(model_kinds, N_KINDS);
    f->port = free_port();
    membership_found(&f->pool, "test", &f->env);
    put_member(f, "n2", "127.0.0.2");
    if (!cache_follow(f->cache, f->store, &err) ||
        !pki_open(pki, names, env_now(&env_system), &f->pki, &err))
        fail_msg("%s", err.text);
    f->peers = peers_start(&(struct peers_config){ .env = &f->env,
                                                   .address = "0.0.0.0",
                                                   .port = f->port,
                                                   .pki = &f->pki,
                                                   .pool = &f->pool,
                                                   .store = f->store,
                                                   .cache = f->cache,
                                                   .state_dir = f->dir,
                                                   .give = give,
                                                   .share = share,
                                                   .arg = f },
                           &err);
    if (!f->peers)
        fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    peers_stop(f->peers);
    cache_unfollow(f->cache);
    cache_free(f->cache);
    store_close(f->store);
    pki_close(&f->pki);
    tempdir_remove(f->dir);
    free(f);
    return 0;
}

/* A connection from that address of this machine. */
static int dial(const struct fixture *f, const char *from)
{
    struct sockaddr_in sa = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(inet_pton(AF_INET, from, &sa.sin_addr), 1);
    assert_int_equal(bind(fd, (void *)&sa, sizeof(sa)), 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sa.sin_port = htons((uint16_t)f->port);
    assert_int_equal(connect(fd, (void *)&sa, sizeof(sa)), 0);
    return fd;
}

static bool is_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static bool asks_for_keys(const struct fixture *f, const char *from)
{
    struct peer peer;
    struct error err;
    struct buf said = BUF_INIT(100);
    bool ok = peer_dial(&peer, dial(f, from), "n1", PEER_CEPH, &f->pki, &err);
    if (ok) {
        ok = peer_receive(&peer, &said, &err);
        peer_close(&peer);
    }
    buf_free(&said);
    return ok;
}

/* Says one byte more, a second later. */
static bool is_cut_while_it_speaks(struct fixture *f, int fd)
{
    (void)send(fd, "", 1, MSG_NOSIGNAL);
    atomic_fetch_add(&f->later, SECOND_US);
    return is_closed(fd);
}

/* Sends a hello byte after byte, until it is cut. */
static void dawdle(struct fixture *f)
{
    static const char record[] = { 0x16, 3, 1, 0x40, 0 }; /* a long one */
    int fd = dial(f, "127.0.0.1");
    assert_int_equal(send(fd, record, sizeof(record), 0), sizeof(record));
    eventually(is_cut_while_it_speaks(f, fd));
    close(fd);
}

/* A byte now and then does not buy time. */
static void who_dawdles_is_cut(void **state)
{
    struct fixture *f = *state;
    dawdle(f);
    assert_true(atomic_load(&f->later) >= PEERS_STRANGER_US);
}

static void a_member_may_take_its_time(void **state)
{
    struct fixture *f = *state;
    struct peer peer;
    struct error err;
    struct buf message = BUF_INIT(10);
    if (!peer_dial(&peer, dial(f, "127.0.0.1"), "n1", PEER_DISK, &f->pki, &err))
        fail_msg("%s", err.text);
    eventually(atomic_load(&f->giving) == 1);
    atomic_fetch_add(&f->later, 2 * PEERS_STRANGER_US);
    dawdle(f); /* when it is cut, it was looked who else is to be */
    buf_adds(&message, "hello");
    assert_true(peer_send(&peer, &message, &err));
    assert_false(peer_receive(&peer, &message, &err)); /* give() is done */
    buf_free(&message);
    peer_close(&peer);
}

static void strangers_leave_room(void **state)
{
    struct fixture *f = *state;
    int fds[PEERS_STRANGERS + 1];
    size_t n = 0;
    for (int i = 0; n < PEERS_STRANGERS; i++) {
        _autofree_ char *from = xasprintf("127.0.1.%d", i + 1);
        for (int j = 0; j < PEERS_ALIKE && n < PEERS_STRANGERS; j++)
            fds[n++] = dial(f, from);
        if (i == 0) { /* one more of the same */
            int more = dial(f, from);
            eventually(is_closed(more));
            close(more);
        }
    }
    fds[n++] = dial(f, "127.0.2.1");
    eventually(is_closed(fds[PEERS_STRANGERS]));
    for (size_t i = 0; i < PEERS_STRANGERS; i++)
        assert_false(is_closed(fds[i]));
    assert_true(asks_for_keys(f, "127.0.0.2"));  /* where n2 is */
    assert_false(asks_for_keys(f, "127.0.0.1")); /* where no member is */
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    eventually(asks_for_keys(f, "127.0.0.1"));
}

/* peers_stop, in teardown, does not wait for who says nothing. */
static void the_end_cuts_all(void **state)
{
    struct fixture *f = *state;
    struct peer peer;
    struct error err;
    struct buf message = BUF_INIT(100);
    if (!peer_dial(&peer, dial(f, "127.0.0.1"), "n1", PEER_DISK, &f->pki, &err))
        fail_msg("%s", err.text);
    eventually(atomic_load(&f->giving) == 1);
    peers_stop(f->peers);
    f->peers = NULL;
    assert_false(peer_receive(&peer, &message, &err));
    peer_close(&peer);
    buf_free(&message);
}

/* Sends the first `len` bytes of a call, then a whole one.  How many answers
 * come; the last one's size in *size. */
static int answers(const struct fixture *f, size_t len, size_t *size)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)f->port) };
    struct join_call call = { .nonce = "0123456789abcdef0123456789abcdef" };
    struct join_call got = { .port = 0 };
    struct buf b = BUF_INIT(1000);
    char bytes[2000];
    int n = 0, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (void *)&sa, sizeof(sa)), 0);
    join_call_write(&call, &b);
    assert_int_equal(b.len, JOIN_CALL_SIZE);
    assert_int_equal(send(fd, b.data, len, 0), len);
    buf_reset(&b);
    call.nonce[0] = 'f';
    join_call_write(&call, &b);
    assert_int_equal(send(fd, b.data, b.len, 0), b.len);
    for (; got.nonce[0] != 'f'; n++) { /* they come in order */
        *size = (size_t)recv(fd, bytes, sizeof(bytes), 0);
        assert_true(join_call_read(bytes, *size, &got));
    }
    close(fd);
    buf_free(&b);
    return n;
}

static void nobody_is_sent_more_than_he_sent(void **state)
{
    struct fixture *f = *state;
    size_t size = 0;
    assert_int_equal(answers(f, JOIN_CALL_SIZE, &size), 2);
    assert_true(size > 0 && size <= JOIN_CALL_SIZE);
    assert_int_equal(answers(f, size, &size), 2);
    assert_int_equal(answers(f, size - 1, &size), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(who_dawdles_is_cut),
        T(a_member_may_take_its_time),
        T(strangers_leave_room),
        T(the_end_cuts_all),
        T(nobody_is_sent_more_than_he_sent),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
