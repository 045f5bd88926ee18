/* What was asked of a server: os-instance-actions.  The newest stand in the
 * server's own record and go with it. */
#include "openstack-compat/compute/nova.h"

#include <string.h>

#define EVENTS_MAX 20

void server_note(struct req *r, struct server *draft, const char *action)
{
    if (draft->events.n >= EVENTS_MAX)
        list_remove(&draft->events, sizeof(struct server_event), 0);
    struct server_event *e =
        list_add(draft, &draft->events, sizeof(struct server_event));
    e->action = rec_str(draft, action);
    e->request_id = rec_str(draft, r->request_id);
    e->user_id = rec_str(draft, r->auth.user_id);
    e->project_id = rec_str(draft, r->auth.project_id);
    e->at = r->now;
}

static void write_event(struct req *r, struct jw *w, const char *key,
                        const struct server *s, const struct server_event *e,
                        bool whole)
{
    char when[TIME_TEXT_MAX];
    time_format(e->at, TIME_MICRO, when);
    jw_obj(w, key);
    jw_str(w, "action", e->action);
    jw_str(w, "instance_uuid", s->rec.id);
    jw_str(w, "request_id", e->request_id);
    jw_str(w, "user_id", e->user_id);
    jw_str(w, "project_id", e->project_id);
    jw_str(w, "start_time", when);
    jw_null(w, "message");
    if (r->mv >= MV(2, 58))
        jw_str(w, "updated_at", when);
    if (whole) {
        jw_arr(w, "events");
        jw_arr_end(w);
    }
    jw_obj_end(w);
}

enum outcome server_event_list(struct req *r)
{
    struct window page;
    const struct server *s = server_get(r, r->param[0]);
    if (!s || !window_open(r, &page))
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "instanceActions");
    for (size_t i = s->events.n; i-- > 0;) {
        const struct server_event *e =
            LIST_AT(s->events, struct server_event, i);
        if (window_takes(&page, e->request_id))
            write_event(r, &w, NULL, s, e, false);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return window_closed(r, &page) ? req_reply(r, 200) : req_failed(r);
}

enum outcome server_event_show(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    if (!s)
        return req_failed(r);
    for (size_t i = s->events.n; i-- > 0;) {
        const struct server_event *e =
            LIST_AT(s->events, struct server_event, i);
        if (strcmp(e->request_id, r->param[1]) != 0)
            continue;
        struct jw w = req_json(r);
        jw_obj(&w, NULL);
        write_event(r, &w, "instanceAction", s, e, true);
        jw_obj_end(&w);
        return req_reply(r, 200);
    }
    return req_fail(r, ERR_NOT_FOUND,
                    "Action for request_id %.64s on instance %s not found",
                    r->param[1], s->rec.id);
}
