/*
 * resource - plain resources as tables.
 *
 * A flavor, a network, a volume type, a project: most of an OpenStack API is
 * list, show, create, update and delete of one record kind.  Here those five
 * are written once and driven by a table of attributes; what is particular
 * about a resource stands in its hooks.
 *
 *   list    filters by query (repeated = any of), sort_key/sort_dir or
 *           sort=key:dir, limit and marker with links in the service's way,
 *           fields= where the service has it; only what the caller may see
 *   create  envelope, unknown and missing attributes, checks by attribute,
 *           defaults, project of the caller, id, created/updated, quota,
 *           the `created` hook, one transaction; 201 (or `created_status`)
 *   show    404 when not visible
 *   update  only A_UPDATE attributes; the `updated` hook
 *   delete  the `deleted` hook (in use? release claims), quota given back
 */
#ifndef CAIRN_REST_API_RESOURCE_H
#define CAIRN_REST_API_RESOURCE_H

#include "rest-api/request.h"
#include "rest-api/route.h"

enum attr_check {
    CHECK_NONE, /* type of the field only */
    CHECK_NAME, /* string of min..max (default 0..255) characters, UTF-8 */
    CHECK_TEXT, /* the same, default max 255; control characters allowed */
    CHECK_ID,   /* UUID or 32 hex digits */
    CHECK_BOOL, /* true, false, and "true"/"False"/0/1 where neutron takes it */
    CHECK_INT,  /* min..max; digits in a string are taken too */
    CHECK_ENUM, /* one of `choices` */
    CHECK_IP,
    CHECK_CIDR,
    CHECK_MAC,
    CHECK_STRS, /* array of strings, each at most max long */
    CHECK_MAP,  /* object of strings */
};

#define A_CREATE    0x001u /* may be given on create */
#define A_UPDATE    0x002u /* may be given on update */
#define A_REQUIRED  0x004u /* must be given on create */
#define A_NULL      0x008u /* null is taken (and clears) */
#define A_FILTER    0x010u /* may be filtered and sorted by */
#define A_ADMIN_SET 0x020u /* only an admin may give it */
#define A_ADMIN_SEE 0x040u /* only an admin sees it */
#define A_HIDDEN    0x080u /* never shown */
#define A_DETAIL    0x100u /* left out of the summary list */
#define A_CU        (A_CREATE | A_UPDATE)

struct attr {
    const char *name;  /* in the API */
    const char *field; /* in the record; NULL: the same name */
    unsigned flags;
    enum attr_check check;
    int64_t min, max;
    const char *const *choices;
    const char *dflt; /* JSON text set on create when it is not given */
    /* Instead of the field's plain way: */
    void (*show)(struct req *r, struct jw *w, const char *name,
                 const void *record);
    bool (*set)(struct req *r, void *record, const struct attr *a,
                const json_t *value); /* false: r->err is set */
    /* Filter of its own: does the record match the value asked for? */
    bool (*matches)(struct req *r, const void *record, const char *value);
    microversion since; /* shown and taken from this one on; 0 = always */
};
#define ATTR_END                                                               \
    {                                                                          \
        NULL                                                                   \
    }

struct resource {
    const struct kind *kind;
    const char *singular, *plural; /* "network", "networks": envelopes */
    const char *noun;              /* "Network": for messages */
    const char *not_found_type;    /* "NetworkNotFound": neutron's name */
    const struct attr *attrs;
    bool hex_id; /* 32 hex digits instead of a UUID */
    const char *quota_service, *quota_name;             /* NULL: none */
    int created_status, updated_status, deleted_status; /* 0: 201, 200, 204 */
    const char *path; /* "/v2.0/networks": of its links */
    enum time_style times;

    /* May the caller see it?  Default: field "project_id" is the caller's,
     * or the caller is admin, or the kind has no such field. */
    bool (*visible)(struct req *r, const void *record);
    /* May the caller change it?  Default: the same.  If visible but not
     * this: 403. */
    bool (*writable)(struct req *r, const void *record);
    /* Called with the filled draft before it goes into the txn: checks
     * against the snapshot, further records, claims.  False: r->err. */
    bool (*created)(struct req *r, void *draft, const json_t *body);
    bool (*updated)(struct req *r, const void *old, void *draft,
                    const json_t *body);
    bool (*deleted)(struct req *r, const void *record);
};

handler_fn resource_list, resource_show, resource_create, resource_update,
    resource_delete;

/* The parts, for handlers written by hand. */
void resource_write(struct req *r, const struct resource *res, struct jw *w,
                    const char *key, const void *record);
bool resource_fill(struct req *r, const struct resource *res, void *draft,
                   const json_t *body, bool creating);
/* Visible record or NULL with r->err set as this service says it. */
const void *resource_get(struct req *r, const struct resource *res,
                         const char *id);

/* The same for those who want to change it: ERR_FORBIDDEN when it is visible
 * but another's. */
const void *resource_get_writable(struct req *r, const struct resource *res,
                                  const char *id);

/* Listing for handlers that write their own items (servers): collects what
 * passes visible() and `filter`, sorts, cuts out the page.  The result lives
 * in the request's arena; *more says whether there is a next page. */
struct page {
    const void **v;
    size_t n;
    bool more;
};
struct page_spec {
    const struct kind *kind;
    const char *index, *index_key; /* walk only these; NULL: all */
    bool (*filter)(struct req *r, const void *record, void *arg);
    void *arg;
    const char *default_sort; /* field name */
    bool default_descending;
    /* API names of sort keys -> record fields; up to NULL.  NULL = none. */
    const char *const (*sort_names)[2];
    int64_t limit_max; /* and default; 1000 */
};
/* False: r->err (bad marker, limit or sort key). */
bool page_collect(struct req *r, const struct page_spec *spec,
                  struct page *page);
/* The query of the next page's link: "?marker=..&limit=..", all else kept. */
const char *page_next_query(struct req *r, const struct page *page);

#endif
