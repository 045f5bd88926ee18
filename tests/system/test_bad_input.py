"""Everything that may come in, and what is said to it."""
import json
import os
import struct

import pytest
import requests

from conftest import wait_until

NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def call(demo):
    """call(METHOD, SERVICE, PATH, ...) with the demo user's token."""
    session = demo.session

    def request(method, service, path, token=None, **more):
        url = session.get_endpoint(service_type=service).rstrip("/") + path
        headers = dict(more.pop("headers", {}))
        headers["X-Auth-Token"] = token or session.get_token()
        return requests.request(method, url, headers=headers, timeout=30,
                                verify=session.verify, **more)
    return request


BODIES = ["", "{", "[]", "null", "7", "\"x\"", "{\"server\":7}",
          "{\"a\":" * 3000, "{\"server\":{\"name\":\"\\ud800\"}}",
          "{\"server\":{},\"server\":{}}", "\x00"]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("service,path", [
    ("compute", "/servers"), ("network", "/v2.0/networks"),
    ("volumev3", "/volumes"), ("image", "/v2/images")])
def test_malformed_bodies(call, service, path, body):
    answer = call("POST", service, path, data=body.encode("utf-8",
                                                          "surrogatepass"),
                  headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert "message" in answer.text


@pytest.mark.parametrize("service,path", [
    ("compute", f"/servers/{NOWHERE}"), ("compute", "/servers/..%2f..%2fetc"),
    ("compute", f"/flavors/{NOWHERE}"), ("network", f"/v2.0/ports/{NOWHERE}"),
    ("volumev3", f"/volumes/{NOWHERE}"), ("image", f"/v2/images/{NOWHERE}"),
    ("compute", "/nothing"), ("network", "/v2.0/nothing"),
    ("compute", "/os-cells"), ("image", "/v2/tasks")])
def test_unknown_things(call, service, path):
    assert call("GET", service, path).status_code == 404


def test_tokens(call, demo):
    token = demo.session.get_token()
    middle = len(token) // 2
    flipped = "B" if token[middle] != "B" else "C"
    for bad in ("x", token[:-4], token[:middle] + flipped +
                token[middle + 1:], "A" * 20000):
        answer = call("GET", "compute", "/servers", token=bad)
        assert answer.status_code in (400, 401, 431), answer.status_code
    revoked = requests_token(demo)
    assert call("GET", "compute", "/servers",
                token=revoked).status_code == 200
    url = demo.session.get_endpoint(service_type="identity").rstrip("/")
    gone = requests.delete(f"{url}/auth/tokens".replace("/v3/v3", "/v3"),
                           headers={"X-Auth-Token": revoked,
                                    "X-Subject-Token": revoked},
                           verify=demo.session.verify, timeout=30)
    assert gone.status_code == 204, gone.text
    assert call("GET", "compute", "/servers",
                token=revoked).status_code == 401


def requests_token(demo):
    """A token of its own, not the session's."""
    auth = demo.config.get_auth_args()
    url = auth["auth_url"].rstrip("/") + "/auth/tokens"
    domain = {"name": auth["user_domain_name"]}
    body = {"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": auth["username"], "domain": domain,
            "password": auth["password"]}}},
        "scope": {"project": {"name": auth["project_name"],
                              "domain": domain}}}}
    answer = requests.post(url, json=body, verify=demo.session.verify,
                           timeout=30)
    assert answer.status_code == 201, answer.text
    return answer.headers["X-Subject-Token"]


def test_wrong_password_and_unknown_user_look_the_same(demo):
    auth = demo.config.get_auth_args()
    url = auth["auth_url"].rstrip("/") + "/auth/tokens"

    def login(name):
        return requests.post(url, verify=demo.session.verify, timeout=30, json={
            "auth": {"identity": {"methods": ["password"], "password": {
                "user": {"name": name, "domain": {"id": "default"},
                         "password": "wrong"}}}}})
    known, unknown = login(auth["username"]), login("nobody-of-that-name")
    assert known.status_code == unknown.status_code == 401
    assert known.json() == unknown.json()


def test_other_projects(call, admin):
    net = admin.network.create_network(name="not-yours")
    volume = admin.block_storage.create_volume(name="not-yours", size=1)
    try:
        for service, path in (("network", f"/v2.0/networks/{net.id}"),
                              ("volumev3", f"/volumes/{volume.id}")):
            for method in "GET", "DELETE":
                answer = call(method, service, path)
                assert answer.status_code == 404
                assert "not-yours" not in answer.text
    finally:
        admin.network.delete_network(net)
        wait_until("the volume can go", lambda: admin.block_storage.get_volume(
            volume).status == "available")
        admin.block_storage.delete_volume(volume)


@pytest.mark.parametrize("service,path,body", [
    ("compute", "/servers", {"server": {"name": "x" * 256}}),
    ("compute", "/servers", {"server": {"name": "x", "flavorRef": NOWHERE,
                                        "imageRef": NOWHERE}}),
    ("compute", "/servers", {"server": {"name": "x", "surprise": 1}}),
    ("compute", "/os-keypairs", {"keypair": {"name": "k",
                                             "public_key": "garbage"}}),
    ("network", "/v2.0/networks", {"network": {"name": "x" * 256}}),
    ("network", "/v2.0/networks", {"network": {"surprise": 1}}),
    ("volumev3", "/volumes", {"volume": {"size": "many"}}),
    ("volumev3", "/volumes", {"volume": {"size": -1}}),
    ("image", "/v2/images", {"name": "x" * 256}),
    ("image", "/v2/images", {"name": 7})])
def test_wrong_values(call, service, path, body):
    answer = call("POST", service, path, json=body)
    assert answer.status_code == 400, answer.text


def test_body_over_the_limit(call):
    answer = call("POST", "network", "/v2.0/networks",
                  data="x" * (2 << 20),
                  headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_microversion_above_the_ceiling(call):
    answer = call("GET", "compute", "/servers",
                  headers={"OpenStack-API-Version": "compute 2.999"})
    assert answer.status_code == 406
    assert "2.1" in answer.text


# ---- images ---------------------------------------------------------------

def qcow2(backing=b"", version=3, size=1 << 20, incompatible=0):
    """The header cluster of a qcow2 file, as small as it gets."""
    offset = 512 if backing else 0
    head = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", version, offset, len(backing), 16,
        size, 0, 1, 1 << 17, 1 << 16, 1, 0, 0)
    head += struct.pack(">QQQII", incompatible, 0, 0, 4, 104)
    return head.ljust(512, b"\0") + backing.ljust(3 * (1 << 16), b"\0")


def upload(demo, data, disk_format="qcow2", length=None):
    image = demo.image.create_image(
        name="suspicious", disk_format=disk_format, container_format="bare",
        allow_duplicates=True)
    url = demo.session.get_endpoint(service_type="image").rstrip("/")
    url = url[:-3] if url.endswith("/v2") else url
    headers = {"X-Auth-Token": demo.session.get_token(),
               "Content-Type": "application/octet-stream"}
    if length:
        headers["Content-Length"] = str(length)
    answer = requests.put(f"{url}/v2/images/{image.id}/file", data=data,
                          headers=headers, verify=demo.session.verify,
                          timeout=60)
    status = demo.image.get_image(image.id).status
    demo.image.delete_image(image.id)
    return answer, status


@pytest.mark.parametrize("what,data,disk_format", [
    ("backing file", qcow2(backing=b"/etc/shadow"), "qcow2"),
    ("external data file", qcow2(incompatible=4), "qcow2"),
    ("unknown feature", qcow2(incompatible=1 << 40), "qcow2"),
    ("truncated", qcow2()[:80], "qcow2"),
    ("corrupt", b"QFI\xfb" + os.urandom(4096), "qcow2"),
    ("not what it says", b"no qcow2 at all" * 100, "qcow2"),
    ("a qcow2 called raw", qcow2(backing=b"/etc/shadow"), "raw"),
])
def test_lying_images(demo, what, data, disk_format):
    answer, status = upload(demo, data, disk_format)
    assert answer.status_code in (400, 415), (what, answer.status_code)
    assert status in ("queued", "killed"), what
    assert "root:" not in answer.text


def test_truncated_upload(demo):
    """The connection ends before Content-Length is reached."""
    import socket
    import ssl
    import urllib.parse
    image = demo.image.create_image(name="cut", disk_format="raw",
                                    container_format="bare",
                                    allow_duplicates=True)
    url = urllib.parse.urlparse(
        demo.session.get_endpoint(service_type="image"))
    context = ssl.create_default_context(cafile=demo.session.verify)
    raw = socket.create_connection((url.hostname, url.port or 443), 10)
    with context.wrap_socket(raw, server_hostname=url.hostname) as s:
        path = f"{url.path.rstrip('/')}/v2/images/{image.id}/file"
        s.sendall((f"PUT {path.replace('/v2/v2', '/v2')} HTTP/1.1\r\n"
                   f"Host: {url.hostname}\r\n"
                   f"X-Auth-Token: {demo.session.get_token()}\r\n"
                   "Content-Type: application/octet-stream\r\n"
                   "Content-Length: 1000000\r\n\r\n").encode() + b"x" * 5000)
    wait_until("the image is queued again", lambda: demo.image.get_image(
        image.id).status == "queued", 30)
    demo.image.delete_image(image.id)


def test_quota(demo, admin):
    project = demo.current_project_id
    admin.compute.put(f"/os-quota-sets/{project}",
                      json={"quota_set": {"instances": 0}})
    try:
        body = {"server": {
            "name": "one too many",
            "flavorRef": demo.compute.find_flavor("cairn.nano").id,
            "imageRef": demo.image.find_image("cairn-guest").id,
            "networks": "none"}}
        answer = demo.compute.post("/servers", json=body,
                                   microversion="2.37")
        assert answer.status_code == 403
        assert "Quota exceeded for instances" in json.dumps(answer.json())
    finally:
        admin.compute.delete(f"/os-quota-sets/{project}")
