/*
 * table - columns that line up, for people at a terminal.
 *
 * Cells are printed into the table as they come; table_print finds the
 * widths.  Numbers are set right, text left; a last column of text may run
 * on.  Colours only where standard output is a terminal and NO_COLOR is not
 * set.  One thread.
 */
#ifndef CAIRN_CLI_TABLE_H
#define CAIRN_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#define TABLE_COLUMNS 16

struct table {
    size_t columns, n; /* cells so far, the head included */
    char **cells;
};

/* `columns` from the head's cells up to NULL. */
void table_head(struct table *t, const char *first, ...)
    __attribute__((sentinel));
void table_add(struct table *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* One more column's head; only before the first row. */
void table_column(struct table *t, const char *head);
void table_print(const struct table *t); /* a missing last row's end is "" */
void table_free(struct table *t);

/* Escape sequences, or "" where there is no terminal. */
enum ink { INK_PLAIN, INK_BOLD, INK_GOOD, INK_BAD, INK_FAINT };
const char *ink(enum ink which);

#endif
