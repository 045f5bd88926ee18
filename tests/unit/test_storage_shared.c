#include "storage_world.h"

/* ---- a storage that all nodes share ---------------------------------------
 */

static struct fake files; /* of this node */

static int setup_shared(void **state)
{
    files = (struct fake){ .base = { &fake_ops }, .log = BUF_INIT(65536) };
    own = &files.base;
    return setup(state);
}

static int teardown_shared(void **state)
{
    own = NULL;
    buf_free(&files.log);
    return teardown(state);
}

static void node_lives(const char *name)
{
    struct node *n = record_new(&kind_node, name);
    n->seen = clock_us + 3600 * SECOND_US;
    put(n);
}

static void shared_volume_is_nobodys(void **state)
{
    struct volume *v = new_volume("v", VOLUME_CREATING);
    leading = false; /* it was placed here all the same */
    v->node = "n1";
    put(v);
    run();
    const struct volume *now = look(&kind_volume, "v");
    assert_string_equal(asked(), "volume v 3 0 -;");
    assert_int_equal(now->status, VOLUME_AVAILABLE);
    assert_string_equal(now->path, "/v/v");
    assert_null(now->node);
}

/* On a node's own disk, though the pool has a storage that all share. */
static void local_volume_stays(void **state)
{
    struct volume *v = new_volume("v", VOLUME_CREATING);
    node_lives("n1");
    v->node = "n1";
    v->local = true;
    put(v);
    run();
    const struct volume *now = look(&kind_volume, "v");
    assert_string_equal(asked(), "");
    assert_string_equal(buf_str(&files.log), "volume v 3 0 -;");
    assert_string_equal(now->node, "n1");
    struct volume_snapshot *sn = record_new(&kind_snapshot, "s");
    volume_snapshot_of(sn, now);
    put(sn);
    run();
    assert_non_null(strstr(buf_str(&files.log), "snapshot s v;"));
    assert_string_equal(asked(), "");
    assert_string_equal(
        ((const struct volume_snapshot *)look(&kind_snapshot, "s"))->node,
        "n1");
}

/* The leader does not touch what another node has, dead or not. */
static void local_volume_waits_for_its_node(void **state)
{
    struct volume *v = new_volume("v", VOLUME_DELETING);
    struct node *n = record_new(&kind_node, "n2");
    put(n); /* silent for ever */
    v->node = "n2";
    v->local = true;
    put(v);
    run();
    assert_int_equal(((const struct volume *)look(&kind_volume, "v"))->status,
                     VOLUME_DELETING);
    assert_string_equal(asked(), "");
    assert_string_equal(buf_str(&files.log), "");
}

static struct volume *encrypted(const char *id, const char *key)
{
    struct volume *v = new_volume(id, VOLUME_CREATING);
    v->node = "n1";
    v->key_id = key;
    return v;
}

/* Written down before it is used, wrapped; its clone has the same. */
static void encrypted_volumes_have_a_key(void **state)
{
    keyring = (struct keyring){ .key = { 7 }, .there = true };
    put(encrypted("v", "v"));
    run();
    assert_string_equal(asked(), "volume v 3 0 -;luks 256 64 2068480;");
    const struct volume_key *k = look(&kind_volume_key, "v");
    assert_non_null(k);
    assert_int_equal(k->key_size, 256);
    struct volume *w = encrypted("w", "v");
    w->source_id = "v";
    put(w);
    run();
    assert_non_null(strstr(asked(), "volume w 3 3 v;luks 256 64 2068480;"));
    /* It goes with the last of them. */
    struct volume *gone = record_copy(look(&kind_volume, "v"));
    gone->status = VOLUME_DELETING;
    put(gone);
    run();
    assert_null(look(&kind_volume, "v"));
    assert_non_null(look(&kind_volume_key, "v"));
    gone = record_copy(look(&kind_volume, "w"));
    gone->status = VOLUME_DELETING;
    put(gone);
    run();
    assert_null(look(&kind_volume, "w"));
    assert_null(look(&kind_volume_key, "v"));
    keyring = (struct keyring){ 0 };
}

static void no_key_no_encrypted_volume(void **state)
{
    put(encrypted("v", "v"));
    run();
    const struct volume *v = look(&kind_volume, "v");
    assert_string_equal(asked(), "");
    assert_int_equal(v->status, VOLUME_ERROR);
    assert_null(look(&kind_volume_key, "v"));
}

/* The leader before this one was at it when it died (make chaos SEED=14). */
static void shared_snapshot_that_another_has_begun(void **state)
{
    static const enum error_code codes[] = { ERR_NOT_FOUND, ERR_FORBIDDEN };
    put(held_volume(VOLUME_AVAILABLE));
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        put(new_snapshot(SNAPSHOT_CREATING));
        fake.only = "snapshot";
        make_fail(2, codes[i]);
        run();
        const struct volume_snapshot *sn = look(&kind_snapshot, "s");
        assert_int_equal(sn->status, SNAPSHOT_AVAILABLE);
    }
}

/* The scheduler says who makes it, with its server or alone. */
static void shared_volume_waits_for_its_place(void **state)
{
    put(new_volume("v", VOLUME_CREATING));
    run();
    assert_string_equal(asked(), "");
    assert_null(((const struct volume *)look(&kind_volume, "v"))->node);
}

static void the_leader_does_what_is_nobodys(void **state)
{
    struct volume *v = new_volume("v", VOLUME_EXTENDING);
    struct volume_snapshot *sn = record_new(&kind_snapshot, "s");
    leading = false;
    v->real_size_gb = 2;
    put(v);
    sn->volume_id = "v";
    sn->status = SNAPSHOT_CREATING;
    put(sn);
    run();
    assert_string_equal(asked(), "");
    leading = true;
    storage_lead(storage);
    run();
    assert_non_null(strstr(asked(), "extend v 3;"));
    assert_non_null(strstr(asked(), "snapshot s v;"));
    const struct volume_snapshot *now = look(&kind_snapshot, "s");
    assert_int_equal(now->status, SNAPSHOT_AVAILABLE);
    assert_null(now->node);
}

static void what_a_dead_node_began_is_the_leaders(void **state)
{
    struct volume *v = new_volume("v", VOLUME_CREATING);
    node_lives("n2");
    v->node = "n2";
    put(v);
    run();
    assert_string_equal(asked(), "");
    clock_us += 7200 * SECOND_US;
    run();
    assert_string_equal(asked(), "volume v 3 0 -;");
    assert_null(((const struct volume *)look(&kind_volume, "v"))->node);
}

static void an_upload_is_looked_at_where_it_is(void **state)
{
    struct image *im = checking(), *theirs = new_image("j", IMAGE_CHECKING);
    leading = false;
    node_lives("n2");
    im->node = "n1";
    put(im);
    theirs->upload_id = "u2";
    theirs->node = "n2";
    put(theirs);
    run();
    assert_string_equal(asked(), "commit u1 qcow2;");
    const struct image *now = look(&kind_image, "i");
    assert_int_equal(now->status, IMAGE_ACTIVE);
    assert_null(now->node);
}

static void only_our_uploads_are_interrupted(void **state)
{
    struct image *im = new_image("i", IMAGE_SAVING);
    struct image *theirs = new_image("j", IMAGE_SAVING);
    node_lives("n2");
    im->upload_id = "u1";
    im->node = "n1";
    put(im);
    theirs->upload_id = "u2";
    theirs->node = "n2";
    put(theirs);
    storage_interrupted(storage);
    run();
    const struct image *now = look(&kind_image, "i");
    assert_int_equal(now->status, IMAGE_QUEUED);
    now = look(&kind_image, "j");
    assert_int_equal(now->status, IMAGE_SAVING);
}

/* Of what all have, the leader; of what lies here, we. */
static void the_audit_is_the_leaders(void **state)
{
    fake.stored[0] = (struct stored){ STORED_VOLUME, "gone", 1, 1 };
    fake.n_stored = 1;
    files.stored[0] = (struct stored){ STORED_UPLOAD, "u9", 1, 1 };
    files.n_stored = 1;
    leading = false;
    clock_us += 601 * SECOND_US;
    run();
    assert_string_equal(asked(), "");
    assert_string_equal(buf_str(&files.log), "discard u9;");
    leading = true;
    clock_us += 601 * SECOND_US;
    run();
    assert_string_equal(asked(), "unvolume gone;");
}

int main(void)
{
#define SHARED(name_)                                                          \
    cmocka_unit_test_setup_teardown(name_, setup_shared, teardown_shared)
    const struct CMUnitTest tests[] = {
        SHARED(shared_volume_is_nobodys),
        SHARED(local_volume_stays),
        SHARED(local_volume_waits_for_its_node),
        SHARED(encrypted_volumes_have_a_key),
        SHARED(no_key_no_encrypted_volume),
        SHARED(shared_snapshot_that_another_has_begun),
        SHARED(shared_volume_waits_for_its_place),
        SHARED(the_leader_does_what_is_nobodys),
        SHARED(what_a_dead_node_began_is_the_leaders),
        SHARED(an_upload_is_looked_at_where_it_is),
        SHARED(only_our_uploads_are_interrupted),
        SHARED(the_audit_is_the_leaders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
