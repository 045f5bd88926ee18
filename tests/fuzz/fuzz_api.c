/*
 * What clients may send to the API: methods, paths, queries, bodies.
 *
 * An input is a little session with a pool of its own, so that it replays:
 *
 *     a POST /identity/v3/users          a, d, n: as admin, as demo, nobody
 *     {"user": {"name": "eve"}}          up to a line of its own: "--"
 *     --
 *     d DELETE /identity/v3/users/@I
 *
 * "@P" and "@U" in a path are demo's project and user, "@I" is the newest
 * id that an answer held.  No answer may be 500, and each is JSON.
 */
#include "api_client.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any "id" within the answer. */
static const char *find_id(const json_t *j)
{
    const char *key;
    json_t *v;
    const char *id = json_string_value(json_object_get(j, "id"));
    if (id)
        return id;
    json_object_foreach((json_t *)j, key, v)
    {
        if (json_is_object(v) && (id = find_id(v)))
            return id;
    }
    return NULL;
}

static void fill_path(const struct api_client *c, const char *last,
                      const char *from, struct buf *out)
{
    for (; *from; from++) {
        const char *id = NULL;
        if (*from == '@')
            id = from[1] == 'P'   ? c->demo_project
                 : from[1] == 'U' ? c->demo_user
                 : from[1] == 'I' ? last
                                  : NULL;
        if (id) {
            buf_adds(out, id);
            from++;
        } else {
            buf_addc(out, *from);
        }
    }
}

static void look_at(const struct api_reply *r, char last[80])
{
    if (r->status < 200 || r->status == 500)
        abort();
    if (*r->body && !r->json && !r->blob)
        abort();
    const char *id = find_id(r->json);
    if (id)
        snprintf(last, 80, "%s", id);
}

/* The path as a rim would take it: printable, in bounds, query well formed. */
static bool path_ok(struct buf *path)
{
    struct arena arena = { 0 };
    struct params query;
    char *mark = strchr(buf_str(path), '?');
    bool ok = !path->overflow && path->data && path->data[0] == '/';
    for (size_t i = 0; ok && i < path->len; i++)
        ok = path->data[i] > ' ' && path->data[i] != 127;
    ok = ok && http_parse_query(&arena, mark ? mark + 1 : NULL, &query);
    arena_free(&arena);
    return ok;
}

/* One call: "a METHOD /path\nbody". */
static void one_call(struct api_client *c, char *text, char last[80])
{
    char *body = strchr(text, '\n'), *path;
    if (body)
        *body++ = '\0';
    if (!*text || text[1] != ' ' || !(path = strchr(text + 2, ' ')))
        return;
    *path++ = '\0';
    const char *token = *text == 'a' ? c->admin : *text == 'd' ? c->demo : NULL;
    struct buf full = BUF_INIT(HTTP_PATH_MAX);
    fill_path(c, last, path, &full);
    if (path_ok(&full)) {
        struct api_reply r = api_call(c, text + 2, buf_str(&full), token, body);
        look_at(&r, last);
        api_reply_free(&r);
    }
    buf_free(&full);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char last[80] = "none";
    struct api_client *c = api_client_new();
    char *text = strndup((const char *)data, size), *next = text;
    for (int i = 0; next && i < CALLS_MAX; i++) {
        char *end = strstr(next, "\n--\n"), *call = next;
        next = end ? end + 4 : NULL;
        if (end)
            *end = '\0';
        one_call(c, call, last);
    }
    free(text);
    api_client_free(c);
    return 0;
}
