#include "openstack-compat/compute/nova.h"

#include <stdlib.h>
#include <string.h>

/* ---- reading ----------------------------------------------------------- */

static bool flavor_visible(struct req *r, const void *record, void *arg)
{
    const struct flavor *f = record;
    return !f->is_private || r->auth.is_admin ||
           (r->auth.project_id && strs_has(&f->projects, r->auth.project_id));
}

const struct flavor *flavor_get(struct req *r, const char *id)
{
    const struct flavor *f = snap_get(r->snap, &kind_flavor, id);
    if (f && flavor_visible(r, f, NULL))
        return f;
    error_set(&r->err, ERR_NOT_FOUND, "Flavor %.80s could not be found.", id);
    return NULL;
}

static void write_swap(struct jw *w, const char *key, int64_t swap,
                       microversion mv)
{
    if (swap || mv >= MV(2, 75))
        jw_int(w, key, swap);
    else
        jw_str(w, key, "");
}

static void write_flavor(struct req *r, struct jw *w, const char *key,
                         const struct flavor *f, bool detail)
{
    jw_obj(w, key);
    jw_str(w, "id", f->rec.id);
    jw_str(w, "name", f->name);
    if (r->mv >= MV(2, 55))
        jw_str(w, "description", f->description);
    if (detail) {
        jw_int(w, "ram", f->ram_mb);
        jw_int(w, "disk", f->disk_gb);
        jw_int(w, "vcpus", f->vcpus);
        jw_int(w, "OS-FLV-EXT-DATA:ephemeral", f->ephemeral_gb);
        write_swap(w, "swap", f->swap_mb, r->mv);
        jw_bool(w, "OS-FLV-DISABLED:disabled", f->disabled);
        jw_bool(w, "os-flavor-access:is_public", !f->is_private);
        jw_real(w, "rxtx_factor", f->rxtx_factor ? f->rxtx_factor : 1.0);
        if (r->mv >= MV(2, 61))
            nova_write_map(w, "extra_specs", &f->extra_specs);
    }
    nova_links(r, w, "flavors", f->rec.id);
    jw_obj_end(w);
}

void flavor_write_embedded(struct req *r, struct jw *w, const struct server *s)
{
    jw_obj(w, "flavor");
    if (r->mv < MV(2, 47)) {
        jw_str(w, "id", s->flavor_id);
        jw_arr(w, "links");
        jw_obj(w, NULL);
        jw_str(w, "rel", "bookmark");
        jw_join(w, "href", req_base_url(r), "/flavors/", s->flavor_id, NULL);
        jw_obj_end(w);
        jw_arr_end(w);
    } else {
        jw_str(w, "original_name", s->flavor_name);
        jw_int(w, "vcpus", s->vcpus);
        jw_int(w, "ram", s->ram_mb);
        jw_int(w, "disk", s->disk_gb);
        jw_int(w, "ephemeral", s->ephemeral_gb);
        jw_int(w, "swap", s->swap_mb);
        nova_write_map(w, "extra_specs", &s->extra_specs);
    }
    jw_obj_end(w);
}

static bool min_fits(struct req *r, const char *name, int64_t have)
{
    const char *text = req_query(r, name);
    return !text || have >= strtoll(text, NULL, 10);
}

static bool listed(struct req *r, const void *record, void *arg)
{
    const struct flavor *f = record;
    const char *public = req_query(r, "is_public");
    bool want_public = true;
    if (!flavor_visible(r, f, NULL) || !min_fits(r, "minDisk", f->disk_gb) ||
        !min_fits(r, "minRam", f->ram_mb))
        return false;
    if (!r->auth.is_admin)
        return true;
    if (public && strcasecmp(public, "none") == 0)
        return true;
    if (public)
        parse_bool(public, &want_public);
    return f->is_private != want_public;
}

static const char *const flavor_sorts[][2] = {
    { "flavorid", "id" },     { "memory_mb", "ram_mb" },
    { "root_gb", "disk_gb" }, { "disk", "disk_gb" },
    { "ram", "ram_mb" },      { "created_at", "created" },
    { NULL, NULL },
};

static bool filters_ok(struct req *r)
{
    static const char *const numeric[] = { "minDisk", "minRam" };
    const char *public = req_query(r, "is_public");
    bool dummy;
    for (size_t i = 0; i < ARRAY_SIZE(numeric); i++) {
        const char *text = req_query(r, numeric[i]);
        if (text && (!*text || text[strspn(text, "0123456789")]))
            return error_set(&r->err, ERR_INVALID, "Invalid %s filter [%.40s]",
                             numeric[i], text);
    }
    return !public || strcasecmp(public, "none") == 0 ||
           parse_bool(public, &dummy) ||
           error_set(&r->err, ERR_INVALID, "Invalid is_public filter [%.40s]",
                     public);
}

static enum outcome list(struct req *r, bool detail)
{
    struct page page;
    struct page_spec spec = {
        .kind = &kind_flavor,
        .filter = listed,
        .sort_names = flavor_sorts,
    };
    if (!filters_ok(r) || !page_collect(r, &spec, &page))
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "flavors");
    for (size_t i = 0; i < page.n; i++)
        write_flavor(r, &w, NULL, page.v[i], detail);
    jw_arr_end(&w);
    if (page.more && page.n) {
        jw_arr(&w, "flavors_links");
        jw_obj(&w, NULL);
        jw_str(&w, "rel", "next");
        jw_strf(&w, "href", "%s/v2.1/flavors%s%s", req_base_url(r),
                detail ? "/detail" : "", page_next_query(r, &page));
        jw_obj_end(&w);
        jw_arr_end(&w);
    }
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome flavor_list(struct req *r)
{
    return list(r, false);
}

enum outcome flavor_detail(struct req *r)
{
    return list(r, true);
}

static enum outcome reply_flavor(struct req *r, const struct flavor *f)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_flavor(r, &w, "flavor", f, true);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome flavor_show(struct req *r)
{
    const struct flavor *f = flavor_get(r, r->param[0]);
    return f ? reply_flavor(r, f) : req_failed(r);
}

/* ---- changing ---------------------------------------------------------- */

struct number {
    const char *name;
    size_t offset;
    int64_t min, max;
    bool required;
};

static const struct number numbers[] = {
    { "vcpus", offsetof(struct flavor, vcpus), 1, 1024, true },
    { "ram", offsetof(struct flavor, ram_mb), 1, INT32_MAX, true },
    { "disk", offsetof(struct flavor, disk_gb), 0, INT32_MAX, true },
    { "OS-FLV-EXT-DATA:ephemeral", offsetof(struct flavor, ephemeral_gb), 0,
      INT32_MAX, false },
    { "swap", offsetof(struct flavor, swap_mb), 0, INT32_MAX, false },
};

static bool read_number(struct req *r, const json_t *body,
                        const struct number *n, struct flavor *f)
{
    struct attr a = { n->name, .check = CHECK_INT, .min = n->min,
                      .max = n->max };
    _autojson_ json_t *owned = NULL;
    const json_t *v = json_object_get(body, n->name);
    if (!v)
        return !n->required ||
               error_set(&r->err, ERR_INVALID, "'%s' is a required property",
                         n->name);
    if (!check_value(&a, STYLE_NOVA, v, &owned, &r->err))
        return false;
    *(int64_t *)((char *)f + n->offset) = json_integer_value(owned ? owned : v);
    return true;
}

static bool name_is_free(struct req *r, const char *name)
{
    return !snap_find(r->snap, &kind_flavor, "name", name) ||
           error_set(&r->err, ERR_EXISTS, "Flavor with name %s already exists.",
                     name);
}

static bool read_factor(struct req *r, const json_t *body, struct flavor *f)
{
    const json_t *v = json_object_get(body, "rxtx_factor");
    const char *text = json_string_value(v);
    f->rxtx_factor = !v     ? 1.0
                     : text ? strtod(text, NULL)
                            : json_number_value(v);
    return (f->rxtx_factor > 0 && f->rxtx_factor < 1e9) ||
           error_set(&r->err, ERR_INVALID,
                     "Invalid input for field/attribute rxtx_factor: a number "
                     "above 0 is expected.");
}

static bool read_public(struct req *r, const json_t *body, struct flavor *f)
{
    bool open = true;
    const json_t *v = json_object_get(body, "os-flavor-access:is_public");
    if (json_is_string(v) ? !parse_bool(json_string_value(v), &open)
                          : v && !json_is_boolean(v))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for field/attribute "
                         "os-flavor-access:is_public: a boolean is expected.");
    f->is_private = json_is_string(v) ? !open : json_is_false(v);
    return true;
}

static bool read_flavor(struct req *r, const json_t *body, struct flavor *f)
{
    static const char *const known[] = { "name",
                                         "id",
                                         "ram",
                                         "disk",
                                         "vcpus",
                                         "swap",
                                         "rxtx_factor",
                                         "OS-FLV-EXT-DATA:ephemeral",
                                         "os-flavor-access:is_public",
                                         "OS-FLV-DISABLED:disabled",
                                         "description",
                                         NULL };
    const char *name, *description;
    if (!nova_only(r, body, known) ||
        !nova_string(r, body, "name", 1, 255, &name) ||
        !nova_string(r, body, "description", 0, 65535, &description))
        return false;
    if (!name)
        return error_set(&r->err, ERR_INVALID, "'name' is a required property");
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (!read_number(r, body, &numbers[i], f))
            return false;
    if (!read_factor(r, body, f) || !read_public(r, body, f))
        return false;
    if (description && r->mv < MV(2, 55))
        return error_set(&r->err, ERR_INVALID,
                         "description needs microversion 2.55");
    f->name = rec_str(f, name);
    f->description = rec_str(f, description);
    f->created = r->now;
    return name_is_free(r, name);
}

enum outcome flavor_create(struct req *r)
{
    const json_t *body = req_envelope(r, "flavor");
    const char *id;
    char claim[STORE_KEY_MAX], key[STORE_KEY_MAX];
    const json_t *number = json_object_get(body, "id");
    if (json_is_integer(number))
        id = req_strf(r, "%lld", json_integer_value(number));
    else if (!body || !nova_string(r, body, "id", 1, 255, &id))
        return req_failed(r);
    if (!id || strcmp(id, "auto") == 0)
        id = req_uuid(r);
    _autorecord_ struct flavor *f = record_new(&kind_flavor, id);
    if (!read_flavor(r, body, f))
        return req_failed(r);
    if (snap_get(r->snap, &kind_flavor, id))
        return req_fail(r, ERR_EXISTS, "Flavor with ID %.80s already exists.",
                        id);
    txn_change_record(&r->txn, f);
    claim_take(&r->txn, claim_id(claim, "flavor/%s", f->name),
               record_key(f, key));
    return reply_flavor(r, f);
}

enum outcome flavor_update(struct req *r)
{
    static const char *const known[] = { "description", NULL };
    const struct flavor *was = flavor_get(r, r->param[0]);
    const json_t *body = was ? req_envelope(r, "flavor") : NULL;
    const char *description;
    if (!body || !nova_only(r, body, known) ||
        !nova_string(r, body, "description", 0, 65535, &description))
        return req_failed(r);
    _autorecord_ struct flavor *f = record_copy(was);
    f->description = rec_str(f, description);
    txn_change_record(&r->txn, f);
    return reply_flavor(r, f);
}

enum outcome flavor_delete(struct req *r)
{
    char claim[STORE_KEY_MAX];
    const struct flavor *f = flavor_get(r, r->param[0]);
    if (!f)
        return req_failed(r);
    txn_delete_record(&r->txn, f);
    claim_release(&r->txn, claim_id(claim, "flavor/%s", f->name));
    return req_reply(r, 202);
}

/* ---- extra specs ------------------------------------------------------- */

static enum outcome reply_specs(struct req *r, const struct map *specs)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    nova_write_map(&w, "extra_specs", specs);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome flavor_specs_list(struct req *r)
{
    const struct flavor *f = flavor_get(r, r->param[0]);
    return f ? reply_specs(r, &f->extra_specs) : req_failed(r);
}

#define SPEC_CHARS                                                             \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_:. "

static bool put_spec(struct req *r, struct flavor *f, const char *key,
                     const json_t *v)
{
    const char *text =
        json_is_integer(v) ? req_strf(r, "%lld", json_integer_value(v))
        : json_is_real(v)  ? req_strf(r, "%.15g", json_real_value(v))
                           : json_string_value(v);
    if (!*key || strlen(key) > 255 || key[strspn(key, SPEC_CHARS)])
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for field/attribute extra_specs: a key "
                         "has letters, digits, '-', '_', ':', '.', ' '.");
    if (!text || utf8_length(text) > 255)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for field/attribute %.64s: a string or "
                         "number of at most 255 characters is expected.",
                         key);
    map_put(f, &f->extra_specs, key, text);
    return true;
}

enum outcome flavor_specs_set(struct req *r)
{
    const char *key;
    json_t *value;
    const struct flavor *was = flavor_get(r, r->param[0]);
    const json_t *body = was ? req_envelope(r, "extra_specs") : NULL;
    if (!body)
        return req_failed(r);
    _autorecord_ struct flavor *f = record_copy(was);
    json_object_foreach(
        (json_t *)body, key,
        value) if (!put_spec(r, f, key, value)) return req_failed(r);
    txn_change_record(&r->txn, f);
    return reply_specs(r, &f->extra_specs);
}

static enum outcome no_spec(struct req *r)
{
    return req_fail(r, ERR_NOT_FOUND,
                    "Flavor %.80s has no extra specs with key %.80s.",
                    r->param[0], r->param[1]);
}

static enum outcome reply_spec(struct req *r, const char *value)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, r->param[1], value);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome flavor_spec_show(struct req *r)
{
    const struct flavor *f = flavor_get(r, r->param[0]);
    const char *value = f ? map_get(&f->extra_specs, r->param[1]) : NULL;
    if (!f)
        return req_failed(r);
    return value ? reply_spec(r, value) : no_spec(r);
}

enum outcome flavor_spec_set(struct req *r)
{
    const char *key = r->param[1];
    const struct flavor *was = flavor_get(r, r->param[0]);
    const json_t *value = json_object_get(r->body, key);
    if (!was)
        return req_failed(r);
    if (!value || json_object_size(r->body) != 1)
        return req_fail(r, ERR_INVALID,
                        "The body must hold '%.64s' and nothing else.", key);
    _autorecord_ struct flavor *f = record_copy(was);
    if (!put_spec(r, f, key, value))
        return req_failed(r);
    txn_change_record(&r->txn, f);
    return reply_spec(r, map_get(&f->extra_specs, key));
}

enum outcome flavor_spec_delete(struct req *r)
{
    const struct flavor *was = flavor_get(r, r->param[0]);
    if (!was)
        return req_failed(r);
    _autorecord_ struct flavor *f = record_copy(was);
    if (!map_remove(&f->extra_specs, r->param[1]))
        return no_spec(r);
    txn_change_record(&r->txn, f);
    return req_reply(r, 200);
}

/* ---- access ------------------------------------------------------------ */

static enum outcome reply_access(struct req *r, const struct flavor *f)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "flavor_access");
    for (size_t i = 0; i < f->projects.n; i++) {
        jw_obj(&w, NULL);
        jw_str(&w, "flavor_id", f->rec.id);
        jw_str(&w, "tenant_id", f->projects.v[i]);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome flavor_access_list(struct req *r)
{
    const struct flavor *f = flavor_get(r, r->param[0]);
    if (!f)
        return req_failed(r);
    if (!f->is_private)
        return req_fail(r, ERR_NOT_FOUND,
                        "Access list not available for public flavors.");
    return reply_access(r, f);
}

static bool change_access(struct req *r, struct flavor *f, bool add,
                          const char *project)
{
    bool there = strs_has(&f->projects, project);
    if (add && !f->is_private)
        return error_set(&r->err, ERR_CONFLICT,
                         "Can not add access to a public flavor.");
    if (add && there)
        return error_set(&r->err, ERR_CONFLICT,
                         "Flavor access already exists for flavor %s and "
                         "project %s combination.",
                         f->rec.id, project);
    if (!add && !there)
        return error_set(&r->err, ERR_NOT_FOUND,
                         "Flavor access not found for %s / %s combination.",
                         f->rec.id, project);
    if (add)
        strs_add(f, &f->projects, project);
    else
        strs_remove(&f->projects, project);
    return true;
}

enum outcome flavor_action(struct req *r)
{
    const struct flavor *was = flavor_get(r, r->param[0]);
    const json_t *add = json_object_get(r->body, "addTenantAccess");
    const json_t *remove = json_object_get(r->body, "removeTenantAccess");
    const char *project =
        json_string_value(json_object_get(add ? add : remove, "tenant"));
    if (!was)
        return req_failed(r);
    if (!project || json_object_size(r->body) != 1 || utf8_length(project) > 64)
        return req_fail(r, ERR_INVALID,
                        "addTenantAccess or removeTenantAccess with a tenant "
                        "is expected.");
    _autorecord_ struct flavor *f = record_copy(was);
    if (!change_access(r, f, add != NULL, project))
        return req_failed(r);
    txn_change_record(&r->txn, f);
    return reply_access(r, f);
}
