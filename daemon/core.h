/*
 * core - the privileged side of cairnd: the store and all that acts on the
 * node.
 *
 * Brings everything up in order, serves until SIGTERM or SIGINT, and takes it
 * down again.  Guests, their networks and disks do not notice either.  A part
 * of the outside that is not there yet (libvirt, OVN) is no failure: its
 * reconciler goes on trying; what cannot be mended by waiting (a broken
 * database, a port that is taken) ends the start with a sentence.
 */
#ifndef CAIRN_DAEMON_CORE_H
#define CAIRN_DAEMON_CORE_H

#include "daemon/config.h"

/* The process's exit code: 0 after an orderly end. */
int core_run(const struct config *config);
/* Only starts and watches the daemons of a node (node_services.h). */
int core_run_services(const struct config *config);

#endif
