#include "common/jw.h"

#include "common/cleanup.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* Eight bytes at once: has any of them its upper bit set in the result? */
#define EACH(c)       (UINT64_C(0x0101010101010101) * (uint64_t)(c))
#define ZERO_BYTES(x) (((x)-EACH(1)) & ~(x)&EACH(0x80))
#define BELOW(x, c)   (((x)-EACH(c)) & ~(x)&EACH(0x80))

static inline bool special8(const char *s)
{
    uint64_t x;
    memcpy(&x, s, 8);
    return BELOW(x, 0x20) | ZERO_BYTES(x ^ EACH('"')) |
           ZERO_BYTES(x ^ EACH('\\'));
}

static inline bool special1(char c)
{
    return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

/* Does nothing in it need an escape?  The last eight bytes overlap. */
static inline bool is_plain(const char *s, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            if (special8(s + i))
                return false;
        return !special8(s + n - 8);
    }
    for (size_t i = 0; i < n; i++)
        if (special1(s[i]))
            return false;
    return true;
}

/* memcpy for the short strings that nearly all are. */
static inline void copy(char *to, const char *from, size_t n)
{
    if (n > 32) {
        memcpy(to, from, n);
    } else if (n >= 16) {
        memcpy(to, from, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = from[i];
    }
}

/* The inside of a string that is_plain does not hold for. */
static void escape(struct buf *out, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_add(out, s + from, i - from);
        from = i + 1;
        switch (c) {
        case '"':
            buf_add(out, "\\\"", 2);
            break;
        case '\\':
            buf_add(out, "\\\\", 2);
            break;
        case '\n':
            buf_add(out, "\\n", 2);
            break;
        default: {
            char esc[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
            buf_add(out, esc, 6);
        }
        }
    }
    buf_add(out, s + from, n - from);
}

static void add_inside(struct buf *out, const char *s, size_t n)
{
    if (is_plain(s, n))
        buf_add(out, s, n);
    else
        escape(out, s, n);
}

/* Nearly every string is plain: one reservation, one copy. */
static void quote(struct buf *out, const char *s, size_t n)
{
    if (!is_plain(s, n)) {
        buf_addc(out, '"');
        escape(out, s, n);
        buf_addc(out, '"');
    } else if (buf_reserve(out, n + 2)) {
        char *p = out->data + out->len;
        p[0] = '"';
        copy(p + 1, s, n);
        p[n + 1] = '"';
        p[n + 2] = '\0';
        out->len += n + 2;
    }
}

/* What stands before a value: the comma and the key. */
static void lead(struct jw *w, const char *key)
{
    struct buf *out = w->out;
    size_t n = key ? strlen(key) : 0;
    bool comma = w->comma;
    w->comma = true;
    if (!key) {
        if (comma)
            buf_addc(out, ',');
    } else if (!is_plain(key, n)) {
        if (comma)
            buf_addc(out, ',');
        quote(out, key, n);
        buf_addc(out, ':');
    } else if (buf_reserve(out, n + 3 + comma)) {
        char *p = out->data + out->len;
        if (comma)
            *p++ = ',';
        *p++ = '"';
        copy(p, key, n);
        p += n;
        *p++ = '"';
        *p++ = ':';
        *p = '\0';
        out->len += n + 3 + comma;
    }
}

void jw_obj(struct jw *w, const char *key)
{
    lead(w, key);
    buf_addc(w->out, '{');
    w->comma = false;
}

void jw_obj_end(struct jw *w)
{
    buf_addc(w->out, '}');
    w->comma = true;
}

void jw_arr(struct jw *w, const char *key)
{
    lead(w, key);
    buf_addc(w->out, '[');
    w->comma = false;
}

void jw_arr_end(struct jw *w)
{
    buf_addc(w->out, ']');
    w->comma = true;
}

void jw_str(struct jw *w, const char *key, const char *s)
{
    if (s)
        jw_strn(w, key, s, strlen(s));
    else
        jw_null(w, key);
}

void jw_strn(struct jw *w, const char *key, const char *s, size_t n)
{
    lead(w, key);
    quote(w->out, s, n);
}

void jw_strf(struct jw *w, const char *key, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(text))
        w->out->overflow = true;
    jw_str(w, key, text);
}

void jw_join(struct jw *w, const char *key, const char *first, ...)
{
    va_list args;
    lead(w, key);
    buf_addc(w->out, '"');
    va_start(args, first);
    for (const char *s = first; s; s = va_arg(args, const char *))
        add_inside(w->out, s, strlen(s));
    va_end(args);
    buf_addc(w->out, '"');
}

void jw_int(struct jw *w, const char *key, int64_t n)
{
    lead(w, key);
    buf_addi(w->out, n);
}

void jw_real(struct jw *w, const char *key, double d)
{
    char text[40];
    if (!isfinite(d)) {
        jw_null(w, key); /* JSON has no word for it */
        return;
    }
    snprintf(text, sizeof(text), "%.15g", d);
    if (strtod(text, NULL) != d) /* the short form is not exact */
        snprintf(text, sizeof(text), "%.17g", d);
    lead(w, key);
    buf_adds(w->out, text);
    if (!strpbrk(text, ".e"))
        buf_add(w->out, ".0", 2);
}

void jw_bool(struct jw *w, const char *key, bool v)
{
    lead(w, key);
    buf_adds(w->out, v ? "true" : "false");
}

void jw_null(struct jw *w, const char *key)
{
    lead(w, key);
    buf_add(w->out, "null", 4);
}

void jw_raw(struct jw *w, const char *key, const char *json)
{
    lead(w, key);
    buf_adds(w->out, json && *json ? json : "null");
}

void jw_rawn(struct jw *w, const char *key, const char *json, size_t n)
{
    lead(w, key);
    buf_add(w->out, json, n);
}

void jw_json(struct jw *w, const char *key, const json_t *v)
{
    _autofree_ char *text =
        v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    jw_raw(w, key, text);
}
