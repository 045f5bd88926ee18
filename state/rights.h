/*
 * rights - which keys somebody may write: a table of prefixes.
 *
 * The first row whose prefix fits decides; a key that fits none may not be
 * written.  Pure.
 */
#ifndef CAIRN_STATE_RIGHTS_H
#define CAIRN_STATE_RIGHTS_H

#include "state/store.h"

enum { RIGHT_PUT = 1, RIGHT_DELETE = 2 };

struct store_right {
    const char *prefix; /* NULL: the table's end */
    int may;            /* RIGHT_PUT, RIGHT_DELETE, both or 0 */
};

/* False, and ERR_FORBIDDEN that names the first key that may not be written:
 * then none of the txn may.  A write that would go with a lease is refused
 * too.  `rights` NULL allows all. */
bool rights_allow(const struct store_right *rights, const struct txn *t,
                  struct error *err);

#endif
