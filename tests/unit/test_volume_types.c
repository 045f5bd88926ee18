/* Volume types: what they promise of their volumes, and what is refused. */
#include "api_client.h"

#include "model/compute.h"
#include "model/pool.h"
#include "model/volume.h"

#include <stdlib.h>
#include <string.h>

#define V "/volume/v3"

static int setup(void **state)
{
    *state = api_client_new();
    return 0;
}

static int teardown(void **state)
{
    api_client_free(*state);
    return 0;
}

static void put(struct api_client *c, const void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    txn_change_record(&t, record);
    assert_true(store_commit(c->store, &t, &result));
}

/* A node whose volumes are in Ceph. */
static void with_ceph(struct api_client *c)
{
    _autorecord_ struct node *n = record_new(&kind_node, "n1");
    n->replicated = true;
    put(c, n);
}

static char *path_of(const char *fmt, const char *a, const char *b)
{
    static char path[512];
    snprintf(path, sizeof(path), fmt, a, b);
    return path;
}

/* The new type's id, to be freed. */
static char *make_type(struct api_client *c, const char *members)
{
    struct api_reply r = api_callf(c, "POST", V "/types", c->admin,
                                   "{\"volume_type\": {%s}}", members);
    assert_int_equal(r.status, 200);
    char *id = xstrdup(api_text(r.json, "volume_type.id"));
    api_reply_free(&r);
    return id;
}

static char *make_qos(struct api_client *c, const char *members)
{
    struct api_reply r = api_callf(c, "POST", V "/qos-specs", c->admin,
                                   "{\"qos_specs\": {%s}}", members);
    assert_int_equal(r.status, 200);
    char *id = xstrdup(api_text(r.json, "qos_specs.id"));
    api_reply_free(&r);
    return id;
}

static int volume_status(struct api_client *c, const char *members, char *id)
{
    struct api_reply r = api_callf(c, "POST", V "/volumes", c->demo,
                                   "{\"volume\": {\"size\": 1, %s}}", members);
    if (id && r.status == 202)
        snprintf(id, 64, "%s", api_text(r.json, "volume.id"));
    int status = r.status;
    api_reply_free(&r);
    return status;
}

/* What storage would write. */
static struct volume *settled(struct api_client *c, const char *id)
{
    _autosnap_ struct snapshot *s = api_snapshot(c);
    struct volume *v = record_copy(snap_get(s, &kind_volume, id));
    v->status = VOLUME_AVAILABLE;
    put(c, v);
    return v;
}

/* ---- tests ------------------------------------------------------------- */

static void replicated_needs_ceph(void **state)
{
    struct api_client *c = *state;
    char *rep = make_type(c, "\"name\": \"rep\", \"extra_specs\": "
                             "{\"cairn:storage\": \"replicated\"}");
    char *loc = make_type(c, "\"name\": \"own\", \"extra_specs\": "
                             "{\"cairn:storage\": \"local\"}");
    char id[64];
    api_status(c, 400, "POST", V "/types", c->admin,
               "{\"volume_type\": {\"name\": \"x\", \"extra_specs\": "
               "{\"cairn:storage\": \"tape\"}}}");
    assert_int_equal(volume_status(c, "\"volume_type\": \"rep\"", NULL), 400);
    assert_int_equal(volume_status(c, "\"volume_type\": \"own\"", NULL), 202);
    with_ceph(c);
    assert_int_equal(volume_status(c, "\"volume_type\": \"rep\"", id), 202);
    _autorecord_ struct volume *v = settled(c, id);
    assert_false(v->local);
    assert_int_equal(volume_status(c, "\"volume_type\": \"own\"", id), 202);
    _autorecord_ struct volume *w = settled(c, id);
    assert_true(w->local);
    /* A copy lies where its source does; another type only by name. */
    char members[128];
    snprintf(members, sizeof(members),
             "\"source_volid\": \"%s\", \"volume_type\": \"rep\"", id);
    assert_int_equal(volume_status(c, members, NULL), 400);
    snprintf(members, sizeof(members), "\"source_volid\": \"%s\"", id);
    assert_int_equal(volume_status(c, members, NULL), 202);
    api_status(c, 501, "POST", path_of(V "/volumes/%s/action%s", id, ""),
               c->demo, "{\"os-retype\": {\"new_type\": \"rep\"}}");
    api_status(c, 404, "POST", path_of(V "/volumes/%s/action%s", id, ""),
               c->demo, "{\"os-retype\": {\"new_type\": \"none\"}}");
    api_status(c, 202, "POST", path_of(V "/volumes/%s/action%s", id, ""),
               c->demo, "{\"os-retype\": {\"new_type\": \"local\"}}");
    free(rep);
    free(loc);
}

/* However they are changed: after it was made as when it is made. */
static void extra_specs_are_checked(void **state)
{
    struct api_client *c = *state;
    with_ceph(c);
    char *t = make_type(c, "\"name\": \"t\"");
    char all[128], one[160];
    snprintf(all, sizeof(all), V "/types/%s/extra_specs", t);
    snprintf(one, sizeof(one), "%s/cairn:storage", all);
    static const struct api_case cases[] = {
        { 400, "{\"extra_specs\": {\"cairn:storage\": \"tape\"}}" },
        { 200, "{\"extra_specs\": {\"cairn:storage\": \"local\"}}" },
        { 200, "{\"extra_specs\": {\"colour\": \"blue\"}}" },
    };
    api_each(c, "POST", all, c->admin, cases, ARRAY_SIZE(cases));
    api_status(c, 400, "PUT", one, c->admin, "{\"cairn:storage\": \"tape\"}");
    /* A volume is what its type was when it was made. */
    assert_int_equal(volume_status(c, "\"volume_type\": \"t\"", NULL), 202);
    api_status(c, 400, "DELETE", one, c->admin, NULL);
    api_status(c, 400, "PUT", one, c->admin,
               "{\"cairn:storage\": \"replicated\"}");
    api_status(c, 400, "POST", all, c->admin,
               "{\"extra_specs\": {\"multiattach\": \"<is> True\"}}");
    api_status(c, 200, "PUT", one, c->admin, "{\"cairn:storage\": \"local\"}");
    api_status(c, 200, "POST", all, c->admin,
               "{\"extra_specs\": {\"colour\": \"red\"}}");
    free(t);
}

static void qos_specs_live(void **state)
{
    struct api_client *c = *state;
    api_status(c, 403, "GET", V "/qos-specs", c->demo, NULL);
    static const struct api_case cases[] = {
        { 400, "{\"qos_specs\": {\"consumer\": \"front-end\"}}" },
        { 400, "{\"qos_specs\": {\"name\": \"\"}}" },
        { 400, "{\"qos_specs\": {\"name\": \"a\", \"consumer\": \"me\"}}" },
        { 400, "{\"qos_specs\": {\"name\": \"a\", \"consumer\": "
               "\"front-end\", \"minIOPS\": \"5\"}}" },
        { 400, "{\"qos_specs\": {\"name\": \"a\", \"consumer\": "
               "\"front-end\", \"read_iops_sec\": [1]}}" },
        { 200, "{\"qos_specs\": {\"name\": \"vendor\", \"consumer\": "
               "\"back-end\", \"minIOPS\": \"5\"}}" },
        { 409, "{\"qos_specs\": {\"name\": \"vendor\"}}" },
    };
    api_each(c, "POST", V "/qos-specs", c->admin, cases, ARRAY_SIZE(cases));
    char *id = make_qos(c, "\"name\": \"slow\", \"consumer\": \"front-end\","
                           "\"read_iops_sec\": \"20\"");
    api_status(c, 200, "PUT", path_of(V "/qos-specs/%s%s", id, ""), c->admin,
               "{\"qos_specs\": {\"write_iops_sec\": \"30\"}}");
    api_status(c, 400, "PUT", path_of(V "/qos-specs/%s%s", id, ""), c->admin,
               "{\"qos_specs\": {\"total_iops_sec\": \"30\"}}");
    api_status(c, 202, "PUT", path_of(V "/qos-specs/%s%s", id, "/delete_keys"),
               c->admin, "{\"keys\": [\"read_iops_sec\"]}");
    api_status(c, 404, "PUT", path_of(V "/qos-specs/%s%s", id, "/delete_keys"),
               c->admin, "{\"keys\": [\"read_iops_sec\"]}");
    json_t *j = api_expect(c, 200, "GET", path_of(V "/qos-specs/%s%s", id, ""),
                           c->admin, NULL);
    assert_string_equal(api_text(j, "qos_specs.specs.write_iops_sec"), "30");
    assert_null(api_at(j, "qos_specs.specs.read_iops_sec"));
    json_decref(j);
    free(id);
}

static void qos_is_a_types(void **state)
{
    struct api_client *c = *state;
    char *q = make_qos(c, "\"name\": \"slow\", \"consumer\": \"both\"");
    char *other = make_qos(c, "\"name\": \"fast\"");
    char *t = make_type(c, "\"name\": \"bronze\"");
    char query[128];
    snprintf(query, sizeof(query), "/associate?vol_type_id=%s", t);
    api_status(c, 202, "GET", path_of(V "/qos-specs/%s%s", q, query), c->admin,
               NULL);
    api_status(c, 400, "GET", path_of(V "/qos-specs/%s%s", other, query),
               c->admin, NULL);
    json_t *j = api_expect(c, 200, "GET",
                           path_of(V "/qos-specs/%s%s", q, "/associations"),
                           c->admin, NULL);
    assert_string_equal(api_text(j, "qos_associations.0.id"), t);
    json_decref(j);
    j = api_expect(c, 200, "GET", path_of(V "/types/%s%s", t, ""), c->admin,
                   NULL);
    assert_string_equal(api_text(j, "volume_type.qos_specs_id"), q);
    json_decref(j);
    api_status(c, 400, "DELETE", path_of(V "/qos-specs/%s%s", q, ""), c->admin,
               NULL);
    api_status(c, 202, "GET",
               path_of(V "/qos-specs/%s%s", q, "/disassociate_all"), c->admin,
               NULL);
    api_status(c, 202, "DELETE", path_of(V "/qos-specs/%s%s", q, ""), c->admin,
               NULL);
    api_status(c, 404, "GET", path_of(V "/qos-specs/%s%s", q, ""), c->admin,
               NULL);
    free(q);
    free(other);
    free(t);
}

#define LUKS                                                                   \
    "{\"encryption\": {\"provider\": \"luks\", \"cipher\": "                   \
    "\"aes-xts-plain64\", \"key_size\": 256, \"control_location\": "           \
    "\"front-end\"}}"

static void encryption_of_a_type(void **state)
{
    struct api_client *c = *state;
    with_ceph(c);
    char *t = make_type(c, "\"name\": \"luks\"");
    char *plain = make_type(c, "\"name\": \"plain\"");
    char id[64], path[256];
    snprintf(path, sizeof(path), V "/types/%s/encryption", t);
    static const struct api_case cases[] = {
        { 400, "{\"encryption\": {\"provider\": \"rot13\", "
               "\"control_location\": \"front-end\"}}" },
        { 400, "{\"encryption\": {\"provider\": \"luks\", "
               "\"control_location\": \"back-end\"}}" },
        { 400, "{\"encryption\": {\"provider\": \"luks\", \"key_size\": 7, "
               "\"control_location\": \"front-end\"}}" },
        { 400, "{\"encryption\": {\"provider\": \"luks\", \"cipher\": "
               "\"des\", \"control_location\": \"front-end\"}}" },
        { 200, LUKS },
        { 400, LUKS },
    };
    api_each(c, "POST", path, c->admin, cases, ARRAY_SIZE(cases));
    api_status(c, 403, "GET", path, c->demo, NULL);
    api_status(c, 400, "POST", path_of(V "/types/%s%s", t, "/extra_specs"),
               c->admin, "{\"extra_specs\": {\"cairn:storage\": \"local\"}}");
    json_t *j = api_expect(c, 200, "GET", path, c->admin, NULL);
    char enc[64];
    snprintf(enc, sizeof(enc), "%s", api_text(j, "encryption_id"));
    json_decref(j);
    assert_int_equal(volume_status(c, "\"volume_type\": \"luks\"", id), 202);
    _autorecord_ struct volume *v = settled(c, id);
    assert_string_equal(v->key_id, id);
    j = api_expect(c, 200, "GET", path_of(V "/volumes/%s%s", id, ""), c->demo,
                   NULL);
    assert_true(json_is_true(api_at(j, "volume.encrypted")));
    json_decref(j);
    /* In use: the type's encryption stays as it is. */
    char one[512];
    snprintf(one, sizeof(one), "%s/%s", path, enc);
    api_status(c, 400, "DELETE", one, c->admin, NULL);
    api_status(c, 400, "PUT", one, c->admin, LUKS);
    /* A copy has the key; one into the clear, or out of it, is refused. */
    char members[128], copy[64];
    snprintf(members, sizeof(members), "\"source_volid\": \"%s\"", id);
    assert_int_equal(volume_status(c, members, copy), 202);
    _autorecord_ struct volume *w = settled(c, copy);
    assert_string_equal(w->key_id, id);
    snprintf(members, sizeof(members),
             "\"source_volid\": \"%s\", \"volume_type\": \"plain\"", id);
    assert_int_equal(volume_status(c, members, NULL), 400);
    api_status(c, 400, "POST", path_of(V "/volumes/%s%s", id, "/action"),
               c->demo,
               "{\"os-volume_upload_image\": {\"image_name\": \"x\"}}");
    free(t);
    free(plain);
}

static void several_servers_have_one(void **state)
{
    struct api_client *c = *state;
    char id[64], path[256], body[128];
    char *t = make_type(c, "\"name\": \"multi\", \"extra_specs\": "
                           "{\"multiattach\": \"<is> True\"}");
    /* Not on one node's disk. */
    assert_int_equal(volume_status(c, "\"volume_type\": \"multi\"", NULL), 400);
    with_ceph(c);
    assert_int_equal(volume_status(c, "\"volume_type\": \"multi\"", id), 202);
    _autorecord_ struct volume *v = settled(c, id);
    assert_true(v->multiattach);
    snprintf(body, sizeof(body),
             "{\"volumeAttachment\": {\"volumeId\": \"%s\"}}", id);
    for (int i = 0; i < 2; i++) {
        char server[40];
        snprintf(server, sizeof(server),
                 "00000000-0000-4000-8000-00000000000%d", i);
        _autorecord_ struct server *s = record_new(&kind_server, server);
        s->project_id = rec_str(s, c->demo_project);
        s->name = rec_str(s, "s");
        s->vm_state = VM_ACTIVE;
        s->goal = GOAL_RUNNING;
        s->node = rec_str(s, "n1");
        put(c, s);
        snprintf(path, sizeof(path),
                 "/compute/v2.1/servers/%s/os-volume_attachments", server);
        c->headers[0] =
            (struct param){ "OpenStack-API-Version", "compute 2.59" };
        api_status(c, 400, "POST", path, c->demo, body);
        c->headers[0] =
            (struct param){ "OpenStack-API-Version", "compute 2.60" };
        api_status(c, 200, "POST", path, c->demo, body);
        api_status(c, 400, "POST", path, c->demo, body); /* it has it */
    }
    _autosnap_ struct snapshot *s = api_snapshot(c);
    const struct volume *now = snap_get(s, &kind_volume, id);
    assert_int_equal(now->attachments.n, 2);
    free(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replicated_needs_ceph), TEST(extra_specs_are_checked),
        TEST(qos_specs_live),        TEST(qos_is_a_types),
        TEST(encryption_of_a_type),  TEST(several_servers_have_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
