/*
 * frame - typed messages with a length over a stream socket.
 *
 * A frame is a header (length of the body, type, id) and a body of numbers
 * and strings; a file descriptor may travel with it.  Both ends are the same
 * program on one machine: numbers are in its own order.  The other end may
 * be hostile all the same: frame_recv bounds every length and the get_
 * functions never read past the body; after a bad read they give zeroes and
 * `bad` stays set.
 *
 * Threads: one reader, one writer at a time.
 */
#ifndef CAIRN_STATE_FRAME_H
#define CAIRN_STATE_FRAME_H

#include "common/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_FDS_MAX 8 /* waiting in a reader */

struct frame_header {
    uint32_t len; /* of the body */
    uint16_t type;
    uint16_t n_fds; /* 0 or 1 */
    uint64_t id;
};

/* Where a body is read. */
struct cursor {
    const char *p, *end;
    bool bad;
};

struct frame {
    uint16_t type;
    uint64_t id;
    struct cursor body; /* borrowed from the reader, until its next frame */
    int fd;             /* -1 = none; the receiver's to close */
};

struct frame_reader {
    int sock;
    size_t max_body;
    int max_fds; /* 0: a descriptor breaks the connection */
    struct buf in;
    size_t at; /* consumed */
    int fds[FRAME_FDS_MAX];
    int n_fds;
};

void frame_reader_init(struct frame_reader *r, int sock, size_t max_body,
                       int max_fds);
void frame_reader_free(struct frame_reader *r); /* closes waiting fds */
/* Blocks for the next frame.  False: the connection ended or broke a rule. */
bool frame_recv(struct frame_reader *r, struct frame *f);

/* Starts a frame at the end of `out`; frame_end fixes its length up. */
size_t frame_begin(struct buf *out, uint16_t type, uint64_t id, int n_fds);
void frame_end(struct buf *out, size_t begun);
/* Sends all of it, with fd (or -1) on the first byte. */
bool frame_send(int sock, const void *data, size_t len, int fd);

void put_u32(struct buf *b, uint32_t v);
void put_i64(struct buf *b, int64_t v);
void put_bytes(struct buf *b, const void *p, size_t len); /* p NULL = none */
void put_str(struct buf *b, const char *s);               /* NULL = none */

uint32_t get_u32(struct cursor *c);
int64_t get_i64(struct cursor *c);
/* Borrowed from the body; NULL if there is none (or it is bad). */
const void *get_bytes(struct cursor *c, size_t *len, size_t max);
/* Malloced; NULL when bad, absent, longer than max, or with a NUL inside. */
char *get_str(struct cursor *c, size_t max);
bool cursor_done(const struct cursor *c); /* all read, nothing bad */

#endif
