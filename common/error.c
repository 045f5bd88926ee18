#include "common/error.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *text;
    int http;
} codes[ERR_N_CODES] = {
#define X(code, status, sentence) [ERR_##code] = { #code, sentence, status },
    ERROR_CODES(X)
#undef X
};

bool error_setv(struct error *e, enum error_code code, const char *fmt,
                va_list args)
{
    if (e) {
        e->code = code;
        vsnprintf(e->text, sizeof(e->text), fmt, args);
    }
    return false;
}

bool(error_set)(struct error *e, enum error_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    error_setv(e, code, fmt, args);
    va_end(args);
    return false;
}

static void append(struct error *e, const char *text)
{
    size_t used = strlen(e->text);
    snprintf(e->text + used, sizeof(e->text) - used, "%s", text);
}

bool error_errno(struct error *e, enum error_code code, int errnum,
                 const char *fmt, ...)
{
    if (!e)
        return false;
    va_list args;
    va_start(args, fmt);
    error_setv(e, code, fmt, args);
    va_end(args);
    char reason[128];
    append(e, ": ");
    append(e, strerror_r(errnum, reason, sizeof(reason)));
    return false;
}

bool error_prefix(struct error *e, const char *fmt, ...)
{
    if (!e)
        return false;
    char was[ERROR_TEXT_MAX];
    memcpy(was, e->text, sizeof(was));
    va_list args;
    va_start(args, fmt);
    error_setv(e, e->code, fmt, args);
    va_end(args);
    append(e, ": ");
    append(e, was);
    return false;
}

void error_clear(struct error *e)
{
    if (e) {
        e->code = ERR_NONE;
        e->text[0] = '\0';
    }
}

void error_copy(struct error *to, const struct error *from)
{
    if (to)
        *to = *from;
}

const char *error_code_name(enum error_code code)
{
    return codes[code].name;
}

const char *error_code_text(enum error_code code)
{
    return codes[code].text;
}

int error_http_status(enum error_code code)
{
    return codes[code].http;
}
