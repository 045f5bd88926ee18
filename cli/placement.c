#include "cli/placement.h"

#include "cli/table.h"
#include "common/alloc.h"
#include "common/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading answers ----------------------------------------------------- */

static const json_t *get(const json_t *v, const char *key)
{
    return json_object_get(v, key);
}

static const char *str(const json_t *v, const char *key)
{
    const char *s = json_string_value(get(v, key));
    return s ? s : "";
}

static long long num(const json_t *v, const char *key)
{
    return (long long)json_integer_value(get(v, key));
}

static void print_list(const char *head, const json_t *list)
{
    size_t i;
    json_t *item;
    if (!json_array_size(list))
        return;
    printf("\n%s%s%s\n", ink(INK_BOLD), head, ink(INK_PLAIN));
    json_array_foreach((json_t *)list, i, item)
        printf("  %s\n", json_string_value(item));
}

/* ---- hosts and their scores ---------------------------------------------- */

/* Columns: the resources that the first has. */
static void score_head(struct table *t, const json_t *first)
{
    const char *name;
    json_t *left;
    char head[80];
    table_head(t, "NODE", "SCORE", NULL);
    json_object_foreach((json_t *)get(first, "left"), name, left)
    {
        snprintf(head, sizeof(head), "%s LEFT", name);
        if (t->columns < TABLE_COLUMNS)
            table_column(t, head);
    }
}

static void score_row(struct table *t, const json_t *host)
{
    const char *name;
    json_t *left;
    size_t row = t->n;
    table_add(t, "%s", str(host, "node"));
    table_add(t, "%lld", num(host, "score"));
    json_object_foreach((json_t *)get(host, "left"), name,
                        left) if (t->n - row < t->columns)
        table_add(t, "%.1f %%", (double)json_integer_value(left) / 10000);
    while (t->n - row < t->columns)
        table_add(t, "%s", "");
}

/* Those of `hosts` that fit (all of a decision's candidates do). */
static void print_scores(const json_t *hosts)
{
    struct table t;
    size_t i;
    json_t *host;
    if (!json_array_size(hosts) ||
        json_is_false(get(json_array_get(hosts, 0), "fits")))
        return;
    score_head(&t, json_array_get(hosts, 0));
    json_array_foreach((json_t *)hosts, i,
                       host) if (!json_is_false(get(host, "fits")))
        score_row(&t, host);
    putchar('\n');
    table_print(&t);
    table_free(&t);
}

static void print_excluded(const json_t *hosts)
{
    struct table t;
    size_t i;
    json_t *host;
    table_head(&t, "EXCLUDED", "BECAUSE", NULL);
    json_array_foreach((json_t *)hosts, i,
                       host) if (json_is_false(get(host, "fits")))
    {
        table_add(&t, "%s", str(host, "node"));
        table_add(&t, "%s", str(host, "why"));
    }
    if (t.n > t.columns) {
        putchar('\n');
        table_print(&t);
    }
    table_free(&t);
}

/* ---- explain ------------------------------------------------------------- */

static void print_now(const json_t *v)
{
    bool fits = json_is_true(get(v, "fits"));
    const json_t *hosts = get(v, "hosts");
    if (fits && hosts)
        printf("%sIt fits%s on %lld of %lld nodes; policy %s puts it on %s.\n",
               ink(INK_GOOD), ink(INK_PLAIN), num(v, "fitting"),
               num(v, "nodes"), str(v, "policy"),
               str(json_array_get(hosts, 0), "node"));
    else if (fits)
        printf("%sIt fits.%s\n", ink(INK_GOOD), ink(INK_PLAIN));
    else
        printf("%sNo valid host:%s %s.\n", ink(INK_BAD), ink(INK_PLAIN),
               str(v, "summary"));
    print_scores(hosts);
    print_excluded(hosts);
    print_list("Smallest changes", get(v, "changes"));
}

static void print_reasons(const json_t *decision)
{
    struct table t;
    size_t i;
    json_t *reason;
    table_head(&t, "EXCLUDED", "NODES", "FOR EXAMPLE", NULL);
    json_array_foreach((json_t *)get(decision, "excluded"), i, reason)
    {
        table_add(&t, "%s", str(reason, "why"));
        table_add(&t, "%lld", num(reason, "nodes"));
        table_add(&t, "%s", str(reason, "example"));
    }
    if (t.n > t.columns) {
        putchar('\n');
        table_print(&t);
    }
    table_free(&t);
}

static void print_decision(const json_t *d)
{
    if (!json_is_object(d)) {
        puts("No decision about it has been put down.");
        return;
    }
    printf("Decided %s by policy %s", str(d, "decided"), str(d, "policy"));
    if (num(d, "fitting"))
        printf(": %lld of %lld nodes could take it", num(d, "fitting"),
               num(d, "nodes"));
    puts(".");
    print_scores(get(d, "candidates"));
    print_reasons(d);
    print_list("Smallest changes, then", get(d, "changes"));
}

static void print_moved(const json_t *m)
{
    const char *why = str(m, "reason");
    if (json_is_object(m))
        printf("Moved %s from %s (%s): %s.\n", str(m, "ended"), str(m, "from"),
               str(m, "type"), *why ? why : "asked for");
}

static bool explain_server(struct cloud *c, const char *id, struct error *err)
{
    _autofree_ char *path = xasprintf("/servers/%s/placement", id);
    _autojson_ json_t *v = cloud_call(c, "GET", path, err);
    if (!v)
        return false;
    const char *node = str(v, "node");
    printf("%s%s%s (%s, %s) is %s%s.\n", ink(INK_BOLD), str(v, "name"),
           ink(INK_PLAIN), str(v, "flavor"), str(v, "status"),
           *node ? "on " : "on no node", node);
    if (*str(v, "fault"))
        printf("%s%s%s\n", ink(INK_BAD), str(v, "fault"), ink(INK_PLAIN));
    print_moved(get(v, "moved"));
    print_decision(get(v, "decision"));
    if (get(v, "now")) {
        printf("\n%sNow%s  ", ink(INK_BOLD), ink(INK_PLAIN));
        print_now(get(v, "now"));
    }
    return true;
}

static bool bad(const char *word, struct error *err)
{
    return error_set(err, ERR_INVALID,
                     "'%.80s' is not understood; see: cairn "
                     "help",
                     word);
}

/* "--zone Z" into {"zone": "Z"}, if it is one of `known`. */
static bool take_option(char ***args, const char *const *known, json_t *into,
                        struct error *err)
{
    const char *word = **args, *value = (*args)[1];
    for (size_t i = 0; strncmp(word, "--", 2) == 0 && known[i]; i++)
        if (strcmp(word + 2, known[i]) == 0 && value) {
            json_object_set_new(into, known[i], json_string(value));
            *args += 2;
            return true;
        }
    return bad(word, err);
}

bool placement_explain(struct cloud *c, char **args, struct error *err)
{
    static const char *const known[] = { "flavor", "image", "zone",
                                         "host",   "group", NULL };
    _autojson_ json_t *body = json_object();
    if (args[0] && !args[1] && strncmp(args[0], "--", 2) != 0)
        return explain_server(c, args[0], err);
    while (*args)
        if (!take_option(&args, known, body, err))
            return false;
    _autojson_ json_t *v =
        cloud_send(c, "POST", "/placement/explain", body, err);
    if (v)
        print_now(v);
    return v != NULL;
}

/* ---- what-if ------------------------------------------------------------- */

/* "40*m1.small" -> {"flavor": "m1.small", "count": 40} */
static json_t *counted(const char *text, const char *key)
{
    char *rest;
    long n = strtol(text, &rest, 10);
    bool many = rest != text && *rest == '*';
    json_t *item = json_object();
    json_object_set_new(item, key, json_string(many ? rest + 1 : text));
    json_object_set_new(item, "count", json_integer(many ? n : 1));
    return item;
}

static void append(json_t *body, const char *key, json_t *item)
{
    if (!json_object_get(body, key))
        json_object_set_new(body, key, json_array());
    json_array_append_new(json_object_get(body, key), item);
}

/* Image and zone are of the flavor before them. */
static bool what_if_word(char ***args, json_t *body, struct error *err)
{
    static const char *const known[] = { "image", "zone", "group", NULL };
    const char *word = **args, *value = (*args)[1];
    json_t *places = json_object_get(body, "place");
    size_t n = json_array_size(places);
    if (!value)
        return bad(word, err);
    if (strcmp(word, "--lose") == 0)
        append(body, "lose", json_string(value));
    else if (strcmp(word, "--add") == 0)
        append(body, "add", counted(value, "node"));
    else if (strcmp(word, "--place") == 0)
        append(body, "place", counted(value, "flavor"));
    else
        return n ? take_option(args, known, json_array_get(places, n - 1), err)
                 : bad(word, err);
    *args += 2;
    return true;
}

static void print_placed(const json_t *p)
{
    long long asked = num(p, "asked"), placed = num(p, "placed");
    bool all = asked == placed;
    printf("%s%lld of %lld%s find a place, on %lld node%s.\n",
           ink(all ? INK_GOOD : INK_BAD), placed, asked, ink(INK_PLAIN),
           num(p, "nodes"), num(p, "nodes") == 1 ? "" : "s");
    if (!all)
        printf("  then: %s\n", str(p, "why"));
    if (!all && *str(p, "change"))
        printf("  smallest change: %s\n", str(p, "change"));
}

static void print_lost(const json_t *lost)
{
    size_t i;
    json_t *server;
    if (num(lost, "asked")) {
        printf("Servers of the lost nodes: ");
        print_placed(lost);
    }
    json_array_foreach((json_t *)get(lost, "homeless"), i, server)
        printf("  no place: %s\n", str(server, "name"));
    if (num(lost, "on_local_disks"))
        printf("  %lld of them stand on disks of the lost nodes: there is room "
               "or not,\n  but they cannot be started elsewhere.\n",
               num(lost, "on_local_disks"));
    if (num(lost, "volumes"))
        printf("  %lld volumes are lost with their nodes.\n",
               num(lost, "volumes"));
}

static void amount_cell(struct table *t, const json_t *sums, const char *name)
{
    const json_t *a = get(sums, name);
    long long capacity = num(a, "capacity"), used = num(a, "used");
    table_add(t, "%lld of %lld", used, capacity);
    table_add(t, "%.0f %%",
              capacity ? 100.0 * (double)used / (double)capacity : 0);
}

static void print_sums(const json_t *before, const json_t *after)
{
    struct table t;
    const char *name;
    json_t *amount;
    table_head(&t, "", "NOW", "", "THEN", "", NULL);
    table_add(&t, "NODES");
    table_add(&t, "%lld", num(before, "nodes"));
    table_add(&t, "%s", "");
    table_add(&t, "%lld", num(after, "nodes"));
    table_add(&t, "%s", "");
    json_object_foreach((json_t *)before, name,
                        amount) if (json_is_object(amount))
    {
        table_add(&t, "%s", name);
        amount_cell(&t, before, name);
        amount_cell(&t, after, name);
    }
    putchar('\n');
    table_print(&t);
    table_free(&t);
}

/* Only where one is asked for. */
static void print_reserve(const json_t *reserve)
{
    if (json_is_object(reserve))
        printf("The reserve for %lld failed node%s is %s now, %s then.\n",
               num(reserve, "failures"),
               num(reserve, "failures") == 1 ? "" : "s",
               json_is_true(get(reserve, "kept_before")) ? "kept" : "not kept",
               json_is_true(get(reserve, "kept_after")) ? "kept" : "not kept");
}

bool placement_what_if(struct cloud *c, char **args, struct error *err)
{
    size_t i;
    json_t *p;
    _autojson_ json_t *body = json_object();
    while (*args)
        if (!what_if_word(&args, body, err))
            return false;
    _autojson_ json_t *v =
        cloud_send(c, "POST", "/placement/what-if", body, err);
    if (!v)
        return false;
    print_lost(get(v, "lost"));
    json_array_foreach((json_t *)get(v, "place"), i, p)
    {
        printf("%s: ", str(p, "flavor"));
        print_placed(p);
    }
    print_sums(get(v, "before"), get(v, "after"));
    print_reserve(get(v, "reserve"));
    return true;
}

/* ---- plan ---------------------------------------------------------------- */

static void print_moves(const json_t *moves)
{
    struct table t;
    size_t i;
    json_t *m;
    if (!json_array_size(moves))
        return;
    table_head(&t, "WAVE", "SERVER", "FROM", "TO", "GAIN", "COST", "MB SENT",
               "WRITES MB/S", "SECONDS", "WHY", NULL);
    json_array_foreach((json_t *)moves, i, m)
    {
        table_add(&t, "%lld", num(m, "wave") + 1);
        table_add(&t, "%s",
                  *str(m, "name") ? str(m, "name") : str(m, "server"));
        table_add(&t, "%s", str(m, "from"));
        table_add(&t, "%s", str(m, "to"));
        table_add(&t, "%lld", num(m, "gain"));
        table_add(&t, "%lld", num(m, "cost"));
        const json_t *price = get(m, "price");
        table_add(&t, "%lld", num(price, "sent_mb"));
        if (json_is_null(get(price, "dirty_mb_s")))
            table_add(&t, "%s", "unknown");
        else
            table_add(&t, "%lld", num(price, "dirty_mb_s"));
        table_add(&t, "%lld", num(m, "seconds"));
        table_add(&t, "%s", str(m, "why"));
    }
    putchar('\n');
    table_print(&t);
    table_free(&t);
}

static void print_goals(const json_t *goals)
{
    struct table t;
    size_t i;
    json_t *g;
    if (!json_array_size(goals))
        return;
    table_head(&t, "GOAL", "POINTS NOW", "THEN", "BECAUSE", NULL);
    json_array_foreach((json_t *)goals, i, g)
    {
        table_add(&t, "%s", str(g, "goal"));
        table_add(&t, "%lld", num(g, "before"));
        table_add(&t, "%lld", num(g, "after"));
        table_add(&t, "%s", str(g, "why"));
    }
    putchar('\n');
    table_print(&t);
    table_free(&t);
}

/* "--goals G --large F" -> "/plan?goals=G&large=F" */
static char *plan_path(char **args, struct error *err)
{
    static const char *const known[] = { "goals", "large", NULL };
    _autojson_ json_t *options = json_object();
    while (*args)
        if (!take_option(&args, known, options, err))
            return NULL;
    const char *goals = str(options, "goals"), *large = str(options, "large");
    _autofree_ char *tail = *large ? xasprintf("&large=%s", large) : NULL;
    return xasprintf("/plan%s%s%s",
                     *goals   ? "?goals="
                     : *large ? "?"
                              : "",
                     goals, tail ? tail + !*goals : "");
}

/* Who should move and stays: the answer has the first of them. */
static void print_stays(const json_t *stays)
{
    struct table t;
    size_t i;
    json_t *s;
    if (!json_array_size(stays))
        return;
    table_head(&t, "STAYS", "ID", "WHY", NULL);
    json_array_foreach((json_t *)stays, i, s)
    {
        bool server = *str(s, "server");
        table_add(&t, "%s", server ? "server" : "volume");
        table_add(&t, "%s", str(s, server ? "server" : "volume"));
        table_add(&t, "%s", str(s, "text"));
    }
    putchar('\n');
    table_print(&t);
    table_free(&t);
}

bool placement_plan(struct cloud *c, char **args, struct error *err)
{
    _autofree_ char *path = plan_path(args, err);
    _autojson_ json_t *v = path ? cloud_call(c, "GET", path, err) : NULL;
    if (!v)
        return false;
    size_t n = json_array_size(get(v, "moves"));
    if (n)
        printf("%zu server%s should move: gain %lld, cost %lld points.\n", n,
               n == 1 ? "" : "s", num(v, "gain"), num(v, "cost"));
    else
        puts("Nobody should move.");
    if (num(v, "movable") < num(v, "servers"))
        printf("%lld of %lld servers cannot be moved: they do not run, or "
               "are bound to their node.\n",
               num(v, "servers") - num(v, "movable"), num(v, "servers"));
    print_goals(get(v, "goals"));
    print_moves(get(v, "moves"));
    print_stays(get(v, "stays"));
    return true;
}

/* ---- settings ------------------------------------------------------------ */

/* "reserve=2" into {"reserve": 2}: numbers are numbers. */
static bool take_setting(const char *word, json_t *into, struct error *err)
{
    const char *value = strchr(word, '=');
    char *end;
    if (!value || value == word)
        return bad(word, err);
    _autofree_ char *key = xstrndup(word, (size_t)(value++ - word));
    double real = strtod(value, &end);
    bool number = *value && !*end;
    json_object_set_new(into, key,
                        !number ? json_string(value)
                        : strpbrk(value, ".eE")
                            ? json_real(real)
                            : json_integer((json_int_t)real));
    return true;
}

/* The member that "weight.VCPU=3" or "goal.even=100" goes into, and the rest of
 * the word; `body` itself for others. */
static json_t *policy_group(const char **word, json_t *body)
{
    static const char *const groups[][2] = { { "weight.", "weights" },
                                             { "goal.", "goals" } };
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        size_t n = strlen(groups[i][0]);
        if (strncmp(*word, groups[i][0], n) != 0)
            continue;
        *word += n;
        if (!json_object_get(body, groups[i][1]))
            json_object_set_new(body, groups[i][1], json_object());
        return json_object_get(body, groups[i][1]);
    }
    return body;
}

/* A setting, once; "=usual" is null. */
static bool policy_word(const char *word, json_t *body, struct error *err)
{
    const char *rest = word, *equals = strchr(word, '=');
    json_t *into = policy_group(&rest, body);
    if (!equals || equals <= rest)
        return bad(word, err);
    _autofree_ char *key = xstrndup(rest, (size_t)(equals - rest));
    if (!json_is_object(into) || json_object_get(into, key))
        return error_set(err, ERR_INVALID, "'%.80s': said twice", word);
    if (strcmp(equals, "=usual") == 0)
        return json_object_set_new(into, key, json_null()) == 0;
    return take_setting(rest, into, err);
}

/* "even 100, fill 100"; those that are 0 only with `all`. */
static void print_amounts(const char *head, const json_t *amounts, bool all,
                          const char *end)
{
    const char *name, *between = "";
    json_t *n;
    if (!json_object_size(amounts))
        return;
    printf("%s", head);
    json_object_foreach((json_t *)amounts, name,
                        n) if (all || json_integer_value(n) != 0)
    {
        printf("%s%s %lld", between, name, (long long)json_integer_value(n));
        between = ", ";
    }
    printf("%s\n", end);
}

static void print_policy(const json_t *v)
{
    printf("placement    %s\n", str(v, "placement"));
    print_amounts("weights      ", get(v, "weights"), true, ", others 1");
    printf("rebalancing  %s\n", str(v, "rebalancing"));
    print_amounts("goals        ", get(v, "goals"), false, " %");
    printf("limits       max_moves %lld, parallel %lld, per_host %lld, "
           "gain_percent %lld\n",
           num(v, "max_moves"), num(v, "parallel"), num(v, "per_host"),
           num(v, "gain_percent"));
    if (json_is_string(get(v, "large")))
        printf("large        %s, places %lld\n", str(v, "large"),
               num(v, "places"));
    printf("reserve      %lld\n", num(v, "reserve"));
    if (json_is_string(get(v, "reserve_why")))
        printf("The reserve is not kept now. %s\n", str(v, "reserve_why"));
}

bool placement_policy(struct cloud *c, char **args, struct error *err)
{
    _autojson_ json_t *body = json_object();
    for (char **a = args; *a; a++)
        if (!policy_word(*a, body, err))
            return false;
    _autojson_ json_t *v = json_object_size(body)
                               ? cloud_send(c, "PUT", "/policy", body, err)
                               : cloud_call(c, "GET", "/policy", err);
    if (v)
        print_policy(v);
    return v != NULL;
}

/* "A,B" -> ["A", "B"]; "" -> [] */
static json_t *split(const char *list)
{
    json_t *out = json_array();
    for (const char *p = list; *p; p += strspn(p, ",")) {
        size_t n = strcspn(p, ",");
        json_array_append_new(out, json_stringn(p, n));
        p += n;
    }
    return out;
}

static bool node_word(const char *word, json_t *body, struct error *err)
{
    if (strncmp(word, "trait=", 6) == 0)
        return json_object_set_new(body, "traits", split(word + 6)) == 0;
    if (strncmp(word, "CUSTOM_", 7) != 0)
        return take_setting(word, body, err);
    if (!json_object_get(body, "resources"))
        json_object_set_new(body, "resources", json_object());
    return take_setting(word, json_object_get(body, "resources"), err);
}

bool placement_node(struct cloud *c, char **args, struct error *err)
{
    _autojson_ json_t *body = json_object();
    if (!args[0])
        return error_set(err, ERR_INVALID, "which node?");
    for (char **a = args + 1; *a; a++)
        if (!node_word(*a, body, err))
            return false;
    _autofree_ char *path = xasprintf("/nodes/%s", args[0]);
    _autojson_ json_t *v = cloud_send(c, "PATCH", path, body, err);
    if (v)
        printf("%s: set.\n", args[0]);
    return v != NULL;
}
