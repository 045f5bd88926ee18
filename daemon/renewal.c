#include "daemon/renewal.h"

#include "common/alloc.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

#define KEY "certificate"

struct renewal {
    struct renewal_config c;
    char *dir, *cert;
    char *names[PKI_NAMES_MAX + 1];
    struct reconciler *queue;
};

static enum reconcile_verdict look(void *self, const char *key,
                                   int64_t *delay_us, struct error *err)
{
    struct renewal *r = self;
    struct pki pki;
    if (!r->c.open(r->dir, (const char *const *)r->names, env_now(r->c.env),
                   &pki, err))
        return RECONCILE_RETRY;
    if (strcmp(pki.cert, r->cert) != 0) {
        log_info("pki", "the certificate of %s was renewed", r->c.whose);
        free(r->cert);
        r->cert = xstrdup(pki.cert);
        r->c.changed(r->c.arg, &pki);
    }
    pki_close(&pki);
    *delay_us = RENEWAL_PASS_US;
    return RECONCILE_AGAIN;
}

struct renewal *renewal_start(const struct renewal_config *config)
{
    struct renewal *r = xcalloc(1, sizeof(*r));
    r->c = *config;
    r->dir = xstrdup(config->dir);
    r->cert = xstrdup(config->cert);
    for (size_t i = 0; config->names[i] && i < PKI_NAMES_MAX; i++)
        r->names[i] = xstrdup(config->names[i]);
    r->queue = reconciler_new("pki", look, r, config->env, config->workers);
    reconciler_add_after(r->queue, KEY, RENEWAL_PASS_US);
    return r;
}

void renewal_look(struct renewal *r)
{
    if (r)
        reconciler_add(r->queue, KEY);
}

struct reconciler *renewal_queue(struct renewal *r)
{
    return r->queue;
}

void renewal_stop(struct renewal *r)
{
    if (!r)
        return;
    reconciler_stop(r->queue);
    for (size_t i = 0; r->names[i]; i++)
        free(r->names[i]);
    free(r->dir);
    free(r->cert);
    free(r);
}
