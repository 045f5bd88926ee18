/*
 * httpd_house - an HTTP server on loopback with a small service of its own,
 * and a client that speaks to it byte by byte.
 *
 * The service ("/t/...", the routes at the end of its section) commits,
 * waits, calls out, takes uploads and sends blobs: all that a handler can ask
 * of the rim.  It replaces the product's table api_services.
 */
#ifndef CAIRN_TESTS_HTTPD_HOUSE_H
#define CAIRN_TESTS_HTTPD_HOUSE_H

#include "test.h"

#include "tempdir.h"

#include "rest-api/auth.h"
#include "rest-api/httpd.h"

#include <stdatomic.h>

struct house {
    struct store *store;
    struct cache *cache;
    struct tokens *tokens;
    struct password_queue *passwords;
    struct httpd *httpd;
    struct api api;
    int listen_fd, port;
    atomic_bool in_slow; /* a slow call has begun */
    char dir[TEMPDIR_MAX];
};

/* NULL limits are the defaults; cert and key NULL: without TLS. */
struct house *house_open(const struct httpd_limits *limits, const char *cert,
                         const char *key);
void house_close(struct house *h);

#define ANSWER_INIT BUF_INIT(32 * 1024 * 1024)

/* A connection, with a time-out for what it hears. */
int house_dial(struct house *h);
bool house_tell(int fd, const void *data, size_t len);
/* Reads one answer (status line, headers, Content-Length bytes); its status,
 * 0 if there was none. */
int house_hear(int fd, struct buf *out);
const char *house_body_of(const struct buf *answer);
/* One request on a connection of its own; *answer is the caller's. */
int house_ask(struct house *h, struct buf *answer, const char *method,
              const char *path, const char *headers, const char *body);

#endif
