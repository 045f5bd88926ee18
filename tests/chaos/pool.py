"""A laboratory's pool (tests/lab/lab) as its tormentor sees it: hosts, their
processes, and the API of each node over connections that stay."""
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MICROVERSION = "compute 2.90, volume 3.60"
SERVICES = {"compute": "/compute/v2.1", "network": "/network/v2.0",
            "volume": "/volume/v3", "image": "/image/v2",
            "identity": "/identity/v3", "cairn": "/cairn/v1"}


class Lost(Exception):
    """No answer: it may have happened, or not.  `sent`: was it asked?"""

    def __init__(self, text, sent):
        super().__init__(text)
        self.sent = sent


def wait_until(what, test, seconds, pause=0.3):
    end = time.monotonic() + seconds
    while not (got := test()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not after {seconds} s")
        time.sleep(pause)
    return got


class Lab:
    def __init__(self, name, build="build"):
        self.name, self.build = name, ROOT / build
        self.dir = ROOT / f"build/lab/{name}"

    def __call__(self, *words, check=True, timeout=400, **env):
        done = subprocess.run(
            [ROOT / "tests/lab/lab", "--name", self.name, *map(str, words)],
            capture_output=True, text=True, timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "BUILD": str(self.build), **env})
        if check and done.returncode:
            raise RuntimeError(f"lab {' '.join(map(str, words))}:\n"
                               f"{done.stdout}{done.stderr}")
        return done.stdout

    def on(self, host, *words, **more):
        return self("on", host, *words, **more)

    def hosts(self):
        return (self.dir / "hosts").read_text().split()

    def net(self):
        return re.search(r"net=([\d.]+)", (self.dir / "net").read_text())[1]

    def address(self, host):
        return f"{self.net()}.{int(host[1:]) + 1}"

    def home(self, host):
        return ROOT / f"build/node/{self.name}-{host}"

    def init_pid(self, host):
        """Process 1 of a host, as the machine counts; None: it is off."""
        try:
            pid, start = (self.home(host) / "pid").read_text().split()
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except (OSError, ValueError):
            return None
        now = stat.rsplit(")", 1)[1].split()[19]
        return int(pid) if now == start else None

    def services(self, host):
        """Names of the daemons that run there, {name: pid in the host}."""
        root = pathlib.Path(f"/proc/{self.init_pid(host)}/root")
        found = {}
        for directory in ("run/node", "run/cairn/services"):
            for file in (root / directory).glob("*.pid"):
                text = file.read_text().strip()
                if text.isdigit():
                    found[file.stem] = int(text)
        return found

    def signal(self, host, service, signal):
        self("kill", host, service, signal)

    def password(self):
        return (self.home("h1") / "fs/etc/cairn/admin-password").read_text(
            ).splitlines()[0]

    def log(self, host):
        return (self.home(host) / "log/node/cairnd.log").read_text(
            errors="replace")


class Api:
    """One client: a connection to each node, one token for all.  Not for
    several threads."""

    def __init__(self, lab, timeout=20, auth=None):
        self.lab, self.timeout = lab, timeout
        self.connections, self.auth = {}, auth or Token(lab)
        self.context = ssl.create_default_context(
            cafile=lab.dir / "ca.crt")

    def connection(self, host):
        known = self.connections.get(host)
        if not known:
            known = http.client.HTTPSConnection(
                self.lab.address(host), context=self.context,
                timeout=self.timeout)
            try:
                known.connect()
            except OSError as e:
                raise Lost(f"{host}: {e}", False)
            known.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[host] = known
        return known

    def raw(self, host, method, path, body=None, headers=None):
        connection = self.connection(host)
        text = None if body is None else json.dumps(body)
        sent = {"Content-Type": "application/json",
                "OpenStack-API-Version": MICROVERSION, **(headers or {})}
        try:
            connection.request(method, path, text, sent)
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as e:
            connection.close()
            del self.connections[host]
            raise Lost(f"{host}: {type(e).__name__}: {e}", True)
        if answer.getheader("Connection", "").lower() == "close":
            self.close(host)
        try:
            return answer, json.loads(data) if data else {}
        except ValueError:
            return answer, {"text": data.decode(errors="replace")}

    def close(self, host):
        if host in self.connections:
            self.connections.pop(host).close()

    def call(self, host, method, service, path, body=None):
        """(status, body); Lost."""
        for again in (False, True):
            token = self.auth.get(self, host, renew=again)
            answer, data = self.raw(host, method, SERVICES[service] + path,
                                    body, {"X-Auth-Token": token})
            if answer.status != 401:
                break
        return answer.status, data

    def get(self, host, service, path):
        """Of a pool that rests.  A connection that nobody has used for long
        is closed by the other side just when it is used again."""
        try:
            status, data = self.call(host, "GET", service, path)
        except Lost:
            status, data = self.call(host, "GET", service, path)
        if status != 200:
            raise Lost(f"{host}: GET {path}: {status} {data}", True)
        return data

    def records(self, host, kind):
        """All records of a kind, as that node has them."""
        path, found = f"/records/{kind}", []
        while path:
            page = self.get(host, "cairn", path)
            found += page["records"]
            path = page.get("next")
            path = path and path.removeprefix("/cairn/v1")
        return found

    def kinds(self, host):
        return list(self.get(host, "cairn", "/status")["records"])


class Token:
    """The administrator's, shared by all clients: any node may issue it."""

    def __init__(self, lab):
        self.lab, self.text = lab, None
        self.lock = threading.Lock()

    def get(self, api, host, renew=False):
        with self.lock:
            if not self.text or renew:
                self.text = self.issue(api, host)
            return self.text

    def issue(self, api, host):
        who = {"user": {"name": "admin", "domain": {"name": "Default"},
                        "password": self.lab.password()}}
        answer, data = api.raw(host, "POST", "/identity/v3/auth/tokens", {
            "auth": {"identity": {"methods": ["password"], "password": who},
                     "scope": {"project": {"name": "admin", "domain":
                                           {"name": "Default"}}}}})
        if answer.status != 201:
            raise Lost(f"{host}: no token: {answer.status} {data}", False)
        return answer.getheader("X-Subject-Token")
