#include "state/frame.h"

#include "common/alloc.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_SIZE (64 * 1024)
#define ABSENT    UINT32_MAX

/* ---- receiving --------------------------------------------------------- */

void frame_reader_init(struct frame_reader *r, int sock, size_t max_body,
                       int max_fds)
{
    *r = (struct frame_reader){ .sock = sock,
                                .max_body = max_body,
                                .max_fds = max_fds };
    buf_init(&r->in, max_body + sizeof(struct frame_header) + READ_SIZE);
}

void frame_reader_free(struct frame_reader *r)
{
    while (r->n_fds)
        close(r->fds[--r->n_fds]);
    buf_free(&r->in);
}

/* Takes the descriptors of a message; false if there are more than may be. */
static bool take_fds(struct frame_reader *r, struct msghdr *msg)
{
    bool fine = !(msg->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (r->n_fds < r->max_fds) {
                r->fds[r->n_fds++] = fd;
            } else {
                close(fd);
                fine = false;
            }
        }
    }
    return fine;
}

/* Drops what is consumed and reads once more. */
static bool fill(struct frame_reader *r)
{
    struct buf *in = &r->in;
    if (r->at) {
        memmove(in->data, in->data + r->at, in->len - r->at);
        in->len -= r->at;
        r->at = 0;
    }
    if (!buf_reserve(in, READ_SIZE))
        return false;
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(FRAME_FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = { in->data + in->len, in->cap - in->len - 1 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof(control) };
    ssize_t n;
    do
        n = recvmsg(r->sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 || !take_fds(r, &msg) || !n)
        return false;
    in->len += (size_t)n;
    return true;
}

static bool need(struct frame_reader *r, size_t n)
{
    while (r->in.len - r->at < n)
        if (!fill(r))
            return false;
    return true;
}

static int next_fd(struct frame_reader *r)
{
    int fd = r->fds[0];
    memmove(r->fds, r->fds + 1, (size_t)--r->n_fds * sizeof(int));
    return fd;
}

bool frame_recv(struct frame_reader *r, struct frame *f)
{
    struct frame_header h;
    if (!need(r, sizeof(h)))
        return false;
    memcpy(&h, r->in.data + r->at, sizeof(h));
    if (h.len > r->max_body || h.n_fds > 1 || !need(r, sizeof(h) + h.len) ||
        h.n_fds > r->n_fds)
        return false;
    const char *body = r->in.data + r->at + sizeof(h);
    *f = (struct frame){ .type = h.type,
                         .id = h.id,
                         .body = { body, body + h.len, false },
                         .fd = h.n_fds ? next_fd(r) : -1 };
    r->at += sizeof(h) + h.len;
    return true;
}

/* ---- sending ----------------------------------------------------------- */

size_t frame_begin(struct buf *out, uint16_t type, uint64_t id, int n_fds)
{
    struct frame_header h = { .type = type,
                              .id = id,
                              .n_fds = (uint16_t)n_fds };
    size_t begun = out->len;
    buf_add(out, &h, sizeof(h));
    return begun;
}

void frame_end(struct buf *out, size_t begun)
{
    if (out->overflow)
        return;
    uint32_t len = (uint32_t)(out->len - begun - sizeof(struct frame_header));
    memcpy(out->data + begun + offsetof(struct frame_header, len), &len,
           sizeof(len));
}

static ssize_t send_some(int sock, const char *p, size_t len, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { (char *)p, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

bool frame_send(int sock, const void *data, size_t len, int fd)
{
    for (const char *p = data; len; fd = -1) {
        ssize_t n = send_some(sock, p, len, fd);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* ---- bodies ------------------------------------------------------------ */

void put_u32(struct buf *b, uint32_t v)
{
    buf_add(b, &v, sizeof(v));
}

void put_i64(struct buf *b, int64_t v)
{
    buf_add(b, &v, sizeof(v));
}

void put_bytes(struct buf *b, const void *p, size_t len)
{
    put_u32(b, p ? (uint32_t)len : ABSENT);
    if (p)
        buf_add(b, p, len);
}

void put_str(struct buf *b, const char *s)
{
    put_bytes(b, s, s ? strlen(s) : 0);
}

static bool take(struct cursor *c, void *out, size_t len)
{
    if (c->bad || (size_t)(c->end - c->p) < len) {
        c->bad = true;
        memset(out, 0, len);
        return false;
    }
    memcpy(out, c->p, len);
    c->p += len;
    return true;
}

uint32_t get_u32(struct cursor *c)
{
    uint32_t v;
    take(c, &v, sizeof(v));
    return v;
}

int64_t get_i64(struct cursor *c)
{
    int64_t v;
    take(c, &v, sizeof(v));
    return v;
}

const void *get_bytes(struct cursor *c, size_t *len, size_t max)
{
    uint32_t n = get_u32(c);
    *len = 0;
    if (c->bad || n == ABSENT)
        return NULL;
    if (n > max || n > (size_t)(c->end - c->p)) {
        c->bad = true;
        return NULL;
    }
    const void *p = c->p;
    c->p += n;
    *len = n;
    return p;
}

char *get_str(struct cursor *c, size_t max)
{
    size_t len;
    const char *p = get_bytes(c, &len, max);
    if (p && memchr(p, '\0', len))
        c->bad = true;
    return p && !c->bad ? xstrndup(p, len) : NULL;
}

bool cursor_done(const struct cursor *c)
{
    return !c->bad && c->p == c->end;
}
