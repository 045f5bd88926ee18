/* Where a request would fit, by the numbers.  Cairn's own scheduler knows
 * more (engine/); this answers those who ask placement. */
#include "openstack-compat/placement/placement.h"

#include <stdlib.h>
#include <string.h>

static bool parse_limit(struct req *r, size_t *limit)
{
    const char *text = req_query(r, "limit");
    char *end;
    *limit = SIZE_MAX;
    if (!text)
        return true;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || n < 1)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid query string parameters: limit '%.40s'",
                         text);
    *limit = (size_t)n;
    return true;
}

static void write_request(struct req *r, struct jw *w, const struct wish *wish,
                          const struct node *n)
{
    jw_obj(w, NULL);
    jw_obj(w, "allocations");
    jw_obj(w, n->hypervisor_id);
    write_amounts(w, "resources", &wish->amounts);
    jw_obj_end(w);
    jw_obj_end(w);
    if (r->mv >= MV(1, 34)) {
        jw_obj(w, "mappings");
        jw_arr(w, "");
        jw_str(w, NULL, n->hypervisor_id);
        jw_arr_end(w);
        jw_obj_end(w);
    }
    jw_obj_end(w);
}

/* Before 1.27 only the classes that were asked for. */
static void write_summary(struct req *r, struct jw *w, const struct wish *wish,
                          const struct node *n)
{
    struct amounts used = node_used(r, n);
    jw_obj(w, n->hypervisor_id);
    jw_obj(w, "resources");
    for (int c = 0; c < N_CLASSES; c++) {
        struct inventory inv = node_inventory(n, c);
        if (!inv.total || (r->mv < MV(1, 27) && !wish->amounts.n[c]))
            continue;
        jw_obj(w, class_names[c]);
        jw_int(w, "capacity", inventory_capacity(&inv));
        jw_int(w, "used", used.n[c]);
        jw_obj_end(w);
    }
    jw_obj_end(w);
    if (r->mv >= MV(1, 17))
        write_traits(w, "traits", n);
    if (r->mv >= MV(1, 29)) {
        jw_null(w, "parent_provider_uuid");
        jw_str(w, "root_provider_uuid", n->hypervisor_id);
    }
    jw_obj_end(w);
}

typedef void write_fn(struct req *r, struct jw *w, const struct wish *wish,
                      const struct node *n);

static void write_fitting(struct req *r, struct jw *w, const struct wish *wish,
                          size_t limit, write_fn *write)
{
    struct snap_iter it = snap_all(r->snap, &kind_node);
    for (const struct node *n; limit && (n = snap_next(&it));)
        if (n->hypervisor_id && wish_fits(r, wish, n)) {
            write(r, w, wish, n);
            limit--;
        }
}

enum outcome allocation_candidates(struct req *r)
{
    static const char *const known[] = { "resources", "required", "member_of",
                                         "in_tree",   "limit",    NULL };
    struct wish wish;
    size_t limit;
    if (!wish_parse(r, known, &wish) || !parse_limit(r, &limit))
        return req_failed(r);
    if (!wish.any_amount)
        return req_fail(r, ERR_INVALID,
                        "Invalid query string parameters: 'resources' is a "
                        "required property");
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "allocation_requests");
    write_fitting(r, &w, &wish, limit, write_request);
    jw_arr_end(&w);
    jw_obj(&w, "provider_summaries");
    write_fitting(r, &w, &wish, limit, write_summary);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}
