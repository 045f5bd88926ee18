/* GET /servers: filters, pages. */
#include "openstack-compat/compute/nova.h"

#include <regex.h>
#include <string.h>

/* ---- filters ----------------------------------------------------------- */

/* One filter of the query.  A pattern is an extended regular expression, as
 * nova hands it to its database: anywhere in the text unless it is anchored. */
struct asked;
struct filter {
    const char *name;
    bool (*matches)(struct req *r, const struct server *s,
                    const struct asked *a);
    enum { PLAIN, PATTERN, WHEN, TRUTH } type;
};

#define ASKED_MAX 32
struct asked {
    const struct filter *filter;
    const char *value;
    regex_t regex;
    int64_t when;
    bool truth;
};

struct query {
    struct asked v[ASKED_MAX];
    size_t n;
};

static bool fits(const struct asked *a, const char *text)
{
    return text && regexec(&a->regex, text, 0, NULL, 0) == 0;
}

static bool same(const char *have, const struct asked *a)
{
    return have && strcmp(have, a->value) == 0;
}

static bool by_name(struct req *r, const struct server *s,
                    const struct asked *a)
{
    return fits(a, s->name);
}

static bool by_description(struct req *r, const struct server *s,
                           const struct asked *a)
{
    return fits(a, s->description);
}

static bool by_hostname(struct req *r, const struct server *s,
                        const struct asked *a)
{
    return fits(a, s->hostname);
}

static bool by_status(struct req *r, const struct server *s,
                      const struct asked *a)
{
    return strcasecmp(server_status(s), a->value) == 0;
}

static bool by_vm_state(struct req *r, const struct server *s,
                        const struct asked *a)
{
    return strcasecmp(vm_state_names[s->vm_state], a->value) == 0;
}

static bool by_task_state(struct req *r, const struct server *s,
                          const struct asked *a)
{
    return s->task_state &&
           strcasecmp(task_state_names[s->task_state], a->value) == 0;
}

static bool by_power_state(struct req *r, const struct server *s,
                           const struct asked *a)
{
    return s->power_state == strtoll(a->value, NULL, 10);
}

static bool by_image(struct req *r, const struct server *s,
                     const struct asked *a)
{
    return same(s->image_id, a);
}

static bool by_flavor(struct req *r, const struct server *s,
                      const struct asked *a)
{
    return same(s->flavor_id, a);
}

/* Where servers run, and whose they are, is for administrators to ask. */
static bool by_host(struct req *r, const struct server *s,
                    const struct asked *a)
{
    return !r->auth.is_admin || same(s->node, a);
}

static bool by_project(struct req *r, const struct server *s,
                       const struct asked *a)
{
    return !r->auth.is_admin || same(s->project_id, a);
}

static bool by_user(struct req *r, const struct server *s,
                    const struct asked *a)
{
    return same(s->user_id, a);
}

static bool by_id(struct req *r, const struct server *s, const struct asked *a)
{
    return same(s->rec.id, a);
}

static bool by_zone(struct req *r, const struct server *s,
                    const struct asked *a)
{
    return same(s->zone, a);
}

static bool by_key(struct req *r, const struct server *s, const struct asked *a)
{
    return same(s->key_name, a);
}

static bool by_reservation(struct req *r, const struct server *s,
                           const struct asked *a)
{
    return same(s->reservation_id, a);
}

static bool since(struct req *r, const struct server *s, const struct asked *a)
{
    return s->updated >= a->when;
}

static bool before(struct req *r, const struct server *s, const struct asked *a)
{
    return s->updated <= a->when;
}

static bool by_locked(struct req *r, const struct server *s,
                      const struct asked *a)
{
    return s->locked == a->truth;
}

static bool by_config_drive(struct req *r, const struct server *s,
                            const struct asked *a)
{
    return s->config_drive == a->truth;
}

/* A deleted server leaves no record. */
static bool by_deleted(struct req *r, const struct server *s,
                       const struct asked *a)
{
    return !a->truth;
}

/* How many of the comma-separated tags does it have? */
static size_t tags_had(struct req *r, const struct server *s, const char *value,
                       size_t *n)
{
    char *list = arena_strdup(&r->arena, value), *rest = NULL;
    size_t had = 0;
    *n = 0;
    for (char *t = strtok_r(list, ",", &rest); t;
         t = strtok_r(NULL, ",", &rest)) {
        ++*n;
        had += strs_has(&s->tags, t);
    }
    return had;
}

static bool tags_all(struct req *r, const struct server *s,
                     const struct asked *a)
{
    size_t n;
    return tags_had(r, s, a->value, &n) == n;
}

static bool tags_any(struct req *r, const struct server *s,
                     const struct asked *a)
{
    size_t n;
    return tags_had(r, s, a->value, &n) > 0;
}

static bool tags_not_all(struct req *r, const struct server *s,
                         const struct asked *a)
{
    return !tags_all(r, s, a);
}

static bool tags_not_any(struct req *r, const struct server *s,
                         const struct asked *a)
{
    return !tags_any(r, s, a);
}

static bool by_address(struct req *r, const struct server *s,
                       const struct asked *a, bool v6)
{
    const struct port *ports[SERVER_PORTS_MAX];
    size_t n = server_ports(r, s, ports);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ports[i]->fixed_ips.n; k++) {
            const char *have =
                LIST_AT(ports[i]->fixed_ips, struct fixed_ip, k)->ip_address;
            if ((strchr(have, ':') != NULL) == v6 && fits(a, have))
                return true;
        }
    return false;
}

static bool by_ip(struct req *r, const struct server *s, const struct asked *a)
{
    return by_address(r, s, a, false);
}

static bool by_ip6(struct req *r, const struct server *s, const struct asked *a)
{
    return by_address(r, s, a, true);
}

static const struct filter filters[] = {
    { "name", by_name, PATTERN },
    { "display_name", by_name, PATTERN },
    { "description", by_description, PATTERN },
    { "hostname", by_hostname, PATTERN },
    { "ip", by_ip, PATTERN },
    { "ip6", by_ip6, PATTERN },
    { "status", by_status, PLAIN },
    { "vm_state", by_vm_state, PLAIN },
    { "task_state", by_task_state, PLAIN },
    { "power_state", by_power_state, PLAIN },
    { "image", by_image, PLAIN },
    { "flavor", by_flavor, PLAIN },
    { "host", by_host, PLAIN },
    { "node", by_host, PLAIN },
    { "project_id", by_project, PLAIN },
    { "tenant_id", by_project, PLAIN },
    { "user_id", by_user, PLAIN },
    { "uuid", by_id, PLAIN },
    { "availability_zone", by_zone, PLAIN },
    { "key_name", by_key, PLAIN },
    { "reservation_id", by_reservation, PLAIN },
    { "changes-since", since, WHEN },
    { "changes-before", before, WHEN },
    { "locked", by_locked, TRUTH },
    { "config_drive", by_config_drive, TRUTH },
    { "deleted", by_deleted, TRUTH },
    { "tags", tags_all, PLAIN },
    { "tags-any", tags_any, PLAIN },
    { "not-tags", tags_not_all, PLAIN },
    { "not-tags-any", tags_not_any, PLAIN },
};

/* ---- reading the query ------------------------------------------------- */

#define PATTERN_MAX 255

/* Counted repetition and references back can cost any amount of memory and
 * time: they are refused, all else takes time linear in the text. */
static bool pattern_bearable(const char *p)
{
    if (strlen(p) > PATTERN_MAX)
        return false;
    for (; *p; p++) {
        if (*p == '{' || (*p == '\\' && p[1] >= '0' && p[1] <= '9'))
            return false;
        if (*p == '\\' && p[1])
            p++;
    }
    return true;
}

static bool bad_value(struct req *r, const struct asked *a)
{
    return error_set(&r->err, ERR_INVALID,
                     "Invalid input for query parameters %s: '%.64s'",
                     a->filter->name, a->value);
}

static bool read_value(struct req *r, struct asked *a)
{
    switch (a->filter->type) {
    case WHEN:
        return time_parse(a->value, &a->when) || bad_value(r, a);
    case TRUTH:
        return parse_bool(a->value, &a->truth) || bad_value(r, a);
    case PATTERN:
        return (pattern_bearable(a->value) &&
                regcomp(&a->regex, a->value, REG_EXTENDED | REG_NOSUB) == 0) ||
               bad_value(r, a);
    case PLAIN:
        return true;
    }
    return true;
}

static void query_free(struct query *q)
{
    for (size_t i = 0; i < q->n; i++)
        if (q->v[i].filter->type == PATTERN)
            regfree(&q->v[i].regex);
}

static const struct filter *find_filter(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
        if (strcmp(filters[i].name, name) == 0)
            return &filters[i];
    return NULL;
}

/* False: r->err; what was read so far is to be freed in any case. */
static bool query_read(struct req *r, struct query *q)
{
    const struct params *p = &r->http->query;
    for (size_t i = 0; i < p->n; i++) {
        const struct filter *f = find_filter(p->v[i].name);
        if (!f)
            continue;
        if (q->n == ASKED_MAX)
            return error_set(&r->err, ERR_INVALID,
                             "At most %d filters are taken.", ASKED_MAX);
        struct asked *a = &q->v[q->n];
        *a = (struct asked){ .filter = f, .value = p->v[i].value };
        if (!read_value(r, a))
            return false;
        q->n++;
    }
    return true;
}

/* Several values of one name: any of them. */
static bool one_matches(struct req *r, const struct server *s,
                        const struct query *q, const struct filter *f)
{
    for (size_t i = 0; i < q->n; i++)
        if (q->v[i].filter == f && f->matches(r, s, &q->v[i]))
            return true;
    return false;
}

static bool listed(struct req *r, const void *record, void *arg)
{
    const struct query *q = arg;
    for (size_t i = 0; i < q->n; i++)
        if (!one_matches(r, record, q, q->v[i].filter))
            return false;
    return true;
}

/* ---- lists ------------------------------------------------------------- */

static bool differs(const char *asked, const char *own)
{
    return asked && (!own || strcmp(asked, own) != 0);
}

/* Of all projects?  An administrator who names another project means so. */
static bool read_scope(struct req *r, bool detail, bool *all)
{
    const char *text = req_query(r, "all_tenants");
    const char *project = req_query(r, "tenant_id");
    project = project ? project : req_query(r, "project_id");
    *all =
        text ? true : r->auth.is_admin && differs(project, r->auth.project_id);
    if (text && *text && !parse_bool(text, all))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid value '%.40s' for "
                         "all_tenants",
                         text);
    return !*all || r->auth.is_admin ||
           error_set(&r->err, ERR_FORBIDDEN,
                     "Policy doesn't allow os_compute_api:servers:%s:"
                     "get_all_tenants to be performed.",
                     detail ? "detail" : "index");
}

static const char *const server_sorts[][2] = {
    { "uuid", "id" },
    { "created_at", "created" },
    { "updated_at", "updated" },
    { "display_name", "name" },
    { "display_description", "description" },
    { "host", "node" },
    { "launched_at", "launched" },
    { "instance_type_id", "flavor_id" },
    { "image_ref", "image_id" },
    { NULL, NULL },
};

static bool collect(struct req *r, bool detail, struct query *q,
                    struct page *page)
{
    bool all;
    struct page_spec spec = {
        .kind = &kind_server,
        .arg = q,
        .default_sort = "created",
        .default_descending = true,
        .sort_names = server_sorts,
    };
    if (!query_read(r, q) || !read_scope(r, detail, &all))
        return false;
    if (q->n)
        spec.filter = listed;
    if (!all) {
        spec.index = "project_id";
        spec.index_key = r->auth.project_id;
    }
    return page_collect(r, &spec, page);
}

static enum outcome list(struct req *r, bool detail)
{
    struct page page;
    struct query q = { .n = 0 };
    bool ok = collect(r, detail, &q, &page);
    query_free(&q);
    if (!ok)
        return req_failed(r);
    struct jw w = req_json(r);
    struct fragment_key key = server_detail_key(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "servers");
    for (size_t i = 0; i < page.n; i++)
        if (detail)
            server_write_kept(r, &w, NULL, page.v[i], &key);
        else
            server_write(r, &w, NULL, page.v[i], false);
    jw_arr_end(&w);
    if (page.more && page.n) {
        jw_arr(&w, "servers_links");
        jw_obj(&w, NULL);
        jw_str(&w, "rel", "next");
        jw_strf(&w, "href", "%s/v2.1/servers%s%s", req_base_url(r),
                detail ? "/detail" : "", page_next_query(r, &page));
        jw_obj_end(&w);
        jw_arr_end(&w);
    }
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome server_list(struct req *r)
{
    return list(r, false);
}

enum outcome server_detail(struct req *r)
{
    return list(r, true);
}
