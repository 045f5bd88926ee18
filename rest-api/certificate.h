/*
 * certificate - what TLS shows to who connects, replaceable at any time.
 *
 * A process shows one certificate.  Each handshake takes the newest; those
 * that are under way and connections that stand keep what they began with,
 * so older ones are kept too (there is one in months).
 *
 * Threads: any.
 */
#ifndef CAIRN_REST_API_CERTIFICATE_H
#define CAIRN_REST_API_CERTIFICATE_H

#include "common/error.h"

#include <stdbool.h>

/* PEM: the certificate with its chain, and its key.  False: the one before
 * stays. */
bool certificate_set(const char *cert, const char *key, struct error *err);
/* Forgets all; when no handshake can be under way any more. */
void certificate_clear(void);
/* For MHD_OPTION_HTTPS_CERT_CALLBACK: a function of GnuTLS's type. */
void *certificate_callback(void);

#endif
