#include "rest-api/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The sealed bytes:
 *
 *   1 version | 4 key number | 12 IV | payload | 16 tag
 *
 * The first two fields are authenticated too.  The payload:
 *
 *   1 scope | 1 methods | 8 issued | 8 expires | 5 strings
 *
 * big-endian.  A string is one byte of length or form, then its bytes: ids of
 * 32 hex digits and UUIDs, which nearly all are, take 16.
 */
#define VERSION   1
#define IV_LEN    12
#define TAG_LEN   16
#define KEY_LEN   32
#define HEAD_LEN  (1 + 4 + IV_LEN)
#define FIXED_LEN 18
#define N_STRINGS 5
#define PLAIN_MAX (FIXED_LEN + N_STRINGS * (1 + TOKEN_ID_MAX))
#define BYTES_MAX (HEAD_LEN + PLAIN_MAX + TAG_LEN)
#define BYTES_MIN (HEAD_LEN + FIXED_LEN + N_STRINGS + TAG_LEN)

#define FORM_HEX  0xf0 /* 32 lower-case hex digits */
#define FORM_UUID 0xf1 /* the same with dashes */

_Static_assert((BYTES_MAX * 4 + 2) / 3 < TOKEN_TEXT_MAX, "a token fits");

struct key {
    uint32_t number;
    int64_t created;
    uint8_t secret[KEY_LEN];
};

struct tokens {
    const struct env *env;
    uint64_t serial;         /* never used twice in a process */
    _Atomic uint64_t change; /* grows with each change of keys */
    pthread_mutex_t lock;    /* keys, n */
    struct key keys[TOKEN_KEYS_MAX];
    size_t n;
};

/* One thread's cipher contexts for the keys of one struct tokens. */
struct contexts {
    uint64_t serial, change;
    size_t n;
    size_t newest;
    uint32_t numbers[TOKEN_KEYS_MAX];
    EVP_CIPHER_CTX *open[TOKEN_KEYS_MAX];
    EVP_CIPHER_CTX *seal; /* with the newest key */
};

static _Thread_local struct contexts *own_contexts;
static pthread_key_t contexts_key;
static pthread_once_t contexts_once = PTHREAD_ONCE_INIT;

/* ---- keys -------------------------------------------------------------- */

struct tokens *tokens_new(const struct env *env, struct cache *cache)
{
    static _Atomic uint64_t serials;
    struct tokens *t = xcalloc(1, sizeof(*t));
    t->env = env;
    t->serial = atomic_fetch_add(&serials, 1) + 1;
    pthread_mutex_init(&t->lock, NULL);
    if (cache)
        cache_listen(cache, tokens_heard, t);
    return t;
}

void tokens_free(struct tokens *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    OPENSSL_cleanse(t->keys, sizeof(t->keys));
    free(t);
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(const char *s, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int hi = nibble(s[2 * i]);
        int lo = hi < 0 ? -1 : nibble(s[2 * i + 1]);
        if (lo < 0)
            return false;
        out[i] = (uint8_t)(hi * 16 + lo);
    }
    return true;
}

static void to_hex(const uint8_t *in, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    *out = '\0';
}

static bool parse_key(const struct token_key *rec, struct key *key)
{
    char *end;
    unsigned long number = strtoul(rec->rec.id, &end, 16);
    if (*end || number > UINT32_MAX || !rec->secret ||
        strlen(rec->secret) != 2 * KEY_LEN ||
        !from_hex(rec->secret, key->secret, KEY_LEN))
        return false;
    key->number = (uint32_t)number;
    key->created = rec->created;
    return true;
}

static void remove_key(struct tokens *t, const char *id)
{
    unsigned long number = strtoul(id, NULL, 16);
    for (size_t i = 0; i < t->n; i++)
        if (t->keys[i].number == number) {
            t->keys[i] = t->keys[--t->n];
            OPENSSL_cleanse(&t->keys[t->n], sizeof(t->keys[0]));
            return;
        }
}

void tokens_heard(void *tokens, const struct record *old,
                  const struct record *now)
{
    struct tokens *t = tokens;
    struct key key;
    if ((now ? now : old)->kind != &kind_token_key)
        return;
    pthread_mutex_lock(&t->lock);
    remove_key(t, (now ? now : old)->id);
    if (now && t->n < TOKEN_KEYS_MAX &&
        parse_key((const struct token_key *)now, &key))
        t->keys[t->n++] = key;
    atomic_fetch_add(&t->change, 1);
    pthread_mutex_unlock(&t->lock);
}

static bool newer(const struct key *a, const struct key *b)
{
    return a->created != b->created ? a->created > b->created
                                    : a->number > b->number;
}

/* ---- a thread's contexts ----------------------------------------------- */

static void contexts_clear(struct contexts *c)
{
    for (size_t i = 0; i < c->n; i++)
        EVP_CIPHER_CTX_free(c->open[i]);
    EVP_CIPHER_CTX_free(c->seal);
    *c = (struct contexts){ 0 };
}

static void contexts_free(void *p)
{
    contexts_clear(p);
    free(p);
    own_contexts = NULL;
}

static void make_contexts_key(void)
{
    pthread_key_create(&contexts_key, contexts_free);
}

static EVP_CIPHER_CTX *context_new(const struct key *key, bool seal)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || !EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->secret,
                                   NULL, seal))
        abort(); /* no memory, or a crypto library without AES */
    return ctx;
}

static void contexts_fill(struct contexts *c, struct tokens *t)
{
    pthread_mutex_lock(&t->lock);
    c->serial = t->serial;
    c->change = atomic_load(&t->change);
    for (c->n = 0; c->n < t->n; c->n++) {
        c->numbers[c->n] = t->keys[c->n].number;
        c->open[c->n] = context_new(&t->keys[c->n], false);
        if (newer(&t->keys[c->n], &t->keys[c->newest]))
            c->newest = c->n;
    }
    if (c->n)
        c->seal = context_new(&t->keys[c->newest], true);
    pthread_mutex_unlock(&t->lock);
}

static struct contexts *contexts_get(struct tokens *t)
{
    struct contexts *c = own_contexts;
    if (!c) {
        pthread_once(&contexts_once, make_contexts_key);
        c = own_contexts = xcalloc(1, sizeof(*c));
        pthread_setspecific(contexts_key, c);
    }
    if (c->serial != t->serial || c->change != atomic_load(&t->change)) {
        contexts_clear(c);
        contexts_fill(c, t);
    }
    return c;
}

/* ---- base64url, without padding ---------------------------------------- */

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode64(const uint8_t *in, size_t n, char *out)
{
    size_t i = 0;
    for (; i + 3 <= n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | in[i + 1] << 8 | in[i + 2];
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        *out++ = alphabet[v >> 6 & 63];
        *out++ = alphabet[v & 63];
    }
    if (i < n) {
        uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? in[i + 1] << 8 : 0);
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        if (i + 1 < n)
            *out++ = alphabet[v >> 6 & 63];
    }
    *out = '\0';
}

/* Value + 1 of each character, 0 for the others. */
static uint8_t values[256];
static pthread_once_t values_once = PTHREAD_ONCE_INIT;

static void make_values(void)
{
    for (uint8_t i = 0; i < 64; i++)
        values[(uint8_t)alphabet[i]] = i + 1;
}

/* Only the one canonical text of some bytes is taken. */
static bool decode64(const char *in, size_t len, uint8_t *out, size_t *n)
{
    uint32_t bits = 0;
    unsigned have = 0;
    pthread_once(&values_once, make_values);
    *n = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t v = values[(uint8_t)in[i]];
        if (!v)
            return false;
        bits = bits << 6 | (uint32_t)(v - 1);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[(*n)++] = (uint8_t)(bits >> have);
        }
    }
    return have < 6 && (bits & ((1u << have) - 1)) == 0;
}

void token_audit_id(const struct env *env, char out[TOKEN_AUDIT_ID_SIZE])
{
    uint8_t bytes[16];
    env_random(env, bytes, sizeof(bytes));
    encode64(bytes, sizeof(bytes), out);
}

/* ---- the payload ------------------------------------------------------- */

static uint8_t *put64(uint8_t *p, int64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        *p++ = (uint8_t)((uint64_t)value >> shift);
    return p;
}

static int64_t get64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return (int64_t)v;
}

/* The 32 digits of a UUID; false when `s` is no lower-case UUID. */
static bool undash(const char *s, char hex[33])
{
    size_t n = 0;
    for (size_t i = 0; i < UUID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash != (s[i] == '-'))
            return false;
        if (!dash)
            hex[n++] = s[i];
    }
    hex[n] = '\0';
    return true;
}

static uint8_t *put_string(uint8_t *p, const char *s)
{
    char hex[33];
    size_t len = strlen(s);
    if (len == 32 && from_hex(s, p + 1, 16)) {
        *p = FORM_HEX;
        return p + 17;
    }
    if (len == UUID_LEN && undash(s, hex) && from_hex(hex, p + 1, 16)) {
        *p = FORM_UUID;
        return p + 17;
    }
    *p = (uint8_t)len;
    memcpy(p + 1, s, len);
    return p + 1 + len;
}

static void dash(const char hex[33], char *out)
{
    static const uint8_t parts[] = { 8, 4, 4, 4, 12 };
    for (size_t i = 0; i < sizeof(parts); i++) {
        memcpy(out, hex, parts[i]);
        hex += parts[i];
        out += parts[i];
        *out++ = i + 1 < sizeof(parts) ? '-' : '\0';
    }
}

/* Reads one string into out[size]; NULL when it does not fit. */
static const uint8_t *get_string(const uint8_t *p, const uint8_t *end,
                                 char *out, size_t size)
{
    if (p == end)
        return NULL;
    unsigned form = *p++;
    size_t len = form >= FORM_HEX ? 16 : form;
    if (form > FORM_UUID || (size_t)(end - p) < len)
        return NULL;
    if (form < FORM_HEX) {
        if (len >= size || memchr(p, 0, len))
            return NULL;
        memcpy(out, p, len);
        return p + len;
    }
    char hex[33];
    if (size <= UUID_LEN)
        return NULL;
    to_hex(p, 16, hex);
    if (form == FORM_HEX)
        memcpy(out, hex, sizeof(hex));
    else
        dash(hex, out);
    return p + 16;
}

static size_t write_payload(const struct token *t, uint8_t *out)
{
    uint8_t *p = out;
    *p++ = (uint8_t)t->scope;
    *p++ = (uint8_t)t->methods;
    p = put64(p, t->issued);
    p = put64(p, t->expires);
    p = put_string(p, t->user_id);
    p = put_string(p, t->scope_id);
    p = put_string(p, t->app_credential_id);
    p = put_string(p, t->audit_id);
    p = put_string(p, t->parent_audit_id);
    return (size_t)(p - out);
}

static bool read_payload(const uint8_t *p, size_t len, struct token *t)
{
    const uint8_t *end = p + len;
    memset(t, 0, sizeof(*t));
    t->scope = p[0];
    t->methods = p[1];
    t->issued = get64(p + 2);
    t->expires = get64(p + 10);
    struct {
        char *out;
        size_t size;
    } strings[N_STRINGS] = {
        { t->user_id, sizeof(t->user_id) },
        { t->scope_id, sizeof(t->scope_id) },
        { t->app_credential_id, sizeof(t->app_credential_id) },
        { t->audit_id, sizeof(t->audit_id) },
        { t->parent_audit_id, sizeof(t->parent_audit_id) },
    };
    p += FIXED_LEN;
    for (size_t i = 0; p && i < N_STRINGS; i++)
        p = get_string(p, end, strings[i].out, strings[i].size);
    return p == end;
}

/* ---- seal and open ----------------------------------------------------- */

static bool encrypt(EVP_CIPHER_CTX *ctx, uint8_t *bytes, const uint8_t *plain,
                    size_t len)
{
    int n = 0;
    uint8_t *out = bytes + HEAD_LEN;
    return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, bytes + 5) &&
           EVP_EncryptUpdate(ctx, NULL, &n, bytes, 5) &&
           EVP_EncryptUpdate(ctx, out, &n, plain, (int)len) &&
           EVP_EncryptFinal_ex(ctx, out + len, &n) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out + len);
}

bool token_seal(struct tokens *t, const struct token *token,
                char out[TOKEN_TEXT_MAX])
{
    struct contexts *c = contexts_get(t);
    uint8_t plain[PLAIN_MAX], bytes[BYTES_MAX];
    out[0] = '\0';
    if (!c->n)
        return false;
    size_t len = write_payload(token, plain);
    uint32_t number = c->numbers[c->newest];
    bytes[0] = VERSION;
    for (int i = 0; i < 4; i++)
        bytes[1 + i] = (uint8_t)(number >> (24 - 8 * i));
    env_random(t->env, bytes + 5, IV_LEN);
    if (!encrypt(c->seal, bytes, plain, len))
        return false;
    encode64(bytes, HEAD_LEN + len + TAG_LEN, out);
    return true;
}

static bool decrypt(EVP_CIPHER_CTX *ctx, uint8_t *bytes, size_t n,
                    uint8_t *plain, size_t len)
{
    int got = 0;
    return EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, bytes + 5) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN,
                               bytes + n - TAG_LEN) &&
           EVP_DecryptUpdate(ctx, NULL, &got, bytes, 5) &&
           EVP_DecryptUpdate(ctx, plain, &got, bytes + HEAD_LEN, (int)len) &&
           EVP_DecryptFinal_ex(ctx, plain + len, &got) > 0;
}

static EVP_CIPHER_CTX *context_of(const struct contexts *c,
                                  const uint8_t *bytes)
{
    uint32_t number = (uint32_t)bytes[1] << 24 | (uint32_t)bytes[2] << 16 |
                      (uint32_t)bytes[3] << 8 | bytes[4];
    for (size_t i = 0; i < c->n; i++)
        if (c->numbers[i] == number)
            return c->open[i];
    return NULL;
}

static bool open_text(struct tokens *t, const char *text, struct token *out)
{
    uint8_t bytes[TOKEN_TEXT_MAX], plain[TOKEN_TEXT_MAX];
    size_t n, len = strnlen(text, TOKEN_TEXT_MAX);
    if (len == TOKEN_TEXT_MAX || !decode64(text, len, bytes, &n) ||
        n < BYTES_MIN || n > BYTES_MAX || bytes[0] != VERSION)
        return false;
    EVP_CIPHER_CTX *ctx = context_of(contexts_get(t), bytes);
    size_t plain_len = n - HEAD_LEN - TAG_LEN;
    return ctx && decrypt(ctx, bytes, n, plain, plain_len) &&
           read_payload(plain, plain_len, out);
}

bool token_open(struct tokens *t, const char *text, int64_t now,
                struct token *out, struct error *err)
{
    if (open_text(t, text, out) && now < out->expires)
        return true;
    return error_set(err, ERR_UNAUTHENTICATED,
                     "The request you have made requires authentication.");
}

/* ---- rotation ---------------------------------------------------------- */

static void drop_oldest(struct txn *txn, const struct snapshot *snap,
                        size_t drop)
{
    const struct token_key *k, *last = NULL;
    while (drop--) {
        const struct token_key *oldest = NULL;
        struct snap_iter it = snap_all(snap, &kind_token_key);
        while ((k = snap_next(&it)))
            if ((!last || k->created > last->created) &&
                (!oldest || k->created < oldest->created))
                oldest = k;
        if (oldest)
            txn_delete_record(txn, oldest);
        last = oldest ? oldest : last;
    }
}

void tokens_rotate(struct txn *txn, const struct snapshot *snap,
                   const struct env *env, size_t keep)
{
    unsigned long highest = 0;
    size_t n = snap_count(snap, &kind_token_key);
    const struct token_key *k;
    struct snap_iter it = snap_all(snap, &kind_token_key);
    while ((k = snap_next(&it))) {
        unsigned long number = strtoul(k->rec.id, NULL, 16);
        highest = number > highest ? number : highest;
    }
    char id[16], secret[2 * KEY_LEN + 1];
    uint8_t bytes[KEY_LEN];
    snprintf(id, sizeof(id), "%08lx", (highest + 1) & UINT32_MAX);
    env_random(env, bytes, sizeof(bytes));
    to_hex(bytes, sizeof(bytes), secret);
    _autorecord_ struct token_key *made = record_new(&kind_token_key, id);
    made->secret = rec_str(made, secret);
    made->created = env_now(env);
    txn_change_record(txn, made);
    if (n + 1 > keep)
        drop_oldest(txn, snap, n + 1 - keep);
}
