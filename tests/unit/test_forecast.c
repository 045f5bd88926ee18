/* Smoothing and the short look ahead. */
#include "test.h"

#include "engine/forecast.h"
#include "fleet_world.h"

#define MINUTE 60000

static void feed(struct forecast *f, int64_t *now, int64_t step, int n,
                 int64_t from, int64_t by)
{
    for (int i = 0; i < n; i++)
        forecast_add(f, &forecast_usual, *now += step, from + by * i);
}

static void test_constant_stays(void **state)
{
    (void)state;
    struct forecast f = { 0 };
    int64_t now = 1;
    assert_int_equal(forecast_value(&f, &forecast_usual, MINUTE), 0);
    feed(&f, &now, 10000, 500, 4321, 0);
    assert_int_equal(forecast_value(&f, &forecast_usual, 0), 4321);
    assert_int_equal(forecast_value(&f, &forecast_usual, 30 * MINUTE), 4321);
    assert_int_equal(forecast_deviation(&f), 0);
}

static void test_half_life(void **state)
{
    (void)state;
    struct forecast_policy flat = forecast_usual;
    flat.trend_life = INT64_C(1) << 40; /* no slope */
    struct forecast f = { 0 };
    forecast_add(&f, &flat, 1, 0);
    forecast_add(&f, &flat, 1 + 2 * MINUTE, 1000);
    assert_in_range(forecast_value(&f, &flat, 0), 499, 501);
    forecast_add(&f, &flat, 1 + 3 * MINUTE, 1000);
    assert_in_range(forecast_value(&f, &flat, 0), 645, 648);
}

static void test_follows_a_trend(void **state)
{
    (void)state;
    struct forecast f = { 0 };
    int64_t now = 1;
    feed(&f, &now, 10000, 360, 1000, 10); /* an hour, 60 a minute: to 4590 */
    assert_in_range(forecast_value(&f, &forecast_usual, 0), 4500, 4600);
    int64_t ahead = forecast_value(&f, &forecast_usual, 5 * MINUTE);
    assert_in_range(ahead, 4700, 4890);
    /* It fades: in an hour not much more than in half of one. */
    int64_t half = forecast_value(&f, &forecast_usual, 30 * MINUTE);
    int64_t hour = forecast_value(&f, &forecast_usual, 60 * MINUTE);
    assert_in_range(hour, half, half + 150);
    assert_int_equal(forecast_peak(&f, &forecast_usual, 5 * MINUTE), ahead);
}

static void test_a_falling_load_keeps_its_room(void **state)
{
    (void)state;
    struct forecast f = { 0 };
    int64_t now = 1;
    feed(&f, &now, 10000, 100, 5000, -40);
    assert_true(forecast_value(&f, &forecast_usual, 5 * MINUTE) <
                forecast_value(&f, &forecast_usual, 0));
    assert_int_equal(forecast_peak(&f, &forecast_usual, 5 * MINUTE),
                     forecast_value(&f, &forecast_usual, 0));
    feed(&f, &now, 10000, 100, 900, -40);
    assert_int_equal(forecast_value(&f, &forecast_usual, 60 * MINUTE), 0);
}

static void test_noise_is_smoothed(void **state)
{
    (void)state;
    struct world_random r = { 3 };
    struct forecast f = { 0 };
    int64_t now = 1;
    for (int i = 0; i < 2000; i++) {
        forecast_add(&f, &forecast_usual, now += 10000,
                     1000 + (int64_t)world_draw(&r, 201) - 100);
        if (i > 200)
            assert_in_range(forecast_value(&f, &forecast_usual, 5 * MINUTE),
                            920, 1080);
    }
    assert_in_range(forecast_deviation(&f), 35, 70);
}

static void test_gaps_and_old_samples(void **state)
{
    (void)state;
    struct forecast f = { 0 };
    int64_t now = 1;
    feed(&f, &now, 10000, 100, 1000, 0);
    forecast_add(&f, &forecast_usual, now - 5, 9000);
    forecast_add(&f, &forecast_usual, now, 9000);
    assert_int_equal(forecast_value(&f, &forecast_usual, 0), 1000);
    forecast_add(&f, &forecast_usual, now + 60 * MINUTE, 50);
    assert_int_equal(forecast_value(&f, &forecast_usual, 0), 50);
    assert_int_equal(f.samples, 1);
}

static void test_a_reading_with_holes(void **state)
{
    (void)state;
    struct forecast_set s = { 0 };
    int64_t values[FORECAST_METRICS_N] = {
        [FORECAST_VCPU] = 10, [FORECAST_STEAL] = -1, [FORECAST_NETWORK] = 80
    };
    forecast_read(&s, &forecast_usual, 1000, values);
    assert_int_equal(s.of[FORECAST_VCPU].samples, 1);
    assert_int_equal(s.of[FORECAST_STEAL].samples, 0);
    assert_int_equal(
        forecast_value(&s.of[FORECAST_NETWORK], &forecast_usual, 0), 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant_stays),
        cmocka_unit_test(test_half_life),
        cmocka_unit_test(test_follows_a_trend),
        cmocka_unit_test(test_a_falling_load_keeps_its_room),
        cmocka_unit_test(test_noise_is_smoothed),
        cmocka_unit_test(test_gaps_and_old_samples),
        cmocka_unit_test(test_a_reading_with_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
