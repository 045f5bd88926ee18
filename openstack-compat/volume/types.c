/* Volume types and who may use them. */
#include "openstack-compat/identity/names.h"
#include "openstack-compat/volume/cinder.h"

#include <string.h>
#include <strings.h>

/* ---- attributes -------------------------------------------------------- */

static void show_public(struct req *r, struct jw *w, const char *name,
                        const void *record)
{
    jw_bool(w, name, !((const struct volume_type *)record)->is_private);
}

static bool set_public(struct req *r, void *record, const struct attr *a,
                       const json_t *value)
{
    ((struct volume_type *)record)->is_private = !json_is_true(value);
    return true;
}

/* "None": public and private alike. */
static bool matches_public(struct req *r, const void *record, const char *value)
{
    bool wanted;
    return strcasecmp(value, "none") == 0 || !parse_bool(value, &wanted) ||
           wanted == !((const struct volume_type *)record)->is_private;
}

#define ACCESS "os-volume-type-access:is_public"

static const struct attr attrs[] = {
    { "id", NULL, 0 },
    { "name", NULL, A_CU | A_REQUIRED | A_FILTER, CHECK_NAME, 1 },
    { "description", NULL, A_CU | A_NULL, CHECK_TEXT },
    { "is_public", "is_private", A_CU | A_FILTER, CHECK_BOOL,
      .show = show_public, .set = set_public, .matches = matches_public },
    { ACCESS, "is_private", A_CU, CHECK_BOOL, .show = show_public,
      .set = set_public },
    { "extra_specs", NULL, A_CREATE, CHECK_MAP },
    { "qos_specs_id", NULL, A_ADMIN_SEE },
    ATTR_END,
};

/* ---- rules ------------------------------------------------------------- */

static bool visible(struct req *r, const void *record)
{
    const struct volume_type *t = record;
    return !t->is_private || r->auth.is_admin ||
           (r->auth.project_id && strs_has(&t->projects, r->auth.project_id));
}

static bool writable(struct req *r, const void *record)
{
    return r->auth.is_admin;
}

static bool take_name(struct req *r, const struct volume_type *t)
{
    if (name_taken(r->snap, kind_volume_type.name, "", t->name))
        return error_set(&r->err, ERR_EXISTS,
                         "Volume Type %.80s already exists.", t->name);
    name_take(&r->txn, t, "", t->name);
    return true;
}

/* Of the extra specs those that we know; what others say is theirs. */
static bool check_specs(struct req *r, const struct volume_type *t)
{
    const char *storage = map_get(&t->extra_specs, SPEC_STORAGE);
    if (storage && !volume_type_is_local(t) && !volume_type_is_replicated(t))
        return error_set(&r->err, ERR_INVALID,
                         SPEC_STORAGE " must be replicated or local, not "
                                      "\"%.64s\"",
                         storage);
    return true;
}

static bool same_spec(const struct volume_type *a, const struct volume_type *b,
                      const char *key)
{
    const char *x = map_get(&a->extra_specs, key);
    const char *y = map_get(&b->extra_specs, key);
    return x && y ? strcmp(x, y) == 0 : x == y;
}

/* What volumes are made by does not change below those that are. */
bool volume_type_respec(struct req *r, const void *was, const void *draft)
{
    const struct volume_type *old = was, *t = draft;
    if (!check_specs(r, t))
        return false;
    if (same_spec(old, t, SPEC_STORAGE) && same_spec(old, t, SPEC_MULTIATTACH))
        return true;
    if (snap_find(r->snap, &kind_volume, "volume_type_id", t->rec.id))
        return error_set(&r->err, ERR_INVALID,
                         "Volume Type is currently in use.");
    return !t->encryption.id || !volume_type_is_local(t) ||
           error_set(&r->err, ERR_INVALID,
                     "Volumes on a node's own disk are not encrypted.");
}

static bool created(struct req *r, void *draft, const json_t *body)
{
    return check_specs(r, draft) && take_name(r, draft);
}

static bool updated(struct req *r, const void *old, void *draft,
                    const json_t *body)
{
    const struct volume_type *was = old, *t = draft;
    if (t->is_default && t->is_private)
        return error_set(&r->err, ERR_INVALID,
                         "The default volume type must be public.");
    if (strcmp(was->name, t->name) == 0)
        return true;
    name_release(&r->txn, was, "", was->name);
    return take_name(r, t);
}

static bool deleted(struct req *r, const void *record)
{
    const struct volume_type *t = record;
    if (t->is_default)
        return error_set(&r->err, ERR_INVALID,
                         "The volume type %s is the default volume type and "
                         "cannot be deleted.",
                         t->rec.id);
    if (snap_find(r->snap, &kind_volume, "volume_type_id", t->rec.id))
        return error_set(&r->err, ERR_INVALID,
                         "Target volume type is still in use.");
    name_release(&r->txn, t, "", t->name);
    return true;
}

const struct resource cinder_types = {
    .kind = &kind_volume_type,
    .singular = "volume_type",
    .plural = "volume_types",
    .noun = "Volume type",
    .attrs = attrs,
    .created_status = 200,
    .deleted_status = 202,
    .path = "/v3/types",
    .times = TIME_MICRO,
    .visible = visible,
    .writable = writable,
    .created = created,
    .updated = updated,
    .deleted = deleted,
};

enum outcome volume_type_default(struct req *r)
{
    struct snap_iter it = snap_all(r->snap, &kind_volume_type);
    const struct volume_type *t;
    while ((t = snap_next(&it)) && !t->is_default)
        ;
    if (!t)
        return req_fail(r, ERR_NOT_FOUND,
                        "Default volume type can not be found.");
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    resource_write(r, &cinder_types, &w, "volume_type", t);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- access ------------------------------------------------------------ */

/* Of private types only. */
static const struct volume_type *private_type(struct req *r)
{
    const struct volume_type *t = resource_get(r, &cinder_types, r->param[0]);
    if (!t || t->is_private)
        return t;
    error_set(&r->err, ERR_NOT_FOUND,
              "Access list not available for public volume types.");
    return NULL;
}

enum outcome volume_type_access(struct req *r)
{
    const struct volume_type *t = private_type(r);
    if (!t)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "volume_type_access");
    for (size_t i = 0; i < t->projects.n; i++) {
        jw_obj(&w, NULL);
        jw_str(&w, "volume_type_id", t->rec.id);
        jw_str(&w, "project_id", t->projects.v[i]);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome volume_type_action(struct req *r)
{
    json_t *args;
    const struct volume_type *was = private_type(r);
    const char *name = was ? cinder_action(r, &args) : NULL;
    if (!name)
        return req_failed(r);
    bool add = strcmp(name, "addProjectAccess") == 0;
    if (!add && strcmp(name, "removeProjectAccess") != 0)
        return cinder_no_action(r, name);
    const char *project = json_string_value(json_object_get(args, "project"));
    if (!project || !check_id(project))
        return req_fail(r, ERR_INVALID, "'project' must be a project's id");
    _autorecord_ struct volume_type *t = record_copy(was);
    if (add && strs_has(&t->projects, project))
        return req_fail(r, ERR_CONFLICT,
                        "Volume type access for %s / %s combination already "
                        "exists.",
                        t->rec.id, project);
    if (add)
        strs_add(t, &t->projects, project);
    else if (!strs_remove(&t->projects, project))
        return req_fail(r, ERR_NOT_FOUND,
                        "Volume type access not found for %s / %s "
                        "combination.",
                        t->rec.id, project);
    txn_change_record(&r->txn, t);
    return req_reply(r, 202);
}
