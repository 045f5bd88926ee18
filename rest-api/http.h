/*
 * http - a request and a response, without a connection.
 *
 * The rim (httpd.h over libmicrohttpd, or the simulation) fills a struct
 * http_request and sends off a struct http_response; everything between
 * works on these two and never sees a socket.  Strings of a request belong
 * to the rim and live until the response is sent.
 */
#ifndef CAIRN_REST_API_HTTP_H
#define CAIRN_REST_API_HTTP_H

#include "common/alloc.h"
#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_BODY_MAX   (1024 * 1024) /* bytes of a JSON body */
#define HTTP_REPLY_MAX  (64 * 1024 * 1024)
#define HTTP_PATH_MAX   2048
#define HTTP_PARAMS_MAX 128

struct param {
    const char *name, *value; /* decoded */
};

struct params {
    struct param v[HTTP_PARAMS_MAX];
    size_t n;
};

struct http_request {
    const char *method;
    const char *path; /* as received, still encoded, without the query */
    struct params query;
    const char *(*header)(void *rim, const char *name); /* or NULL */
    void *rim;
    const char *body; /* the whole body; NULL for streaming routes */
    size_t body_len;
    const char *peer; /* textual address of the client */
};

struct http_response {
    int status;
    struct params headers;
    struct buf body;
    /* Instead of body: a blob (image data) that the rim sends from the file
     * behind it; NULL = none. */
    const char *blob;
    int64_t blob_offset, blob_size;
};

void http_header(struct http_response *h, const char *name, const char *value);
const char *params_get(const struct params *p, const char *name); /* or NULL */

/* Decodes %XX in place (not '+' unless `plus`); false on bad or NUL escapes. */
bool http_unescape(char *s, bool plus);
/* Splits "a=1&b=2" into arena memory; false when malformed or too many. */
bool http_parse_query(struct arena *a, const char *query, struct params *out);
const char *http_status_text(int status); /* "Not Found" */

#endif
