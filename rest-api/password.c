#include "rest-api/password.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SALT_LEN 16
#define HASH_LEN 32
#define SCRYPT_R 8
#define SCRYPT_P 1
#define COST_MAX (1u << 20)

/* ---- scrypt ------------------------------------------------------------ */

struct scrypt {
    uint64_t n, r, p;
    uint8_t salt[64], hash[64];
    size_t salt_len, hash_len;
};

static bool derive(const char *password, const struct scrypt *s, uint8_t *out,
                   size_t out_len)
{
    return EVP_PBE_scrypt(password, strlen(password), s->salt, s->salt_len,
                          s->n, s->r, s->p, (256 * s->r * s->n) + (1 << 20),
                          out, out_len) == 1;
}

bool password_hash(const struct env *env, unsigned cost, const char *password,
                   char out[PASSWORD_HASH_MAX], struct error *err)
{
    struct scrypt s = { cost, SCRYPT_R, SCRYPT_P, .salt_len = SALT_LEN };
    char salt[2 * SALT_LEN], hash[2 * HASH_LEN];
    if (strlen(password) > PASSWORD_MAX)
        return error_set(err, ERR_INVALID, "a password has at most %d bytes",
                         PASSWORD_MAX);
    env_random(env, s.salt, SALT_LEN);
    if (!derive(password, &s, s.hash, HASH_LEN))
        return error_set(err, ERR_INTERNAL, "scrypt with N=%u failed", cost);
    EVP_EncodeBlock((unsigned char *)salt, s.salt, SALT_LEN);
    EVP_EncodeBlock((unsigned char *)hash, s.hash, HASH_LEN);
    snprintf(out, PASSWORD_HASH_MAX, "scrypt$%u$%d$%d$%s$%s", cost, SCRYPT_R,
             SCRYPT_P, salt, hash);
    return true;
}

/* Base64 of at most 64 bytes. */
static bool decode(const char *text, size_t len, uint8_t out[64], size_t *n)
{
    uint8_t bytes[96];
    if (len % 4 || len < 4 || len > 88)
        return false;
    int got = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
    if (got < 3)
        return false;
    *n = (size_t)got - (text[len - 1] == '=') - (text[len - 2] == '=');
    if (*n > 64)
        return false;
    memcpy(out, bytes, *n);
    return true;
}

static bool parse(const char *text, struct scrypt *s)
{
    char salt[96], hash[96];
    unsigned n, r, p;
    int end = 0;
    if (sscanf(text, "scrypt$%7u$%2u$%2u$%89[^$]$%89[^$]%n", &n, &r, &p, salt,
               hash, &end) != 5 ||
        text[end])
        return false;
    *s = (struct scrypt){ n, r, p };
    return n >= 2 && n <= COST_MAX && (n & (n - 1)) == 0 && r >= 1 && r <= 16 &&
           p >= 1 && p <= 4 &&
           decode(salt, strlen(salt), s->salt, &s->salt_len) &&
           decode(hash, strlen(hash), s->hash, &s->hash_len);
}

bool password_verify(unsigned cost, const char *password, const char *hash,
                     struct error *err)
{
    struct scrypt s;
    uint8_t got[64];
    bool there = hash && parse(hash, &s);
    if (!there) /* the same work for nothing: time must not tell */
        s = (struct scrypt){ cost, SCRYPT_R, SCRYPT_P, .salt_len = SALT_LEN,
                             .hash_len = HASH_LEN };
    if (strlen(password) > PASSWORD_MAX)
        return error_set(err, ERR_UNAUTHENTICATED, "the password is too long");
    if (!derive(password, &s, got, s.hash_len))
        return error_set(err, ERR_INTERNAL, "scrypt failed");
    bool same = CRYPTO_memcmp(got, s.hash, s.hash_len) == 0;
    OPENSSL_cleanse(got, sizeof(got));
    return (there && same) || error_set(err, ERR_UNAUTHENTICATED,
                                        "the password is not the right one");
}

/* ---- the queue --------------------------------------------------------- */

struct job {
    struct job *next;
    char *password; /* wiped when done */
    char *hash;     /* to verify against; NULL: none */
    bool verify;
    password_done_fn *done;
    void *arg;
};

struct password_queue {
    const struct env *env;
    unsigned cost;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t more;
    struct job *first, **last;
    size_t n;
    bool stop;
    unsigned n_threads;
    pthread_t threads[8];
};

static void job_free(struct job *j)
{
    OPENSSL_cleanse(j->password, strlen(j->password));
    free(j->password);
    free(j->hash);
    free(j);
}

static void job_run(struct password_queue *q, struct job *j)
{
    char hash[PASSWORD_HASH_MAX];
    struct error err = { 0 };
    bool ok = j->verify
                  ? password_verify(q->cost, j->password, j->hash, &err)
                  : password_hash(q->env, q->cost, j->password, hash, &err);
    j->done(j->arg, ok && !j->verify ? hash : NULL, &err);
    job_free(j);
}

static struct job *take(struct password_queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (!q->first && !q->stop)
        pthread_cond_wait(&q->more, &q->lock);
    struct job *j = q->stop ? NULL : q->first;
    if (j) {
        q->first = j->next;
        if (!q->first)
            q->last = &q->first;
        q->n--;
    }
    pthread_mutex_unlock(&q->lock);
    return j;
}

static void *work(void *arg)
{
    struct password_queue *q = arg;
    for (struct job *j; (j = take(q));)
        job_run(q, j);
    return NULL;
}

struct password_queue *password_queue_new(const struct env *env, unsigned cost,
                                          unsigned threads)
{
    struct password_queue *q = xcalloc(1, sizeof(*q));
    q->env = env;
    q->cost = cost;
    q->last = &q->first;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->more, NULL);
    if (!threads) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        threads = cores >= 4 ? (unsigned)(cores / 2) : 1;
    }
    if (threads > ARRAY_SIZE(q->threads))
        threads = ARRAY_SIZE(q->threads);
    while (q->n_threads < threads &&
           pthread_create(&q->threads[q->n_threads], NULL, work, q) == 0)
        q->n_threads++;
    if (!q->n_threads)
        abort(); /* nobody could ever log in */
    return q;
}

void password_queue_free(struct password_queue *q)
{
    if (!q)
        return;
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_broadcast(&q->more);
    pthread_mutex_unlock(&q->lock);
    for (unsigned i = 0; i < q->n_threads; i++)
        pthread_join(q->threads[i], NULL);
    struct error err;
    error_set(&err, ERR_CANCELLED, "the service stops");
    for (struct job *j = q->first, *next; j; j = next) {
        next = j->next;
        j->done(j->arg, NULL, &err);
        job_free(j);
    }
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->more);
    free(q);
}

static bool push(struct password_queue *q, const struct job *job,
                 const char *password, const char *hash, struct error *err)
{
    pthread_mutex_lock(&q->lock);
    bool room = q->n < PASSWORD_QUEUE_MAX && !q->stop;
    if (room) {
        struct job *j = xmalloc(sizeof(*j));
        *j = *job;
        j->password = xstrndup(password, PASSWORD_MAX + 1);
        j->hash = hash ? xstrdup(hash) : NULL;
        *q->last = j;
        q->last = &j->next;
        q->n++;
        pthread_cond_signal(&q->more);
    }
    pthread_mutex_unlock(&q->lock);
    return room || error_set(err, ERR_BUSY,
                             "too many logins at once, try again shortly");
}

bool password_queue_verify(struct password_queue *q, const char *password,
                           const char *hash, password_done_fn *done, void *arg,
                           struct error *err)
{
    return push(q, &(struct job){ .verify = true, .done = done, .arg = arg },
                password, hash, err);
}

bool password_queue_hash(struct password_queue *q, const char *password,
                         password_done_fn *done, void *arg, struct error *err)
{
    return push(q, &(struct job){ .done = done, .arg = arg }, password, NULL,
                err);
}
