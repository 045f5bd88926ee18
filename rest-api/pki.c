#include "rest-api/pki.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/env.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PEM_MAX (64 * 1024)
#define DAY_S   (24L * 3600)

DEFINE_CLEANUP(X509 *, cleanup_x509, X509_free);
DEFINE_CLEANUP(BIO *, cleanup_bio, BIO_free_all);
DEFINE_CLEANUP(GENERAL_NAMES *, cleanup_names, GENERAL_NAMES_free);
#define _autox509_  _cleanup_(cleanup_x509)
#define _autobio_   _cleanup_(cleanup_bio)
#define _autonames_ _cleanup_(cleanup_names)

static bool crypto_failed(struct error *err, const char *what)
{
    return error_set(err, ERR_INTERNAL, "%s could not be made", what);
}

/* ---- certificates ------------------------------------------------------ */

static bool add_name(GENERAL_NAMES *names, const char *name)
{
    unsigned char addr[16];
    int len = inet_pton(AF_INET, name, addr) == 1    ? 4
              : inet_pton(AF_INET6, name, addr) == 1 ? 16
                                                     : 0;
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *value = len ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!g || !value ||
        !ASN1_STRING_set(value, len ? (void *)addr : (const void *)name,
                         len ? len : -1) ||
        !sk_GENERAL_NAME_push(names, g)) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(g);
        return false;
    }
    GENERAL_NAME_set0_value(g, len ? GEN_IPADD : GEN_DNS, value);
    return true;
}

static const char *const own_names[] = { "localhost", "127.0.0.1", "::1",
                                         NULL };

static bool add_alt_names(X509 *x, const char *const *names)
{
    _autonames_ GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    bool ok = all != NULL;
    for (size_t i = 0; ok && own_names[i]; i++)
        ok = add_name(all, own_names[i]);
    for (size_t i = 0; ok && names[i]; i++)
        ok = add_name(all, names[i]);
    return ok && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0,
                                   X509V3_ADD_DEFAULT) == 1;
}

static bool add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    return ok;
}

static bool set_serial(X509 *x)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, of full length */
    BIGNUM *bn = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x));
    BN_free(bn);
    return ok;
}

/* What both certificates have: version, serial, dates, key, subject. */
static X509 *cert_new(EVP_PKEY *key, const char *cn, int64_t now, long days)
{
    X509 *x = X509_new();
    time_t from = (time_t)(now / SECOND_US) - 3600; /* clocks differ */
    time_t to = (time_t)(now / SECOND_US) + days * DAY_S;
    X509_NAME *name = x ? X509_get_subject_name(x) : NULL;
    if (x && X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
        ASN1_TIME_set(X509_getm_notBefore(x), from) &&
        ASN1_TIME_set(X509_getm_notAfter(x), to) && X509_set_pubkey(x, key) &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                   (const unsigned char *)cn, -1, -1, 0))
        return x;
    X509_free(x);
    return NULL;
}

static X509 *make_ca(EVP_PKEY *key, const char *cn, int64_t now)
{
    _autox509_ X509 *x = cert_new(key, cn, now, PKI_CA_YEARS * 365);
    bool ok =
        x && X509_set_issuer_name(x, X509_get_subject_name(x)) &&
        add_ext(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_ext(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        add_ext(x, x, NID_subject_key_identifier, "hash") &&
        X509_sign(x, key, EVP_sha256());
    return ok ? steal(&x) : NULL;
}

/* libvirt and QEMU insist on the second, which no key of this kind does. */
#define KEY_USAGE "critical,digitalSignature,keyEncipherment"

static X509 *make_server(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key,
                         const char *const *names, int64_t now)
{
    _autox509_ X509 *x = cert_new(key, "Cairn", now, PKI_SERVER_DAYS);
    bool ok = x && X509_set_issuer_name(x, X509_get_subject_name(ca)) &&
              add_ext(x, ca, NID_basic_constraints, "critical,CA:FALSE") &&
              add_ext(x, ca, NID_key_usage, KEY_USAGE) &&
              add_ext(x, ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
              add_ext(x, ca, NID_subject_key_identifier, "hash") &&
              add_ext(x, ca, NID_authority_key_identifier, "keyid") &&
              add_alt_names(x, names) && X509_sign(x, ca_key, EVP_sha256());
    return ok ? steal(&x) : NULL;
}

static bool covers(X509 *x, const char *name)
{
    unsigned char addr[16];
    bool ip = inet_pton(AF_INET, name, addr) == 1 ||
              inet_pton(AF_INET6, name, addr) == 1;
    return ip ? X509_check_ip_asc(x, name, 0) == 1
              : X509_check_host(x, name, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                                NULL) == 1;
}

/* Can the server's certificate still be used? */
static bool is_good(X509 *x, EVP_PKEY *key, X509 *ca, const char *const *names,
                    int64_t now)
{
    time_t later = (time_t)(now / SECOND_US) + PKI_RENEW_DAYS * DAY_S;
    bool ok = X509_check_private_key(x, key) == 1 &&
              X509_get_key_usage(x) & KU_KEY_ENCIPHERMENT &&
              X509_verify(x, X509_get0_pubkey(ca)) == 1 &&
              X509_cmp_time(X509_get0_notAfter(x), &later) > 0;
    for (size_t i = 0; ok && names[i]; i++)
        ok = covers(x, names[i]);
    return ok;
}

/* ---- files ------------------------------------------------------------- */

static char *file_path(const char *dir, const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

/* NULL and no error: there is no such file. */
static char *read_file(const char *path, struct error *err)
{
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return NULL;
    _autofree_ char *text = xmalloc(PEM_MAX);
    ssize_t n = fd < 0 ? -1 : read(fd, text, PEM_MAX - 1);
    if (n < 0) {
        error_errno(err, ERR_INTERNAL, errno, "%s", path);
        return NULL;
    }
    text[n] = '\0';
    return steal(&text);
}

static bool write_file(const char *path, const char *text, mode_t mode,
                       struct error *err)
{
    _autofree_ char *fresh = xasprintf("%s.new", path);
    unlink(fresh);
    _autoclose_ int fd =
        open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    size_t len = strlen(text);
    if (fd < 0 || fchmod(fd, mode) != 0 ||
        write(fd, text, len) != (ssize_t)len || fsync(fd) != 0 ||
        rename(fresh, path) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return true;
}

static char *bio_text(BIO *bio)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    return xstrndup(data, (size_t)n);
}

static char *key_pem(EVP_PKEY *key)
{
    _autobio_ BIO *bio = BIO_new(BIO_s_mem());
    return bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL,
                                                NULL)
               ? bio_text(bio)
               : NULL;
}

static char *cert_pem(X509 *x)
{
    _autobio_ BIO *bio = BIO_new(BIO_s_mem());
    return bio && PEM_write_bio_X509(bio, x) ? bio_text(bio) : NULL;
}

static EVP_PKEY *load_key(const char *path, struct error *err)
{
    _autofree_ char *text = read_file(path, err);
    if (!text)
        return NULL;
    _autobio_ BIO *bio = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    OPENSSL_cleanse(text, strlen(text));
    if (!key)
        error_set(err, ERR_INVALID, "%s: no private key in it", path);
    return key;
}

static X509 *load_cert(const char *path, struct error *err)
{
    _autofree_ char *text = read_file(path, err);
    if (!text)
        return NULL;
    _autobio_ BIO *bio = BIO_new_mem_buf(text, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (!x)
        error_set(err, ERR_INVALID, "%s: no certificate in it", path);
    return x;
}

static bool store_key(const char *path, EVP_PKEY *key, struct error *err)
{
    _autofree_ char *text = key_pem(key);
    bool ok =
        text ? write_file(path, text, 0600, err) : crypto_failed(err, path);
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    return ok;
}

static bool store_cert(const char *path, X509 *x, struct error *err)
{
    _autofree_ char *text = cert_pem(x);
    return text ? write_file(path, text, 0644, err) : crypto_failed(err, path);
}

/* ---- both together ----------------------------------------------------- */

/* The key and the certificate of `who` ("ca", "server"), made or read. */
struct pair {
    EVP_PKEY *key;
    X509 *cert;
};

static void pair_free(struct pair *p)
{
    EVP_PKEY_free(p->key);
    X509_free(p->cert);
    *p = (struct pair){ 0 };
}

static bool load_pair(const char *dir, const char *who, struct pair *p,
                      struct error *err)
{
    _autofree_ char *base = file_path(dir, who);
    _autofree_ char *key = xasprintf("%s.key", base);
    _autofree_ char *crt = xasprintf("%s.crt", base);
    error_clear(err);
    p->key = load_key(key, err);
    p->cert = err->code == ERR_NONE ? load_cert(crt, err) : NULL;
    return err->code == ERR_NONE;
}

/* The key first: a certificate without its key is not ours to mend. */
static bool store_ca(const char *dir, const struct pair *p, struct error *err)
{
    _autofree_ char *key = file_path(dir, "ca.key");
    _autofree_ char *crt = file_path(dir, "ca.crt");
    return store_key(key, p->key, err) && store_cert(crt, p->cert, err);
}

/* The key last.  Open vSwitch's servers look at both files when they wake; one
 * that found a new key beside the old certificate kept that until its end: in
 * 5 of 27 renewals with the key first, in none of 42 with the key last. */
static bool store_server(const char *dir, const struct pair *p,
                         struct error *err)
{
    _autofree_ char *key = file_path(dir, "server.key");
    _autofree_ char *crt = file_path(dir, "server.crt");
    return store_cert(crt, p->cert, err) && store_key(key, p->key, err);
}

/* A CA that is half there (a key without its certificate) was never used: it
 * is made anew.  One that does not fit together is not ours to mend. */
static bool get_ca(const char *dir, int64_t now, struct pair *ca,
                   struct error *err)
{
    if (!load_pair(dir, "ca", ca, err))
        return false;
    if (ca->key && ca->cert)
        return X509_check_private_key(ca->cert, ca->key) == 1 ||
               error_set(err, ERR_INVALID,
                         "%s: ca.key is not the key of ca.crt", dir);
    if (ca->cert)
        return error_set(err, ERR_INVALID, "%s: ca.crt without ca.key", dir);
    pair_free(ca);
    ca->key = EVP_EC_gen("P-256");
    ca->cert = ca->key ? make_ca(ca->key, "Cairn CA", now) : NULL;
    return ca->cert ? store_ca(dir, ca, err)
                    : crypto_failed(err, "the pool's CA");
}

/* Of a key that is kept elsewhere: a certificate of another is replaced. */
static bool certify_ca(const char *dir, EVP_PKEY *key, int64_t now,
                       struct pair *ca, struct error *err)
{
    struct error no;
    _autofree_ char *path = file_path(dir, "ca.crt");
    _autox509_ X509 *there = load_cert(path, &no);
    if (EVP_PKEY_up_ref(key) != 1)
        return crypto_failed(err, path);
    ca->key = key;
    if (there && X509_check_private_key(there, key) == 1) {
        ca->cert = steal(&there);
        return true;
    }
    ca->cert = make_ca(key, "Cairn API CA", now);
    return ca->cert ? store_cert(path, ca->cert, err)
                    : crypto_failed(err, path);
}

static bool get_server(const char *dir, const struct pair *ca,
                       const char *const *names, int64_t now,
                       struct pair *server, struct error *err)
{
    if (load_pair(dir, "server", server, err) && server->key && server->cert &&
        is_good(server->cert, server->key, ca->cert, names, now))
        return true;
    pair_free(server);
    server->key = EVP_EC_gen("P-256");
    server->cert = server->key
                       ? make_server(server->key, ca->cert, ca->key, names, now)
                       : NULL;
    error_clear(err);
    return server->cert ? store_server(dir, server, err)
                        : crypto_failed(err, "the server's certificate");
}

/* PEM texts of both. */
static bool write_out(const struct pair *ca, const struct pair *server,
                      struct pki *out, struct error *err)
{
    _autofree_ char *leaf = cert_pem(server->cert);
    out->ca = cert_pem(ca->cert);
    out->ca_key = key_pem(ca->key);
    out->key = key_pem(server->key);
    bool ok = leaf && out->ca && out->ca_key && out->key;
    out->cert = ok ? xasprintf("%s%s", leaf, out->ca) : NULL;
    return ok || crypto_failed(err, "a certificate's text");
}

/* `ca_key` NULL: that of `dir`. */
static bool open_all(const char *dir, EVP_PKEY *ca_key,
                     const char *const *names, int64_t now, struct pki *out,
                     struct error *err)
{
    struct pair ca = { 0 }, server = { 0 };
    struct error own;
    err = err ? err : &own;
    *out = (struct pki){ 0 };
    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        return error_errno(err, ERR_INTERNAL, errno, "%s", dir);
    bool ok = (ca_key ? certify_ca(dir, ca_key, now, &ca, err)
                      : get_ca(dir, now, &ca, err)) &&
              get_server(dir, &ca, names, now, &server, err) &&
              write_out(&ca, &server, out, err);
    pair_free(&ca);
    pair_free(&server);
    if (!ok)
        pki_close(out);
    return ok;
}

bool pki_open(const char *dir, const char *const *names, int64_t now,
              struct pki *out, struct error *err)
{
    return open_all(dir, NULL, names, now, out, err);
}

bool pki_open_under(const char *dir, EVP_PKEY *ca_key, const char *const *names,
                    int64_t now, struct pki *out, struct error *err)
{
    return open_all(dir, ca_key, names, now, out, err);
}

bool pki_read(const char *dir, struct pki *out, struct error *err)
{
    struct pair server = { 0 };
    *out = (struct pki){ 0 };
    _autofree_ char *path = file_path(dir, "ca.crt");
    X509 *ca = load_cert(path, err);
    bool ok = ca && load_pair(dir, "server", &server, err) && server.cert &&
              X509_check_private_key(server.cert, server.key) == 1;
    if (ok) {
        _autofree_ char *leaf = cert_pem(server.cert);
        out->ca = cert_pem(ca);
        out->key = key_pem(server.key);
        out->cert = leaf && out->ca ? xasprintf("%s%s", leaf, out->ca) : NULL;
        ok = out->cert && out->key;
    }
    X509_free(ca);
    pair_free(&server);
    if (ok)
        return true;
    pki_close(out);
    return error_set(err, ERR_UNAVAILABLE, "%s: no certificate and its key",
                     dir);
}

void pki_close(struct pki *p)
{
    if (p->key)
        OPENSSL_cleanse(p->key, strlen(p->key));
    if (p->ca_key)
        OPENSSL_cleanse(p->ca_key, strlen(p->ca_key));
    free(p->ca_key);
    free(p->key);
    free(p->cert);
    free(p->ca);
    *p = (struct pki){ 0 };
}
