/*
 * command - other programs: their words, and running one to its end.
 *
 * For the tools that come with the daemons a node runs (ovs-vsctl,
 * ovsdb-tool).  No shell is involved, and nothing a user of the cloud chose
 * is ever among the words.
 *
 * Threads: calls from any thread; a struct words is its owner's.
 */
#ifndef CAIRN_DAEMON_COMMAND_H
#define CAIRN_DAEMON_COMMAND_H

#include "common/buf.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORDS_MAX 64

/* Words of a command line, ended by NULL as exec wants it. */
struct words {
    char *v[WORDS_MAX + 1];
    size_t n;
};

#define WORDS_INIT ((struct words){ .n = 0 })
void words_add(struct words *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void words_list(struct words *w, const char *const *list); /* up to NULL */
void words_free(struct words *w);
#define _autowords_ _cleanup_(words_free)
/* The same words give the same number. */
uint64_t words_hash(const struct words *w);

/* Runs it and waits; true if it ended with 0.  What it printed goes to `out`
 * (may be NULL); on failure err has the last line of what it complained
 * about.  TIMEOUT: it was killed after `timeout_ms`. */
bool command_run(const struct words *w, int timeout_ms, struct buf *out,
                 struct error *err);
/* The same with the words as arguments up to NULL; 10 s. */
bool command_do(struct error *err, const char *word, ...)
    __attribute__((sentinel));

#endif
