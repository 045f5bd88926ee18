#include "cli/membership.h"

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

bool cli_secret_list(struct cloud *c, char **args, struct error *err)
{
    size_t i;
    json_t *s;
    _autojson_ json_t *v = cloud_call(c, "GET", "/join-secrets", err);
    if (!v)
        return false;
    printf("%-9s %-5s %-21s %-21s %s\n", "ID", "ONCE", "CREATED", "EXPIRES",
           "USED BY");
    json_array_foreach(json_object_get(v, "join_secrets"), i, s)
        printf("%-9s %-5s %-21s %-21s %s\n", text(s, "id", ""),
               json_is_true(json_object_get(s, "once")) ? "yes" : "no",
               text(s, "created", ""), text(s, "expires", "never"),
               text(s, "used_by", ""));
    return true;
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

static long long number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

bool cli_disk_list(struct cloud *c, char **args, struct error *err)
{
    size_t i;
    json_t *d;
    _autojson_ json_t *v = cloud_call(c, "GET", "/disks", err);
    if (!v)
        return false;
    printf("%-12s %-20s %6s %6s %-8s %6s %-11s %s\n", "NODE", "DISK", "GB",
           "USED", "OSD", "GROUPS", "STATE", "");
    json_array_foreach(json_object_get(v, "disks"), i, d)
        printf("%-12s %-20s %6lld %6lld %-8s %6lld %-11s %s\n",
               text(d, "node", ""), text(d, "path", ""), number(d, "size_gb"),
               number(d, "used_gb"), text(d, "osd", "-"), number(d, "groups"),
               text(d, "state", ""), text(d, "reason", ""));
    return true;
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
