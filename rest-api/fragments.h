/*
 * fragments - the JSON of records as it was written before.
 *
 * What a record looks like to clients depends on the record, on others that
 * it shows with it, and on how it was asked for.  A text is kept under all of
 * these, so that what is found is what would be written now: the id and the
 * revision of the record, a revision of the others (snap_changed: it moves
 * whenever any of them does), and the caller's variant.  Only for records
 * that are from a snapshot: a draft has the revision of what it was made
 * from.
 *
 * Bounded: a text takes the place of one that falls on the same slot, and
 * what is too long or too much altogether is not kept.
 *
 * Threads: all calls from any thread.
 */
#ifndef CAIRN_REST_API_FRAGMENTS_H
#define CAIRN_REST_API_FRAGMENTS_H

#include "common/jw.h"

#include <stdint.h>

#define FRAGMENT_MAX (16 * 1024) /* bytes of one text */

struct fragments;

/* Of `max` bytes at most, and the slots' few. */
struct fragments *fragments_new(size_t max);
void fragments_free(struct fragments *f); /* NULL is fine */

struct fragment_key {
    const char *id;
    int64_t revision;     /* mod_rev of the record, never a draft's */
    int64_t others;       /* newest snap_changed of the kinds shown with it */
    int64_t variant;      /* version, rights ...: the caller's own number */
    const char *base_url; /* that its links begin with */
};

/* Writes the value under `name` (NULL: an item); false: there is none, and
 * nothing is written. */
bool fragments_write(struct fragments *f, const struct fragment_key *key,
                     struct jw *w, const char *name);
void fragments_keep(struct fragments *f, const struct fragment_key *key,
                    const char *text, size_t len);

#endif
