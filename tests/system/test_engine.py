"""The engine's other words on a real pool, by the users' own clients."""
import json
import re

import pytest

from conftest import FLAVOR, IMAGE, wait_until
from test_cli import cairn, say  # noqa: F401 (a fixture)
from test_placement import image, node, openstack  # noqa: F401 (fixtures)


def gone(demo, servers):
    for server in servers:
        demo.compute.delete_server(server)
    for server in servers:
        demo.compute.wait_for_delete(server, wait=180)


def settled(demo, server):
    """The server once it is decided."""
    def looked():
        now = demo.compute.get_server(server.id)
        return now if now.status != "BUILD" else None
    return wait_until("it is decided", looked, seconds=180)


def create(demo, image, flavor, name, **more):
    return settled(demo, demo.compute.create_server(
        name=name, image_id=image.id, flavor_id=flavor.id, networks="none",
        **more))


def test_openstack_shows_the_smallest_change(openstack, admin, demo, image):
    """`openstack server show` of one that fits nowhere."""
    big = admin.compute.create_flavor(
        name="too-many-cpus", vcpus=16, ram=128, disk=1)
    server = create(demo, image, big, "too-many")
    try:
        shown = json.loads(say(openstack("server", "show", server.id, "-f",
                                         "json", "-c", "fault")))
        assert re.search(r"1 node without enough vCPUs\. It would fit with at "
                         r"most \d+ vCPU", str(shown["fault"]))
    finally:
        gone(demo, [server])
        admin.compute.delete_flavor(big)


def test_what_if_by_both_ways_changes_nothing(cairn, node, admin):
    """Lose the node, add three, place forty: the CLI and the API say the
    same, and nodes, servers and claims stay what they are."""
    api = re.match(r"https?://[^/]+", admin.compute.get_endpoint())[0]
    api += "/cairn/v1"

    def state():
        nodes = admin.session.get(f"{api}/nodes").json()["nodes"]
        return ([[n[k] for k in ("name", "servers", "vcpus_used",
                                 "ram_mb_used", "health")] for n in nodes],
                sorted(s.id for s in admin.compute.servers(all_projects=True)))

    before = state()
    out = say(cairn("what-if", "--lose", node, "--add", f"3*{node}", "--place",
                    f"40*{FLAVOR}", "--image", IMAGE))
    places = int(re.search(rf"^{FLAVOR}: (\d+) of 40 find", out, re.M)[1])
    answer = admin.session.post(f"{api}/placement/what-if", json={
        "lose": [node], "add": [{"node": node, "count": 3}],
        "place": [{"flavor": FLAVOR, "image": IMAGE, "count": 40}]}).json()
    assert answer["place"][0]["placed"] == places
    assert state() == before


def test_plan_is_shown_and_not_carried_out(cairn, node):
    out = say(cairn("plan", "--goals", "even,consolidate,defragment",
                    "--large", FLAVOR))
    assert "should move" in out
    head = next(line for line in out.splitlines() if line.startswith("GOAL"))
    assert head.split()[:4] == ["GOAL", "POINTS", "NOW", "THEN"]
    assert re.search(r"^even +\d+ +\d+ ", out, re.M)


@pytest.mark.parametrize("word", ["off", "advise", "on"])
def test_policy_of_rebalancing(cairn, word):
    try:
        assert re.search(rf"^rebalancing +{word}$",
                         say(cairn("policy", f"rebalancing={word}")), re.M)
        assert re.search(rf"^rebalancing +{word}$", say(cairn("policy")), re.M)
    finally:
        say(cairn("policy", "rebalancing=on"))


@pytest.mark.parametrize("policy,both", [
    ("anti-affinity", False), ("soft-anti-affinity", True),
    ("affinity", True), ("soft-affinity", True)])
def test_groups(cairn, demo, image, policy, both):
    """Two of a group on the one node there is: only a hard rule is in the
    way, and the fault says that it is."""
    flavor = demo.compute.find_flavor(FLAVOR)
    group = demo.compute.create_server_group(name=policy, policy=policy)
    servers = []
    try:
        for i in range(2):
            servers.append(create(demo, image, flavor, f"{policy}-{i}",
                                  scheduler_hints={"group": group.id}))
        assert servers[0].status == "ACTIVE"
        assert servers[1].status == ("ACTIVE" if both else "ERROR")
        if not both:
            fault = demo.compute.get(f"/servers/{servers[1].id}").json()
            fault = fault["server"]["fault"]["message"]
            assert "server group" in fault and "It would fit" in fault
            assert "server group" in say(cairn("explain", servers[1].id))
    finally:
        gone(demo, servers)
        demo.compute.delete_server_group(group)


def test_flavors_have_policies(cairn, admin, demo, image):
    """The flavor's word goes before the pool's; nonsense is a 400."""
    flavor = admin.compute.create_flavor(name="weighed", vcpus=1, ram=128,
                                         disk=1)
    try:
        for word, policy in (("pack:VCPU=3,MEMORY_MB=0", "pack"),
                             ("fragmentation", "fragmentation"),
                             ("spread", "spread")):
            admin.compute.create_flavor_extra_specs(
                flavor, {"cairn:placement": word, "cairn:spread": "rack:2"})
            out = say(cairn("explain", "--flavor", "weighed", "--image",
                            IMAGE))
            assert f"policy {policy}" in out
        for word in ("spread:VCPU=3", "best", "pack:VCPU=-1"):
            made = admin.compute.post(
                f"/flavors/{flavor.id}/os-extra_specs",
                json={"extra_specs": {"cairn:placement": word}})
            if made.status_code == 400:
                continue
            made = demo.compute.post("/servers", json={"server": {
                "name": "nonsense", "imageRef": image.id,
                "flavorRef": flavor.id, "networks": "none"}},
                headers={"OpenStack-API-Version": "compute 2.37"},
                microversion="2.37")
            assert made.status_code == 400 and "cairn:placement" in made.text
    finally:
        admin.compute.delete_flavor(flavor)
