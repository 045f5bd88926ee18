#include "cli/membership.h"

#include "cli/table.h"
#include "common/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --once, --hours N */
static bool read_options(char **args, json_t *body, struct error *err)
{
    for (; *args; args++) {
        long hours = args[1] ? atol(args[1]) : 0;
        if (strcmp(*args, "--once") == 0) {
            json_object_set_new(body, "once", json_true());
        } else if (strcmp(*args, "--hours") == 0 && hours > 0 &&
                   hours < 10000) {
            json_object_set_new(body, "seconds", json_integer(hours * 3600));
            args++;
        } else {
            return error_set(err, ERR_INVALID,
                             "join-secret create [--once] [--hours N]");
        }
    }
    return true;
}

bool cli_secret_create(struct cloud *c, char **args, struct error *err)
{
    _autojson_ json_t *body = json_object();
    if (!read_options(args, body, err))
        return false;
    _autojson_ json_t *v = cloud_send(c, "POST", "/join-secrets", body, err);
    if (!v)
        return false;
    printf("%s\n", json_string_value(json_object_get(v, "join_secret")));
    return true;
}

static const char *text(const json_t *o, const char *name, const char *none)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : none;
}

static const char *yes_no(const json_t *o, const char *name)
{
    return json_is_true(json_object_get(o, name)) ? "yes" : "no";
}

static bool print_table(struct table *t)
{
    table_print(t);
    table_free(t);
    return true;
}

bool cli_secret_list(struct cloud *c, char **args, struct error *err)
{
    size_t i;
    json_t *s;
    _autojson_ json_t *v = cloud_call(c, "GET", "/join-secrets", err);
    if (!v)
        return false;
    struct table t;
    table_head(&t, "ID", "ONCE", "CREATED", "EXPIRES", "USED BY", NULL);
    json_array_foreach(json_object_get(v, "join_secrets"), i, s)
    {
        table_add(&t, "%s", text(s, "id", ""));
        table_add(&t, "%s", yes_no(s, "once"));
        table_add(&t, "%s", text(s, "created", ""));
        table_add(&t, "%s", text(s, "expires", "never"));
        table_add(&t, "%s", text(s, "used_by", ""));
    }
    return print_table(&t);
}

static bool remove_at(struct cloud *c, const char *where, const char *id,
                      struct error *err)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%.100s", where, id);
    _autojson_ json_t *v = cloud_call(c, "DELETE", path, err);
    return v != NULL;
}

bool cli_secret_revoke(struct cloud *c, char **args, struct error *err)
{
    return remove_at(c, "/join-secrets", args[0], err);
}

bool cli_node_remove(struct cloud *c, char **args, struct error *err)
{
    return remove_at(c, "/nodes", args[0], err);
}

static long long number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static void add_state(struct table *t, const json_t *node)
{
    const char *health = text(node, "health", "-");
    table_add(t, "%s%s", health,
              json_is_true(json_object_get(node, "maintenance"))
                  ? ", maintenance"
              : json_is_true(json_object_get(node, "disabled")) ? ", disabled"
                                                                : "");
}

/* "-": not measured, there or yet. */
static void add_measured(struct table *t, const json_t *use, const char *name)
{
    if (json_is_integer(json_object_get(use, name)))
        table_add(t, "%lld %%", number(use, name));
    else
        table_add(t, "-");
}

static void add_node(struct table *t, const json_t *node)
{
    static const char *const measured[] = {
        "cpu_percent",
        "cpu_pressure_percent",
        "memory_pressure_percent",
        "io_pressure_percent",
        "steal_percent",
    };
    table_add(t, "%s", text(node, "name", ""));
    table_add(t, "%s", text(node, "address", "-"));
    table_add(t, "%s", text(node, "zone", "-"));
    add_state(t, node);
    table_add(t, "%s", yes_no(node, "kvm"));
    table_add(t, "%lld", number(node, "servers"));
    table_add(t, "%lld of %lld", number(node, "vcpus_used"),
              number(node, "vcpus"));
    table_add(t, "%lld of %lld", number(node, "ram_mb_used"),
              number(node, "ram_mb"));
    table_add(t, "%lld of %lld", number(node, "disk_gb_used"),
              number(node, "disk_gb"));
    for (size_t k = 0; k < ARRAY_SIZE(measured); k++)
        add_measured(t, json_object_get(node, "use"), measured[k]);
}

/* What is given out, of what there is; then what is measured: CPU, waiting
 * for CPU, memory and disk, and what guests waited for. */
bool cli_node_list(struct cloud *c, char **args, struct error *err)
{
    size_t i;
    json_t *node;
    _autojson_ json_t *v = cloud_call(c, "GET", "/nodes", err);
    if (!v)
        return false;
    struct table t;
    table_head(&t, "NODE", "ADDRESS", "ZONE", "HEALTH", "KVM", "SERVERS",
               "VCPUS", "RAM MB", "DISK GB", "CPU", "WAIT", "MEMORY", "IO",
               "STEAL", NULL);
    json_array_foreach(json_object_get(v, "nodes"), i, node) add_node(&t, node);
    return print_table(&t);
}

bool cli_node_show(struct cloud *c, char **args, struct error *err)
{
    char path[256];
    const char *key;
    json_t *value;
    snprintf(path, sizeof(path), "/nodes/%.100s", args[0]);
    _autojson_ json_t *v = cloud_call(c, "GET", path, err);
    if (!v)
        return false;
    json_object_foreach(v, key, value)
    {
        _autofree_ char *shown = json_dumps(value, JSON_ENCODE_ANY);
        printf("%-16s %s\n", key,
               json_is_string(value) ? json_string_value(value) : shown);
    }
    return true;
}

bool cli_node_maintenance(struct cloud *c, char **args, struct error *err)
{
    char path[256];
    bool on = strcmp(args[0], "on") == 0;
    if (!on && strcmp(args[0], "off") != 0)
        return error_set(err, ERR_INVALID, "node maintenance on|off NAME");
    _autojson_ json_t *body = json_pack("{s:b}", "maintenance", (int)on);
    snprintf(path, sizeof(path), "/nodes/%.100s", args[1]);
    _autojson_ json_t *v = cloud_send(c, "PATCH", path, body, err);
    return v != NULL;
}

bool cli_disk_list(struct cloud *c, char **args, struct error *err)
{
    size_t i;
    json_t *d;
    _autojson_ json_t *v = cloud_call(c, "GET", "/disks", err);
    if (!v)
        return false;
    struct table t;
    table_head(&t, "NODE", "DISK", "GB", "USED", "OSD", "GROUPS", "STATE", "",
               NULL);
    json_array_foreach(json_object_get(v, "disks"), i, d)
    {
        table_add(&t, "%s", text(d, "node", ""));
        table_add(&t, "%s", text(d, "path", ""));
        table_add(&t, "%lld", number(d, "size_gb"));
        table_add(&t, "%lld", number(d, "used_gb"));
        table_add(&t, "%s", text(d, "osd", "-"));
        table_add(&t, "%lld", number(d, "groups"));
        table_add(&t, "%s", text(d, "state", ""));
        table_add(&t, "%s", text(d, "reason", ""));
    }
    return print_table(&t);
}

bool cli_disk_remove(struct cloud *c, char **args, struct error *err)
{
    return remove_at(c, "/disks", args[0], err);
}

bool cli_disk_keep(struct cloud *c, char **args, struct error *err)
{
    char path[256];
    snprintf(path, sizeof(path), "/disks/%.100s/keep", args[0]);
    _autojson_ json_t *v = cloud_call(c, "POST", path, err);
    return v != NULL;
}

/* In one call more if need be: why not, or that it has begun. */
bool cli_node_drain(struct cloud *c, char **args, struct error *err)
{
    char path[256];
    bool anyway = args[0] && strcmp(args[0], "--anyway") == 0;
    const char *name = args[anyway ? 1 : 0];
    if (!name || args[anyway ? 2 : 1])
        return error_set(err, ERR_INVALID, "node drain [--anyway] NAME");
    _autojson_ json_t *body = json_pack("{s:b}", "anyway", (int)anyway);
    snprintf(path, sizeof(path), "/nodes/%.100s/drain", name);
    _autojson_ json_t *v = cloud_send(c, "POST", path, body, err);
    if (v)
        printf("Its servers move away, one after another: cairn node show %s\n",
               name);
    return v != NULL;
}

bool cli_node_undrain(struct cloud *c, char **args, struct error *err)
{
    char path[256];
    snprintf(path, sizeof(path), "%.100s/drain", args[0]);
    return remove_at(c, "/nodes", path, err);
}
