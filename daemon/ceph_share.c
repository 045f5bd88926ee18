#include "daemon/ceph_share.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/ip.h"
#include "common/jw.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

void ceph_share_write(const struct ceph_share *s, struct buf *out)
{
    struct jw w = JW_INIT(out);
    jw_obj(&w, NULL);
    jw_str(&w, "fsid", s->fsid);
    jw_arr(&w, "mons");
    for (size_t i = 0; i < s->n_mons; i++) {
        jw_obj(&w, NULL);
        jw_str(&w, "name", s->mons[i].name);
        jw_str(&w, "address", s->mons[i].address);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_str(&w, "client", s->client);
    jw_str(&w, "admin_key", s->admin_key);
    jw_str(&w, "client_key", s->client_key);
    jw_obj_end(&w);
}

/* A text of these characters only: it goes into files that Ceph parses. */
static bool take(const json_t *o, const char *key, const char *of, char *out,
                 size_t size)
{
    const char *text = json_string_value(json_object_get(o, key));
    size_t n = text ? strlen(text) : 0;
    if (!n || n >= size || strspn(text, of) != n)
        return false;
    memcpy(out, text, n + 1);
    return true;
}

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define NAME  ALNUM "-_."
#define KEY   ALNUM "+/="

static bool take_mons(const json_t *list, struct ceph_share *s)
{
    size_t i;
    json_t *one;
    struct ip ip;
    if (json_array_size(list) > CEPH_PLACES_MAX)
        return false;
    json_array_foreach(list, i, one)
    {
        struct ceph_place *m = &s->mons[s->n_mons++];
        if (!take(one, "name", NAME, m->name, sizeof(m->name)) ||
            !take(one, "address", ALNUM ".:", m->address, sizeof(m->address)) ||
            !ip_parse(m->address, &ip))
            return false;
    }
    return s->n_mons > 0;
}

bool ceph_share_read(struct ceph_share *s, const char *text, size_t len,
                     struct error *err)
{
    _autojson_ json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    *s = (struct ceph_share){ .n_mons = 0 };
    if (take(o, "fsid", ALNUM "-", s->fsid, sizeof(s->fsid)) &&
        uuid_valid(s->fsid) && take_mons(json_object_get(o, "mons"), s) &&
        take(o, "client", NAME, s->client, sizeof(s->client)) &&
        take(o, "admin_key", KEY, s->admin_key, sizeof(s->admin_key)) &&
        take(o, "client_key", KEY, s->client_key, sizeof(s->client_key)))
        return true;
    ceph_share_wipe(s);
    return error_set(err, ERR_INVALID,
                     "what came does not describe a Ceph cluster");
}

void ceph_share_wipe(struct ceph_share *s)
{
    OPENSSL_cleanse(s, sizeof(*s));
}
