/* sync, ovn: wanted content against a real ovsdb-server. */
#include "network/fence.h"
#include "network/ovn.h"

#include "eventually.h"
#include "net_world.h"
#include "ovsdb_server.h"

#include <stdatomic.h>

static const struct nb_config nb = { .chassis = "node1" };

/* ---- a server, and a second pair of eyes on it ------------------------- */

struct lab {
    struct ovsdb_server *server;
    struct net_driver *driver;
    struct ovsdb *eyes;
    atomic_int heard; /* changes the driver has heard of */
};

static void hear(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void lab_open(struct lab *l)
{
    l->driver = ovn_open(&(struct ovn_config){ l->server->socket, nb, NULL });
    network_watch(l->driver, hear, &l->heard);
}

static struct lab *lab_new(void)
{
    struct lab *l = xcalloc(1, sizeof(*l));
    struct error err = { 0 };
    _autojson_ json_t *monitor = nb_monitor();
    l->server = ovsdb_server_new(NB_SCHEMA);
    lab_open(l);
    l->eyes = ovsdb_new(&(struct ovsdb_config){ .socket = l->server->socket,
                                                .database = NB_DATABASE,
                                                .monitor = monitor });
    if (!ovsdb_wait(l->eyes, 10 * SECOND_US, &err))
        fail_msg("%s", err.text);
    return l;
}

static void lab_free(struct lab *l)
{
    ovsdb_free(l->eyes);
    network_close(l->driver);
    ovsdb_server_free(l->server);
    free(l);
}

/* Writes, and waits until the driver has heard of it. */
static void lab_write(struct lab *l, const char *ops_text)
{
    struct error err = { 0 };
    _autojson_ json_t *ops = json_loads(ops_text, 0, NULL);
    assert_non_null(ops);
    int heard = atomic_load(&l->heard);
    if (!ovsdb_transact(l->eyes, ops, 10 * SECOND_US, NULL, &err))
        fail_msg("%s", err.text);
    eventually(atomic_load(&l->heard) != heard);
}

/* What the database holds now, asked for anew: independent of monitors. */
static json_t *lab_rows(struct lab *l, const char *table)
{
    struct error err = { 0 };
    json_t *results = NULL;
    _autojson_ json_t *ops =
        json_pack("[{s:s,s:s,s:[]}]", "op", "select", "table", table, "where");
    if (!ovsdb_transact(l->eyes, ops, 10 * SECOND_US, &results, &err))
        fail_msg("%s", err.text);
    json_t *rows =
        json_incref(json_object_get(json_array_get(results, 0), "rows"));
    json_decref(results);
    return rows;
}

/* A copy of the row's key, or NULL when it is not ours. */
static char *row_key(const json_t *row)
{
    _autojson_ json_t *ids =
        ovsdb_value_canonical(json_object_get(row, "external_ids"));
    const char *key = ovsdb_map_get(ids, NB_ID);
    return key ? xstrdup(key) : NULL;
}

static json_t *lab_find(const json_t *rows, const char *want)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        _autofree_ char *key = row_key(row);
        if (key && !strcmp(key, want))
            return row;
    }
    return NULL;
}

/* Its server is being started, or has been away for long. */
static bool is_away(const struct error *err)
{
    return err->code == ERR_BUSY || err->code == ERR_UNAVAILABLE;
}

static void apply(struct lab *l, struct world *w)
{
    struct error err = { 0 };
    _autosnap_ struct snapshot *s = cache_snapshot(w->cache);
    bool ok = false;
    eventually((ok = network_apply(l->driver, s, &err)) || !is_away(&err));
    if (!ok)
        fail_msg("%s", err.text);
}

/* The keys of the rows that a value refers to, in order: of a wanted value
 * ["ref", table, key], or of uuids that the database holds. */
static json_t *refers_to(const json_t *value, const json_t *all_keys)
{
    json_t *keys = json_array();
    bool one = json_is_string(json_array_get(value, 0)) &&
               !strcmp(json_string_value(json_array_get(value, 0)), "ref");
    const json_t *e;
    for (size_t i = 0; !one && (e = ovsdb_set_at(value, i)); i++) {
        const char *uuid = ovsdb_value_uuid(e);
        json_array_append(keys, uuid ? json_object_get(all_keys, uuid)
                                     : json_array_get(e, 2));
    }
    if (one)
        json_array_append(keys, json_array_get(value, 2));
    return ovsdb_set(keys);
}

static bool has_ref(const json_t *value)
{
    _autofree_ char *text = json_dumps(value, JSON_ENCODE_ANY);
    return strstr(text, "[\"ref\"");
}

static bool same(const json_t *is, const json_t *wanted, const json_t *keys)
{
    if (!has_ref(wanted))
        return json_equal(is, wanted);
    _autojson_ json_t *a = refers_to(is, keys);
    _autojson_ json_t *b = refers_to(wanted, keys);
    return json_equal(a, b);
}

/* uuid -> key of all rows of ours. */
static json_t *lab_keys(struct lab *l)
{
    json_t *keys = json_object();
    for (int t = 0; t < NB_N_TABLES; t++) {
        _autojson_ json_t *rows = lab_rows(l, nb_tables[t].name);
        for (size_t i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i);
            _autofree_ char *key = row_key(row);
            if (key)
                json_object_set_new(
                    keys, ovsdb_value_uuid(json_object_get(row, "_uuid")),
                    json_string(key));
        }
    }
    return keys;
}

/* Every wanted row is there with the wanted values, and no other of ours. */
static void check_content(struct lab *l, struct world *w)
{
    _autosnap_ struct snapshot *s = cache_snapshot(w->cache);
    _autojson_ json_t *content = nb_derive(s, &nb);
    _autojson_ json_t *keys = lab_keys(l);
    for (int t = 0; t < NB_N_TABLES; t++) {
        const char *table = nb_tables[t].name, *key, *column;
        json_t *entry, *value;
        _autojson_ json_t *rows = lab_rows(l, table);
        json_t *wanted = json_object_get(content, table);
        size_t ours = 0;
        for (size_t i = 0; i < json_array_size(rows); i++) {
            _autofree_ char *id = row_key(json_array_get(rows, i));
            ours += id != NULL;
        }
        assert_int_equal(ours, json_object_size(wanted));
        json_object_foreach(wanted, key, entry)
        {
            json_t *row = lab_find(rows, key);
            assert_non_null(row);
            json_object_foreach(json_object_get(entry, "row"), column, value)
            {
                _autojson_ json_t *is =
                    ovsdb_value_canonical(json_object_get(row, column));
                if (!same(is, value, keys))
                    fail_msg("%s %s: %s differs", table, key, column);
            }
        }
    }
}

/* ---- tests ------------------------------------------------------------- */

static void test_apply_and_rest(void **state)
{
    struct lab *l = lab_new();
    struct world w = world_small();
    apply(l, &w);
    check_content(l, &w);
    struct sync_stats first = ovn_stats(l->driver);
    assert_int_equal(first.transactions, 1);
    /* Nothing changed: nothing is written, also by a driver that starts. */
    apply(l, &w);
    assert_int_equal(ovn_stats(l->driver).transactions, 1);
    network_close(l->driver);
    lab_open(l);
    apply(l, &w);
    assert_int_equal(ovn_stats(l->driver).transactions, 0);
    /* One port changes: one row is written. */
    struct port *p = world_edit(&w, &kind_port, "vm");
    p->admin_state_up = false;
    world_put(&w, p);
    apply(l, &w);
    assert_int_equal(ovn_stats(l->driver).transactions, 1);
    assert_int_equal(ovn_stats(l->driver).rows, 1);
    check_content(l, &w);
    world_free(&w);
    lab_free(l);
}

/* References lead where they should. */
static void test_references(void **state)
{
    struct lab *l = lab_new();
    struct world w = world_small();
    apply(l, &w);
    _autojson_ json_t *ports = lab_rows(l, "Logical_Switch_Port");
    _autojson_ json_t *dhcp = lab_rows(l, "DHCP_Options");
    _autojson_ json_t *groups = lab_rows(l, "Port_Group");
    _autojson_ json_t *switches = lab_rows(l, "Logical_Switch");
    json_t *vm = lab_find(ports, "vm");
    json_t *vm_id = json_object_get(vm, "_uuid");
    assert_true(json_equal(json_object_get(vm, "dhcpv4_options"),
                           json_object_get(lab_find(dhcp, "sub"), "_uuid")));
    assert_true(json_equal(
        json_object_get(lab_find(groups, "default"), "ports"), vm_id));
    assert_true(ovsdb_set_has(
        json_object_get(lab_find(switches, "net"), "ports"), vm_id));
    world_free(&w);
    lab_free(l);
}

/* Somebody meddles: ours is mended, theirs is left alone. */
static void test_meddling(void **state)
{
    struct lab *l = lab_new();
    struct world w = world_small();
    apply(l, &w);
    lab_write(l, "[{\"op\":\"insert\",\"table\":\"Logical_Switch\","
                 "\"row\":{\"name\":\"theirs\"}},"
                 "{\"op\":\"insert\",\"table\":\"Logical_Switch_Port\","
                 "\"uuid-name\":\"p\",\"row\":{\"name\":\"guest\"}},"
                 "{\"op\":\"mutate\",\"table\":\"Logical_Switch\","
                 "\"where\":[[\"name\",\"==\",\"cairn-net\"]],"
                 "\"mutations\":[[\"ports\",\"insert\","
                 "[\"named-uuid\",\"p\"]]]},"
                 "{\"op\":\"update\",\"table\":\"ACL\",\"where\":[],"
                 "\"row\":{\"action\":\"allow\"}},"
                 "{\"op\":\"delete\",\"table\":\"DHCP_Options\","
                 "\"where\":[]},"
                 "{\"op\":\"update\",\"table\":\"Logical_Router\","
                 "\"where\":[],\"row\":{\"nat\":[\"set\",[]]}}]");
    apply(l, &w);
    check_content(l, &w);
    _autojson_ json_t *switches = lab_rows(l, "Logical_Switch");
    _autojson_ json_t *ports = lab_rows(l, "Logical_Switch_Port");
    assert_int_equal(json_array_size(switches), 3);
    assert_int_equal(json_array_size(ports), 6);
    /* All of ours goes, none of theirs. */
    struct world nothing = world_new();
    world_follow(&nothing);
    apply(l, &nothing);
    check_content(l, &nothing);
    _autojson_ json_t *left = lab_rows(l, "Logical_Switch");
    assert_int_equal(json_array_size(left), 1);
    world_free(&nothing);
    world_free(&w);
    lab_free(l);
}

/* An empty database is filled again; so is one that is rebuilt. */
static void test_rebuild(void **state)
{
    struct lab *l = lab_new();
    struct world w = world_small();
    struct error err = { 0 };
    apply(l, &w);
    lab_write(l, "[{\"op\":\"delete\",\"table\":\"Logical_Switch\","
                 "\"where\":[]},{\"op\":\"delete\",\"table\":"
                 "\"Logical_Router\",\"where\":[]},{\"op\":\"delete\","
                 "\"table\":\"Port_Group\",\"where\":[]}]");
    apply(l, &w);
    check_content(l, &w);
    _autojson_ json_t *before = lab_rows(l, "Logical_Switch");
    struct snapshot *s = cache_snapshot(w.cache);
    assert_true(network_rebuild(l->driver, s, &err));
    snapshot_unref(s);
    check_content(l, &w);
    _autojson_ json_t *after = lab_rows(l, "Logical_Switch");
    assert_false(json_equal(json_object_get(lab_find(before, "net"), "_uuid"),
                            json_object_get(lab_find(after, "net"), "_uuid")));
    world_free(&w);
    lab_free(l);
}

/* ---- who may write ----------------------------------------------------- */

static int64_t term_at(void *arg)
{
    return *(int64_t *)arg;
}

/* A lab whose driver leads in the term that `term` holds. */
static struct lab *lab_new_led(int64_t *term)
{
    struct lab *l = lab_new();
    network_close(l->driver);
    l->driver = ovn_open(&(struct ovn_config){
        l->server->socket, nb, .term = term_at, .term_arg = term });
    network_watch(l->driver, hear, &l->heard);
    return l;
}

static int64_t owner(struct lab *l)
{
    const json_t *replica = ovsdb_lock(l->eyes, NULL);
    assert_non_null(replica);
    int64_t term = fence_term(replica);
    ovsdb_unlock(l->eyes);
    return term;
}

static json_t *claim(struct lab *l, int64_t term)
{
    const json_t *replica = ovsdb_lock(l->eyes, NULL);
    assert_non_null(replica);
    json_t *ops = fence_claim(replica, term);
    ovsdb_unlock(l->eyes);
    return ops;
}

/* The database follows the leaders, and what it says of others stays. */
static void test_leaders_take_over(void **state)
{
    int64_t term = 5;
    struct lab *l = lab_new_led(&term);
    struct world w = world_small();
    apply(l, &w);
    check_content(l, &w);
    eventually(owner(l) == 5);
    lab_write(l, "[{\"op\":\"mutate\",\"table\":\"NB_Global\",\"where\":[],"
                 "\"mutations\":[[\"external_ids\",\"insert\","
                 "[\"map\",[[\"theirs\",\"yes\"]]]]]}]");
    term = 7;
    world_delete(&w, &kind_port, "vm");
    apply(l, &w);
    check_content(l, &w);
    eventually(owner(l) == 7);
    _autojson_ json_t *global = lab_rows(l, "NB_Global");
    _autojson_ json_t *ids = ovsdb_value_canonical(
        json_object_get(json_array_get(global, 0), "external_ids"));
    assert_string_equal(ovsdb_map_get(ids, "theirs"), "yes");
    world_free(&w);
    lab_free(l);
}

/* It still thinks that it leads: the database has a later leader. */
static void test_a_stale_leader_writes_nothing(void **state)
{
    int64_t term = 5;
    struct lab *l = lab_new_led(&term);
    struct world w = world_small();
    struct error err = { 0 };
    apply(l, &w);
    _autojson_ json_t *later = claim(l, 7);
    assert_true(ovsdb_transact(l->eyes, later, 10 * SECOND_US, NULL, &err));
    /* What it has begun arrives after the other has taken over. */
    struct world nothing = world_new();
    world_follow(&nothing);
    struct snapshot *s = cache_snapshot(nothing.cache);
    _autojson_ json_t *content = nb_derive(s, &nb);
    _autojson_ json_t *fence = fence_check(term);
    assert_false(sync_apply(l->eyes, content, fence, NULL, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    check_content(l, &w);
    /* Having heard of it, it does not begin. */
    eventually(!network_apply(l->driver, s, &err) &&
               strstr(err.text, "belongs to term 7"));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    check_content(l, &w);
    /* Two that take over at once: one of them does. */
    _autojson_ json_t *first = claim(l, 8);
    _autojson_ json_t *second = claim(l, 9);
    assert_true(ovsdb_transact(l->eyes, first, 10 * SECOND_US, NULL, &err));
    assert_false(ovsdb_transact(l->eyes, second, 10 * SECOND_US, NULL, &err));
    assert_int_equal(owner(l), 8);
    snapshot_unref(s);
    world_free(&nothing);
    world_free(&w);
    lab_free(l);
}

/* A row that is refused is named and holds up nothing else. */
static void test_refused_row(void **state)
{
    struct lab *l = lab_new();
    struct world w = world_small();
    struct error err = { 0 };
    lab_write(l, "[{\"op\":\"insert\",\"table\":\"Port_Group\","
                 "\"row\":{\"name\":\"pg_default\"}}]");
    struct snapshot *s = cache_snapshot(w.cache);
    eventually(network_apply(l->driver, s, &err) || !is_away(&err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "Port_Group/default"));
    _autojson_ json_t *acls = lab_rows(l, "ACL");
    _autojson_ json_t *nat = lab_rows(l, "NAT");
    assert_non_null(lab_find(acls, "drop/ingress"));
    assert_null(lab_find(acls, "ssh"));
    assert_int_equal(json_array_size(nat), 2);
    lab_write(l, "[{\"op\":\"delete\",\"table\":\"Port_Group\",\"where\":"
                 "[[\"name\",\"==\",\"pg_default\"]]}]");
    assert_true(network_apply(l->driver, s, &err));
    snapshot_unref(s);
    check_content(l, &w);
    world_free(&w);
    lab_free(l);
}

static void test_port_state(void **state)
{
    struct lab *l = lab_new();
    struct world w = world_small();
    apply(l, &w);
    assert_int_equal(network_port_state(l->driver, "vm"), PORT_DOWN);
    assert_int_equal(network_port_state(l->driver, "nobody"), PORT_ABSENT);
    lab_write(l, "[{\"op\":\"update\",\"table\":\"Logical_Switch_Port\","
                 "\"where\":[[\"name\",\"==\",\"vm\"]],"
                 "\"row\":{\"up\":true}}]");
    eventually(network_port_state(l->driver, "vm") == PORT_UP);
    /* `up` is OVN's: an apply leaves it as it is. */
    apply(l, &w);
    assert_int_equal(network_port_state(l->driver, "vm"), PORT_UP);
    ovsdb_server_kill(l->server);
    eventually(network_port_state(l->driver, "vm") == PORT_UNKNOWN);
    /* For some seconds that is no failure to warn of. */
    struct error err = { 0 };
    struct snapshot *s = cache_snapshot(w.cache);
    assert_false(network_apply(l->driver, s, &err));
    assert_int_equal(err.code, ERR_BUSY);
    snapshot_unref(s);
    ovsdb_server_start(l->server);
    world_free(&w);
    lab_free(l);
}

/* ---- any records at all ------------------------------------------------ */

static uint64_t seed;

static uint64_t rnd(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

static void random_network(struct world *w, const char *id)
{
    char sub[64], cidr[32], gateway[32];
    uint64_t net = rnd(250);
    struct network *n = draft_network(id);
    if (rnd(3) == 0)
        n->physical_network = rec_str(n, "physnet1");
    if (rnd(2)) {
        n->provider_type = rec_str(n, "vlan");
        n->segmentation_id = (int64_t)rnd(4096);
    }
    world_put(w, n);
    snprintf(sub, sizeof(sub), "%s-sub", id);
    snprintf(cidr, sizeof(cidr), "10.%d.0.0/24", (int)net);
    snprintf(gateway, sizeof(gateway), "10.%d.0.1", (int)net);
    struct subnet *s = draft_subnet(sub, id, cidr, rnd(4) ? gateway : NULL);
    s->enable_dhcp = rnd(3);
    world_put(w, s);
}

static void random_port(struct world *w, int i)
{
    static const char *const owners[] = { "compute:nova", "",
                                          OWNER_ROUTER,   OWNER_GATEWAY,
                                          OWNER_METADATA, OWNER_FLOATINGIP };
    char id[32], network[32], sub[64], mac[32], ip[32];
    snprintf(id, sizeof(id), "port%d", i);
    snprintf(network, sizeof(network), "net%d", (int)rnd(6));
    snprintf(sub, sizeof(sub), "%s-sub", network);
    snprintf(mac, sizeof(mac), "fa:16:3e:00:00:%02x", i);
    snprintf(ip, sizeof(ip), "10.1.%d.%d", (int)rnd(3), i);
    struct port *p = draft_port(id, network, mac, sub, rnd(5) ? ip : NULL);
    p->port_security_enabled = rnd(4);
    for (uint64_t g = rnd(3); g; g--)
        strs_add(p, &p->security_group_ids, rnd(2) ? "sg0" : "sg1");
    draft_owned(p, owners[rnd(ARRAY_SIZE(owners))],
                rnd(2) ? "router0" : "router1");
    if (rnd(2))
        p->dns_name = rec_strf(p, "host%d", i);
    world_put(w, p);
}

static void random_router(struct world *w, const char *id)
{
    struct router *r = record_new(&kind_router, id);
    r->admin_state_up = rnd(2);
    r->enable_snat = rnd(2);
    r->gateway_port_id = rec_strf(r, "port%d", (int)rnd(30));
    for (uint64_t n = rnd(3); n; n--) {
        struct host_route *h = list_add(r, &r->routes, sizeof(*h));
        h->destination = rec_strf(r, "10.%d.0.0/16", (int)rnd(200));
        h->nexthop = rec_str(r, "10.1.0.9");
    }
    world_put(w, r);
}

static void random_group(struct world *w, const char *id)
{
    static const char *const protocols[] = { "tcp", "udp", "icmp", "47", "?" };
    struct security_group *g = record_new(&kind_security_group, id);
    world_put(w, g);
    for (uint64_t i = rnd(6); i; i--) {
        char rule[64];
        snprintf(rule, sizeof(rule), "%s-%d", id, (int)i);
        struct security_group_rule *r =
            draft_rule(rule, id, rnd(2) ? "ingress" : "egress");
        if (rnd(2))
            r->protocol = rec_str(r, protocols[rnd(ARRAY_SIZE(protocols))]);
        if (rnd(2))
            r->remote_group_id = rec_str(r, rnd(2) ? "sg0" : "sg1");
        world_put(w, r);
    }
}

static void random_floating_ip(struct world *w, const char *id)
{
    struct floating_ip *f = record_new(&kind_floating_ip, id);
    f->address = rec_strf(f, "172.24.4.%d", 20 + (int)rnd(200));
    f->router_id = rec_str(f, rnd(2) ? "router0" : "router1");
    f->port_id = rnd(3) ? rec_str(f, "port1") : NULL;
    f->fixed_address = rec_str(f, "10.1.0.1");
    world_put(w, f);
}

/* Makes, changes or removes things; ids meet each other by chance. */
static void random_changes(struct world *w, int steps)
{
    static const struct kind *const kinds[] = {
        &kind_network, &kind_subnet,         &kind_port,
        &kind_router,  &kind_security_group, &kind_floating_ip,
    };
    static const char *const names[] = { "net",    "net", "port",
                                         "router", "sg",  "fip" };
    while (steps--) {
        char id[32];
        size_t k = rnd(ARRAY_SIZE(kinds));
        int i = (int)rnd(k == 2 ? 30 : k == 0 ? 6 : 2);
        snprintf(id, sizeof(id), k == 1 ? "%s%d-sub" : "%s%d", names[k], i);
        if (rnd(4) == 0)
            world_delete(w, kinds[k], id);
        else if (k < 2)
            snprintf(id, sizeof(id), "net%d", i), random_network(w, id);
        else if (k == 2)
            random_port(w, i);
        else if (k == 3)
            random_router(w, id);
        else if (k == 4)
            random_group(w, id);
        else
            random_floating_ip(w, id);
    }
}

static void test_any_records(void **state)
{
    struct lab *l = lab_new();
    for (int run = 0; run < 8; run++) {
        struct world w = world_new();
        seed = 0x9e3779b97f4a7c15u + (uint64_t)run;
        world_follow(&w);
        for (int step = 0; step < 6; step++) {
            random_changes(&w, 60);
            apply(l, &w);
            check_content(l, &w);
            uint64_t was = ovn_stats(l->driver).transactions;
            lab_write(l, "[{\"op\":\"insert\",\"table\":\"DNS\","
                         "\"row\":{}}]"); /* so that it looks again */
            apply(l, &w);
            assert_int_equal(ovn_stats(l->driver).transactions, was);
        }
        world_free(&w);
    }
    lab_free(l);
}

/* Batches that are far too small come to the same end. */
static void test_small_batches(void **state)
{
    struct ovsdb_server *server = ovsdb_server_new(NB_SCHEMA);
    struct world w = world_small();
    struct error err = { 0 };
    _autojson_ json_t *monitor = nb_monitor();
    struct snapshot *s = cache_snapshot(w.cache);
    _autojson_ json_t *content = nb_derive(s, &nb);
    snapshot_unref(s);
    struct ovsdb *db =
        ovsdb_new(&(struct ovsdb_config){ .socket = server->socket,
                                          .database = NB_DATABASE,
                                          .monitor = monitor });
    assert_true(ovsdb_wait(db, 10 * SECOND_US, &err));
    int rounds = 0;
    for (;; rounds++) {
        const json_t *replica = ovsdb_lock(db, NULL);
        struct sync_batch b = sync_diff(replica, content, 1, NULL);
        ovsdb_unlock(db);
        if (!b.ops)
            break;
        assert_int_equal(b.units, 1);
        if (!ovsdb_transact(db, b.ops, 10 * SECOND_US, NULL, &err))
            fail_msg("%s", err.text);
        sync_batch_free(&b);
    }
    size_t rows = 0;
    for (int t = 0; t < NB_N_TABLES; t++)
        rows += json_object_size(json_object_get(content, nb_tables[t].name));
    assert_int_equal(rounds, rows);
    ovsdb_free(db);
    world_free(&w);
    ovsdb_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply_and_rest),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_meddling),
        cmocka_unit_test(test_rebuild),
        cmocka_unit_test(test_leaders_take_over),
        cmocka_unit_test(test_a_stale_leader_writes_nothing),
        cmocka_unit_test(test_refused_row),
        cmocka_unit_test(test_port_state),
        cmocka_unit_test(test_any_records),
        cmocka_unit_test(test_small_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
