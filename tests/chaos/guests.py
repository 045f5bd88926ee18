"""Guests that write (tests/guest/writer.c), and those who watch them: their
consoles, and which host runs which guest."""
import base64
import pathlib
import re
import threading

from checker import WHOLE, numbers
from pool import Lost, wait_until
from workload import SMALL

# A guest that is emulated, on a machine that has other things to do.
BOOT_S = 400
START = """#!/bin/sh
printf '#!/bin/sh\\nwriter /dev/vda\\n' >/root/at-boot
chmod 755 /root/at-boot
sync
/root/at-boot >/dev/ttyS0 2>&1 &
"""


class Writers:
    def __init__(self, world, api, history, number=2):
        self.world, self.api, self.history = world, api, history
        self.number, self.ids = number, {}

    def start(self):
        data = base64.b64encode(START.encode()).decode()
        for n in range(1, self.number + 1):
            status, made = self.api.call(
                self.world.hosts[0], "POST", "compute", "/servers", {
                    "server": {"name": f"writer-{n}", "user_data": data,
                               "flavorRef": self.world.flavors[SMALL],
                               "imageRef": self.world.image,
                               "networks": "none", "config_drive": True,
                               **self.world.where()}})
            if status != 202:
                raise RuntimeError(f"no writer: {status} {made}")
            self.ids[made["server"]["id"]] = f"writer-{n}"
        for server in self.ids:
            wait_until(f"{self.ids[server]} writes",
                       lambda: consoles(self.world.lab, server), BOOT_S)

    def settle(self):
        """All run as at the beginning, whatever was asked of them."""
        return [f"{name}: {why}" for server, name in self.ids.items()
                if (why := self.settle_one(server, name))]

    def settle_one(self, server, name):
        actions = {"SHUTOFF": {"os-start": None},
                   "VERIFY_RESIZE": {"confirmResize": None}}

        def runs():
            try:
                shown = self.api.get(self.world.hosts[0], "compute",
                                     f"/servers/{server}")["server"]
            except Lost:
                return False
            runs.last = shown["status"], shown.get("fault")
            if shown["status"] in actions:
                self.act(server, actions[shown["status"]], (202, 204, 409))
            return shown["status"] == "ACTIVE"
        runs.last = "no answer"
        try:
            wait_until(f"{name} runs", runs, BOOT_S, pause=1)
        except TimeoutError as e:
            return f"{e}: {runs.last}"
        return None

    def check(self, watch):
        """Each is started anew, and says what it found: once settled."""
        now = {server: watch.generation(server) for server in self.ids}
        for server in self.ids:
            self.act(server, {"reboot": {"type": "HARD"}})
        return {name: self.check_one(watch, server, name, now[server])
                for server, name in self.ids.items()}

    def check_one(self, watch, server, name, now):
        try:
            return wait_until(f"{name} checks what generation {now} wrote",
                              lambda: watch.check_of(server, now), BOOT_S)
        except TimeoutError as e:
            return str(e)

    def act(self, server, action, good=(202,)):
        def accepted():
            try:
                return self.api.call(
                    self.world.hosts[0], "POST", "compute",
                    f"/servers/{server}/action", action)[0] in good
            except Lost:  # twice does no harm
                return False
        wait_until(f"{action} is accepted", accepted, BOOT_S)


def consoles(lab, server):
    """All whole lines of the writer, {host: lines}."""
    found = {}
    for host in lab.hosts():
        file = lab.home(host) / f"fs/var/lib/cairn/guests/{server}/console.log"
        try:
            text = file.read_text(errors="replace")
        except OSError:
            continue
        lines = re.findall(r"writer: ([^\r\n]*)\r?\n", text)
        if lines:
            found[host] = lines
    return found


def domains(lab):
    """[(host, server, pid)] of every QEMU process that carries a guest."""
    homes = {lab.init_pid(h): h for h in lab.hosts()}
    spaces = {}
    for pid, host in homes.items():
        if pid:
            spaces[space_of(pid)] = host
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if not words[0].endswith(b"qemu-system-x86_64"):
                continue
            host = spaces.get(space_of(process.name))
            if host and b"-uuid" in words:
                server = words[words.index(b"-uuid") + 1].decode()
                found.append((host, server, int(process.name),
                              b"-incoming" in words))
        except OSError:
            continue
    return found


def space_of(pid):
    return pathlib.Path(f"/proc/{pid}/ns/pid").readlink()


class Watch(threading.Thread):
    """Records what writers say, and every guest that runs on two hosts."""

    def __init__(self, lab, history, servers):
        super().__init__(name="watch", daemon=True)
        self.lab, self.history, self.servers = lab, history, servers
        self.stop, self.seen = threading.Event(), {}
        self.lock, self.said = threading.Lock(), {s: [] for s in servers}
        self.twice = {}

    def run(self):
        while not self.stop.wait(0.25):
            self.look()

    def look(self):
        with self.lock:
            for server in self.servers:
                for host, lines in consoles(self.lab, server).items():
                    old = self.seen.get((server, host), 0)
                    for line in lines[old:]:
                        self.said[server].append(line)
                        self.history.add("writer", server=server, host=host,
                                         line=line)
                    self.seen[server, host] = len(lines)
            self.look_for_twins()

    def look_for_twins(self):
        where = {}
        for host, server, pid, incoming in domains(self.lab):
            where.setdefault(server, []).append((host, pid, incoming))
        for server, found in where.items():
            if len(found) > 1:
                self.history.add("twice", server=server, where=found)

    def lines(self, server):
        self.look()
        return [line for line in self.said[server] if WHOLE.fullmatch(line)]

    def generation(self, server):
        """The newest that was seen; each says what it found of those
        before (`gens`)."""
        seen = [numbers(line) for line in self.lines(server)]
        return max((n.get("gen", n.get("gens", 0)) for n in seen), default=0)

    def check_of(self, server, generation):
        """What a later start than that found, as it said last; or None."""
        found = [line for line in self.lines(server) if
                 line.startswith("check ") and
                 numbers(line)["gens"] >= generation]
        return found[-1] if found else None

    def end(self):
        self.stop.set()
        self.join()
        self.look()
