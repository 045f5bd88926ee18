/* nb_build - what the parts of nb (nb_*.c) share; nobody else's business. */
#ifndef CAIRN_NETWORK_NB_BUILD_H
#define CAIRN_NETWORK_NB_BUILD_H

#include "model/network.h"
#include "network/addr.h"
#include "network/nb.h"
#include "network/ovsdb_wire.h"

#define NB_KEY_MAX 320

struct nb {
    const struct snapshot *s;
    const struct nb_config *config;
    json_t *content;
    json_t *empty[NB_MAP + 1]; /* values of columns, shared by all rows */
};

/* A new row with all columns empty, to be filled.  Parent NULL for a root. */
json_t *nb_row(struct nb *b, enum nb_table table, const char *key,
               const char *parent);
/* A row that is there already, or NULL. */
json_t *nb_find(struct nb *b, enum nb_table table, const char *key);

/* Set a column; `v` is stolen.  nb_map drops nothing, nb_set sorts. */
void nb_put(json_t *row, const char *column, json_t *v);
void nb_str(json_t *row, const char *column, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void nb_set(json_t *row, const char *column, json_t *array);
void nb_map(json_t *row, const char *column, json_t *object);
json_t *nb_ref(enum nb_table table, const char *key);
/* One more entry of external_ids; NULL or "" values are left out. */
void nb_note(json_t *row, const char *key, const char *value);

json_t *json_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Is it plugged into a machine: neither neutron's own nor an address kept
 * for a floating IP. */
bool port_is_vif(const struct port *p);
/* Do rules and address checks apply to it. */
bool port_is_guarded(const struct port *p);
bool port_is_router_port(const struct port *p);
bool port_is_gateway(const struct port *p);
/* The router that a router port belongs to, or NULL. */
const struct router *port_router(struct nb *b, const struct port *p);
const struct subnet *fixed_ip_subnet(struct nb *b, const struct fixed_ip *ip);
/* Domain of a network without the final dot, or NULL. */
const char *network_domain(struct nb *b, const struct network *n,
                           char tmp[256]);

void nb_networks(struct nb *b); /* nb_switch.c */
void nb_routers(struct nb *b);  /* nb_router.c */
void nb_groups(struct nb *b);   /* nb_group.c; after nb_networks */

#endif
