/*
 * token - sealed tokens: what a client carries to say who it is.
 *
 * A token is base64url(version, key number, 96-bit IV, AES-256-GCM(payload),
 * tag).  It holds everything that does not change: opening one needs a key
 * and no record.  What may have changed since (user disabled, role lost,
 * token revoked) is auth.h's business.
 *
 * Keys are records (token_key): the newest seals, all open.  struct tokens
 * hears of them by a cache listener; tokens_rotate makes a new one and drops
 * those that no living token can need.
 *
 * Threads: seal and open from any thread; each has its own cipher contexts
 * with the keys' schedules in them, so that opening costs well under a
 * microsecond and takes no lock.
 */
#ifndef CAIRN_REST_API_TOKEN_H
#define CAIRN_REST_API_TOKEN_H

#include "common/env.h"
#include "model/identity.h"

#define TOKEN_ID_MAX        64  /* bytes of an id in a token */
#define TOKEN_TEXT_MAX      640 /* bytes of a token, NUL included */
#define TOKEN_KEYS_MAX      16
#define TOKEN_AUDIT_ID_SIZE 23

/* How its owner proved who they are; bits, as a token chain adds up. */
enum auth_method {
    AUTH_METHOD_PASSWORD = 1,
    AUTH_METHOD_TOKEN = 2,
    AUTH_METHOD_APP_CREDENTIAL = 4,
};

/* Strings are "" when absent.  Unused bytes are zero after token_open. */
struct token {
    int scope; /* enum scope (request.h) */
    unsigned methods;
    int64_t issued, expires; /* wall clock, us */
    char user_id[TOKEN_ID_MAX + 1];
    char scope_id[TOKEN_ID_MAX + 1]; /* project or domain */
    char app_credential_id[TOKEN_ID_MAX + 1];
    char audit_id[TOKEN_AUDIT_ID_SIZE];        /* this token's own */
    char parent_audit_id[TOKEN_AUDIT_ID_SIZE]; /* of the one it came from */
};

struct tokens;

/* `cache` may be NULL (then tokens_heard is called by hand); otherwise call
 * it before cache_follow, and free after cache_unfollow. */
struct tokens *tokens_new(const struct env *env, struct cache *cache);
void tokens_free(struct tokens *t); /* NULL is fine */
/* A cache_listener_fn; kinds other than token_key are ignored. */
void tokens_heard(void *tokens, const struct record *old,
                  const struct record *now);

/* A fresh audit id: 128 random bits. */
void token_audit_id(const struct env *env, char out[TOKEN_AUDIT_ID_SIZE]);

/* False: there is no key yet, or an id is too long (out is then ""). */
bool token_seal(struct tokens *t, const struct token *token,
                char out[TOKEN_TEXT_MAX]);
/* False: ERR_UNAUTHENTICATED with one and the same sentence, whatever was
 * wrong: garbage, forged, unknown key, other version, expired at `now`. */
bool token_open(struct tokens *t, const char *text, int64_t now,
                struct token *out, struct error *err);

/* Adds a new key to `txn` and deletes the oldest beyond `keep` (2 ..
 * TOKEN_KEYS_MAX - 1).  Keys must live longer than tokens: rotate at most
 * once in a token's lifetime. */
void tokens_rotate(struct txn *txn, const struct snapshot *snap,
                   const struct env *env, size_t keep);

#endif
