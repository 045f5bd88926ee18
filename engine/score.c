#include "engine/score.h"

#include "engine/mix.h"
#include "engine/outlook.h"

static enum score_kind kind_of(const struct fleet *f, const struct demand *d)
{
    return f->policies[d->policy].kind;
}

int32_t score_weight(const struct fleet *f, const struct demand *d, int r)
{
    const struct score_policy *p = &f->policies[d->policy];
    bool any = false;
    for (int i = 0; i < FLEET_RESOURCES; i++)
        any |= p->weight[i] > 0;
    return !d->need[r] ? 0 : any ? p->weight[r] : 1;
}

/* Of the devices of one kind, what is left after this. */
static int32_t device_share(const struct fleet *f, uint32_t host,
                            const struct request_device *want)
{
    const struct fleet_host *h = &f->hosts[host];
    int32_t all = 0, left = -(int32_t)want->count * want->thousandths;
    for (int i = 0; i < h->n_devices; i++)
        if (h->devices[i].kind == want->kind) {
            all += 1000;
            left += h->devices[i].free;
        }
    return all ? (int32_t)((int64_t)left * SCORE_ONE / all) : 0;
}

static int32_t spread(const struct fleet *f, const struct demand *d,
                      uint32_t host)
{
    int32_t least = SCORE_ONE;
    for (int r = 0; r < FLEET_RESOURCES; r++) {
        if (!d->need[r])
            continue;
        int32_t share = score_share(f, host, r, d->need[r]);
        least = share < least ? share : least;
    }
    for (int k = 0; k < REQUEST_DEVICES && d->devices[k].count; k++) {
        int32_t share = device_share(f, host, &d->devices[k]);
        least = share < least ? share : least;
    }
    return least;
}

static int32_t pack(const struct fleet *f, const struct demand *d,
                    uint32_t host)
{
    int32_t taken = 0;
    for (int r = 0; r < FLEET_RESOURCES; r++)
        if (d->need[r])
            taken += score_weight(f, d, r) *
                     (SCORE_ONE - score_share(f, host, r, d->need[r]));
    for (int k = 0; k < REQUEST_DEVICES && d->devices[k].count; k++)
        taken += SCORE_ONE - device_share(f, host, &d->devices[k]);
    return taken;
}

int32_t score_placing(const struct fleet *f, const struct demand *d,
                      const struct placing *at)
{
    if (kind_of(f, d) == SCORE_SPREAD)
        return spread(f, d, at->host);
    if (score_sees_parts(f, d))
        return OUTLOOK_ONE - outlook_strands(f->outlook, f, d, at);
    return pack(f, d, at->host);
}

bool score_sees_parts(const struct fleet *f, const struct demand *d)
{
    return kind_of(f, d) == SCORE_FRAGMENTATION && f->mix &&
           mix_version(f->mix) > 0;
}
