#include "daemon/api_pki.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "daemon/guest_pki.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#define PURPOSE   "cairn: authority of the API, 1"
#define CURVE     "P-256"
#define SEED_SIZE 32
#define POINT_MAX 65 /* 4, x, y */

DEFINE_CLEANUP(EVP_PKEY *, cleanup_pkey, EVP_PKEY_free);
DEFINE_CLEANUP(BIGNUM *, cleanup_bn, BN_clear_free);
DEFINE_CLEANUP(EC_GROUP *, cleanup_group, EC_GROUP_free);
DEFINE_CLEANUP(EC_POINT *, cleanup_point, EC_POINT_free);
DEFINE_CLEANUP(BN_CTX *, cleanup_bn_ctx, BN_CTX_free);
DEFINE_CLEANUP(EVP_PKEY_CTX *, cleanup_key_ctx, EVP_PKEY_CTX_free);
DEFINE_CLEANUP(OSSL_PARAM_BLD *, cleanup_bld, OSSL_PARAM_BLD_free);
DEFINE_CLEANUP(OSSL_PARAM *, cleanup_params, OSSL_PARAM_free);

/* ---- the authority's key ------------------------------------------------ */

/* The public point of that number. */
static bool point_of(const EC_GROUP *group, const BIGNUM *number, BN_CTX *ctx,
                     unsigned char out[POINT_MAX])
{
    _cleanup_(cleanup_point) EC_POINT *p = EC_POINT_new(group);
    return p && EC_POINT_mul(group, p, number, NULL, NULL, ctx) == 1 &&
           EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, out,
                              POINT_MAX, ctx) == POINT_MAX;
}

static EVP_PKEY *make_key(const BIGNUM *number, const unsigned char *point)
{
    _cleanup_(cleanup_bld) OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    _cleanup_(cleanup_key_ctx) EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;
    if (!b || !ctx ||
        !OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, CURVE,
                                         0) ||
        !OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, number) ||
        !OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point,
                                          POINT_MAX))
        return NULL;
    _cleanup_(cleanup_params) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
    return params && EVP_PKEY_fromdata_init(ctx) == 1 &&
                   EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1
               ? key
               : NULL;
}

/* A number from 1 to below the group's order: the seed, which is as long as
 * the order and so as good as even. */
static EVP_PKEY *key_of(const unsigned char seed[SEED_SIZE])
{
    unsigned char point[POINT_MAX];
    _cleanup_(cleanup_group) EC_GROUP *group =
        EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    _cleanup_(cleanup_bn_ctx) BN_CTX *ctx = BN_CTX_new();
    _cleanup_(cleanup_bn) BIGNUM *x = BN_bin2bn(seed, SEED_SIZE, NULL);
    _cleanup_(cleanup_bn) BIGNUM *most =
        group ? BN_dup(EC_GROUP_get0_order(group)) : NULL;
    return ctx && x && most && BN_sub_word(most, 1) &&
                   BN_mod(x, x, most, ctx) && BN_add_word(x, 1) &&
                   point_of(group, x, ctx, point)
               ? make_key(x, point)
               : NULL;
}

bool api_pki_open(const char *pki_dir, const char *const *names, int64_t now,
                  struct pki *out, struct error *err)
{
    unsigned char seed[SEED_SIZE];
    _autofree_ char *pool = xasprintf("%s/ca.key", pki_dir);
    _autofree_ char *dir = xasprintf("%s/" API_PKI_DIR, pki_dir);
    *out = (struct pki){ 0 };
    if (!guest_pki_secret(pool, PURPOSE, seed, err))
        return false;
    _cleanup_(cleanup_pkey) EVP_PKEY *key = key_of(seed);
    OPENSSL_cleanse(seed, sizeof(seed));
    return key ? pki_open_under(dir, key, names, now, out, err)
               : error_set(err, ERR_INTERNAL, "%s: no key for the API", dir);
}
