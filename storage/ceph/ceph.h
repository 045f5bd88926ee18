/*
 * ceph - a connection to the pool's Ceph cluster: librados with our errors.
 *
 * Admin work goes through commands to the monitors, JSON in and out, as the
 * `ceph` tool's own does (docs.ceph.com, "librados (C)", rados_mon_command);
 * nothing parses a tool's output.
 *
 * A call that the cluster does not answer ends with TIMEOUT after
 * `timeout_us`; what it asked for may still happen, so callers ask for states
 * ("this pool exists"), not for steps.
 *
 * Threads: any; librados does its work on threads of its own.  The owner
 * frees it after everything that was opened through it.
 */
#ifndef CAIRN_STORAGE_CEPH_CEPH_H
#define CAIRN_STORAGE_CEPH_CEPH_H

#include "common/env.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define CEPH_TIMEOUT_US  (30 * SECOND_US)
#define CEPH_COMMAND_MAX (64 * 1024)        /* bytes of one command */
#define CEPH_REPLY_MAX   (32 * 1024 * 1024) /* bytes of its answer */

struct ceph_config {
    const char *conf;   /* path of ceph.conf; NULL: /etc/ceph/ceph.conf */
    const char *client; /* "admin" for client.admin */
    int64_t timeout_us; /* of one call; 0: CEPH_TIMEOUT_US */
};

struct ceph;

/* NULL: UNAVAILABLE when no monitor answers in time, FORBIDDEN when the key
 * is refused, INVALID when the file cannot be read. */
struct ceph *ceph_connect(const struct ceph_config *config, struct error *err);
void ceph_free(struct ceph *c); /* NULL is fine */

/* Sends a command ({"prefix": "osd pool ls", ...}; taken over by the call)
 * with `input` (may be NULL), and asks for JSON.  `*reply` (may be NULL) is
 * the caller's: the answer, or JSON null when there was none.
 *   NOT_FOUND, EXISTS, INVALID, BUSY, FORBIDDEN  as the monitor's error
 *   TIMEOUT, INTERNAL */
bool ceph_command(struct ceph *c, json_t *command, const char *input,
                  json_t **reply, struct error *err);

/* The client's own key, base64, for QEMU; the caller wipes it.  NOT_FOUND
 * when no keyring of the configuration has it. */
#define CEPH_KEY_MAX 128
bool ceph_key(struct ceph *c, char key[CEPH_KEY_MAX], struct error *err);

#endif
