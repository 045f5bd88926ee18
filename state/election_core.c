#include "state/election_core.h"

void election_core_init(struct election_core *c, int64_t ttl_s)
{
    *c = (struct election_core){ .ttl_us = ttl_s * SECOND_US };
}

static struct election_todo todo(enum election_do what, int64_t lease)
{
    return (struct election_todo){ .what = what, .lease = lease };
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct election_todo election_next(const struct election_core *c, int64_t now)
{
    struct election_todo wait = { .what = ELECTION_WAIT, .at = INT64_MAX };
    bool ours = c->lease && c->holder == c->lease && c->term;
    bool paused = now < c->pause_until;
    if (c->lease && (!c->wanted || (c->term && c->listed && !ours))) {
        if (!paused)
            return todo(ELECTION_REVOKE, c->lease);
    } else if (c->lease && now >= c->keep_at) {
        return todo(ELECTION_KEEPALIVE, c->lease);
    } else if (!c->listed) {
        if (!paused)
            return todo(ELECTION_LIST, 0);
    } else if (c->wanted && !c->term) {
        if (!paused)
            return todo(c->lease ? ELECTION_CAMPAIGN : ELECTION_GRANT,
                        c->lease);
    }
    if (paused)
        wait.at = c->pause_until;
    if (c->lease && c->keep_at > now)
        wait.at = earlier(wait.at, c->keep_at);
    return wait;
}

bool election_leads(const struct election_core *c, int64_t now, int64_t *until)
{
    *until = c->granted_until;
    return c->wanted && c->lease && c->term && c->holder == c->lease &&
           now < c->granted_until;
}

static void trust(struct election_core *c, int64_t sent)
{
    c->granted_until = sent + ELECTION_TRUST(c->ttl_us);
    c->keep_at = sent + c->ttl_us / 3;
}

void election_granted(struct election_core *c, int64_t sent, int64_t now,
                      enum election_outcome out, int64_t lease)
{
    if (out != ELECTION_DONE) {
        c->pause_until = now + ELECTION_PAUSE_US;
        return;
    }
    c->lease = lease;
    trust(c, sent);
}

void election_campaigned(struct election_core *c, int64_t now,
                         enum election_outcome out, int64_t revision)
{
    if (out == ELECTION_DONE) {
        c->term = c->mod_rev = revision;
        c->holder = c->lease;
        return;
    }
    c->listed = false; /* look who it is: perhaps we */
    if (out == ELECTION_UNSURE)
        c->pause_until = now + ELECTION_PAUSE_US;
}

void election_kept(struct election_core *c, int64_t sent, int64_t now,
                   enum election_outcome out)
{
    if (out == ELECTION_DONE) {
        c->lapses += now >= c->granted_until;
        trust(c, sent);
    } else if (out == ELECTION_REFUSED) {
        c->lease = 0;
        c->listed = false;
    } else {
        c->keep_at = now + ELECTION_PAUSE_US;
    }
}

void election_revoked(struct election_core *c)
{
    if (c->holder == c->lease)
        c->term = c->holder = 0;
    c->lease = 0;
    c->listed = false;
}

void election_observed(struct election_core *c, int64_t term, int64_t mod_rev,
                       int64_t holder)
{
    c->listed = true;
    c->term = term;
    c->mod_rev = mod_rev;
    c->holder = term ? holder : 0;
}

void election_unlisted(struct election_core *c, int64_t now)
{
    c->listed = false;
    c->pause_until = now + ELECTION_PAUSE_US;
}
