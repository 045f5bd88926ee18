#include "rest-api/certificate.h"

#include "common/alloc.h"

#include <gnutls/abstract.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 8

struct shown {
    struct shown *older;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned n;
    gnutls_privkey_t key;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shown *newest;

static gnutls_datum_t datum(const char *text)
{
    return (gnutls_datum_t){ (unsigned char *)(uintptr_t)text,
                             (unsigned)strlen(text) };
}

static int import_chain(struct shown *s, const char *pem)
{
    gnutls_datum_t text = datum(pem);
    gnutls_x509_crt_t *list;
    unsigned n;
    int rc =
        gnutls_x509_crt_list_import2(&list, &n, &text, GNUTLS_X509_FMT_PEM, 0);
    if (rc < 0)
        return rc;
    s->n = CHAIN_MAX;
    rc = n <= CHAIN_MAX ? gnutls_pcert_import_x509_list(s->chain, list, &n, 0)
                        : GNUTLS_E_SHORT_MEMORY_BUFFER;
    s->n = rc < 0 ? 0 : n;
    for (unsigned i = 0; i < n; i++)
        gnutls_x509_crt_deinit(list[i]);
    gnutls_free(list);
    return rc;
}

static int import_key(struct shown *s, const char *pem)
{
    gnutls_datum_t text = datum(pem);
    int rc = gnutls_privkey_init(&s->key);
    return rc < 0 ? rc
                  : gnutls_privkey_import_x509_raw(
                        s->key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
}

static void shown_free(struct shown *s)
{
    for (unsigned i = 0; i < s->n; i++)
        gnutls_pcert_deinit(&s->chain[i]);
    if (s->key)
        gnutls_privkey_deinit(s->key);
    free(s);
}

static int retrieve(gnutls_session_t session, const gnutls_datum_t *authorities,
                    int n_authorities, const gnutls_pk_algorithm_t *algorithms,
                    int n_algorithms, gnutls_pcert_st **pcert,
                    unsigned *n_pcert, gnutls_privkey_t *key)
{
    pthread_mutex_lock(&lock);
    struct shown *s = newest;
    pthread_mutex_unlock(&lock);
    if (!s)
        return -1;
    *pcert = s->chain;
    *n_pcert = s->n;
    *key = s->key;
    return 0;
}

bool certificate_set(const char *cert, const char *key, struct error *err)
{
    struct shown *s = xcalloc(1, sizeof(*s));
    int rc = import_chain(s, cert);
    rc = rc < 0 ? rc : import_key(s, key);
    if (rc < 0) {
        shown_free(s);
        return error_set(err, ERR_INVALID, "certificate or key: %s",
                         gnutls_strerror(rc));
    }
    pthread_mutex_lock(&lock);
    s->older = newest;
    newest = s;
    pthread_mutex_unlock(&lock);
    return true;
}

void certificate_clear(void)
{
    pthread_mutex_lock(&lock);
    for (struct shown *next; newest; newest = next) {
        next = newest->older;
        shown_free(newest);
    }
    pthread_mutex_unlock(&lock);
}

void *certificate_callback(void)
{
    gnutls_certificate_retrieve_function2 *fn = retrieve;
    return (void *)(uintptr_t)fn;
}
