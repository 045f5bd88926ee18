/* join: both sides as they should be; every way in which they should not. */
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "daemon/join.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char wire[JOIN_BINDING_SIZE] = "one connection";
static const unsigned char other_wire[JOIN_BINDING_SIZE] = "another one";
static const struct join_hello h2 = {
    .node = "h2",
    .id = "0d6c7a54-6a0c-4a57-8a26-1f1f6a1f0001",
    .address = "192.0.2.7"
};

static struct {
    struct join_secret secret;
    struct join_node node;
    struct join_member member;
    struct buf a, b; /* from the node, from the member */
    struct error err;
} w;

static int setup(void **state)
{
    char text[JOIN_SECRET_SIZE];
    memset(&w, 0, sizeof(w));
    join_secret_make(&env_system, text, &w.secret);
    w.a = w.b = BUF_INIT(JOIN_LINE_MAX);
    return 0;
}

static int teardown(void **state)
{
    join_node_wipe(&w.node);
    join_member_wipe(&w.member);
    buf_free(&w.a);
    buf_free(&w.b);
    return 0;
}

/* Up to the challenge. */
static void say_hello(const unsigned char *node_wire,
                      const unsigned char *member_wire,
                      const unsigned char *key)
{
    join_node_begin(&w.node, &h2, &w.secret, node_wire, &env_system, &w.a);
    assert_true(
        join_member_hello(&w.member, w.a.data, w.a.len, member_wire, &w.err));
    join_member_challenge(&w.member, key, &env_system, &w.b);
    buf_reset(&w.a);
}

static bool answer(void)
{
    return join_node_challenge(&w.node, w.b.data, w.b.len, &w.a, &w.err);
}

static bool check_proof(void)
{
    return join_member_proof(&w.member, w.a.data, w.a.len, &w.err);
}

static void a_secret(void **state)
{
    char text[JOIN_SECRET_SIZE], longer[JOIN_SECRET_SIZE + 8];
    struct join_secret made, read;
    join_secret_make(&env_system, text, &made);
    assert_int_equal(strlen(text), JOIN_SECRET_SIZE - 1);
    snprintf(longer, sizeof(longer), " %s\n", text);
    assert_true(join_secret_read(longer, &read));
    assert_string_equal(read.name, made.name);
    assert_memory_equal(read.key, made.key, JOIN_KEY_SIZE);
    text[20] = text[20] == 'a' ? 'b' : 'a';
    assert_true(join_secret_read(text, &read));
    assert_memory_not_equal(read.key, made.key, JOIN_KEY_SIZE);
    text[20] = 'X';
    assert_false(join_secret_read(text, &read));
    text[20] = '\0';
    assert_false(join_secret_read(text, &read));
    assert_false(join_secret_read("", &read));
    snprintf(longer, sizeof(longer), "%s", "two words");
    assert_false(join_secret_read(longer, &read));
}

static char a_certificate[] = "a certificate", a_key[] = "a key";

static void joins(void **state)
{
    struct join_welcome given = { .pool_id =
                                      "0d6c7a54-6a0c-4a57-8a26-1f1f6a1f0002",
                                  .pool_name = "cairn",
                                  .ca_cert = a_certificate,
                                  .ca_key = a_key,
                                  .members = { "192.0.2.1", "2001:db8::1" },
                                  .n_members = 2,
                                  .state = { "10.0.0.1:2379", "10.0.0.2:2379" },
                                  .n_state = 2 },
                        got;
    say_hello(wire, wire, w.secret.key);
    assert_string_equal(w.member.said.node, "h2");
    assert_string_equal(w.member.said.secret, w.secret.name);
    assert_string_equal(w.member.said.address, "192.0.2.7");
    assert_true(answer());
    assert_true(check_proof());
    buf_reset(&w.b);
    join_write_welcome(&given, &w.b);
    assert_true(join_node_welcome(&w.node, w.b.data, w.b.len, &got, &w.err));
    assert_string_equal(got.pool_id, given.pool_id);
    assert_string_equal(got.pool_name, "cairn");
    assert_string_equal(got.ca_cert, "a certificate");
    assert_string_equal(got.ca_key, "a key");
    assert_int_equal(got.n_members, 2);
    assert_int_equal(got.n_state, 2);
    assert_string_equal(got.state[1], "10.0.0.2:2379");
    assert_string_equal(got.members[1], "2001:db8::1");
    join_welcome_wipe(&got);
}

static void a_member_without_the_secret_gets_no_proof(void **state)
{
    unsigned char wrong[JOIN_KEY_SIZE] = { 0 };
    say_hello(wire, wire, wrong);
    assert_false(answer());
    assert_int_equal(w.err.code, ERR_UNAUTHENTICATED);
    assert_int_equal(w.a.len, 0);
}

/* He has two connections and passes on what both say. */
static void a_man_in_the_middle(void **state)
{
    say_hello(wire, other_wire, w.secret.key);
    assert_false(answer());
    assert_int_equal(w.a.len, 0);
}

static void a_node_without_the_secret(void **state)
{
    say_hello(wire, wire, w.secret.key);
    w.node.secret.key[0] ^= 1;
    assert_false(answer());
    /* ... and one that does not care who answers: */
    buf_reset(&w.a);
    buf_adds(&w.a, "{\"proof\": \"");
    for (int i = 0; i < 64; i++)
        buf_addc(&w.a, '0');
    buf_adds(&w.a, "\"}");
    assert_false(check_proof());
    assert_int_equal(w.err.code, ERR_UNAUTHENTICATED);
}

static void a_proof_sent_back(void **state)
{
    say_hello(wire, wire, w.secret.key);
    buf_add(&w.a, w.b.data, w.b.len); /* the member's own */
    assert_false(check_proof());
}

static void a_hello_that_was_changed(void **state)
{
    join_node_begin(&w.node, &h2, &w.secret, wire, &env_system, &w.a);
    char *at = strstr(w.a.data, "192.0.2.7");
    assert_non_null(at);
    at[8] = '8';
    assert_true(join_member_hello(&w.member, w.a.data, w.a.len, wire, &w.err));
    join_member_challenge(&w.member, w.secret.key, &env_system, &w.b);
    buf_reset(&w.a);
    assert_false(answer());
}

static void a_proof_of_another_time(void **state)
{
    say_hello(wire, wire, w.secret.key);
    assert_true(answer());
    char *old = xstrdup(w.a.data);
    join_node_wipe(&w.node);
    join_member_wipe(&w.member);
    buf_reset(&w.a);
    buf_reset(&w.b);
    say_hello(wire, wire, w.secret.key);
    assert_false(join_member_proof(&w.member, old, strlen(old), &w.err));
    free(old);
}

static void refusals(void **state)
{
    struct join_welcome got;
    struct error why = { 0 };
    error_set(&why, ERR_EXISTS, "h2 is a member already");
    say_hello(wire, wire, w.secret.key);
    buf_reset(&w.b);
    join_write_refusal(&why, &w.b);
    assert_false(answer());
    assert_int_equal(w.err.code, ERR_FORBIDDEN);
    assert_string_equal(w.err.text, "the pool refused: h2 is a member already");
    assert_false(join_node_welcome(&w.node, w.b.data, w.b.len, &got, &w.err));
    assert_int_equal(w.err.code, ERR_FORBIDDEN);
}

static void hellos_are_checked(void **state)
{
    static const char good[] =
        "{\"cairn_join\":1,\"secret\":\"0123abcd\",\"node\":\"h2\",\"id\":"
        "\"0d6c7a54-6a0c-4a57-8a26-1f1f6a1f0001\",\"address\":\"192.0.2.7\","
        "\"nonce\":\"0123456789abcdef0123456789abcdef\"}";
    static const struct {
        const char *was, *is;
    } bad[] = {
        { "join\":1", "join\":2" },    { "\"h2\"", "\"h 2\"" },
        { "\"h2\"", "\"-h2\"" },       { "\"h2\"", "\"../h2\"" },
        { "\"h2\"", "\"\"" },          { "\"h2\"", "7" },
        { "0123abcd", "0123abcX" },    { "0123abcd", "0123abc" },
        { "192.0.2.7", "192.0.2" },    { "0d6c7a54-", "0d6c7a54" },
        { "0123456789", "012345678" }, { "{", "[{" },
    };
    assert_true(join_member_hello(&w.member, good, strlen(good), wire, &w.err));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        join_member_wipe(&w.member);
        const char *at = strstr(good, bad[i].was);
        assert_non_null(at);
        _autofree_ char *text = xasprintf("%.*s%s%s", (int)(at - good), good,
                                          bad[i].is, at + strlen(bad[i].was));
        assert_false(
            join_member_hello(&w.member, text, strlen(text), wire, &w.err));
    }
    assert_false(join_member_hello(&w.member, good, 0, wire, &w.err));
}

static void calls(void **state)
{
    struct join_call c = { .nonce = "0123456789abcdef0123456789abcdef" }, got;
    join_call_write(&c, &w.a);
    assert_true(join_call_read(w.a.data, w.a.len, &got));
    assert_false(got.answer);
    assert_string_equal(got.nonce, c.nonce);
    c.answer = true;
    c.port = 6780;
    snprintf(c.pool_id, sizeof(c.pool_id), "%s", h2.id);
    snprintf(c.pool_name, sizeof(c.pool_name), "cairn");
    buf_reset(&w.a);
    join_call_write(&c, &w.a);
    assert_true(join_call_read(w.a.data, w.a.len, &got));
    assert_true(got.answer);
    assert_int_equal(got.port, 6780);
    assert_string_equal(got.pool_name, "cairn");
    assert_false(join_call_read(w.a.data, w.a.len - 1, &got));
    assert_false(join_call_read("{}", 2, &got));
    c.port = 65536;
    buf_reset(&w.a);
    join_call_write(&c, &w.a);
    assert_false(join_call_read(w.a.data, w.a.len, &got));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_secret),
        TEST(joins),
        TEST(a_member_without_the_secret_gets_no_proof),
        TEST(a_man_in_the_middle),
        TEST(a_node_without_the_secret),
        TEST(a_proof_sent_back),
        TEST(a_hello_that_was_changed),
        TEST(a_proof_of_another_time),
        TEST(refusals),
        TEST(hellos_are_checked),
        TEST(calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
