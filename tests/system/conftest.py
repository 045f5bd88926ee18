"""What the whole-system tests share: a running pool and its two users.

The pool is made by scripts/check (or by hand: scripts/up --name check) and
named by OS_CLIENT_CONFIG_FILE and CAIRN_NODE.  Each test leaves the pool as
it found it; `leftovers` sees to that.
"""
import json
import os
import pathlib
import subprocess
import time

import openstack
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NODE = os.environ.get("CAIRN_NODE", "check")
FLAVOR = "cairn.nano"
IMAGE = "cairn-guest"


def wait_until(what, probe, seconds=60, pause=0.2):
    """The first true value of probe(); fails after that many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < deadline, f"after {seconds} s: {what}"
        time.sleep(pause)


def on_node(*command, check=True):
    """Runs a command inside the node's namespaces."""
    return subprocess.run(
        [ROOT / "scripts/node", "--name", NODE, "exec", *command],
        check=check, capture_output=True, text=True)


class Cli:
    """The `openstack` command, as a user types it."""

    def __init__(self, cloud):
        self.env = dict(os.environ, OS_CLOUD=cloud)

    def run(self, *args):
        return subprocess.run(
            ["/usr/bin/openstack", *args], env=self.env,
            capture_output=True, text=True, timeout=300)

    def __call__(self, *args):
        done = self.run(*args)
        assert done.returncode == 0, \
            f"openstack {' '.join(args)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *args):
        return json.loads(self(*args, "-f", "json"))


class Ssh:
    """A guest's shell, by its address and a key of our own."""

    def __init__(self, address, key):
        self.command = [
            "ssh", "-i", str(key), "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
            "-o", "BatchMode=yes", "-o", "ConnectTimeout=5",
            f"root@{address}"]

    def try_run(self, command):
        try:
            return subprocess.run(self.command + [command],
                                  capture_output=True, text=True, timeout=30,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return None

    def __call__(self, command):
        done = self.try_run(command)
        assert done and done.returncode == 0, f"{command}: {done}"
        return done.stdout

    def wait(self, seconds=120):
        def answers():
            done = self.try_run("true")
            return done and done.returncode == 0
        wait_until("the guest answers SSH", answers, seconds, pause=0.5)
        return self


@pytest.fixture(scope="session")
def admin():
    return openstack.connect(cloud="cairn")


@pytest.fixture(scope="session")
def demo():
    return openstack.connect(cloud="cairn-demo")


@pytest.fixture(scope="session")
def cli():
    return Cli("cairn-demo")


@pytest.fixture(scope="session")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("ssh") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                    str(path)], check=True)
    return path


def inventory(demo):
    """Everything the demo project holds, by id."""
    net, compute, block = demo.network, demo.compute, demo.block_storage
    project = demo.current_project_id
    return {
        "servers": {s.id for s in compute.servers()},
        "keypairs": {k.name for k in compute.keypairs()},
        "volumes": {v.id for v in block.volumes()},
        "snapshots": {s.id for s in block.snapshots()},
        "networks": {n.id for n in net.networks(project_id=project)},
        "ports": {p.id for p in net.ports(project_id=project)},
        "routers": {r.id for r in net.routers(project_id=project)},
        "floating IPs": {f.id for f in net.ips(project_id=project)},
        "groups": {g.id for g in net.security_groups(project_id=project)},
        "rules": {r.id for r in
                  net.security_group_rules(project_id=project)},
    }


@pytest.fixture(autouse=True)
def leftovers(demo):
    before = inventory(demo)
    yield
    wait_until("the project holds what it held before",
               lambda: inventory(demo) == before, 30)
