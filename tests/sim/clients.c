#include "clients.h"

#include "common/alloc.h"
#include "core.h"
#include "files.h"
#include "model/compute.h"
#include "model/identity.h"
#include "model/image.h"
#include "model/network.h"
#include "model/pool.h"
#include "model/volume.h"
#include "rest-api/route.h"

#include <string.h>

#define IN_FLIGHT_MAX 5
#define TOKEN_US      (1800 * SECOND_US) /* then a new one; it lives 3600 */

enum who { ADMIN, DEMO, N_WHO };

/* What was answered about one thing. */
struct memory {
    struct memory *next;
    const struct kind *kind;
    char id[80];
    bool leaving; /* somebody asked for its end */
    bool gone;    /* and was told that it is done */
};

struct clients {
    struct world *w;
    char *tokens[N_WHO];
    int64_t token_at[N_WHO]; /* made */
    bool logging_in[N_WHO];
    size_t in_flight;
    unsigned long calls;
    struct memory *memory;
};

/* What a row of the table works with. */
struct make {
    struct clients *cs;
    struct world *w;
    struct snapshot *s;
    struct call *c;
    enum who who;
};

/* ---- choosing
 * -------------------------------------------------------------------- */

static const char *text(struct make *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static const char *text(struct make *m, const char *fmt, ...)
{
    char out[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(out, sizeof(out), fmt, args);
    va_end(args);
    return arena_strdup(&m->c->arena, out);
}

/* Now and then a name that somebody has. */
static const char *a_name(struct make *m, const char *prefix)
{
    return text(m, "%s%d", prefix, (int)chance(m->w, 30));
}

static bool visible(struct make *m, const struct record *r)
{
    const struct field *f = schema_field(&r->kind->schema, "project_id");
    const char *project = f ? *(const char **)field_ptr(r, f) : NULL;
    if (!f || m->who == ADMIN || chance_percent(m->w, 5))
        return true;
    const struct project *demo = snap_find(m->s, &kind_project, "name", "demo");
    return project && demo && strcmp(project, demo->rec.id) == 0;
}

/* A record of the kind, NULL if there is none. */
static const void *a_record(struct make *m, const struct kind *kind)
{
    size_t n = snap_count(m->s, kind);
    size_t skip = n ? chance(m->w, n) : 0;
    const struct record *r, *found = NULL;
    struct snap_iter it = snap_all(m->s, kind);
    for (size_t i = 0; (r = snap_next(&it)); i++)
        if ((!found || i <= skip) && visible(m, r))
            found = r;
    return found;
}

/* Its id; sometimes one that is not there.  NULL: choose something else. */
static const char *an_id(struct make *m, const struct kind *kind)
{
    static const char *const odd[] = { "99999999-0000-4000-8000-000000000000",
                                       "no-such-thing", "%00", "a%2Fb" };
    if (chance_percent(m->w, 2))
        return odd[chance(m->w, ARRAY_SIZE(odd))];
    const struct record *r = a_record(m, kind);
    return r ? arena_strdup(&m->c->arena, r->id) : NULL;
}

static bool ask(struct make *m, const char *method, const char *path,
                const char *body)
{
    m->c->method = method;
    m->c->path = path;
    m->c->body = body;
    return true;
}

static bool ask_new(struct make *m, const char *path, const struct kind *kind,
                    const char *id_path, const char *body)
{
    m->c->kind = kind;
    m->c->id_path = id_path;
    return ask(m, "POST", path, body);
}

/* The end of a thing: it may be gone from now on. */
static bool ask_end(struct make *m, const struct kind *kind, const char *path,
                    const char *id)
{
    m->c->kind = kind;
    m->c->gone_id = id;
    return ask(m, "DELETE", text(m, "%s/%s", path, id), NULL);
}

static bool delete_one(struct make *m, const struct kind *kind,
                       const char *path)
{
    const char *id = an_id(m, kind);
    return id && ask_end(m, kind, path, id);
}

static bool show_one(struct make *m, const struct kind *kind, const char *path)
{
    const char *id = an_id(m, kind);
    return id && ask(m, "GET", text(m, "%s/%s", path, id), NULL);
}

static bool rename_one(struct make *m, const struct kind *kind,
                       const char *path, const char *envelope)
{
    const char *id = an_id(m, kind);
    return id && ask(m, "PUT", text(m, "%s/%s", path, id),
                     text(m, "{\"%s\": {\"name\": \"%s\"}}", envelope,
                          a_name(m, "r")));
}

/* ---- tokens
 * ---------------------------------------------------------------------- */

static void keep_token(struct world *w, struct call *c)
{
    enum who who = c->headers[0].value[0] == 'a' ? ADMIN : DEMO;
    struct clients *cs = w->clients;
    cs->logging_in[who] = false;
    for (size_t i = 0; i < c->req.resp.headers.n; i++)
        if (strcmp(c->req.resp.headers.v[i].name, "X-Subject-Token") == 0) {
            free(cs->tokens[who]);
            cs->tokens[who] = xstrdup(c->req.resp.headers.v[i].value);
            cs->token_at[who] = w->time;
        }
}

static bool login(struct make *m, enum who who)
{
    const char *name = who == ADMIN ? "admin" : "demo";
    m->c->name = "login";
    m->c->token = NULL;
    m->c->then = keep_token;
    m->c->headers[0] = (struct param){ "X-Sim-Who", name };
    m->cs->logging_in[who] = true;
    return ask(m, "POST", "/identity/v3/auth/tokens",
               text(m,
                    "{\"auth\": {\"identity\": {\"methods\": [\"password\"],"
                    " \"password\": {\"user\": {\"name\": \"%s\", \"password\":"
                    " \"%s\", \"domain\": {\"id\": \"default\"}}}}, \"scope\":"
                    " {\"project\": {\"name\": \"%s\", \"domain\":"
                    " {\"id\": \"default\"}}}}}",
                    name, who == ADMIN ? SIM_ADMIN_PASSWORD : SIM_DEMO_PASSWORD,
                    name));
}

static bool wrong_login(struct make *m)
{
    m->c->token = NULL;
    m->c->bad = true;
    return ask(m, "POST", "/identity/v3/auth/tokens",
               "{\"auth\": {\"identity\": {\"methods\": [\"password\"],"
               " \"password\": {\"user\": {\"name\": \"admin\", \"password\":"
               " \"s3cr3t-wrong\", \"domain\": {\"id\": \"default\"}}}}}}");
}

/* ---- identity
 * --------------------------------------------------------------------- */

static bool project_new(struct make *m)
{
    return ask_new(
        m, "/identity/v3/projects", &kind_project, "project.id",
        text(m, "{\"project\": {\"name\": \"%s\"}}", a_name(m, "p")));
}

static bool is_first(const char *name)
{
    return !name || !strcmp(name, "admin") || !strcmp(name, "demo") ||
           !strcmp(name, "service");
}

/* Nobody saws off the branch the clients sit on. */
static bool project_end(struct make *m)
{
    const struct project *p = a_record(m, &kind_project);
    return p && !is_first(p->name) &&
           ask_end(m, &kind_project, "/identity/v3/projects",
                   text(m, "%s", p->rec.id));
}

static bool user_new(struct make *m)
{
    return ask_new(m, "/identity/v3/users", &kind_user, "user.id",
                   text(m,
                        "{\"user\": {\"name\": \"%s\", \"password\":"
                        " \"s3cr3t-%d\"}}",
                        a_name(m, "u"), (int)chance(m->w, 1000)));
}

static bool user_change(struct make *m)
{
    const struct user *u = a_record(m, &kind_user);
    return u && !is_first(u->name) &&
           ask(m, "PATCH", text(m, "/identity/v3/users/%s", u->rec.id),
               text(m,
                    "{\"user\": {\"password\": \"s3cr3t-%d\", \"enabled\":"
                    " %s}}",
                    (int)chance(m->w, 1000),
                    chance_percent(m->w, 50) ? "true" : "false"));
}

static bool user_end(struct make *m)
{
    const struct user *u = a_record(m, &kind_user);
    return u && !is_first(u->name) &&
           ask_end(m, &kind_user, "/identity/v3/users",
                   text(m, "%s", u->rec.id));
}

static bool group_new(struct make *m)
{
    return ask_new(m, "/identity/v3/groups", &kind_group, "group.id",
                   text(m, "{\"group\": {\"name\": \"%s\"}}", a_name(m, "g")));
}

static bool group_end(struct make *m)
{
    return delete_one(m, &kind_group, "/identity/v3/groups");
}

static bool membership(struct make *m)
{
    const char *group = an_id(m, &kind_group), *user = an_id(m, &kind_user);
    return group && user &&
           ask(m, chance_percent(m->w, 70) ? "PUT" : "DELETE",
               text(m, "/identity/v3/groups/%s/users/%s", group, user), NULL);
}

static bool grant(struct make *m)
{
    const struct project *p = a_record(m, &kind_project);
    const struct role *r = a_record(m, &kind_role);
    bool user = chance_percent(m->w, 60);
    const char *actor = an_id(m, user ? &kind_user : &kind_group);
    return p && r && actor && !is_first(p->name) &&
           ask(m, chance_percent(m->w, 70) ? "PUT" : "DELETE",
               text(m, "/identity/v3/projects/%s/%s/%s/roles/%s", p->rec.id,
                    user ? "users" : "groups", actor, r->rec.id),
               NULL);
}

static bool role_new(struct make *m)
{
    return ask_new(m, "/identity/v3/roles", &kind_role, "role.id",
                   text(m, "{\"role\": {\"name\": \"%s\"}}", a_name(m, "x")));
}

static bool role_end(struct make *m)
{
    const struct role *r = a_record(m, &kind_role);
    return r && r->name && r->name[0] == 'x' &&
           ask_end(m, &kind_role, "/identity/v3/roles",
                   text(m, "%s", r->rec.id));
}

static bool app_credential_new(struct make *m)
{
    const struct user *demo = snap_find(m->s, &kind_user, "name", "demo");
    return demo && m->who == DEMO &&
           ask_new(m,
                   text(m, "/identity/v3/users/%s/application_credentials",
                        demo->rec.id),
                   &kind_app_credential, "application_credential.id",
                   text(m, "{\"application_credential\": {\"name\": \"%s\"}}",
                        a_name(m, "c")));
}

static bool app_credential_end(struct make *m)
{
    const struct app_credential *a = a_record(m, &kind_app_credential);
    return a && ask_end(m, &kind_app_credential,
                        text(m, "/identity/v3/users/%s/application_credentials",
                             a->user_id),
                        text(m, "%s", a->rec.id));
}

static bool identity_list(struct make *m)
{
    static const char *const paths[] = { "projects",         "users",
                                         "groups",           "roles",
                                         "role_assignments", "services",
                                         "endpoints",        "auth/catalog",
                                         "users?name=admin", "domains" };
    return ask(
        m, "GET",
        text(m, "/identity/v3/%s", paths[chance(m->w, ARRAY_SIZE(paths))]),
        NULL);
}

/* ---- network
 * ----------------------------------------------------------------------- */

#define NET "/network/v2.0"

static bool network_new(struct make *m)
{
    return ask_new(
        m, NET "/networks", &kind_network, "network.id",
        text(m, "{\"network\": {\"name\": \"%s\"}}", a_name(m, "n")));
}

static bool network_end(struct make *m)
{
    const struct network *n = a_record(m, &kind_network);
    return n && !n->external &&
           ask_end(m, &kind_network, NET "/networks", text(m, "%s", n->rec.id));
}

static bool subnet_new(struct make *m)
{
    static const char *const sizes[] = { "0/29", "0/24", "64/28" };
    const struct network *n = a_record(m, &kind_network);
    return n && !n->external &&
           ask_new(m, NET "/subnets", &kind_subnet, "subnet.id",
                   text(m,
                        "{\"subnet\": {\"network_id\": \"%s\", \"ip_version\":"
                        " 4, \"cidr\": \"10.0.%d.%s\"}}",
                        n->rec.id, (int)chance(m->w, 8),
                        sizes[chance(m->w, ARRAY_SIZE(sizes))]));
}

static bool subnet_change(struct make *m)
{
    const char *id = an_id(m, &kind_subnet);
    static const char *const bodies[] = {
        "{\"subnet\": {\"enable_dhcp\": false}}",
        "{\"subnet\": {\"enable_dhcp\": true}}",
        "{\"subnet\": {\"gateway_ip\": null}}",
        "{\"subnet\": {\"gateway_ip\": \"10.0.1.1\"}}",
        "{\"subnet\": {\"dns_nameservers\": [\"9.9.9.9\"]}}",
        ("{\"subnet\": {\"allocation_pools\": [{\"start\": \"10.0.1.10\","
         " \"end\": \"10.0.1.12\"}]}}"),
    };
    return id && ask(m, "PUT", text(m, NET "/subnets/%s", id),
                     bodies[chance(m->w, ARRAY_SIZE(bodies))]);
}

static bool subnet_end(struct make *m)
{
    return delete_one(m, &kind_subnet, NET "/subnets");
}

static bool port_new(struct make *m)
{
    const char *network = an_id(m, &kind_network), *more = "";
    const struct subnet *s = a_record(m, &kind_subnet);
    if (!network)
        return false;
    if (s && chance_percent(m->w, 30)) {
        network = text(m, "%s", s->network_id);
        more = text(m,
                    ", \"fixed_ips\": [{\"subnet_id\": \"%s\","
                    " \"ip_address\": \"%.*s%d\"}]",
                    s->rec.id, (int)strcspn(s->cidr, "/") - 1, s->cidr,
                    (int)chance(m->w, 6) + 1);
    } else if (chance_percent(m->w, 10)) {
        more = text(m, ", \"mac_address\": \"fa:16:3e:00:00:0%d\"",
                    (int)chance(m->w, 9));
    }
    return ask_new(
        m, NET "/ports", &kind_port, "port.id",
        text(m, "{\"port\": {\"network_id\": \"%s\"%s}}", network, more));
}

static bool port_change(struct make *m)
{
    const struct port *p = a_record(m, &kind_port);
    const char *group = an_id(m, &kind_security_group);
    if (!p)
        return false;
    const char *body = "{\"port\": {\"admin_state_up\": false}}";
    if (group && chance_percent(m->w, 40))
        body = text(m, "{\"port\": {\"security_groups\": [\"%s\"]}}", group);
    else if (chance_percent(m->w, 40))
        body = "{\"port\": {\"admin_state_up\": true}}";
    else if (chance_percent(m->w, 40))
        body = "{\"port\": {\"fixed_ips\": []}}";
    return ask(m, "PUT", text(m, NET "/ports/%s", p->rec.id), body);
}

static bool port_end(struct make *m)
{
    return delete_one(m, &kind_port, NET "/ports");
}

static bool router_new(struct make *m)
{
    const char *gateway = "";
    const struct pool *pool = snap_get(m->s, &kind_pool, "pool");
    if (chance_percent(m->w, 60))
        gateway = text(m,
                       ", \"external_gateway_info\": {\"network_id\":"
                       " \"%s\"}",
                       pool->external_network_id);
    return ask_new(
        m, NET "/routers", &kind_router, "router.id",
        text(m, "{\"router\": {\"name\": \"%s\"%s}}", a_name(m, "r"), gateway));
}

static bool router_change(struct make *m)
{
    const char *id = an_id(m, &kind_router);
    const struct pool *pool = snap_get(m->s, &kind_pool, "pool");
    return id && ask(m, "PUT", text(m, NET "/routers/%s", id),
                     chance_percent(m->w, 50)
                         ? "{\"router\": {\"external_gateway_info\": null}}"
                         : text(m,
                                "{\"router\": {\"external_gateway_info\":"
                                " {\"network_id\": \"%s\"}}}",
                                pool->external_network_id));
}

static bool router_interface(struct make *m)
{
    const char *id = an_id(m, &kind_router);
    bool by_port = chance_percent(m->w, 20);
    const char *what = an_id(m, by_port ? &kind_port : &kind_subnet);
    return id && what &&
           ask(m, "PUT",
               text(m, NET "/routers/%s/%s_router_interface", id,
                    chance_percent(m->w, 65) ? "add" : "remove"),
               text(m, "{\"%s\": \"%s\"}", by_port ? "port_id" : "subnet_id",
                    what));
}

static bool router_end(struct make *m)
{
    return delete_one(m, &kind_router, NET "/routers");
}

static bool floating_ip_new(struct make *m)
{
    const struct pool *pool = snap_get(m->s, &kind_pool, "pool");
    const char *port = an_id(m, &kind_port), *more = "";
    if (port && chance_percent(m->w, 50))
        more = text(m, ", \"port_id\": \"%s\"", port);
    return ask_new(m, NET "/floatingips", &kind_floating_ip, "floatingip.id",
                   text(m,
                        "{\"floatingip\": {\"floating_network_id\":"
                        " \"%s\"%s}}",
                        pool->external_network_id, more));
}

static bool floating_ip_change(struct make *m)
{
    const char *id = an_id(m, &kind_floating_ip);
    const char *port = an_id(m, &kind_port);
    return id &&
           ask(m, "PUT", text(m, NET "/floatingips/%s", id),
               port && chance_percent(m->w, 70)
                   ? text(m, "{\"floatingip\": {\"port_id\": \"%s\"}}", port)
                   : "{\"floatingip\": {\"port_id\": null}}");
}

static bool floating_ip_end(struct make *m)
{
    return delete_one(m, &kind_floating_ip, NET "/floatingips");
}

static bool group_rule_new(struct make *m)
{
    const char *group = an_id(m, &kind_security_group);
    const char *remote = an_id(m, &kind_security_group), *more = "";
    if (remote && chance_percent(m->w, 30))
        more = text(m, ", \"remote_group_id\": \"%s\"", remote);
    return group &&
           ask_new(m, NET "/security-group-rules", &kind_security_group_rule,
                   "security_group_rule.id",
                   text(m,
                        "{\"security_group_rule\": {\"security_group_id\":"
                        " \"%s\", \"direction\": \"ingress\", \"protocol\":"
                        " \"tcp\", \"port_range_min\": %d,"
                        " \"port_range_max\": 90%s}}",
                        group, (int)chance(m->w, 100), more));
}

static bool group_rule_end(struct make *m)
{
    return delete_one(m, &kind_security_group_rule,
                      NET "/security-group-rules");
}

static bool security_group_new(struct make *m)
{
    return ask_new(
        m, NET "/security-groups", &kind_security_group, "security_group.id",
        text(m, "{\"security_group\": {\"name\": \"%s\"}}", a_name(m, "s")));
}

static bool security_group_end(struct make *m)
{
    return delete_one(m, &kind_security_group, NET "/security-groups");
}

static bool network_list(struct make *m)
{
    static const char *const paths[] = { "networks",
                                         "subnets",
                                         "ports",
                                         "routers",
                                         "floatingips",
                                         "security-groups",
                                         "security-group-rules",
                                         "extensions",
                                         "agents",
                                         "ports?status=ACTIVE&limit=3",
                                         "networks?fields=id" };
    return ask(m, "GET",
               text(m, NET "/%s", paths[chance(m->w, ARRAY_SIZE(paths))]),
               NULL);
}

static bool network_rename(struct make *m)
{
    return rename_one(m, &kind_network, NET "/networks", "network");
}

static bool network_quota(struct make *m)
{
    const struct project *p = snap_find(m->s, &kind_project, "name", "demo");
    return ask(m, "PUT", text(m, NET "/quotas/%s", p->rec.id),
               text(m, "{\"quota\": {\"port\": %d, \"network\": %d}}",
                    (int)chance(m->w, 60), (int)chance(m->w, 20)));
}

/* ---- images
 * ------------------------------------------------------------------------ */

#define IMG "/image/v2/images"

static bool image_new(struct make *m)
{
    return ask_new(m, IMG, &kind_image, "id",
                   text(m,
                        "{\"name\": \"%s\", \"disk_format\": \"%s\","
                        " \"container_format\": \"bare\"}",
                        a_name(m, "i"),
                        chance_percent(m->w, 70) ? "qcow2" : "raw"));
}

static bool image_fill(struct make *m)
{
    const char *id = an_id(m, &kind_image);
    struct call *c = m->c;
    if (!id)
        return false;
    c->headers[0] =
        (struct param){ "Content-Type", "application/octet-stream" };
    c->upload_bytes = (int64_t)(1 + chance(m->w, 64)) << 20;
    c->upload =
        chance_percent(m->w, 75) ? UPLOAD_GOOD : (int)chance(m->w, UPLOAD_N);
    return ask(m, "PUT", text(m, IMG "/%s/file", id), NULL);
}

static bool image_change(struct make *m)
{
    const char *id = an_id(m, &kind_image);
    m->c->headers[0] =
        (struct param){ "Content-Type",
                        "application/openstack-images-v2.1-json-patch" };
    return id && ask(m, "PATCH", text(m, IMG "/%s", id),
                     text(m,
                          "[{\"op\": \"replace\", \"path\": \"/name\","
                          " \"value\": \"%s\"}]",
                          a_name(m, "i")));
}

static bool image_end(struct make *m)
{
    const struct image *im = a_record(m, &kind_image);
    return im && !im->is_protected &&
           ask_end(m, &kind_image, IMG, text(m, "%s", im->rec.id));
}

static bool image_show(struct make *m)
{
    return chance_percent(m->w, 50) ? ask(m, "GET", IMG, NULL)
                                    : show_one(m, &kind_image, IMG);
}

static bool image_get(struct make *m)
{
    const char *id = an_id(m, &kind_image);
    return id && ask(m, "GET", text(m, IMG "/%s/file", id), NULL);
}

/* ---- compute
 * ------------------------------------------------------------------------ */

#define NOVA "/compute/v2.1"

static bool mv(struct make *m, const char *value)
{
    m->c->headers[1] = (struct param){ "OpenStack-API-Version", value };
    return true;
}

/* Mostly one that can be booted. */
static const char *some_image(struct make *m)
{
    return chance_percent(m->w, 75) ? SIM_IMAGE : an_id(m, &kind_image);
}

static const char *some_network(struct make *m)
{
    const struct subnet *sub = a_record(m, &kind_subnet);
    const struct network *n =
        sub && chance_percent(m->w, 85)
            ? snap_get(m->s, &kind_network, sub->network_id)
            : a_record(m, &kind_network);
    const struct port *p = a_record(m, &kind_port);
    switch (chance(m->w, 10)) {
    case 0:
        return "\"auto\"";
    case 1:
    case 2:
        return "\"none\"";
    case 3:
    case 4:
        if (p)
            return text(m, "[{\"port\": \"%s\"}]", p->rec.id);
        break;
    default:
        break;
    }
    return n ? text(m, "[{\"uuid\": \"%s\"}]", n->rec.id) : "\"none\"";
}

/* Where the root disk comes from: members of the body. */
static const char *some_root(struct make *m)
{
    const char *image = some_image(m);
    const char *volume = an_id(m, &kind_volume);
    const char *snapshot = an_id(m, &kind_snapshot);
    const char *end = chance_percent(m->w, 50) ? "true" : "false";
    uint64_t kind = chance(m->w, 10);
    const char *from = "image", *id = image;
    if (kind == 0 && volume)
        from = "volume", id = volume;
    else if (kind == 1 && snapshot)
        from = "snapshot", id = snapshot;
    else if (kind > 3)
        return text(m, "\"imageRef\": \"%s\"", image ? image : "none");
    return text(m,
                "\"block_device_mapping_v2\": [{\"boot_index\": 0, \"uuid\":"
                " \"%s\", \"source_type\": \"%s\", \"destination_type\":"
                " \"volume\", \"volume_size\": %d,"
                " \"delete_on_termination\": %s}]",
                id ? id : "none", from, (int)chance(m->w, 4) + 1, end);
}

static const char *some_more(struct make *m)
{
    const char *group = an_id(m, &kind_server_group);
    if (group && chance_percent(m->w, 15))
        return text(m, "}, \"os:scheduler_hints\": {\"group\": \"%s\"", group);
    switch (chance(m->w, 8)) {
    case 0:
        return ", \"min_count\": 1, \"max_count\": 3";
    case 1:
        return ", \"config_drive\": true, \"user_data\": \"aGVsbG8=\"";
    case 2:
        return snap_count(m->s, &kind_keypair) && chance_percent(m->w, 80)
                   ? ", \"key_name\": \"k1\""
                   : "";
    case 3:
        return ", \"metadata\": {\"a\": \"b\"}";
    case 4:
        return ", \"availability_zone\": \"nova\"";
    default:
        return "";
    }
}

static bool server_new(struct make *m)
{
    const char *flavor = an_id(m, &kind_flavor);
    mv(m, "compute 2.90");
    return flavor &&
           ask_new(m, NOVA "/servers", &kind_server, "server.id",
                   text(m,
                        "{\"server\": {\"name\": \"%s\", \"flavorRef\":"
                        " \"%s\", \"networks\": %s, %s%s}}",
                        a_name(m, "v"), chance_percent(m->w, 80) ? "1" : flavor,
                        some_network(m), some_root(m), some_more(m)));
}

static bool server_do(struct make *m)
{
    static const char *const actions[] = {
        "{\"os-start\": null}",
        "{\"os-stop\": null}",
        "{\"reboot\": {\"type\": \"SOFT\"}}",
        "{\"reboot\": {\"type\": \"HARD\"}}",
        "{\"pause\": null}",
        "{\"unpause\": null}",
        "{\"suspend\": null}",
        "{\"resume\": null}",
        "{\"resume\": null}",
        "{\"lock\": null}",
        "{\"unlock\": null}",
        "{\"unlock\": null}",
        "{\"os-getConsoleOutput\": {}}",
        "{\"os-resetState\": {\"state\": \"active\"}}",
        "{\"os-resetState\": {\"state\": \"error\"}}",
        "{\"rebuild\": {\"imageRef\": \"x\"}}",
        "{\"nonsense\": {}}",
    };
    const char *id = an_id(m, &kind_server);
    return id && ask(m, "POST", text(m, NOVA "/servers/%s/action", id),
                     actions[chance(m->w, ARRAY_SIZE(actions))]);
}

static bool server_end(struct make *m)
{
    return delete_one(m, &kind_server, NOVA "/servers");
}

static bool server_rename(struct make *m)
{
    return rename_one(m, &kind_server, NOVA "/servers", "server");
}

static bool server_attach(struct make *m)
{
    const char *id = an_id(m, &kind_server), *volume = an_id(m, &kind_volume);
    return id && volume &&
           ask(m, "POST", text(m, NOVA "/servers/%s/os-volume_attachments", id),
               text(m, "{\"volumeAttachment\": {\"volumeId\": \"%s\"}}",
                    volume));
}

static bool server_detach(struct make *m)
{
    const struct server *s = a_record(m, &kind_server);
    if (!s || !s->volumes.n)
        return false;
    const struct server_volume *v =
        LIST_AT(s->volumes, struct server_volume, chance(m->w, s->volumes.n));
    return ask(m, "DELETE",
               text(m, NOVA "/servers/%s/os-volume_attachments/%s", s->rec.id,
                    v->volume_id),
               NULL);
}

static bool server_plug(struct make *m)
{
    const char *id = an_id(m, &kind_server);
    bool by_port = chance_percent(m->w, 50);
    const char *what = an_id(m, by_port ? &kind_port : &kind_network);
    return id && what &&
           ask(m, "POST", text(m, NOVA "/servers/%s/os-interface", id),
               text(m, "{\"interfaceAttachment\": {\"%s\": \"%s\"}}",
                    by_port ? "port_id" : "net_id", what));
}

static bool server_unplug(struct make *m)
{
    const struct server *s = a_record(m, &kind_server);
    if (!s || !s->ports.n)
        return false;
    const struct server_port *p =
        LIST_AT(s->ports, struct server_port, chance(m->w, s->ports.n));
    return ask(
        m, "DELETE",
        text(m, NOVA "/servers/%s/os-interface/%s", s->rec.id, p->port_id),
        NULL);
}

static bool compute_list(struct make *m)
{
    static const char *const paths[] = {
        "servers",
        "servers/detail",
        "flavors/detail",
        "os-keypairs",
        "os-server-groups",
        "os-availability-zone",
        "limits",
        "os-services",
        "os-hypervisors/detail",
        "os-aggregates",
        "servers/detail?all_tenants=1&status=ACTIVE",
        "os-hypervisors/statistics",
    };
    mv(m, "compute 2.60");
    return ask(m, "GET",
               text(m, NOVA "/%s", paths[chance(m->w, ARRAY_SIZE(paths))]),
               NULL);
}

static bool server_show(struct make *m)
{
    mv(m, "compute 2.79");
    return show_one(m, &kind_server, NOVA "/servers");
}

static bool flavor_new(struct make *m)
{
    return ask_new(m, NOVA "/flavors", &kind_flavor, "flavor.id",
                   text(m,
                        "{\"flavor\": {\"name\": \"%s\", \"ram\": %d,"
                        " \"vcpus\": %d, \"disk\": %d}}",
                        a_name(m, "f"), 64 << chance(m->w, 9),
                        1 + (int)chance(m->w, 6), (int)chance(m->w, 40)));
}

static bool flavor_end(struct make *m)
{
    const struct flavor *f = a_record(m, &kind_flavor);
    return f && f->name[0] == 'f' &&
           ask_end(m, &kind_flavor, NOVA "/flavors", text(m, "%s", f->rec.id));
}

static bool keypair_new(struct make *m)
{
    return ask(m, "POST", NOVA "/os-keypairs",
               text(m,
                    "{\"keypair\": {\"name\": \"k%d\", \"public_key\": "
                    "\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKjM3QdyBDhDK"
                    "jC0PbGz2oXxR4QnbrBtQdXjPdYcYyqG sim\"}}",
                    (int)chance(m->w, 4)));
}

static bool keypair_end(struct make *m)
{
    return ask(m, "DELETE",
               text(m, NOVA "/os-keypairs/k%d", (int)chance(m->w, 4)), NULL);
}

static bool server_group_new(struct make *m)
{
    static const char *const policies[] = { "affinity", "anti-affinity",
                                            "soft-affinity",
                                            "soft-anti-affinity" };
    mv(m, "compute 2.64");
    return ask_new(m, NOVA "/os-server-groups", &kind_server_group,
                   "server_group.id",
                   text(m,
                        "{\"server_group\": {\"name\": \"%s\", \"policy\":"
                        " \"%s\"}}",
                        a_name(m, "g"), policies[chance(m->w, 4)]));
}

static bool server_group_end(struct make *m)
{
    return delete_one(m, &kind_server_group, NOVA "/os-server-groups");
}

static bool compute_quota(struct make *m)
{
    const struct project *p = snap_find(m->s, &kind_project, "name", "demo");
    return ask(m, "PUT", text(m, NOVA "/os-quota-sets/%s", p->rec.id),
               text(m, "{\"quota_set\": {\"instances\": %d, \"ram\": %d}}",
                    (int)chance(m->w, 20), (int)chance(m->w, 60000)));
}

/* ---- volumes
 * ------------------------------------------------------------------------- */

#define VOL "/volume/v3"

static bool volume_new(struct make *m)
{
    const char *from = "";
    const char *image = some_image(m);
    const char *volume = an_id(m, &kind_volume);
    const char *snapshot = an_id(m, &kind_snapshot);
    uint64_t kind = chance(m->w, 8);
    if (kind < 2 && image)
        from = text(m, ", \"imageRef\": \"%s\"", image);
    else if (kind == 2 && volume)
        from = text(m, ", \"source_volid\": \"%s\"", volume);
    else if (kind == 3 && snapshot)
        from = text(m, ", \"snapshot_id\": \"%s\"", snapshot);
    return ask_new(
        m, VOL "/volumes", &kind_volume, "volume.id",
        text(m, "{\"volume\": {\"size\": %d, \"name\": \"%s\"%s}}",
             (int)chance(m->w, 8) + (chance_percent(m->w, 95) ? 1 : 0),
             a_name(m, "d"), from));
}

static bool volume_do(struct make *m)
{
    const struct volume *v = a_record(m, &kind_volume);
    static const char *const actions[] = {
        "{\"os-extend\": {\"new_size\": %d}}",
        "{\"os-extend\": {\"new_size\": %d}}",
        "{\"os-set_bootable\": {\"bootable\": true}}",
        "{\"os-detach\": {}}",
        "{\"os-reset_status\": {\"status\": \"available\"}}",
        ("{\"os-volume_upload_image\": {\"image_name\": \"up\","
         " \"disk_format\": \"qcow2\", \"container_format\": \"bare\"}}"),
    };
    if (!v)
        return false;
    uint64_t i = chance(m->w, ARRAY_SIZE(actions));
    const char *body = i < 2 ? text(m, "{\"os-extend\": {\"new_size\": %d}}",
                                    (int)v->size_gb + (int)chance(m->w, 4))
                             : actions[i];
    /* An admin may make the state a lie; then nothing can be promised. */
    return i != 4 &&
           ask(m, "POST", text(m, VOL "/volumes/%s/action", v->rec.id), body);
}

static bool volume_end(struct make *m)
{
    return delete_one(m, &kind_volume, VOL "/volumes");
}

static bool volume_rename(struct make *m)
{
    return rename_one(m, &kind_volume, VOL "/volumes", "volume");
}

static bool snapshot_new(struct make *m)
{
    const char *volume = an_id(m, &kind_volume);
    return volume &&
           ask_new(m, VOL "/snapshots", &kind_snapshot, "snapshot.id",
                   text(m,
                        "{\"snapshot\": {\"volume_id\": \"%s\", \"name\":"
                        " \"%s\", \"force\": %s}}",
                        volume, a_name(m, "s"),
                        chance_percent(m->w, 30) ? "true" : "false"));
}

static bool snapshot_end(struct make *m)
{
    return delete_one(m, &kind_snapshot, VOL "/snapshots");
}

static bool volume_list(struct make *m)
{
    static const char *const paths[] = {
        "volumes", "volumes/detail", "snapshots/detail",
        "types",   "limits",         "volumes/summary"
    };
    return ask(m, "GET",
               text(m, VOL "/%s", paths[chance(m->w, ARRAY_SIZE(paths))]),
               NULL);
}

static bool volume_quota(struct make *m)
{
    const struct project *p = snap_find(m->s, &kind_project, "name", "demo");
    return ask(m, "PUT", text(m, VOL "/os-quota-sets/%s", p->rec.id),
               text(m, "{\"quota_set\": {\"volumes\": %d, \"gigabytes\": %d}}",
                    (int)chance(m->w, 20), (int)chance(m->w, 200)));
}

/* ---- bad requests
 * --------------------------------------------------------------------- */

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

/* ---- the table
 * -------------------------------------------------------------------------- */

#define ANY 0
#define ADM 1
static const struct row {
    const char *name;
    int weight, admin;
    bool (*make)(struct make *);
} rows[] = {
    { "wrong login", 2, ANY, wrong_login },
    { "project new", 6, ADM, project_new },
    { "project end", 4, ADM, project_end },
    { "user new", 6, ADM, user_new },
    { "user change", 4, ADM, user_change },
    { "user end", 4, ADM, user_end },
    { "group new", 4, ADM, group_new },
    { "group end", 3, ADM, group_end },
    { "group member", 6, ADM, membership },
    { "grant", 8, ADM, grant },
    { "role new", 3, ADM, role_new },
    { "role end", 3, ADM, role_end },
    { "app credential new", 4, ANY, app_credential_new },
    { "app credential end", 3, ADM, app_credential_end },
    { "identity list", 4, ADM, identity_list },
    { "network new", 12, ANY, network_new },
    { "network end", 6, ANY, network_end },
    { "network rename", 4, ANY, network_rename },
    { "subnet new", 16, ANY, subnet_new },
    { "subnet change", 5, ANY, subnet_change },
    { "subnet end", 6, ANY, subnet_end },
    { "port new", 22, ANY, port_new },
    { "port change", 10, ANY, port_change },
    { "port end", 12, ANY, port_end },
    { "router new", 8, ANY, router_new },
    { "router change", 5, ANY, router_change },
    { "router interface", 14, ANY, router_interface },
    { "router end", 6, ANY, router_end },
    { "floating ip new", 10, ANY, floating_ip_new },
    { "floating ip change", 8, ANY, floating_ip_change },
    { "floating ip end", 6, ANY, floating_ip_end },
    { "security group new", 5, ANY, security_group_new },
    { "security group end", 4, ANY, security_group_end },
    { "rule new", 8, ANY, group_rule_new },
    { "rule end", 5, ANY, group_rule_end },
    { "network list", 8, ANY, network_list },
    { "network quota", 2, ADM, network_quota },
    { "image new", 8, ANY, image_new },
    { "image fill", 12, ANY, image_fill },
    { "image change", 4, ANY, image_change },
    { "image end", 6, ANY, image_end },
    { "image show", 4, ANY, image_show },
    { "image get", 2, ANY, image_get },
    { "server new", 34, ANY, server_new },
    { "server do", 44, ANY, server_do },
    { "server end", 16, ANY, server_end },
    { "server rename", 4, ANY, server_rename },
    { "server attach", 16, ANY, server_attach },
    { "server detach", 10, ANY, server_detach },
    { "server plug", 10, ANY, server_plug },
    { "server unplug", 8, ANY, server_unplug },
    { "server show", 6, ANY, server_show },
    { "compute list", 8, ANY, compute_list },
    { "flavor new", 4, ADM, flavor_new },
    { "flavor end", 3, ADM, flavor_end },
    { "keypair new", 4, ANY, keypair_new },
    { "keypair end", 3, ANY, keypair_end },
    { "server group new", 5, ANY, server_group_new },
    { "server group end", 3, ANY, server_group_end },
    { "compute quota", 2, ADM, compute_quota },
    { "volume new", 22, ANY, volume_new },
    { "volume do", 14, ANY, volume_do },
    { "volume end", 14, ANY, volume_end },
    { "volume rename", 3, ANY, volume_rename },
    { "snapshot new", 12, ANY, snapshot_new },
    { "snapshot end", 8, ANY, snapshot_end },
    { "volume list", 5, ANY, volume_list },
    { "volume quota", 2, ADM, volume_quota },
    { "hostile", 10, ANY, hostile },
    { "no token", 2, ANY, no_token },
    { "nowhere", 1, ANY, nowhere },
};

static const struct row *some_row(struct world *w)
{
    int all = 0;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        all += rows[i].weight;
    int pick = (int)chance(w, (uint64_t)all);
    const struct row *row = rows;
    while ((pick -= row->weight) >= 0)
        row++;
    return row;
}

/* ---- making a call
 * ----------------------------------------------------------------------- */

/* Is the service of this path built? */
static bool is_served(const char *path)
{
    for (size_t i = 0; api_services[i]; i++) {
        size_t n = strlen(api_services[i]->prefix);
        if (n && strncmp(path, api_services[i]->prefix, n) == 0)
            return true;
    }
    return false;
}

static struct memory *remembered(struct clients *cs, const struct kind *kind,
                                 const char *id)
{
    struct memory *m = cs->memory;
    while (m && (m->kind != kind || strcmp(m->id, id) != 0))
        m = m->next;
    return m;
}

static void remember(struct clients *cs, const struct kind *kind,
                     const char *id)
{
    if (remembered(cs, kind, id))
        return;
    struct memory *m = xcalloc(1, sizeof(*m));
    m->kind = kind;
    snprintf(m->id, sizeof(m->id), "%s", id);
    m->next = cs->memory;
    cs->memory = m;
}

static void submit(struct clients *cs, struct call *c)
{
    if (c->gone_id) { /* its making may not have been answered yet */
        remember(cs, c->kind, c->gone_id);
        remembered(cs, c->kind, c->gone_id)->leaving = true;
    }
    c->number = ++cs->calls;
    cs->w->stats.calls++;
    cs->in_flight++;
    world_event(cs->w, "call %lu %s: %s %s %.80s", c->number, c->name,
                c->method, c->path, c->body ? c->body : "");
    face_submit(cs->w->face, c);
}

static bool needs_login(struct clients *cs, enum who who)
{
    return !cs->logging_in[who] &&
           (!cs->tokens[who] || cs->w->time - cs->token_at[who] > TOKEN_US);
}

/* A call by this row, or NULL if it has nothing to act on. */
static struct call *make_call(struct clients *cs, const struct row *row,
                              enum who who)
{
    _autosnap_ struct snapshot *s = cache_snapshot(cs->w->truth);
    struct call *c = call_new();
    struct make m = { cs, cs->w, s, c, who };
    c->name = row->name;
    c->token =
        cs->tokens[who] ? arena_strdup(&c->arena, cs->tokens[who]) : NULL;
    if (row->make(&m) && is_served(c->path))
        return c;
    call_free(c);
    return NULL;
}

static bool login_if_needed(struct clients *cs)
{
    for (int who = 0; who < N_WHO; who++) {
        if (!needs_login(cs, (enum who)who))
            continue;
        struct make m = { cs, cs->w, NULL, call_new(), (enum who)who };
        login(&m, (enum who)who);
        submit(cs, m.c);
        return true;
    }
    return false;
}

static bool is_open(struct clients *cs)
{
    return cs->w->face && cs->in_flight < IN_FLIGHT_MAX;
}

bool clients_call(struct clients *cs)
{
    struct call *c = NULL;
    if (!is_open(cs))
        return false;
    if (login_if_needed(cs))
        return true;
    if (!cs->tokens[ADMIN] || !cs->tokens[DEMO] || chance_percent(cs->w, 50))
        return false;
    for (int i = 0; i < 8 && !c; i++) {
        const struct row *row = some_row(cs->w);
        enum who who = row->admin || chance_percent(cs->w, 25) ? ADMIN : DEMO;
        c = make_call(cs, row, who);
    }
    if (c)
        submit(cs, c);
    return c != NULL;
}

bool clients_idle(struct clients *cs)
{
    return cs->in_flight == 0;
}

/* ---- tidying up
 * ---------------------------------------------------------------------------
 */

static bool tidy_one(struct make *m, const struct kind *kind, const char *path)
{
    struct snap_iter it = snap_all(m->s, kind);
    const struct record *r = snap_next(&it);
    return r && ask_end(m, kind, path, text(m, "%s", r->id));
}

static bool tidy_interface(struct make *m)
{
    struct snap_iter it = snap_all(m->s, &kind_port);
    for (const struct port *p; (p = snap_next(&it));)
        if (p->device_owner && !strcmp(p->device_owner, OWNER_ROUTER))
            return ask(m, "PUT",
                       text(m, NET "/routers/%s/remove_router_interface",
                            p->device_id),
                       text(m, "{\"port_id\": \"%s\"}", p->rec.id));
    return false;
}

/* Once stuck, a server is asked to leave again: locked ones by an admin. */
static bool tidy(struct make *m)
{
    static const struct {
        const struct kind *kind;
        const char *path;
    } order[] = {
        { &kind_server, NOVA "/servers" },
        { &kind_snapshot, VOL "/snapshots" },
        { &kind_volume, VOL "/volumes" },
        { &kind_floating_ip, NET "/floatingips" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        if (is_served(order[i].path) &&
            tidy_one(m, order[i].kind, order[i].path))
            return true;
    return tidy_interface(m) || tidy_one(m, &kind_router, NET "/routers");
}

bool clients_tidy(struct clients *cs)
{
    static const struct row row = { "tidy", 0, ADM, tidy };
    if (!cs->w->face)
        return true;
    if (login_if_needed(cs))
        return true;
    struct call *c = make_call(cs, &row, ADMIN);
    if (c)
        submit(cs, c);
    return c != NULL;
}

/* ---- answers
 * ------------------------------------------------------------------------------
 */

static const char *text_at(const json_t *json, const char *path)
{
    char name[64];
    while (json && *path) {
        size_t n = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)n, path);
        json = json_object_get(json, name);
        path += n + (path[n] == '.');
    }
    return json_string_value(json);
}

static void learn(struct clients *cs, struct call *c, const json_t *json)
{
    if (c->id_path) {
        const char *id = text_at(json, c->id_path);
        if (id)
            remember(cs, c->kind, id);
        else
            world_broken(cs->w, "call %lu %s: the answer has no %s", c->number,
                         c->name, c->id_path);
    }
    struct memory *m = c->gone_id ? remembered(cs, c->kind, c->gone_id) : NULL;
    if (m)
        m->gone = true;
}

/* What no answer may do, whatever was asked. */
static void check_answer(struct clients *cs, struct call *c, const json_t *json)
{
    const struct http_response *h = &c->req.resp;
    struct world *w = cs->w;
    bool login = strcmp(c->name, "login") == 0;
    if (h->status < 200 || (h->status >= 500 && h->status != 503 &&
                            h->status != 501 && h->status != 504))
        world_broken(w, "call %lu %s answers %d: %.300s", c->number, c->name,
                     h->status, buf_str(&h->body));
    if (h->status >= 500 && !w->chaos && c->req.tries == 0 && !c->unknown &&
        h->status == 503)
        world_event(w, "unavailable without chaos");
    if (h->status < 500 && h->status >= 400 && c->wrote &&
        !(c->req.route && c->req.route->flags & ROUTE_STREAM))
        world_broken(w,
                     "bad requests change nothing: call %lu %s answers %d "
                     "and has written",
                     c->number, c->name, h->status);
    if (c->bad && h->status < 400)
        world_broken(w, "call %lu %s should be refused, answers %d", c->number,
                     c->name, h->status);
    if (h->body.len && !json && h->body.data[0] == '{')
        world_broken(w, "call %lu %s: the answer is no JSON: %.200s", c->number,
                     c->name, buf_str(&h->body));
    if (!login && h->body.len &&
        (strstr(h->body.data, "s3cr3t") || strstr(h->body.data, "scrypt$")))
        world_broken(w, "secrets never appear: call %lu %s: %.200s", c->number,
                     c->name, buf_str(&h->body));
}

void clients_answer(struct clients *cs, struct call *c)
{
    const struct http_response *h = &c->req.resp;
    _autojson_ json_t *json =
        h->body.len ? json_loadb(h->body.data, h->body.len, 0, NULL) : NULL;
    cs->in_flight--;
    world_event(cs->w, "call %lu %s -> %d %.100s", c->number, c->name,
                h->status, h->status >= 400 ? buf_str(&h->body) : "");
    check_answer(cs, c, json);
    if (h->status < 300)
        learn(cs, c, json);
    if (c->then)
        c->then(cs->w, c);
}

void clients_lost(struct clients *cs, struct call *c)
{
    cs->in_flight--;
    world_event(cs->w, "call %lu %s: no answer", c->number, c->name);
    if (c->then == keep_token)
        cs->logging_in[c->headers[0].value[0] == 'a' ? ADMIN : DEMO] = false;
}

/* ---- what was answered is there
 * -------------------------------------------------------- */

/* Things that go with others: nobody needs to have asked for their end. */
static bool goes_with_others(const struct kind *kind)
{
    return kind == &kind_port || kind == &kind_security_group_rule ||
           kind == &kind_app_credential || kind == &kind_security_group ||
           kind == &kind_volume || kind == &kind_subnet ||
           kind == &kind_assignment;
}

void clients_check(struct clients *cs, const struct snapshot *s)
{
    for (struct memory *m = cs->memory; m; m = m->next) {
        bool there = snap_get(s, m->kind, m->id) != NULL;
        if (!there && !m->leaving && !goes_with_others(m->kind))
            world_broken(cs->w, "no lost record: %s %s was answered, is gone",
                         m->kind->name, m->id);
        if (there && m->gone && m->kind != &kind_image &&
            m->kind != &kind_volume && m->kind != &kind_snapshot)
            world_broken(cs->w, "%s %s was deleted, is there", m->kind->name,
                         m->id);
    }
}

/* ---- life
 * --------------------------------------------------------------------------------
 */

struct clients *clients_new(struct world *w)
{
    struct clients *cs = xcalloc(1, sizeof(*cs));
    cs->w = w;
    return cs;
}

void clients_free(struct clients *cs)
{
    for (struct memory *m; (m = cs->memory);) {
        cs->memory = m->next;
        free(m);
    }
    for (int i = 0; i < N_WHO; i++)
        free(cs->tokens[i]);
    free(cs);
}
