/* The Block Storage API: what clients send, and what must not get through. */
#include "api_client.h"

#include "model/image.h"
#include "model/pool.h"
#include "model/volume.h"

#include <stdlib.h>
#include <string.h>

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

static const char *path_of(const char *collection, const char *id,
                           const char *tail)
{
    static char path[256];
    snprintf(path, sizeof(path), "/volume/v3/%s/%s%s", collection, id, tail);
    return path;
}

static void version(struct api_client *c, const char *text)
{
    c->headers[0] = (struct param){ "OpenStack-API-Version", text };
}

/* Creates; the new thing's id, to be freed. */
static char *make(struct api_client *c, const char *token,
                  const char *collection, const char *what, const char *body)
{
    char path[128], key[64];
    snprintf(path, sizeof(path), "/volume/v3/%s", collection);
    snprintf(key, sizeof(key), "%s.id", what);
    json_t *j = api_expect(c, 202, "POST", path, token, body);
    char *id = xstrdup(api_text(j, key));
    json_decref(j);
    return id;
}

static char *make_volume(struct api_client *c, const char *token,
                         const char *members)
{
    char body[1024];
    snprintf(body, sizeof(body), "{\"volume\": {%s}}", members);
    return make(c, token, "volumes", "volume", body);
}

static char *make_snapshot(struct api_client *c, const char *volume)
{
    char body[256];
    snprintf(body, sizeof(body), "{\"snapshot\": {\"volume_id\": \"%s\"}}",
             volume);
    return make(c, c->demo, "snapshots", "snapshot", body);
}

/* What storage and compute would write. */
static void set_status(struct api_client *c, const struct kind *kind,
                       const char *id, int status)
{
    struct snapshot *s = api_snapshot(c);
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    void *rec = record_copy(snap_get(s, kind, id));
    *(int *)field_ptr(rec, schema_field(&kind->schema, "status")) = status;
    txn_change_record(&t, rec);
    assert_true(store_commit(c->store, &t, &result));
    record_unref(rec);
    snapshot_unref(s);
}

static int status_of(struct api_client *c, const struct kind *kind,
                     const char *id)
{
    struct snapshot *s = api_snapshot(c);
    const void *rec = snap_get(s, kind, id);
    int status =
        rec ? *(int *)field_ptr(rec, schema_field(&kind->schema, "status"))
            : -1;
    snapshot_unref(s);
    return status;
}

static char *ready_volume(struct api_client *c, const char *members)
{
    char *id = make_volume(c, c->demo, members);
    set_status(c, &kind_volume, id, VOLUME_AVAILABLE);
    return id;
}

static void attach(struct api_client *c, const char *id)
{
    struct snapshot *s = api_snapshot(c);
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    struct volume *v = record_copy(snap_get(s, &kind_volume, id));
    struct volume_attachment *a = list_add(v, &v->attachments, sizeof(*a));
    a->attachment_id = rec_str(v, "a7700000-0000-4000-8000-000000000001");
    a->server_id = rec_str(v, "5e700000-0000-4000-8000-000000000001");
    a->device = rec_str(v, "/dev/vdb");
    a->attached = c->time;
    v->status = VOLUME_IN_USE;
    txn_change_record(&t, v);
    assert_true(store_commit(c->store, &t, &result));
    record_unref(v);
    snapshot_unref(s);
}

static int64_t used(struct api_client *c, const char *name)
{
    struct snapshot *s = api_snapshot(c);
    int64_t n = quota_used(s, "volume", c->demo_project, name);
    snapshot_unref(s);
    return n;
}

static void make_image(struct api_client *c, const char *id, const char *owner,
                       const char *visibility, int status, int64_t size,
                       int64_t min_disk)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    struct image *im = record_new(&kind_image, id);
    im->owner = rec_str(im, owner);
    im->visibility = rec_str(im, visibility);
    im->name = rec_str(im, "an image");
    im->status = status;
    im->virtual_size = size;
    im->min_disk_gb = min_disk;
    map_put(im, &im->properties, "hw_disk_bus", "scsi");
    txn_change_record(&t, im);
    assert_true(store_commit(c->store, &t, &result));
    record_unref(im);
}

/* ---- tests -------------------------------------------------------------- */

static void test_discovery(void **state)
{
    struct api_client *c = *state;
    json_t *j = api_expect(c, 300, "GET", "/volume/", NULL, NULL);
    assert_string_equal(api_text(j, "versions.0.id"), "v3.0");
    json_decref(j);
    j = api_expect(c, 200, "GET", "/volume/v3/", NULL, NULL);
    assert_string_equal(api_text(j, "versions.0.links.0.href"),
                        "https://cairn.test/volume/v3/");
    json_decref(j);
    version(c, "volume 3.99");
    api_status(c, 300, "GET", "/volume/", c->demo, NULL);
    api_status(c, 406, "GET", "/volume/v3/volumes", c->demo, NULL);
    version(c, "volume x");
    api_status(c, 400, "GET", "/volume/v3/volumes", c->demo, NULL);
    version(c, NULL);
    api_status(c, 401, "GET", "/volume/v3/volumes", NULL, NULL);
    api_status(c, 404, "GET", "/volume/v3/backups", c->demo, NULL);
}

static void test_create_and_show(void **state)
{
    struct api_client *c = *state;
    char *id = make_volume(c, c->demo,
                           "\"size\": 3, \"name\": \"data\", \"metadata\":"
                           " {\"k\": \"v\"}, \"consistencygroup_id\": null,"
                           " \"snapshot_id\": null, \"imageRef\": null");
    char path[256];
    snprintf(path, sizeof(path), "/volume/v3/%s/volumes/%s", c->demo_project,
             id);
    json_t *j = api_expect(c, 200, "GET", path, c->demo, NULL);
    assert_string_equal(api_text(j, "volume.status"), "creating");
    assert_string_equal(api_text(j, "volume.volume_type"), "local");
    assert_string_equal(api_text(j, "volume.availability_zone"), "nova");
    assert_string_equal(api_text(j, "volume.bootable"), "false");
    assert_string_equal(api_text(j, "volume.metadata.k"), "v");
    assert_string_equal(api_text(j, "volume.user_id"), c->demo_user);
    assert_null(api_at(j, "volume.os-vol-host-attr:host"));
    assert_int_equal(json_integer_value(api_at(j, "volume.size")), 3);
    json_decref(j);
    assert_int_equal(used(c, "volumes"), 1);
    assert_int_equal(used(c, "gigabytes"), 3);
    free(id);
}

static void test_bad_bodies(void **state)
{
    struct api_client *c = *state;
    static const struct api_case bad[] = {
        { 400, "{\"volume\": " },
        { 400, "{}" },
        { 400, "{\"volume\": []}" },
        { 400, "{\"volume\": {}}" },
        { 400, "{\"volume\": {\"size\": 0}}" },
        { 400, "{\"volume\": {\"size\": -1}}" },
        { 400, "{\"volume\": {\"size\": 1.5}}" },
        { 400, "{\"volume\": {\"size\": \"many\"}}" },
        { 400, "{\"volume\": {\"size\": 99999999999}}" },
        { 400, "{\"volume\": {\"size\": 1, \"name\": {}}}" },
        { 400, "{\"volume\": {\"size\": 1, \"metadata\": {\"a\": 1}}}" },
        { 400, "{\"volume\": {\"size\": 1, \"imageRef\": \"x\"}}" },
        { 400, "{\"volume\": {\"size\": 1, \"multiattach\": true}}" },
        { 400, "{\"volume\": {\"size\": 1, \"backup_id\": \"b\"}}" },
        { 400, "{\"volume\": {\"size\": 1, \"availability_zone\": \"mars\"}}" },
        { 400, "{\"volume\": {\"size\": 1, \"imageRef\":"
               " \"00000000-0000-4000-8000-000000000001\"}}" },
        { 404, "{\"volume\": {\"size\": 1, \"volume_type\": \"gold\"}}" },
        { 404, "{\"volume\": {\"size\": 1, \"snapshot_id\":"
               " \"00000000-0000-4000-8000-000000000001\"}}" },
        { 404, "{\"volume\": {\"source_volid\":"
               " \"00000000-0000-4000-8000-000000000001\"}}" },
        { 413, "{\"volume\": {\"size\": 1001}}" },
    };
    api_each(c, "POST", "/volume/v3/volumes", c->demo, bad, ARRAY_SIZE(bad));
    char body[600], name[301];
    memset(name, 'n', 300);
    name[300] = '\0';
    snprintf(body, sizeof(body),
             "{\"volume\": {\"size\": 1, \"name\": \"%s\"}}", name);
    api_status(c, 400, "POST", "/volume/v3/volumes", c->demo, body);
    assert_int_equal(used(c, "volumes"), 0);
}

static void test_from_image(void **state)
{
    struct api_client *c = *state;
    const char *id = "1a000000-0000-4000-8000-000000000001";
    const char *big = "1a000000-0000-4000-8000-000000000002";
    const char *theirs = "1a000000-0000-4000-8000-000000000003";
    const char *raw = "1a000000-0000-4000-8000-000000000004";
    int64_t gib = INT64_C(1) << 30;
    make_image(c, id, c->admin_project, "public", IMAGE_ACTIVE, gib + 1, 0);
    make_image(c, big, c->demo_project, "private", IMAGE_ACTIVE, gib, 5);
    make_image(c, theirs, c->admin_project, "private", IMAGE_ACTIVE, 1, 0);
    make_image(c, raw, c->demo_project, "private", IMAGE_QUEUED, 0, 0);
    static const struct {
        int size;
        int image, status;
    } tries[] = {
        { 1, 1, 400 }, { 2, 1, 202 }, { 4, 2, 400 },
        { 5, 2, 202 }, { 9, 3, 400 }, { 9, 4, 400 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
        struct api_reply r =
            api_callf(c, "POST", "/volume/v3/volumes", c->demo,
                      "{\"volume\": {\"size\": %d, \"imageRef\":"
                      " \"1a000000-0000-4000-8000-00000000000%d\"}}",
                      tries[i].size, tries[i].image);
        assert_int_equal(r.status, tries[i].status);
        if (r.status == 202) {
            assert_string_equal(api_text(r.json, "volume.bootable"), "true");
            assert_string_equal(
                api_text(r.json, "volume.volume_image_metadata.hw_disk_bus"),
                "scsi");
        }
        api_reply_free(&r);
    }
}

static void test_copies(void **state)
{
    struct api_client *c = *state;
    char members[128];
    char *v = ready_volume(c, "\"size\": 4, \"metadata\": {}");
    char *sn = make_snapshot(c, v);
    assert_int_equal(used(c, "snapshots"), 1);
    assert_int_equal(used(c, "gigabytes"), 8);
    snprintf(members, sizeof(members),
             "{\"volume\": {\"snapshot_id\": \"%s\"}}", sn);
    api_status(c, 400, "POST", "/volume/v3/volumes", c->demo, members);
    set_status(c, &kind_snapshot, sn, SNAPSHOT_AVAILABLE);
    snprintf(members, sizeof(members), "\"snapshot_id\": \"%s\"", sn);
    char *copy = make_volume(c, c->demo, members);
    api_status(c, 400, "DELETE", path_of("snapshots", sn, ""), c->demo, NULL);
    set_status(c, &kind_volume, copy, VOLUME_AVAILABLE);
    json_t *j =
        api_expect(c, 200, "GET", path_of("volumes", copy, ""), c->demo, NULL);
    assert_int_equal(json_integer_value(api_at(j, "volume.size")), 4);
    assert_string_equal(api_text(j, "volume.snapshot_id"), sn);
    json_decref(j);
    snprintf(members, sizeof(members), "\"source_volid\": \"%s\", \"size\": 5",
             copy);
    char *clone = make_volume(c, c->demo, members);
    api_status(c, 400, "DELETE", path_of("volumes", copy, ""), c->demo, NULL);
    snprintf(members, sizeof(members),
             "{\"volume\": {\"source_volid\": \"%s\", \"size\": 3}}", copy);
    api_status(c, 400, "POST", "/volume/v3/volumes", c->demo, members);
    attach(c, v);
    snprintf(members, sizeof(members),
             "{\"volume\": {\"source_volid\": \"%s\"}}", v);
    api_status(c, 202, "POST", "/volume/v3/volumes", c->demo, members);
    /* A guest must not see its disk grow while it is moved to a new file. */
    api_status(c, 400, "POST", path_of("volumes", v, "/action"), c->demo,
               "{\"os-extend\": {\"new_size\": 9}}");
    set_status(c, &kind_volume, v, VOLUME_ATTACHING);
    api_status(c, 400, "POST", "/volume/v3/volumes", c->demo, members);
    free(v);
    free(sn);
    free(copy);
    free(clone);
}

static void test_delete(void **state)
{
    struct api_client *c = *state;
    char *v = make_volume(c, c->demo, "\"size\": 1");
    api_status(c, 400, "DELETE", path_of("volumes", v, ""), c->demo, NULL);
    set_status(c, &kind_volume, v, VOLUME_AVAILABLE);
    char *sn = make_snapshot(c, v);
    set_status(c, &kind_snapshot, sn, SNAPSHOT_AVAILABLE);
    api_status(c, 400, "DELETE", path_of("volumes", v, ""), c->demo, NULL);
    attach(c, v);
    api_status(c, 400, "DELETE", path_of("volumes", v, "?cascade=true"),
               c->demo, NULL);
    api_status(c, 400, "POST", path_of("volumes", v, "/action"), c->admin,
               "{\"os-reset_status\": {\"status\": \"deleting\"}}");
    api_status(c, 202, "POST", path_of("volumes", v, "/action"), c->admin,
               "{\"os-reset_status\": {\"status\": \"available\","
               " \"attach_status\": \"detached\"}}");
    api_status(c, 202, "DELETE", path_of("volumes", v, "?cascade=true"),
               c->demo, NULL);
    assert_int_equal(status_of(c, &kind_volume, v), VOLUME_DELETING);
    assert_int_equal(status_of(c, &kind_snapshot, sn), SNAPSHOT_DELETING);
    free(v);
    free(sn);
}

static void test_other_projects(void **state)
{
    struct api_client *c = *state;
    char *v = make_volume(c, c->admin, "\"size\": 1, \"name\": \"secret\"");
    static const struct {
        const char *method, *tail, *body;
    } calls[] = {
        { "GET", "", NULL },
        { "PUT", "", "{\"volume\": {\"name\": \"mine\"}}" },
        { "DELETE", "", NULL },
        { "GET", "/metadata", NULL },
        { "POST", "/metadata", "{\"metadata\": {\"a\": \"b\"}}" },
        { "POST", "/action", "{\"os-extend\": {\"new_size\": 9}}" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        struct api_reply r =
            api_call(c, calls[i].method, path_of("volumes", v, calls[i].tail),
                     c->demo, calls[i].body);
        assert_int_equal(r.status, 404);
        assert_null(strstr(r.body, "secret"));
        api_reply_free(&r);
    }
    char body[256];
    snprintf(body, sizeof(body), "{\"snapshot\": {\"volume_id\": \"%s\"}}", v);
    api_status(c, 404, "POST", "/volume/v3/snapshots", c->demo, body);
    snprintf(body, sizeof(body), "{\"volume\": {\"source_volid\": \"%s\"}}", v);
    api_status(c, 404, "POST", "/volume/v3/volumes", c->demo, body);
    json_t *j =
        api_expect(c, 200, "GET", "/volume/v3/volumes/detail?all_tenants=1",
                   c->demo, NULL);
    assert_int_equal(json_array_size(api_at(j, "volumes")), 0);
    json_decref(j);
    free(v);
}

static size_t listed(struct api_client *c, const char *token, const char *query)
{
    char path[256];
    snprintf(path, sizeof(path), "/volume/v3/volumes/detail?%s", query);
    json_t *j = api_expect(c, 200, "GET", path, token, NULL);
    size_t n = json_array_size(api_at(j, "volumes"));
    json_decref(j);
    return n;
}

static void test_lists(void **state)
{
    struct api_client *c = *state;
    char *a = ready_volume(c, "\"size\": 1, \"name\": \"one\","
                              " \"metadata\": {\"color\": \"red\"}");
    char *b = make_volume(c, c->demo, "\"size\": 2, \"name\": \"two\"");
    assert_int_equal(listed(c, c->demo, ""), 2);
    assert_int_equal(listed(c, c->demo, "name=one"), 1);
    assert_int_equal(listed(c, c->demo, "status=creating"), 1);
    assert_int_equal(listed(c, c->demo, "bootable=true"), 0);
    assert_int_equal(listed(c, c->demo, "metadata=%7B'color':%20'red'%7D"), 1);
    assert_int_equal(listed(c, c->demo, "limit=1"), 1);
    assert_int_equal(listed(c, c->admin, ""), 0);
    assert_int_equal(listed(c, c->admin, "all_tenants=True"), 2);
    api_status(c, 400, "GET", "/volume/v3/volumes?metadata=red", c->demo, NULL);
    api_status(c, 400, "GET", "/volume/v3/volumes?sort=secret", c->demo, NULL);
    api_status(c, 400, "GET", "/volume/v3/volumes?limit=x", c->demo, NULL);
    json_t *j =
        api_expect(c, 200, "GET", "/volume/v3/volumes?limit=1&sort=size:asc",
                   c->demo, NULL);
    assert_string_equal(api_text(j, "volumes.0.name"), "one");
    assert_null(api_at(j, "volumes.0.size"));
    const char *next = strstr(api_text(j, "volumes_links.0.href"), "/volume/");
    char path[512];
    snprintf(path, sizeof(path), "%s", next);
    json_decref(j);
    j = api_expect(c, 200, "GET", path, c->demo, NULL);
    assert_string_equal(api_text(j, "volumes.0.name"), "two");
    json_decref(j);
    version(c, "volume 3.45");
    j = api_expect(c, 200, "GET", "/volume/v3/volumes?with_count=true&limit=1",
                   c->demo, NULL);
    assert_int_equal(json_integer_value(api_at(j, "count")), 2);
    json_decref(j);
    j = api_expect(c, 200, "GET", "/volume/v3/volumes/summary", c->demo, NULL);
    assert_int_equal(json_integer_value(api_at(j, "volume-summary.total_size")),
                     3);
    json_decref(j);
    free(a);
    free(b);
}

static void test_update_and_metadata(void **state)
{
    struct api_client *c = *state;
    char *v = ready_volume(c, "\"size\": 1");
    json_t *j = api_expect(c, 200, "PUT", path_of("volumes", v, ""), c->demo,
                           "{\"volume\": {\"name\": \"new\"}}");
    assert_string_equal(api_text(j, "volume.name"), "new");
    json_decref(j);
    api_status(c, 400, "PUT", path_of("volumes", v, ""), c->demo,
               "{\"volume\": {\"size\": 7}}");
    api_status(c, 400, "PUT", path_of("volumes", v, ""), c->demo,
               "{\"volume\": {}}");
    api_status(c, 200, "POST", path_of("volumes", v, "/metadata"), c->demo,
               "{\"metadata\": {\"a\": \"1\", \"b\": \"2\"}}");
    api_status(c, 400, "POST", path_of("volumes", v, "/metadata"), c->demo,
               "{\"metadata\": {\"\": \"1\"}}");
    api_status(c, 400, "PUT", path_of("volumes", v, "/metadata/a"), c->demo,
               "{\"meta\": {\"b\": \"1\"}}");
    api_status(c, 200, "PUT", path_of("volumes", v, "/metadata/a"), c->demo,
               "{\"meta\": {\"a\": \"9\"}}");
    api_status(c, 200, "DELETE", path_of("volumes", v, "/metadata/b"), c->demo,
               NULL);
    api_status(c, 404, "DELETE", path_of("volumes", v, "/metadata/b"), c->demo,
               NULL);
    j = api_expect(c, 200, "GET", path_of("volumes", v, "/metadata"), c->demo,
                   NULL);
    assert_int_equal(json_object_size(api_at(j, "metadata")), 1);
    assert_string_equal(api_text(j, "metadata.a"), "9");
    json_decref(j);
    free(v);
}

static void test_extend(void **state)
{
    struct api_client *c = *state;
    char *v = ready_volume(c, "\"size\": 2");
    const char *path = path_of("volumes", v, "/action");
    char action[256];
    snprintf(action, sizeof(action), "%s", path);
    api_status(c, 400, "POST", action, c->demo,
               "{\"os-extend\": {\"new_size\": 2}}");
    api_status(c, 400, "POST", action, c->demo, "{\"os-extend\": {}}");
    api_status(c, 400, "POST", action, c->demo, "{\"os-extend\": null}");
    api_status(c, 413, "POST", action, c->demo,
               "{\"os-extend\": {\"new_size\": 1001}}");
    api_status(c, 202, "POST", action, c->demo,
               "{\"os-extend\": {\"new_size\": 10}}");
    assert_int_equal(status_of(c, &kind_volume, v), VOLUME_EXTENDING);
    assert_int_equal(used(c, "gigabytes"), 10);
    api_status(c, 400, "POST", action, c->demo,
               "{\"os-extend\": {\"new_size\": 11}}");
    attach(c, v);
    api_status(c, 400, "POST", action, c->demo,
               "{\"os-extend\": {\"new_size\": 11}}");
    version(c, "volume 3.42");
    api_status(c, 202, "POST", action, c->demo,
               "{\"os-extend\": {\"new_size\": 11}}");
    free(v);
}

static void test_actions(void **state)
{
    struct api_client *c = *state;
    char *v = ready_volume(c, "\"size\": 2");
    char action[256];
    snprintf(action, sizeof(action), "%s", path_of("volumes", v, "/action"));
    static const struct api_case calls[] = {
        { 200, "{\"os-set_bootable\": {\"bootable\": true}}" },
        { 400, "{\"os-set_bootable\": {}}" },
        { 202, "{\"os-update_readonly_flag\": {\"readonly\": true}}" },
        { 400, "{\"os-unreserve\": null}" },
        { 202, "{\"os-reserve\": null}" },
        { 400, "{\"os-reserve\": null}" },
        { 202, "{\"os-unreserve\": null}" },
        { 200, "{\"os-set_image_metadata\": {\"metadata\": {\"a\": \"b\"}}}" },
        { 200, "{\"os-show_image_metadata\": null}" },
        { 200, "{\"os-unset_image_metadata\": {\"key\": \"a\"}}" },
        { 404, "{\"os-unset_image_metadata\": {\"key\": \"a\"}}" },
        { 403, "{\"os-reset_status\": {\"status\": \"error\"}}" },
        { 403, "{\"os-force_delete\": {}}" },
        { 400, "{\"os-retype\": {}}" },
        { 400, "{}" },
        { 400, "{\"os-reserve\": null, \"os-unreserve\": null}" },
    };
    api_each(c, "POST", action, c->demo, calls, ARRAY_SIZE(calls));
    json_t *j =
        api_expect(c, 200, "GET", path_of("volumes", v, ""), c->demo, NULL);
    assert_string_equal(api_text(j, "volume.bootable"), "true");
    assert_string_equal(api_text(j, "volume.metadata.readonly"), "True");
    json_decref(j);
    api_status(c, 202, "POST", action, c->admin, "{\"os-force_delete\": {}}");
    assert_int_equal(status_of(c, &kind_volume, v), VOLUME_DELETING);
    free(v);
}

static void test_upload_image(void **state)
{
    struct api_client *c = *state;
    char *v = ready_volume(c, "\"size\": 2");
    char action[256];
    snprintf(action, sizeof(action), "%s", path_of("volumes", v, "/action"));
    static const struct {
        int status;
        const char *args;
    } bad[] = {
        { 400, "{}" },
        { 400, "{\"image_name\": \"\"}" },
        { 400, "{\"image_name\": \"i\", \"disk_format\": \"vmdk\"}" },
        { 400, "{\"image_name\": \"i\", \"surprise\": 1}" },
        { 403, "{\"image_name\": \"i\", \"visibility\": \"public\"}" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct api_reply r =
            api_callf(c, "POST", action, c->demo,
                      "{\"os-volume_upload_image\": %s}", bad[i].args);
        assert_int_equal(r.status, bad[i].status);
        api_reply_free(&r);
    }
    json_t *j = api_expect(
        c, 202, "POST", action, c->demo,
        "{\"os-volume_upload_image\": {\"image_name\": \"i\", \"force\": false,"
        " \"disk_format\": \"qcow2\", \"container_format\": \"bare\"}}");
    const char *image = api_text(j, "os-volume_upload_image.image_id");
    assert_string_equal(api_text(j, "os-volume_upload_image.status"),
                        "uploading");
    assert_int_equal(status_of(c, &kind_volume, v), VOLUME_UPLOADING);
    assert_int_equal(status_of(c, &kind_image, image), IMAGE_SAVING);
    struct snapshot *s = api_snapshot(c);
    const struct volume *rec = snap_get(s, &kind_volume, v);
    const struct image *im = snap_get(s, &kind_image, image);
    assert_string_equal(rec->upload_image_id, image);
    assert_string_equal(im->owner, c->demo_project);
    assert_string_equal(im->disk_format, "qcow2");
    assert_non_null(im->upload_id);
    snapshot_unref(s);
    json_decref(j);
    free(v);
}

static void test_snapshots(void **state)
{
    struct api_client *c = *state;
    char *v = ready_volume(c, "\"size\": 2");
    char *sn = make_snapshot(c, v);
    char path[256];
    snprintf(path, sizeof(path), "%s", path_of("snapshots", sn, ""));
    json_t *j = api_expect(c, 200, "GET", path, c->demo, NULL);
    assert_string_equal(api_text(j, "snapshot.status"), "creating");
    assert_string_equal(api_text(j, "snapshot.volume_id"), v);
    json_decref(j);
    api_status(c, 400, "DELETE", path, c->demo, NULL);
    api_status(c, 200, "PUT", path, c->demo,
               "{\"snapshot\": {\"name\": \"n\"}}");
    api_status(c, 400, "PUT", path, c->demo,
               "{\"snapshot\": {\"status\": \"available\"}}");
    char action[300];
    snprintf(action, sizeof(action), "%s/action", path);
    api_status(c, 403, "POST", action, c->demo,
               "{\"os-reset_status\": {\"status\": \"error\"}}");
    api_status(c, 202, "POST", action, c->admin,
               "{\"os-reset_status\": {\"status\": \"available\"}}");
    j = api_expect(c, 200, "GET",
                   "/volume/v3/snapshots/detail?status=available", c->demo,
                   NULL);
    assert_int_equal(json_array_size(api_at(j, "snapshots")), 1);
    json_decref(j);
    api_status(c, 202, "DELETE", path, c->demo, NULL);
    assert_int_equal(status_of(c, &kind_snapshot, sn), SNAPSHOT_DELETING);
    attach(c, v);
    char body[256];
    snprintf(body, sizeof(body), "{\"snapshot\": {\"volume_id\": \"%s\"}}", v);
    api_status(c, 400, "POST", "/volume/v3/snapshots", c->demo, body);
    snprintf(body, sizeof(body),
             "{\"snapshot\": {\"volume_id\": \"%s\", \"force\": true}}", v);
    api_status(c, 202, "POST", "/volume/v3/snapshots", c->demo, body);
    api_status(c, 400, "POST", "/volume/v3/snapshots", c->demo,
               "{\"snapshot\": {\"name\": \"no volume\"}}");
    free(v);
    free(sn);
}

static void test_types(void **state)
{
    struct api_client *c = *state;
    json_t *j = api_expect(c, 200, "GET", "/volume/v3/types", c->demo, NULL);
    assert_string_equal(api_text(j, "volume_types.0.name"), "local");
    char local[64];
    snprintf(local, sizeof(local), "%s", api_text(j, "volume_types.0.id"));
    json_decref(j);
    api_status(c, 200, "GET", "/volume/v3/types/default", c->demo, NULL);
    api_status(c, 403, "POST", "/volume/v3/types", c->demo,
               "{\"volume_type\": {\"name\": \"gold\"}}");
    j = api_expect(c, 200, "POST", "/volume/v3/types", c->admin,
                   "{\"volume_type\": {\"name\": \"gold\","
                   " \"os-volume-type-access:is_public\": false}}");
    char id[64];
    snprintf(id, sizeof(id), "%s", api_text(j, "volume_type.id"));
    assert_true(json_is_false(api_at(j, "volume_type.is_public")));
    json_decref(j);
    api_status(c, 409, "POST", "/volume/v3/types", c->admin,
               "{\"volume_type\": {\"name\": \"gold\"}}");
    api_status(c, 400, "POST", "/volume/v3/types", c->admin,
               "{\"volume_type\": {\"name\": \"\"}}");
    api_status(c, 404, "GET", path_of("types", id, ""), c->demo, NULL);
    api_status(c, 404, "POST", "/volume/v3/volumes", c->demo,
               "{\"volume\": {\"size\": 1, \"volume_type\": \"gold\"}}");
    struct api_reply r = api_callf(
        c, "POST", path_of("types", id, "/action"), c->admin,
        "{\"addProjectAccess\": {\"project\": \"%s\"}}", c->demo_project);
    assert_int_equal(r.status, 202);
    api_reply_free(&r);
    j = api_expect(c, 200, "GET",
                   path_of("types", id, "/os-volume-type-access"), c->admin,
                   NULL);
    assert_string_equal(api_text(j, "volume_type_access.0.project_id"),
                        c->demo_project);
    json_decref(j);
    char *v = make_volume(c, c->demo, "\"size\": 1, \"volume_type\": \"gold\"");
    api_status(c, 400, "DELETE", path_of("types", id, ""), c->admin, NULL);
    api_status(c, 400, "DELETE", path_of("types", local, ""), c->admin, NULL);
    api_status(c, 200, "POST", path_of("types", local, "/extra_specs"),
               c->admin, "{\"extra_specs\": {\"a\": \"b\"}}");
    j = api_expect(c, 200, "GET", path_of("types", local, "/extra_specs/a"),
                   c->admin, NULL);
    assert_string_equal(api_text(j, "a"), "b");
    json_decref(j);
    api_status(c, 202, "DELETE", path_of("types", local, "/extra_specs/a"),
               c->admin, NULL);
    free(v);
}

static void test_quotas(void **state)
{
    struct api_client *c = *state;
    char path[256];
    snprintf(path, sizeof(path), "/volume/v3/os-quota-sets/%s",
             c->demo_project);
    api_status(c, 403, "PUT", path, c->demo,
               "{\"quota_set\": {\"volumes\": 99}}");
    api_status(c, 400, "PUT", path, c->admin,
               "{\"quota_set\": {\"volumes\": -2}}");
    api_status(c, 400, "PUT", path, c->admin,
               "{\"quota_set\": {\"backups\": 5}}");
    api_status(c, 200, "PUT", path, c->admin,
               "{\"quota_set\": {\"volumes\": 1, \"tenant_id\": \"x\"}}");
    char *v = make_volume(c, c->demo, "\"size\": 1");
    struct api_reply r = api_call(c, "POST", "/volume/v3/volumes", c->demo,
                                  "{\"volume\": {\"size\": 1}}");
    assert_int_equal(r.status, 413);
    assert_non_null(strstr(r.body, "volumes"));
    api_reply_free(&r);
    snprintf(path, sizeof(path), "/volume/v3/os-quota-sets/%s?usage=True",
             c->demo_project);
    json_t *j = api_expect(c, 200, "GET", path, c->demo, NULL);
    assert_int_equal(json_integer_value(api_at(j, "quota_set.volumes.in_use")),
                     1);
    assert_int_equal(json_integer_value(api_at(j, "quota_set.volumes.limit")),
                     1);
    json_decref(j);
    snprintf(path, sizeof(path), "/volume/v3/os-quota-sets/%s",
             c->admin_project);
    api_status(c, 403, "GET", path, c->demo, NULL);
    j = api_expect(c, 200, "GET", "/volume/v3/limits", c->demo, NULL);
    assert_int_equal(
        json_integer_value(api_at(j, "limits.absolute.totalGigabytesUsed")), 1);
    json_decref(j);
    free(v);
}

static void test_attachments(void **state)
{
    struct api_client *c = *state;
    char *v = ready_volume(c, "\"size\": 2");
    attach(c, v);
    api_status(c, 404, "GET", "/volume/v3/attachments", c->demo, NULL);
    version(c, "volume 3.27");
    json_t *j =
        api_expect(c, 200, "GET", "/volume/v3/attachments", c->demo, NULL);
    char id[64];
    snprintf(id, sizeof(id), "%s", api_text(j, "attachments.0.id"));
    json_decref(j);
    j = api_expect(c, 200, "GET", path_of("attachments", id, ""), c->demo,
                   NULL);
    assert_string_equal(api_text(j, "attachment.volume_id"), v);
    json_decref(j);
    api_status(c, 404, "GET", path_of("attachments", "none", ""), c->demo,
               NULL);
    j = api_expect(c, 200, "GET", path_of("volumes", v, ""), c->demo, NULL);
    assert_string_equal(api_text(j, "volume.attachments.0.device"), "/dev/vdb");
    json_decref(j);
    api_status(c, 200, "GET", "/volume/v3/os-services", c->admin, NULL);
    api_status(c, 403, "GET", "/volume/v3/os-services", c->demo, NULL);
    api_status(c, 200, "GET", "/volume/v3/os-availability-zone", c->demo, NULL);
    api_status(c, 200, "GET", "/volume/v3/extensions", c->demo, NULL);
    free(v);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_discovery),
        TEST(test_create_and_show),
        TEST(test_bad_bodies),
        TEST(test_from_image),
        TEST(test_copies),
        TEST(test_delete),
        TEST(test_other_projects),
        TEST(test_lists),
        TEST(test_update_and_metadata),
        TEST(test_extend),
        TEST(test_actions),
        TEST(test_upload_image),
        TEST(test_snapshots),
        TEST(test_types),
        TEST(test_quotas),
        TEST(test_attachments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
