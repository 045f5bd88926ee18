#include "state/rights.h"

#include "common/cleanup.h"
#include "common/jw.h"

#include <string.h>

static const struct store_right *row_of(const struct store_right *rights,
                                        const char *key)
{
    for (; rights && rights->prefix; rights++)
        if (strncmp(key, rights->prefix, strlen(rights->prefix)) == 0)
            return rights;
    return NULL;
}

static bool is_name(const char *s)
{
    return *s && *s != '.' &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "0123456789._-")] == '\0';
}

static bool may(const struct store_right *row, const char *key, int needs)
{
    return row && row->may & needs &&
           (!(row->may & RIGHT_NAMES) || is_name(key + strlen(row->prefix)));
}

bool rights_allow(const struct store_right *rights, const struct txn *t,
                  struct error *err)
{
    for (size_t i = 0; rights && i < t->n_writes; i++) {
        const struct write *w = &t->writes[i];
        int needs = w->value ? RIGHT_PUT : RIGHT_DELETE;
        if (!may(row_of(rights, w->key), w->key, needs) || w->lease)
            return error_set(err, ERR_FORBIDDEN, "may not %s %.100s",
                             w->value ? "write" : "delete", w->key);
    }
    return true;
}

/* What is no object has nothing that could be shown. */
struct kv rights_show(const struct store_right *rights, const struct kv *kv,
                      struct buf *text)
{
    const struct store_right *row = row_of(rights, kv->key);
    struct kv seen = *kv;
    if (!row || !row->hidden || !kv->value)
        return seen;
    _autojson_ json_t *o = json_loadb(kv->value, kv->len, 0, NULL);
    if (json_is_object(o))
        json_object_del(o, row->hidden);
    buf_reset(text);
    struct jw w = JW_INIT(text);
    jw_json(&w, NULL, json_is_object(o) ? o : NULL);
    seen.value = buf_str(text);
    seen.len = text->len;
    return seen;
}
