/*
 * httpd - the rim: libmicrohttpd's connections on one side, requests on the
 * other.
 *
 * A few event threads read and answer; none of them ever waits for a commit,
 * a password, a disk or another process: such requests are suspended and
 * taken up again (drive.h).  Everything a stranger can size or delay has a
 * bound here: connections in all and per address, the length of headers and
 * bodies, the time to send them and to take the answer.
 *
 * Threads: httpd_new, _start and _stop from the owner's; the rest is inside.
 */
#ifndef CAIRN_REST_API_HTTPD_H
#define CAIRN_REST_API_HTTPD_H

#include "rest-api/drive.h"

struct httpd_limits {
    unsigned connections;             /* in all; 0: 1000 */
    unsigned connections_per_address; /* 0: 300 */
    int64_t header_us; /* from connecting to the end of the headers; 20 s */
    int64_t idle_us;   /* the same for further requests, 60 s */
    int64_t body_us;   /* for a JSON body, or each 64 KiB of a stream; 30 s */
    int64_t answer_us; /* to take the answer, and as long again each 4 MiB;
                          60 s */
};

struct httpd_config {
    struct driver_config driver; /* .jobs may be NULL: own ones */
    /* PEM; both NULL: plain HTTP.  The first that is shown; certificate_set
     * replaces it while this runs. */
    const char *tls_cert, *tls_key;
    unsigned threads;           /* 0: one a core */
    struct httpd_limits limits; /* zeroes are the defaults */
};

struct httpd;

/* Before cache_follow of the api's cache.  Strings are borrowed. */
struct httpd *httpd_new(const struct httpd_config *config);
/* Serves connections of a listening socket; the caller keeps `listen_fd`. */
bool httpd_start(struct httpd *h, int listen_fd, struct error *err);
/* Takes no more connections, lets running requests end for up to grace_us,
 * then cuts the rest.  False: some could not be ended (a call to the
 * privileged side that does not return): the process has to exit, nothing
 * may be freed. */
bool httpd_stop(struct httpd *h, int64_t grace_us);
/* After httpd_stop, cache_unfollow and the end of the store.  NULL is fine. */
void httpd_free(struct httpd *h);

struct httpd_stats {
    uint64_t requests;
    unsigned active, connections;
    unsigned waiting; /* of the active ones, for a record */
};
struct httpd_stats httpd_stats(struct httpd *h);

#endif
