#!/usr/bin/python3
"""What a pool of several hosts does in numbers, in the laboratory.

make bench-lab; docs/dev/bench.md.  One JSON line a figure, also kept in
build/bench-lab.jsonl, then a page.  What could not be measured says why.
"""
import argparse
import base64
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/chaos"))
from guests import START, consoles  # noqa: E402
from nemesis import leader  # noqa: E402
from pool import Api, Lab, Lost, wait_until  # noqa: E402

PKI = "/var/lib/cairn/pki"
TIME = START.replace("writer /dev/vda", "writer /dev/vda time 1000")


class Missing(Exception):
    """This figure cannot be taken, because ..."""


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
            why = str(e) if isinstance(e, Missing) else \
                f"{type(e).__name__}: {str(e)[-300:]}"
            for n in names:
                self.figure(n, missing=why)

    # --- pools

    def up(self, hosts, **env):
        self.lab("down", check=False)
        start = time.monotonic()
        self.lab("up", hosts, NOBUILD="1", **env)
        self.api = Api(self.lab)
        return time.monotonic() - start

    def voters(self, n):
        def many():
            text = self.lab.on("h1", "cat", "/var/lib/cairn/store",
                               check=False)
            return text.count(":2379") == n
        wait_until(f"{n} voters", many, 120)

    # --- state: one voter, a join, three voters

    def state(self):
        self.up(2)
        self.take(lambda: self.writes(1), "state_writes_1_voter")
        self.take(self.join, "join_s")
        self.take(lambda: self.voters(3) or self.writes(3),
                  "state_writes_3_voters")
        self.take(self.leader_dies, "leader_dies_slowest_read_s",
                  "leader_dies_write_gap_s")

    def writes(self, n):
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
        host = self.lab.hosts()[-1]
        wait_until("it is listed", lambda: any(
            r["id"] == host for r in self.api.records("h1", "node")), 60)
        self.figure("join_s", round(time.monotonic() - start, 2),
                    what="from power to the API answering there")

    def leader_dies(self):
        """Power cut of the host that leads; two others are read."""
        led = wait_until("a leader", lambda: leader(self.lab), 30)
        others = [h for h in self.lab.hosts() if h != led]
        read = Readers(self.lab, others[0])
        write = Api(self.lab, timeout=5)
        self.put(write, others[1])
        cut = threading.Thread(target=self.lab, args=("cut", led))
        start = time.monotonic()
        cut.start()
        time.sleep(0.3)  # the wires go first
        while not self.put(write, others[1]):
            if time.monotonic() - start > 60:
                raise Missing("no write was answered within a minute")
            time.sleep(0.05)
        gap = time.monotonic() - start
        cut.join()
        time.sleep(2)
        times = read.end()
        self.figure("leader_dies_write_gap_s", round(gap, 2))
        self.figure("leader_dies_slowest_read_s", round(max(times), 3),
                    reads=len(times), refused=read.refused,
                    median_ms=round(statistics.median(times) * 1000, 2))

    def put(self, api, host):
        try:
            return api.call(host, "POST", "network", "/networks", {
                "network": {"name": f"b-{time.monotonic()}"}})[0] == 201
        except Lost:
            return False

    # --- guests

    def guests(self, ceph):
        kind = "ceph" if ceph else "local"
        self.up(3, **({"VOLUMES": "ceph"} if ceph else {}))
        self.kind = kind
        self.take(self.prepare_guests, f"prepare_{kind}")
        self.take(self.post_to_ssh, f"post_to_ssh_2gb_{kind}_s")
        self.take(lambda: self.guest_latency(f"guest_write_4k_{kind}_ms"),
                  f"guest_write_4k_{kind}_ms")
        if ceph:
            self.take(self.librbd_latency, "librbd_write_4k_ms")
            self.take(self.during_recovery, "guest_write_4k_recovery_ms")

    def moves(self):
        self.up(3, VOLUMES="ceph")
        self.kind = "ceph"
        self.take(self.prepare_guests, "prepare_moves")
        self.take(self.migrations, "migration_pause_s")
        self.take(self.power_cut, "power_cut_to_guest_s")

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
            wait_until("SSH", lambda: self.ssh(ip.floating_ip_address), 180,
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

    def ssh(self, address, command="true"):
        done = subprocess.run(
            ["ssh", "-i", self.key, "-o", "StrictHostKeyChecking=no", "-o",
             "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o",
             "BatchMode=yes", "-o", "ConnectTimeout=2", f"root@{address}",
             command], capture_output=True, stdin=subprocess.DEVNULL)
        return done.returncode == 0

    def small_guest(self, name, script, **more):
        return self.cloud.compute.create_server(
            name=name, image_id=self.small, flavor_id=self.flavor,
            networks="none", config_drive=True,
            user_data=base64.b64encode(script.encode()).decode(),
            **self.where(), **more)

    def line_of(self, server, pattern, seconds):
        """The newest line of the guest's console that matches."""
        def found():
            for lines in consoles(self.lab, server).values():
                got = [m for line in lines if (m := re.search(pattern, line))]
                if got:
                    return got[-1]
            return None
        return wait_until(pattern, found, seconds)

    def guest_latency(self, figure):
        server = self.small_guest("times", TIME)
        got = self.line_of(server.id, r"times n=(\d+) median=(\d+) "
                           r"p95=(\d+) p99=(\d+)", 240)
        n, median, p95, p99 = map(int, got.groups())
        self.cloud.compute.delete_server(server)
        self.cloud.compute.wait_for_delete(server, wait=60, interval=0.3)
        self.figure(figure, median / 1000, "ms", p95=p95 / 1000,
                    p99=p99 / 1000, n=n)

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

    def during_recovery(self):
        """The same guest while a host that was away is filled again."""
        self.lab("cut", "h3")
        time.sleep(20)
        self.lab("boot", "h3", timeout=300)
        self.guest_latency("guest_write_4k_recovery_ms")

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
        """The longest silence of a guest that says a line a second, beyond
        that second; its own clock stands still while it does not run."""
        server = self.writer("moves")
        pauses = []
        for _ in range(20):
            was = self.host_of(server)
            heard = Listener(self.lab, server)
            wait_until("it talks", lambda: len(heard.times) >= 4, 60)
            heard.mark()
            status, why = self.api.call(
                "h1", "POST", "compute", f"/servers/{server}/action",
                {"os-migrateLive": {"host": None,
                                    "block_migration": "auto"}})
            if status != 202:
                raise Missing(f"live migration: {status} {why}")
            wait_until("it has moved", lambda: self.host_of(server) != was,
                       120)
            lines = len(heard.times)
            wait_until("it writes", lambda: len(heard.times) >= lines + 3, 60)
            pauses.append(heard.end())
            print(f"# pause {pauses[-1]} s", file=sys.stderr, flush=True)
        self.figure("migration_pause_s", statistics.median(pauses),
                    worst=max(pauses), n=len(pauses),
                    what="the longest silence, less the usual one")

    def power_cut(self):
        """From the cut of its host to the guest's first write elsewhere."""
        server = self.writer("survives")
        host = self.host_of(server)
        before = self.writes_of(server)[1]
        start = time.monotonic()
        self.lab("cut", host)
        other = next(h for h in self.lab.hosts() if h != host)
        self.lab_out = host

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


class Listener(threading.Thread):
    """When a guest's console said something, to 10 ms."""

    def __init__(self, lab, server):
        super().__init__(daemon=True)
        self.files = [lab.home(h) / f"fs/var/lib/cairn/guests/{server}"
                      "/console.log" for h in lab.hosts()]
        self.times, self.stop = [], threading.Event()
        self.start()

    def sizes(self):
        return [f.stat().st_size if f.exists() else 0 for f in self.files]

    def run(self):
        before = self.sizes()
        while not self.stop.wait(0.01):
            now = self.sizes()
            if any(a > b for a, b in zip(now, before)):
                self.times.append(time.monotonic())
            before = now

    def gaps(self, times):
        return [b - a for a, b in zip(times, times[1:])]

    def mark(self):
        """What was heard until now is the usual."""
        self.quiet = len(self.times)
        self.usual = statistics.median(self.gaps(self.times))

    def end(self):
        """The longest gap since the mark beyond the usual one, seconds."""
        self.stop.set()
        self.join()
        return round(max(0, max(self.gaps(self.times[self.quiet - 1:])) -
                         self.usual), 3)


class Readers(threading.Thread):
    """Reads one network of a node, every 20 ms."""

    def __init__(self, lab, host):
        super().__init__(daemon=True)
        self.api, self.host = Api(lab, timeout=10), host
        self.times, self.refused = [], 0
        self.stop = threading.Event()
        self.path = "/networks?limit=1"
        self.api.get(host, "network", self.path)
        self.start()

    def run(self):
        while not self.stop.wait(0.02):
            begun = time.monotonic()
            try:
                ok = self.api.call(self.host, "GET", "network",
                                   self.path)[0] == 200
            except Lost:
                ok = False
            self.refused += not ok
            self.times.append(time.monotonic() - begun)

    def end(self):
        self.stop.set()
        self.join()
        return self.times


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--name", default="benchlab")
    p.add_argument("--only", choices=("state", "local", "ceph", "moves"))
    p.add_argument("--out", default=ROOT / "build/bench-lab.jsonl")
    o = p.parse_args()
    b = Bench(o.name, o.out)
    try:
        if o.only in (None, "state"):
            b.take(b.state, "state")
        if o.only in (None, "local"):
            b.take(lambda: b.guests(False), "local")
        if o.only in (None, "ceph"):
            b.take(lambda: b.guests(True), "ceph")
        if o.only in (None, "moves"):
            b.take(b.moves, "moves")
    finally:
        b.lab("down", check=False)
    b.page()


if __name__ == "__main__":
    main()
