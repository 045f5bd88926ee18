"""Volume types and QoS specs, as an administrator's client asks for them.

What they do to volumes of a pool with Ceph: tests/lab/ceph-api.
"""
import pytest

from osc import osc, osc_json, refusal, run

ENCRYPTED = ("--encryption-provider", "luks", "--encryption-cipher",
             "aes-xts-plain64", "--encryption-key-size", "256",
             "--encryption-control-location", "front-end")


class Root:
    """An administrator, and what he has made."""

    def __init__(self):
        self.made = []

    def __call__(self, *words):
        return osc("cairn", "volume", *words)

    def json(self, *words):
        return osc_json("cairn", "volume", *words)

    def refused(self, *words):
        return refusal("cairn", "volume", *words)

    def create(self, what, *words):
        shown = self.json(what, "create", *words)
        self.made.append((what, shown["id"]))
        return shown

    def delete(self, what, id_):
        self(what, "delete", id_)
        self.made.remove((what, id_))


@pytest.fixture()
def root():
    it = Root()
    yield it
    for what, id_ in reversed(it.made):  # of a test that failed
        run("cairn", "volume", what, "delete", id_)


def test_a_type_is_made_changed_and_deleted(root):
    made = root.create("type", "--property", "cairn:storage=local",
                       "--description", "of one node", "near")
    assert made["properties"] == {"cairn:storage": "local"}
    root("type", "set", "--name", "nearer", "--property",
         "colour=blue", "near")
    root("type", "unset", "--property", "cairn:storage", "nearer")
    shown = root.json("type", "show", "nearer")
    assert shown["properties"] == {"colour": "blue"}
    assert "replicated or local" in root.refused(
        "type", "set", "--property", "cairn:storage=tape", "nearer")
    root.delete("type", made["id"])
    names = {t["Name"] for t in root.json("type", "list")}
    assert "local" in names and "nearer" not in names


def test_limits_belong_to_a_type(root):
    kind = root.create("type", "limited")
    specs = root.create("qos", "--consumer", "front-end", "--property",
                        "total_iops_sec=50", "fifty")
    root("qos", "associate", "fifty", "limited")
    shown = root.json("qos", "list")
    shown = next(q for q in shown if q["Name"] == "fifty")
    assert shown["Associations"] == ["limited"]
    assert shown["Properties"] == {"total_iops_sec": "50"}
    assert root.json("type", "show", "limited")["qos_specs_id"] == \
        specs["id"]
    root("qos", "set", "--property", "total_iops_sec=60", "fifty")
    assert "whole number" in root.refused(
        "qos", "set", "--property", "total_iops_sec=many", "fifty")
    assert "associated" in root.refused("qos", "delete", "fifty")
    root("qos", "disassociate", "--volume-type", "limited", "fifty")
    shown = root.json("qos", "show", "fifty")
    assert shown["properties"] == {"total_iops_sec": "60"}
    root.delete("qos", specs["id"])
    root.delete("type", kind["id"])


def test_encryption_of_a_type(root):
    made = root.create("type", *ENCRYPTED, "secret")
    shown = root.json("type", "show", "--encryption-type", "secret")
    assert shown["encryption"]["cipher"] == "aes-xts-plain64"
    assert shown["encryption"]["key_size"] == 256
    # It is a pool of one node's own disk.
    assert "needs a replicated storage" in refusal(
        "cairn-demo", "volume", "create", "--size", "1", "--type", "secret",
        "x")
    root.delete("type", made["id"])
    near = root.create("type", "--property", "cairn:storage=local", "near")
    assert "not encrypted" in root.refused(
        "type", "set", *ENCRYPTED, "near")
    root.delete("type", near["id"])
