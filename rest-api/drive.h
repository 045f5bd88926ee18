/*
 * drive - takes a request through its commits and waits.
 *
 * request.h says what has to be done next; here it is done, without a thread
 * that waits: before anything is begun that ends elsewhere, `pause` is
 * called; when it has ended, `wake`, from whatever thread ended it.  The
 * owner then calls drive_step again, on a thread of its choice.
 *
 *   DRIVE_ANSWER  req.resp is complete; for a blob, `fd` is its file
 *   DRIVE_LATER   paused; wake will come, once
 *   DRIVE_BODY    take the request's body, write it to `fd` (at most
 *                 req.wait.max_bytes), then drive_body_done and step again
 *
 * Nothing here knows of connections.  The driver is shared by all requests
 * and by all threads; a drive belongs to one thread at a time.
 */
#ifndef CAIRN_REST_API_DRIVE_H
#define CAIRN_REST_API_DRIVE_H

#include "rest-api/api.h"
#include "rest-api/jobs.h"
#include "rest-api/password.h"
#include "state/confirm.h"

/* What only the privileged side can do, for WAIT_CALL, WAIT_BODY and blobs.
 * Blocks; from any thread; more than one at a time.  `fd` is NULL when none
 * is expected.  The rim itself asks for
 *   "image.write" {"upload_id": ..}  a file to write an upload to
 *   "image.read" {"blob": ..}        a file to send */
struct api_io {
    void *self;
    bool (*call)(void *self, const char *op, const char *json, struct buf *out,
                 int *fd, struct error *err);
};

struct driver_config {
    struct api *api;
    struct store *store;
    struct password_queue *passwords;
    struct jobs *jobs;
    struct api_io io;
};

struct driver;
/* Before cache_follow of api->cache; freed after cache_unfollow and after the
 * store was closed, or has answered all. */
struct driver *driver_new(const struct driver_config *config);
void driver_free(struct driver *d); /* NULL is fine */
/* Ends the waits whose deadline is over; call it often (confirm_tick). */
void driver_tick(struct driver *d, int64_t now);
/* How many wait for a record. */
size_t driver_waiting(struct driver *d);
/* From now on waits for records fail at once, with ERR_CANCELLED, and nothing
 * is confirmed any more. */
void driver_cancel(struct driver *d);

enum drive_next { DRIVE_ANSWER, DRIVE_LATER, DRIVE_BODY };

struct drive {
    struct req req;
    struct driver *driver;
    void (*pause)(struct drive *);
    void (*wake)(struct drive *);
    bool gone; /* nobody wants the answer any more, nor will send a body */
    int fd;    /* -1 = none; owned */

    int pending; /* private, as all below */
    struct txn_result result;
    struct confirm_wait confirm;
    bool current;               /* the cache, as confirm was told */
    struct drive *next, **link; /* waiting for a record */
};

void drive_init(struct drive *d, struct driver *driver,
                const struct http_request *http);
void drive_free(struct drive *d);
enum drive_next drive_step(struct drive *d);
/* The body is in the file (or why not); closes `fd`. */
void drive_body_done(struct drive *d, const struct error *err, int64_t bytes,
                     const char *md5, const char *sha512);

#endif
