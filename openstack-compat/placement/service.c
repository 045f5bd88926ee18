/* Placement's discovery document, classes, traits and routes. */
#include "openstack-compat/placement/placement.h"

#include "openstack-compat/discovery.h"

#include <string.h>

static enum outcome placement_versions(struct req *r)
{
    static const struct api_version version = {
        .id = "v1.0",
        .status = "CURRENT",
        .newest = "max_version",
        .first = PLACEMENT_MIN,
        .last = PLACEMENT_MAX,
    };
    return discovery_list(r, 200, &version, 1);
}

/* ---- resource classes -------------------------------------------------- */

const char *const class_names[] = { "VCPU", "MEMORY_MB", "DISK_GB", "PCPU",
                                    NULL };

static void write_class(struct jw *w, const char *name)
{
    jw_obj(w, NULL);
    jw_str(w, "name", name);
    jw_arr(w, "links");
    jw_obj(w, NULL);
    jw_str(w, "rel", "self");
    jw_strf(w, "href", "/placement/resource_classes/%s", name);
    jw_obj_end(w);
    jw_arr_end(w);
    jw_obj_end(w);
}

static enum outcome class_list(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "resource_classes");
    for (int c = 0; c < N_CLASSES; c++)
        write_class(&w, class_names[c]);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome class_show(struct req *r)
{
    int c = enum_from_name(class_names, r->param[0]);
    if (c < 0)
        return req_fail(r, ERR_NOT_FOUND, "No such resource class %.80s",
                        r->param[0]);
    struct jw w = req_json(r);
    write_class(&w, class_names[c]);
    return req_reply(r, 200);
}

/* ---- traits ------------------------------------------------------------ */

const char *const trait_names[] = {
    "COMPUTE_IMAGE_TYPE_ISO",  "COMPUTE_IMAGE_TYPE_QCOW2",
    "COMPUTE_IMAGE_TYPE_RAW",  "COMPUTE_NODE",
    "COMPUTE_STATUS_DISABLED", "HW_ARCH_AARCH64",
    "HW_ARCH_X86_64",          NULL
};

static bool is_machine(const struct node *n, const char *name)
{
    return n->machine && strcmp(n->machine, name) == 0;
}

bool node_has_trait(const struct node *n, const char *trait)
{
    if (strcmp(trait, "COMPUTE_STATUS_DISABLED") == 0)
        return n->disabled;
    if (strcmp(trait, "HW_ARCH_X86_64") == 0)
        return is_machine(n, "x86_64");
    if (strcmp(trait, "HW_ARCH_AARCH64") == 0)
        return is_machine(n, "aarch64");
    return enum_from_name(trait_names, trait) >= 0;
}

void write_traits(struct jw *w, const char *key, const struct node *n)
{
    jw_arr(w, key);
    for (const char *const *t = trait_names; *t; t++)
        if (node_has_trait(n, *t))
            jw_str(w, NULL, *t);
    jw_arr_end(w);
}

static bool in_list(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *s = list; *s; s += strcspn(s, ","), s += *s == ',')
        if (strcspn(s, ",") == len && memcmp(s, name, len) == 0)
            return true;
    return false;
}

/* ?name=in:A,B or ?name=startswith:HW_ */
static bool trait_wanted(const char *filter, const char *name)
{
    if (!filter)
        return true;
    if (strncmp(filter, "in:", 3) == 0)
        return in_list(filter + 3, name);
    return strncmp(filter + 11, name, strlen(filter + 11)) == 0;
}

static enum outcome trait_list(struct req *r)
{
    const char *filter = req_query(r, "name");
    if (filter && strncmp(filter, "in:", 3) != 0 &&
        strncmp(filter, "startswith:", 11) != 0)
        return req_fail(r, ERR_INVALID,
                        "Badly formatted name parameter. Expected name query "
                        "string parameter in form: "
                        "?name=[in|startswith]:[name1,name2|prefix].");
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "traits");
    for (const char *const *t = trait_names; *t; t++)
        if (trait_wanted(filter, *t))
            jw_str(&w, NULL, *t);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome trait_show(struct req *r)
{
    if (enum_from_name(trait_names, r->param[0]) >= 0)
        return req_reply(r, 204);
    return req_fail(r, ERR_NOT_FOUND, "No such trait(s): %.80s.", r->param[0]);
}

/* ---- routes ------------------------------------------------------------ */

#define A POLICY_ADMIN
#define P "/resource_providers"

static const struct route routes[] = {
    { "GET", "/", placement_versions, POLICY_PUBLIC },
    { "GET", P, provider_list, A },
    { "GET", P "/{uuid}", provider_show, A },
    { "GET", P "/{uuid}/inventories", provider_inventories, A },
    { "GET", P "/{uuid}/inventories/{class}", provider_inventory, A },
    { "GET", P "/{uuid}/usages", provider_usages, A },
    { "GET", P "/{uuid}/aggregates", provider_aggregates, A, 0, MV(1, 1) },
    { "GET", P "/{uuid}/traits", provider_traits, A, 0, MV(1, 6) },
    { "GET", P "/{uuid}/allocations", provider_allocations, A },
    { "GET", "/allocations/{consumer}", consumer_allocations, A },
    { "GET", "/usages", project_usages, POLICY_READER, 0, MV(1, 9) },
    { "GET", "/resource_classes", class_list, A, 0, MV(1, 2) },
    { "GET", "/resource_classes/{name}", class_show, A, 0, MV(1, 2) },
    { "GET", "/traits", trait_list, A, 0, MV(1, 6) },
    { "GET", "/traits/{name}", trait_show, A, 0, MV(1, 6) },
    /* Before 1.12 its answer has another shape, which nobody asks for. */
    { "GET", "/allocation_candidates", allocation_candidates, A, 0, MV(1, 12) },
    ROUTE_END,
};

const struct service_api placement = {
    .prefix = "/placement",
    .type = "placement",
    .name = "placement",
    .style = STYLE_PLACEMENT,
    .first = PLACEMENT_MIN,
    .last = PLACEMENT_MAX,
    .url_tail = "",
    .routes = routes,
};
