/*
 * buf - a growing byte buffer with a bound.
 *
 * Every buffer is made with the most it may hold.  An append over the bound
 * sets `overflow` and drops the data; the owner asks once at the end.  The
 * content is always followed by a NUL that `len` does not count.  Owned by
 * one thread; buf_free leaves an empty, usable buffer.
 */
#ifndef CAIRN_COMMON_BUF_H
#define CAIRN_COMMON_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL while nothing was appended */
    size_t len;
    size_t cap;
    size_t max;    /* bytes it may hold */
    bool overflow; /* an append did not fit */
};

#define BUF_INIT(max_) ((struct buf){ .max = (max_) })

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);
void buf_reset(struct buf *b);                 /* empty, memory kept */
bool buf_reserve(struct buf *b, size_t extra); /* room for extra more bytes */
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc_slow(struct buf *b, char c);
static inline void buf_addc(struct buf *b, char c)
{
    if (b->overflow || b->len + 1 >= b->cap || b->len >= b->max) {
        buf_addc_slow(b, c);
        return;
    }
    b->data[b->len++] = c;
    b->data[b->len] = '\0';
}
void buf_addf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void buf_addi(struct buf *b, int64_t n);  /* decimal, fast */
const char *buf_str(const struct buf *b); /* never NULL */
char *buf_steal(struct buf *b);           /* malloced, b is empty after */

#endif
