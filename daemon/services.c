#include "daemon/services.h"

#include <string.h>

size_t services_find(const struct services *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->all[i].name, name) == 0)
            return i;
    return SERVICES_MAX;
}

bool services_add(struct services *s, const char *name,
                  const char *const after[SERVICE_AFTER_MAX], bool once)
{
    if (s->n == SERVICES_MAX || services_find(s, name) != SERVICES_MAX)
        return false;
    struct service *new = &s->all[s->n];
    *new = (struct service){ .name = name, .once = once };
    for (size_t i = 0; after && i < SERVICE_AFTER_MAX && after[i]; i++) {
        if (services_find(s, after[i]) == SERVICES_MAX)
            return false;
        new->after[i] = after[i];
    }
    s->n++;
    return true;
}

void services_want(struct services *s, size_t i, bool wanted)
{
    s->all[i].wanted = wanted;
}

void services_restart(struct services *s, size_t i)
{
    struct service *v = &s->all[i];
    if (v->state == SERVICE_STARTING || v->state == SERVICE_UP)
        v->again = true;
}

void services_hurry(struct services *s, int64_t now)
{
    for (size_t i = 0; i < s->n; i++) {
        s->all[i].pause = 0;
        if (s->all[i].state == SERVICE_PAUSING)
            s->all[i].due = now;
    }
}

/* ---- what to do -------------------------------------------------------- */

static bool runs(const struct service *v)
{
    return v->state == SERVICE_STARTING || v->state == SERVICE_UP ||
           v->state == SERVICE_STOPPING;
}

static bool is_after(const struct service *v, const char *name)
{
    for (size_t i = 0; i < SERVICE_AFTER_MAX && v->after[i]; i++)
        if (strcmp(v->after[i], name) == 0)
            return true;
    return false;
}

static bool may_start(const struct services *s, const struct service *v)
{
    for (size_t i = 0; i < s->n; i++)
        if (is_after(v, s->all[i].name) && s->all[i].state != SERVICE_UP)
            return false;
    return true;
}

/* For a restart nobody else has to go. */
static bool may_stop(const struct services *s, const struct service *v)
{
    if (v->again)
        return true;
    for (size_t i = 0; i < s->n; i++)
        if (is_after(&s->all[i], v->name) && runs(&s->all[i]))
            return false;
    return true;
}

static void longer_pause(struct service *v)
{
    v->pause = v->pause ? v->pause * 2 : SERVICE_PAUSE_FIRST_US;
    if (v->pause > SERVICE_PAUSE_MOST_US)
        v->pause = SERVICE_PAUSE_MOST_US;
}

static enum service_act stop(struct service *v, int64_t now)
{
    if (v->state == SERVICE_UP)
        v->pause = 0;
    v->healthy = false;
    if (v->once) {
        v->state = v->wanted ? SERVICE_WAITING : SERVICE_OFF;
        v->again = false;
        return SERVICE_NOTHING;
    }
    v->state = SERVICE_STOPPING;
    v->due = now + SERVICE_STOP_US;
    return SERVICE_TERM;
}

static enum service_act step_idle(const struct services *s, struct service *v,
                                  int64_t now)
{
    if (!v->wanted)
        v->state = SERVICE_OFF;
    else if (v->state == SERVICE_OFF ||
             (v->state == SERVICE_PAUSING && now >= v->due))
        v->state = SERVICE_WAITING;
    if (v->state != SERVICE_WAITING || !may_start(s, v))
        return SERVICE_NOTHING;
    v->state = SERVICE_STARTING;
    v->began = v->due = now;
    v->starts++;
    return SERVICE_START;
}

static enum service_act step_running(const struct services *s,
                                     struct service *v, int64_t now)
{
    if ((!v->wanted || v->again) && may_stop(s, v))
        return stop(v, now);
    if (v->state == SERVICE_STARTING && now - v->began >= SERVICE_START_US) {
        longer_pause(v);
        return stop(v, now);
    }
    if (v->once || now < v->due)
        return SERVICE_NOTHING;
    v->due = now + (v->state == SERVICE_UP ? SERVICE_PROBE_US
                                           : SERVICE_PROBE_SOON_US);
    return SERVICE_PROBE;
}

static enum service_act step(const struct services *s, struct service *v,
                             int64_t now)
{
    switch (v->state) {
    case SERVICE_OFF:
    case SERVICE_WAITING:
    case SERVICE_PAUSING:
        return step_idle(s, v, now);
    case SERVICE_STARTING:
    case SERVICE_UP:
        return step_running(s, v, now);
    case SERVICE_STOPPING:
        if (now < v->due)
            break;
        v->due = now + SERVICE_STOP_US;
        return SERVICE_KILL;
    }
    return SERVICE_NOTHING;
}

enum service_act services_next(struct services *s, int64_t now, size_t *i)
{
    for (*i = 0; *i < s->n; ++*i) {
        enum service_act act = step(s, &s->all[*i], now);
        if (act != SERVICE_NOTHING)
            return act;
    }
    return SERVICE_NOTHING;
}

int64_t services_due(const struct services *s)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < s->n; i++) {
        const struct service *v = &s->all[i];
        bool waits = v->state == SERVICE_STOPPING ||
                     v->state == SERVICE_PAUSING || (runs(v) && !v->once);
        if (waits && v->due < due)
            due = v->due;
    }
    return due;
}

/* ---- what happened ----------------------------------------------------- */

void services_ended(struct services *s, size_t i, int64_t now)
{
    struct service *v = &s->all[i];
    if (!runs(v))
        return;
    if (v->state != SERVICE_STOPPING && now - v->began >= SERVICE_SETTLED_US)
        v->pause = 0;
    else if (v->state != SERVICE_STOPPING)
        longer_pause(v);
    v->healthy = v->again = false;
    v->state = v->wanted ? SERVICE_PAUSING : SERVICE_OFF;
    v->due = now + v->pause;
}

void services_started(struct services *s, size_t i, bool ok, int64_t now)
{
    struct service *v = &s->all[i];
    if (!ok)
        services_ended(s, i, now);
    else if (v->once)
        services_probed(s, i, true, now);
}

void services_adopted(struct services *s, size_t i, int64_t now)
{
    struct service *v = &s->all[i];
    v->state = SERVICE_STARTING;
    v->began = v->due = now;
}

void services_probed(struct services *s, size_t i, bool healthy, int64_t now)
{
    struct service *v = &s->all[i];
    if (v->state != SERVICE_STARTING && v->state != SERVICE_UP)
        return;
    v->healthy = healthy;
    if (!healthy || v->state == SERVICE_UP)
        return;
    v->state = SERVICE_UP;
    v->due = now + SERVICE_PROBE_US;
}

/* ---- how it is --------------------------------------------------------- */

bool services_ready(const struct services *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->all[i].wanted &&
            (s->all[i].state != SERVICE_UP || !s->all[i].healthy))
            return false;
    return true;
}

bool services_off(const struct services *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (runs(&s->all[i]) && !s->all[i].once)
            return false;
    return true;
}

const char *service_state_name(enum service_state state)
{
    static const char *const names[] = { "off", "waiting", "starting",
                                         "up",  "pausing", "stopping" };
    return names[state];
}
