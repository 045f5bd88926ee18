/*
 * rights - which keys somebody may write, and what of a value he may not
 * read: a table of prefixes.
 *
 * The first row whose prefix fits decides; a key that fits none may not be
 * written, and may be read.  Pure.
 */
#ifndef CAIRN_STATE_RIGHTS_H
#define CAIRN_STATE_RIGHTS_H

#include "common/buf.h"
#include "state/store.h"

enum {
    RIGHT_PUT = 1,
    RIGHT_DELETE = 2,
    /* And what follows the prefix must be a name: letters, digits and ._-,
     * no dot at its beginning.  For ids that become a path somewhere. */
    RIGHT_NAMES = 4,
};

struct store_right {
    const char *prefix; /* NULL: the table's end */
    int may;            /* of the above, or 0 */
    const char *hidden; /* a member of the value, an object; NULL: none */
};

/* False, and ERR_FORBIDDEN that names the first key that may not be written:
 * then none of the txn may.  A write that would go with a lease is refused
 * too.  `rights` NULL allows all. */
bool rights_allow(const struct store_right *rights, const struct txn *t,
                  struct error *err);
/* What a reader sees of it, without what is hidden: `text` is emptied and may
 * be where it is then. */
struct kv rights_show(const struct store_right *rights, const struct kv *kv,
                      struct buf *text);

#endif
