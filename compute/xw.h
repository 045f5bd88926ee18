/*
 * xw - writes XML elements: whatever stands in a value stays text.
 *
 * A thin layer over libxml's text writer.  Characters that XML 1.0 cannot
 * hold become U+FFFD.  The writer is the caller's; no threads.
 */
#ifndef CAIRN_COMPUTE_XW_H
#define CAIRN_COMPUTE_XW_H

#include <libxml/xmlwriter.h>
#include <stdint.h>

#define XW_TEXT_MAX (256 * 1024) /* bytes of one value */

/* Opens an element with attributes: name, value, ..., NULL; those whose
 * value is NULL are left out. */
#define xw_begin(w_, element_, ...)                                            \
    xw_begin_element(w_, element_, (const char *const[]){ __VA_ARGS__ })
void xw_begin_element(xmlTextWriterPtr w, const char *element,
                      const char *const *attrs);
void xw_end(xmlTextWriterPtr w);
/* An element with attributes and nothing in it. */
#define xw_leaf(w_, element_, ...)                                             \
    xw_leaf_element(w_, element_, (const char *const[]){ __VA_ARGS__ })
void xw_leaf_element(xmlTextWriterPtr w, const char *element,
                     const char *const *attrs);
void xw_put_text(xmlTextWriterPtr w, const char *s);
/* An element of text; NULL: none is written. */
void xw_text(xmlTextWriterPtr w, const char *element, const char *value);
void xw_number(xmlTextWriterPtr w, const char *element, int64_t value);

/* A number as text for an attribute; lives as long as the statement. */
#define XW_NUM(n_) xw_num((n_), (char[24]){ "" })
const char *xw_num(int64_t n, char *out);

#endif
