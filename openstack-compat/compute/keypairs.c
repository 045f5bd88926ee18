#include "openstack-compat/compute/nova.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <string.h>

/* ---- public keys ------------------------------------------------------- */

#define KEY_MAX 16384

/* The blob of "ssh-rsa AAAA... comment"; its length, or 0. */
static size_t key_blob(const char *text, unsigned char *out, size_t max)
{
    const char *b64 = strchr(text, ' ');
    size_t len = b64 ? strcspn(b64 + 1, " \r\n\t") : 0;
    if (!len || len % 4 || len / 4 * 3 > max)
        return 0;
    int n = EVP_DecodeBlock(out, (const unsigned char *)b64 + 1, (int)len);
    while (n > 0 && b64[len] == '=') {
        n--;
        len--;
    }
    return n > 0 ? (size_t)n : 0;
}

/* The blob starts with the key type's name, length first (RFC 4253, 6.6). */
static bool blob_matches(const char *text, const unsigned char *blob, size_t n)
{
    size_t type = strcspn(text, " ");
    return n > 4 + type && blob[0] == 0 && blob[1] == 0 && blob[2] == 0 &&
           blob[3] == type && memcmp(blob + 4, text, type) == 0;
}

static char *fingerprint(struct req *r, const char *text)
{
    unsigned char blob[KEY_MAX], md5[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    size_t n = key_blob(text, blob, sizeof(blob));
    if (!n || !blob_matches(text, blob, n) ||
        !EVP_Digest(blob, n, md5, &len, EVP_md5(), NULL))
        return NULL;
    char *out = arena_alloc(&r->arena, len * 3 + 1);
    for (unsigned i = 0; i < len; i++)
        snprintf(out + 3 * i, 4, i + 1 < len ? "%02x:" : "%02x", md5[i]);
    return out;
}

/* ---- views ------------------------------------------------------------- */

static void write_keypair(struct req *r, struct jw *w, const char *key,
                          const struct keypair *k, bool detail)
{
    char when[TIME_TEXT_MAX];
    jw_obj(w, key);
    jw_str(w, "name", k->name);
    jw_str(w, "public_key", k->public_key);
    jw_str(w, "fingerprint", k->fingerprint);
    if (r->mv >= MV(2, 2))
        jw_str(w, "type", k->type);
    if (detail) {
        jw_str(w, "user_id", k->user_id);
        jw_int(w, "id", k->rec.create_rev);
        jw_str(w, "created_at", time_format(k->created, TIME_MICRO, when));
        jw_bool(w, "deleted", false);
        jw_null(w, "deleted_at");
        jw_null(w, "updated_at");
    }
    jw_obj_end(w);
}

/* Whose key pairs: the caller's, or (2.10 on, admin) ?user_id=. */
static const char *subject_user(struct req *r)
{
    const char *asked = r->mv >= MV(2, 10) ? req_query(r, "user_id") : NULL;
    if (!asked || strcmp(asked, r->auth.user_id) == 0)
        return r->auth.user_id;
    if (r->auth.is_admin)
        return asked;
    error_set(&r->err, ERR_FORBIDDEN,
              "Policy doesn't allow os_compute_api:os-keypairs of another user "
              "to be used.");
    return NULL;
}

enum outcome keypair_list(struct req *r)
{
    struct window page;
    const char *user = subject_user(r);
    if (!user || !window_open(r, &page))
        return req_failed(r);
    struct snap_iter it = snap_by(r->snap, &kind_keypair, "user_id", user);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "keypairs");
    for (const struct keypair *k; (k = snap_next(&it));) {
        if (!window_takes(&page, k->name))
            continue;
        jw_obj(&w, NULL);
        write_keypair(r, &w, "keypair", k, false);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return window_closed(r, &page) ? req_reply(r, 200) : req_failed(r);
}

static const struct keypair *get_keypair(struct req *r, const char *user,
                                         const char *name)
{
    const struct keypair *k =
        snap_get(r->snap, &kind_keypair, req_strf(r, "%s/%s", user, name));
    if (!k)
        error_set(&r->err, ERR_NOT_FOUND, "Keypair %.80s not found for user %s",
                  name, user);
    return k;
}

enum outcome keypair_show(struct req *r)
{
    const char *user = subject_user(r);
    const struct keypair *k = user ? get_keypair(r, user, r->param[0]) : NULL;
    if (!k)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_keypair(r, &w, "keypair", k, true);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- making one -------------------------------------------------------- */

#define NAME_CHARS                                                             \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@._- "

static bool read_names(struct req *r, const json_t *body, const char **name,
                       const char **type, const char **public_key)
{
    static const char *const known[] = { "name", "type", "public_key",
                                         "user_id", NULL };
    if (!nova_only(r, body, known) ||
        !nova_string(r, body, "name", 1, 255, name) ||
        !nova_string(r, body, "type", 1, 10, type) ||
        !nova_string(r, body, "public_key", 1, KEY_MAX, public_key))
        return false;
    if (!*name)
        return error_set(&r->err, ERR_INVALID, "'name' is a required property");
    if ((*name)[strspn(*name, NAME_CHARS)])
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for field/attribute name: contains "
                         "unsafe characters");
    if (*type && strcmp(*type, "ssh") != 0 && strcmp(*type, "x509") != 0)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for field/attribute type: ssh or x509 "
                         "is expected.");
    if (*type && strcmp(*type, "ssh") != 0)
        return error_set(&r->err, ERR_NOT_IMPLEMENTED,
                         "Key pairs of type %s are not supported.", *type);
    return true;
}

static const char *owner_of_new(struct req *r, const json_t *body)
{
    const char *asked = json_string_value(json_object_get(body, "user_id"));
    if (!asked || strcmp(asked, r->auth.user_id) == 0)
        return r->auth.user_id;
    if (r->auth.is_admin && r->mv >= MV(2, 10))
        return asked;
    error_set(&r->err, ERR_FORBIDDEN,
              "Policy doesn't allow os_compute_api:os-keypairs:create for "
              "another user to be performed.");
    return NULL;
}

/* Ed25519 as OpenSSH writes it: type, then the 32 bytes, each with length. */
static char *ssh_public_key(struct req *r, EVP_PKEY *key, const char *name)
{
    static const char head[] = "\0\0\0\13ssh-ed25519\0\0\0\40";
    unsigned char blob[51], text[80];
    size_t len = 32;
    memcpy(blob, head, 19);
    if (EVP_PKEY_get_raw_public_key(key, blob + 19, &len) != 1)
        return NULL;
    EVP_EncodeBlock(text, blob, sizeof(blob));
    return req_strf(r, "ssh-ed25519 %s %s", (char *)text, name);
}

static void put_string(struct buf *out, const void *data, size_t len)
{
    unsigned char n[4] = { (unsigned char)(len >> 24),
                           (unsigned char)(len >> 16),
                           (unsigned char)(len >> 8), (unsigned char)len };
    buf_add(out, n, 4);
    buf_add(out, data, len);
}

/* The part of the container that a pass phrase would seal. */
static void put_secret(struct req *r, struct buf *out, const struct buf *pub,
                       const unsigned char secret[64])
{
    uint32_t check;
    env_random(r->env, &check, sizeof(check));
    buf_add(out, &check, 4);
    buf_add(out, &check, 4);
    buf_add(out, pub->data, pub->len);
    put_string(out, secret, 64);
    put_string(out, "", 0); /* the comment */
    for (char pad = 1; out->len % 8; pad++)
        buf_addc(out, pad);
}

/* The container of PROTOCOL.key in OpenSSH's source, unencrypted. */
static void put_container(struct req *r, struct buf *out, EVP_PKEY *key)
{
    unsigned char secret[64];
    size_t len = 32, slen = 32;
    struct buf inner = BUF_INIT(512), pub = BUF_INIT(64);
    EVP_PKEY_get_raw_private_key(key, secret, &slen);
    EVP_PKEY_get_raw_public_key(key, secret + 32, &len);
    put_string(&pub, "ssh-ed25519", 11);
    put_string(&pub, secret + 32, 32);
    put_secret(r, &inner, &pub, secret);
    buf_add(out, "openssh-key-v1", 15);
    put_string(out, "none", 4);
    put_string(out, "none", 4);
    put_string(out, "", 0);
    buf_add(out, "\0\0\0\1", 4); /* keys */
    put_string(out, pub.data, pub.len);
    put_string(out, inner.data, inner.len);
    buf_free(&inner);
    buf_free(&pub);
}

static char *ssh_private_key(struct req *r, EVP_PKEY *key)
{
    struct buf out = BUF_INIT(1024), pem = BUF_INIT(2048);
    put_container(r, &out, key);
    char *b64 = arena_alloc(&r->arena, out.len * 2);
    EVP_EncodeBlock((unsigned char *)b64, (unsigned char *)out.data,
                    (int)out.len);
    buf_adds(&pem, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for (size_t i = 0, n = strlen(b64); i < n; i += 70)
        buf_addf(&pem, "%.70s\n", b64 + i);
    buf_adds(&pem, "-----END OPENSSH PRIVATE KEY-----\n");
    char *text = arena_strdup(&r->arena, buf_str(&pem));
    buf_free(&out);
    buf_free(&pem);
    return text;
}

/* Makes a pair; the private half leaves with the answer and is kept nowhere. */
static bool generate(struct req *r, const char **public, const char **private)
{
    unsigned char seed[32];
    env_random(r->env, seed, sizeof(seed));
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
                                                 sizeof(seed));
    if (!key)
        return error_set(&r->err, ERR_INTERNAL, "Cannot make a key pair.");
    *public = ssh_public_key(r, key, "Generated-by-Cairn");
    *private = ssh_private_key(r, key);
    EVP_PKEY_free(key);
    return true;
}

static enum outcome reply_created(struct req *r, const struct keypair *k,
                                  const char *private)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "keypair");
    jw_str(&w, "name", k->name);
    jw_str(&w, "public_key", k->public_key);
    jw_str(&w, "fingerprint", k->fingerprint);
    jw_str(&w, "user_id", k->user_id);
    if (r->mv >= MV(2, 2))
        jw_str(&w, "type", k->type);
    if (private)
        jw_str(&w, "private_key", private);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, r->mv >= MV(2, 2) ? 201 : 200);
}

#define KEYPAIRS_MAX 100

static bool has_room(struct req *r, const char *user)
{
    size_t n = 0;
    struct snap_iter it = snap_by(r->snap, &kind_keypair, "user_id", user);
    while (snap_next(&it))
        n++;
    return n < KEYPAIRS_MAX ||
           error_set(&r->err, ERR_QUOTA, "Quota exceeded, too many key pairs.");
}

enum outcome keypair_create(struct req *r)
{
    const char *name, *type, *public, *private = NULL;
    const json_t *body = req_envelope(r, "keypair");
    if (!body || !read_names(r, body, &name, &type, &public))
        return req_failed(r);
    const char *user = owner_of_new(r, body);
    if (!user || !has_room(r, user))
        return req_failed(r);
    if (!public && !generate(r, &public, &private))
        return req_failed(r);
    const char *print = fingerprint(r, public);
    if (!print)
        return req_fail(r, ERR_INVALID,
                        "Keypair data is invalid: failed to generate "
                        "fingerprint");
    const char *id = req_strf(r, "%s/%s", user, name);
    if (snap_get(r->snap, &kind_keypair, id))
        return req_fail(r, ERR_EXISTS, "Key pair '%.80s' already exists.",
                        name);
    _autorecord_ struct keypair *k = record_new(&kind_keypair, id);
    k->user_id = rec_str(k, user);
    k->name = rec_str(k, name);
    k->type = rec_str(k, "ssh");
    k->public_key = rec_str(k, public);
    k->fingerprint = rec_str(k, print);
    k->created = r->now;
    txn_change_record(&r->txn, k);
    return reply_created(r, k, private);
}

enum outcome keypair_delete(struct req *r)
{
    const char *user = subject_user(r);
    const struct keypair *k = user ? get_keypair(r, user, r->param[0]) : NULL;
    if (!k)
        return req_failed(r);
    txn_delete_record(&r->txn, k);
    return req_reply(r, r->mv >= MV(2, 2) ? 204 : 202);
}
