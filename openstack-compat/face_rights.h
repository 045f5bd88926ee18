/*
 * face_rights - what the face may write, and what it may not even read.
 *
 * The face speaks with strangers; what a stranger made of it must not be able
 * to change what only the privileged side writes: keys that seal tokens, the
 * pool itself, the leader's decisions; nor learn by what nodes join.  The
 * store's server (state/remote.h) refuses all that this table does not allow.
 * The API's unit tests and the simulation check every transaction of a handler
 * against it.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_FACE_RIGHTS_H
#define CAIRN_OPENSTACK_COMPAT_FACE_RIGHTS_H

#include "state/rights.h"

extern const struct store_right face_rights[];

#endif
