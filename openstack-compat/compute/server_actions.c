/* What can be done to a server: delete, update, and POST .../action. */
#include "openstack-compat/compute/server_actions.h"

#include "common/ip.h"
#include "model/migration.h"

#include <string.h>

/* ---- delete and update ------------------------------------------------- */

enum outcome server_delete(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    if (!s || !server_unlocked(r, s))
        return req_failed(r);
    if (!s->node) { /* nowhere yet, so nothing to stop */
        if (!server_release(&r->txn, r->snap, s, r->now, &r->err))
            return req_failed(r);
        return req_reply(r, 204);
    }
    if (s->goal == GOAL_DELETED)
        return req_reply(r, 204);
    _autorecord_ struct server *draft = record_copy(s);
    draft->goal = GOAL_DELETED;
    draft->task_state = TASK_DELETING;
    draft->updated = r->now;
    server_note(r, draft, "delete");
    txn_change_record(&r->txn, draft);
    return req_reply(r, 204);
}

static bool read_access(struct req *r, struct server *s, const json_t *body,
                        const char *name, bool v6, const char **to)
{
    const char *text;
    struct ip ip;
    if (!nova_string(r, body, name, 0, 64, &text))
        return false;
    if (text && *text && (!ip_parse(text, &ip) || (ip.version == 6) != v6))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for field/attribute %s: '%.64s' is not "
                         "an IPv%d address.",
                         name, text, v6 ? 6 : 4);
    if (json_object_get(body, name))
        *to = rec_str(s, text);
    return true;
}

bool server_read_access(struct req *r, struct server *s, const json_t *body)
{
    return read_access(r, s, body, "accessIPv4", false, &s->access_ipv4) &&
           read_access(r, s, body, "accessIPv6", true, &s->access_ipv6);
}

enum outcome server_update(struct req *r)
{
    static const char *const known[] = { "name",       "description",
                                         "hostname",   "OS-DCF:diskConfig",
                                         "accessIPv4", "accessIPv6",
                                         NULL };
    const struct server *was = server_get(r, r->param[0]);
    const json_t *body = was ? req_envelope(r, "server") : NULL;
    const char *name, *description, *hostname;
    _autorecord_ struct server *s = was ? record_copy(was) : NULL;
    if (!body || !nova_only(r, body, known) ||
        !server_read_access(r, s, body) ||
        !nova_string(r, body, "name", 1, 255, &name) ||
        !nova_string(r, body, "description", 0, 255, &description) ||
        !nova_string(r, body, "hostname", 1, 63, &hostname))
        return req_failed(r);
    if (hostname && r->mv < MV(2, 90))
        return req_fail(r, ERR_INVALID, "hostname needs microversion 2.90");
    if (name)
        s->name = rec_str(s, name);
    if (json_object_get(body, "description") && r->mv >= MV(2, 19))
        s->description = rec_str(s, description);
    if (hostname)
        s->hostname = rec_str(s, hostname);
    s->updated = r->now;
    txn_change_record(&r->txn, s);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    server_write(r, &w, "server", s, true);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- actions ----------------------------------------------------------- */

/* An action that changes what should be: a row. */
struct change {
    const char *name;
    unsigned from; /* vm_states it may start in */
    enum server_goal goal;
    enum task_state task;
};

static const struct change changes[] = {
    { "os-start", IN(VM_STOPPED), GOAL_RUNNING, TASK_POWERING_ON },
    { "os-stop", IN(VM_ACTIVE) | IN(VM_ERROR), GOAL_STOPPED,
      TASK_POWERING_OFF },
    { "pause", IN(VM_ACTIVE), GOAL_PAUSED, TASK_PAUSING },
    { "unpause", IN(VM_PAUSED), GOAL_RUNNING, TASK_UNPAUSING },
    { "suspend", IN(VM_ACTIVE), GOAL_SUSPENDED, TASK_SUSPENDING },
    { "resume", IN(VM_SUSPENDED), GOAL_RUNNING, TASK_RESUMING },
};

/* "os-start" -> "start", as nova words it */
static const char *plain_name(const char *action)
{
    return strncmp(action, "os-", 3) == 0 ? action + 3 : action;
}

/* One that never got a node has nobody who would do anything for it. */
static bool is_placed(struct req *r, const struct server *s)
{
    return s->node || error_set(&r->err, ERR_CONFLICT,
                                "Instance %s is not ready", s->rec.id);
}

bool action_may_start(struct req *r, const struct server *s, unsigned from,
                      const char *action)
{
    return action_state_ok(r, s, from, action) && is_placed(r, s);
}

bool action_state_ok(struct req *r, const struct server *s, unsigned from,
                     const char *action)
{
    if (!server_unlocked(r, s))
        return false;
    if (s->task_state != TASK_NONE)
        return error_set(&r->err, ERR_CONFLICT,
                         "Cannot '%s' instance %s while it is in task_state %s",
                         plain_name(action), s->rec.id,
                         task_state_names[s->task_state]);
    if (!(from & IN(s->vm_state)))
        return error_set(&r->err, ERR_CONFLICT,
                         "Cannot '%s' instance %s while it is in vm_state %s",
                         plain_name(action), s->rec.id,
                         vm_state_names[s->vm_state]);
    return true;
}

static enum outcome change_goal(struct req *r, const struct server *was,
                                const struct change *c)
{
    if (!action_may_start(r, was, c->from, c->name))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    s->goal = c->goal;
    s->task_state = c->task;
    s->updated = r->now;
    server_note(r, s, plain_name(c->name));
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}

static enum outcome reboot(struct req *r, const struct server *was,
                           const json_t *arg)
{
    const char *type = json_string_value(json_object_get(arg, "type"));
    bool hard = type && strcasecmp(type, "HARD") == 0;
    unsigned from = IN(VM_ACTIVE);
    if (hard)
        from |=
            IN(VM_STOPPED) | IN(VM_PAUSED) | IN(VM_SUSPENDED) | IN(VM_ERROR);
    if (!type || (!hard && strcasecmp(type, "SOFT") != 0))
        return req_fail(r, ERR_INVALID,
                        "Invalid input for field/attribute type: HARD or SOFT "
                        "is expected.");
    if (!action_may_start(r, was, from, "reboot"))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    s->reboot++;
    s->reboot_type = hard ? REBOOT_HARD : REBOOT_SOFT;
    s->goal = GOAL_RUNNING;
    s->task_state = hard ? TASK_REBOOTING_HARD : TASK_REBOOTING;
    s->updated = r->now;
    server_note(r, s, "reboot");
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}

/* How much of the log the caller wants: lines, or all (-1). */
static bool read_length(struct req *r, const json_t *arg, int64_t *lines)
{
    struct attr a = { "length", .check = CHECK_INT, .min = -1,
                      .max = INT32_MAX };
    _autojson_ json_t *owned = NULL;
    const json_t *v = json_object_get(arg, "length");
    *lines = -1;
    if (!v || json_is_null(v))
        return true;
    if (!check_value(&a, STYLE_NOVA, v, &owned, &r->err))
        return false;
    *lines = json_integer_value(owned ? owned : v);
    return true;
}

static enum outcome console_output(struct req *r, const struct server *s,
                                   const json_t *arg)
{
    int64_t lines;
    if (!read_length(r, arg, &lines))
        return req_failed(r);
    if (r->step == 0 && s->vm_state == VM_BUILDING)
        return req_fail(r, ERR_CONFLICT, "Instance %s is not ready", s->rec.id);
    if (r->step == 0)
        return req_wait(
            r,
            (struct wait){ .type = WAIT_CALL,
                           .op = "console.read",
                           .json = req_strf(r, "{\"id\":\"%s\",\"lines\":%lld}",
                                            s->rec.id, (long long)lines) },
            1);
    if (!r->waited.ok) {
        error_copy(&r->err, &r->waited.err);
        return req_failed(r);
    }
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_strn(&w, "output", buf_str(&r->waited.text), r->waited.text.len);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome lock(struct req *r, const struct server *was,
                         const json_t *arg)
{
    const char *reason = NULL;
    if (json_is_object(arg) && r->mv >= MV(2, 73) &&
        !nova_string(r, arg, "locked_reason", 1, 255, &reason))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    s->locked = true;
    s->locked_reason = rec_str(s, reason);
    server_note(r, s, "lock");
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}

static enum outcome unlock(struct req *r, const struct server *was,
                           const json_t *arg)
{
    _autorecord_ struct server *s = record_copy(was);
    s->locked = false;
    s->locked_reason = NULL;
    server_note(r, s, "unlock");
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}

/* An admin says what is: to get a server out of ERROR, or into it. */
static enum outcome reset_state(struct req *r, const struct server *was,
                                const json_t *arg)
{
    const char *state = json_string_value(json_object_get(arg, "state"));
    if (!r->auth.is_admin)
        return req_fail(r, ERR_FORBIDDEN,
                        "Policy doesn't allow os_compute_api:os-admin-actions:"
                        "reset_state to be performed.");
    if (!state || (strcmp(state, "active") != 0 && strcmp(state, "error") != 0))
        return req_fail(r, ERR_INVALID, "state must be active or error");
    if (!is_placed(r, was))
        return req_failed(r);
    if (server_migration(r->snap, was))
        return req_fail(r, ERR_CONFLICT, "Instance %s is being moved",
                        was->rec.id);
    _autorecord_ struct server *s = record_copy(was);
    s->vm_state = strcmp(state, "active") == 0 ? VM_ACTIVE : VM_ERROR;
    s->task_state = TASK_NONE;
    s->updated = r->now;
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}

/* ---- security groups of all ports -------------------------------------- */

static const struct security_group *
named_group(struct req *r, const struct server *s, const json_t *arg)
{
    const char *name = json_string_value(json_object_get(arg, "name"));
    struct snap_iter it =
        snap_by(r->snap, &kind_security_group, "project_id", s->project_id);
    for (const struct security_group *g; name && (g = snap_next(&it));)
        if (strcmp(g->name, name) == 0 || strcmp(g->rec.id, name) == 0)
            return g;
    error_set(&r->err, name ? ERR_NOT_FOUND : ERR_INVALID,
              "Security group %.80s not found for project %s.",
              name ? name : "", s->project_id);
    return NULL;
}

static enum outcome change_group(struct req *r, const struct server *s,
                                 const json_t *arg, bool add)
{
    const struct port *ports[SERVER_PORTS_MAX];
    bool changed = false;
    const struct security_group *g =
        server_unlocked(r, s) ? named_group(r, s, arg) : NULL;
    size_t n = g ? server_ports(r, s, ports) : 0;
    if (!g)
        return req_failed(r);
    for (size_t i = 0; i < n; i++) {
        if (strs_has(&ports[i]->security_group_ids, g->rec.id) == add ||
            !ports[i]->port_security_enabled)
            continue;
        _autorecord_ struct port *p = record_copy(ports[i]);
        if (add)
            strs_add(p, &p->security_group_ids, g->rec.id);
        else
            strs_remove(&p->security_group_ids, g->rec.id);
        p->updated = r->now;
        txn_change_record(&r->txn, p);
        changed = true;
    }
    if (!changed && !add)
        return req_fail(r, ERR_NOT_FOUND,
                        "Security group %s not associated with the instance %s",
                        g->name, s->rec.id);
    txn_touch_record(&r->txn, g);
    return req_reply(r, 202);
}

static enum outcome add_group(struct req *r, const struct server *s,
                              const json_t *arg)
{
    return change_group(r, s, arg, true);
}

static enum outcome remove_group(struct req *r, const struct server *s,
                                 const json_t *arg)
{
    return change_group(r, s, arg, false);
}

/* ---- addresses --------------------------------------------------------- */

static const struct fixed_ip *find_address(const struct port *p,
                                           const char *address)
{
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        if (strcmp(ip->ip_address, address) == 0)
            return ip;
    }
    return NULL;
}

static enum outcome drop_address(struct req *r, const struct port *was,
                                 const struct fixed_ip *ip)
{
    char id[STORE_KEY_MAX];
    _autorecord_ struct port *p = record_copy(was);
    struct snap_iter it =
        snap_by(r->snap, &kind_floating_ip, "port_id", p->rec.id);
    for (const struct floating_ip *f; (f = snap_next(&it));)
        if (f->fixed_address && strcmp(f->fixed_address, ip->ip_address) == 0)
            return req_fail(r, ERR_CONFLICT,
                            "Fixed IP %s is used by floating IP %s",
                            ip->ip_address, f->address);
    claim_release(&r->txn,
                  claim_id(id, "ip/%s/%s", ip->subnet_id, ip->ip_address));
    for (size_t i = p->fixed_ips.n; i-- > 0;)
        if (strcmp(LIST_AT(p->fixed_ips, struct fixed_ip, i)->ip_address,
                   ip->ip_address) == 0)
            list_remove(&p->fixed_ips, sizeof(*ip), i);
    p->updated = r->now;
    txn_change_record(&r->txn, p);
    return req_reply(r, 202);
}

static enum outcome remove_fixed_ip(struct req *r, const struct server *s,
                                    const json_t *arg)
{
    const struct port *ports[SERVER_PORTS_MAX];
    const char *address = json_string_value(json_object_get(arg, "address"));
    size_t n = server_ports(r, s, ports);
    if (!address || !check_ip(address))
        return req_fail(r, ERR_INVALID, "'address' must be an IP address");
    if (!server_unlocked(r, s))
        return req_failed(r);
    for (size_t i = 0; i < n; i++) {
        const struct fixed_ip *ip = find_address(ports[i], address);
        if (ip)
            return drop_address(r, ports[i], ip);
    }
    return req_fail(r, ERR_INVALID, "Fixed IP %s is not one of server %s",
                    address, s->rec.id);
}

enum outcome remote_console_create(struct req *r)
{
    return server_get(r, r->param[0])
               ? req_fail(r, ERR_NOT_IMPLEMENTED,
                          "Remote consoles are not built yet; the console log "
                          "is (os-getConsoleOutput).")
               : req_failed(r);
}

static enum outcome not_built(struct req *r, const struct server *s,
                              const json_t *arg)
{
    return req_fail(r, ERR_NOT_IMPLEMENTED, "This action is not built yet.");
}

static const struct {
    const char *name;
    action_fn *fn;
} actions[] = {
    { "reboot", reboot },
    { "os-getConsoleOutput", console_output },
    { "lock", lock },
    { "unlock", unlock },
    { "os-resetState", reset_state },
    { "addSecurityGroup", add_group },
    { "removeSecurityGroup", remove_group },
    { "removeFixedIp", remove_fixed_ip },
    { "addFixedIp", not_built },
    { "resize", action_resize },
    { "confirmResize", action_confirm_resize },
    { "revertResize", action_revert_resize },
    { "rebuild", action_rebuild },
    { "createImage", action_create_image },
    { "migrate", action_migrate },
    { "os-migrateLive", action_migrate_live },
    { "evacuate", action_evacuate },
    { "shelve", action_shelve },
    { "shelveOffload", action_shelve_offload },
    { "unshelve", action_unshelve },
    { "rescue", not_built },
    { "unrescue", not_built },
    { "changePassword", not_built },
    { "createBackup", not_built },
    { "restore", not_built },
    { "forceDelete", not_built },
    { "os-getVNCConsole", not_built },
    { "os-getSPICEConsole", not_built },
    { "os-getSerialConsole", not_built },
    { "os-getRDPConsole", not_built },
    { "os-getMKSConsole", not_built },
    { "injectNetworkInfo", not_built },
    { "resetNetwork", not_built },
    { "trigger_crash_dump", not_built },
};

static enum outcome act(struct req *r, const struct server *s, const char *name,
                        const json_t *arg)
{
    if (s->goal == GOAL_DELETED)
        return req_fail(r, ERR_CONFLICT,
                        "Cannot '%.40s' instance %s while it is in task_state "
                        "deleting",
                        plain_name(name), s->rec.id);
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
        if (strcmp(changes[i].name, name) == 0)
            return change_goal(r, s, &changes[i]);
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
        if (strcmp(actions[i].name, name) == 0)
            return actions[i].fn(r, s, arg);
    return req_fail(r, ERR_INVALID, "There is no such action: %.64s", name);
}

enum outcome server_action(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    void *it = json_object_iter(r->body);
    if (!s)
        return req_failed(r);
    if (json_object_size(r->body) != 1)
        return req_fail(r, ERR_INVALID,
                        "The request body must name exactly one action.");
    return act(r, s, json_object_iter_key(it), json_object_iter_value(it));
}
