#include "engine/admit.h"

#include "common/alloc.h"
#include "engine/fit.h"

#include <string.h>

bool admit(struct view *v, struct chooser *c, const struct request *r,
           struct placing *at)
{
    if (!choose(c, r, at))
        return false;
    if (view_bears(v, r, at, NULL))
        return true;
    struct request again = *r;
    uint32_t n = r->excluded.n;
    _autofree_ uint32_t *hosts = xcalloc(n + ADMIT_TRIES, sizeof(*hosts));
    if (n)
        memcpy(hosts, r->excluded.at, n * sizeof(*hosts));
    for (int i = 1; i < ADMIT_TRIES; i++) {
        hosts[n++] = at->host;
        again.excluded = (struct host_list){ hosts, n };
        if (!choose(c, &again, at))
            return false;
        if (view_bears(v, r, at, NULL))
            return true;
    }
    return false;
}

bool admit_to(struct view *v, const struct request *r, uint32_t host,
              struct reserve_why *why)
{
    struct fit_rules rules;
    struct placing at;
    int32_t score;
    fit_rules(view_fleet(v), r, &rules);
    return fit_host(view_fleet(v), &rules, host, &at, &score) == FIT_OK &&
           view_bears(v, r, &at, why);
}
