#include "cli/cloud.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/jw.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ANSWER_MAX (64 * 1024 * 1024)
#define TIMEOUT_S  60L

struct cloud {
    CURL *curl;
    char *root; /* "https://address" */
    char *token;
    struct buf answer;
};

/* ---- HTTP -------------------------------------------------------------- */

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct cloud *c = arg;
    buf_add(&c->answer, data, size * n);
    return c->answer.overflow ? 0 : size * n;
}

static size_t take_header(char *line, size_t size, size_t n, void *arg)
{
    static const char name[] = "X-Subject-Token:";
    struct cloud *c = arg;
    size_t len = size * n, skip = sizeof(name) - 1;
    if (len > skip && strncasecmp(line, name, skip) == 0) {
        while (skip < len && line[skip] == ' ')
            skip++;
        while (len > skip && (line[len - 1] == '\r' || line[len - 1] == '\n'))
            len--;
        free(c->token);
        c->token = xstrndup(line + skip, len - skip);
    }
    return size * n;
}

/* The sentence in any of the fault bodies, or the whole body. */
static bool fault(const struct cloud *c, long status, struct error *err)
{
    _autojson_ json_t *body = json_loads(buf_str(&c->answer), 0, NULL);
    const char *text = json_string_value(
        json_object_get(json_object_get(body, "error"), "message"));
    enum error_code code = status == 401   ? ERR_UNAUTHENTICATED
                           : status == 403 ? ERR_FORBIDDEN
                           : status == 404 ? ERR_NOT_FOUND
                                           : ERR_UNAVAILABLE;
    return error_set(err, code, "the pool answered %ld: %.400s", status,
                     text ? text : buf_str(&c->answer));
}

static bool perform(struct cloud *c, const char *method, const char *url,
                    const char *body, struct error *err)
{
    struct curl_slist *headers = NULL;
    long status = 0;
    headers = curl_slist_append(headers, "Content-Type: application/json");
    if (c->token) {
        _autofree_ char *token = xasprintf("X-Auth-Token: %s", c->token);
        headers = curl_slist_append(headers, token);
    }
    buf_reset(&c->answer);
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
    if (!body)
        curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    CURLcode rc = curl_easy_perform(c->curl);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (rc != CURLE_OK)
        return error_set(err, ERR_UNAVAILABLE, "%s: %s", url,
                         curl_easy_strerror(rc));
    return status < 300 || fault(c, status, err);
}

/* ---- logging in -------------------------------------------------------- */

static bool need(const char *name, const char **value, struct error *err)
{
    *value = getenv(name);
    return (*value && **value) ||
           error_set(err, ERR_INVALID,
                     "%s is not set: `. build/openrc` first (or the file your "
                     "administrator gave you)",
                     name);
}

static const char *or_default(const char *name, const char *dflt)
{
    const char *value = getenv(name);
    return value && *value ? value : dflt;
}

static void write_domain(struct jw *w, const char *variable)
{
    jw_obj(w, "domain");
    jw_str(w, "name", or_default(variable, "Default"));
    jw_obj_end(w);
}

static void write_login(struct jw *w, const char *user, const char *password,
                        const char *project)
{
    jw_obj(w, NULL);
    jw_obj(w, "auth");
    jw_obj(w, "identity");
    jw_arr(w, "methods");
    jw_str(w, NULL, "password");
    jw_arr_end(w);
    jw_obj(w, "password");
    jw_obj(w, "user");
    jw_str(w, "name", user);
    jw_str(w, "password", password);
    write_domain(w, "OS_USER_DOMAIN_NAME");
    jw_obj_end(w);
    jw_obj_end(w);
    jw_obj_end(w);
    jw_obj(w, "scope");
    jw_obj(w, "project");
    jw_str(w, "name", project);
    write_domain(w, "OS_PROJECT_DOMAIN_NAME");
    jw_obj_end(w);
    jw_obj_end(w);
    jw_obj_end(w);
    jw_obj_end(w);
}

static bool log_in(struct cloud *c, const char *auth_url, struct error *err)
{
    const char *user, *password, *project;
    if (!need("OS_USERNAME", &user, err) ||
        !need("OS_PASSWORD", &password, err) ||
        !need("OS_PROJECT_NAME", &project, err))
        return false;
    struct buf body = BUF_INIT(64 * 1024);
    struct jw w = JW_INIT(&body);
    write_login(&w, user, password, project);
    _autofree_ char *url = xasprintf("%s/auth/tokens", auth_url);
    bool ok = perform(c, "POST", url, buf_str(&body), err);
    buf_free(&body);
    if (ok && !c->token)
        return error_set(err, ERR_UNAVAILABLE, "%s gave no token", url);
    return ok;
}

/* "https://host:port/identity/v3" -> "https://host:port" */
static char *root_of(const char *auth_url)
{
    const char *host = strstr(auth_url, "://");
    size_t len = host ? (size_t)(host + 3 - auth_url) : 0;
    return xstrndup(auth_url, len + strcspn(auth_url + len, "/"));
}

struct cloud *cloud_open(struct error *err)
{
    const char *auth_url, *ca = getenv("OS_CACERT");
    if (!need("OS_AUTH_URL", &auth_url, err))
        return NULL;
    struct cloud *c = xcalloc(1, sizeof(*c));
    buf_init(&c->answer, ANSWER_MAX);
    c->root = root_of(auth_url);
    c->curl = curl_easy_init();
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    if (ca && *ca)
        curl_easy_setopt(c->curl, CURLOPT_CAINFO, ca);
    if (!log_in(c, auth_url, err)) {
        cloud_close(c);
        return NULL;
    }
    return c;
}

void cloud_close(struct cloud *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    buf_free(&c->answer);
    free(c->token);
    free(c->root);
    free(c);
}

json_t *cloud_call(struct cloud *c, const char *method, const char *path,
                   struct error *err)
{
    return cloud_send(c, method, path, NULL, err);
}

json_t *cloud_send(struct cloud *c, const char *method, const char *path,
                   const json_t *body, struct error *err)
{
    json_error_t why;
    _autofree_ char *url = xasprintf("%s/cairn/v1%s", c->root, path);
    _autofree_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    if (!perform(c, method, url, text, err))
        return NULL;
    if (!c->answer.len)
        return json_null();
    json_t *v = json_loadb(c->answer.data, c->answer.len, 0, &why);
    if (!v)
        error_set(err, ERR_UNAVAILABLE, "%s: no JSON: %s", url, why.text);
    return v;
}
