"""No route tells or changes what is another project's.

The routes are those of docs/api.md, which is made from the code and checked
against it, so none can be forgotten.  Every one is asked three times for a
thing of the demo project: without a token, with the token of a stranger (an
ordinary member of another project), and by that stranger for a thing that
does not exist.  The stranger never gets a success, and never another answer
than for what does not exist: so not even that it exists is told.  Afterwards
all of it is as it was.
"""
import json
import pathlib
import re
import uuid

import pytest
import requests

from conftest import FLAVOR, IMAGE, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROW = re.compile(r"\| ([A-Z]+) \| `([^`]+)` \| ([a-z ]+) \| ([^|]*) \|")
PAGE = (ROOT / "docs/api.md").read_text().splitlines()
ROUTES = [tuple(map(str.strip, m.groups()))
          for m in map(ROW.match, PAGE) if m]
PATCH_TYPE = "application/openstack-images-v2.1-json-patch"
SECRET = "of-demo-alone"  # in the name of all that is made here

# What an id stands for, by the path that leads to it; the first that fits.
THINGS = [
    (r"/servers/{id}", "server"),
    (r"/os-server-groups/{id}", "server group"),
    (r"/os-security-groups/{id}", "group"),
    (r"/os-keypairs/{name}", "keypair"),
    (r"/networks/{id}", "network"),
    (r"/subnets/{id}", "subnet"),
    (r"/ports/{id}", "port"),
    (r"/routers/{id}", "router"),
    (r"/floatingips/{id}", "floating IP"),
    (r"/security-groups/{id}", "group"),
    (r"/security-group-rules/{id}", "rule"),
    (r"/images/{id}", "image"),
    (r"/volumes/{id}", "volume"),
    (r"/snapshots/{id}", "snapshot"),
    (r"/attachments/{id}", "attachment"),
    (r"/quotas/{project}", "project"),
    (r"/os-quota-sets/{project}", "project"),
    (r"/identity/v3/projects/{id}", "project"),
    (r"/identity/v3/users/{id}", "user"),
]

# What else stands in a path.
WORDS = {"tag": "t", "key": "k", "network": SECRET, "request": "req-0",
         "alias": "router", "credential": "credential", "port": "port",
         "volume": "volume"}

# Bodies that would do something, so that it is not the body that is refused.
BODIES = [
    ("POST", r"/servers/{id}/action", {"reboot": {"type": "SOFT"}}),
    ("POST", r"/remote-consoles", {"remote_console": {
        "protocol": "vnc", "type": "novnc"}}),
    ("PUT", r"/servers/{id}/metadata/{key}", {"meta": {"k": "v"}}),
    ("PUT", r"/(volumes|snapshots)/{id}/metadata/{key}", {"meta": {"k": "v"}}),
    ("(PUT|POST)", r"/{id}/metadata", {"metadata": {"k": "v"}}),
    ("PUT", r"/{id}/tags$", {"tags": ["t"]}),
    ("POST", r"os-volume_attachments", {"volumeAttachment": {
        "volumeId": "{volume}"}}),
    ("PUT", r"os-volume_attachments/", {"volumeAttachment": {
        "volumeId": "{volume}", "delete_on_termination": True}}),
    ("POST", r"os-interface", {"interfaceAttachment": {
        "port_id": "{port}"}}),
    ("PUT", r"/servers/{id}", {"server": {"name": "taken"}}),
    ("PUT", r"(add|remove)_router_interface", {"subnet_id": "{subnet}"}),
    ("PUT", r"(add|remove)_extraroutes", {"router": {"routes": [
        {"destination": "10.0.0.0/8", "nexthop": "10.99.0.9"}]}}),
    ("PUT", r"/networks/", {"network": {"name": "taken"}}),
    ("PUT", r"/subnets/", {"subnet": {"name": "taken"}}),
    ("PUT", r"/ports/", {"port": {"name": "taken"}}),
    ("PUT", r"/routers/", {"router": {"name": "taken"}}),
    ("PUT", r"/floatingips/", {"floatingip": {"description": "taken"}}),
    ("PUT", r"/security-groups/", {"security_group": {"name": "taken"}}),
    ("PUT", r"/volumes/", {"volume": {"name": "taken"}}),
    ("PUT", r"/snapshots/", {"snapshot": {"name": "taken"}}),
    ("POST", r"/volumes/{id}/action", {"os-extend": {"new_size": 2}}),
    ("POST", r"/import", {"method": {"name": "glance-direct"}}),
    ("POST", r"/users/{id}/password", {"user": {
        "original_password": "wrong", "password": "taken"}}),
    ("POST", r"application_credentials", {"application_credential": {
        "name": "taken", "roles": [{"name": "member"}]}}),
]

# Requests that name another project's thing in their body.
BORROWED = [
    ("/compute/v2.1/servers", {"server": {
        "name": "x", "flavorRef": "{flavor}", "imageRef": "{image}",
        "networks": [{"uuid": "{network}"}]}}),
    ("/compute/v2.1/servers", {"server": {
        "name": "x", "flavorRef": "{flavor}", "imageRef": "{public image}",
        "networks": [{"uuid": "{network}"}]}}),
    ("/compute/v2.1/servers", {"server": {
        "name": "x", "flavorRef": "{flavor}", "imageRef": "{public image}",
        "networks": [{"port": "{port}"}]}}),
    ("/compute/v2.1/servers", {"server": {
        "name": "x", "flavorRef": "{flavor}", "networks": "none",
        "block_device_mapping_v2": [{
            "uuid": "{volume}", "source_type": "volume", "boot_index": 0,
            "destination_type": "volume"}]}}),
    ("/compute/v2.1/servers", {"server": {
        "name": "x", "flavorRef": "{flavor}", "networks": "none",
        "block_device_mapping_v2": [{
            "uuid": "{snapshot}", "source_type": "snapshot", "boot_index": 0,
            "destination_type": "volume", "volume_size": 1}]}}),
    ("/volume/v3/volumes", {"volume": {
        "size": 1, "source_volid": "{volume}"}}),
    ("/volume/v3/volumes", {"volume": {
        "size": 1, "snapshot_id": "{snapshot}"}}),
    ("/volume/v3/volumes", {"volume": {"size": 1, "imageRef": "{image}"}}),
    ("/volume/v3/snapshots", {"snapshot": {"volume_id": "{volume}"}}),
    ("/network/v2.0/subnets", {"subnet": {
        "network_id": "{network}", "ip_version": 4, "cidr": "10.98.0.0/24"}}),
    ("/network/v2.0/ports", {"port": {"network_id": "{network}"}}),
    ("/network/v2.0/security-group-rules", {"security_group_rule": {
        "security_group_id": "{group}", "direction": "ingress"}}),
    ("/network/v2.0/floatingips", {"floatingip": {
        "floating_network_id": "{public network}", "port_id": "{port}"}}),
    ("/cairn/v1/placement/explain", {"server": "{server}"}),
]


class Caller:
    """Requests with one token, by the path as docs/api.md has it."""

    def __init__(self, cloud, token):
        self.root = cloud.session.get_endpoint(
            service_type="identity").split("/identity")[0]
        self.http = requests.Session()
        self.verify = cloud.session.verify
        self.token = token

    def __call__(self, method, path, body=None, versions=""):
        headers = {"X-Auth-Token": self.token} if self.token else {}
        for service, highest in (("compute", "2.90"), ("volume", "3.60"),
                                 ("placement", "1.39")):
            if path.startswith(f"/{service}/"):
                to = re.search(r"to ([\d.]+)", versions)
                headers["OpenStack-API-Version"] = \
                    f"{service} {to[1] if to else highest}"
        more = {"json": body} if body is not None else {}
        if path.endswith(("/file", "/stage")) and method == "PUT":
            headers["Content-Type"] = "application/octet-stream"
            more = {"data": b"taken"}
        if method == "PATCH" and path.startswith("/image/"):
            headers["Content-Type"] = PATCH_TYPE
        return self.http.request(method, self.root + path, headers=headers,
                                 verify=self.verify, timeout=30, **more)


def make(demo):
    """One thing of each kind; {what: id}."""
    net, block = demo.network, demo.block_storage
    ids = {"project": demo.current_project_id, "keypair": SECRET,
           "user": demo.current_user_id}
    network = net.create_network(name=SECRET)
    subnet = net.create_subnet(name=SECRET, network_id=network.id,
                               ip_version=4, cidr="10.99.0.0/24")
    public = net.find_network("public")
    router = net.create_router(
        name=SECRET, external_gateway_info={"network_id": public.id})
    net.add_interface_to_router(router, subnet_id=subnet.id)
    group = net.create_security_group(name=SECRET)
    rule = net.create_security_group_rule(security_group_id=group.id,
                                          direction="ingress")
    port = net.create_port(name=SECRET, network_id=network.id)
    ip = net.create_ip(floating_network_id=public.id, description=SECRET)
    demo.compute.create_keypair(name=SECRET)
    sgroup = demo.compute.create_server_group(name=SECRET,
                                              policy="anti-affinity")
    credential = demo.identity.create_application_credential(
        demo.current_user_id, name=SECRET)
    volume = block.create_volume(name=SECRET, size=1)
    disk = block.create_volume(name=SECRET, size=1)
    image = demo.image.create_image(
        name=SECRET, disk_format="raw", container_format="bare",
        data=b"\0" * 4096, visibility="private")
    block.wait_for_status(volume, "available")
    snapshot = block.create_snapshot(name=SECRET, volume_id=volume.id)
    block.wait_for_status(snapshot, "available")
    server = demo.compute.create_server(
        name=SECRET, flavor_id=demo.compute.find_flavor(FLAVOR).id,
        image_id=demo.image.find_image(IMAGE).id, networks="none",
        metadata={"k": SECRET}, tags=["t"])
    demo.compute.wait_for_server(server, wait=120)
    block.wait_for_status(disk, "available")
    demo.compute.create_volume_attachment(server, volume_id=disk.id)
    disk = block.wait_for_status(disk, "in-use")
    ids.update({
        "disk": disk.id, "credential": credential.id,
        "attachment": disk.attachments[0]["attachment_id"],
        "network": network.id, "subnet": subnet.id, "router": router.id,
        "group": group.id, "rule": rule.id, "port": port.id,
        "floating IP": ip.id, "server group": sgroup.id, "volume": volume.id,
        "image": image.id, "snapshot": snapshot.id, "server": server.id,
        "flavor": demo.compute.find_flavor(FLAVOR).id,
        "public image": demo.image.find_image(IMAGE).id,
        "public network": public.id})
    return ids


def unmake(demo, ids):
    net, block = demo.network, demo.block_storage
    demo.compute.delete_server(ids["server"])
    wait_until("the server is gone",
               lambda: not demo.compute.find_server(ids["server"]))
    demo.identity.delete_application_credential(ids["user"],
                                                ids["credential"])
    demo.compute.delete_server_group(ids["server group"])
    demo.compute.delete_keypair(SECRET)
    block.delete_snapshot(ids["snapshot"])
    wait_until("the snapshot is gone",
               lambda: not block.find_snapshot(ids["snapshot"]))
    for volume in ids["volume"], ids["disk"]:
        block.delete_volume(volume)
        wait_until("the volume is gone",
                   lambda v=volume: not block.find_volume(v))
    demo.image.delete_image(ids["image"])
    net.delete_ip(ids["floating IP"])
    net.delete_port(ids["port"])
    net.remove_interface_from_router(ids["router"], subnet_id=ids["subnet"])
    net.delete_router(ids["router"])
    net.delete_security_group(ids["group"])
    net.delete_network(ids["network"])


@pytest.fixture(scope="module")
def things(demo):
    ids = make(demo)
    yield ids
    unmake(demo, ids)


@pytest.fixture(autouse=True)
def leftovers():
    """What is made here stays for all of the module."""


@pytest.fixture(scope="module")
def nobody(admin):
    return Caller(admin, None)


@pytest.fixture(scope="module")
def stranger(admin):
    """A member of a project of its own; its calls."""
    project = admin.identity.create_project(name="stranger")
    user = admin.identity.create_user(name="stranger", password="stranger-1",
                                      default_project_id=project.id)
    role = admin.identity.find_role("member")
    admin.identity.assign_project_role_to_user(project, user, role)
    with admin.connect_as(username="stranger", password="stranger-1",
                          project_id=project.id, project_name=None) as other:
        yield Caller(admin, other.session.get_token())
    for group in admin.network.security_groups(project_id=project.id):
        admin.network.delete_security_group(group)
    admin.identity.delete_user(user)
    admin.identity.delete_project(project)


def filled(template, ids):
    """The text with {what} replaced, where ids has it."""
    return re.sub(r"{([^{}]+)}", lambda m: str(ids.get(m[1], m[0])), template)


def thing_of(path):
    for pattern, what in THINGS:
        if pattern in path:
            return what
    return None


def body_of(method, path):
    for verbs, pattern, body in BODIES:
        if re.fullmatch(verbs, method) and re.search(pattern, path):
            return body
    if method == "PATCH" and "/images/" in path:
        return [{"op": "replace", "path": "/name", "value": "taken"}]
    return {} if method in ("POST", "PUT", "PATCH") else None


def fill_path(path, ids, thing):
    """The path that leads to `thing`; what else it names is ours as well."""
    path = re.sub(r"{(id|name|project)}", thing, path, count=1)
    words = {k: ids.get(v, v) for k, v in WORDS.items()}
    return filled(path, words)


def said(answer, thing):
    """Status and text, without what differs between any two requests."""
    text = re.sub(r"req-[0-9a-f-]{36}", "req", answer.text)
    return answer.status_code, text.replace(thing, "THING")


def name(word):
    return word.replace("/", " ").strip() or "-"


OWNED = [r for r in ROUTES if thing_of(r[1])]


@pytest.mark.parametrize("method,path,who,versions", ROUTES,
                         ids=name)
def test_without_a_token(nobody, method, path, who, versions):
    answer = nobody(method, re.sub(r"{\w+}", "x", path),
                    body_of(method, path), versions)
    refused = answer.status_code == 401
    needs_one = who != "anyone" or path.endswith("/password")  # the old one
    assert refused == needs_one, answer.text


@pytest.mark.parametrize("method,path,who,versions",
                         [r for r in ROUTES if r[2] == "admin"],
                         ids=name)
def test_admins_routes(stranger, method, path, who, versions):
    answer = stranger(method, re.sub(r"{\w+}", str(uuid.uuid4()), path),
                      body_of(method, path), versions)
    assert answer.status_code in (403, 404), answer.text


@pytest.mark.parametrize("method,path,who,versions", OWNED,
                         ids=name)
def test_anothers(things, stranger, method, path, who, versions):
    thing, nothing = things[thing_of(path)], uuid.uuid4().hex
    if "-" in thing and thing != SECRET:
        nothing = str(uuid.UUID(nothing))
    body = body_of(method, path)
    body = body if body is None else json.loads(
        filled(json.dumps(body), things))
    answer = stranger(method, fill_path(path, things, thing), body, versions)
    other = stranger(method, fill_path(path, things, nothing), body, versions)
    assert answer.status_code in (401, 403, 404), answer.text
    assert said(answer, thing) == said(other, nothing)
    assert SECRET not in answer.text.replace(thing, "")


@pytest.mark.parametrize("path,body", BORROWED)
def test_anothers_in_a_body(things, stranger, path, body):
    text = json.dumps(body)
    answer = stranger("POST", path, json.loads(filled(text, things)))
    assert answer.status_code in (400, 403, 404), answer.text
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "path", [p for m, p, w, _ in ROUTES if m == "GET" and "{" not in p
             and w in ("reader", "any token")])
@pytest.mark.parametrize("query", ["", "?all_tenants=1&project_id={project}"])
def test_lists(things, stranger, path, query):
    answer = stranger("GET", path + filled(query, things))
    assert SECRET not in answer.text
    for what in ("server", "volume", "snapshot", "port", "router", "image"):
        assert things[what] not in answer.text


def test_all_is_as_it_was(demo, things):
    for what, found in {
            "server": demo.compute.get_server(things["server"]),
            "network": demo.network.get_network(things["network"]),
            "router": demo.network.get_router(things["router"]),
            "port": demo.network.get_port(things["port"]),
            "group": demo.network.get_security_group(things["group"]),
            "volume": demo.block_storage.get_volume(things["volume"]),
            "snapshot": demo.block_storage.get_snapshot(things["snapshot"]),
            "image": demo.image.get_image(things["image"])}.items():
        assert found.name == SECRET, what
    assert demo.block_storage.get_volume(things["volume"]).size == 1
    assert demo.compute.get_server(things["server"]).status == "ACTIVE"
