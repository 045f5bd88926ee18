#include "asks.h"

static bool hostile(struct make *m)
{
    static const char *const paths[] = {
        NET "/networks",         NET "/ports",
        NET "/subnets",          NOVA "/servers",
        NOVA "/flavors",         VOL "/volumes",
        VOL "/snapshots",        "/identity/v3/users",
        "/identity/v3/projects", NET "/security-group-rules",
    };
    static const char *const bodies[] = {
        "{",
        "[]",
        "null",
        "\"\"",
        "{}",
        "{\"network\": []}",
        "{\"server\": {\"name\": 7}}",
        "{\"port\": {\"network_id\": null}}",
        "{\"volume\": {\"size\": -1}}",
        "{\"volume\": {\"size\": 1e99}}",
        "{\"subnet\": {\"cidr\": \"999.0.0.0/99\"}}",
        "{\"user\": {\"name\": \"\"}}",
        "{\"a\": 1, \"a\": 2}",
        ("{\"flavor\": {\"name\": \"f\", \"ram\": -1, \"vcpus\": 0,"
         " \"disk\": 0}}"),
        "{\"project\": {\"name\": \"\\u0000\"}}",
        "{\"security_group_rule\": {\"security_group_id\": {}}}",
        "{\"snapshot\": {\"volume_id\": 5}}",
    };
    m->c->bad = true;
    return ask(m, "POST", paths[chance(m->w, ARRAY_SIZE(paths))],
               bodies[chance(m->w, ARRAY_SIZE(bodies))]);
}

static bool no_token(struct make *m)
{
    m->c->bad = true;
    m->c->token = chance_percent(m->w, 50) ? NULL : "AAAAforged";
    return ask(m, "POST", NET "/networks",
               "{\"network\": {\"name\": \"intruder\"}}");
}

static bool nowhere(struct make *m)
{
    m->c->bad = true;
    return ask(m, "GET", "/network/v2.0/no-such-thing/%zz", NULL);
}

const struct ask_row asks_bad[] = {
    { "hostile", 10, ANY, hostile },
    { "no token", 2, ANY, no_token },
    { "nowhere", 1, ANY, nowhere },
    { 0 },
};
