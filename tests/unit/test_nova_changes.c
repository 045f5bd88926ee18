/* openstack-compat/compute: servers, as clients of Compute API v2.1 change
 * them: actions, volumes and ports that come and go. */
#include "nova_world.h"

/* ---- actions ----------------------------------------------------------- */

#define BIT(s) (1u << (s))
#define ALL                                                                    \
    (BIT(VM_BUILDING) | BIT(VM_ACTIVE) | BIT(VM_STOPPED) | BIT(VM_PAUSED) |    \
     BIT(VM_SUSPENDED) | BIT(VM_ERROR))

/* Each action, and the states that it is taken in; 409 in all others. */
static const struct {
    const char *body;
    unsigned from;
    int goal;
} actions[] = {
    { "{\"os-start\":null}", BIT(VM_STOPPED), GOAL_RUNNING },
    { "{\"os-stop\":null}", BIT(VM_ACTIVE) | BIT(VM_ERROR), GOAL_STOPPED },
    { "{\"pause\":null}", BIT(VM_ACTIVE), GOAL_PAUSED },
    { "{\"unpause\":null}", BIT(VM_PAUSED), GOAL_RUNNING },
    { "{\"suspend\":null}", BIT(VM_ACTIVE), GOAL_SUSPENDED },
    { "{\"resume\":null}", BIT(VM_SUSPENDED), GOAL_RUNNING },
    { "{\"reboot\":{\"type\":\"SOFT\"}}", BIT(VM_ACTIVE), GOAL_RUNNING },
    { "{\"reboot\":{\"type\":\"HARD\"}}", ALL & ~BIT(VM_BUILDING),
      GOAL_RUNNING },
};

static int goal_of(struct world *w, const char *id)
{
    struct snapshot *s = api_snapshot(w->c);
    int goal = ((const struct server *)snap_get(s, &kind_server, id))->goal;
    snapshot_unref(s);
    return goal;
}

static void every_action_from_every_state(void **state)
{
    struct world *w = *state;
    char id[40];
    snprintf(id, sizeof(id), "%s", create(w, ""));
    char *path;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        for (int from = VM_BUILDING; from <= VM_ERROR; from++) {
            bool ok = actions[i].from & BIT(from);
            path = text(C "/servers/%s/action", id);
            set_state(w, id, from, TASK_SPAWNING);
            api_status(w->c, 409, "POST", path, w->c->demo, actions[i].body);
            set_state(w, id, from, TASK_NONE);
            api_status(w->c, ok ? 202 : 409, "POST", path, w->c->demo,
                       actions[i].body);
            if (ok)
                assert_int_equal(goal_of(w, id), actions[i].goal);
        }
}

static void odd_actions(void **state)
{
    struct world *w = *state;
    char id[40], path[100];
    snprintf(id, sizeof(id), "%s", create(w, ""));
    snprintf(path, sizeof(path), C "/servers/%s/action", id);
    set_state(w, id, VM_ACTIVE, TASK_NONE);
    api_status(w->c, 501, "POST", path, w->c->demo,
               "{\"changePassword\":{\"adminPass\":\"i\"}}");
    api_status(w->c, 501, "POST", path, w->c->demo, "{\"restore\":null}");
    api_status(w->c, 400, "POST", path, w->c->demo, "{\"dance\":null}");
    api_status(w->c, 400, "POST", path, w->c->demo, "{}");
    api_status(w->c, 400, "POST", path, w->c->demo,
               "{\"os-start\":null,\"os-stop\":null}");
    api_status(w->c, 400, "POST", path, w->c->demo, "{\"reboot\":{}}");
    api_status(w->c, 403, "POST", path, w->c->demo,
               "{\"os-resetState\":{\"state\":\"error\"}}");
    api_status(w->c, 202, "POST", path, w->c->admin,
               "{\"os-resetState\":{\"state\":\"error\"}}");
    assert_int_equal(listed(w, "status=error&status=paused"), 1);
    version(w, "2.6");
    api_status(w->c, 501, "POST", text(C "/servers/%s/remote-consoles", id),
               w->c->demo, "{\"remote_console\":{}}");
    version(w, NULL);
}

static void a_locked_server_is_left_alone(void **state)
{
    struct world *w = *state;
    char id[40], path[100];
    snprintf(id, sizeof(id), "%s", create(w, ""));
    snprintf(path, sizeof(path), C "/servers/%s/action", id);
    set_state(w, id, VM_ACTIVE, TASK_NONE);
    version(w, "2.73");
    api_status(w->c, 202, "POST", path, w->c->demo,
               "{\"lock\":{\"locked_reason\":\"why\"}}");
    json_t *s = show(w, id);
    assert_string_equal(api_text(s, "server.locked_reason"), "why");
    json_decref(s);
    assert_int_equal(listed(w, "locked=true"), 1);
    assert_int_equal(listed(w, "locked=false"), 0);
    api_status(w->c, 409, "POST", path, w->c->demo, "{\"os-stop\":null}");
    api_status(w->c, 409, "DELETE", text(C "/servers/%s", id), w->c->demo,
               NULL);
    api_status(w->c, 409, "POST", text(C "/servers/%s/metadata", id),
               w->c->demo, "{\"metadata\":{\"a\":\"b\"}}");
    api_status(w->c, 409, "POST", text(C "/servers/%s/os-interface", id),
               w->c->demo, "{\"interfaceAttachment\":{}}");
    api_status(w->c, 202, "POST", path, w->c->admin, "{\"os-stop\":null}");
    api_status(w->c, 202, "POST", path, w->c->demo, "{\"unlock\":null}");
    api_status(w->c, 204, "DELETE", text(C "/servers/%s", id), w->c->demo,
               NULL);
    /* Placed: its node has to take it down first. */
    assert_int_equal(goal_of(w, id), GOAL_DELETED);
    api_status(w->c, 409, "POST", path, w->c->demo, "{\"os-start\":null}");
    api_status(w->c, 204, "DELETE", text(C "/servers/%s", id), w->c->demo,
               NULL);
    version(w, NULL);
}

static void what_was_asked_is_remembered(void **state)
{
    struct world *w = *state;
    char id[40];
    snprintf(id, sizeof(id), "%s", create(w, ""));
    set_state(w, id, VM_ACTIVE, TASK_NONE);
    for (int i = 0; i < 30; i++) {
        api_status(w->c, 202, "POST", text(C "/servers/%s/action", id),
                   w->c->demo, "{\"reboot\":{\"type\":\"HARD\"}}");
        set_state(w, id, VM_ACTIVE, TASK_NONE);
    }
    api_status(w->c, 202, "POST", text(C "/servers/%s/action", id), w->c->demo,
               "{\"pause\":null}");
    json_t *l = api_expect(w->c, 200, "GET",
                           text(C "/servers/%s/os-instance-actions", id),
                           w->c->demo, NULL);
    assert_int_equal(json_array_size(api_at(l, "instanceActions")), 20);
    assert_string_equal(api_text(l, "instanceActions.0.action"), "pause");
    json_t *one = api_expect(w->c, 200, "GET",
                             text(C "/servers/%s/os-instance-actions/%s", id,
                                  api_text(l, "instanceActions.0.request_id")),
                             w->c->demo, NULL);
    assert_string_equal(api_text(one, "instanceAction.user_id"),
                        w->c->demo_user);
    json_decref(one);
    json_decref(l);
    api_status(w->c, 404, "GET",
               text(C "/servers/%s/os-instance-actions/req-0", id), w->c->demo,
               NULL);
}

/* ---- volumes and ports that come and go -------------------------------- */

static void attachments(void **state)
{
    static const char id[] = "d0000000-0000-4000-8000-000000000003";
    struct world *w = *state;
    char server[40], path[120];
    snprintf(server, sizeof(server), "%s", create(w, ""));
    snprintf(path, sizeof(path), C "/servers/%s/os-volume_attachments", server);
    char *body = text("{\"volumeAttachment\":{\"volumeId\":\"%s\"}}", id);
    make_volume(w, id, false);
    api_status(w->c, 409, "POST", path, w->c->demo, body); /* not there yet */
    set_state(w, server, VM_ACTIVE, TASK_NONE);
    api_status(w->c, 400, "POST", path, w->c->demo,
               "{\"volumeAttachment\":{\"volumeId\":\"x\"}}");
    api_status(w->c, 404, "POST", path, w->c->demo,
               "{\"volumeAttachment\":{\"volumeId\":\"" NONE "\"}}");
    api_status(w->c, 400, "POST", path, w->c->demo,
               text("{\"volumeAttachment\":{\"volumeId\":\"%s\",\"tag\":"
                    "\"t\"}}",
                    id));
    json_t *a = api_expect(w->c, 200, "POST", path, w->c->demo, body);
    assert_string_equal(api_text(a, "volumeAttachment.device"), "/dev/vdb");
    json_decref(a);
    api_status(w->c, 400, "POST", path, w->c->demo, body); /* it is attaching */
    version(w, "2.85");
    api_status(w->c, 202, "PUT", text("%s/%s", path, id), w->c->demo,
               text("{\"volumeAttachment\":{\"volumeId\":\"%s\","
                    "\"delete_on_termination\":true}}",
                    id));
    a = api_expect(w->c, 200, "GET", text("%s/%s", path, id), w->c->demo, NULL);
    assert_true(
        json_is_true(api_at(a, "volumeAttachment.delete_on_termination")));
    json_decref(a);
    version(w, NULL);
    api_status(w->c, 404, "DELETE", text("%s/%s", path, NONE), w->c->demo,
               NULL);
}

static void interfaces(void **state)
{
    struct world *w = *state;
    char server[40], path[120];
    snprintf(server, sizeof(server), "%s",
             create(w, text("\"networks\":[{\"uuid\":\"%s\"}]", w->network)));
    snprintf(path, sizeof(path), C "/servers/%s/os-interface", server);
    set_state(w, server, VM_ACTIVE, TASK_NONE);
    static const char *const wrong[] = {
        "",
        "\"port_id\":\"a\",\"net_id\":\"b\"",
        ("\"net_id\":\"" NONE "\""),
        "\"fixed_ips\":[{\"ip_address\":\"10.1.0.9\"}]",
        "\"colour\":1",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        api_status(w->c, 400, "POST", path, w->c->demo,
                   text("{\"interfaceAttachment\":{%s}}", wrong[i]));
    json_t *a = api_expect(
        w->c, 200, "POST", path, w->c->demo,
        text("{\"interfaceAttachment\":{\"net_id\":\"%s\",\"fixed_ips\":"
             "[{\"ip_address\":\"10.1.0.99\"}]}}",
             w->network));
    assert_string_equal(
        api_text(a, "interfaceAttachment.fixed_ips.0.ip_address"), "10.1.0.99");
    api_status(w->c, 400, "POST", path, w->c->demo,
               text("{\"interfaceAttachment\":{\"port_id\":\"%s\"}}",
                    api_text(a, "interfaceAttachment.port_id")));
    api_status(w->c, 202, "POST", text(C "/servers/%s/action", server),
               w->c->demo, "{\"removeFixedIp\":{\"address\":\"10.1.0.99\"}}");
    api_status(w->c, 400, "POST", text(C "/servers/%s/action", server),
               w->c->demo, "{\"removeFixedIp\":{\"address\":\"10.1.0.99\"}}");
    api_status(w->c, 202, "DELETE",
               text("%s/%s", path, api_text(a, "interfaceAttachment.port_id")),
               w->c->demo, NULL);
    api_status(w->c, 404, "DELETE", text("%s/%s", path, NONE), w->c->demo,
               NULL);
    json_decref(a);
}

/* A port cannot make itself a server's or a router's: it would be told that
 * server's secrets. */
static void ports_claim_nothing(void **state)
{
    struct world *w = *state;
    char server[40];
    snprintf(server, sizeof(server), "%s", create(w, ""));
    json_t *p =
        api_expect(w->c, 201, "POST", N "/ports", w->c->demo,
                   text("{\"port\":{\"network_id\":\"%s\"}}", w->network));
    char *path = text(N "/ports/%s", api_text(p, "port.id"));
    api_status(w->c, 400, "PUT", path, w->c->demo,
               text("{\"port\":{\"device_id\":\"%s\"}}", server));
    api_status(w->c, 403, "PUT", path, w->c->demo,
               "{\"port\":{\"device_owner\":\"network:router_interface\"}}");
    api_status(w->c, 200, "PUT", path, w->c->demo,
               "{\"port\":{\"device_id\":\"my-router\"}}");
    json_decref(p);
    p = api_expect(w->c, 200, "GET", text(N "/ports?device_id=%s", server),
                   w->c->demo, NULL);
    api_status(w->c, 409, "PUT", text(N "/ports/%s", api_text(p, "ports.0.id")),
               w->c->demo, "{\"port\":{\"device_id\":\"\"}}");
    json_decref(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_action_from_every_state),
        TEST(odd_actions),
        TEST(a_locked_server_is_left_alone),
        TEST(what_was_asked_is_remembered),
        TEST(attachments),
        TEST(interfaces),
        TEST(ports_claim_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
