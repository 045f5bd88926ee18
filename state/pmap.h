/*
 * pmap - a persistent ordered map.
 *
 * A map is a value: `struct pmap old = pmap_copy(m)` costs one atomic
 * operation, and later changes of m leave old as it was.  A change copies
 * the nodes on the path to it (an AVL tree, about 1.4 log2 n) and shares the
 * rest; a node nobody shares is changed in place.
 *
 *          a (before)     a' (after the insert of f)
 *         / \            / \
 *        b   c     b ---'   c'          b, d, e belong to both maps
 *           / \             / \
 *          d   e       d --'   e'
 *                               \
 *                                f
 *
 * Entries are ordered by key, then by sub-key (an index holds several
 * entries of one key; a NULL sub-key comes first).  Keys are borrowed from
 * the value, which is reference counted by the functions of the map's type.
 *
 * Threads: one map belongs to one thread at a time, but its copies may be
 * read, changed and freed by other threads without any lock.
 */
#ifndef CAIRN_STATE_PMAP_H
#define CAIRN_STATE_PMAP_H

#include <stdbool.h>
#include <stddef.h>

struct pmap_type {
    void *(*ref)(const void *value);
    void (*unref)(const void *value);
};

struct pmap_node;
struct pmap {
    const struct pmap_type *type;
    struct pmap_node *root;
    size_t count;
};

#define PMAP_INIT(type_) ((struct pmap){ .type = (type_) })

struct pmap pmap_copy(const struct pmap *m);
void pmap_clear(struct pmap *m);

/* Adds or replaces the entry (key, sub); takes a reference of value.  The
 * strings must live as long as value. */
void pmap_put(struct pmap *m, const char *key, const char *sub,
              const void *value);
bool pmap_remove(struct pmap *m, const char *key, const char *sub);
/* The first value under key, borrowed from the map, or NULL. */
const void *pmap_get(const struct pmap *m, const char *key);

/* A walk in order from the first entry on that is not less than (key, sub),
 * or, `after`, that is greater; a NULL key starts at the first of all.  The
 * walk borrows from the map and may be left at any time. */
#define PMAP_DEPTH_MAX 48 /* an AVL tree of 2^32 entries is 46 high */
struct pmap_iter {
    const struct pmap_node *stack[PMAP_DEPTH_MAX];
    int depth;
};
void pmap_seek(struct pmap_iter *it, const struct pmap *m, const char *key,
               const char *sub, bool after);
/* The next value, or NULL at the end; *key (may be NULL) is its key. */
const void *pmap_next(struct pmap_iter *it, const char **key);

/* Calls fn for each entry in which two maps of one type differ, in order:
 * `old` NULL is one that only `b` has, `now` NULL one that only `a` has.
 * What they share is passed over: between a map and a copy that k changes
 * have been made to, the cost is about k log n. */
typedef void pmap_diff_fn(void *arg, const void *old, const void *now);
void pmap_diff(const struct pmap *a, const struct pmap *b, pmap_diff_fn *fn,
               void *arg);

bool pmap_valid(const struct pmap *m); /* order, balance, count; for tests */

#endif
