"""Placement explained: the engine on a real pool, by `cairn` and by Nova."""
import json
import os
import re
import shutil
import subprocess

import openstack as openstack_sdk
import pytest

from conftest import FLAVOR, IMAGE, wait_until
from test_cli import cairn, say  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def node(cairn):
    return say(cairn("node", "list")).splitlines()[1].split()[0]


@pytest.fixture(scope="module")
def image(demo):
    return demo.image.find_image(IMAGE, ignore_missing=False)


@pytest.fixture(scope="module")
def openstack(demo):
    """The command line, as the user of the tests."""
    def run(*args):
        return subprocess.run(
            [shutil.which("openstack"), "--os-cloud", demo.config.name, *args],
            env=dict(os.environ), timeout=120, capture_output=True, text=True)
    return run


def test_explain(cairn, node, admin, demo, image):
    """Of a placed server, of an impossible flavor, and what would help."""
    flavor = demo.compute.find_flavor(FLAVOR)
    server = demo.compute.create_server(
        name="explained", image_id=image.id, flavor_id=flavor.id,
        networks="none")
    impossible = admin.compute.create_flavor(
        name="impossible", vcpus=1, ram=10**8, disk=1)
    try:
        demo.compute.wait_for_server(server, wait=180)
        out = say(cairn("explain", "explained"))
        assert out.startswith(
            f"explained ({FLAVOR}, ACTIVE) is on {node}.")
        assert "by policy spread: 1 of 1 nodes could take it." in out
        head, row = out.splitlines()[-2:]
        assert head.split()[:4] == ["NODE", "SCORE", "VCPU", "LEFT"]
        assert row.startswith(node) and "%" in row

        out = say(cairn("explain", "--flavor", "impossible"))
        assert out.startswith("No valid host: 1 node without enough memory.")
        assert "100000000 MB of memory wanted" in out
        change = out.split("Smallest changes\n", 1)[1]
        missing = int(re.search(r"with (\d+) MB more memory on node",
                                change)[1])
        # With that much it would.
        fits = admin.compute.create_flavor(
            name="just-fits", vcpus=1, ram=10**8 - missing, disk=1)
        out = say(cairn("explain", "--flavor", fits.name))
        admin.compute.delete_flavor(fits)
        assert out.startswith("It fits on 1 of 1 nodes")
    finally:
        demo.compute.delete_server(server)
        demo.compute.wait_for_delete(server)
        admin.compute.delete_flavor(impossible)
    assert cairn("explain", "explained").returncode == 1


def test_no_valid_host_says_what_would_help(cairn, node, admin, demo, image):
    big = admin.compute.create_flavor(
        name="many-cpus", vcpus=20, ram=128, disk=1)
    server = demo.compute.create_server(
        name="too-big", image_id=image.id, flavor_id=big.id, networks="none")
    try:
        fault = wait_until(
            "the server has a fault",
            lambda: demo.compute.get(f"/servers/{server.id}")
            .json()["server"].get("fault"))
        assert fault["message"].startswith(
            "No valid host was found. 1 node without enough vCPUs. "
            "It would fit with at most ")
        assert node not in fault["message"]
        out = say(cairn("explain", server.id))
        assert "is on no node." in out and fault["message"] in out
        assert f"{node}: 20 vCPUs wanted, the machine has " in out
    finally:
        demo.compute.delete_server(server)
        admin.compute.delete_flavor(big)


def test_what_if(cairn, node):
    before = say(cairn("node", "list"))
    out = say(cairn("what-if", "--lose", node, "--add", f"2*{node}",
                    "--place", f"4*{FLAVOR}"))
    assert f"{FLAVOR}: 4 of 4 find a place, on " in out
    rows = {line.split()[0]: line.split() for line in out.splitlines()
            if line.startswith(("NODES", "VCPU", "MEMORY"))}
    assert rows["NODES"] == ["NODES", "1", "2"]
    capacity = re.findall(r"of (\d+)", " ".join(rows["VCPU"]))
    now, then = map(int, capacity)
    assert then == 2 * now
    assert [line.split()[:11] for line in say(cairn("node", "list"))
            .splitlines()[1:]] == [line.split()[:11] for line
                                   in before.splitlines()[1:]]
    done = cairn("what-if", "--lose", "nobody")
    assert done.returncode == 1 and "no node 'nobody'" in done.stderr


def test_policy(cairn):
    was = say(cairn("policy"))
    assert "placement    spread" in was
    assert "placement    pack" in say(cairn("policy", "placement=pack"))
    assert "policy pack" in say(cairn("explain", "--flavor", "m1.tiny"))
    assert say(cairn("policy", "placement=spread")) == was
    assert cairn("policy", "placement=random").returncode == 1


def test_a_reserve_of_one_node(cairn, node, demo, image):
    """One node cannot bear its own failure: said when it is set, and kept."""
    flavor = demo.compute.find_flavor(FLAVOR)
    try:
        out = say(cairn("policy", "reserve=1"))
        assert re.search(r"^reserve +1$", out, re.M)
        assert "1 node in service cannot bear the failure of 1" in out
        server = demo.compute.create_server(
            name="unborne", image_id=image.id, flavor_id=flavor.id,
            networks="none")
        fault = wait_until(
            "the server has a fault",
            lambda: demo.compute.get(f"/servers/{server.id}")
            .json()["server"].get("fault"))
        assert fault["message"].startswith(
            "No valid host was found. 1 node where the room kept for "
            "failures would be gone.")
        out = say(cairn("explain", server.id))
        assert f"if {node} failed, it would find no place" in out
        assert "it would fit without the reserve for 1 failed node" in out
        demo.compute.delete_server(server)
        # A second node of the kind would make it possible.
        out = say(cairn("what-if", "--add", node, "--place", f"1*{FLAVOR}",
                        "--image", IMAGE))
        assert "1 of 1 find a place" in out
        assert "is kept now, kept then" in out
    finally:
        out = say(cairn("policy", "reserve=0"))
    assert "not kept" not in out


def create_many(openstack, flavor, least, most):
    """With the CLI; the servers' statuses once all are decided."""
    name = f"many-{least}-{most}"
    say(openstack("--os-compute-api-version", "2.37",  # for --nic none
                  "server", "create", "--flavor", flavor, "--image", IMAGE,
                  "--nic", "none", "--min", str(least), "--max", str(most),
                  name))
    return name


def test_min_count_or_none(cairn, openstack, node, admin, demo):
    """Two of them fit: asked for three there is none, asked for two there
    are two, and the rest says why."""
    free = cairn_node(cairn, node)["ram_mb"] - 512
    admin.compute.put(f"/os-quota-sets/{demo.current_project_id}",
                      json={"quota_set": {"ram": -1, "cores": -1}})
    half = admin.compute.create_flavor(
        name="half", vcpus=1, ram=free // 2 - 64, disk=1)

    def decided(name):
        all_ = [s for s in demo.compute.servers() if name in s.name]
        states = sorted(s.status for s in all_)
        return all_ if states and "BUILD" not in states else None

    try:
        for least, active in ((3, 0), (2, 2)):
            name = create_many(openstack, "half", least, 4)
            servers = wait_until("all are decided", lambda: decided(name),
                                 seconds=180)
            assert len(servers) == 4
            ok = [s for s in servers if s.status == "ACTIVE"]
            assert len(ok) == active, [s.status for s in servers]
            for s in servers:
                if s.status == "ERROR":
                    fault = demo.compute.get(f"/servers/{s.id}").json()
                    assert "1 node without enough memory" in \
                        fault["server"]["fault"]["message"]
            for s in servers:
                demo.compute.delete_server(s)
            for s in servers:
                demo.compute.wait_for_delete(s)
    finally:
        admin.compute.delete_flavor(half)
        admin.compute.delete(f"/os-quota-sets/{demo.current_project_id}")


def cairn_node(cairn, node):
    """What `cairn node show` says, by name."""
    out = {}
    for line in say(cairn("node", "show", node)).splitlines():
        key, value = line.split(None, 1)
        try:
            out[key] = json.loads(value)
        except ValueError:
            out[key] = value
    return out


def test_sits_in_a_numa_cell(cairn, node, admin, demo, image):
    """The node tells its cells; a guest gets one; what the node has not, or
    nobody honours, is refused by name."""
    cells = cairn_node(cairn, node)["cells"]
    assert cells and cells[0]["cpus"] and cells[0]["ram_mb"] > 0
    flavor = admin.compute.create_flavor(
        name="numa", vcpus=1, ram=192, disk=1)
    admin.compute.create_flavor_extra_specs(flavor, {"hw:numa_nodes": "1"})
    server = demo.compute.create_server(
        name="numa", image_id=image.id, flavor_id=flavor.id, networks="none")
    try:
        demo.compute.wait_for_server(server, wait=180)
        admin.compute.create_flavor_extra_specs(
            flavor, {"hw:mem_page_size": "1GB"})
        with pytest.raises(openstack_sdk.exceptions.BadRequestException,
                           match="not whole pages of 1024 MB"):
            demo.compute.create_server(
                name="numa2", image_id=image.id, flavor_id=flavor.id,
                networks="none")
        admin.compute.create_flavor_extra_specs(
            flavor, {"hw:mem_page_size": "small", "hw:cpu_policy": "mixed"})
        with pytest.raises(openstack_sdk.exceptions.BadRequestException,
                           match="hw:cpu_policy=mixed cannot be honoured"):
            demo.compute.create_server(
                name="numa3", image_id=image.id, flavor_id=flavor.id,
                networks="none")
    finally:
        demo.compute.delete_server(server)
        demo.compute.wait_for_delete(server)
        admin.compute.delete_flavor(flavor)
