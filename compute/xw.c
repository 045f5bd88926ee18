#include "compute/xw.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"

#include <libxml/chvalid.h>
#include <stdio.h>

#define X(s_) ((const xmlChar *)(s_))

/* Length of the well-formed character at s (RFC 3629) that XML 1.0 allows,
 * or 0.  libxml's own decoder takes more than its own writer does. */
static int xml_char(const char *s)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = { { 0x80, 0x00, 0 },
                  { 0xe0, 0xc0, 0x80 },
                  { 0xf0, 0xe0, 0x800 },
                  { 0xf8, 0xf0, 0x10000 } };
    const unsigned char *u = (const unsigned char *)s;
    for (int more = 0; more < 4; more++) {
        if ((u[0] & forms[more].mask) != forms[more].lead)
            continue;
        uint32_t c = u[0] & ~forms[more].mask & 0xff;
        for (int i = 1; i <= more; i++) {
            if ((u[i] & 0xc0) != 0x80)
                return 0; /* also at the end of the text */
            c = c << 6 | (u[i] & 0x3f);
        }
        return c >= forms[more].least && xmlIsCharQ(c) ? more + 1 : 0;
    }
    return 0;
}

/* The text with what XML cannot hold replaced; malloced. */
static char *clean(const char *s)
{
    struct buf b = BUF_INIT(XW_TEXT_MAX);
    buf_adds(&b, "");
    while (*s) {
        int len = xml_char(s);
        if (len)
            buf_add(&b, s, (size_t)len);
        else
            buf_adds(&b, "\xef\xbf\xbd");
        s += len ? len : 1;
    }
    return b.data ? buf_steal(&b) : xstrdup("");
}

static void xw_attr(xmlTextWriterPtr w, const char *name, const char *value)
{
    _autofree_ char *text = clean(value);
    xmlTextWriterWriteAttribute(w, X(name), X(text));
}

void xw_begin_element(xmlTextWriterPtr w, const char *element,
                      const char *const *attrs)
{
    xmlTextWriterStartElement(w, X(element));
    for (; attrs[0]; attrs += 2)
        if (attrs[1])
            xw_attr(w, attrs[0], attrs[1]);
}

void xw_end(xmlTextWriterPtr w)
{
    xmlTextWriterEndElement(w);
}

void xw_leaf_element(xmlTextWriterPtr w, const char *element,
                     const char *const *attrs)
{
    xw_begin_element(w, element, attrs);
    xw_end(w);
}

void xw_put_text(xmlTextWriterPtr w, const char *s)
{
    _autofree_ char *text = clean(s);
    xmlTextWriterWriteString(w, X(text));
}

void xw_text(xmlTextWriterPtr w, const char *element, const char *value)
{
    if (!value)
        return;
    xmlTextWriterStartElement(w, X(element));
    xw_put_text(w, value);
    xw_end(w);
}

void xw_number(xmlTextWriterPtr w, const char *element, int64_t value)
{
    xmlTextWriterWriteFormatElement(w, X(element), "%lld", (long long)value);
}

const char *xw_num(int64_t n, char *out)
{
    snprintf(out, 24, "%lld", (long long)n);
    return out;
}
