/*
 * httpd_impl - what the files of httpd.h share.
 *
 *   httpd.c        connections, the clock that ends slow ones, start and stop
 *   httpd_call.c   a request from its line to its answer, as libmicrohttpd
 *                  tells of it
 */
#ifndef CAIRN_REST_API_HTTPD_IMPL_H
#define CAIRN_REST_API_HTTPD_IMPL_H

#include "rest-api/httpd.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#define HTTPD_NEVER INT64_MAX

/* One client's connection, for the clock that ends slow ones. */
struct conn {
    struct conn *next, **link;
    int fd;
    _Atomic int64_t deadline; /* monotonic */
    char peer[INET6_ADDRSTRLEN];
};

struct httpd {
    struct httpd_config c;
    struct driver *driver;
    struct jobs *jobs, *own_jobs;
    struct MHD_Daemon *mhd;
    pthread_mutex_t lock; /* conns, n_conns, stop */
    pthread_cond_t wake;
    struct conn *conns;
    unsigned n_conns;
    bool stop, has_clock;
    pthread_t clock;
    pthread_mutex_t calls_lock; /* active goes down */
    pthread_cond_t idle;        /* .. to 0 */
    _Atomic unsigned active;    /* calls */
    _Atomic uint64_t requests;  /* so far */
    _Atomic bool stopping;
};

int64_t httpd_mono(const struct httpd *h); /* now, of the deadlines */

/* libmicrohttpd's callbacks; `cls` is the httpd.  The first makes the call
 * that the others are given, the last ends it. */
void *httpd_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result httpd_on_request(void *cls, struct MHD_Connection *mhd,
                                 const char *url, const char *method,
                                 const char *version, const char *data,
                                 size_t *len, void **con_cls);
void httpd_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                        enum MHD_RequestTerminationCode why);

#endif
