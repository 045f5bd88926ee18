/*
 * place - where a cairnd lives: its names, its directories, its address.
 *
 * From the configuration come the node's name, the URL under which the API
 * is announced, the names in its certificate and the directories; taking the
 * place makes the directories and locks them, one cairnd to each; listening
 * binds the API's address.
 *
 * Ownership: the struct is the caller's, the strings in it are its own, the
 * configuration is borrowed and must outlive it.  Threads: made and freed by
 * one, read by any in between.
 */
#ifndef CAIRN_DAEMON_PLACE_H
#define CAIRN_DAEMON_PLACE_H

#include "daemon/config.h"

#define PLACE_NAMES 4

struct place {
    const struct config *config;
    char node[64], host[64]; /* our name; the address of listen */
    int port;
    char *public_url, *url_host; /* and the host in it */
    char *face_root, *pki_dir;
    const char *names[PLACE_NAMES]; /* in the certificate, up to NULL */
    int lock, listen;               /* descriptors; -1: none */
};

/* Only names: touches nothing of the machine. */
void place_init(struct place *p, const struct config *config);
/* The directories; ERR_CONFLICT: another cairnd has them. */
bool place_take(struct place *p, struct error *err);
/* Waits up to two seconds for an address that is in use. */
bool place_listen(struct place *p, struct error *err);
/* Where this node is reached; where it would bind to hear others. */
const char *place_address(const struct place *p);
const char *place_bind_address(const struct place *p);
void place_free(struct place *p);

#endif
