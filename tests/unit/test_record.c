#include "test.h"

#include "thing.h"

#include "state/store.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct thing *full_thing(void)
{
    struct thing *t = record_new(&kind_thing, "t1");
    t->name = rec_str(t, "caf\xc3\xa9 \"x\"\n");
    t->project_id = rec_strf(t, "p%d", 7);
    t->password = rec_str(t, "secret");
    t->up = true;
    t->size = INT64_MAX;
    t->created_at = INT64_C(1700000000123456);
    t->weight = 0.1 + 0.2;
    t->state = THING_ERROR;
    strs_add(t, &t->groups, "g1");
    strs_add(t, &t->groups, "g2");
    map_put(t, &t->meta, "k", "v");
    map_put(t, &t->meta, "k2", "");
    t->place.host = rec_str(t, "h1");
    for (int i = 0; i < 3; i++) {
        struct thing_ip *ip = list_add(t, &t->ips, sizeof(*ip));
        ip->subnet_id = rec_strf(t, "s%d", i);
        ip->rank = i;
    }
    t->extra = rec_str(t, "{\"a\":[1,null]}");
    return t;
}

static struct thing *decode(const char *json, struct error *err)
{
    return record_decode(&kind_thing, "t1", json, strlen(json), err);
}

static void round_trip(void **state)
{
    _autorecord_ struct thing *t = full_thing();
    struct buf out = BUF_INIT(4096);
    struct error err;
    record_encode(t, &out);
    _autorecord_ struct thing *back = decode(buf_str(&out), &err);
    assert_non_null(back);
    assert_true(record_equal(t, back));
    assert_string_equal(back->rec.id, "t1");
    assert_string_equal(back->name, t->name);
    assert_string_equal(back->password, "secret");
    assert_true(back->weight == 0.1 + 0.2);
    assert_string_equal(LIST_AT(back->ips, struct thing_ip, 2)->subnet_id,
                        "s2");
    assert_string_equal(back->extra, "{\"a\":[1,null]}");
    buf_free(&out);
}

static void zero_values_are_left_out(void **state)
{
    _autorecord_ struct thing *t = record_new(&kind_thing, "t1");
    struct buf out = BUF_INIT(4096);
    record_encode(t, &out);
    assert_string_equal(buf_str(&out), "{}");
    buf_free(&out);
}

static void all_shows_zeroes_and_no_secret(void **state)
{
    _autorecord_ struct thing *t = record_new(&kind_thing, "t1");
    t->password = "secret";
    t->created_at = 1;
    struct buf out = BUF_INIT(4096);
    struct jw w = JW_INIT(&out);
    record_encode_fields(t, &w, true);
    assert_string_equal(
        buf_str(&out),
        "\"name\":null,\"project_id\":null,\"up\":false,\"size\":0,"
        "\"created_at\":\"1970-01-01T00:00:00.000001Z\",\"weight\":0.0,"
        "\"state\":\"NEW\",\"groups\":[],\"meta\":{},"
        "\"place\":{\"host\":null,\"pinned\":false},\"ips\":[],"
        "\"extra\":null");
    buf_free(&out);
}

static void copy_is_deep(void **state)
{
    struct thing *t = full_thing();
    t->rec.mod_rev = 5;
    t->rec.create_rev = 3;
    _autorecord_ struct thing *copy = record_copy(t);
    _autorecord_ struct thing *again = record_copy(t);
    record_unref(t); /* the sanitizer sees what still points there */
    assert_int_equal(copy->rec.mod_rev, 5);
    assert_int_equal(copy->rec.create_rev, 3);
    assert_true(record_equal(copy, again));
    strs_add(copy, &copy->groups, "g3");
    LIST_AT(copy->ips, struct thing_ip, 0)->rank = 9;
    assert_false(record_equal(copy, again));
    assert_int_equal(again->groups.n, 2);
    assert_int_equal(LIST_AT(again->ips, struct thing_ip, 0)->rank, 0);
}

/* Each field alone makes a difference. */
static void equal_sees_every_field(void **state)
{
    for (const struct field *f = kind_thing.schema.fields; f->name; f++) {
        _autorecord_ struct thing *full = full_thing();
        _autorecord_ struct thing *less = full_thing();
        _autojson_ json_t *null = json_null();
        struct error err;
        assert_true(record_equal(full, less));
        assert_true(record_set_json(less, f, null, &err));
        if (record_equal(full, less))
            fail_msg("%s is not compared", f->name);
    }
}

static void bad_values(void **state)
{
    static const struct {
        const char *json, *text;
    } rows[] = {
        { "", "thing/t1: not a JSON object" },
        { "[]", "thing/t1: not a JSON object" },
        { "{\"name\":1}", "thing/t1: name must be a string" },
        { "{\"up\":1}", "thing/t1: up must be true or false" },
        { "{\"size\":1.5}", "thing/t1: size must be an integer" },
        { "{\"size\":\"1\"}", "thing/t1: size must be an integer" },
        { "{\"weight\":\"1\"}", "thing/t1: weight must be a number" },
        { "{\"created_at\":\"x\"}", "thing/t1: created_at must be a time" },
        { "{\"state\":\"GONE\"}", "thing/t1: state cannot be \"GONE\"" },
        { "{\"state\":1}", "thing/t1: state must be a string" },
        { "{\"groups\":[1]}", "thing/t1: groups must be a list of strings" },
        { "{\"groups\":{}}", "thing/t1: groups must be a list of strings" },
        { "{\"meta\":{\"a\":1}}",
          "thing/t1: meta must be an object of strings" },
        { "{\"place\":[]}", "thing/t1: place must be an object" },
        { "{\"place\":{\"host\":1}}",
          "thing/t1: place: host must be a string" },
        { "{\"ips\":[1]}", "thing/t1: ips must be an object" },
        { "{\"ips\":[{\"rank\":\"\"}]}",
          "thing/t1: ips: rank must be an integer" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = { 0 };
        assert_null(decode(rows[i].json, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_memory_equal(err.text, rows[i].text, strlen(rows[i].text));
    }
}

static void too_large(void **state)
{
    static char big[STORE_VALUE_MAX + 1];
    struct error err;
    memset(big, ' ', sizeof(big));
    assert_null(record_decode(&kind_thing, "t1", big, sizeof(big), &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

static void unknown_members(void **state)
{
    struct error err;
    _autorecord_ struct thing *t =
        decode("{\"later\":1,\"name\":\"n\",\"place\":{\"x\":1}}", &err);
    assert_non_null(t);
    assert_string_equal(t->name, "n");

    _autojson_ json_t *place = json_pack("{s:i}", "x", 1);
    const struct field *f = schema_field(&kind_thing.schema, "place");
    assert_false(record_set_json(t, f, place, &err));
    assert_string_equal(err.text, "place: unknown member \"x\"");
}

/* What is not UTF-8 cannot be JSON: it must not make a record unreadable. */
static void odd_bytes(void **state)
{
    static const char *const rows[][2] = {
        { "plain", "plain" },
        { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
          "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
        { "a\xff"
          "b",
          "a?b" },
        { "\xc3", "?" },
        { "\xc0\xaf", "??" },           /* overlong */
        { "\xe0\x80\xaf", "???" },      /* overlong */
        { "\xed\xa0\x80", "???" },      /* a surrogate */
        { "\xf4\x90\x80\x80", "????" }, /* beyond Unicode */
        { "\xe2\x82", "??" },           /* cut short */
        { "\x80x", "?x" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        _autorecord_ struct thing *t = record_new(&kind_thing, "t1");
        struct buf out = BUF_INIT(4096);
        struct error err;
        t->name = rec_str(t, rows[i][0]);
        map_put(t, &t->meta, rows[i][0], rows[i][0]);
        assert_string_equal(t->name, rows[i][1]);
        record_encode(t, &out);
        _autorecord_ struct thing *back = decode(buf_str(&out), &err);
        assert_non_null(back);
        assert_true(record_equal(t, back));
        buf_free(&out);
    }
}

static void lists_and_maps(void **state)
{
    _autorecord_ struct thing *t = full_thing();
    assert_true(strs_has(&t->groups, "g2"));
    assert_true(strs_remove(&t->groups, "g1"));
    assert_false(strs_remove(&t->groups, "g1"));
    assert_int_equal(t->groups.n, 1);
    assert_string_equal(t->groups.v[0], "g2");
    map_put(t, &t->meta, "k", "new");
    assert_int_equal(t->meta.n, 2);
    assert_string_equal(map_get(&t->meta, "k"), "new");
    assert_true(map_remove(&t->meta, "k"));
    assert_null(map_get(&t->meta, "k"));
    assert_string_equal(map_get(&t->meta, "k2"), "");
    list_remove(&t->ips, sizeof(struct thing_ip), 1);
    assert_int_equal(t->ips.n, 2);
    assert_int_equal(LIST_AT(t->ips, struct thing_ip, 1)->rank, 2);
}

static const char *text_of(const struct thing *t, const char *name)
{
    static char tmp[64];
    return field_text(t, schema_field(&kind_thing.schema, name), tmp);
}

static void texts(void **state)
{
    _autorecord_ struct thing *t = full_thing();
    assert_string_equal(text_of(t, "project_id"), "p7");
    assert_string_equal(text_of(t, "up"), "true");
    assert_string_equal(text_of(t, "size"), "9223372036854775807");
    assert_string_equal(text_of(t, "created_at"), "2023-11-14T22:13:20Z");
    assert_string_equal(text_of(t, "state"), "ERROR");
    assert_null(text_of(t, "groups"));
    t->created_at = 0;
    assert_null(text_of(t, "created_at"));
    assert_null(schema_field(&kind_thing.schema, "nam"));
}

static void order(void **state)
{
    _autorecord_ struct thing *a = full_thing(), *b = full_thing();
    const struct schema *s = &kind_thing.schema;
    a->name = NULL;
    assert_true(field_compare(a, b, schema_field(s, "name")) < 0);
    assert_true(field_compare(b, a, schema_field(s, "name")) > 0);
    assert_int_equal(field_compare(a, b, schema_field(s, "size")), 0);
    a->size = -1;
    assert_true(field_compare(a, b, schema_field(s, "size")) < 0);
    a->state = THING_ACTIVE;
    assert_true(field_compare(a, b, schema_field(s, "state")) < 0);
}

static void collect(void *arg, const char *key)
{
    char *got = arg;
    size_t len = strlen(got);
    snprintf(got + len, 64 - len, "%s ", key);
}

static void index_paths(void **state)
{
    static const char *const want[] = { "p7 ", "ERROR ", "g1 g2 ", "s0 s1 s2 ",
                                        "h1 " };
    _autorecord_ struct thing *t = full_thing();
    for (size_t i = 0; kind_thing.indexes[i].path; i++) {
        char got[64] = "";
        index_keys(t, &kind_thing.indexes[i], collect, got);
        assert_string_equal(got, want[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(zero_values_are_left_out),
        cmocka_unit_test(all_shows_zeroes_and_no_secret),
        cmocka_unit_test(copy_is_deep),
        cmocka_unit_test(equal_sees_every_field),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(too_large),
        cmocka_unit_test(unknown_members),
        cmocka_unit_test(odd_bytes),
        cmocka_unit_test(lists_and_maps),
        cmocka_unit_test(texts),
        cmocka_unit_test(order),
        cmocka_unit_test(index_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
