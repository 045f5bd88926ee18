/*
 * parts - what the files of identity/ share and nobody else needs.
 *
 * One file a subject (domains, projects, users ...); each gives a struct
 * resource for the generic handlers, and handlers for what is particular.
 * identity.c ties them together in one table of routes.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_IDENTITY_PARTS_H
#define CAIRN_OPENSTACK_COMPAT_IDENTITY_PARTS_H

#include "openstack-compat/identity/names.h"
#include "rest-api/resource.h"
#include "rest-api/token.h"

/* ---- shared by the resources (common.c) -------------------------------- */

typedef void show_fn(struct req *r, struct jw *w, const char *name,
                     const void *record);
show_fn show_links;         /* "links": {"self": ..} */
show_fn show_options_none;  /* "options": {} */
show_fn show_extra;         /* members of the record's `extra`, flat */
show_fn show_text;          /* a F_STR field; left out when absent */
show_fn show_text_or_empty; /* "" when absent */

/* Row that shows the extras; its name is none a client can send. */
#define ATTR_EXTRA                                                             \
    {                                                                          \
        .name = "*", .show = show_extra                                        \
    }
#define ATTR_LINKS                                                             \
    {                                                                          \
        .name = "links", .show = show_links                                    \
    }
/* Resource options are not built; {} and all-false are no lie. */
bool set_options_none(struct req *r, void *record, const struct attr *a,
                      const json_t *value);
#define ATTR_OPTIONS                                                           \
    {                                                                          \
        .name = "options", .flags = A_CU | A_NULL, .show = show_options_none,  \
        .set = set_options_none                                                \
    }

/* Merges what `body` holds beyond the resource's attributes into the
 * record's `extra`.  False: r->err, too much of it. */
bool keep_extra(struct req *r, const struct resource *res, void *record,
                const json_t *body);
/* "links" of a list that is not paged. */
void write_list_links(struct req *r, struct jw *w);
/* A list of records of `res` that pass `keep`, in one answer. */
typedef bool keep_fn(struct req *r, const void *record, const void *arg);
enum outcome reply_list(struct req *r, const struct resource *res,
                        keep_fn *keep, const void *arg);
/* Keystone's sentences. */
bool fail_not_found(struct req *r, const char *noun, const char *id);
bool fail_unauthorized(struct req *r);

/* Takes the name of a new record, or changes it: checks and claims. */
bool take_new_name(struct req *r, const void *record, const char *scope,
                   const char *name);
bool change_name(struct req *r, const void *record, const char *scope,
                 const char *old, const char *name);
/* Fills *domain_id of a draft from the caller's scope where it is not given,
 * and sees that there is such a domain and that it is enabled: one that is
 * not may be on its way out. */
bool settle_domain(struct req *r, void *record, const char **domain_id);
bool domain_takes(struct req *r, const char *domain_id);
/* The record of the kind must be there (NULL id: none is meant).  It is
 * written again as it is, so that who deletes it at the same time, with all
 * that refers to it, meets a conflict and looks again. */
bool settle_ref(struct req *r, const struct kind *kind, const char *noun,
                const char *id);
bool settle_role(struct req *r, const char *id);
/* The three that the policy stands on; they cannot be deleted. */
bool role_is_built_in(const struct role *role);

/* Delete along with what they refer to. */
void delete_where(struct req *r, const struct kind *kind, const char *path,
                  const char *key);
void drop_user(struct req *r, const struct user *u);
void drop_group(struct req *r, const struct group *g);
void drop_project(struct req *r, const struct project *p);
void drop_role(struct req *r, const struct role *role);
bool txn_fits(struct req *r, const char *what);

/* ---- resources --------------------------------------------------------- */

extern const struct resource resource_domain, resource_project, resource_user,
    resource_group, resource_role, resource_region, resource_service,
    resource_endpoint;

/* ---- the token document (token_doc.c) ---------------------------------- */

void write_token(struct req *r, struct jw *w, const struct auth *a,
                 bool with_catalog);
void write_catalog(struct req *r, struct jw *w, const char *user_id,
                   const char *project_id);

/* ---- handlers ---------------------------------------------------------- */

handler_fn auth_token_create, auth_token_show, auth_token_delete, auth_catalog,
    auth_projects, auth_domains, auth_system;
handler_fn project_tags, project_tags_set, project_tags_clear, project_tag_show,
    project_tag_add, project_tag_delete, project_show;
handler_fn user_create, user_update, user_password, user_projects, user_groups;
handler_fn group_users, group_user_add, group_user_check, group_user_remove;
handler_fn role_implies_list, role_implies_put, role_implies_show,
    role_implies_delete, role_inferences;
handler_fn grant_list, grant_put, grant_check, grant_delete, role_assignments;
handler_fn region_create, region_put;
handler_fn domain_create;
handler_fn app_credential_list, app_credential_create, app_credential_show,
    app_credential_delete;

#endif
