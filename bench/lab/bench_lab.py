#!/usr/bin/python3
"""What a pool of several hosts does in numbers, in the laboratory.

make bench-lab [PARTS="state moves"]; docs/dev/bench.md.  One JSON line a
figure, also kept in build/bench-lab.jsonl, then a page.  What could not be
measured says why.  Each part has a pool of its own, and ends after PART_S.
"""
import argparse
import base64
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/chaos"), str(ROOT / "tests/lab")]
from guests import START, consoles  # noqa: E402
from live import Mover, Pinger  # noqa: E402
from nemesis import leader  # noqa: E402
from pool import Api, Lab, Lost, wait_until  # noqa: E402

PKI = "/var/lib/cairn/pki"
# Again and again: which writes a figure is about is chosen by when they were.
TIME = START.replace("writer /dev/vda\\n",
                     "while :; do writer /dev/vda time 500; done\\n")
PART_S = 460
MOVES = 20
READS = 1000
# Of the CPU beside what else runs on this machine, which has 1: so that a
# figure is about the pool and not about the neighbours.
WEIGHT = int(os.environ.get("WEIGHT", "8"))
ENDED = "completed", "error", "cancelled"
FIGURES = {
    "state": ["join_s", "confirmed_read_ms", "leader_dies_write_gap_s",
              "leader_dies_slowest_read_s", "state_writes_1_voter",
              "watch_delay_1_voter", "state_writes_3_voters",
              "watch_delay_3_voters"],
    "local": ["post_to_ssh_2gb_local_s", "guest_write_4k_local_ms"],
    "ssh": ["post_to_ssh_2gb_ceph_s"],
    "writes": ["guest_write_4k_ceph_ms", "librbd_write_4k_ms",
               "guest_write_4k_recovery_ms"],
    "moves": ["migration_pause_s", "power_cut_to_guest_s"],
}


class Missing(Exception):
    """This figure cannot be taken, because ..."""


class Over(BaseException):
    """The part has had its time: past all that catches an Exception."""


def over(*_):
    raise Over()


class Bench:
    def __init__(self, name, out):
        self.lab = Lab(name, os.environ.get("BUILD", "build"))
        self.out = open(out, "w", encoding="utf-8")
        self.rows = []

    def figure(self, name, value=None, unit="s", **more):
        row = {"figure": name, "value": value, "unit": unit, **more,
               "load": round(os.getloadavg()[0], 1)}
        self.rows.append(row)
        text = json.dumps(row)
        self.out.write(text + "\n")
        self.out.flush()
        print(text, flush=True)

    def take(self, what, *names):
        """A measurement, or the reason for its absence."""
        try:
            what()
        except Exception as e:  # told, not hidden
            self.missing(names, str(e) if isinstance(e, Missing) else
                         f"{type(e).__name__}: {str(e)[-300:]}")

    def missing(self, names, why):
        known = {row["figure"] for row in self.rows}
        for n in names:
            if n not in known:
                self.figure(n, missing=why)

    def part(self, name):
        """All its figures are there afterwards, or why not."""
        begun = time.monotonic()
        why = "the part ended before"
        signal.alarm(PART_S)
        try:
            self.take(getattr(self, name), *FIGURES[name])
        except Over:
            why = f"not within {PART_S} s"
        finally:
            signal.alarm(0)
            self.lab("down", check=False)
        self.missing(FIGURES[name], why)
        print(f"# {name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)

    # --- pools

    def up(self, hosts, **env):
        self.lab("down", check=False)
        start = time.monotonic()
        self.lab("up", hosts, NOBUILD="1", **env)
        self.heavy()
        self.api = Api(self.lab)
        return time.monotonic() - start

    def heavy(self):
        """The hosts' share of the CPU (cgroup v1 as here, or v2)."""
        for host in self.lab.hosts():
            pid = self.lab.init_pid(host)
            groups = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
            for control, file, one in (("cpu", "cpu.shares", 1024),
                                       ("", "cpu.weight", 100)):
                if m := re.search(rf"^\d+:{control}:(/.+)$", groups, re.M):
                    path = pathlib.Path(
                        f"/sys/fs/cgroup/{control}{m[1]}/{file}")
                    if path.exists():
                        path.write_text(str(one * WEIGHT))

    def voters(self, n):
        def many():
            text = self.lab.on("h1", "cat", "/var/lib/cairn/store",
                               check=False)
            return text.count(":2379") == n
        wait_until(f"{n} voters", many, 120)

    # --- state: one voter, a join, three voters

    def state(self):
        self.up(2)
        self.take(lambda: self.state_writes(1), "state_writes_1_voter")
        self.take(self.join, "join_s")
        self.take(lambda: self.voters(3) or self.state_writes(3),
                  "state_writes_3_voters")
        self.take(self.confirmed, "confirmed_read_ms")
        self.take(self.leader_dies, "leader_dies_slowest_read_s",
                  "leader_dies_write_gap_s")

    def state_writes(self, n):
        last = self.lab.hosts()[-1] if n > 1 else "h1"
        text = self.lab.on("h1", self.lab.build / "bench/watch",
                           f"{self.lab.address('h1')}:2379",
                           f"{self.lab.address(last)}:2379", PKI)
        got = json.loads(text)
        voters = f"{n}_voter{'s' * (n > 1)}"
        self.figure(f"state_writes_{voters}", got["writes_32"], "1/s",
                    one_writer=got["writes_1"], writers=32)
        self.figure(f"watch_delay_{voters}", got["watch_us"] / 1000, "ms",
                    p99=got["watch_p99_us"] / 1000, n=got["watch_n"],
                    what="from handing in to another member's watch")

    def join(self):
        start = time.monotonic()
        self.lab("add")
        self.heavy()
        host = self.lab.hosts()[-1]
        wait_until("it is listed", lambda: any(
            r["id"] == host for r in self.api.records("h1", "node")), 60)
        self.figure("join_s", round(time.monotonic() - start, 2),
                    what="from power to the API answering there")

    def confirmed(self):
        """A read of one client through each node, beside one of a page that
        strangers may have, which needs neither record nor confirmation."""
        times, plain = [], []
        for host in self.lab.hosts():
            for _ in range(READS):
                begun = time.monotonic()
                self.api.get(host, "network", "/networks?limit=1")
                read = time.monotonic()
                self.api.raw(host, "GET", "/network/")
                plain.append((time.monotonic() - read) * 1000)
                times.append((read - begun) * 1000)
        times.sort()
        plain.sort()
        self.figure("confirmed_read_ms", round(statistics.median(times), 2),
                    "ms", p99=round(times[len(times) * 99 // 100], 2),
                    unconfirmed=round(statistics.median(plain), 2),
                    n=len(times), what="in Python, over HTTPS")

    def leader_dies(self):
        """Power cut of the host that leads; two others are used."""
        led = wait_until("a leader", lambda: leader(self.lab), 30)
        others = [h for h in self.lab.hosts() if h != led]
        read = Repeater(Api(self.lab, timeout=10), others[0], self.read)
        write = Repeater(Api(self.lab, timeout=5), others[1], self.put)
        for one in read, write:
            wait_until("they are answered", lambda: one.done > 20, 30)
        self.lab("cut", led)
        for one in read, write:
            before = one.done
            wait_until("they are answered again",
                       lambda: one.done > before + 20, 60)
        read.end()
        write.end()
        self.figure("leader_dies_write_gap_s", round(write.gap(), 2),
                    writes=write.done)
        self.figure("leader_dies_slowest_read_s", round(max(read.times), 3),
                    reads=len(read.times), refused=read.refused,
                    median_ms=round(statistics.median(read.times) * 1000, 2))

    def read(self, api, host):
        try:
            return api.call(host, "GET", "network",
                            "/networks?limit=1")[0] == 200
        except Lost:
            return False

    def put(self, api, host):
        try:
            return api.call(host, "POST", "network", "/networks", {
                "network": {"name": f"b-{time.monotonic()}"}})[0] == 201
        except Lost:
            return False

    # --- guests

    def local(self):
        self.pool_of_guests("local")
        self.take(self.post_to_ssh, "post_to_ssh_2gb_local_s")
        self.take(lambda: self.guest_latency("guest_write_4k_local_ms"),
                  "guest_write_4k_local_ms")

    def ssh(self):
        self.pool_of_guests("ceph")
        self.post_to_ssh()

    def writes(self):
        self.pool_of_guests("ceph")
        self.take(lambda: self.guest_latency("guest_write_4k_ceph_ms"),
                  "guest_write_4k_ceph_ms")
        self.take(self.librbd_latency, "librbd_write_4k_ms")
        self.take(self.during_recovery, "guest_write_4k_recovery_ms")

    def moves(self):
        self.pool_of_guests("ceph")
        self.take(self.migrations, "migration_pause_s")
        self.take(self.power_cut, "power_cut_to_guest_s")

    def pool_of_guests(self, kind):
        self.kind = kind
        self.up(3, **({"VOLUMES": "ceph"} if kind == "ceph" else {}))
        self.prepare_guests()

    def prepare_guests(self):
        import openstack
        os.environ["OS_CLIENT_CONFIG_FILE"] = str(
            self.lab.dir / "clouds.yaml")
        self.cloud = c = openstack.connect("cairn")
        self.key = self.lab.dir / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        self.key], check=True)
        c.compute.create_keypair(name="bench", public_key=pathlib.Path(
            f"{self.key}.pub").read_text())
        self.public = next(c.network.networks(**{"router:external": True}))
        self.net = c.network.create_network(name="bench")
        subnet = c.network.create_subnet(network_id=self.net.id, ip_version=4,
                                         cidr="10.8.0.0/24")
        router = c.network.create_router(name="bench", external_gateway_info={
            "network_id": self.public.id})
        c.network.add_interface_to_router(router, subnet_id=subnet.id)
        self.group = c.network.create_security_group(name="bench")
        for protocol in "tcp", "icmp":
            c.network.create_security_group_rule(
                security_group_id=self.group.id, direction="ingress",
                protocol=protocol)
        self.flavor = c.compute.find_flavor("cairn.nano").id
        self.small = c.image.find_image("cairn-guest").id

    def where(self):
        return {} if self.kind == "ceph" else {
            "availability_zone": "nova:h1"}

    def image_of_2_gb(self):
        """The small guest, and random bytes behind its partitions."""
        raw = self.lab.dir / "2gb.raw"
        subprocess.run(["qemu-img", "convert", "-O", "raw", ROOT /
                        "build/guest/cairn-guest.qcow2", raw], check=True)
        with open(raw, "r+b") as f:
            f.seek(600 << 20)
            for _ in range(1400):
                f.write(os.urandom(1 << 20))
        image = self.cloud.create_image(
            "2gb", filename=str(raw), disk_format="raw", wait=True,
            container_format="bare", timeout=300)
        raw.unlink()
        return image.id

    def post_to_ssh(self):
        flavor = self.cloud.compute.create_flavor(
            name="bench", ram=256, vcpus=1, disk=2)
        image = self.image_of_2_gb()
        times = []
        for n in range(3):
            start = time.monotonic()
            server = self.cloud.compute.create_server(
                name=f"ssh-{n}", image_id=image, flavor_id=flavor.id,
                networks=[{"uuid": self.net.id}], key_name="bench",
                security_groups=[{"name": "bench"}], **self.where())
            ip = self.floating_ip(server.id)
            wait_until("SSH", lambda: self.logs_in(ip.floating_ip_address), 180,
                       pause=0.1)
            times.append(round(time.monotonic() - start, 2))
            self.cloud.network.delete_ip(ip)
            self.cloud.compute.delete_server(server)
            self.cloud.compute.wait_for_delete(server, wait=60, interval=0.3)
        self.figure(f"post_to_ssh_2gb_{self.kind}_s",
                    statistics.median(times), all=times)

    def floating_ip(self, server):
        port = wait_until("its port", lambda: next(
            self.cloud.network.ports(device_id=server), None), 30, pause=0.05)
        return self.cloud.network.create_ip(
            floating_network_id=self.public.id, port_id=port.id)

    def logs_in(self, address, command="true"):
        done = subprocess.run(
            ["ssh", "-i", self.key, "-o", "StrictHostKeyChecking=no", "-o",
             "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o",
             "BatchMode=yes", "-o", "ConnectTimeout=2", f"root@{address}",
             command], capture_output=True, stdin=subprocess.DEVNULL)
        return done.returncode == 0

    def small_guest(self, name, script, **where):
        return self.cloud.compute.create_server(
            name=name, image_id=self.small, flavor_id=self.flavor,
            networks="none", config_drive=True,
            user_data=base64.b64encode(script.encode()).decode(),
            **(where or self.where()))

    def times_of(self, server):
        """What the guest has said of its writes, (n, median, p95, p99)."""
        return [tuple(map(int, m.groups()))
                for lines in consoles(self.lab, server).values()
                for line in lines if (m := re.search(
                    r"times n=(\d+) median=(\d+) p95=(\d+) p99=(\d+)", line))]

    def guest_that_times(self):
        """A guest on h1 whose first writes, to what is new, are over."""
        server = self.small_guest("times", TIME,
                                  availability_zone="nova:h1")
        wait_until("its writes are timed",
                   lambda: len(self.times_of(server.id)) > 1, 240)
        return server

    def next_times(self, server, figure, **more):
        """Of writes that all begin from now on."""
        known = len(self.times_of(server.id))
        n, median, p95, p99 = wait_until(
            "its writes are timed",
            lambda: self.times_of(server.id)[known + 1:], 240)[0]
        self.figure(figure, median / 1000, "ms", p95=p95 / 1000,
                    p99=p99 / 1000, n=n, **more)

    def guest_latency(self, figure):
        self.timer = self.guest_that_times()
        self.next_times(self.timer, figure)

    def librbd_latency(self):
        """Without a guest: one write at a time by librbd, flushed."""
        rbd = ["rbd", "--conf=/etc/cairn/ceph.conf",
               "--rbd-cache=false", "-p", "rbd"]
        self.lab.on("h1", *rbd, "create", "--size", "64", "bench")
        text = self.lab.on("h1", *rbd, "bench", "--io-type", "write",
                           "--io-size", "4K", "--io-threads", "1",
                           "--io-total", "4M", "--io-pattern", "seq", "bench")
        self.lab.on("h1", *rbd, "rm", "bench", check=False)
        ops = re.search(r"elapsed.*?ops:\s*(\d+)\s+ops/sec:\s*([\d.]+)", text)
        self.figure("librbd_write_4k_ms", round(1000 / float(ops[2]), 2),
                    "ms", n=int(ops[1]), what="mean, one at a time")

    def ceph(self, *words):
        return json.loads(self.lab.on("h1", "ceph",
                                      "--conf=/etc/cairn/ceph.conf", *words,
                                      "--format", "json"))

    def osds_up(self):
        return self.ceph("osd", "stat")["num_up_osds"]

    def degraded(self):
        """Copies of objects that are missing."""
        return self.ceph("status")["pgmap"].get("degraded_objects", 0)

    def during_recovery(self):
        """The same guest while a host that was away is filled again."""
        self.lab("cut", "h3")
        wait_until("its OSD is down", lambda: self.osds_up() == 2, 60)
        self.lab.on("h1", "rados", "--conf=/etc/cairn/ceph.conf", "-p", "rbd",
                    "bench", "20", "write", "-b", "65536", "--no-cleanup",
                    "--run-name", "bench")
        self.lab("boot", "h3", timeout=300)
        self.heavy()
        wait_until("its OSD is up", lambda: self.osds_up() == 3, 120)
        begun = self.degraded()
        self.next_times(self.timer, "guest_write_4k_recovery_ms",
                        degraded=[begun], what="copies missing at the begin")
        self.rows[-1]["degraded"].append(self.degraded())

    def writes_of(self, server):
        """When its newest write was synced, ms since 1970; its number."""
        best = (0, 0)
        for lines in consoles(self.lab, server).values():
            for line in lines:
                m = re.search(r"at=(\d+) synced=(\d+)", line)
                if m:
                    best = max(best, (int(m[1]), int(m[2])))
        return best

    def writer(self, name):
        server = self.small_guest(name, START)
        wait_until("it writes", lambda: self.writes_of(server.id)[1], 180)
        return server.id

    def host_of(self, server):
        return self.api.get("h1", "compute", f"/servers/{server}")[
            "server"]["OS-EXT-SRV-ATTR:host"]

    def migrations(self):
        """The longest time without an echo, of one each 10 ms, and of what
        the guest wrote meanwhile nothing is lost."""
        guest = Mover(self.cloud, "h1", lambda host, server: self.lab.home(
            host) / f"fs/var/lib/cairn/guests/{server}/console.log")
        wait_until("it writes", lambda: guest.written() > 0, 180)
        pauses, totals = [], []
        for _ in range(MOVES):
            pauses.append(self.one_move(guest, totals))
            print(f"# pause {pauses[-1]} s", file=sys.stderr, flush=True)
        guest.delete()
        self.figure("migration_pause_s",
                    round(statistics.median(pauses), 3),
                    worst=max(pauses), n=len(pauses),
                    whole_move=round(statistics.median(totals), 2),
                    what="the longest time without an echo")

    def one_move(self, guest, totals):
        pinger = Pinger(guest.address)
        wait_until("it answers", lambda: len(pinger.got) > 50, 30)
        begun, written = time.monotonic(), guest.written()
        guest.migrate()
        status = wait_until("it has moved", lambda: (
            s := guest.move()["status"]) in ENDED and s, 120)
        totals.append(time.monotonic() - begun)
        heard = len(pinger.got)
        wait_until("it answers", lambda: len(pinger.got) > heard + 50, 60)
        gap, _ = pinger.end()
        wait_until("it writes", lambda: guest.written() > written, 60)
        if status != "completed" or not guest.is_whole():
            raise Missing(f"a move: {status}\n{guest.console()[-200:]}")
        return round(gap, 3)

    def power_cut(self):
        """From the cut of its host to the guest's first write elsewhere."""
        server = self.writer("survives")
        host = self.host_of(server)
        before = self.writes_of(server)[1]
        start = time.monotonic()
        self.lab("cut", host)
        other = next(h for h in self.lab.hosts() if h != host)

        def writes_elsewhere():
            found = consoles(self.lab, server)
            return any("synced=" in line for h, lines in found.items()
                       if h != host for line in lines)
        try:
            wait_until("elsewhere", writes_elsewhere, 180, pause=0.1)
        except TimeoutError:
            status, shown = self.api.call(other, "GET", "compute",
                                          f"/servers/{server}")
            raise Missing(
                "the guest was not started elsewhere within 180 s: "
                f"{shown.get('server', {}).get('status')}")
        self.figure("power_cut_to_guest_s",
                    round(time.monotonic() - start, 1), host=host,
                    before=before)

    def page(self):
        print()
        for r in self.rows:
            value = "-" if r["value"] is None else f"{r['value']} {r['unit']}"
            more = ", ".join(f"{k} {v}" for k, v in r.items()
                             if k not in ("figure", "value", "unit"))
            print(f"{r['figure']:34} {value:>14}  {more}")


class Repeater(threading.Thread):
    """Asks again and again, a hundredth of a second apart."""

    def __init__(self, api, host, ask):
        super().__init__(daemon=True)
        self.api, self.host, self.ask = api, host, ask
        self.times, self.answered, self.refused = [], [], 0
        self.stop = threading.Event()
        self.start()

    def run(self):
        while not self.stop.wait(0.01):
            begun = time.monotonic()
            ok = self.ask(self.api, self.host)
            now = time.monotonic()
            self.times.append(now - begun)
            if ok:
                self.answered.append(now)
            else:
                self.refused += 1

    @property
    def done(self):
        return len(self.answered)

    def gap(self):
        """The longest time without an answer."""
        return max(b - a for a, b in zip(self.answered, self.answered[1:]))

    def end(self):
        self.stop.set()
        self.join()


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--name", default="benchlab")
    p.add_argument("--out", default=ROOT / "build/bench-lab.jsonl")
    p.add_argument("parts", nargs="*", help=" ".join(FIGURES))
    o = p.parse_args()
    parts = o.parts or list(FIGURES)
    if unknown := set(parts) - set(FIGURES):
        p.error(f"no part: {' '.join(unknown)}")
    signal.signal(signal.SIGALRM, over)
    b = Bench(o.name, o.out)
    for part in parts:
        b.part(part)
    b.page()


if __name__ == "__main__":
    main()
