#include "daemon/api_page.h"

#include "common/cleanup.h"
#include "rest-api/route.h"

#include <string.h>

static const char *const who[] = {
    [POLICY_PUBLIC] = "anyone", [POLICY_TOKEN] = "any token",
    [POLICY_READER] = "reader", [POLICY_MEMBER] = "member",
    [POLICY_ADMIN] = "admin",
};

static void add_version(struct buf *out, microversion v)
{
    buf_addf(out, "%d.%d", v / 1000, v % 1000);
}

/* "2.26-2.43", "from 2.26", "to 2.43", or nothing. */
static void add_versions(struct buf *out, microversion first, microversion last)
{
    if (first && !last)
        buf_adds(out, "from ");
    if (first)
        add_version(out, first);
    if (last)
        buf_adds(out, first ? " to " : "to ");
    if (last)
        add_version(out, last);
}

static void add_route(struct buf *out, const struct service_api *s,
                      const struct route *r)
{
    buf_addf(out, "| %s | `%s%s` | %s | ", r->method, s->prefix, r->path,
             who[r->policy]);
    add_versions(out, r->first, r->last);
    buf_adds(out, " |\n");
}

/* Of two rows that fit a request the first answers: the generic ones of a
 * resource may have been replaced. */
static bool is_hidden(const struct service_api *s, const struct route *r)
{
    for (const struct route *e = s->routes; e < r; e++)
        if (strcmp(e->method, r->method) == 0 &&
            strcmp(e->path, r->path) == 0 && !e->first && !e->last)
            return true;
    return false;
}

static void add_service(struct buf *out, const struct service_api *s)
{
    buf_addf(out, "\n## %s", s->name);
    if (*s->type)
        buf_addf(out, " (%s)", s->type);
    buf_adds(out, "\n\n");
    if (s->last) {
        buf_adds(out, "Microversions ");
        add_versions(out, s->first, s->last);
        buf_adds(out, ".\n\n");
    }
    buf_adds(out, "| method | path | who | microversion |\n"
                  "|---|---|---|---|\n");
    for (const struct route *r = s->routes; r->method; r++)
        if (!is_hidden(s, r))
            add_route(out, s, r);
}

void api_page(struct buf *out)
{
    buf_adds(out,
             "# What the API answers\n\n"
             "<!-- Written by scripts/docs from the route tables. -->\n\n"
             "Every route of this build. What is not here answers 404, another "
             "method on a\npath that is here 405, a microversion outside the "
             "range 406. \"Who\" is the role\nthat a token needs on its "
             "project; admin implies member implies reader. What a\ncaller may "
             "see is narrower: things of another project answer 404.\n");
    for (size_t i = 0; api_services[i]; i++)
        add_service(out, api_services[i]);
}
