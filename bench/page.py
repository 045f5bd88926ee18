#!/usr/bin/python3
"""make bench: measures Cairn, prints one page, writes the same as JSON.

    page.py BUILD JSON NODE    the directory of cairnd and bench/, the file
                               to write, the name of a node that is up
                               ("": leave out what needs guests)

Three parts: programs that measure one thing in their own process; a cairnd
of our own on loopback, without TLS, with the records of a pool in use
(bench/pool) and neither libvirt nor OVN; and the pool of that node, for real
guests.  Figures are medians of rounds that take turns, so that what else
runs on the machine meets all of them alike; "a core" is requests by the CPU
time that cairnd's face spent on them.
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import engine_page

BUILD = pathlib.Path(sys.argv[1]).resolve()
OUT = pathlib.Path(sys.argv[2])
NODE = sys.argv[3] if len(sys.argv) > 3 else ""
ROOT = pathlib.Path(__file__).resolve().parent.parent

ROUNDS = 3
WRK_SECONDS = 2
STARTS = 5
GUESTS = 11
KILLS = 3
SETTLED = 6  # scripts/node starts what ran so long again at once; seconds
LOGINS = 32
DEADLINE = 60
MIB = 1024 * 1024


class Failed(Exception):
    """One part could not be measured; the others can."""


def median(values):
    return statistics.median(values)


def wait_until(what, test, pause=0.001):
    """Seconds until test() is true, looked at each `pause` seconds."""
    begun = time.monotonic()
    while not test():
        if time.monotonic() - begun > DEADLINE:
            sys.exit(f"bench: {what}: not after {DEADLINE} s")
        time.sleep(pause)
    return time.monotonic() - begun


# --- a client ---------------------------------------------------------------

class Client:
    """One connection that is kept, a token when logged in."""

    def __init__(self, host, port, context=None):
        self.conn = (http.client.HTTPSConnection(host, port, context=context,
                                                 timeout=DEADLINE)
                     if context else
                     http.client.HTTPConnection(host, port, timeout=DEADLINE))
        self.token = None
        self.project = None

    def ask(self, method, path, body=None, headers=()):
        headers = dict(headers)
        if self.token:
            headers["X-Auth-Token"] = self.token
        if isinstance(body, (dict, list)):
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        self.conn.request(method, path, body, headers)
        answer = self.conn.getresponse()
        data = answer.read()
        self.subject = answer.getheader("X-Subject-Token")
        return answer.status, json.loads(data) if data else None

    def must(self, method, path, body=None, headers=()):
        status, data = self.ask(method, path, body, headers)
        if status >= 400:
            sys.exit(f"bench: {method} {path}: {status} {data}")
        return data

    def login(self, password):
        data = self.must("POST", "/identity/v3/auth/tokens",
                         login_body(password))
        self.token = self.subject
        self.project = data["token"]["project"]["id"]
        return self


def login_body(password):
    domain = {"id": "default"}
    return {"auth": {
        "identity": {"methods": ["password"], "password": {
            "user": {"name": "admin", "domain": domain,
                     "password": password}}},
        "scope": {"project": {"name": "admin", "domain": domain}}}}


# --- a cairnd of our own ----------------------------------------------------

def cpu_seconds(pid):
    """All the CPU time of a process, from its threads' nanoseconds."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory(pid):
    """Bytes: resident, and what of that is shared with nobody."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = {k: int(v) for k, v in re.findall(r"(\w+): +(\d+) kB", text)}
    return kib["Rss"] * 1024, kib["Pss"] * 1024


class Daemon:
    """cairnd on loopback, plain HTTP, in a directory of its own."""
    password = "bench"

    def __init__(self, place):
        self.place = pathlib.Path(place)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        (self.place / "password").write_text(self.password + "\n")
        self.conf = self.place / "cairnd.conf"
        self.conf.write_text("".join(f"{k} = {v}\n" for k, v in {
            "node_name": "bench",
            "state_dir": self.place / "state",
            "run_dir": self.place / "run",
            "listen": f"127.0.0.1:{self.port}",
            "tls": "off",
            "admin_password_file": self.place / "password",
            "libvirt_uri": "test:///default",
            "ovn_nb": f"unix:{self.place}/nb",
            "ovn_sb": f"unix:{self.place}/sb",
            "ovs_db": f"unix:{self.place}/ovs",
            "log_level": "warning",
        }.items()))
        self.process = None

    def answers(self):
        try:
            return Client("127.0.0.1", self.port).ask("GET", "/healthz")[0] \
                == 200
        except OSError:
            return False
        except http.client.HTTPException:
            return False

    def answers_or_ended(self):
        return self.process.poll() is not None or self.answers()

    def start(self):
        """Seconds from exec to the first answer."""
        log = open(self.place / "log", "ab")
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [BUILD / "cairnd", "--config", self.conf], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log)
        log.close()
        wait_until("cairnd's start", self.answers_or_ended)
        if self.process.poll() is not None:
            sys.exit("bench: cairnd ended:\n" +
                     (self.place / "log").read_text()[-2000:])
        return time.monotonic() - begun

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        self.process.wait(DEADLINE)

    def face(self):
        out = subprocess.run(["pgrep", "-P", str(self.process.pid)],
                             capture_output=True, text=True, check=True)
        return int(out.stdout.split()[0])

    def client(self):
        return Client("127.0.0.1", self.port)

    def kill_and_start(self):
        """Seconds from SIGKILL (of the core; the face follows) to answering
        again, the new one started at once."""
        begun = time.monotonic()
        self.stop(signal.SIGKILL)
        self.start()
        return time.monotonic() - begun

    def kill_face(self):
        begun = time.monotonic()
        os.kill(self.face(), signal.SIGKILL)
        wait_until("the face", self.answers)
        return time.monotonic() - begun


def wrk(daemon, token, path, connections, seconds=WRK_SECONDS):
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
         "-H", f"X-Auth-Token: {token}",
         f"http://127.0.0.1:{daemon.port}{path}"],
        capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", out):
        sys.exit(f"bench: {path}: requests failed\n{out}")
    unit = {"us": 1e-3, "ms": 1, "s": 1e3}
    value, name = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
    return {"requests": int(re.search(r"(\d+) requests in", out)[1]),
            "seen": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
            "p99_ms": float(value) * unit[name]}


def ask_much(daemon, token, path, connections):
    face = daemon.face()
    before = cpu_seconds(face)
    result = wrk(daemon, token, path, connections)
    result["core"] = result["requests"] / (cpu_seconds(face) - before)
    return result


def reads(daemon, token, server):
    """Requests a second of a core, and as wrk saw them."""
    cases = {f"{name}_{n}": (path, n)
             for name, path in (("show", f"/compute/v2.1/servers/{server}"),
                                ("list100", "/compute/v2.1/servers/detail"))
             for n in (1, 8)}
    seen = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (path, n) in cases.items():
            seen[name].append(ask_much(daemon, token, path, n))
    return {name: {key: round(median(r[key] for r in runs), 3)
                   for key in ("core", "seen", "p99_ms")}
            for name, runs in seen.items()}


@contextlib.contextmanager
def flood(daemon):
    """LOGINS clients log in with a password, again and again."""
    stop = threading.Event()
    counts = {}

    def go():
        client = daemon.client()
        body = login_body(daemon.password)
        while not stop.is_set():
            status, _ = client.ask("POST", "/identity/v3/auth/tokens", body)
            counts[status] = counts.get(status, 0) + 1

    threads = [threading.Thread(target=go) for _ in range(LOGINS)]
    for t in threads:
        t.start()
    try:
        yield counts
    finally:
        stop.set()
        for t in threads:
            t.join()


def logins(daemon, token, server):
    """The 99th percentile of a read with and without a flood of logins."""
    path = f"/compute/v2.1/servers/{server}"
    quiet, busy, counts = [], [], {}
    for _ in range(ROUNDS):
        quiet.append(wrk(daemon, token, path, 1)["p99_ms"])
        with flood(daemon) as counted:
            wait_until("the flood", lambda: sum(counted.values()) >= LOGINS)
            busy.append(wrk(daemon, token, path, 1)["p99_ms"])
        for status, n in counted.items():
            counts[status] = counts.get(status, 0) + n
    return {"clients": LOGINS, "quiet_p99_ms": median(quiet),
            "flood_p99_ms": median(busy),
            "answers": {str(s): n for s, n in sorted(counts.items())}}


def measure_daemon():
    out = {}
    with tempfile.TemporaryDirectory(prefix="cairn-bench-") as place:
        os.chmod(place, 0o755)
        daemon = Daemon(place)
        daemon.start()
        daemon.stop()
        server = json.loads(subprocess.run(
            [BUILD / "bench/fill", f"{place}/state/cairn.db"],
            capture_output=True, text=True, check=True).stdout)["server"]
        starts = []
        for _ in range(STARTS):
            starts.append(daemon.start())
            daemon.stop()
        daemon.start()
        try:
            out["start_s"] = median(starts)
            out["core_killed_s"] = median(
                [daemon.kill_and_start() for _ in range(STARTS)])
            out["face_killed_s"] = median(
                [daemon.kill_face() for _ in range(STARTS)])
            token = daemon.client().login(daemon.password).token
            out["memory"] = measure_memory(daemon)
            out["reads"] = reads(daemon, token, server)
            out["logins"] = logins(daemon, token, server)
            out["memory_after"] = measure_memory(daemon)
        finally:
            daemon.stop()
    return out


def measure_memory(daemon):
    core, face = memory(daemon.process.pid), memory(daemon.face())
    return {"core": core[0], "face": face[0], "together": core[0] + face[0],
            "together_pss": core[1] + face[1]}


# --- programs of their own --------------------------------------------------

def run_json(*args):
    out = subprocess.run([BUILD / "bench" / args[0], *args[1:]],
                         capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def medians(*args):
    runs = [run_json(*args) for _ in range(ROUNDS)]
    return {key: median(r[key] for r in runs) for key in runs[0]}


# --- guests, in a node's pool ----------------------------------------------

def in_node(*args):
    done = subprocess.run([ROOT / "scripts/node", "--name", NODE, "exec",
                           *args], capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise Failed(f"{args[0]}: {done.stderr.strip()}")
    return done.stdout


class Pool:
    def __init__(self):
        self.dir = ROOT / "build/node" / NODE
        self.fs = self.dir / "fs"
        self.storage = self.fs / "var/lib/cairn/storage"
        net = re.search(r"^net=(.*)$", (self.dir / "choices").read_text(),
                        re.M)[1]
        self.host = f"{net}.2"
        self.context = ssl.create_default_context(
            cafile=self.fs / "var/lib/cairn/pki/api/ca.crt")
        password = (self.fs / "etc/cairn/admin-password").read_text().strip()
        self.client = Client(self.host, 443, self.context).login(password)
        self.image = self.first("/image/v2/images?name=cairn-guest", "images")
        self.flavor = min(
            self.client.must("GET", "/compute/v2.1/flavors/detail")["flavors"],
            key=lambda f: f["ram"])["id"]
        self.network = self.make_network()

    def first(self, path, key):
        found = self.client.must("GET", path)[key]
        if not found:
            sys.exit(f"bench: the pool has nothing at {path}")
        return found[0]["id"]

    def make_network(self):
        c = self.client
        old = c.must("GET", "/network/v2.0/networks?name=bench")["networks"]
        if old:
            return old[0]["id"]
        net = c.must("POST", "/network/v2.0/networks",
                     {"network": {"name": "bench"}})["network"]["id"]
        c.must("POST", "/network/v2.0/subnets", {"subnet": {
            "network_id": net, "ip_version": 4, "cidr": "10.99.0.0/24"}})
        return net

    def server(self, server_id):
        status, data = self.client.ask(
            "GET", f"/compute/v2.1/servers/{server_id}")
        return data["server"] if status == 200 else None

    def boot(self):
        """Milliseconds from POST to ACTIVE, those of them that libvirt took
        to define and start the domain, and the server's id."""
        begun = time.monotonic()
        made = self.client.must("POST", "/compute/v2.1/servers", {"server": {
            "name": "bench", "imageRef": self.image, "flavorRef": self.flavor,
            "networks": [{"uuid": self.network}]}})["server"]["id"]

        def active():
            s = self.server(made)
            if s["status"] == "ERROR":
                sys.exit(f"bench: the guest failed: {s.get('fault')}")
            return s["status"] == "ACTIVE"

        wait_until("a guest", active)
        took = (time.monotonic() - begun) * 1000
        return took, self.libvirt_took(made), made

    def libvirt_took(self, server_id):
        """Milliseconds, as the daemon has logged them."""
        log = (self.dir / "log/node/cairnd.log").read_text()
        parts = re.search(rf"domain {server_id}: defined in (\d+) us, "
                          r"started in (\d+) us", log)
        if not parts:
            raise Failed(f"{server_id}: the log does not say how long libvirt "
                         "took")
        return sum(map(int, parts.groups())) / 1000

    def delete(self, server_id):
        self.client.must("DELETE", f"/compute/v2.1/servers/{server_id}")
        wait_until("a guest's end", lambda: self.server(server_id) is None)

    def bare(self, server_id, xml, keep):
        """The same guest with other names, by libvirt alone; ms."""
        new = str(uuid.uuid4())
        port = re.search(r"interfaceid='([^']+)'", xml)[1]
        other = str(uuid.uuid4())
        xml = xml.replace(f"instance-{server_id[:13]}", f"bare-{new[:13]}")
        xml = xml.replace(server_id, new).replace(port, other)
        xml = xml.replace(f"tap{port[:11]}", f"tap{other[:11]}")
        (keep / "xml").write_text(xml)
        made = [self.storage / f"disks/{new}.qcow2",
                self.storage / "base" / self.base_of(keep / "disk")]
        guest = self.fs / "var/lib/cairn/guests" / new
        guest.mkdir()
        for src, dst in zip((keep / "disk", keep / "base"), made):
            os.link(src, dst)
        try:
            return float(in_node(BUILD / "bench/define", keep / "xml"))
        finally:
            shutil.rmtree(guest)
            for path in made:
                path.unlink()

    @staticmethod
    def base_of(disk):
        out = subprocess.run(["qemu-img", "info", "-U", "--output=json", disk],
                             capture_output=True, text=True, check=True)
        return pathlib.Path(json.loads(out.stdout)["backing-filename"]).name

    def keep(self, server_id, keep):
        """The disk as it is and what it stands on, to outlive the server."""
        disk = self.storage / f"disks/{server_id}.qcow2"
        shutil.copy2(disk, keep / "disk")
        owner = disk.stat()
        os.chown(keep / "disk", owner.st_uid, owner.st_gid)
        os.link(self.storage / "base" / self.base_of(disk), keep / "base")

    def booted(self):
        """A boot and its end."""
        took, libvirt, server_id = self.boot()
        self.delete(server_id)
        return took, libvirt

    def rounds(self, n):
        """The first boot; n times a boot and a bare start of that first
        guest, which of them goes first taking turns."""
        took, _, server_id = self.boot()
        xml = in_node("virsh", "dumpxml", "--inactive",
                      f"instance-{server_id[:13]}")
        with tempfile.TemporaryDirectory(dir=self.dir) as keep:
            keep = pathlib.Path(keep)
            self.keep(server_id, keep)
            self.delete(server_id)
            runs = []
            for i in range(n):
                bare = self.bare(server_id, xml, keep) if i % 2 else None
                booted = self.booted()
                if bare is None:
                    bare = self.bare(server_id, xml, keep)
                runs.append((*booted, bare))
        return took, runs

    def answers(self):
        try:
            c = Client(self.host, 443, self.context)
            return c.ask("GET", "/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def age(self):
        """For how many seconds its cairnd has run."""
        pid = in_node("cat", "/run/node/cairnd.pid").strip()
        return int(in_node("ps", "-o", "etimes=", "-p", pid) or 0)

    def killed(self):
        """Seconds from SIGKILL to answering; the node starts it again."""
        pid = int((in_node("cat", "/run/node/cairnd.pid")))
        begun = time.monotonic()
        in_node("kill", "-KILL", str(pid))
        wait_until("the old one's end",
                   lambda: int(in_node("cat", "/run/node/cairnd.pid")) != pid)
        wait_until("the pool", self.answers)
        return time.monotonic() - begun


def measure_guests():
    pool = Pool()
    first, runs = pool.rounds(GUESTS)
    own = [r[0] - r[1] for r in runs]
    difference = [r[0] - r[2] for r in runs]
    out = {"guests": GUESTS, "first_ms": first,
           "post_to_active_ms": median(r[0] for r in runs),
           "own_ms": median(own),
           "own_ms_all": [round(ms, 1) for ms in own],
           "bare_libvirt_ms": median(r[2] for r in runs),
           "difference_ms": median(difference),
           "difference_ms_all": [round(ms, 1) for ms in difference]}
    killed = []
    for _ in range(KILLS):
        wait_until("cairnd is settled", lambda: pool.age() >= SETTLED,
                   pause=0.5)
        killed.append(pool.killed())
    out["killed_s"] = median(killed)
    return out


# --- the page ---------------------------------------------------------------

def row(text, value, aim=""):
    print(f"  {text:<46}{value:>18}  {aim}")


def aim(ok, text):
    return f"aim {text}: {'met' if ok else 'MISSED'}"


def print_reads(r):
    for name, text, least in (("show", "GET /servers/{id}", 40000),
                              ("list100", "GET /servers/detail, 100 servers",
                               6000)):
        for n in (1, 8):
            one = r[f"{name}_{n}"]
            row(f"{text}, {n} connection{'s' * (n > 1)}",
                f"{one['core']:,.0f} /s core",
                f"wrk saw {one['seen']:,.0f} /s; " +
                aim(one["core"] >= least, f"{least:,}"))


def print_page(r):
    d, t = r["daemon"], r["tokens"]
    print(f"Cairn, {r['when']}; load average before {r['load_before']}, "
          f"after {r['load_after']}, {os.cpu_count()} cores\n")
    row("tokens issued", f"{t['tokens_issued_per_s']:,} /s core")
    row("tokens opened", f"{t['tokens_opened_per_s']:,} /s core")
    row("  .. and what it may looked up",
        f"{t['requests_let_in_per_s']:,} /s core")
    print()
    print_reads(d["reads"])
    h = r["handlers"]
    row("  .. its handler alone", f"{h['handler_list100']:,} /s core")
    row("  .. when all of it must be written anew",
        f"{h['handler_list100_anew']:,} /s core")
    f = d["logins"]
    row("GET /servers/{id}: 99th percentile", f"{f['quiet_p99_ms']:.2f} ms")
    row(f"  .. while {f['clients']} clients log in",
        f"{f['flood_p99_ms']:.2f} ms",
        f"{sum(f['answers'].values())} logins: {f['answers']}")
    print()
    m = d["memory"]["together"] / MIB
    after = d["memory_after"]["together"] / MIB
    row("cairnd resident, 1,000 servers: core + face",
        f"{d['memory']['core'] / MIB:.1f} + {d['memory']['face'] / MIB:.1f} "
        "MiB", aim(m < 64, "< 64 MiB together"))
    row("  .. after all these requests", f"{after:.1f} MiB",
        aim(after < 64, "< 64 MiB"))
    row("start, exec to answering", f"{d['start_s'] * 1000:.0f} ms")
    row("SIGKILL of the core to answering again",
        f"{d['core_killed_s'] * 1000:.0f} ms",
        aim(d["core_killed_s"] < 1, "< 1 s"))
    row("SIGKILL of the face to answering again",
        f"{d['face_killed_s'] * 1000:.0f} ms",
        aim(d["face_killed_s"] < 1, "< 1 s"))
    print()
    engine_page.show(r["engine"], row, aim)
    print()
    g = r.get("guests")
    if not g:
        print(f"  nothing measured with guests: "
              f"{r.get('failed', 'no pool, that needs root')}")
        return
    row("POST /servers to ACTIVE", f"{g['post_to_active_ms']:.0f} ms")
    own = g["own_ms_all"]
    row("  .. Cairn's own: less libvirt's define + start",
        f"{g['own_ms']:.0f} ms", aim(g["own_ms"] <= 50, "<= 50 ms") +
        f" ({g['guests']} boots: {min(own):.0f} to {max(own):.0f})")
    row("define + start of the same guest, bare libvirt",
        f"{g['bare_libvirt_ms']:.0f} ms")
    every = g["difference_ms_all"]
    row("  .. the difference, median of pairs",
        f"{g['difference_ms']:.0f} ms",
        f"({min(every):.0f} to {max(every):.0f}: libvirt's own noise)")
    row("that pool: SIGKILL to answering again", f"{g['killed_s']:.2f} s",
        aim(g["killed_s"] < 1, "< 1 s"))


def main():
    result = {"when": time.strftime("%Y-%m-%d %H:%M"),
              "load_before": round(os.getloadavg()[0], 2)}
    result["tokens"] = medians("tokens")
    result["handlers"] = medians("http", "--loop")
    result["engine"] = engine_page.measure(run_json)
    result["daemon"] = measure_daemon()
    if NODE:
        try:
            result["guests"] = measure_guests()
        except Failed as why:
            result["failed"] = str(why)
    result["load_after"] = round(os.getloadavg()[0], 2)
    print_page(result)
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    if "failed" in result:
        sys.exit(1)


if __name__ == "__main__":
    main()
