#include "daemon/join.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/ip.h"
#include "common/jw.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define SECRET_BYTES 16
#define NAME_BYTES   4
#define NONCE_HEX    32
#define PROOF_SIZE   32
#define KEY_LABEL    "cairn join key 1"
#define VERSION      1

/* ---- small things ------------------------------------------------------ */

static void to_hex(const unsigned char *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

static bool is_hex(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (digit(s[i]) < 0)
            return false;
    return s[n] == '\0';
}

static void from_hex(const char *s, size_t n, unsigned char *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)(digit(s[2 * i]) * 16 + digit(s[2 * i + 1]));
}

static void make_nonce(const struct env *env, char out[33])
{
    unsigned char bytes[NONCE_HEX / 2];
    env_random(env, bytes, sizeof(bytes));
    to_hex(bytes, sizeof(bytes), out);
}

/* A member of an object, a string shorter than `size`. */
static bool take(const json_t *o, const char *name, char *out, size_t size)
{
    const json_t *v = json_object_get(o, name);
    const char *s = json_string_value(v);
    if (!s || strlen(s) != json_string_length(v) || strlen(s) >= size)
        return false;
    snprintf(out, size, "%s", s);
    return true;
}

static bool take_hex(const json_t *o, const char *name, char *out, size_t n)
{
    return take(o, name, out, n + 1) && strlen(out) == n && is_hex(out, n);
}

static json_t *parse(const char *line, size_t len)
{
    json_t *o = len <= JOIN_LINE_MAX
                    ? json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL)
                    : NULL;
    if (json_is_object(o))
        return o;
    json_decref(o);
    return NULL;
}

/* A host name by RFC 1123, without dots. */
static bool is_host(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n < 64 && s[0] != '-' && s[n - 1] != '-' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

/* ---- secrets ----------------------------------------------------------- */

static void derive(const char *hex, unsigned char key[JOIN_KEY_SIZE])
{
    unsigned char text[sizeof(KEY_LABEL) + SECRET_BYTES];
    unsigned n = 0;
    memcpy(text, KEY_LABEL, sizeof(KEY_LABEL));
    from_hex(hex, SECRET_BYTES, text + sizeof(KEY_LABEL));
    EVP_Digest(text, sizeof(text), key, &n, EVP_sha256(), NULL);
    OPENSSL_cleanse(text, sizeof(text));
}

void join_secret_make(const struct env *env, char text[JOIN_SECRET_SIZE],
                      struct join_secret *out)
{
    unsigned char bytes[SECRET_BYTES];
    char hex[2 * SECRET_BYTES + 1];
    env_random(env, bytes, NAME_BYTES);
    to_hex(bytes, NAME_BYTES, out->name);
    env_random(env, bytes, SECRET_BYTES);
    to_hex(bytes, SECRET_BYTES, hex);
    snprintf(text, JOIN_SECRET_SIZE, "cairn-%s-%s", out->name, hex);
    derive(hex, out->key);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    OPENSSL_cleanse(hex, sizeof(hex));
}

bool join_secret_read(const char *text, struct join_secret *out)
{
    char hex[2 * SECRET_BYTES + 1];
    static const char blank[] = " \t\r\n";
    text += strspn(text, blank);
    size_t len = strcspn(text, blank);
    if (len != JOIN_SECRET_SIZE - 1 || text[len + strspn(text + len, blank)] ||
        strncmp(text, "cairn-", 6) != 0 || text[14] != '-')
        return false;
    memcpy(out->name, text + 6, JOIN_NAME_SIZE - 1);
    out->name[JOIN_NAME_SIZE - 1] = '\0';
    memcpy(hex, text + 15, sizeof(hex) - 1);
    hex[sizeof(hex) - 1] = '\0';
    bool ok =
        is_hex(out->name, JOIN_NAME_SIZE - 1) && is_hex(hex, sizeof(hex) - 1);
    if (ok)
        derive(hex, out->key);
    OPENSSL_cleanse(hex, sizeof(hex));
    return ok;
}

/* ---- proofs ------------------------------------------------------------ */

struct transcript {
    const unsigned char *key, *binding;
    const char *node_nonce, *member_nonce, *hello;
};

/* Each part but the last has a length that is fixed. */
static void prove(const char *who, const struct transcript *t,
                  unsigned char out[PROOF_SIZE])
{
    struct buf b = BUF_INIT(JOIN_LINE_MAX + 256);
    unsigned n = 0;
    buf_addf(&b, "cairn join 1 %-8s", who);
    buf_add(&b, t->binding, JOIN_BINDING_SIZE);
    buf_add(&b, t->node_nonce, NONCE_HEX);
    buf_add(&b, t->member_nonce, NONCE_HEX);
    buf_adds(&b, t->hello);
    HMAC(EVP_sha256(), t->key, JOIN_KEY_SIZE, (unsigned char *)buf_str(&b),
         b.len, out, &n);
    buf_free(&b);
}

static void prove_hex(const char *who, const struct transcript *t,
                      char out[2 * PROOF_SIZE + 1])
{
    unsigned char bytes[PROOF_SIZE];
    prove(who, t, bytes);
    to_hex(bytes, sizeof(bytes), out);
}

static bool proven(const char *who, const struct transcript *t, const json_t *o)
{
    unsigned char right[PROOF_SIZE], said[PROOF_SIZE];
    char hex[2 * PROOF_SIZE + 1];
    if (!take_hex(o, "proof", hex, 2 * PROOF_SIZE))
        return false;
    from_hex(hex, PROOF_SIZE, said);
    prove(who, t, right);
    return CRYPTO_memcmp(right, said, PROOF_SIZE) == 0;
}

static struct transcript node_transcript(const struct join_node *j)
{
    return (struct transcript){ j->secret.key, j->binding, j->nonce,
                                j->member_nonce, j->hello };
}

static struct transcript member_transcript(const struct join_member *j)
{
    return (struct transcript){ j->secret.key, j->binding, j->node_nonce,
                                j->nonce, j->hello };
}

/* ---- the new node ------------------------------------------------------ */

void join_node_begin(struct join_node *j, const struct join_hello *hello,
                     const struct join_secret *secret,
                     const unsigned char binding[JOIN_BINDING_SIZE],
                     const struct env *env, struct buf *out)
{
    struct buf b = BUF_INIT(JOIN_LINE_MAX);
    struct jw w = JW_INIT(&b);
    *j = (struct join_node){ .secret = *secret };
    memcpy(j->binding, binding, JOIN_BINDING_SIZE);
    make_nonce(env, j->nonce);
    jw_obj(&w, NULL);
    jw_int(&w, "cairn_join", VERSION);
    jw_str(&w, "secret", secret->name);
    jw_str(&w, "node", hello->node);
    jw_str(&w, "id", hello->id);
    jw_str(&w, "address", hello->address);
    jw_str(&w, "nonce", j->nonce);
    jw_obj_end(&w);
    buf_add(out, b.data, b.len);
    j->hello = buf_steal(&b);
}

/* Its reason, if that is what came. */
static bool refused(const json_t *o, struct error *err)
{
    char why[256];
    if (!json_object_get(o, "refused"))
        return false;
    if (!take(o, "refused", why, sizeof(why)))
        snprintf(why, sizeof(why), "without saying why");
    error_set(err, ERR_FORBIDDEN, "the pool refused: %s", why);
    return true;
}

bool join_node_challenge(struct join_node *j, const char *line, size_t len,
                         struct buf *out, struct error *err)
{
    char proof[2 * PROOF_SIZE + 1];
    _autojson_ json_t *o = parse(line, len);
    if (o && refused(o, err))
        return false;
    if (!o || !take_hex(o, "nonce", j->member_nonce, NONCE_HEX))
        return error_set(err, ERR_INVALID, "no challenge came");
    struct transcript t = node_transcript(j);
    if (!proven("member", &t, o))
        return error_set(err, ERR_UNAUTHENTICATED,
                         "who answers does not know the join secret");
    prove_hex("node", &t, proof);
    struct jw w = JW_INIT(out);
    jw_obj(&w, NULL);
    jw_str(&w, "proof", proof);
    jw_obj_end(&w);
    return true;
}

static bool take_members(const json_t *list, struct join_welcome *w)
{
    size_t i;
    json_t *v;
    struct ip ip;
    if (!json_is_array(list) || json_array_size(list) > JOIN_MEMBERS_MAX)
        return false;
    json_array_foreach(list, i, v)
    {
        const char *s = json_string_value(v);
        if (!s || strlen(s) >= JOIN_TEXT_MAX || !ip_parse(s, &ip))
            return false;
        snprintf(w->members[w->n_members++], JOIN_TEXT_MAX, "%s", s);
    }
    return w->n_members > 0;
}

/* Where the pool's state is: one place at least. */
static bool take_state(const json_t *list, struct join_welcome *w)
{
    size_t i;
    json_t *v;
    if (!json_is_array(list) || json_array_size(list) > JOIN_STATE_MAX)
        return false;
    json_array_foreach(list, i, v)
    {
        const char *s = json_string_value(v);
        if (!s || !*s || strlen(s) >= JOIN_URL_MAX || strpbrk(s, " ,\n"))
            return false;
        snprintf(w->state[w->n_state++], JOIN_URL_MAX, "%s", s);
    }
    return w->n_state > 0;
}

bool join_node_welcome(struct join_node *j, const char *line, size_t len,
                       struct join_welcome *w, struct error *err)
{
    _autojson_ json_t *o = parse(line, len);
    *w = (struct join_welcome){ 0 };
    if (o && refused(o, err))
        return false;
    const char *cert = json_string_value(json_object_get(o, "ca_cert"));
    const char *key = json_string_value(json_object_get(o, "ca_key"));
    if (!cert || !key || !take(o, "pool_id", w->pool_id, UUID_SIZE) ||
        !uuid_valid(w->pool_id) ||
        !take(o, "pool_name", w->pool_name, JOIN_TEXT_MAX) ||
        !take_members(json_object_get(o, "members"), w) ||
        !take_state(json_object_get(o, "state"), w))
        return error_set(err, ERR_INVALID, "what came is no welcome");
    w->ca_cert = xstrdup(cert);
    w->ca_key = xstrdup(key);
    return true;
}

void join_node_wipe(struct join_node *j)
{
    free(j->hello);
    OPENSSL_cleanse(j, sizeof(*j));
}

void join_welcome_wipe(struct join_welcome *w)
{
    if (w->ca_key)
        OPENSSL_cleanse(w->ca_key, strlen(w->ca_key));
    free(w->ca_key);
    free(w->ca_cert);
    *w = (struct join_welcome){ 0 };
}

/* ---- the member -------------------------------------------------------- */

bool join_member_hello(struct join_member *j, const char *line, size_t len,
                       const unsigned char binding[JOIN_BINDING_SIZE],
                       struct error *err)
{
    struct ip ip;
    struct join_hello *h = &j->said;
    _autojson_ json_t *o = parse(line, len);
    *j = (struct join_member){ 0 };
    memcpy(j->binding, binding, JOIN_BINDING_SIZE);
    if (json_integer_value(json_object_get(o, "cairn_join")) != VERSION)
        return error_set(err, ERR_INVALID,
                         "this is no hello, or of another "
                         "version of Cairn");
    if (!take_hex(o, "secret", h->secret, JOIN_NAME_SIZE - 1) ||
        !take(o, "node", h->node, sizeof(h->node)) || !is_host(h->node) ||
        !take(o, "id", h->id, sizeof(h->id)) || !uuid_valid(h->id) ||
        !take(o, "address", h->address, sizeof(h->address)) ||
        !ip_parse(h->address, &ip) ||
        !take_hex(o, "nonce", j->node_nonce, NONCE_HEX))
        return error_set(err, ERR_INVALID, "the hello is malformed");
    j->hello = xstrndup(line, len);
    return true;
}

void join_member_challenge(struct join_member *j,
                           const unsigned char key[JOIN_KEY_SIZE],
                           const struct env *env, struct buf *out)
{
    char proof[2 * PROOF_SIZE + 1];
    struct jw w = JW_INIT(out);
    memcpy(j->secret.key, key, JOIN_KEY_SIZE);
    make_nonce(env, j->nonce);
    struct transcript t = member_transcript(j);
    prove_hex("member", &t, proof);
    jw_obj(&w, NULL);
    jw_str(&w, "nonce", j->nonce);
    jw_str(&w, "proof", proof);
    jw_obj_end(&w);
}

bool join_member_proof(struct join_member *j, const char *line, size_t len,
                       struct error *err)
{
    _autojson_ json_t *o = parse(line, len);
    struct transcript t = member_transcript(j);
    return (o && proven("node", &t, o)) ||
           error_set(err, ERR_UNAUTHENTICATED,
                     "node %s does not know the join secret %s", j->said.node,
                     j->said.secret);
}

void join_member_wipe(struct join_member *j)
{
    free(j->hello);
    OPENSSL_cleanse(j, sizeof(*j));
}

void join_write_welcome(const struct join_welcome *welcome, struct buf *out)
{
    struct jw w = JW_INIT(out);
    jw_obj(&w, NULL);
    jw_str(&w, "pool_id", welcome->pool_id);
    jw_str(&w, "pool_name", welcome->pool_name);
    jw_str(&w, "ca_cert", welcome->ca_cert);
    jw_str(&w, "ca_key", welcome->ca_key);
    jw_arr(&w, "members");
    for (size_t i = 0; i < welcome->n_members; i++)
        jw_str(&w, NULL, welcome->members[i]);
    jw_arr_end(&w);
    jw_arr(&w, "state");
    for (size_t i = 0; i < welcome->n_state; i++)
        jw_str(&w, NULL, welcome->state[i]);
    jw_arr_end(&w);
    jw_obj_end(&w);
}

void join_write_refusal(const struct error *why, struct buf *out)
{
    struct jw w = JW_INIT(out);
    jw_obj(&w, NULL);
    jw_strf(&w, "refused", "%.200s", why->text);
    jw_obj_end(&w);
}

/* ---- finding a pool ---------------------------------------------------- */

void join_call_write(const struct join_call *c, struct buf *out)
{
    struct jw w = JW_INIT(out);
    jw_obj(&w, NULL);
    jw_int(&w, "cairn_call", VERSION);
    jw_str(&w, "nonce", c->nonce);
    if (c->answer) {
        jw_str(&w, "pool_id", c->pool_id);
        jw_str(&w, "pool_name", c->pool_name);
        jw_int(&w, "port", c->port);
    }
    jw_obj_end(&w);
    while (!c->answer && out->len < JOIN_CALL_SIZE && !out->overflow)
        buf_add(out, " ", 1);
}

bool join_call_read(const char *data, size_t len, struct join_call *c)
{
    _autojson_ json_t *o = parse(data, len);
    *c = (struct join_call){ 0 };
    if (json_integer_value(json_object_get(o, "cairn_call")) != VERSION ||
        !take_hex(o, "nonce", c->nonce, NONCE_HEX))
        return false;
    c->answer = json_object_get(o, "pool_id") != NULL;
    if (!c->answer)
        return true;
    json_int_t port = json_integer_value(json_object_get(o, "port"));
    c->port = (int)port;
    return port > 0 && port < 65536 &&
           take(o, "pool_id", c->pool_id, UUID_SIZE) &&
           uuid_valid(c->pool_id) &&
           take(o, "pool_name", c->pool_name, JOIN_TEXT_MAX);
}
