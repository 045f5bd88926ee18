/*
 * face - the process that strangers talk to: HTTP, TLS, tokens, the APIs.
 *
 * It is this same program, started by the privileged side (face_runner.h)
 * with three descriptors and nothing else:
 *
 *   3  the connection to the store and its calls (state/remote.h)
 *   4  the API's listening socket
 *   5  settings: what it must know before it can see nothing any more
 *
 * It gives up all privilege (jail.h) before it reads a byte from a stranger,
 * follows the store into its own cache, and serves.  When the connection ends
 * the privileged side is gone: it ends at once.  On SIGTERM it lets running
 * requests end first.
 */
#ifndef CAIRN_DAEMON_FACE_H
#define CAIRN_DAEMON_FACE_H

#include "common/buf.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

#define FACE_STORE_FD     3
#define FACE_LISTEN_FD    4
#define FACE_SETTINGS_FD  5
#define FACE_SETTINGS_MAX (256 * 1024)
#define FACE_GRACE_US     (8 * INT64_C(1000000))

/* "name of a pushed descriptor": a metadata listener for the network in its
 * JSON {"network_id": ..}; the second: that network has none any more. */
#define FACE_PUSH_METADATA      "metadata"
#define FACE_PUSH_METADATA_GONE "metadata-gone"
/* From now on that certificate is shown: a file with JSON {"cert", "key"}. */
#define FACE_PUSH_CERTIFICATE "certificate"

struct face_settings {
    const char *public_url, *region, *node;
    const char *cert, *key; /* PEM; "" = plain HTTP */
    const char *root;       /* an empty directory for the jail */
    int64_t uid, gid;       /* 0: no jail */
    int64_t log_level;
    int64_t connections;
};

/* As the content of descriptor 5. */
void face_settings_write(const struct face_settings *s, struct buf *out);

/* As what is pushed. */
void face_certificate_write(const char *cert, const char *key, struct buf *out);

/* The whole process; returns its exit code. */
int face_main(void);

#endif
