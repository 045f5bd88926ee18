"""The `cairn` command against a running pool, as its administrator."""
import json
import os
import pathlib
import re
import subprocess

import pytest

from conftest import NODE, ROOT, on_node, wait_until


@pytest.fixture(scope="module")
def cairn(admin):
    auth = admin.config.config["auth"]
    env = dict(os.environ,
               OS_AUTH_URL=auth["auth_url"], OS_USERNAME=auth["username"],
               OS_PASSWORD=auth["password"],
               OS_PROJECT_NAME=auth["project_name"],
               OS_CACERT=admin.config.config["cacert"])
    # Of the build that the pool runs.
    settings = (ROOT / "build/node" / NODE / "settings").read_text()
    build = settings.split("build=", 1)[1].splitlines()[0]
    program = pathlib.Path(build) / "cairn"

    def run(*args, env=env):
        return subprocess.run([program, *args], env=env, timeout=60,
                              capture_output=True, text=True)
    run.env = env
    return run


def say(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_status(cairn, demo):
    out = say(cairn("status"))
    assert "region RegionOne" in out
    counts = {line.split()[1]: int(line.split()[0])
              for line in out.split("\n\n", 1)[1].splitlines()}
    assert counts["node"] == 1
    assert counts["token_key"] >= 1


def test_node_list(cairn):
    head, node = say(cairn("node", "list")).splitlines()
    assert head.split()[:2] == ["NODE", "ADDRESS"]
    words = re.split(" {2,}", node.strip())
    assert len(words) == len(re.split(" {2,}", head.strip()))
    row = dict(zip(re.split(" {2,}", head.strip()), words))
    assert row["HEALTH"] == "up" and row["KVM"] in ("yes", "no")
    used, of, total = row["DISK GB"].split()
    assert of == "of" and 0 <= int(used) <= int(total) > 0


def test_status_tells_how_full_the_storage_is(cairn):
    line = next(line for line in say(cairn("status")).splitlines()
                if line.startswith("storage"))
    used, total, percent = re.match(
        r"storage +(\d+) of (\d+) GB used \((\d+) %\), on the nodes' own "
        "disks$", line).groups()
    assert 0 <= int(used) <= int(total) and int(percent) <= 100


def test_dump(cairn, demo):
    for kind in "server", "network", "user", "token_key":
        records = [json.loads(line)
                   for line in say(cairn("dump", kind)).splitlines()]
        assert all(r["id"] and r["mod_revision"] > 0 for r in records)
        text = json.dumps(records)
        assert "scrypt$" not in text and '"secret"' not in text
    assert demo.current_user_id in say(cairn("dump", "user"))


def test_wrong(cairn):
    done = cairn("dump", "nothing")
    assert done.returncode == 1
    assert done.stderr == \
        "cairn: the pool answered 404: There is no kind 'nothing'.\n"
    assert cairn("frobnicate").returncode == 2
    done = cairn("status", env=dict(cairn.env, OS_PASSWORD="wrong"))
    assert done.returncode == 1
    assert "the pool answered 401" in done.stderr
    env = {k: v for k, v in cairn.env.items() if k != "OS_AUTH_URL"}
    assert "OS_AUTH_URL is not set" in cairn("status", env=env).stderr


def row_of(port):
    """The UUID of the port's row in OVN, "" without one."""
    return on_node("ovn-nbctl", "--bare", "--columns=_uuid", "find",
                   "Logical_Switch_Port", f"name={port.id}").stdout.strip()


def test_network_rebuild(cairn, demo):
    """Every row is made anew, whatever somebody has done to it by hand."""
    network = demo.network.create_network(name="rebuilt")
    try:
        port = demo.network.create_port(network_id=network.id)
        before = wait_until("the port is in OVN", lambda: row_of(port))
        on_node("ovn-nbctl", "lsp-del", port.id)
        mended = wait_until("it is back", lambda: row_of(port), 15)
        assert mended != before
        say(cairn("network", "rebuild"))
        wait_until("it is another row",
                   lambda: row_of(port) not in ("", mended), 15)
        demo.network.delete_port(port)
    finally:
        demo.network.delete_network(network)
