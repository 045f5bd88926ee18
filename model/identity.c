#include "model/identity.h"

#include "model/table.h"

const char *const actor_type_names[] = { "user", "group", NULL };
const char *const target_type_names[] = { "project", "domain", "system", NULL };

static const struct field token_key_fields[] = {
    FIELD_S(struct token_key, secret, F_STR),
    FIELD(struct token_key, created, F_TIME),
    FIELD_END,
};
KIND(kind_token_key, KIND_TOKEN_KEY, "token_key", struct token_key,
     token_key_fields, NO_INDEXES);

static const struct field revocation_fields[] = {
    FIELD(struct revocation, expires, F_TIME),
    FIELD_END,
};
KIND(kind_revocation, KIND_REVOCATION, "revocation", struct revocation,
     revocation_fields, NO_INDEXES);

static const struct field region_fields[] = {
    FIELD(struct region, description, F_STR),
    FIELD(struct region, parent_region_id, F_STR),
    FIELD_END,
};
KIND(kind_region, KIND_REGION, "region", struct region, region_fields,
     INDEXES({ "parent_region_id" }));

#define T struct service
static const struct field service_fields[] = {
    FIELD(T, type, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, description, F_STR),
    FIELD(T, enabled, F_BOOL),
    FIELD_END,
};
#undef T
KIND(kind_service, KIND_SERVICE, "service", struct service, service_fields,
     INDEXES({ "type" }));

#define T struct endpoint
static const struct field endpoint_fields[] = {
    FIELD(T, service_id, F_STR), FIELD(T, region_id, F_STR),
    FIELD(T, interface, F_STR),  FIELD(T, url, F_STR),
    FIELD(T, enabled, F_BOOL),   FIELD_END,
};
#undef T
KIND(kind_endpoint, KIND_ENDPOINT, "endpoint", struct endpoint, endpoint_fields,
     INDEXES({ "service_id" }, { "region_id" }));

#define T struct domain
static const struct field domain_fields[] = {
    FIELD(T, name, F_STR),     FIELD(T, description, F_STR),
    FIELD(T, enabled, F_BOOL), FIELD(T, tags, F_STRS),
    FIELD(T, extra, F_JSON),   FIELD_END,
};
#undef T
KIND(kind_domain, KIND_DOMAIN, "domain", struct domain, domain_fields,
     INDEXES({ "name" }));

#define T struct project
static const struct field project_fields[] = {
    FIELD(T, domain_id, F_STR), FIELD(T, parent_id, F_STR),
    FIELD(T, name, F_STR),      FIELD(T, description, F_STR),
    FIELD(T, enabled, F_BOOL),  FIELD(T, tags, F_STRS),
    FIELD(T, extra, F_JSON),    FIELD_END,
};
#undef T
KIND(kind_project, KIND_PROJECT, "project", struct project, project_fields,
     INDEXES({ "domain_id" }, { "name" }, { "parent_id" }));

#define T struct user
static const struct field user_fields[] = {
    FIELD(T, domain_id, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, email, F_STR),
    FIELD(T, description, F_STR),
    FIELD(T, default_project_id, F_STR),
    FIELD_S(T, password_hash, F_STR),
    FIELD(T, enabled, F_BOOL),
    FIELD(T, password_changed, F_TIME),
    FIELD(T, tokens_not_before, F_TIME),
    FIELD(T, options, F_JSON),
    FIELD(T, extra, F_JSON),
    FIELD_END,
};
#undef T
KIND(kind_user, KIND_USER, "user", struct user, user_fields,
     INDEXES({ "domain_id" }, { "name" }));

#define T struct group
static const struct field group_fields[] = {
    FIELD(T, domain_id, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, description, F_STR),
    FIELD(T, extra, F_JSON),
    FIELD_END,
};
#undef T
KIND(kind_group, KIND_GROUP, "group", struct group, group_fields,
     INDEXES({ "domain_id" }, { "name" }));

static const struct field group_member_fields[] = {
    FIELD(struct group_member, group_id, F_STR),
    FIELD(struct group_member, user_id, F_STR),
    FIELD_END,
};
KIND(kind_group_member, KIND_GROUP_MEMBER, "group_member", struct group_member,
     group_member_fields, INDEXES({ "group_id" }, { "user_id" }));

#define T struct role
static const struct field role_fields[] = {
    FIELD(T, domain_id, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, description, F_STR),
    FIELD(T, extra, F_JSON),
    FIELD_END,
};
#undef T
KIND(kind_role, KIND_ROLE, "role", struct role, role_fields,
     INDEXES({ "name" }));

static const struct field role_inference_fields[] = {
    FIELD(struct role_inference, prior_id, F_STR),
    FIELD(struct role_inference, implied_id, F_STR),
    FIELD_END,
};
KIND(kind_role_inference, KIND_ROLE_INFERENCE, "role_inference",
     struct role_inference, role_inference_fields,
     INDEXES({ "prior_id" }, { "implied_id" }));

#define T struct assignment
static const struct field assignment_fields[] = {
    FIELD_E(T, actor_type, actor_type_names),
    FIELD(T, actor_id, F_STR),
    FIELD_E(T, target_type, target_type_names),
    FIELD(T, target_id, F_STR),
    FIELD(T, role_id, F_STR),
    FIELD(T, inherited, F_BOOL),
    FIELD_END,
};
#undef T
KIND(kind_assignment, KIND_ASSIGNMENT, "assignment", struct assignment,
     assignment_fields,
     INDEXES({ "actor_id" }, { "target_id" }, { "role_id" }));

#define T struct app_credential
static const struct field app_credential_fields[] = {
    FIELD(T, user_id, F_STR),       FIELD(T, project_id, F_STR),
    FIELD(T, name, F_STR),          FIELD(T, description, F_STR),
    FIELD_S(T, secret_hash, F_STR), FIELD(T, role_ids, F_STRS),
    FIELD(T, expires, F_TIME),      FIELD(T, unrestricted, F_BOOL),
    FIELD(T, created, F_TIME),      FIELD_END,
};
#undef T
KIND(kind_app_credential, KIND_APP_CREDENTIAL, "app_credential",
     struct app_credential, app_credential_fields,
     INDEXES({ "user_id" }, { "project_id" }));
