#include "openstack-compat/discovery.h"

static void write_link(struct req *r, struct jw *w, const char *path)
{
    jw_arr(w, "links");
    jw_obj(w, NULL);
    jw_str(w, "rel", "self");
    if (path)
        jw_strf(w, "href", "%s/%s", req_base_url(r), path);
    else
        jw_str(w, "href", "");
    jw_obj_end(w);
    jw_arr_end(w);
}

static void write_media_type(struct jw *w, const char *type)
{
    jw_arr(w, "media-types");
    jw_obj(w, NULL);
    jw_str(w, "base", "application/json");
    jw_str(w, "type", type);
    jw_obj_end(w);
    jw_arr_end(w);
}

static void write_microversion(struct jw *w, const char *key, microversion mv)
{
    jw_strf(w, key, "%d.%d", mv / 1000, mv % 1000);
}

void discovery_version(struct req *r, struct jw *w, const char *key,
                       const struct api_version *v)
{
    jw_obj(w, key);
    jw_str(w, "id", v->id);
    jw_str(w, "status", v->status);
    if (v->newest) {
        write_microversion(w, v->newest, v->last);
        write_microversion(w, "min_version", v->first);
    }
    if (v->updated)
        jw_str(w, "updated", v->updated);
    write_link(r, w, v->path);
    if (v->media_type)
        write_media_type(w, v->media_type);
    jw_obj_end(w);
}

enum outcome discovery_list(struct req *r, int status,
                            const struct api_version *v, size_t n)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "versions");
    for (size_t i = 0; i < n; i++)
        discovery_version(r, &w, NULL, &v[i]);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, status);
}
