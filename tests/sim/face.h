/*
 * face - the unprivileged half in one incarnation: API calls in all stages.
 *
 * The same handlers as behind libmicrohttpd, taken through api_begin and
 * api_step; a call stands still wherever it would wait, until it is picked
 * again.
 */
#ifndef CAIRN_SIM_FACE_H
#define CAIRN_SIM_FACE_H

#include "rest-api/api.h"
#include "sim_node.h"
#include "state/confirm.h"

#define CALL_HEADERS 4

/* What a client asks; then what became of it.  The client's until it is
 * submitted, then the face's; clients_answer or clients_lost ends it. */
struct call {
    struct call *next;
    unsigned long number;
    struct arena arena; /* all strings below */
    const char *name, *method, *path, *token, *body;
    struct param headers[CALL_HEADERS];
    int64_t upload_bytes; /* streaming routes: what is sent */
    int upload;           /* enum upload_kind */

    /* What the client makes of a good answer; see clients.c. */
    const struct kind *kind;
    const char *id_path;  /* a create: where the new id is */
    const char *gone_id;  /* a delete: of what */
    const char *shown_id; /* a show: of what */
    bool bad;             /* must be refused */
    void (*then)(struct world *w, struct call *c);

    /* private to face.c but for then() */
    int at;
    struct req req;
    struct http_request http;
    struct txn_result result;
    struct confirm_wait confirm;
    bool alone;     /* when it came, the node knew of no other member */
    bool asked;     /* whether the cache is current; was told: */
    bool current;   /* it is */
    bool wrote;     /* a transaction of it was committed */
    bool unknown;   /* the outcome of one was unknown */
    int64_t newest; /* of all that was answered before it, the revision */
    unsigned long answers; /* how many those are */
};

struct face *face_start(struct sim_node *n);
void face_stop(struct face *f);
struct call *call_new(void);
void call_free(struct call *c);
/* Does the face that answers it know the record? */
bool call_sees(const struct call *c, const struct kind *kind, const char *id);
void face_submit(struct face *f, struct call *c);
size_t face_calls(const struct face *f);
bool face_step_call(struct face *f);  /* one call goes one step */
bool face_take(struct face *f);       /* the store takes a transaction */
bool face_hear(struct face *f);       /* delivers one thing from the store */
bool face_busy(const struct face *f); /* one of the three would do something */
int64_t face_due(struct face *f);

#endif
