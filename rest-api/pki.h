/*
 * pki - the node's own certificate authority and its server certificate.
 *
 * At the first start a CA and a server certificate (ECDSA P-256) are made in
 * <state_dir>/pki; keys are readable by their owner only, ca.crt by all, so
 * that clients can be given it.  At later starts they are read again; the
 * server's is made anew when the names have changed or its end is near (the
 * daemon looks while it runs: daemon/renewal.h), the CA never changes by
 * itself.
 *
 * Threads: none of its own; what it returns is the caller's.
 */
#ifndef CAIRN_REST_API_PKI_H
#define CAIRN_REST_API_PKI_H

#include "common/error.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#define PKI_CA_YEARS    10
#define PKI_SERVER_DAYS 397
/* Renewed when it has less than that left: a third of its life. */
#define PKI_RENEW_DAYS (PKI_SERVER_DAYS / 3)
#define PKI_NAMES_MAX  64

/* PEM texts. */
struct pki {
    char *ca;     /* the CA's certificate */
    char *ca_key; /* a secret; every member has it (daemon/join.h) */
    char *cert;   /* the server's, followed by the CA's */
    char *key;    /* the server's private key: a secret */
};

/* `dir` is made when missing.  `names` (up to NULL): DNS names and addresses
 * of the server; localhost and the loopback addresses are added.  `now` in
 * us.  False: nothing is half written; err names the file. */
bool pki_open(const char *dir, const char *const *names, int64_t now,
              struct pki *out, struct error *err);
/* The same under a CA whose key is not kept in `dir` but known to the caller
 * (daemon/api_pki.h).  A ca.crt of another key is replaced. */
bool pki_open_under(const char *dir, EVP_PKEY *ca_key, const char *const *names,
                    int64_t now, struct pki *out, struct error *err);
/* What is there now, without the CA's key: for those who show it to others
 * and are not told when it is renewed.  False while it is being renewed too:
 * try again. */
bool pki_read(const char *dir, struct pki *out, struct error *err);
void pki_close(struct pki *p); /* wipes and frees */

#endif
