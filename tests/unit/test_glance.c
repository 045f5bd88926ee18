/* The Image API: what clients send, and what must not get through. */
#include "api_client.h"

#include "model/image.h"

#include <stdlib.h>
#include <string.h>

#define PATCH_TYPE "application/openstack-images-v2.1-json-patch"

/* What storage makes of the next upload; see wait_hook. */
struct world {
    struct error body_error; /* the body does not arrive */
    const char *fault;       /* the bytes are refused */
    bool delete_meanwhile;
    int bodies; /* taken */
    char upload_id[UUID_SIZE];
};

static int setup(void **state)
{
    struct api_client *c = api_client_new();
    c->user = xcalloc(1, sizeof(struct world));
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct api_client *c = *state;
    free(c->user);
    api_client_free(c);
    return 0;
}

static void header(struct api_client *c, const char *name, const char *value)
{
    c->headers[0] = (struct param){ name, value };
}

/* ---- storage, played by the test ---------------------------------------- */

static void change_image(struct api_client *c, const char *id,
                         void (*fn)(struct image *, struct world *))
{
    struct snapshot *s = api_snapshot(c);
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    struct image *im = record_copy(snap_get(s, &kind_image, id));
    fn(im, c->user);
    txn_change_record(&t, im);
    assert_true(store_commit(c->store, &t, &result));
    record_unref(im);
    snapshot_unref(s);
}

static void inspect(struct image *im, struct world *w)
{
    assert_int_equal(im->status, IMAGE_CHECKING);
    if (w->delete_meanwhile) {
        im->status = IMAGE_DELETED;
    } else if (w->fault) {
        im->status = IMAGE_QUEUED;
        im->fault = rec_str(im, w->fault);
        im->upload_id = NULL;
    } else {
        im->status = IMAGE_ACTIVE;
        im->blob = rec_strf(im, "%s.raw", im->upload_id);
        im->virtual_size = 4096;
        im->upload_id = NULL;
    }
}

static void wait_hook(struct api_client *c, const struct wait *wait,
                      struct waited *waited)
{
    struct world *w = c->user;
    if (wait->type == WAIT_BODY) {
        w->bodies++;
        assert_true(wait->max_bytes > 1 << 30);
        snprintf(w->upload_id, sizeof(w->upload_id), "%s", wait->upload_id);
        waited->ok = w->body_error.code == ERR_NONE;
        waited->err = w->body_error;
        waited->bytes = 11;
        strcpy(waited->md5, "0123456789abcdef0123456789abcdef");
        memset(waited->sha512, 'a', 128);
        return;
    }
    assert_int_equal(wait->type, WAIT_RECORD);
    assert_true(wait->deadline > c->time);
    struct snapshot *s = api_snapshot(c);
    const struct image *im = snap_get(s, wait->kind, wait->id);
    waited->ok = true;
    if (im->rec.mod_rev <= wait->mod_rev)
        change_image(c, wait->id, inspect);
    snapshot_unref(s);
}

static char *new_image(struct api_client *c, const char *token,
                       const char *body)
{
    json_t *j = api_expect(c, 201, "POST", "/image/v2/images", token, body);
    char *id = xstrdup(api_text(j, "id"));
    json_decref(j);
    return id;
}

#define PLAIN                                                                  \
    "{\"name\": \"plain\", \"disk_format\": \"raw\","                          \
    " \"container_format\": \"bare\"}"

static const char *path_of(const char *id, const char *tail)
{
    static char path[256];
    snprintf(path, sizeof(path), "/image/v2/images/%s%s", id, tail);
    return path;
}

static void upload(struct api_client *c, int status, const char *token,
                   const char *id)
{
    c->wait = wait_hook;
    header(c, "Content-Type", "application/octet-stream");
    api_status(c, status, "PUT", path_of(id, "/file"), token, NULL);
    header(c, NULL, NULL);
}

static int status_of(struct api_client *c, const char *id)
{
    struct snapshot *s = api_snapshot(c);
    const struct image *im = snap_get(s, &kind_image, id);
    int status = im ? im->status : -1;
    snapshot_unref(s);
    return status;
}

/* ---- tests -------------------------------------------------------------- */

static void test_discovery(void **state)
{
    json_t *j = api_expect(*state, 300, "GET", "/image", NULL, NULL);
    assert_string_equal(api_text(j, "versions.0.id"), "v2.9");
    assert_string_equal(api_text(j, "versions.0.status"), "CURRENT");
    assert_string_equal(api_text(j, "versions.0.links.0.href"),
                        "https://cairn.test/image/v2/");
    json_decref(j);
    api_status(*state, 200, "GET", "/image/versions", NULL, NULL);
    api_status(*state, 401, "GET", "/image/v2/images", NULL, NULL);
}

static void test_create_and_show(void **state)
{
    struct api_client *c = *state;
    struct api_reply r =
        api_call(c, "POST", "/image/v2/images", c->demo,
                 "{\"name\": \"a\", \"disk_format\": \"qcow2\","
                 " \"container_format\": \"bare\", \"min_disk\": 2,"
                 " \"tags\": [\"x\", \"x\", \"y\"], \"hw_disk_bus\": \"scsi\","
                 " \"protected\": false, \"visibility\": \"private\"}");
    assert_int_equal(r.status, 201);
    assert_string_equal(api_text(r.json, "hw_disk_bus"), "scsi");
    assert_string_equal(api_text(r.json, "status"), "queued");
    assert_string_equal(api_text(r.json, "owner"), c->demo_project);
    assert_string_equal(api_text(r.json, "visibility"), "private");
    assert_int_equal(json_array_size(api_at(r.json, "tags")), 2);
    assert_int_equal(json_integer_value(api_at(r.json, "min_disk")), 2);
    assert_true(json_is_null(api_at(r.json, "size")));
    assert_true(strstr(r.location, api_text(r.json, "id")) != NULL);
    json_t *j = api_expect(c, 200, "GET", path_of(api_text(r.json, "id"), ""),
                           c->demo, NULL);
    assert_true(json_equal(j, r.json));
    json_decref(j);
    api_reply_free(&r);
}

static void test_create_with_id(void **state)
{
    struct api_client *c = *state;
    const char *body = "{\"id\": \"5f6a4bb0-0000-4000-8000-000000000001\"}";
    char *id = new_image(c, c->demo, body);
    assert_string_equal(id, "5f6a4bb0-0000-4000-8000-000000000001");
    api_status(c, 409, "POST", "/image/v2/images", c->demo, body);
    api_status(c, 400, "POST", "/image/v2/images", c->demo,
               "{\"id\": \"../../etc/passwd\"}");
    free(id);
}

static void test_bad_bodies(void **state)
{
    struct api_client *c = *state;
    static const struct api_case bad[] = {
        { 400, "{\"name\": " },
        { 400, "[]" },
        { 400, "{\"name\": 5}" },
        { 400, "{\"disk_format\": \"floppy\"}" },
        { 400, "{\"container_format\": 1}" },
        { 400, "{\"min_disk\": -1}" },
        { 400, "{\"min_ram\": 99999999999}" },
        { 400, "{\"protected\": \"perhaps\"}" },
        { 400, "{\"visibility\": \"secret\"}" },
        { 400, "{\"tags\": [1]}" },
        { 400, "{\"custom\": {\"a\": 1}}" },
        { 400, "{\"custom\": null}" },
        { 400, "{\"\": \"empty\"}" },
        { 403, "{\"visibility\": \"public\"}" },
        { 403, "{\"status\": \"active\"}" },
        { 403, "{\"checksum\": \"00\"}" },
        { 403, "{\"locations\": []}" },
        { 403, "{\"os_glance_x\": \"1\"}" },
        { 403, "{\"owner\": \"someone-else\"}" },
    };
    api_each(c, "POST", "/image/v2/images", c->demo, bad, ARRAY_SIZE(bad));
    struct buf long_name = BUF_INIT(4096);
    buf_adds(&long_name, "{\"name\": \"");
    for (int i = 0; i < 256; i++)
        buf_adds(&long_name, "\xc3\xa4");
    buf_adds(&long_name, "\"}");
    api_status(c, 400, "POST", "/image/v2/images", c->demo,
               buf_str(&long_name));
    buf_free(&long_name);
    json_t *j = api_expect(c, 200, "GET", "/image/v2/images", c->admin, NULL);
    assert_int_equal(json_array_size(api_at(j, "images")), 0);
    json_decref(j);
}

static void test_other_projects(void **state)
{
    struct api_client *c = *state;
    char *hidden = new_image(c, c->admin, PLAIN);
    char *public =
        new_image(c, c->admin, "{\"name\": \"p\", \"visibility\": \"public\"}");
    api_status(c, 404, "GET", path_of(hidden, ""), c->demo, NULL);
    api_status(c, 404, "GET", path_of(hidden, "/file"), c->demo, NULL);
    api_status(c, 404, "DELETE", path_of(hidden, ""), c->demo, NULL);
    api_status(c, 404, "PUT", path_of(hidden, "/tags/t"), c->demo, NULL);
    upload(c, 404, c->demo, hidden);
    api_status(c, 200, "GET", path_of(public, ""), c->demo, NULL);
    api_status(c, 403, "DELETE", path_of(public, ""), c->demo, NULL);
    upload(c, 403, c->demo, public);
    api_status(c, 404, "GET", path_of("no-such-image", ""), c->demo, NULL);
    json_t *j = api_expect(c, 200, "GET", "/image/v2/images", c->demo, NULL);
    assert_int_equal(json_array_size(api_at(j, "images")), 1);
    assert_string_equal(api_text(j, "images.0.id"), public);
    json_decref(j);
    free(hidden);
    free(public);
}

static json_t *patch(struct api_client *c, int status, const char *id,
                     const char *body)
{
    header(c, "Content-Type", PATCH_TYPE);
    json_t *j = api_expect(c, status, "PATCH", path_of(id, ""), c->demo, body);
    header(c, NULL, NULL);
    return j;
}

static void test_patch(void **state)
{
    struct api_client *c = *state;
    char *id = new_image(c, c->demo, PLAIN);
    json_t *j = patch(
        c, 200, id,
        "[{\"op\": \"replace\", \"path\": \"/name\", \"value\": \"new\"},"
        " {\"op\": \"add\", \"path\": \"/a~1b~0c\", \"value\": \"v\"},"
        " {\"op\": \"add\", \"path\": \"/os_hidden\", \"value\": true},"
        " {\"op\": \"replace\", \"path\": \"/tags\", \"value\": [\"t\"]}]");
    assert_string_equal(api_text(j, "name"), "new");
    assert_string_equal(json_string_value(json_object_get(j, "a/b~c")), "v");
    assert_true(json_is_true(api_at(j, "os_hidden")));
    assert_string_equal(api_text(j, "tags.0"), "t");
    json_decref(j);
    j = patch(c, 200, id, "[{\"op\": \"remove\", \"path\": \"/a~1b~0c\"}]");
    assert_null(json_object_get(j, "a/b~c"));
    json_decref(j);
    unsigned commits = c->commits;
    json_decref(patch(c, 200, id, "[]"));
    assert_int_equal(c->commits, commits);
    free(id);
}

static void test_bad_patches(void **state)
{
    struct api_client *c = *state;
    static const struct api_case bad[] = {
        { 400, "{}" },
        { 400, "[5]" },
        { 400, "[{\"op\": \"add\", \"path\": \"name\", \"value\": \"x\"}]" },
        { 400, "[{\"op\": \"add\", \"path\": \"/a/b\", \"value\": \"x\"}]" },
        { 400, "[{\"op\": \"add\", \"path\": \"/a~2\", \"value\": \"x\"}]" },
        { 400, "[{\"op\": \"add\", \"path\": \"/name\"}]" },
        { 400, "[{\"op\": \"test\", \"path\": \"/name\", \"value\": \"\"}]" },
        { 400, "[{\"op\": \"add\", \"path\": \"/name\", \"value\": 1}]" },
        { 403, "[{\"op\": \"add\", \"path\": \"/id\", \"value\": \"x\"}]" },
        { 403, "[{\"op\": \"replace\", \"path\": \"/status\","
               " \"value\": \"active\"}]" },
        { 403, "[{\"op\": \"add\", \"path\": \"/locations\","
               " \"value\": [{\"url\": \"file:///etc/passwd\"}]}]" },
        { 403, "[{\"op\": \"remove\", \"path\": \"/name\"}]" },
        { 403, "[{\"op\": \"replace\", \"path\": \"/visibility\","
               " \"value\": \"public\"}]" },
        { 409, "[{\"op\": \"remove\", \"path\": \"/nothing\"}]" },
        { 409, "[{\"op\": \"replace\", \"path\": \"/nothing\","
               " \"value\": \"x\"}]" },
    };
    char *id = new_image(c, c->demo, PLAIN);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        json_decref(patch(c, bad[i].status, id, bad[i].body));
    api_status(c, 415, "PATCH", path_of(id, ""), c->demo, "[]");
    json_t *j = api_expect(c, 200, "GET", path_of(id, ""), c->demo, NULL);
    assert_string_equal(api_text(j, "name"), "plain");
    json_decref(j);
    free(id);
}

static void test_upload(void **state)
{
    struct api_client *c = *state;
    char *id = new_image(c, c->demo, PLAIN);
    api_status(c, 204, "GET", path_of(id, "/file"), c->demo, NULL);
    upload(c, 204, c->demo, id);
    json_t *j = api_expect(c, 200, "GET", path_of(id, ""), c->demo, NULL);
    assert_string_equal(api_text(j, "status"), "active");
    assert_string_equal(api_text(j, "checksum"),
                        "0123456789abcdef0123456789abcdef");
    assert_int_equal(strlen(api_text(j, "os_hash_value")), 128);
    assert_int_equal(json_integer_value(api_at(j, "size")), 11);
    json_decref(j);
    upload(c, 409, c->demo, id);
    struct api_reply r =
        api_call(c, "GET", path_of(id, "/file"), c->demo, NULL);
    assert_int_equal(r.status, 200);
    assert_non_null(r.blob);
    api_reply_free(&r);
    json_decref(patch(c, 403, id,
                      "[{\"op\": \"replace\", \"path\": \"/disk_format\","
                      " \"value\": \"qcow2\"}]"));
    api_status(c, 204, "DELETE", path_of(id, ""), c->demo, NULL);
    assert_int_equal(status_of(c, id), IMAGE_DELETED);
    api_status(c, 404, "GET", path_of(id, ""), c->demo, NULL);
    free(id);
}

static void test_ranges(void **state)
{
    struct api_client *c = *state;
    static const struct {
        const char *range;
        int status;
    } ranges[] = {
        { "bytes=0-", 206 },   { "bytes=3-5", 206 }, { "bytes=-4", 206 },
        { "bytes=0-99", 206 }, { "bytes=11-", 416 }, { "bytes=5-3", 416 },
        { "bytes=-0", 416 },   { "bytes=a-b", 416 }, { "lines=1-2", 416 },
    };
    char *id = new_image(c, c->demo, PLAIN);
    upload(c, 204, c->demo, id);
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        header(c, "Range", ranges[i].range);
        struct api_reply r =
            api_call(c, "GET", path_of(id, "/file"), c->demo, NULL);
        assert_int_equal(r.status, ranges[i].status);
        assert_true((r.blob != NULL) == (r.status == 206));
        api_reply_free(&r);
    }
    free(id);
}

static void stage(struct api_client *c, int status, const char *id)
{
    c->wait = wait_hook;
    header(c, "Content-Type", "application/octet-stream");
    api_status(c, status, "PUT", path_of(id, "/stage"), c->demo, NULL);
    header(c, NULL, NULL);
}

/* Staged, then imported: no task, the image's status tells. */
static void test_import(void **state)
{
    static const char direct[] = "{\"method\":{\"name\":\"glance-direct\"}}";
    struct api_client *c = *state;
    char *id = new_image(c, c->demo, PLAIN);
    api_status(c, 409, "POST", path_of(id, "/import"), c->demo, direct);
    stage(c, 204, id);
    json_t *j = api_expect(c, 200, "GET", path_of(id, ""), c->demo, NULL);
    assert_string_equal(api_text(j, "status"), "uploading");
    json_decref(j);
    stage(c, 409, id);
    upload(c, 409, c->demo, id);
    api_status(c, 400, "POST", path_of(id, "/import"), c->demo,
               "{\"method\":{\"name\":\"web-download\"}}");
    api_status(c, 400, "POST", path_of(id, "/import"), c->demo, "{}");
    assert_int_equal(status_of(c, id), IMAGE_STAGED);
    api_status(c, 202, "POST", path_of(id, "/import"), c->demo, direct);
    assert_int_equal(status_of(c, id), IMAGE_CHECKING);
    api_status(c, 409, "POST", path_of(id, "/import"), c->demo, direct);
    free(id);
}

static void test_upload_refused(void **state)
{
    struct api_client *c = *state;
    struct world *w = c->user;
    char *id = new_image(c, c->demo, PLAIN);
    w->fault = "the image has a backing file";
    c->wait = wait_hook;
    header(c, "Content-Type", "application/octet-stream");
    struct api_reply r =
        api_call(c, "PUT", path_of(id, "/file"), c->demo, NULL);
    assert_int_equal(r.status, 400);
    assert_non_null(strstr(r.body, "has a backing file"));
    api_reply_free(&r);
    assert_int_equal(status_of(c, id), IMAGE_QUEUED);
    w->fault = NULL;
    upload(c, 204, c->demo, id);
    free(id);
}

/* Back to queued, and the upload's name is kept for storage to discard. */
static void test_upload_truncated(void **state)
{
    struct api_client *c = *state;
    struct world *w = c->user;
    char *id = new_image(c, c->demo, PLAIN);
    error_set(&w->body_error, ERR_INVALID, "the upload ended too early");
    upload(c, 400, c->demo, id);
    struct snapshot *s = api_snapshot(c);
    const struct image *im = snap_get(s, &kind_image, id);
    assert_int_equal(im->status, IMAGE_QUEUED);
    assert_string_equal(im->upload_id, w->upload_id);
    assert_null(im->checksum);
    assert_int_equal(im->size, 0);
    snapshot_unref(s);
    error_set(&w->body_error, ERR_TOO_LARGE, "too much");
    upload(c, 413, c->demo, id);
    error_clear(&w->body_error);
    upload(c, 204, c->demo, id);
    free(id);
}

static void test_upload_not_taken(void **state)
{
    struct api_client *c = *state;
    struct world *w = c->user;
    char *id = new_image(c, c->demo, "{\"name\": \"formless\"}");
    upload(c, 400, c->demo, id);
    c->wait = wait_hook;
    api_status(c, 415, "PUT", path_of(id, "/file"), c->demo, NULL);
    header(c, "Content-Type", "application/octet-stream");
    c->headers[1] = (struct param){ "Content-Length", "9999999999999" };
    json_decref(patch(c, 200, id,
                      "[{\"op\": \"add\", \"path\": \"/disk_format\","
                      " \"value\": \"raw\"},"
                      " {\"op\": \"add\", \"path\": \"/container_format\","
                      " \"value\": \"bare\"}]"));
    upload(c, 413, c->demo, id);
    assert_int_equal(w->bodies, 0);
    assert_int_equal(status_of(c, id), IMAGE_QUEUED);
    free(id);
}

static void test_deleted_while_checked(void **state)
{
    struct api_client *c = *state;
    struct world *w = c->user;
    char *id = new_image(c, c->demo, PLAIN);
    w->delete_meanwhile = true;
    upload(c, 410, c->demo, id);
    free(id);
}

static void test_protected(void **state)
{
    struct api_client *c = *state;
    char *id = new_image(c, c->demo, "{\"protected\": true}");
    api_status(c, 403, "DELETE", path_of(id, ""), c->demo, NULL);
    json_decref(patch(c, 200, id,
                      "[{\"op\": \"replace\", \"path\": \"/protected\","
                      " \"value\": false}]"));
    api_status(c, 204, "DELETE", path_of(id, ""), c->demo, NULL);
    assert_int_equal(status_of(c, id), -1);
    free(id);
}

static void test_tags(void **state)
{
    struct api_client *c = *state;
    char *id = new_image(c, c->demo, PLAIN);
    api_status(c, 204, "PUT", path_of(id, "/tags/blue"), c->demo, NULL);
    api_status(c, 204, "PUT", path_of(id, "/tags/blue"), c->demo, NULL);
    json_t *j =
        api_expect(c, 200, "GET", "/image/v2/images?tag=blue", c->demo, NULL);
    assert_int_equal(json_array_size(api_at(j, "images.0.tags")), 1);
    json_decref(j);
    api_status(c, 204, "DELETE", path_of(id, "/tags/blue"), c->demo, NULL);
    api_status(c, 404, "DELETE", path_of(id, "/tags/blue"), c->demo, NULL);
    free(id);
}

static size_t found(struct api_client *c, const char *query)
{
    char path[256];
    snprintf(path, sizeof(path), "/image/v2/images?%s", query);
    json_t *j = api_expect(c, 200, "GET", path, c->demo, NULL);
    size_t n = json_array_size(api_at(j, "images"));
    json_decref(j);
    return n;
}

static void test_filters(void **state)
{
    struct api_client *c = *state;
    char *a = new_image(c, c->demo, PLAIN);
    api_sleep(c, 10 * SECOND_US);
    char *b = new_image(c, c->demo, "{\"name\": \"b,c\", \"os_hidden\": true}");
    char *d = new_image(c, c->admin, "{\"visibility\": \"community\"}");
    upload(c, 204, c->demo, a);
    assert_int_equal(found(c, ""), 1);
    assert_int_equal(found(c, "os_hidden=true"), 1);
    assert_int_equal(found(c, "visibility=community"), 1);
    assert_int_equal(found(c, "visibility=all"), 2);
    assert_int_equal(found(c, "name=plain"), 1);
    assert_int_equal(found(c, "name=in:x,plain"), 1);
    assert_int_equal(found(c, "name=in:%22b,c%22,y&os_hidden=true"), 1);
    assert_int_equal(found(c, "name=other"), 0);
    assert_int_equal(found(c, "status=active"), 1);
    assert_int_equal(found(c, "status=queued"), 0);
    assert_int_equal(found(c, "size_min=11&size_max=11"), 1);
    assert_int_equal(found(c, "size_min=12"), 0);
    assert_int_equal(found(c, "created_at=gt:2000-01-01T00:00:00Z"), 1);
    assert_int_equal(found(c, "created_at=lt:2000-01-01T00:00:00Z"), 0);
    assert_int_equal(found(c, "some_property=x"), 0);
    static const char *const bad[] = {
        "size_min=x",         "visibility=no",
        "created_at=gt:soon", "os_hidden=maybe",
        "limit=-1",           "marker=nothing",
        "sort=secret",        "sort_key=name&sort_dir=up",
        "name=in:%22x",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char path[256];
        snprintf(path, sizeof(path), "/image/v2/images?%s", bad[i]);
        api_status(c, 400, "GET", path, c->demo, NULL);
    }
    free(a);
    free(b);
    free(d);
}

static void test_pages(void **state)
{
    struct api_client *c = *state;
    for (int i = 0; i < 3; i++)
        free(new_image(c, c->demo, PLAIN));
    json_t *j =
        api_expect(c, 200, "GET", "/image/v2/images?limit=2", c->demo, NULL);
    assert_int_equal(json_array_size(api_at(j, "images")), 2);
    char next[256];
    snprintf(next, sizeof(next), "/image%s", api_text(j, "next"));
    json_decref(j);
    j = api_expect(c, 200, "GET", next, c->demo, NULL);
    assert_int_equal(json_array_size(api_at(j, "images")), 1);
    assert_null(api_at(j, "next"));
    json_decref(j);
}

static void test_schema_and_absent(void **state)
{
    struct api_client *c = *state;
    json_t *j =
        api_expect(c, 200, "GET", "/image/v2/schemas/image", c->demo, NULL);
    assert_string_equal(api_text(j, "additionalProperties.type"), "string");
    assert_non_null(api_at(j, "properties.os_hash_value"));
    json_decref(j);
    api_status(c, 200, "GET", "/image/v2/schemas/images", c->demo, NULL);
    j = api_expect(c, 200, "GET", "/image/v2/info/import", c->demo, NULL);
    assert_string_equal(api_text(j, "import-methods.value.0"), "glance-direct");
    json_decref(j);
    api_status(c, 404, "GET", "/image/v2/tasks", c->demo, NULL);
    api_status(c, 405, "PUT", "/image/v2/images", c->demo, "{}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_discovery),
        TEST(test_create_and_show),
        TEST(test_create_with_id),
        TEST(test_bad_bodies),
        TEST(test_other_projects),
        TEST(test_patch),
        TEST(test_bad_patches),
        TEST(test_upload),
        TEST(test_ranges),
        TEST(test_import),
        TEST(test_upload_refused),
        TEST(test_upload_truncated),
        TEST(test_upload_not_taken),
        TEST(test_deleted_while_checked),
        TEST(test_protected),
        TEST(test_tags),
        TEST(test_filters),
        TEST(test_pages),
        TEST(test_schema_and_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
