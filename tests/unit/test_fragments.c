/* fragments: what is kept is given back for the very same question only; and
 * servers are shown as they are, whatever changes around them. */
#include "api_client.h"

#include "model/compute.h"
#include "model/network.h"
#include "rest-api/fragments.h"
#include "state/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVERS 6
#define STEPS   150

/* ---- alone -------------------------------------------------------------- */

/* What is found, as an item of an array that has one; NULL: nothing. */
static char *find(struct fragments *f, struct fragment_key key)
{
    struct buf out = BUF_INIT(1024 * 1024);
    struct jw w = JW_INIT(&out);
    jw_arr(&w, NULL);
    jw_int(&w, NULL, 1);
    bool found = fragments_write(f, &key, &w, NULL);
    jw_arr_end(&w);
    char *text = buf_steal(&out);
    if (found)
        return text;
    assert_string_equal(text, "[1]");
    free(text);
    return NULL;
}

static void assert_found(struct fragments *f, struct fragment_key key,
                         const char *expected)
{
    char *text = find(f, key);
    assert_true(expected ? text && strcmp(text, expected) == 0 : !text);
    free(text);
}

static void the_same_question_only(void **state)
{
    struct fragments *f = fragments_new(1024 * 1024);
    const struct fragment_key key = { "id", 7, 9, 3, "http://a" };
    struct fragment_key other;
    assert_found(f, key, NULL);
    fragments_keep(f, &key, "{}", 2);
    assert_found(f, key, "[1,{}]");
#define NOT_FOUND(member_, value_)                                             \
    (other = key, other.member_ = value_, assert_found(f, other, NULL))
    NOT_FOUND(id, "ie");
    NOT_FOUND(id, "id2");
    NOT_FOUND(revision, 8);
    NOT_FOUND(others, 10);
    NOT_FOUND(variant, 4);
    NOT_FOUND(base_url, "http://b");
#undef NOT_FOUND
    /* A newer one in its place. */
    other = key;
    other.revision = 8;
    fragments_keep(f, &other, "[2]", 3);
    assert_found(f, other, "[1,[2]]");
    assert_found(f, key, NULL);
    fragments_free(f);
}

static void bounded(void **state)
{
    enum { TEXT = 1000, KEPT = 8 };
    static char text[FRAGMENT_MAX + 1];
    char id[20];
    struct fragments *f = fragments_new(KEPT * (TEXT + 200));
    struct fragment_key key = { id, 1, 1, 1, "" };
    size_t found = 0;
    memset(text, '1', sizeof(text));
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "%d", i);
        fragments_keep(f, &key, text, TEXT);
    }
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "%d", i);
        char *got = find(f, key);
        found += got != NULL;
        free(got);
    }
    assert_in_range(found, KEPT / 2, KEPT + 2);
    fragments_free(f);
    f = fragments_new(4 * sizeof(text));
    fragments_keep(f, &key, text, sizeof(text));
    assert_found(f, key, NULL);
    fragments_keep(f, &key, text, FRAGMENT_MAX);
    char *got = find(f, key);
    assert_non_null(got);
    free(got);
    fragments_free(f);
}

/* ---- servers ------------------------------------------------------------ */

static void put(struct api_client *c, void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_put_record(&t, record);
    record_unref(record);
    assert_true(store_commit(c->store, &t, NULL));
}

static void put_things(struct api_client *c)
{
    struct network *n = record_new(&kind_network, "n");
    n->name = "net";
    put(c, n);
    struct security_group *g = record_new(&kind_security_group, "g");
    g->name = "group";
    put(c, g);
    for (int i = 0; i < SERVERS; i++) {
        char id[20];
        snprintf(id, sizeof(id), "s%d", i);
        struct server *s = record_new(&kind_server, id);
        s->name = "server";
        s->project_id = rec_str(s, i % 2 ? c->admin_project : c->demo_project);
        s->flavor_id = "1";
        s->vm_state = VM_ACTIVE;
        struct server_port *sp = list_add(s, &s->ports, sizeof(*sp));
        sp->port_id = rec_strf(s, "p%d", i);
        put(c, s);
        snprintf(id, sizeof(id), "p%d", i);
        struct port *p = record_new(&kind_port, id);
        p->network_id = "n";
        p->mac_address = "fa:16:3e:00:00:01";
        struct fixed_ip *ip = list_add(p, &p->fixed_ips, sizeof(*ip));
        ip->ip_address = "10.0.0.1";
        strs_add(p, &p->security_group_ids, "g");
        put(c, p);
        struct floating_ip *fl = record_new(&kind_floating_ip, id);
        fl->address = "203.0.113.5";
        fl->port_id = "p0";
        put(c, fl);
    }
}

static unsigned below(struct api_client *c, unsigned n)
{
    return (unsigned)env_random_below(&c->env, n);
}

/* One thing that a server shows, changed. */
static void change(struct api_client *c, unsigned step)
{
    struct snapshot *snap = api_snapshot(c);
    char name[24], port[24], server[24];
    snprintf(name, sizeof(name), "name-%u", step);
    snprintf(port, sizeof(port), "p%u", below(c, SERVERS));
    snprintf(server, sizeof(server), "s%u", below(c, SERVERS));
    switch (below(c, 6)) {
    case 0: {
        struct server *s = record_copy(snap_get(snap, &kind_server, server));
        s->name = rec_str(s, name);
        put(c, s);
        break;
    }
    case 1: {
        struct port *p = record_copy(snap_get(snap, &kind_port, port));
        p->mac_address = rec_str(p, name);
        put(c, p);
        break;
    }
    case 2: {
        struct network *n = record_copy(snap_get(snap, &kind_network, "n"));
        n->name = rec_str(n, name);
        put(c, n);
        break;
    }
    case 3: {
        struct security_group *g =
            record_copy(snap_get(snap, &kind_security_group, "g"));
        g->name = rec_str(g, name);
        put(c, g);
        break;
    }
    case 4: {
        struct floating_ip *f =
            record_copy(snap_get(snap, &kind_floating_ip, port));
        f->port_id = rec_strf(f, "p%u", below(c, SERVERS));
        put(c, f);
        break;
    }
    default: /* nothing of theirs */
        api_sleep(c, 1000);
    }
    snapshot_unref(snap);
}

static void look(struct api_client *c, const char *token, const char *version,
                 const char *path)
{
    struct fragments *kept = c->api.fragments;
    c->headers[0] = (struct param){ "OpenStack-API-Version", version };
    struct api_reply with = api_call(c, "GET", path, token, NULL);
    c->api.fragments = NULL;
    struct api_reply without = api_call(c, "GET", path, token, NULL);
    c->api.fragments = kept;
    assert_int_equal(with.status, 200);
    assert_int_equal(without.status, 200);
    assert_string_equal(with.body, without.body);
    api_reply_free(&with);
    api_reply_free(&without);
}

static void servers_as_they_are(void **state)
{
    static const char *const versions[] = { "compute 2.1", "compute 2.90" };
    struct api_client *c = api_client_new();
    c->api.fragments = fragments_new(1024 * 1024);
    put_things(c);
    for (unsigned step = 0; step < STEPS; step++) {
        for (size_t v = 0; v < 2; v++) {
            const char *who = below(c, 2) ? c->admin : c->demo;
            look(c, who, versions[v], "/compute/v2.1/servers/detail");
            look(c, c->demo, versions[v], "/compute/v2.1/servers/s0");
            look(c, c->admin, versions[v], "/compute/v2.1/servers/s0");
            look(c, c->admin, versions[v],
                 "/compute/v2.1/servers/detail?all_tenants=1&limit=4");
        }
        change(c, step);
    }
    fragments_free(c->api.fragments);
    api_client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_question_only),
        cmocka_unit_test(bounded),
        cmocka_unit_test(servers_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
