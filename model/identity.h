/* identity - who may do what: keystone's records. */
#ifndef CAIRN_MODEL_IDENTITY_H
#define CAIRN_MODEL_IDENTITY_H

#include "common/env.h"
#include "model/model.h"

/* A token's life, and how long after its end it is still shown to a service
 * that asks with ?allow_expired. */
#define TOKEN_LIFE_US  (3600 * SECOND_US)
#define TOKEN_SHOWN_US (48 * 3600 * SECOND_US)

/* A key that seals tokens; id = key number in hex.  Newest `primary` one
 * seals, all open.  Secret. */
struct token_key {
    struct record rec;
    const char *secret; /* 64 hex digits */
    int64_t created;
};

/* A revoked token; id = its audit id.  Kept for
 * TOKEN_SHOWN_US after the token's end (engine/housekeeping.h). */
struct revocation {
    struct record rec;
    int64_t expires;
};

struct region {
    struct record rec;
    const char *description;
    const char *parent_region_id;
};

struct service {
    struct record rec;
    const char *type; /* "compute" */
    const char *name; /* "nova" */
    const char *description;
    bool enabled;
};

struct endpoint {
    struct record rec;
    const char *service_id;
    const char *region_id;
    const char *interface; /* public, internal, admin */
    const char *url;       /* may hold $(project_id)s or %(project_id)s */
    bool enabled;
};

/* `extra`: a JSON object of what clients stored beyond keystone's own
 * attributes, shown beside them. */
struct domain {
    struct record rec;
    const char *name;
    const char *description;
    bool enabled;
    struct strs tags;
    const char *extra;
};

struct project {
    struct record rec;
    const char *domain_id;
    const char *parent_id;
    const char *name;
    const char *description;
    bool enabled;
    struct strs tags;
    const char *extra;
};

struct user {
    struct record rec;
    const char *domain_id;
    const char *name;
    const char *email;
    const char *description;
    const char *default_project_id;
    const char *password_hash; /* "scrypt$N$r$p$salt$hash" */
    bool enabled;
    int64_t password_changed;
    /* Tokens issued before this moment are void (password change, disable,
     * lost role): set to now + 1 whenever that happens. */
    int64_t tokens_not_before;
    const char *options; /* JSON object: keystone's "resource options" */
    const char *extra;
};

struct group {
    struct record rec;
    const char *domain_id;
    const char *name;
    const char *description;
    const char *extra;
};

/* id = "<group>/<user>" */
struct group_member {
    struct record rec;
    const char *group_id;
    const char *user_id;
};

struct role {
    struct record rec;
    const char *domain_id; /* NULL: global */
    const char *name;
    const char *description;
    const char *extra;
};

/* Having `prior` implies having `implied`; id = "<prior>/<implied>" */
struct role_inference {
    struct record rec;
    const char *prior_id;
    const char *implied_id;
};

extern const char *const actor_type_names[];  /* user, group */
extern const char *const target_type_names[]; /* project, domain, system */
enum actor_type { ACTOR_USER, ACTOR_GROUP };
enum target_type { TARGET_PROJECT, TARGET_DOMAIN, TARGET_SYSTEM };

/* id = "<actor>/<target>/<role>" plus "/inherited" */
struct assignment {
    struct record rec;
    int actor_type;
    const char *actor_id;
    int target_type;
    const char *target_id; /* system: "all" */
    const char *role_id;
    bool inherited; /* to the projects of a domain or below a project */
};

struct app_credential {
    struct record rec;
    const char *user_id;
    const char *project_id;
    const char *name;
    const char *description;
    const char *secret_hash; /* hex SHA-256 of a secret of 256 random bits, or
                              * "scrypt$..." when the user chose the secret */
    struct strs role_ids;
    int64_t expires; /* 0 = never */
    bool unrestricted;
    int64_t created;
};

#endif
