#include "daemon/guest_pki.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/env.h"
#include "rest-api/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PURPOSE  "cairn: authority of moving guests, 1"
#define KEY_SIZE 32
#define DAY_S    (24 * 3600L)

DEFINE_CLEANUP(EVP_PKEY *, cleanup_pkey, EVP_PKEY_free);
DEFINE_CLEANUP(X509 *, cleanup_x509, X509_free);
DEFINE_CLEANUP(BIO *, cleanup_bio, BIO_free_all);
DEFINE_CLEANUP(FILE *, cleanup_pem, fclose);
#define _autopkey_ _cleanup_(cleanup_pkey)
#define _autox509_ _cleanup_(cleanup_x509)
#define _autobio_  _cleanup_(cleanup_bio)
#define _autopem_  _cleanup_(cleanup_pem)

static bool crypto_failed(struct error *err, const char *what)
{
    char text[160];
    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    return error_set(err, ERR_INTERNAL, "%s: %s", what, text);
}

/* ---- the authority --------------------------------------------------------
 */

/* HMAC-SHA256 of the purpose, keyed with the pool CA's private number. */
bool guest_pki_secret(const char *ca_key, const char *purpose,
                      unsigned char out[KEY_SIZE], struct error *err)
{
    _autopem_ FILE *f = fopen(ca_key, "re");
    _autopkey_ EVP_PKEY *pool =
        f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
    BIGNUM *number = NULL;
    unsigned char secret[KEY_SIZE];
    bool ok =
        pool &&
        EVP_PKEY_get_bn_param(pool, OSSL_PKEY_PARAM_PRIV_KEY, &number) == 1 &&
        BN_bn2binpad(number, secret, sizeof(secret)) == KEY_SIZE &&
        HMAC(EVP_sha256(), secret, sizeof(secret),
             (const unsigned char *)purpose, strlen(purpose), out, NULL);
    OPENSSL_cleanse(secret, sizeof(secret));
    BN_clear_free(number);
    return ok || crypto_failed(err, ca_key);
}

static EVP_PKEY *derive(const char *ca_key, struct error *err)
{
    unsigned char seed[KEY_SIZE];
    if (!guest_pki_secret(ca_key, PURPOSE, seed, err))
        return NULL;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
                                                 sizeof(seed));
    OPENSSL_cleanse(seed, sizeof(seed));
    if (!key)
        crypto_failed(err, ca_key);
    return key;
}

static bool add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static bool set_serial(X509 *x)
{
    uint64_t n;
    return RAND_bytes((unsigned char *)&n, sizeof(n)) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), n >> 1 | 1) == 1;
}

static X509 *new_cert(EVP_PKEY *key, const char *cn, const char *issuer,
                      int64_t now, long days)
{
    X509 *x = X509_new();
    time_t from = (time_t)(now / SECOND_US) - DAY_S; /* clocks differ */
    time_t to = from + (days + 1) * DAY_S;
    if (x && X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
        ASN1_TIME_set(X509_getm_notBefore(x), from) &&
        ASN1_TIME_set(X509_getm_notAfter(x), to) && X509_set_pubkey(x, key) &&
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN",
                                   MBSTRING_UTF8, (const unsigned char *)cn, -1,
                                   -1, 0) &&
        X509_NAME_add_entry_by_txt(X509_get_issuer_name(x), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)issuer, -1, -1, 0))
        return x;
    X509_free(x);
    return NULL;
}

#define AUTHORITY "Cairn guests"

static X509 *make_authority(EVP_PKEY *key, int64_t now)
{
    _autox509_ X509 *x =
        new_cert(key, AUTHORITY, AUTHORITY, now, PKI_CA_YEARS * 365L);
    bool ok =
        x &&
        add_ext(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_ext(x, x, NID_key_usage, "critical,keyCertSign") &&
        add_ext(x, x, NID_subject_key_identifier, "hash") &&
        X509_sign(x, key, NULL);
    return ok ? steal(&x) : NULL;
}

/* QEMU insists on the second, which no key of this kind does. */
#define KEY_USAGE "critical,digitalSignature,keyEncipherment"

static X509 *make_leaf(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key,
                       const char *address, int64_t now)
{
    _autox509_ X509 *x =
        new_cert(key, "Cairn guest", AUTHORITY, now, PKI_SERVER_DAYS);
    _autofree_ char *names = xasprintf("IP:%s", address);
    bool ok = x && add_ext(x, ca, NID_basic_constraints, "critical,CA:FALSE") &&
              add_ext(x, ca, NID_key_usage, KEY_USAGE) &&
              add_ext(x, ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
              add_ext(x, ca, NID_authority_key_identifier, "keyid") &&
              add_ext(x, ca, NID_subject_alt_name, names) &&
              X509_sign(x, ca_key, NULL);
    return ok ? steal(&x) : NULL;
}

/* ---- files ----------------------------------------------------------------
 */

struct place {
    const char *dir;
    uid_t user;
    gid_t group;
    struct error *err;
};

static bool put(const struct place *p, const char *name, BIO *text)
{
    char *data;
    size_t len = (size_t)BIO_get_mem_data(text, &data);
    _autofree_ char *path = xasprintf("%s/%s", p->dir, name);
    _autofree_ char *fresh = xasprintf("%s.new", path);
    unlink(fresh);
    _autoclose_ int fd =
        open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    if (fd < 0 || fchown(fd, p->user, p->group) != 0 ||
        write(fd, data, len) != (ssize_t)len || fsync(fd) != 0 ||
        rename(fresh, path) != 0)
        return error_errno(p->err, ERR_INTERNAL, errno, "%s", path);
    return true;
}

static bool put_cert(const struct place *p, const char *name, X509 *x)
{
    _autobio_ BIO *text = BIO_new(BIO_s_mem());
    return text && PEM_write_bio_X509(text, x) ? put(p, name, text)
                                               : crypto_failed(p->err, name);
}

static bool put_key(const struct place *p, const char *name, EVP_PKEY *key)
{
    _autobio_ BIO *text = BIO_new(BIO_s_mem());
    return text && PEM_write_bio_PKCS8PrivateKey(text, key, NULL, NULL, 0, NULL,
                                                 NULL)
               ? put(p, name, text)
               : crypto_failed(p->err, name);
}

/* The key goes last: without it all is made anew. */
static bool put_all(const struct place *p, EVP_PKEY *ca_key, int64_t now,
                    const char *address)
{
    _autox509_ X509 *ca = make_authority(ca_key, now);
    _autopkey_ EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    _autox509_ X509 *leaf =
        ca && key ? make_leaf(key, ca, ca_key, address, now) : NULL;
    if (!leaf)
        return crypto_failed(p->err, p->dir);
    return put_cert(p, "ca-cert.pem", ca) &&
           put_cert(p, "server-cert.pem", leaf) &&
           put_cert(p, "client-cert.pem", leaf) &&
           put_key(p, "server-key.pem", key) &&
           put_key(p, "client-key.pem", key);
}

/* All there, by this authority, for this address and for long enough? */
static bool is_good(const char *dir, EVP_PKEY *ca_key, const char *address,
                    int64_t now)
{
    time_t later = (time_t)(now / SECOND_US) + PKI_RENEW_DAYS * DAY_S;
    _autofree_ char *last = xasprintf("%s/client-key.pem", dir);
    _autofree_ char *path = xasprintf("%s/server-cert.pem", dir);
    _autopem_ FILE *f = access(last, F_OK) == 0 ? fopen(path, "re") : NULL;
    _autox509_ X509 *x = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
    return x && X509_verify(x, ca_key) == 1 &&
           X509_check_ip_asc(x, address, 0) == 1 &&
           X509_cmp_time(X509_get0_notAfter(x), &later) > 0;
}

bool guest_pki_make(const char *dir, const char *ca_key, const char *address,
                    uid_t user, gid_t group, int64_t now, struct error *err)
{
    const struct place p = { dir, user, group, err };
    if (mkdir(dir, 0500) != 0 && errno != EEXIST)
        return error_errno(err, ERR_INTERNAL, errno, "%s", dir);
    if (chown(dir, user, group) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", dir);
    _autopkey_ EVP_PKEY *ca = derive(ca_key, err);
    return ca &&
           (is_good(dir, ca, address, now) || put_all(&p, ca, now, address));
}
