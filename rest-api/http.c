#include "rest-api/http.h"

#include <ctype.h>
#include <string.h>

void http_header(struct http_response *h, const char *name, const char *value)
{
    if (h->headers.n < HTTP_PARAMS_MAX)
        h->headers.v[h->headers.n++] = (struct param){ name, value };
}

const char *params_get(const struct params *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].name, name) == 0)
            return p->v[i].value;
    return NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_unescape(char *s, bool plus)
{
    char *out = s;
    for (; *s; s++) {
        if (*s == '%') {
            int hi = hex_digit(s[1]);
            int lo = hi < 0 ? -1 : hex_digit(s[2]);
            if (lo < 0 || hi * 16 + lo == 0)
                return false;
            *out++ = (char)(hi * 16 + lo);
            s += 2;
        } else {
            *out++ = plus && *s == '+' ? ' ' : *s;
        }
    }
    *out = '\0';
    return true;
}

static bool parse_pair(struct arena *a, const char *text, size_t len,
                       struct params *out)
{
    char *name = arena_strndup(a, text, len);
    char *eq = strchr(name, '=');
    char *value = eq ? eq + 1 : name + len;
    if (eq)
        *eq = '\0';
    if (!http_unescape(name, true) || !http_unescape(value, true) ||
        out->n == HTTP_PARAMS_MAX)
        return false;
    out->v[out->n++] = (struct param){ name, value };
    return true;
}

bool http_parse_query(struct arena *a, const char *query, struct params *out)
{
    out->n = 0;
    while (query && *query) {
        size_t len = strcspn(query, "&");
        if (len && !parse_pair(a, query, len, out))
            return false;
        query += len + (query[len] == '&');
    }
    return true;
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 300, "Multiple Choices" },
        { 304, "Not Modified" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 413, "Request Entity Too Large" },
        { 415, "Unsupported Media Type" },
        { 416, "Requested Range Not Satisfiable" },
        { 429, "Too Many Requests" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 507, "Insufficient Storage" },
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Unknown";
}
