/* A member's upkeep, on a real etcd, by a clock that is told. */
#include "test.h"

#include "etcd_child.h"

#include "common/env.h"
#include "daemon/etcd_upkeep.h"

#include <dirent.h>

static struct etcd_child etcd;
static int64_t ahead; /* us, of the wall clock */

static int64_t clock_now(void *self)
{
    return env_now(&env_system) + ahead;
}

static int64_t clock_mono(void *self)
{
    return env_mono(&env_system) + ahead;
}

static void clock_random(void *self, void *out, size_t len)
{
    env_random(&env_system, out, len);
}

static const struct env env = { NULL, clock_now, clock_mono, clock_random };

static void turns(void **state)
{
    for (size_t n = 1; n <= 5; n++)
        for (int64_t t = 0; t < 40; t++) {
            int who = 0;
            for (size_t i = 0; i < n; i++)
                who += etcd_upkeep_turn(i, n, t * ETCD_UPKEEP_US / 2);
            assert_int_equal(who, 1);
        }
    assert_false(etcd_upkeep_turn(0, 0, 0));
}

static int n_files(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        n += strstr(e->d_name, ".db") != NULL;
    if (d)
        closedir(d);
    return n;
}

/* A pass that is due by now. */
static void pass(struct etcd_upkeep *u)
{
    while (reconciler_step(etcd_upkeep_queue(u), 0))
        ;
}

/* The first may come before etcd answers. */
static void pass_until(struct etcd_upkeep *u, const char *dir, int wanted)
{
    int64_t end = env_mono(&env_system) + 60 * SECOND_US;
    while (n_files(dir) != wanted) {
        if (env_mono(&env_system) > end)
            fail_msg("%d snapshots, not %d", n_files(dir), wanted);
        ahead += ETCD_UPKEEP_US;
        pass(u);
    }
}

static void snapshots_are_kept(void **state)
{
    struct config config;
    struct error err = { 0 };
    memset(&etcd, 0, sizeof(etcd));
    etcd_child_start(&etcd, 1);
    _autofree_ char *text =
        xasprintf("state_dir = %s\nlog_level = error\netcd_endpoints = %s\n",
                  etcd.dir, etcd.member[0].endpoint);
    _autofree_ char *dir = xasprintf("%s/snapshots", etcd.dir);
    _autofree_ char *here = xasprintf("touch %s/etcd-member", etcd.dir);
    if (!config_parse(&config, text, strlen(text), &err))
        fail_msg("%s", err.text);
    struct etcd_upkeep *u = etcd_upkeep_start(&(struct etcd_upkeep_config){
        .env = &env, .config = &config, .url = etcd.member[0].endpoint });
    ahead += ETCD_UPKEEP_US;
    pass(u);
    assert_int_equal(n_files(dir), 0); /* no member of ours: nothing */
    assert_int_equal(system(here), 0);
    pass_until(u, dir, 1);
    ahead += ETCD_UPKEEP_US;
    pass(u);
    assert_int_equal(n_files(dir), 1); /* it is new enough */
    for (int i = 2; i <= ETCD_SNAPSHOTS_KEPT; i++) {
        ahead += ETCD_SNAPSHOT_EVERY_US;
        pass_until(u, dir, i);
    }
    ahead += ETCD_SNAPSHOT_EVERY_US + ETCD_UPKEEP_US;
    pass(u);
    assert_int_equal(n_files(dir), ETCD_SNAPSHOTS_KEPT);
    etcd_upkeep_stop(u);
    config_free(&config);
    etcd_child_stop(&etcd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns),
        cmocka_unit_test(snapshots_are_kept),
    };
    if (!etcd_there()) {
        printf("etcd is not installed: skipped\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
