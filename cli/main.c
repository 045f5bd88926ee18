/*
 * cairn - the administrator's command.
 *
 * A table of commands, from which the usage text is printed.  Everything
 * goes through the pool's API, so that it works from any machine.
 */
#include "cli/cloud.h"
#include "cli/membership.h"
#include "cli/placement.h"
#include "common/cleanup.h"

#include <stdio.h>
#include <string.h>

/* "nodes     2 up, 1 fenced" */
static void print_states(const char *what, json_t *states)
{
    const char *state, *between = "";
    json_t *n;
    if (!json_object_size(states))
        return;
    printf("%-9s ", what);
    json_object_foreach(states, state, n)
    {
        printf("%s%lld %s", between, (long long)json_integer_value(n), state);
        between = ", ";
    }
    putchar('\n');
}

static void print_storage(const json_t *storage)
{
    long long gb = json_integer_value(json_object_get(storage, "gb")),
              used = json_integer_value(json_object_get(storage, "gb_used"));
    printf("storage   %lld of %lld GB used (%lld %%), %s\n", used, gb,
           gb ? used * 100 / gb : 0,
           json_is_true(json_object_get(storage, "replicated"))
               ? "shared by all nodes"
               : "on the nodes' own disks");
}

static bool show_status(struct cloud *c, char **args, struct error *err)
{
    const char *kind;
    json_t *n;
    _autojson_ json_t *v = cloud_call(c, "GET", "/status", err);
    if (!v)
        return false;
    json_t *health = json_object_get(v, "health");
    printf("pool      %s, region %s\n",
           json_string_value(json_object_get(v, "pool")),
           json_string_value(json_object_get(v, "region")));
    printf("version   %s\n", json_string_value(json_object_get(v, "version")));
    print_states("nodes", json_object_get(health, "nodes"));
    print_states("disks", json_object_get(health, "disks"));
    print_states("servers", json_object_get(health, "servers"));
    print_storage(json_object_get(v, "storage"));
    printf("revision  %lld\n\n",
           (long long)json_integer_value(json_object_get(v, "revision")));
    json_object_foreach(json_object_get(v, "records"), kind,
                        n) if (json_integer_value(n))
        printf("%8lld  %s\n", (long long)json_integer_value(n), kind);
    return true;
}

static bool dump_page(struct cloud *c, json_t *page)
{
    size_t i;
    json_t *record;
    json_array_foreach(json_object_get(page, "records"), i, record)
    {
        _autofree_ char *text = json_dumps(record, JSON_COMPACT);
        puts(text);
    }
    return true;
}

/* One record a line, as JSON. */
static bool dump(struct cloud *c, char **args, struct error *err)
{
    char path[1024];
    snprintf(path, sizeof(path), "/records/%s", args[0]);
    for (;;) {
        _autojson_ json_t *page = cloud_call(c, "GET", path, err);
        if (!page)
            return false;
        dump_page(c, page);
        const char *next = json_string_value(json_object_get(page, "next"));
        if (!next)
            return true;
        snprintf(path, sizeof(path), "%s", next + strlen("/cairn/v1"));
    }
}

static bool rebuild_network(struct cloud *c, char **args, struct error *err)
{
    _autojson_ json_t *v = cloud_call(c, "POST", "/network/rebuild", err);
    if (v)
        puts("OVN's northbound database is being derived anew.");
    return v != NULL;
}

#define ANY (-1) /* arguments; the command looks at them itself */

static const struct command {
    const char *words[2];
    int n_args;
    command_fn *fn;
    const char *args, *help;
} commands[] = {
    { { "status" }, 0, show_status, "", "the pool and what it holds" },
    { { "node", "list" }, 0, cli_node_list, "", "its nodes and their load" },
    { { "node", "show" }, 1, cli_node_show, "NAME", "one node" },
    { { "node", "drain" },
      ANY,
      cli_node_drain,
      "[--anyway] NAME",
      "its servers move to others, or it says first who cannot" },
    { { "node", "undrain" }, 1, cli_node_undrain, "NAME", "takes them again" },
    { { "node", "maintenance" },
      2,
      cli_node_maintenance,
      "on|off NAME",
      "takes no servers, may be switched off when it has none" },
    { { "node", "remove" },
      1,
      cli_node_remove,
      "NAME",
      "it is switched off for good, and empty" },
    { { "disk", "list" }, 0, cli_disk_list, "", "of all nodes, with reasons" },
    { { "disk", "remove" },
      1,
      cli_disk_remove,
      "OSD",
      "it gives its data to the others, then it may be pulled" },
    { { "disk", "keep" }, 1, cli_disk_keep, "OSD", "it stays after all" },
    { { "join-secret", "create" },
      ANY,
      cli_secret_create,
      "[--once] [--hours N]",
      "what a new node proves; shown only now" },
    { { "join-secret", "list" }, 0, cli_secret_list, "", "without secrets" },
    { { "join-secret", "revoke" }, 1, cli_secret_revoke, "ID", "at once" },
    { { "dump" }, 1, dump, "KIND", "every record of a kind, secrets left out" },
    { { "network", "rebuild" },
      0,
      rebuild_network,
      "",
      "derive OVN's northbound database from the records" },
    { { "explain" },
      ANY,
      placement_explain,
      "SERVER",
      "why it is where it is, or nowhere" },
    { { "explain" },
      ANY,
      placement_explain,
      "--flavor F [--image I] [--zone Z] [--host H] [--group G] [--project P]",
      "where such a server would go, and why" },
    { { "what-if" },
      ANY,
      placement_what_if,
      "[--lose NODE] [--add N*NODE] [--place N*FLAVOR] [--image I] ...",
      "the pool after that, without touching it" },
    { { "plan" },
      ANY,
      placement_plan,
      "[--goals even,consolidate,..] [--large FLAVOR]",
      "who should move where, without moving anybody" },
    { { "policy" },
      ANY,
      placement_policy,
      "[placement=P] [weight.RESOURCE=N] [rebalancing=R] [goal.NAME=PERCENT]\n"
      "               [max_moves=N] [parallel=N] [per_host=N] "
      "[gain_percent=N]\n"
      "               [large=FLAVOR] [places=N] [reserve=N]",
      "what the engine goes by" },
    { { "node", "set" },
      ANY,
      placement_node,
      "NODE [trait=T,..] [rack=R] [CUSTOM_X=N] [cpu_overcommit=X] ..",
      "what the engine knows of a node" },
};

static int usage(FILE *out)
{
    fprintf(out, "usage: cairn COMMAND\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct command *c = &commands[i];
        char text[256];
        int n = snprintf(text, sizeof(text), "%s %s%s%s", c->words[0],
                         c->words[1] ? c->words[1] : "", c->words[1] ? " " : "",
                         c->args);
        fprintf(out, "  cairn %-18s %s%s\n", text,
                n > 18 ? "\n                           " : "", c->help);
    }
    fprintf(out, "\nCredentials: OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, "
                 "OS_PROJECT_NAME, OS_CACERT\n(of an administrator, as in "
                 "build/openrc).\n");
    return out == stderr ? 2 : 0;
}

static const struct command *find(int argc, char **argv, char ***args)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct command *c = &commands[i];
        int words = c->words[1] ? 2 : 1;
        if ((c->n_args == ANY ? argc - 1 < words
                              : argc - 1 != words + c->n_args) ||
            strcmp(argv[1], c->words[0]) != 0 ||
            (c->words[1] && strcmp(argv[2], c->words[1]) != 0))
            continue;
        *args = argv + 1 + words;
        return c;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct error err = { 0 };
    char **args;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("cairn %s\n", CAIRN_VERSION) < 0;
    if (argc == 2 &&
        (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0))
        return usage(stdout);
    const struct command *command = find(argc, argv, &args);
    if (!command)
        return usage(stderr);
    struct cloud *c = cloud_open(&err);
    bool ok = c && command->fn(c, args, &err);
    cloud_close(c);
    if (!ok)
        fprintf(stderr, "cairn: %s\n", err.text);
    return ok ? 0 : 1;
}
