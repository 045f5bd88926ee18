/*
 * jw - an append-only JSON writer.
 *
 * Writes straight into a buf (the send buffer of a response, the value of a
 * record).  Commas and quotes are its business, nesting the caller's:
 *
 *     jw_obj(&w, NULL);             {
 *     jw_str(&w, "name", s);          "name": "..." or null when s is NULL
 *     jw_arr(&w, "ids");              "ids": [
 *     jw_str(&w, NULL, id);             "..."      (key NULL inside arrays)
 *     jw_arr_end(&w);                 ]
 *     jw_obj_end(&w);               }
 *
 * Strings are escaped by RFC 8259 and must be UTF-8.  A general JSON library
 * costs thirty to sixty times as much here, hence this one page.
 */
#ifndef CAIRN_COMMON_JW_H
#define CAIRN_COMMON_JW_H

#include "common/buf.h"

#include <jansson.h>

struct jw {
    struct buf *out;
    bool comma; /* the next value needs a comma before it */
};

#define JW_INIT(buf_) ((struct jw){ .out = (buf_) })

void jw_obj(struct jw *w, const char *key);
void jw_obj_end(struct jw *w);
void jw_arr(struct jw *w, const char *key);
void jw_arr_end(struct jw *w);
void jw_str(struct jw *w, const char *key, const char *s); /* NULL -> null */
void jw_strn(struct jw *w, const char *key, const char *s, size_t n);
void jw_strf(struct jw *w, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The strings up to NULL, one after the other: links, without printf. */
void jw_join(struct jw *w, const char *key, const char *first, ...)
    __attribute__((sentinel));
void jw_int(struct jw *w, const char *key, int64_t n);
void jw_real(struct jw *w, const char *key, double d);
void jw_bool(struct jw *w, const char *key, bool v);
void jw_null(struct jw *w, const char *key);
/* `json` is JSON text already, written as it is; NULL or "" -> null */
void jw_raw(struct jw *w, const char *key, const char *json);
void jw_rawn(struct jw *w, const char *key, const char *json, size_t n);
void jw_json(struct jw *w, const char *key, const json_t *v);

#endif
