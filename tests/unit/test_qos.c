/* Limits by a volume's type. */
#include "test.h"

#include "model/qos.h"

#include <string.h>

static struct qos_specs *specs(const char *const (*pairs)[2])
{
    struct qos_specs *q = record_new(&kind_qos_specs, "q");
    for (; (*pairs)[0]; pairs++)
        map_put(q, &q->specs, (*pairs)[0], (*pairs)[1]);
    return q;
}

static void numbers_are_taken(void **state)
{
    static const char *const given[][2] = { { "read_iops_sec", "100" },
                                            { "read_iops_sec_max", "300" },
                                            { "size_iops_sec", "4096" },
                                            { NULL } };
    struct qos_tune t;
    _autorecord_ struct qos_specs *q = specs(given);
    qos_tune(&q->specs, 7, &t);
    assert_int_equal(t.v[QOS_read_iops_sec], 100);
    assert_int_equal(t.v[QOS_read_iops_sec_max], 300);
    assert_int_equal(t.v[QOS_size_iops_sec], 4096);
    assert_int_equal(t.v[QOS_write_iops_sec], 0);
}

static void size_counts(void **state)
{
    static const char *const given[][2] = {
        { "total_iops_sec_per_gb", "10" },
        { "total_iops_sec_per_gb_min", "50" },
        { "total_iops_sec_max", "200" },
        { NULL },
    };
    static const int64_t rows[][2] = {
        { 1, 50 }, { 5, 50 }, { 12, 120 }, { 20, 200 }, { 1000, 200 }
    };
    struct qos_tune t;
    _autorecord_ struct qos_specs *q = specs(given);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        qos_tune(&q->specs, rows[i][0], &t);
        assert_int_equal(t.v[QOS_total_iops_sec], rows[i][1]);
    }
}

static void what_the_hypervisor_has_not(void **state)
{
    static const struct {
        const char *pairs[4][2];
        bool ok;
    } rows[] = {
        { { { "read_iops_sec", "100" }, { NULL } }, true },
        { { { "read_iops_sec", "many" }, { NULL } }, false },
        { { { "read_iops_sec", "-1" }, { NULL } }, false },
        { { { "read_iops_sec", "" }, { NULL } }, false },
        { { { "read_iops_sec", "99999999999999999999" }, { NULL } }, false },
        { { { "minIOPS", "20" }, { NULL } }, false },
        { { { "total_iops_sec", "9" }, { "read_iops_sec", "4" }, { NULL } },
          false },
        { { { "total_bytes_sec", "9" }, { "read_iops_sec", "4" }, { NULL } },
          true },
        { { { "read_iops_sec", "9" }, { "read_iops_sec_max", "8" }, { NULL } },
          false },
        { { { "read_iops_sec_max", "8" }, { NULL } }, false },
        { { { "read_iops_sec", "9" },
            { "read_iops_sec_max_length", "8" },
            { NULL } },
          false },
        { { { "write_bytes_sec_per_gb", "9" }, { NULL } }, true },
        { { { "size_iops_sec_per_gb", "9" }, { NULL } }, false },
    };
    struct error err;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        _autorecord_ struct qos_specs *q = specs(rows[i].pairs);
        if (qos_check("front-end", &q->specs, &err) != rows[i].ok)
            fail_msg("row %zu", i);
        assert_true(qos_check("back-end", &q->specs, &err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_taken),
        cmocka_unit_test(size_counts),
        cmocka_unit_test(what_the_hypervisor_has_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
