#include "openstack-compat/identity/names.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define NAME_IN_KEY_MAX 255 /* bytes */

/* `what` is a kind's name; scope the domain's id, "" where there is none. */
static char *name_claim(char out[STORE_KEY_MAX], const char *what,
                        const char *scope, const char *name)
{
    char digest[65];
    if (strlen(name) <= NAME_IN_KEY_MAX)
        return claim_id(out, "%s/%s/%s", what, scope, name);
    sha256_hex(name, strlen(name), digest);
    return claim_id(out, "%s/%s//%s", what, scope, digest);
}

void name_take(struct txn *t, const void *record, const char *scope,
               const char *name)
{
    const struct record *rec = record;
    char id[STORE_KEY_MAX], key[STORE_KEY_MAX];
    claim_take(t, name_claim(id, rec->kind->name, scope, name),
               record_key(record, key));
}

void name_release(struct txn *t, const void *record, const char *scope,
                  const char *name)
{
    const struct record *rec = record;
    char id[STORE_KEY_MAX];
    claim_release(t, name_claim(id, rec->kind->name, scope, name));
}

bool name_taken(const struct snapshot *s, const char *what, const char *scope,
                const char *name)
{
    char id[STORE_KEY_MAX];
    return snap_get(s, &kind_claim, name_claim(id, what, scope, name)) != NULL;
}

const struct domain *domain_named(const struct snapshot *s, const char *name)
{
    return name ? snap_find(s, &kind_domain, "name", name) : NULL;
}

const struct user *user_named(const struct snapshot *s, const char *domain_id,
                              const char *name)
{
    if (!domain_id || !name)
        return NULL;
    struct snap_iter it = snap_by(s, &kind_user, "name", name);
    for (const struct user *u; (u = snap_next(&it));)
        if (strcmp(u->domain_id, domain_id) == 0)
            return u;
    return NULL;
}

const struct project *project_named(const struct snapshot *s,
                                    const char *domain_id, const char *name)
{
    if (!domain_id || !name)
        return NULL;
    struct snap_iter it = snap_by(s, &kind_project, "name", name);
    for (const struct project *p; (p = snap_next(&it));)
        if (strcmp(p->domain_id, domain_id) == 0)
            return p;
    return NULL;
}

const struct role *role_named(const struct snapshot *s, const char *name)
{
    struct snap_iter it = snap_by(s, &kind_role, "name", name);
    for (const struct role *r; (r = snap_next(&it));)
        if (!r->domain_id)
            return r;
    return NULL;
}

void sha256_hex(const void *data, size_t len, char out[65])
{
    unsigned char digest[32];
    EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
