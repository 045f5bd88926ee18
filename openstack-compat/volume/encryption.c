/*
 * How the volumes of a type are encrypted.
 *
 * One kind is carried out: LUKS, by QEMU where the guest runs ("front-end").
 * What is asked for otherwise is refused rather than remembered.
 */
#include "openstack-compat/volume/cinder.h"

#include <string.h>

static const struct volume_type *type_of_path(struct req *r)
{
    return resource_get(r, &cinder_types, r->param[0]);
}

static bool unused(struct req *r, const struct volume_type *t, const char *what)
{
    return !snap_find(r->snap, &kind_volume, "volume_type_id", t->rec.id) ||
           error_set(&r->err, ERR_INVALID,
                     "Cannot %s encryption specs. Volume type in use.", what);
}

/* ---- what may be asked --------------------------------------------------- */

static const char *const providers[] = {
    "luks", "luks1", "nova.volume.encryptors.luks.LuksEncryptor",
    "LuksEncryptor", NULL
};
static const char *const ciphers[] = { "aes-xts-plain64", NULL };
static const int64_t key_sizes[] = { 128, 256 };

static bool one_of(const char *text, const char *const *all)
{
    for (; text && *all; all++)
        if (strcmp(text, *all) == 0)
            return true;
    return false;
}

static const char *given(const json_t *body, const char *name,
                         const char *before)
{
    const json_t *value = json_object_get(body, name);
    return value ? json_string_value(value) : before;
}

static bool fill_size(struct req *r, struct type_encryption *e,
                      const json_t *body)
{
    const json_t *value = json_object_get(body, "key_size");
    if (value && !json_is_null(value))
        e->key_size = json_is_string(value) ? atoll(json_string_value(value))
                                            : json_integer_value(value);
    for (size_t i = 0; i < ARRAY_SIZE(key_sizes); i++)
        if (e->key_size == key_sizes[i])
            return true;
    return error_set(&r->err, ERR_INVALID,
                     "key_size must be 128 or 256 bits (of AES)");
}

static bool fill(struct req *r, struct volume_type *t, const json_t *body)
{
    struct type_encryption *e = &t->encryption;
    const char *provider = given(body, "provider", e->provider);
    const char *cipher = given(body, "cipher", e->cipher);
    const char *where = given(body, "control_location", e->control_location);
    if (!one_of(provider, providers))
        return error_set(&r->err, ERR_INVALID,
                         "The encryption provider must be luks, not %.64s",
                         provider ? provider : "(none)");
    if (cipher && !one_of(cipher, ciphers))
        return error_set(&r->err, ERR_INVALID,
                         "The cipher must be aes-xts-plain64, not %.64s",
                         cipher);
    if (!where || strcmp(where, "front-end") != 0)
        return error_set(&r->err, ERR_INVALID,
                         "Volumes are encrypted where the guest runs: "
                         "control_location must be front-end");
    e->provider = rec_str(t, provider);
    e->cipher = rec_str(t, cipher ? cipher : "aes-xts-plain64");
    e->control_location = rec_str(t, where);
    return fill_size(r, e, body);
}

/* ---- showing ----------------------------------------------------------- */

static void write_specs(struct jw *w, const struct volume_type *t)
{
    const struct type_encryption *e = &t->encryption;
    jw_str(w, "volume_type_id", t->rec.id);
    jw_str(w, "encryption_id", e->id);
    jw_str(w, "provider", e->provider);
    jw_str(w, "cipher", e->cipher);
    jw_int(w, "key_size", e->key_size);
    jw_str(w, "control_location", e->control_location);
}

static enum outcome reply_encryption(struct req *r, const struct volume_type *t)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "encryption");
    write_specs(&w, t);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* {} of a type without. */
enum outcome encryption_show(struct req *r)
{
    const struct volume_type *t = type_of_path(r);
    if (!t)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    if (t->encryption.id) {
        write_specs(&w, t);
        cinder_write_time(&w, "created_at", t->encryption.created);
        cinder_write_time(&w, "updated_at", t->encryption.updated);
        jw_null(&w, "deleted_at");
        jw_bool(&w, "deleted", false);
    }
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome encryption_show_one(struct req *r)
{
    const struct volume_type *t = type_of_path(r);
    const char *key = r->param[1];
    if (!t)
        return req_failed(r);
    const struct type_encryption *e = &t->encryption;
    const char *value = strcmp(key, "provider") == 0 ? e->provider
                        : strcmp(key, "cipher") == 0 ? e->cipher
                        : strcmp(key, "control_location") == 0
                            ? e->control_location
                        : strcmp(key, "encryption_id") == 0 ? e->id
                                                            : NULL;
    bool size = strcmp(key, "key_size") == 0;
    if (!e->id || (!value && !size))
        return req_fail(r, ERR_NOT_FOUND,
                        "Volume type %s has no encryption spec %.64s.",
                        t->rec.id, key);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    if (size)
        jw_int(&w, key, e->key_size);
    else
        jw_str(&w, key, value);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- changing ------------------------------------------------------------ */

enum outcome encryption_create(struct req *r)
{
    const struct volume_type *was = type_of_path(r);
    const json_t *body = was ? req_envelope(r, "encryption") : NULL;
    if (!body)
        return req_failed(r);
    if (was->encryption.id)
        return req_fail(r, ERR_INVALID,
                        "Volume type encryption for type %s already exists.",
                        was->rec.id);
    _autorecord_ struct volume_type *t = record_copy(was);
    t->encryption = (struct type_encryption){ .key_size = 256 };
    if (!unused(r, was, "create") || !fill(r, t, body))
        return req_failed(r);
    if (volume_type_is_local(t))
        return req_fail(r, ERR_INVALID,
                        "Volumes on a node's own disk are not encrypted.");
    t->encryption.id = rec_str(t, req_uuid(r));
    t->encryption.created = r->now;
    txn_change_record(&r->txn, t);
    return reply_encryption(r, t);
}

/* As it is named in the path. */
static const struct volume_type *encrypted_type(struct req *r)
{
    const struct volume_type *t = type_of_path(r);
    if (!t || (t->encryption.id && strcmp(t->encryption.id, r->param[1]) == 0))
        return t;
    error_set(&r->err, ERR_NOT_FOUND,
              "Volume type encryption for type %s does not exist.", t->rec.id);
    return NULL;
}

enum outcome encryption_update(struct req *r)
{
    const struct volume_type *was = encrypted_type(r);
    const json_t *body = was ? req_envelope(r, "encryption") : NULL;
    if (!body || !unused(r, was, "update"))
        return req_failed(r);
    _autorecord_ struct volume_type *t = record_copy(was);
    if (!fill(r, t, body))
        return req_failed(r);
    t->encryption.updated = r->now;
    txn_change_record(&r->txn, t);
    return reply_encryption(r, t);
}

enum outcome encryption_delete(struct req *r)
{
    const struct volume_type *was = encrypted_type(r);
    if (!was || !unused(r, was, "delete"))
        return req_failed(r);
    _autorecord_ struct volume_type *t = record_copy(was);
    t->encryption = (struct type_encryption){ 0 };
    txn_change_record(&r->txn, t);
    return req_reply(r, 202);
}

/* ---- of a volume --------------------------------------------------------- */

/* Its key has a name here, and its bytes never. */
enum outcome volume_encryption(struct req *r)
{
    const struct volume *v = req_owned(r, &kind_volume, r->param[0], "Volume");
    if (!v)
        return req_failed(r);
    const struct volume_type *t =
        snap_get(r->snap, &kind_volume_type, v->volume_type_id);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "encryption_key_id", v->key_id);
    if (v->key_id && t && t->encryption.id) {
        jw_str(&w, "provider", t->encryption.provider);
        jw_str(&w, "cipher", t->encryption.cipher);
        jw_int(&w, "key_size", t->encryption.key_size);
        jw_str(&w, "control_location", t->encryption.control_location);
    }
    jw_obj_end(&w);
    return req_reply(r, 200);
}
