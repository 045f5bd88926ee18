"""Placement explained: the engine on a real pool, by `cairn` and by Nova."""
import re

import pytest

from conftest import FLAVOR, IMAGE, wait_until
from test_cli import cairn, say  # noqa: F401 (a fixture)


@pytest.fixture(scope="module")
def node(cairn):
    return say(cairn("node", "list")).splitlines()[1].split()[0]


@pytest.fixture(scope="module")
def image(demo):
    return demo.image.find_image(IMAGE, ignore_missing=False)


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
