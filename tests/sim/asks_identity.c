#include "asks.h"

#include "model/identity.h"

#include <string.h>

static bool wrong_login(struct make *m)
{
    m->c->token = NULL;
    m->c->bad = true;
    return ask(m, "POST", "/identity/v3/auth/tokens",
               "{\"auth\": {\"identity\": {\"methods\": [\"password\"],"
               " \"password\": {\"user\": {\"name\": \"admin\", \"password\":"
               " \"s3cr3t-wrong\", \"domain\": {\"id\": \"default\"}}}}}}");
}

static bool project_new(struct make *m)
{
    return ask_new(
        m, "/identity/v3/projects", &kind_project, "project.id",
        ask_text(m, "{\"project\": {\"name\": \"%s\"}}", ask_a_name(m, "p")));
}

static bool is_first(const char *name)
{
    return !name || !strcmp(name, "admin") || !strcmp(name, "demo") ||
           !strcmp(name, "service");
}

/* Nobody saws off the branch the clients sit on. */
static bool project_end(struct make *m)
{
    const struct project *p = ask_a_record(m, &kind_project);
    return p && !is_first(p->name) &&
           ask_end(m, &kind_project, "/identity/v3/projects",
                   ask_text(m, "%s", p->rec.id));
}

static bool user_new(struct make *m)
{
    return ask_new(m, "/identity/v3/users", &kind_user, "user.id",
                   ask_text(m,
                            "{\"user\": {\"name\": \"%s\", \"password\":"
                            " \"s3cr3t-%d\"}}",
                            ask_a_name(m, "u"), (int)chance(m->w, 1000)));
}

static bool user_change(struct make *m)
{
    const struct user *u = ask_a_record(m, &kind_user);
    return u && !is_first(u->name) &&
           ask(m, "PATCH", ask_text(m, "/identity/v3/users/%s", u->rec.id),
               ask_text(m,
                        "{\"user\": {\"password\": \"s3cr3t-%d\", \"enabled\":"
                        " %s}}",
                        (int)chance(m->w, 1000),
                        chance_percent(m->w, 50) ? "true" : "false"));
}

static bool user_end(struct make *m)
{
    const struct user *u = ask_a_record(m, &kind_user);
    return u && !is_first(u->name) &&
           ask_end(m, &kind_user, "/identity/v3/users",
                   ask_text(m, "%s", u->rec.id));
}

static bool group_new(struct make *m)
{
    return ask_new(
        m, "/identity/v3/groups", &kind_group, "group.id",
        ask_text(m, "{\"group\": {\"name\": \"%s\"}}", ask_a_name(m, "g")));
}

static bool group_end(struct make *m)
{
    return ask_delete(m, &kind_group, "/identity/v3/groups");
}

static bool membership(struct make *m)
{
    const char *group = ask_an_id(m, &kind_group),
               *user = ask_an_id(m, &kind_user);
    return group && user &&
           ask(m, chance_percent(m->w, 70) ? "PUT" : "DELETE",
               ask_text(m, "/identity/v3/groups/%s/users/%s", group, user),
               NULL);
}

static bool grant(struct make *m)
{
    const struct project *p = ask_a_record(m, &kind_project);
    const struct role *r = ask_a_record(m, &kind_role);
    bool user = chance_percent(m->w, 60);
    const char *actor = ask_an_id(m, user ? &kind_user : &kind_group);
    return p && r && actor && !is_first(p->name) &&
           ask(m, chance_percent(m->w, 70) ? "PUT" : "DELETE",
               ask_text(m, "/identity/v3/projects/%s/%s/%s/roles/%s", p->rec.id,
                        user ? "users" : "groups", actor, r->rec.id),
               NULL);
}

static bool role_new(struct make *m)
{
    return ask_new(
        m, "/identity/v3/roles", &kind_role, "role.id",
        ask_text(m, "{\"role\": {\"name\": \"%s\"}}", ask_a_name(m, "x")));
}

static bool role_end(struct make *m)
{
    const struct role *r = ask_a_record(m, &kind_role);
    return r && r->name && r->name[0] == 'x' &&
           ask_end(m, &kind_role, "/identity/v3/roles",
                   ask_text(m, "%s", r->rec.id));
}

static bool app_credential_new(struct make *m)
{
    const struct user *demo = snap_find(m->s, &kind_user, "name", "demo");
    return demo && m->who == DEMO &&
           ask_new(m,
                   ask_text(m, "/identity/v3/users/%s/application_credentials",
                            demo->rec.id),
                   &kind_app_credential, "application_credential.id",
                   ask_text(m,
                            "{\"application_credential\": {\"name\": \"%s\"}}",
                            ask_a_name(m, "c")));
}

static bool app_credential_end(struct make *m)
{
    const struct app_credential *a = ask_a_record(m, &kind_app_credential);
    return a &&
           ask_end(m, &kind_app_credential,
                   ask_text(m, "/identity/v3/users/%s/application_credentials",
                            a->user_id),
                   ask_text(m, "%s", a->rec.id));
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
        ask_text(m, "/identity/v3/%s", paths[chance(m->w, ARRAY_SIZE(paths))]),
        NULL);
}

const struct ask_row asks_identity[] = {
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
    { 0 },
};
