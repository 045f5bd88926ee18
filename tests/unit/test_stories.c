/*
 * Stories of recovery: tests/scenarios/<story>/script is what happens to a
 * pool, `expected` the log of what recovery does about it, line by line.
 *
 * The pool is made of a few numbers a node: power, wires, a lease, what runs.
 * All decisions are those of the product: engine/recovery.h for the leader,
 * compute/quarantine.h for each node.  After each tenth of a second none of
 * the servers may have two guests that can write, and none may have left a
 * node that is not fenced.  STORY=name runs one, STORY_WRITE=1 writes what
 * was seen as what is expected.
 */
#include "test.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "compute/quarantine.h"
#include "engine/recovery.h"
#include "state/election_core.h"
#include "state/store.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK      (SECOND_US / 10)
#define TTL       (STORE_LEASE_MIN * SECOND_US)
#define TRUST     ELECTION_TRUST(TTL)
#define ELECT_US  (23 * TICK) /* etcd finds another leader */
#define FENCE_US  (5 * TICK)  /* the blocklist, while monitors agree */
#define MONS_US   (60 * TICK) /* ... and until they do, without their leader */
#define START_US  (10 * TICK) /* a guest */
#define LIST_US   (30 * SECOND_US)
#define PROBE_US  (40 * TICK) /* until a node is sure that it has no storage */
#define MAX       8
#define LINE_MAX_ 256

struct guest {
    bool runs;
    bool ended;     /* by its node, which was cut off */
    int64_t starts; /* when, 0: not asked to */
};

struct host {
    char name[16];
    bool power, hears, speaks, stores, hung;
    int64_t renewed;  /* its lease, last */
    bool leased;      /* as the store has it */
    int64_t lost;     /* since when it does not trust it; 0: it does */
    int64_t unstored; /* since when its storage is away; 0: it is there */
    enum self_what self;
    bool open;
    struct guest guests[MAX];
    /* its record */
    struct recovery_node record;
    /* as each observer sees its lease */
    bool known[MAX];
    int64_t gone[MAX];
    bool refused; /* the fence is closed */
    int64_t call; /* when the leader's call to the fence is done; 0: none */
    int caller;
};

struct guest_record {
    char name[16];
    int node, generation;
    int64_t priority;
    bool shared, stranded;
};

static struct host hosts[MAX];
static struct guest_record servers[MAX];
static int n_hosts, n_servers, room, leader, voter;
static bool storage_up;
static int64_t now, mons_at, commits_at, works, listed_at;
static struct buf out;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    char text[LINE_MAX_];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    buf_addf(&out, "%6.1f  %s\n", (double)now / SECOND_US, text);
}

/* ---- wires and the store ------------------------------------------------- */

static bool linked(const struct host *h)
{
    return h->power && h->hears && h->speaks;
}

static bool is_voter(int i)
{
    return i < 3;
}

/* Most voters talk to each other, and have a leader by now. */
static bool commits(void)
{
    int linked_voters = 0, voters = n_hosts < 3 ? n_hosts : 3;
    for (int i = 0; i < n_hosts; i++)
        linked_voters += is_voter(i) && linked(&hosts[i]);
    return linked_voters * 2 > voters && now >= commits_at;
}

static bool reaches_store(const struct host *h)
{
    return linked(h) && commits();
}

/* Etcd's leader is gone: another one, which prolongs all leases. */
static void elect_voter(void)
{
    if (linked(&hosts[voter]))
        return;
    for (int i = 0; i < n_hosts && i < 3; i++)
        if (linked(&hosts[i])) {
            voter = i;
            commits_at = now + ELECT_US;
            for (int k = 0; k < n_hosts; k++)
                if (hosts[k].leased)
                    hosts[k].renewed = commits_at;
            return;
        }
}

static bool is_trusted(const struct host *h)
{
    return h->leased && now - h->renewed < TRUST;
}

static void keep_leases(void)
{
    for (int i = 0; i < n_hosts; i++) {
        struct host *h = &hosts[i];
        if (h->leased && commits() && now - h->renewed >= TTL)
            h->leased = false;
        if (reaches_store(h) && !h->hung)
            h->leased = true, h->renewed = now;
        for (int k = 0; k < n_hosts; k++) {
            h->known[k] |= h->leased;
            if (h->leased)
                h->gone[k] = now;
        }
    }
}

/* The first that can: a lease of its own, and its storage if others have it. */
static void elect(void)
{
    if (leader >= 0 && is_trusted(&hosts[leader]) && !hosts[leader].unstored)
        return;
    int was = leader;
    for (int i = 0; i < n_hosts; i++)
        if (i != was && is_trusted(&hosts[i]) && reaches_store(&hosts[i]) &&
            !hosts[i].hung && !hosts[i].unstored &&
            (was < 0 || !hosts[was].leased || hosts[was].unstored)) {
            leader = i;
            for (int k = 0; k < n_hosts; k++)
                hosts[k].record.closed = FENCE_UNKNOWN;
            listed_at = 0;
            say("%s leads", hosts[i].name);
            return;
        }
}

/* ---- guests -------------------------------------------------------------- */

static void stop_guest(struct host *h, int s, const char *why)
{
    struct guest *g = &h->guests[s];
    if (g->runs)
        say("%s: %s stops %s", h->name, why, servers[s].name);
    *g = (struct guest){ .ended = g->runs || g->ended };
}

static void stop_guests(struct host *h, bool also_local, const char *why)
{
    for (int s = 0; s < n_servers; s++)
        if (servers[s].shared || also_local)
            stop_guest(h, s, why);
}

static void see_to_servers(struct host *h)
{
    int self = (int)(h - hosts);
    for (int s = 0; s < n_servers; s++) {
        struct guest *g = &h->guests[s];
        if (servers[s].node != self || servers[s].stranded || g->runs)
            continue;
        if (!g->starts)
            g->starts = now + START_US;
        if (now < g->starts || (servers[s].shared && h->unstored))
            continue;
        servers[s].generation += g->ended;
        *g = (struct guest){ .runs = true };
        say("%s runs on %s (generation %d)", servers[s].name, h->name,
            servers[s].generation);
    }
}

static bool can_write(const struct host *h, int s)
{
    return h->power && h->guests[s].runs &&
           (!servers[s].shared || (h->stores && !h->refused));
}

static void check(void)
{
    for (int s = 0; s < n_servers; s++) {
        int writers = 0;
        for (int i = 0; i < n_hosts; i++)
            writers += can_write(&hosts[i], s);
        if (writers > 1)
            fail_msg("%.1f: %s has %d guests that write\n%s",
                     (double)now / SECOND_US, servers[s].name, writers,
                     buf_str(&out));
    }
}

/* ---- a node about itself ------------------------------------------------- */

static bool reaches_most(const struct host *h)
{
    int reached = 1;
    for (int i = 0; i < n_hosts; i++)
        reached += &hosts[i] != h && linked(h) && linked(&hosts[i]);
    return reached * 2 > n_hosts;
}

static void tell_self(struct host *h, enum self_what what)
{
    static const char *const texts[] = { "belongs to the pool", "waits",
                                         "is cut off", "cleans" };
    if (what != h->self)
        say("%s: %s", h->name, texts[what]);
    h->self = what;
}

static void live(struct host *h)
{
    struct recovery_node *r = &h->record;
    bool trusts = is_trusted(h), sees = reaches_store(h);
    h->lost = trusts ? 0 : h->lost ? h->lost : now;
    struct self_view v = { .health = sees ? r->health : HEALTH_UP,
                           .fence = r->fence,
                           .cleaned = sees ? r->cleaned : r->fence,
                           .term = trusts,
                           .revision = sees || trusts,
                           .lost = h->lost,
                           .reaches = reaches_most(h) };
    enum self_what what = quarantine_next(&v, now);
    tell_self(h, what);
    if (what == SELF_STOP)
        stop_guests(h, false, "it");
    if (what == SELF_CLEAN) {
        stop_guests(h, false, "it");
        for (int s = 0; s < n_servers; s++)
            h->guests[s].ended = false; /* the leader's matter now */
        r->cleaned = r->fence;
    }
    if (what == SELF_RUN && sees)
        see_to_servers(h);
}

static void notice_storage(struct host *h)
{
    bool there = h->stores && storage_up;
    h->unstored = there ? 0 : h->unstored ? h->unstored : now;
    if (!reaches_store(h))
        return;
    bool lost = h->unstored && now - h->unstored >= PROBE_US;
    if (lost != (h->record.storage_lost != 0))
        say("%s says: %s", h->name,
            lost ? "my storage does not answer" : "my storage answers again");
    h->record.storage_lost = !lost                    ? 0
                             : h->record.storage_lost ? h->record.storage_lost
                                                      : now;
}

/* ---- the leader ---------------------------------------------------------- */

static int used(int node)
{
    int n = 0;
    for (int s = 0; s < n_servers; s++)
        n += servers[s].node == node;
    return n;
}

/* The emptiest that is well; -1: no room. */
static int place(void)
{
    int best = -1;
    for (int i = 0; i < n_hosts; i++)
        if (hosts[i].record.health == HEALTH_UP && hosts[i].leased &&
            used(i) < room && (best < 0 || used(i) < used(best)))
            best = i;
    return best;
}

static int by_rank(const void *a, const void *b)
{
    const struct guest_record *x = &servers[*(const int *)a];
    const struct guest_record *y = &servers[*(const int *)b];
    struct recovery_rank p = { .priority = x->priority, .id = x->name };
    struct recovery_rank q = { .priority = y->priority, .id = y->name };
    return recovery_compare(&p, &q);
}

static enum recovery_fate fate(int s)
{
    struct recovery_server look = { .shared = servers[s].shared,
                                    .runs = true,
                                    .stranded = servers[s].stranded };
    return recovery_fate(&look);
}

static void strand(int s, const char *why)
{
    if (!servers[s].stranded)
        say("%s waits for its node: %s", servers[s].name, why);
    servers[s].stranded = true;
}

static void evacuate_host(struct host *h)
{
    int order[MAX];
    assert_true(h->record.health >= HEALTH_FENCED && h->refused);
    for (int s = 0; s < n_servers; s++)
        order[s] = s;
    qsort(order, (size_t)n_servers, sizeof(*order), by_rank);
    for (int i = 0; i < n_servers; i++) {
        struct guest_record *g = &servers[order[i]];
        if (g->node != h - hosts)
            continue;
        if (fate(order[i]) != FATE_MOVES) {
            strand(order[i], "its disk is there");
            continue;
        }
        int to = place();
        if (to < 0) {
            strand(order[i], "no other has room");
            continue;
        }
        say("%s goes from %s to %s", g->name, h->name, hosts[to].name);
        g->node = to;
        g->generation++;
        g->stranded = false;
    }
}

static void admit_host(struct host *h)
{
    for (int s = 0; s < n_servers; s++)
        if (servers[s].node == h - hosts) {
            servers[s].stranded = false;
            servers[s].generation++;
        }
    h->record.health = HEALTH_UP;
    say("%s is up", h->name);
}

static void set_health(struct host *h, int health, const char *why)
{
    static const char *const names[] = { "up", "fencing", "fenced",
                                         "quarantined" };
    h->record.health = health;
    say("%s is %s%s%s", h->name, names[health], why ? ": " : "",
        why ? why : "");
}

/* The call is on its way; it happens even if its caller is paused. */
static void call_fence(struct host *h)
{
    if (h->call)
        return;
    h->call = (now > mons_at ? now : mons_at) + FENCE_US;
    h->caller = leader;
}

static void fence_answers(struct host *h)
{
    if (!h->call || now < h->call || !storage_up || hosts[h->caller].hung)
        return;
    bool lift = h->record.health == HEALTH_QUARANTINED &&
                h->record.cleaned == h->record.fence;
    h->refused = !lift;
    h->call = 0;
    if (h->caller == leader)
        h->record.closed = lift ? FENCE_OPEN : FENCE_CLOSED;
    else
        say("the fence of %s is closed by %s, which leads no more", h->name,
            hosts[h->caller].name);
}

static void list_fences(void)
{
    if (now < listed_at || !storage_up || now < mons_at)
        return;
    listed_at = now + LIST_US;
    for (int i = 0; i < n_hosts; i++)
        if (!hosts[i].call)
            hosts[i].record.closed =
                hosts[i].refused ? FENCE_CLOSED : FENCE_OPEN;
}

static void look_at(struct host *h)
{
    struct recovery_node *r = &h->record;
    r->present = h->leased;
    r->known = h->known[leader];
    r->gone = h->gone[leader];
    r->guests = r->waiting = 0;
    for (int s = 0; s < n_servers; s++)
        if (servers[s].node == h - hosts) {
            enum recovery_fate f = fate(s);
            r->guests++;
            r->waiting += f != FATE_STAYS;
        }
}

static void do_step(struct host *h, const struct recovery_pool *pool)
{
    struct recovery_step s = recovery_next(&h->record, pool, now);
    switch (s.what) {
    case RECOVERY_CONDEMN:
        h->record.fence++;
        h->record.closed = FENCE_UNKNOWN;
        set_health(h, HEALTH_FENCING, s.why);
        break;
    case RECOVERY_FENCE:
    case RECOVERY_LIFT:
        call_fence(h);
        break;
    case RECOVERY_CONFIRM:
        set_health(h, HEALTH_FENCED, NULL);
        break;
    case RECOVERY_EVACUATE:
        evacuate_host(h);
        break;
    case RECOVERY_QUARANTINE:
        set_health(h, HEALTH_QUARANTINED, "it is back");
        break;
    case RECOVERY_LOSE:
        set_health(h, HEALTH_FENCED, "it is gone again");
        break;
    case RECOVERY_ADMIT:
        admit_host(h);
        break;
    default:
        break;
    }
}

static void lead(void)
{
    struct recovery_pool pool = { 0 };
    if (leader < 0 || hosts[leader].hung || !is_trusted(&hosts[leader]) ||
        !reaches_store(&hosts[leader]))
        return;
    list_fences();
    for (int i = 0; i < n_hosts; i++) {
        look_at(&hosts[i]);
        recovery_count(&pool, &hosts[i].record);
    }
    works = !recovery_storage_works(&pool) ? 0 : works ? works : now;
    pool.works = works;
    for (int i = 0; i < n_hosts; i++)
        do_step(&hosts[i], &pool);
}

/* ---- the script ---------------------------------------------------------- */

static struct host *host_named(const char *name)
{
    for (int i = 0; i < n_hosts; i++)
        if (strcmp(hosts[i].name, name) == 0)
            return &hosts[i];
    fail_msg("no host %s", name);
    return &hosts[0];
}

static void add_host(const char *name)
{
    struct host *h = &hosts[n_hosts++];
    *h = (struct host){ .power = true,
                        .hears = true,
                        .speaks = true,
                        .stores = true,
                        .self = SELF_HOLD };
    snprintf(h->name, sizeof(h->name), "%s", name);
}

static void add_server(const char *words)
{
    char host[16], kind[16];
    long long priority = 0;
    struct guest_record *g = &servers[n_servers];
    if (sscanf(words, "%15s on %15s %15s %lld", g->name, host, kind,
               &priority) < 3)
        fail_msg("server NAME on HOST shared|local [PRIORITY]: %s", words);
    g->node = (int)(host_named(host) - hosts);
    g->generation = 0;
    g->priority = priority;
    g->stranded = false;
    g->shared = strcmp(kind, "shared") == 0;
    hosts[g->node].guests[n_servers++].runs = true;
}

static void lose_power(struct host *h)
{
    h->power = false;
    memset(h->guests, 0, sizeof(h->guests));
    if (h == &hosts[0]) /* the monitors' leader */
        mons_at = now + MONS_US;
}

static void boot_host(struct host *h)
{
    h->power = true;
    h->hung = false;
    h->lost = 0;
    h->self = SELF_HOLD;
}

static void happen(const char *what, const char *name)
{
    if (strcmp(what, "storage") == 0) {
        storage_up = strcmp(name, "up") == 0;
        return;
    }
    struct host *h = host_named(name);
    if (strcmp(what, "cut") == 0)
        lose_power(h);
    else if (strcmp(what, "boot") == 0)
        boot_host(h);
    else if (strcmp(what, "isolate") == 0)
        h->hears = h->speaks = h->stores = false;
    else if (strcmp(what, "deafen") == 0)
        h->hears = false;
    else if (strcmp(what, "mute") == 0)
        h->speaks = false;
    else if (strcmp(what, "unstore") == 0)
        h->stores = false;
    else if (strcmp(what, "heal") == 0)
        h->hears = h->speaks = h->stores = true;
    else if (strcmp(what, "hang") == 0 || strcmp(what, "wake") == 0)
        h->hung = *what == 'h';
    else if (strcmp(what, "maintain") == 0)
        h->record.maintenance = true;
    else if (strcmp(what, "stopped") == 0)
        h->record.stopped = true;
    else
        fail_msg("what is '%s'?", what);
}

static void tick(void)
{
    elect_voter();
    keep_leases();
    elect();
    for (int i = 0; i < n_hosts; i++) {
        fence_answers(&hosts[i]);
        if (!hosts[i].power || hosts[i].hung)
            continue;
        notice_storage(&hosts[i]);
        live(&hosts[i]);
    }
    lead();
    check();
}

static void pass_until(double seconds)
{
    for (; now < (int64_t)(seconds * 10 + 0.5) * TICK; now += TICK)
        tick();
}

static void obey(char *line)
{
    double at;
    char what[16], name[16];
    if (strncmp(line, "hosts ", 6) == 0) {
        for (char *w = strtok(line + 6, " "); w; w = strtok(NULL, " "))
            add_host(w);
    } else if (strncmp(line, "room ", 5) == 0) {
        room = atoi(line + 5);
    } else if (strncmp(line, "server ", 7) == 0) {
        add_server(line + 7);
    } else if (sscanf(line, "at %lf %15s %15s", &at, what, name) == 3) {
        pass_until(at);
        say("- %s %s", what, name);
        happen(what, name);
    } else if (sscanf(line, "end %lf", &at) == 1) {
        pass_until(at);
    } else {
        fail_msg("what is '%s'?", line);
    }
}

static void reset(void)
{
    memset(hosts, 0, sizeof(hosts));
    n_hosts = n_servers = voter = 0;
    leader = -1;
    room = MAX;
    storage_up = true;
    now = mons_at = commits_at = works = listed_at = 0;
    buf_free(&out);
    out = BUF_INIT(1 << 20);
}

static void run_script(const char *path)
{
    char line[LINE_MAX_];
    _autofile_ FILE *f = fopen(path, "re");
    assert_non_null(f);
    reset();
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        if (*line && *line != '#')
            obey(line);
    }
}

/* ---- stories ------------------------------------------------------------- */

static void compare(const char *story, const char *path)
{
    struct buf expected = BUF_INIT(1 << 20);
    char line[LINE_MAX_];
    _autofile_ FILE *f = fopen(path, getenv("STORY_WRITE") ? "w+e" : "re");
    if (!f)
        fail_msg("%s: nothing is expected", story);
    if (getenv("STORY_WRITE"))
        fwrite(out.data, 1, out.len, f);
    rewind(f);
    while (fgets(line, sizeof(line), f))
        buf_adds(&expected, line);
    bool same = strcmp(buf_str(&expected), buf_str(&out)) == 0;
    if (!same)
        print_error("%s was:\n%sinstead of:\n%s", story, buf_str(&out),
                    buf_str(&expected));
    buf_free(&expected);
    assert_true(same);
}

static void tell(const char *story)
{
    _autofree_ char *script = xasprintf(STORIES "/%s/script", story);
    _autofree_ char *expected = xasprintf(STORIES "/%s/expected", story);
    run_script(script);
    compare(story, expected);
}

static void test_stories(void **state)
{
    int n = 0;
    const char *only = getenv("STORY");
    DIR *dir = opendir(STORIES);
    assert_non_null(dir);
    for (const struct dirent *d; (d = readdir(dir));)
        if (*d->d_name != '.' && (!only || strcmp(only, d->d_name) == 0)) {
            tell(d->d_name);
            n++;
        }
    closedir(dir);
    buf_free(&out);
    assert_true(n >= (only ? 1 : 14));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_stories) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
