#include "state/etcd_cluster.h"

#include "state/etcd_rpc.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CALL_US       (10 * SECOND_US)
#define DEFRAGMENT_US (120 * SECOND_US)
#define SNAPSHOT_US   (600 * SECOND_US)
#define DIGEST_LEN    32 /* SHA-256, behind the database in a snapshot */

static struct grpc_call_opts opts(const char *path, bool retry)
{
    return (struct grpc_call_opts){ .path = path,
                                    .timeout_us = CALL_US,
                                    .reply_max = 1 << 20,
                                    .retry = retry,
                                    .choosy = true };
}

/* ---- members ----------------------------------------------------------- */

static const char *first(char **urls, size_t n)
{
    return n ? urls[0] : "";
}

static void take_member(const Etcd__Member *m, struct etcd_member *out)
{
    *out = (struct etcd_member){ .id = m->id, .learner = m->is_learner };
    snprintf(out->name, sizeof(out->name), "%s", m->name);
    snprintf(out->peer, sizeof(out->peer), "%s",
             first(m->peer_urls, m->n_peer_urls));
    snprintf(out->client, sizeof(out->client), "%s",
             first(m->client_urls, m->n_client_urls));
}

bool etcd_list(struct grpc *g, struct etcd_members *out, struct error *err)
{
    struct grpc_call_opts o = opts(ETCD_LIST, true);
    Etcd__EmptyRequest r = ETCD__EMPTY_REQUEST__INIT;
    *out = (struct etcd_members){ 0 };
    _autoetcd_ Etcd__MembersResponse *reply =
        etcd_ask(g, &o, &r, &etcd__members_response__descriptor, err);
    if (!reply)
        return false;
    if (!reply->header || reply->n_members > ETCD_MEMBERS_MAX)
        return error_set(err, ERR_INTERNAL, "etcd: a malformed answer");
    out->cluster = reply->header->cluster_id;
    for (size_t i = 0; i < reply->n_members; i++)
        take_member(reply->members[i], &out->all[out->n++]);
    return true;
}

static bool add_member(struct grpc *g, const char *peer_url, bool learner,
                       uint64_t *id, struct error *err)
{
    struct grpc_call_opts o = opts(ETCD_ADD, false);
    Etcd__MemberAddRequest r = ETCD__MEMBER_ADD_REQUEST__INIT;
    char *urls[] = { (char *)peer_url };
    r.peer_urls = urls;
    r.n_peer_urls = 1;
    r.is_learner = learner;
    _autoetcd_ Etcd__MemberAddResponse *reply =
        etcd_ask(g, &o, &r, &etcd__member_add_response__descriptor, err);
    if (reply && !reply->member)
        return error_set(err, ERR_INTERNAL, "etcd: a malformed answer");
    if (reply && id)
        *id = reply->member->id;
    return reply;
}

bool etcd_add_learner(struct grpc *g, const char *peer_url, uint64_t *id,
                      struct error *err)
{
    return add_member(g, peer_url, true, id, err);
}

bool etcd_add_voter(struct grpc *g, const char *peer_url, uint64_t *id,
                    struct error *err)
{
    return add_member(g, peer_url, false, id, err);
}

static bool with_id(struct grpc *g, const char *path, uint64_t id,
                    struct error *err)
{
    struct grpc_call_opts o = opts(path, false);
    Etcd__MemberIdRequest r = ETCD__MEMBER_ID_REQUEST__INIT;
    r.id = id;
    _autoetcd_ Etcd__MembersResponse *reply =
        etcd_ask(g, &o, &r, &etcd__members_response__descriptor, err);
    return reply;
}

bool etcd_promote(struct grpc *g, uint64_t id, struct error *err)
{
    return with_id(g, ETCD_PROMOTE, id, err);
}

bool etcd_remove(struct grpc *g, uint64_t id, struct error *err)
{
    return with_id(g, ETCD_REMOVE, id, err);
}

static bool no_answer_but_ok(struct grpc *g, const struct grpc_call_opts *o,
                             const void *request, struct error *err)
{
    _autoetcd_ Etcd__EmptyResponse *reply =
        etcd_ask(g, o, request, &etcd__empty_response__descriptor, err);
    return reply;
}

void etcd_initial_cluster(const struct etcd_members *members, const char *name,
                          const char *peer_url, struct buf *out)
{
    for (size_t i = 0; i < members->n; i++) {
        const struct etcd_member *m = &members->all[i];
        bool me = strcmp(m->peer, peer_url) == 0;
        if (!*m->name && !me)
            continue; /* another one that has not started */
        buf_addf(out, "%s%s=%s", out->len ? "," : "", me ? name : m->name,
                 m->peer);
    }
}

/* ---- one member -------------------------------------------------------- */

static bool read_alarms(struct grpc *g, struct etcd_status *out,
                        struct error *err)
{
    struct grpc_call_opts o = opts(ETCD_ALARM, true);
    Etcd__AlarmRequest r = ETCD__ALARM_REQUEST__INIT;
    _autoetcd_ Etcd__AlarmResponse *reply =
        etcd_ask(g, &o, &r, &etcd__alarm_response__descriptor, err);
    for (size_t i = 0; reply && i < reply->n_alarms; i++) {
        const Etcd__AlarmMember *a = reply->alarms[i];
        bool here = a->member_id == out->member;
        out->no_space |= here && a->alarm == ETCD__ALARM_TYPE__ALARM_NOSPACE;
        out->corrupt |= here && a->alarm == ETCD__ALARM_TYPE__ALARM_CORRUPT;
    }
    return reply;
}

bool etcd_status(struct grpc *g, struct etcd_status *out, struct error *err)
{
    struct grpc_call_opts o = opts(ETCD_STATUS, true);
    Etcd__EmptyRequest r = ETCD__EMPTY_REQUEST__INIT;
    _autoetcd_ Etcd__StatusResponse *reply =
        etcd_ask(g, &o, &r, &etcd__status_response__descriptor, err);
    if (!reply)
        return false;
    if (!reply->header)
        return error_set(err, ERR_INTERNAL, "etcd: a malformed answer");
    *out = (struct etcd_status){
        .member = reply->header->member_id,
        .leader = reply->leader,
        .term = reply->raft_term,
        .index = reply->raft_index,
        .applied = reply->raft_applied_index,
        .bytes = reply->db_size,
        .bytes_used = reply->db_size_in_use,
        .learner = reply->is_learner,
    };
    snprintf(out->version, sizeof(out->version), "%s", reply->version);
    return out->learner || read_alarms(g, out, err); /* learners serve few */
}

bool etcd_defragment(struct grpc *g, struct error *err)
{
    struct grpc_call_opts o = opts(ETCD_DEFRAGMENT, false);
    Etcd__EmptyRequest r = ETCD__EMPTY_REQUEST__INIT;
    o.timeout_us = DEFRAGMENT_US;
    return no_answer_but_ok(g, &o, &r, err);
}

bool etcd_disarm_no_space(struct grpc *g, uint64_t member, struct error *err)
{
    struct grpc_call_opts o = opts(ETCD_ALARM, true);
    Etcd__AlarmRequest r = ETCD__ALARM_REQUEST__INIT;
    r.action = ETCD__ALARM_REQUEST__ACTION__DEACTIVATE;
    r.member_id = member;
    r.alarm = ETCD__ALARM_TYPE__ALARM_NOSPACE;
    _autoetcd_ Etcd__AlarmResponse *reply =
        etcd_ask(g, &o, &r, &etcd__alarm_response__descriptor, err);
    return reply;
}

/* ---- snapshots --------------------------------------------------------- */

struct snapshot_file {
    int fd;
    int64_t bytes; /* written */
    bool last;     /* etcd has sent all */
    bool failed;
    int problem; /* errno */
    EVP_MD_CTX *digest;
    uint8_t tail[DIGEST_LEN]; /* held back: the checksum, in the end */
    size_t tail_len;
};

static void emit(struct snapshot_file *f, const uint8_t *data, size_t len)
{
    EVP_DigestUpdate(f->digest, data, len);
    while (len && !f->failed) {
        ssize_t n = write(f->fd, data, len);
        if (n < 0 && errno != EINTR) {
            f->failed = true;
            f->problem = errno;
        }
        if (n <= 0)
            continue;
        data += n;
        len -= (size_t)n;
        f->bytes += n;
    }
}

/* All but the last DIGEST_LEN bytes so far. */
static void pass_on(struct snapshot_file *f, const uint8_t *data, size_t len)
{
    if (len >= DIGEST_LEN) {
        emit(f, f->tail, f->tail_len);
        emit(f, data, len - DIGEST_LEN);
        memcpy(f->tail, data + len - DIGEST_LEN, DIGEST_LEN);
        f->tail_len = DIGEST_LEN;
        return;
    }
    size_t room = DIGEST_LEN - f->tail_len;
    size_t out = len > room ? len - room : 0;
    emit(f, f->tail, out);
    memmove(f->tail, f->tail + out, f->tail_len - out);
    memcpy(f->tail + f->tail_len - out, data, len);
    f->tail_len += len - out;
}

static void on_part(void *arg, const uint8_t *data, size_t len)
{
    struct snapshot_file *f = arg;
    _autoetcd_ Etcd__SnapshotResponse *r =
        etcd_unpack(&etcd__snapshot_response__descriptor, data, len);
    if (!r) {
        f->failed = true;
        return;
    }
    f->last = !r->remaining_bytes;
    pass_on(f, r->blob.data, r->blob.len);
}

static bool snapshot_whole(struct snapshot_file *f, struct error *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_DigestFinal_ex(f->digest, digest, NULL);
    if (f->problem)
        return error_errno(err, ERR_NO_SPACE, f->problem, "the snapshot");
    if (f->failed || !f->last || f->tail_len != DIGEST_LEN ||
        memcmp(digest, f->tail, DIGEST_LEN) != 0)
        return error_set(err, ERR_INTERNAL, "etcd: a damaged snapshot");
    return true;
}

bool etcd_snapshot(struct grpc *g, int fd, int64_t *bytes, struct error *err)
{
    struct grpc_call_opts o = opts(ETCD_SNAPSHOT, false);
    Etcd__EmptyRequest r = ETCD__EMPTY_REQUEST__INIT;
    struct snapshot_file f = { .fd = fd, .digest = EVP_MD_CTX_new() };
    if (!f.digest || EVP_DigestInit_ex(f.digest, EVP_sha256(), NULL) != 1)
        return error_set(err, ERR_INTERNAL, "no SHA-256");
    o.timeout_us = SNAPSHOT_US;
    struct grpc_status st = grpc_read_wait(g, &o, etcd_pack(&r), on_part, &f);
    bool ok =
        st.code == GRPC_OK ? snapshot_whole(&f, err) : etcd_error(&st, err);
    EVP_MD_CTX_free(f.digest);
    *bytes = f.bytes;
    return ok;
}

/* ---- chores ------------------------------------------------------------ */

enum etcd_chore etcd_chore(const struct etcd_status *s, int64_t quota,
                           bool tried)
{
    int64_t waste = s->bytes - s->bytes_used;
    if (s->no_space && s->bytes <= quota / 10 * 8)
        return ETCD_CHORE_DISARM;
    if (s->no_space)
        return tried ? ETCD_CHORE_ROOM : ETCD_CHORE_DEFRAGMENT;
    return waste >= ETCD_WASTE_LEAST && s->bytes_used <= s->bytes / 2
               ? ETCD_CHORE_DEFRAGMENT
               : ETCD_CHORE_NONE;
}
