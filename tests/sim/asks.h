/*
 * asks - the calls that clients make: a table a service.
 *
 * A row makes one call: it chooses by chance among the records of `s`, and
 * fills in `c`.  False: there is nothing to act on, choose another row.
 * What it writes lies in the call's arena.
 *
 *     asks.c            choosing, and the calls that all services know
 *     asks_SERVICE.c    the table of one service
 */
#ifndef CAIRN_SIM_ASKS_H
#define CAIRN_SIM_ASKS_H

#include "face.h"

#define NET  "/network/v2.0"
#define IMG  "/image/v2/images"
#define NOVA "/compute/v2.1"
#define VOL  "/volume/v3"

enum who { ADMIN, DEMO, N_WHO };

struct make {
    struct world *w;
    struct snapshot *s;
    struct call *c;
    enum who who;
};

#define ANY 0
#define ADM 1
struct ask_row {
    const char *name;
    int weight, admin;
    bool (*make)(struct make *);
};
/* Up to a row without a name. */
extern const struct ask_row asks_identity[], asks_network[], asks_image[],
    asks_compute[], asks_volume[], asks_bad[], asks_pool[], asks_node[];

const char *ask_text(struct make *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Now and then a name that somebody has. */
const char *ask_a_name(struct make *m, const char *prefix);
/* A record of the kind, NULL if there is none. */
const void *ask_a_record(struct make *m, const struct kind *kind);
/* Its id; sometimes one that is not there.  NULL: choose something else. */
const char *ask_an_id(struct make *m, const struct kind *kind);
/* An image's, mostly one that can be booted. */
const char *ask_an_image(struct make *m);

bool ask(struct make *m, const char *method, const char *path,
         const char *body);
/* The answer has the id of a new record of the kind at `id_path`. */
bool ask_new(struct make *m, const char *path, const struct kind *kind,
             const char *id_path, const char *body);
/* The end of a thing: it may be gone from now on. */
bool ask_end(struct make *m, const struct kind *kind, const char *path,
             const char *id);
/* The same, shown, renamed: of any one of the kind. */
bool ask_delete(struct make *m, const struct kind *kind, const char *path);
bool ask_show(struct make *m, const struct kind *kind, const char *path);
bool ask_rename(struct make *m, const struct kind *kind, const char *path,
                const char *envelope);

#endif
