/*
 * error - the one error object of the house.
 *
 * A struct error carries a code and a sentence that names the thing that
 * failed ("volume 3f..: image file is truncated").  It is owned by the
 * caller, usually on its stack, and belongs to one thread.  Functions that
 * can fail take a `struct error *` last, return false (or NULL), and have
 * then filled it; a NULL pointer means the caller does not want to know.
 *
 * One X-macro lists the codes with their HTTP status and their default text.
 */
#ifndef CAIRN_COMMON_ERROR_H
#define CAIRN_COMMON_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

/*        code             HTTP  default sentence */
#define ERROR_CODES(X)                                                         \
    X(NONE, 200, "no error")                                                   \
    X(INVALID, 400, "the request is malformed")                                \
    X(UNAUTHENTICATED, 401, "authentication is required")                      \
    X(FORBIDDEN, 403, "you are not allowed to do this")                        \
    X(QUOTA, 403, "quota exceeded")                                            \
    X(NOT_FOUND, 404, "no such resource")                                      \
    X(METHOD, 405, "method not allowed")                                       \
    X(NOT_ACCEPTABLE, 406, "version not supported")                            \
    X(CONFLICT, 409, "conflicts with the current state")                       \
    X(EXISTS, 409, "exists already")                                           \
    X(GONE, 410, "the resource is gone")                                       \
    X(TOO_LARGE, 413, "too large")                                             \
    X(MEDIA_TYPE, 415, "content type not supported")                           \
    X(RANGE, 416, "range not satisfiable")                                     \
    X(BUSY, 429, "too many requests")                                          \
    X(INTERNAL, 500, "internal error")                                         \
    X(NOT_IMPLEMENTED, 501, "not implemented")                                 \
    X(UNAVAILABLE, 503, "service unavailable")                                 \
    X(UNKNOWN, 503, "the outcome is unknown, read again")                      \
    X(TIMEOUT, 504, "timed out")                                               \
    X(NO_SPACE, 507, "no space left")                                          \
    X(CANCELLED, 503, "cancelled")                                             \
    X(COMPACTED, 500, "the revision has been compacted")                       \
    X(LOST, 500, "events were lost")

enum error_code {
#define X(code, http, text) ERR_##code,
    ERROR_CODES(X)
#undef X
        ERR_N_CODES
};

#define ERROR_TEXT_MAX 512

struct error {
    enum error_code code;
    char text[ERROR_TEXT_MAX]; /* one sentence, no newline, never a secret */
};

/* Fills `e` (may be NULL) and returns false, so that a failing function
 * ends with `return error_set(e, ...)`. */
bool error_set(struct error *e, enum error_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__ /* which does not see into other files */
#define error_set(...) (error_set(__VA_ARGS__), false)
#endif
bool error_setv(struct error *e, enum error_code code, const char *fmt,
                va_list args) __attribute__((format(printf, 3, 0)));

/* As error_set, with ": strerror(errnum)" added. */
bool error_errno(struct error *e, enum error_code code, int errnum,
                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Puts "prefix: " before the sentence of an error that is set. */
bool error_prefix(struct error *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void error_clear(struct error *e);
void error_copy(struct error *to, const struct error *from);

const char *error_code_name(enum error_code code); /* "NOT_FOUND" */
const char *error_code_text(enum error_code code); /* default sentence */
int error_http_status(enum error_code code);

#endif
