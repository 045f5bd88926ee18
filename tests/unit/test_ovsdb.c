/* ovsdb, ovsdb_wire: framing, values, a scripted server, the real one. */
#include "network/ovsdb.h"

#include "test.h"

#include "eventually.h"
#include "ovsdb_server.h"

#include "common/env.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

static json_t *js(const char *text)
{
    json_error_t why;
    json_t *v = json_loads(text, JSON_DECODE_ANY, &why);
    if (!v)
        fail_msg("%s: %s", text, why.text);
    return v;
}

/* ---- framing ----------------------------------------------------------- */

/* Feeds the text in pieces of `step` bytes; counts messages, -1 = bad. */
static int count_messages(const char *text, size_t step, size_t max)
{
    struct ovsdb_frame f;
    int n = 0;
    ovsdb_frame_init(&f, max);
    size_t len = strlen(text);
    for (size_t at = 0; at < len && n >= 0;) {
        size_t used, piece = len - at < step ? len - at : step;
        switch (ovsdb_frame_feed(&f, text + at, piece, &used)) {
        case OVSDB_FRAME_DONE:
            assert_int_equal(f.text.data[0], '{');
            assert_int_equal(f.text.data[f.text.len - 1], '}');
            ovsdb_frame_next(&f);
            n++;
            break;
        case OVSDB_FRAME_MORE:
            assert_int_equal(used, piece);
            break;
        case OVSDB_FRAME_BAD:
            n = -1;
            break;
        }
        at += used;
    }
    ovsdb_frame_free(&f);
    return n;
}

static void test_framing(void **state)
{
    static const char text[] =
        "{\"a\":\"}\\\"]{\"}\n {\"b\":[{},[\"\\\\\"]]}{}";
    for (size_t step = 1; step < sizeof(text); step++)
        assert_int_equal(count_messages(text, step, 1000), 3);
    assert_int_equal(count_messages("{\"a\":1", 3, 1000), 0);
    assert_int_equal(count_messages("x{}", 3, 1000), -1);
    assert_int_equal(count_messages("[1]", 3, 1000), -1);
    assert_int_equal(count_messages("{\"aaaaaaaaaaaaaaaa\":1}", 3, 10), -1);
}

static void test_depth(void **state)
{
    char text[2 * OVSDB_DEPTH_MAX + 8];
    memset(text, '[', sizeof(text));
    text[0] = '{';
    memset(text + OVSDB_DEPTH_MAX, ']', OVSDB_DEPTH_MAX - 1);
    memcpy(text + 2 * OVSDB_DEPTH_MAX - 1, "}", 2);
    assert_int_equal(count_messages(text, 7, 1000), 1);
    text[OVSDB_DEPTH_MAX] = '[';
    assert_int_equal(count_messages(text, 7, 1000), -1);
}

/* ---- values and replies ------------------------------------------------ */

static void check_canonical(const char *from, const char *to)
{
    _autojson_ json_t *value = js(from);
    _autojson_ json_t *got = ovsdb_value_canonical(value);
    if (!to) {
        assert_null(got);
        return;
    }
    _autojson_ json_t *want = js(to);
    assert_true(json_equal(got, want));
}

static void test_values(void **state)
{
    check_canonical("[\"set\",[\"b\",\"a\",\"b\"]]", "[\"set\",[\"a\",\"b\"]]");
    check_canonical("[\"set\",[3,1,20]]", "[\"set\",[1,3,20]]");
    check_canonical("[\"set\",[[\"uuid\",\"x\"]]]", "[\"uuid\",\"x\"]");
    check_canonical("[\"set\",[]]", "[\"set\",[]]");
    check_canonical("[\"map\",[[\"b\",\"1\"],[\"a\",\"2\"]]]",
                    "[\"map\",[[\"a\",\"2\"],[\"b\",\"1\"]]]");
    check_canonical("true", "true");
    check_canonical("null", NULL);
    check_canonical("[\"set\",[[]]]", NULL);
    check_canonical("[\"map\",[[\"a\"]]]", NULL);
    check_canonical("[\"set\",[[\"set\",[]]]]", NULL);
    check_canonical("{}", NULL);
    _autojson_ json_t *map = ovsdb_map(js("{\"k\":\"v\",\"a\":\"b\"}"));
    assert_string_equal(ovsdb_map_get(map, "k"), "v");
    assert_null(ovsdb_map_get(map, "z"));
    _autojson_ json_t *one = ovsdb_set(js("[\"x\"]"));
    assert_true(ovsdb_set_has(one, ovsdb_set_at(one, 0)));
    assert_null(ovsdb_set_at(one, 1));
}

static void test_updates_only(void **state)
{
    static const struct {
        const char *text;
        bool only;
    } cases[] = {
        { "{\"T\":{\"u\":{\"old\":{\"up\":false},\"new\":{\"up\":true,"
          "\"name\":\"x\"}}}}",
          true },
        { "{\"T\":{\"u\":{\"old\":{\"name\":\"y\"},\"new\":{\"up\":true,"
          "\"name\":\"x\"}}}}",
          false },
        { "{\"T\":{\"u\":{\"old\":{\"up\":false,\"name\":\"y\"},"
          "\"new\":{\"up\":true,\"name\":\"x\"}}}}",
          false },
        { "{\"T\":{\"u\":{\"new\":{\"up\":true}}}}", false },
        { "{\"T\":{\"u\":{\"old\":{\"up\":true}}}}", false },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _autojson_ json_t *updates = js(cases[i].text);
        assert_int_equal(ovsdb_updates_only(updates, "up"), cases[i].only);
    }
}

static enum error_code reply_code(const char *text, size_t n_ops)
{
    struct ovsdb_message m;
    struct error err = { 0 };
    assert_true(ovsdb_message_parse(&m, text, strlen(text), &err));
    assert_int_equal(m.kind, OVSDB_REPLY);
    bool ok = ovsdb_reply_check(&m, n_ops, &err);
    assert_int_equal(ok, err.code == ERR_NONE);
    ovsdb_message_free(&m);
    return err.code;
}

static void test_reply_errors(void **state)
{
    assert_int_equal(
        reply_code("{\"id\":1,\"result\":[{},{}],\"error\":null}", 2),
        ERR_NONE);
    /* An operation failed, the next was not tried. */
    assert_int_equal(reply_code("{\"id\":1,\"error\":null,\"result\":[{},"
                                "{\"error\":\"constraint violation\"},null]}",
                                3),
                     ERR_CONFLICT);
    /* All worked and the commit failed. */
    assert_int_equal(
        reply_code("{\"id\":1,\"error\":null,\"result\":[{},"
                   "{\"error\":\"referential integrity violation\","
                   "\"details\":\"x\"}]}",
                   1),
        ERR_CONFLICT);
    assert_int_equal(reply_code("{\"id\":1,\"error\":null,\"result\":[{}]}", 2),
                     ERR_INTERNAL);
    assert_int_equal(reply_code("{\"id\":1,\"error\":\"unknown database\","
                                "\"result\":null}",
                                1),
                     ERR_INTERNAL);
}

static void test_not_messages(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"id\":null,\"result\":1}",
        "{\"method\":1,\"params\":[]}",
        "{\"method\":\"echo\"}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":]}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct ovsdb_message m;
        struct error err = { 0 };
        assert_false(ovsdb_message_parse(&m, texts[i], strlen(texts[i]), &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
}

/* ---- a scripted server ------------------------------------------------- */

static json_t *ls_monitor;

static void count_change(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* The next message from the client, in one piece. */
static json_t *server_read(int fd)
{
    struct ovsdb_frame f;
    char c;
    size_t used;
    ovsdb_frame_init(&f, 10000);
    do
        assert_int_equal(read(fd, &c, 1), 1);
    while (ovsdb_frame_feed(&f, &c, 1, &used) == OVSDB_FRAME_MORE);
    json_t *v = js(f.text.data);
    ovsdb_frame_free(&f);
    return v;
}

static void server_write(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

struct scripted {
    int fd; /* the server's end */
    atomic_int changes;
    struct ovsdb *db;
};

static void scripted_start(struct scripted *s)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                     0);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    s->fd = fds[0];
    atomic_init(&s->changes, 0);
    s->db = ovsdb_new_fd(&(struct ovsdb_config){ .database = "D",
                                                 .monitor = ls_monitor,
                                                 .changed = count_change,
                                                 .arg = &s->changes },
                         fds[1]);
    _autojson_ json_t *monitor = server_read(s->fd);
    assert_string_equal(json_string_value(json_object_get(monitor, "method")),
                        "monitor");
}

static void scripted_stop(struct scripted *s)
{
    ovsdb_free(s->db);
    close(s->fd);
}

static const char first_rows[] =
    "{\"id\":0,\"error\":null,\"result\":{\"Logical_Switch\":"
    "{\"u1\":{\"new\":{\"name\":\"n1\",\"other_config\":[\"map\",[]]}}}}}";

static size_t rows(struct ovsdb *db)
{
    const json_t *replica = ovsdb_lock(db, NULL);
    if (!replica)
        return 0;
    size_t n = json_object_size(ovsdb_replica_table(replica, "Logical_Switch"));
    ovsdb_unlock(db);
    return n;
}

static void test_scripted(void **state)
{
    struct scripted s;
    struct error err = { 0 };
    scripted_start(&s);
    assert_false(ovsdb_wait(s.db, 0, &err));
    assert_null(ovsdb_lock(s.db, NULL));
    server_write(s.fd, first_rows);
    assert_true(ovsdb_wait(s.db, 5 * SECOND_US, &err));
    assert_int_equal(rows(s.db), 1);
    /* A probe in two pieces is answered with its own id and params. */
    server_write(s.fd, "{\"method\":\"echo\",\"par");
    server_write(s.fd, "ams\":[7],\"id\":\"e\"}");
    _autojson_ json_t *got = server_read(s.fd);
    _autojson_ json_t *want =
        js("{\"id\":\"e\",\"result\":[7],\"error\":null}");
    assert_true(json_equal(got, want));
    /* An update and a delete. */
    server_write(s.fd,
                 "{\"method\":\"update\",\"id\":null,\"params\":[null,"
                 "{\"Logical_Switch\":{\"u2\":{\"new\":{\"name\":\"n2\"}},"
                 "\"u1\":{\"old\":{}}}}]}");
    eventually(atomic_load(&s.changes) >= 2);
    assert_int_equal(rows(s.db), 1);
    const json_t *r = ovsdb_lock(s.db, NULL);
    assert_non_null(
        json_object_get(ovsdb_replica_table(r, "Logical_Switch"), "u2"));
    ovsdb_unlock(s.db);
    scripted_stop(&s);
}

struct asker {
    struct ovsdb *db;
    int64_t timeout;
    bool ok;
    struct error err;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    _autojson_ json_t *ops = js("[{\"op\":\"comment\",\"comment\":\"x\"}]");
    a->ok = ovsdb_transact(a->db, ops, a->timeout, NULL, &a->err);
    return NULL;
}

/* A lost answer is UNKNOWN, at once when the connection breaks. */
static void test_lost_answer(void **state)
{
    struct scripted s;
    scripted_start(&s);
    server_write(s.fd, first_rows);
    struct asker a = { .db = s.db, .timeout = 20000 };
    ask(&a);
    assert_int_equal(a.err.code, ERR_UNKNOWN);
    _autojson_ json_t *unanswered = server_read(s.fd);
    assert_string_equal(
        json_string_value(json_object_get(unanswered, "method")), "transact");
    server_write(s.fd, "{\"id\":1,\"result\":[{}],\"error\":null}"); /* late */

    pthread_t t;
    struct asker b = { .db = s.db, .timeout = 60 * SECOND_US };
    assert_int_equal(pthread_create(&t, NULL, ask, &b), 0);
    json_decref(server_read(s.fd));
    shutdown(s.fd, SHUT_RDWR);
    pthread_join(t, NULL);
    assert_false(b.ok);
    assert_int_equal(b.err.code, ERR_UNKNOWN);
    ask(&a);
    assert_int_equal(a.err.code, ERR_UNAVAILABLE);
    assert_null(ovsdb_lock(s.db, NULL));
    scripted_stop(&s);
}

/* What is no message ends the connection and nothing else. */
static void test_bad_server(void **state)
{
    static const char *const bad[] = {
        "hello",
        "{\"a\":}",
        "{\"id\":0,\"result\":{\"T\":5},\"error\":null}",
        "{\"id\":0,\"result\":null,\"error\":\"unknown database\"}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct scripted s;
        char c;
        scripted_start(&s);
        server_write(s.fd, bad[i]);
        assert_int_equal(read(s.fd, &c, 1), 0);
        assert_false(ovsdb_wait(s.db, 0, NULL));
        scripted_stop(&s);
    }
}

/* ---- the real server --------------------------------------------------- */

static json_t *insert_switch(const char *name)
{
    json_t *ops = json_array();
    json_array_append_new(ops, json_pack("{s:s,s:s,s:s,s:{s:s,s:o}}", "op",
                                         "insert", "table", "Logical_Switch",
                                         "uuid-name", "ls", "row", "name", name,
                                         "ports", ovsdb_named_uuid("p")));
    json_array_append_new(ops,
                          json_pack("{s:s,s:s,s:s,s:{s:s}}", "op", "insert",
                                    "table", "Logical_Switch_Port", "uuid-name",
                                    "p", "row", "name", name));
    return ops;
}

static void test_real_transact(void **state)
{
    struct ovsdb_server *server = ovsdb_server_new(NB_SCHEMA);
    struct error err = { 0 };
    struct ovsdb *db =
        ovsdb_new(&(struct ovsdb_config){ .socket = server->socket,
                                          .database = "OVN_Northbound",
                                          .monitor = ls_monitor });
    assert_true(ovsdb_wait(db, 10 * SECOND_US, &err));
    assert_int_equal(rows(db), 0);
    for (int i = 0; i < 50; i++) {
        char name[16];
        json_t *results = NULL;
        snprintf(name, sizeof(name), "n%d", i);
        _autojson_ json_t *ops = insert_switch(name);
        if (!ovsdb_transact(db, ops, 10 * SECOND_US, &results, &err))
            fail_msg("%s", err.text);
        assert_int_equal(json_array_size(results), 2);
        json_decref(results);
        /* The replica is never behind one's own transaction. */
        assert_int_equal(rows(db), i + 1);
    }
    /* A double port name is found out and nothing happened. */
    _autojson_ json_t *again = insert_switch("n1");
    assert_false(ovsdb_transact(db, again, 10 * SECOND_US, NULL, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    _autojson_ json_t *nonsense = js("[{\"op\":\"dance\"}]");
    assert_false(ovsdb_transact(db, nonsense, 10 * SECOND_US, NULL, &err));
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_int_equal(rows(db), 50);
    ovsdb_free(db);
    ovsdb_server_free(server);
}

/* The server dies and comes back: the replica follows. */
static void test_real_reconnect(void **state)
{
    struct ovsdb_server *server = ovsdb_server_new(NB_SCHEMA);
    struct error err = { 0 };
    struct ovsdb_config config = { .socket = server->socket,
                                   .database = "OVN_Northbound",
                                   .monitor = ls_monitor };
    struct ovsdb *db = ovsdb_new(&config), *other = ovsdb_new(&config);
    _autojson_ json_t *ops = insert_switch("a");
    assert_true(ovsdb_wait(db, 10 * SECOND_US, &err));
    assert_true(ovsdb_transact(db, ops, 10 * SECOND_US, NULL, &err));
    ovsdb_server_kill(server);
    eventually(!ovsdb_wait(db, 0, NULL));
    assert_false(ovsdb_transact(db, ops, SECOND_US, NULL, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    ovsdb_server_start(server);
    assert_true(ovsdb_wait(db, 10 * SECOND_US, &err));
    assert_true(ovsdb_wait(other, 10 * SECOND_US, &err));
    assert_int_equal(rows(db), 1);
    assert_int_equal(ovsdb_stats(db).connects, 2);
    /* What another client changes arrives too. */
    _autojson_ json_t *more = insert_switch("b");
    assert_true(ovsdb_transact(other, more, 10 * SECOND_US, NULL, &err));
    eventually(rows(db) == 2);
    ovsdb_free(db);
    ovsdb_free(other);
    ovsdb_server_free(server);
}

static int setup(void **state)
{
    ls_monitor = js("{\"Logical_Switch\":[\"name\",\"other_config\"]}");
    return 0;
}

static int teardown(void **state)
{
    json_decref(ls_monitor);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_updates_only),
        cmocka_unit_test(test_reply_errors),
        cmocka_unit_test(test_not_messages),
        cmocka_unit_test(test_scripted),
        cmocka_unit_test(test_lost_answer),
        cmocka_unit_test(test_bad_server),
        cmocka_unit_test(test_real_transact),
        cmocka_unit_test(test_real_reconnect),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
