"""The engine's part of bench/page.py: decisions, and servers a second from
BUILD to placed.  The figures' meaning: docs/dev/engine-speed.md."""
import collections

# hosts, mix, the least decisions a second of one core; None: by the smaller
# pool, this part of it
Run = collections.namedtuple("Run", "hosts mix least part")
RUNS = (Run(10000, "plain", 1000000, None), Run(10000, "mixed", 100000, None),
        Run(100000, "plain", None, 0.5), Run(100000, "mixed", None, 0.1))
P99_US = 100
SECONDS = 3
POOLS = (100, 1000)
SERVERS = 2000


def measure(run_json):
    out = {}
    for run in RUNS:
        out[f"{run.mix}_{run.hosts}"] = run_json(
            "engine", "--hosts", str(run.hosts), "--mix", run.mix,
            "--seconds", str(SECONDS))
    for nodes in POOLS:
        out[f"scheduler_{nodes}"] = run_json("scheduler", str(nodes),
                                             str(SERVERS))
    out["rebalance"] = run_json("rebalance", "--seeds", "1")
    return out


def show(r, row, aim):
    for run in RUNS:
        one = r[f"{run.mix}_{run.hosts}"]
        rate = one["decisions_per_s"]
        least = run.least or run.part * next(
            x.least for x in RUNS if x.mix == run.mix)
        row(f"decisions, {run.mix}, {run.hosts:,} hosts", f"{rate:,} /s core",
            f"p99 {one['p99_us']:,.0f} us; " +
            aim(rate >= least, f"{least:,.0f}"))
        if run.least:
            row("  .. 99th percentile", f"{one['p99_us']:.1f} us",
                aim(one["p99_us"] < P99_US, f"< {P99_US} us"))
    for nodes in POOLS:
        one = r[f"scheduler_{nodes}"]
        row(f"servers placed and committed, {nodes:,} nodes",
            f"{one['memory_placed_per_s']:,} /s",
            f"in memory; SQLite {one['sqlite_placed_per_s']:,} /s, etcd "
            f"{one['etcd_placed_per_s']:,} /s")
    one = r["rebalance"]
    row(f"plan, {one['hosts']} hosts, {one['servers']:,} servers",
        f"{one['cpu']:.2f} s",
        f"unusable {one['unusable']} to {one['after']} with "
        f"{one['migrations']} moves; " + aim(one["cpu"] < 1, "< 1 s"))
