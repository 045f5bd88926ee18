#include "common/b64.h"

#include <string.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void b64_encode(struct buf *out, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t v = (uint32_t)p[i] << 16;
        v |= n > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        v |= n > 2 ? p[i + 2] : 0;
        char quad[4] = { alphabet[v >> 18], alphabet[v >> 12 & 63],
                         n > 1 ? alphabet[v >> 6 & 63] : '=',
                         n > 2 ? alphabet[v & 63] : '=' };
        buf_add(out, quad, 4);
    }
}

static int value_of(char c)
{
    const char *p = memchr(alphabet, c, 64);
    return p ? (int)(p - alphabet) : -1;
}

bool b64_decode(struct buf *out, const char *text)
{
    uint32_t bits = 0;
    unsigned digits = 0, pads = 0;
    for (const char *s = text; *s; s++) {
        if (strchr(" \t\r\n", *s))
            continue;
        if (*s == '=') {
            pads++;
            continue;
        }
        int v = value_of(*s);
        if (v < 0 || pads)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (++digits % 4 == 0) {
            char three[3] = { (char)(bits >> 16), (char)(bits >> 8),
                              (char)bits };
            buf_add(out, three, 3);
        }
    }
    if (digits % 4 == 2 && pads == 2)
        buf_addc(out, (char)(bits >> 4));
    else if (digits % 4 == 3 && pads == 1) {
        buf_addc(out, (char)(bits >> 10));
        buf_addc(out, (char)(bits >> 2));
    } else if (digits % 4 || pads)
        return false;
    return true;
}
