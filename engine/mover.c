#include "engine/mover.h"

static bool put(struct mover *m, struct txn *t, const struct server *was,
                const char *to, const char *why, struct error *err)
{
    char id[UUID_SIZE];
    struct txn_result result;
    _autosnap_ struct snapshot *snap = cache_snapshot(m->cache);
    _autorecord_ struct server *s = record_copy(was);
    env_uuid(m->env, id);
    bool off = migration_may_begin_cold(was);
    _autorecord_ struct migration *draft =
        migration_begin(t, snap, s, id, off ? MIGRATION_COLD : MIGRATION_LIVE,
                        env_now(m->env), err);
    if (!draft)
        return false;
    draft->unattended = off;
    draft->requested_host = rec_str(draft, to);
    draft->reason = rec_str(draft, why);
    txn_change_record(t, draft);
    txn_change_record(t, s);
    if (store_commit(m->store, t, &result))
        return true;
    return error_set(
        err, result.status == TXN_CONFLICT ? ERR_CONFLICT : result.err.code,
        "server %s cannot be moved now: %s", was->rec.id,
        result.status == TXN_CONFLICT ? "it has just changed"
                                      : result.err.text);
}

bool mover_begin(void *self, const struct server *server, const char *to,
                 const char *why, struct error *err)
{
    struct mover *m = self;
    _autotxn_ struct txn t = TXN_INIT;
    if (!migration_may_begin(server) && !migration_may_begin_cold(server))
        return error_set(err, ERR_CONFLICT,
                         "server %s cannot be moved now: it is busy",
                         server->rec.id);
    if (m->guard && !m->guard(m->guard_arg, &t))
        return error_set(err, ERR_CONFLICT, "this node does not lead");
    return put(m, &t, server, to, why, err);
}
