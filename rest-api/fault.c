#include "rest-api/api.h"
#include "rest-api/route.h"

#include <string.h>

/* Nova's and Cinder's names of HTTP errors. */
static const char *nova_name(int status)
{
    switch (status) {
    case 400:
        return "badRequest";
    case 401:
        return "unauthorized";
    case 403:
        return "forbidden";
    case 404:
        return "itemNotFound";
    case 405:
        return "badMethod";
    case 409:
        return "conflictingRequest";
    case 413:
    case 429:
        return "overLimit";
    case 415:
        return "badMediaType";
    case 501:
        return "notImplemented";
    case 503:
        return "serviceUnavailable";
    default:
        return "computeFault";
    }
}

static const char *neutron_type(enum error_code code)
{
    switch (code) {
    case ERR_INVALID:
        return "HTTPBadRequest";
    case ERR_FORBIDDEN:
        return "PolicyNotAuthorized";
    case ERR_QUOTA:
        return "OverQuota";
    case ERR_NOT_FOUND:
        return "HTTPNotFound";
    case ERR_CONFLICT:
    case ERR_EXISTS:
        return "Conflict";
    case ERR_NOT_IMPLEMENTED:
        return "HTTPNotImplemented";
    default:
        return "HTTPInternalServerError";
    }
}

typedef void body_fn(struct req *r, struct jw *w, int status);

static void keystone_body(struct req *r, struct jw *w, int status)
{
    jw_obj(w, "error");
    jw_int(w, "code", status);
    jw_str(w, "message", r->err.text);
    jw_str(w, "title", http_status_text(status));
    jw_obj_end(w);
}

static void nova_body(struct req *r, struct jw *w, int status)
{
    jw_obj(w, nova_name(status));
    jw_int(w, "code", status);
    jw_str(w, "message", r->err.text);
    jw_obj_end(w);
}

static void neutron_body(struct req *r, struct jw *w, int status)
{
    jw_obj(w, "NeutronError");
    jw_str(w, "type",
           r->fault_type ? r->fault_type : neutron_type(r->err.code));
    jw_str(w, "message", r->err.text);
    jw_str(w, "detail", "");
    jw_obj_end(w);
}

static void glance_body(struct req *r, struct jw *w, int status)
{
    jw_str(w, "message", r->err.text);
    jw_strf(w, "code", "%d %s", status, http_status_text(status));
    jw_str(w, "title", http_status_text(status));
}

static void placement_body(struct req *r, struct jw *w, int status)
{
    jw_arr(w, "errors");
    jw_obj(w, NULL);
    jw_int(w, "status", status);
    jw_str(w, "title", http_status_text(status));
    jw_str(w, "detail", r->err.text);
    jw_str(w, "code",
           r->fault_type ? r->fault_type : "placement.undefined_code");
    jw_str(w, "request_id", r->request_id);
    if (status == 406) {
        jw_strf(w, "max_version", "%d.%d", r->service->last / 1000,
                r->service->last % 1000);
        jw_strf(w, "min_version", "%d.%d", r->service->first / 1000,
                r->service->first % 1000);
    }
    jw_obj_end(w);
    jw_arr_end(w);
}

static body_fn *const bodies[] = {
    [STYLE_KEYSTONE] = keystone_body, [STYLE_GLANCE] = glance_body,
    [STYLE_NOVA] = nova_body,         [STYLE_NEUTRON] = neutron_body,
    [STYLE_CINDER] = nova_body,       [STYLE_PLACEMENT] = placement_body,
    [STYLE_NATIVE] = keystone_body,
};

/* Nova and Cinder answer 403 to an exceeded quota (413 for rates), Neutron
 * 409, Glance 413: API reference, "Faults" of each. */
static int fault_status(const struct req *r, enum api_style style)
{
    if (r->err.code == ERR_QUOTA && style == STYLE_NEUTRON)
        return 409;
    if (r->err.code == ERR_QUOTA &&
        (style == STYLE_GLANCE || style == STYLE_CINDER))
        return 413;
    return error_http_status(r->err.code);
}

void fault_write(struct req *r)
{
    enum api_style style = r->service ? r->service->style : STYLE_KEYSTONE;
    int status = fault_status(r, style);
    /* The token check stands before every service and speaks keystone's. */
    body_fn *body = status == 401 ? keystone_body : bodies[style];
    buf_reset(&r->resp.body);
    r->resp.blob = NULL;
    r->resp.status = status;
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    body(r, &w, status);
    jw_obj_end(&w);
    if (status == 401)
        http_header(
            &r->resp, "WWW-Authenticate",
            req_strf(r, "Keystone uri=\"%s/identity\"", r->api->public_url));
}
