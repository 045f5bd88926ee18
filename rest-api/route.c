#include "rest-api/route.h"

#include "rest-api/api.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- services and paths ------------------------------------------------ */

static const struct service_api *find_service(const char *path,
                                              const char **rest)
{
    for (size_t i = 0; api_services[i]; i++) {
        const struct service_api *s = api_services[i];
        size_t len = strlen(s->prefix);
        if (strncmp(path, s->prefix, len) == 0 &&
            (path[len] == '/' || path[len] == '\0')) {
            *rest = path + len;
            return s;
        }
    }
    return NULL;
}

static size_t segment_len(const char *s)
{
    return strcspn(s, "/");
}

/* A project id as a path segment: 32 hex digits, with or without dashes. */
static bool is_project_segment(const char *s)
{
    size_t n = segment_len(s), digits = 0;
    for (size_t i = 0; i < n; i++)
        if (isxdigit((unsigned char)s[i]))
            digits++;
        else if (s[i] != '-')
            return false;
    return digits == 32;
}

/* "/v3/<project id>/volumes" -> "/v3/volumes" */
static const char *without_project(struct req *r, const char *path)
{
    if (!r->service->project_in_path || path[0] != '/')
        return path;
    size_t version = 1 + segment_len(path + 1);
    if (path[version] != '/' || !is_project_segment(path + version + 1))
        return path;
    size_t id = segment_len(path + version + 1);
    return req_strf(r, "%.*s%s", (int)version, path, path + version + 1 + id);
}

static bool take_param(struct req *r, const char *text, size_t len, int *n)
{
    char *value = arena_strndup(&r->arena, text, len);
    if (*n == API_PARAMS_MAX || !len || !http_unescape(value, false))
        return false;
    r->param[(*n)++] = value;
    return true;
}

static bool path_matches(struct req *r, const char *pattern, const char *path)
{
    int n = 0;
    for (;;) {
        while (*pattern == '/')
            pattern++;
        while (*path == '/')
            path++;
        if (!*pattern || !*path)
            return *pattern == *path;
        size_t plen = segment_len(pattern), len = segment_len(path);
        if (*pattern == '{') {
            if (!take_param(r, path, len, &n))
                return false;
        } else if (plen != len || memcmp(pattern, path, len) != 0) {
            return false;
        }
        pattern += plen;
        path += len;
    }
}

static bool version_fits(const struct route *route, microversion mv)
{
    return (!route->first || mv >= route->first) &&
           (!route->last || mv <= route->last);
}

/* HEAD is answered by GET's row where it has none of its own. */
static bool method_fits(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0;
}

static bool find_route(struct req *r, const char *path, const char *method,
                       bool *path_known)
{
    for (const struct route *x = r->service->routes; x->method; x++) {
        bool fits = method_fits(x, method);
        if ((!fits && *path_known) || !version_fits(x, r->mv) ||
            !path_matches(r, x->path, path))
            continue;
        *path_known = true;
        if (fits) {
            r->route = x;
            return true;
        }
    }
    return false;
}

/* Sets r->mv from the headers; false: NOT_ACCEPTABLE.  Echo headers are
 * added to the response. */
static bool negotiate(struct req *r);

bool route_match(struct req *r)
{
    const char *path, *method = r->http->method;
    r->service = find_service(r->http->path, &path);
    if (!r->service)
        return error_set(&r->err, ERR_NOT_FOUND,
                         "The resource could not be found.");
    /* The list of versions is there for whoever asks for one too high. */
    if (path[strspn(path, "/")] && !negotiate(r))
        return false;
    bool known = false;
    path = without_project(r, path);
    if (find_route(r, path, method, &known) ||
        (strcmp(method, "HEAD") == 0 && find_route(r, path, "GET", &known)))
        return true;
    return known ? error_set(&r->err, ERR_METHOD,
                             "The method is not allowed for this resource.")
                 : error_set(&r->err, ERR_NOT_FOUND,
                             "The resource could not be found.");
}

/* ---- microversions ----------------------------------------------------- */

/* "2.90" -> MV(2, 90); -1 when it is none. */
static microversion parse_version(const char *s, const char **end)
{
    char *dot, *stop;
    long major = strtol(s, &dot, 10);
    if (dot == s || *dot != '.' || !isdigit((unsigned char)dot[1]))
        return -1;
    long minor = strtol(dot + 1, &stop, 10);
    *end = stop;
    if (major < 0 || major > 99 || minor < 0 || minor > 999)
        return -1;
    return MV((int)major, (int)minor);
}

/* The part of "compute 2.90, volume 3.1" that is meant for `type`. */
static const char *version_for(const char *header, const char *type)
{
    size_t len = strlen(type);
    for (const char *s = header; s && *s; s = strchr(s, ',')) {
        s += strspn(s, ", ");
        if (strncasecmp(s, type, len) == 0 && s[len] == ' ')
            return s + len + strspn(s + len, " ");
    }
    return NULL;
}

static const char *asked_version(struct req *r)
{
    const struct service_api *s = r->service;
    const char *h = req_header(r, "OpenStack-API-Version");
    const char *asked = h ? version_for(h, s->type) : NULL;
    if (!asked && h && strcmp(s->type, "volumev3") == 0)
        asked = version_for(h, "volume");
    if (!asked && s->style == STYLE_NOVA)
        asked = req_header(r, "X-OpenStack-Nova-API-Version");
    return asked;
}

static bool bad_version(struct req *r, enum error_code code, const char *asked)
{
    const struct service_api *s = r->service;
    if (code == ERR_INVALID)
        return error_set(&r->err, code,
                         "API Version String %.20s is of invalid format. Must "
                         "be of format MajorNum.MinorNum.",
                         asked);
    return error_set(&r->err, code,
                     "Version %.*s is not supported by the API. Minimum is "
                     "%d.%d and maximum is %d.%d.",
                     (int)strcspn(asked, ", "), asked, s->first / 1000,
                     s->first % 1000, s->last / 1000, s->last % 1000);
}

static char *add_number(char *p, int n)
{
    if (n >= 10)
        p = add_number(p, n / 10);
    *p++ = (char)('0' + n % 10);
    return p;
}

/* "compute 2.90"; each answer has it, and printf would be a tenth of its
 * cost. */
static const char *version_text(struct req *r, const char *type)
{
    size_t n = strlen(type);
    char *text = arena_alloc(&r->arena, n + 16), *p = text;
    memcpy(p, type, n);
    p += n;
    *p++ = ' ';
    p = add_number(p, r->mv / 1000);
    *p++ = '.';
    *add_number(p, r->mv % 1000) = '\0';
    return text;
}

static void echo_version(struct req *r)
{
    const struct service_api *s = r->service;
    const char *type = strcmp(s->type, "volumev3") == 0 ? "volume" : s->type;
    const char *text = version_text(r, type);
    http_header(&r->resp, "OpenStack-API-Version", text);
    if (s->style == STYLE_NOVA)
        http_header(&r->resp, "X-OpenStack-Nova-API-Version",
                    text + strlen(type) + 1);
    http_header(&r->resp, "Vary",
                s->style == STYLE_NOVA
                    ? "OpenStack-API-Version, X-OpenStack-Nova-API-Version"
                    : "OpenStack-API-Version");
}

static bool negotiate(struct req *r)
{
    const struct service_api *s = r->service;
    const char *asked, *end = "";
    r->mv = s->first;
    if (!s->first)
        return true;
    asked = asked_version(r);
    if (asked && strncasecmp(asked, "latest", 6) == 0) {
        r->mv = s->last;
    } else if (asked) {
        microversion mv = parse_version(asked, &end);
        if (mv < 0 || (*end && !strchr(", ", *end)))
            return bad_version(r, ERR_INVALID, asked);
        if (mv < s->first || mv > s->last)
            return bad_version(r, ERR_NOT_ACCEPTABLE, asked);
        r->mv = mv;
    }
    echo_version(r);
    return true;
}
