/*
 * node_setup - what the rows of node_services.h are given: the node's
 * configuration and the members of its pool; and how they write files.
 *
 * The members are in the order in which they joined.  They are kept in
 * <run_dir>/services/members, which goes with the boot as the daemons do: a
 * cairnd that is started again must know what its daemons know before it
 * looks at them.
 *
 * Ownership: the struct is the caller's, the configuration borrowed.
 * Threads: any; `arg` is a struct node_setup.
 */
#ifndef CAIRN_DAEMON_NODE_SETUP_H
#define CAIRN_DAEMON_NODE_SETUP_H

#include "daemon/command.h"
#include "daemon/config.h"

#include <pthread.h>

#define NODE_SETUP_MEMBERS 16 /* are remembered; the first three matter */

/* OVN's databases are on the first so many members. */
#define NODE_SERVICES_CENTRAL 3

struct service_member {
    char name[64], address[64];
};

struct node_setup {
    const struct config *config;
    char node[64], address[64];
    pthread_mutex_t lock; /* all below */
    struct service_member members[NODE_SETUP_MEMBERS];
    size_t n_members;
};

void node_setup_init(struct node_setup *n, const struct config *config,
                     const char *node);
/* True if that is news; *was: how many there were. */
bool node_setup_take(struct node_setup *n, const struct service_member *members,
                     size_t n_members, size_t *was);
void node_setup_save(struct node_setup *n); /* a failure is logged */
void node_setup_load(struct node_setup *n);

/* This node is in a pool; in_a_pool says ERR_BUSY when it is not. */
bool node_setup_is_member(void *arg);
bool node_setup_in_a_pool(struct node_setup *n, struct error *err);
/* It has OVN's databases; it is the first who has; others have them too. */
bool node_setup_is_central(void *arg);
bool node_setup_is_first(struct node_setup *n);
bool node_setup_is_clustered(struct node_setup *n);

/* "ssl:a:6642,ssl:b:6642", or `alone` where there is one database. */
char *node_setup_remotes(struct node_setup *n, int port, const char *alone);
/* "ssl:b:6643" of each other who has them. */
void node_setup_add_others(struct node_setup *n, int port, struct words *w);
/* The node's key and certificate as Open vSwitch's programs take them. */
void node_setup_add_tls(const struct node_setup *n, struct words *w);

/* `paths` up to NULL, world-readable; those that are there stay. */
bool node_make_dirs(struct error *err, const char *const *paths);
bool node_file_exists(const char *path); /* and is not empty */
/* A new file in one step, readable by root alone. */
bool node_write_file(const char *path, const char *text, struct error *err);

#endif
