"""Who torments the pool: a plan made from the seed, carried out in time.

One host suffers at a time, so that a majority can always go on, save where
the plan says "everybody"; what was done is undone before the next begins.
"""
import random
import threading
import time

from pool import Api, Lost

# Daemons worth killing, where they run; the first word of a service's name.
DAEMONS = ("cairnd", "etcd", "libvirtd", "ovn-controller", "ovn-nb", "ovn-sb",
           "ovn-northd", "ovs-vswitchd", "ceph-mon", "ceph-osd", "ceph-mgr")


class Act:
    """What is done to a host for some seconds."""

    def __init__(self, name, host, seconds, pause, draw):
        self.name, self.host, self.seconds = name, host, seconds
        self.pause, self.draw = pause, draw  # before it; in [0, 1)

    def __str__(self):
        return f"{self.name} {self.host} {self.seconds:.1f} s"


WEIGHTS = {"kill": 5, "stop": 4, "pause leader": 3, "kill leader": 2,
           "cut": 3, "unplug": 3, "lose in": 2, "lose out": 2,
           "unplug storage": 1, "slow disk": 1, "full disk": 1,
           "kill all cairnd": 1}


def plan(seed, seconds, hosts, without=()):
    """The acts, from the seed alone."""
    draw = random.Random(f"{seed} nemesis")
    names = [n for n in WEIGHTS if n not in without]
    acts, at = [], 0.0
    while True:
        act = Act(draw.choices(names, [WEIGHTS[n] for n in names])[0],
                  draw.choice(hosts), draw.uniform(0.5, 12),
                  draw.uniform(0.5, 4), draw.random())
        at += act.pause + act.seconds
        if at > seconds:
            return acts
        acts.append(act)


class Nemesis(threading.Thread):
    def __init__(self, lab, history, acts, end):
        super().__init__(name="nemesis", daemon=True)
        self.lab, self.history, self.acts, self.end = lab, history, acts, end
        self.failed = None

    def run(self):
        for act in self.acts:
            time.sleep(act.pause)  # the plan's pace; nothing is hoped for
            if time.monotonic() > self.end:
                return
            self.carry_out(act)

    def carry_out(self, act):
        self.history.add("nemesis", act=str(act), state="begin")
        undo = None
        try:
            undo = getattr(self, act.name.replace(" ", "_"))(act)
            if undo:
                time.sleep(act.seconds)  # how long the host suffers
        except Exception as e:
            self.history.add("nemesis", act=str(act), state="failed",
                             why=str(e)[:500])
        try:
            if undo:
                undo()
        except Exception as e:
            self.failed = f"{act}: cannot be undone: {e}"
        self.history.add("nemesis", act=str(act), state="end")

    # --- the acts; each gives back how it is undone, or None

    def daemon_of(self, act):
        there = [s for s in self.lab.services(act.host)
                 if s.startswith(DAEMONS)]
        there.sort()
        return there[int(act.draw * len(there))]

    def tell(self, act, what):
        self.history.add("nemesis", act=str(act), state=what)

    def kill(self, act):
        daemon = self.daemon_of(act)
        self.tell(act, f"kills {daemon}")
        self.lab.signal(act.host, daemon, "KILL")

    def stop(self, act):
        daemon = self.daemon_of(act)
        self.tell(act, f"stops {daemon}")
        return self.freeze(act.host, daemon)

    def freeze(self, host, daemon):
        pid = self.lab.services(host)[daemon]
        self.lab.on(host, "kill", "-STOP", pid)
        return lambda: self.lab.on(host, "kill", "-CONT", pid, check=False)

    def leader(self):
        return leader(self.lab)

    def pause_leader(self, act):
        host = self.leader() or act.host
        self.tell(act, f"stops cairnd of the leader, {host}")
        return self.freeze(host, "cairnd")

    def kill_leader(self, act):
        host = self.leader() or act.host
        self.tell(act, f"kills cairnd of the leader, {host}")
        self.lab.signal(host, "cairnd", "KILL")

    def kill_all_cairnd(self, act):
        for host in self.lab.hosts():
            self.lab.signal(host, "cairnd", "KILL")

    def cut(self, act):
        self.lab("cut", act.host)
        return lambda: self.lab("boot", act.host)

    def heal(self):
        self.lab("heal")

    def unplug(self, act):
        self.lab("unplug", act.host, "ex0")
        return self.heal

    def unplug_storage(self, act):
        self.lab("unplug", act.host, "st0")
        return self.heal

    def lose_in(self, act):
        self.lab("oneway", act.host, "ex0", "in")
        return self.heal

    def lose_out(self, act):
        self.lab("oneway", act.host, "ex0", "out")
        return self.heal

    def slow_disk(self, act):
        disks = (self.lab.home(act.host) / "disks").read_text().split("\n")
        disk = disks[int(act.draw * (len(disks) - 1))].split()[0]
        self.lab("slowdisk", act.host, disk)
        return self.heal

    def full_disk(self, act):
        self.lab("filldisk", act.host)
        return self.heal


def leader(lab):
    """The host that leads, as etcd has it; None: unknown."""
    pki = "/var/lib/cairn/pki"
    for host in lab.hosts():
        if not lab.init_pid(host):
            continue
        got = lab.on(host, "timeout", "3", "etcdctl", "--endpoints",
                     f"https://{lab.address(host)}:2379",
                     "--cacert", f"{pki}/ca.crt",
                     "--cert", f"{pki}/server.crt",
                     "--key", f"{pki}/server.key", "get",
                     "cairn/election/leader", "--print-value-only",
                     check=False).strip()
        if got in lab.hosts():
            return got
    return None


def heal_all(lab):
    """After this nothing is broken by us any more."""
    for host in lab.hosts():
        if not lab.init_pid(host):
            lab("boot", host, timeout=300)
        for pid in lab.services(host).values():
            lab.on(host, "kill", "-CONT", pid, check=False)
    lab("heal")
