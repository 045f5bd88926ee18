"""What tests/lab/faults proves on its three hosts.

Each thing seen is a line "ok  WHAT"; the first that is not ends it.  Times
are told as they are; the deadlines are those of a machine under load.
"""
import json
import os
import pathlib
import re
import signal
import sys
import threading
import time

import checker
from guests import Watch, Writers, domains, space_of
from history import History
from nemesis import leader
from pool import Api, Lab, Lost
from workload import World

NAME = os.environ["LAB"]
LONG_S = 300
FAILURES = (Lost, RuntimeError, ValueError, KeyError)


def say(text):
    print(f"ok  {text}", flush=True)


def until(what, probe, seconds=LONG_S, pause=0.2):
    """The first true value of probe(), which may fail until then."""
    begun, why = time.monotonic(), ""
    while True:
        try:
            value = probe()
        except FAILURES as e:
            value, why = None, e
        if value:
            say(f"{what} ({time.monotonic() - begun:.1f} s)")
            return value
        if time.monotonic() - begun > seconds:
            sys.exit(f"FAILED after {seconds} s: {what} {why}")
        time.sleep(pause)


class Pool:
    def __init__(self):
        self.lab = Lab(NAME, os.environ.get("BUILD", "build"))
        self.api = Api(self.lab)
        self.hosts = self.lab.hosts()
        self.history = History(self.lab.dir / "history.jsonl")
        until("three monitors, three copies", self.is_whole)
        until("three vote on the state", self.all_vote)
        until("nothing is moved to balance load", lambda: self.api.call(
            "h1", "PUT", "cairn", "/policy", {"rebalancing": "off"})[0] == 200)
        world = World(self.lab, self.api, spread=True)
        self.writers = Writers(world, self.api, self.history, 1)
        self.writers.start()
        self.guest = next(iter(self.writers.ids))
        self.watch = Watch(self.lab, self.history, [self.guest])
        self.watch.start()
        say("a guest writes")

    # --- what is asked

    def ceph(self, host, *words):
        return json.loads(self.lab.on(
            host, "ceph", "--conf=/etc/cairn/ceph.conf", *words,
            "--format=json"))

    def is_whole(self):
        host = self.hosts[0]
        pool = self.ceph(host, "osd", "pool", "ls", "detail")[0]
        quorum = self.ceph(host, "quorum_status")["quorum_names"]
        return len(quorum) == 3 and pool["size"] == 3 and \
            self.ceph(host, "health")["status"] == "HEALTH_OK"

    def all_vote(self):
        return self.lab.on("h1", "cat", "/var/lib/cairn/store").count(
            ":2379") >= 3

    def node(self, by, host):
        return self.api.get(by, "cairn", f"/nodes/{host}")

    def health(self, by, host):
        return self.node(by, host)["health"]

    def server(self, by):
        return self.api.get(by, "compute", f"/servers/{self.guest}")["server"]

    def place(self, by):
        return self.server(by)["OS-EXT-SRV-ATTR:host"]

    def others(self, *hosts):
        return [h for h in self.hosts if h not in hosts]

    def is_refused(self, by, host):
        """Ceph refuses all clients of that host."""
        address = self.ceph(by, "mon", "dump")["mons"]
        address = next(m["public_addrs"]["addrvec"][0]["addr"] for m in
                       address if m["name"] == host).rsplit(":", 1)[0]
        return f"{address}:0/0" in self.ceph(by, "osd", "dump")["blocklist"]

    # --- what is waited for

    def runs_elsewhere(self, old, by):
        def runs():
            shown = self.server(by)
            now = shown["OS-EXT-SRV-ATTR:host"]
            return shown["status"] == "ACTIVE" and now != old and now
        return until(f"the guest of {old} was started elsewhere", runs)

    def writes_anew(self, generation):
        until("its disk is as it was left, and it writes", lambda:
              self.watch.generation(self.guest) > generation)

    def is_well(self, by, host):
        until(f"{host} belongs to the pool again", lambda:
              self.health(by, host) == "up")
        assert self.place(by) == host or not any(
            h == host for h, s, *_ in domains(self.lab) if s == self.guest)

    def moves_to(self, host, by):
        self.api.call(by, "POST", "compute", f"/servers/{self.guest}/action", {
            "os-migrateLive": {"host": host, "block_migration": "auto"}})
        until(f"the guest moves to {host} while it writes", lambda:
              self.place(by) == host and
              self.server(by)["status"] == "ACTIVE")

    def leads(self, *not_these):
        return until("somebody leads", lambda: (
            now := leader(self.lab)) not in not_these and now)

    def rests(self):
        until("all data has all its copies", self.is_whole, 2 * LONG_S)
        for host in self.hosts:
            until(f"{host} is up", lambda: self.health("h1", host) == "up")


def fails(pool, how, *what):
    """The guest's host loses something; it is well again when that ends."""
    host = pool.place("h1")
    by = pool.others(host)[0]
    generation = pool.watch.generation(pool.guest)
    pool.lab(what[0], host, *what[1:])
    say(f"{host} {how}")
    pool.runs_elsewhere(host, by)
    pool.writes_anew(generation)
    pool.lab("heal")
    pool.is_well(by, host)


def storage_network(pool):
    fails(pool, "loses its storage network alone", "unplug", "st0")


def one_way(pool):
    fails(pool, "hears nobody, all hear it", "oneway", "ex0", "in")
    fails(pool, "hears all, is heard by nobody", "oneway", "ex0", "out")


def apart(pool):
    """(who leads, the guest's host, the third): three hosts."""
    first = pool.leads()
    if pool.place(first) == first:
        pool.moves_to(pool.others(first)[0], first)
    host = pool.place(first)
    return first, host, pool.others(first, host)[0]


def machine_pid(pool, host):
    """Of the cairnd there, as this machine counts: it can be stopped at once."""
    inner = pool.lab.services(host)["cairnd"]
    space = space_of(pool.lab.init_pid(host))
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            numbers = re.search(r"NSpid:(.*)", status.read_text())[1].split()
            if int(numbers[-1]) == inner and len(numbers) > 1 and \
                    space_of(status.parent.name) == space:
                return int(numbers[0])
        except OSError:
            continue
    raise RuntimeError(f"no cairnd on {host}")


def freeze(pid, host):
    os.kill(pid, signal.SIGSTOP)
    say(f"cairnd of {host}, which leads, stands still")
    return lambda: os.kill(pid, signal.SIGCONT)


def stays_refused(pool, by, host, seconds=8):
    """All the time: longer than whoever goes on would need to open it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert pool.is_refused(by, host), f"{host} may write again"
        assert pool.health(by, host) in ("fencing", "fenced")
        time.sleep(0.2)
    say(f"{host} stays fenced, in the records and in the storage")


def paused_leader(pool):
    """It stands still in the middle of a recovery, which another ends."""
    first, host, third = apart(pool)
    generation = pool.watch.generation(pool.guest)
    pid = machine_pid(pool, first)
    pool.lab("cut", host)
    until(f"{first} begins to recover {host}", lambda:
          pool.health(third, host) != "up", pause=0.02)
    thaw = freeze(pid, first)
    pool.leads(first, host)
    pool.runs_elsewhere(host, third)
    pool.writes_anew(generation)
    thaw()
    say(f"{first} goes on")
    stays_refused(pool, third, host)
    pool.is_well(third, first)
    pool.lab("boot", host)
    pool.is_well(third, host)


def late_lift(pool):
    """It stands still while it lets a node in again, which then fails."""
    first, host, third = apart(pool)
    pool.lab("cut", host)
    pool.runs_elsewhere(host, third)
    pid = machine_pid(pool, first)
    boot = threading.Thread(target=pool.lab, args=("boot", host))
    boot.start()
    until(f"{host} is back, in quarantine", lambda:
          pool.health(third, host) in ("quarantined", "up"), pause=0.01)
    thaw = freeze(pid, first)
    pool.leads(first)
    pool.is_well(third, host)
    boot.join()
    pool.lab("cut", host)
    until(f"{host} fails again, it is fenced", lambda:
          pool.health(third, host) == "fenced")
    thaw()
    say(f"{first} goes on")
    stays_refused(pool, third, host)
    pool.lab("boot", host)
    pool.is_well(third, first)
    pool.is_well(third, host)


def migration(pool):
    for _ in range(3):
        host = pool.place("h1")
        pool.moves_to(pool.others(host)[0], "h1")


def osds(pool, host):
    tree = pool.ceph("h1", "osd", "tree")["nodes"]
    return set(next(n["children"] for n in tree if n["name"] == host))


def another_disk(pool, host):
    had = osds(pool, host)
    pool.lab("adddisk", host)
    new = until(f"{host} makes an OSD of another disk", lambda:
                osds(pool, host) - had)
    say(f"osd.{new.pop()}")
    return had


def slow_disk(pool):
    old = another_disk(pool, "h3")
    pool.rests()
    pool.lab("slowdisk", "h3", "d1", "48")
    until("the slow disk of h3 is reported", lambda:
          "far slower" in json.dumps(pool.node("h1", "h3")) or
          "far slower" in json.dumps(
              pool.api.records("h1", "node_disks")), 2 * LONG_S)
    until("its data is elsewhere, it has left", lambda:
          not old & osds(pool, "h3"), 4 * LONG_S)
    pool.lab("heal")
    pool.rests()


def dead_disk(pool):
    old = osds(pool, "h2")
    pool.lab("killdisk", "h2", "d1")
    say("the disk of h2 is dead")
    another_disk(pool, "h2")
    until("the dead one has left", lambda:
          not old & osds(pool, "h2"), 4 * LONG_S)
    pool.rests()


PARTS = {f.__name__.replace("_", "-"): f for f in (
    storage_network, one_way, paused_leader, late_lift, migration, slow_disk,
    dead_disk)}


def judge(pool):
    """By the guest's own word, after one more start."""
    bad = pool.writers.settle()
    checks = pool.writers.check(pool.watch)
    pool.watch.end()
    bad += checker.check_writers(pool.history.rows, pool.writers.ids, checks)
    if bad:
        sys.exit("FAILED  " + "; ".join(bad))
    say(f"no block was lost, it never ran twice: {checks}; on two hosts for "
        f"{checker.overlaps(pool.history.rows) or 0}")


def main():
    wanted = sys.argv[1:] or list(PARTS)
    unknown = set(wanted) - set(PARTS)
    if unknown:
        sys.exit(f"no such part: {unknown}; there are: {' '.join(PARTS)}")
    pool = Pool()
    for part in wanted:
        say(f"--- {part}")
        PARTS[part](pool)
        pool.rests()
    judge(pool)


if __name__ == "__main__":
    main()
