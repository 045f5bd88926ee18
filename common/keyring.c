#include "common/keyring.h"

#include "common/b64.h"
#include "common/cleanup.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#define NONCE  12
#define TAG    16
#define SECRET 32
#define SIZE   (NONCE + SECRET + TAG)

DEFINE_CLEANUP(EVP_CIPHER_CTX *, cleanup_cipher, EVP_CIPHER_CTX_free);

/* box = nonce, the secret encrypted, tag */
static bool encrypt(const struct keyring *k, const char *id,
                    const unsigned char secret[SECRET], unsigned char box[SIZE])
{
    int n;
    _cleanup_(cleanup_cipher) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    return c && RAND_bytes(box, NONCE) == 1 &&
           EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, k->key, box) == 1 &&
           EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)id,
                             (int)strlen(id)) == 1 &&
           EVP_EncryptUpdate(c, box + NONCE, &n, secret, SECRET) == 1 &&
           EVP_EncryptFinal_ex(c, box + NONCE + n, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG,
                               box + NONCE + SECRET) == 1;
}

static bool decrypt(const struct keyring *k, const char *id,
                    unsigned char box[SIZE], unsigned char secret[SECRET])
{
    int n;
    _cleanup_(cleanup_cipher) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    return c &&
           EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, k->key, box) == 1 &&
           EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)id,
                             (int)strlen(id)) == 1 &&
           EVP_DecryptUpdate(c, secret, &n, box + NONCE, SECRET) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG,
                               box + NONCE + SECRET) == 1 &&
           EVP_DecryptFinal_ex(c, secret + n, &n) == 1;
}

static bool is_there(const struct keyring *k, struct error *err)
{
    return (k && k->there) ||
           error_set(err, ERR_UNAVAILABLE,
                     "the pool has no key for what is encrypted");
}

bool keyring_make(const struct keyring *k, const char *id, struct buf *wrapped,
                  struct error *err)
{
    unsigned char secret[SECRET], box[SIZE];
    if (!is_there(k, err))
        return false;
    bool ok =
        RAND_priv_bytes(secret, SECRET) == 1 && encrypt(k, id, secret, box);
    OPENSSL_cleanse(secret, sizeof(secret));
    if (!ok)
        return error_set(err, ERR_INTERNAL, "key %s cannot be made", id);
    b64_encode(wrapped, box, SIZE);
    return true;
}

bool keyring_unwrap(const struct keyring *k, const char *id,
                    const char *wrapped, char passphrase[PASSPHRASE_SIZE],
                    struct error *err)
{
    unsigned char secret[SECRET];
    struct buf box = BUF_INIT(WRAPPED_MAX);
    if (!is_there(k, err))
        return false;
    bool ok = wrapped && b64_decode(&box, wrapped) && box.len == SIZE &&
              decrypt(k, id, (unsigned char *)box.data, secret);
    buf_free(&box);
    for (int i = 0; ok && i < SECRET; i++)
        snprintf(passphrase + 2 * (size_t)i, 3, "%02x", secret[i]);
    OPENSSL_cleanse(secret, sizeof(secret));
    return ok || error_set(err, ERR_INTERNAL,
                           "key %s does not open with the pool's", id);
}
