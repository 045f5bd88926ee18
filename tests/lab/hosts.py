"""The hosts of a laboratory with Ceph, for the proofs that drive it: NAME
(LAB) says which.

What is seen is a line "ok  WHAT"; what is not seen in time ends the proof.
"""
import json
import os
import pathlib
import subprocess
import sys
import time

import openstack

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = os.environ["LAB"]
CONF = "/etc/cairn/ceph.conf"
FAILURES = (subprocess.SubprocessError, openstack.exceptions.SDKException,
            OSError)


def lab(*words):
    return subprocess.run([ROOT / "tests/lab/lab", "--name", NAME, *words],
                          check=True, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120).stdout


def on(host, *command):
    return lab("on", host, *command)


def ceph(host, *command):
    return json.loads(on(host, "ceph", f"--conf={CONF}", *command,
                         "--format=json"))


def cloud(host):
    return openstack.connect("cairn" if host == "h1" else f"cairn-{host}")


def until(what, probe, seconds=60, pause=0.3):
    """The first true value of probe(), which may fail until then."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = probe()
        except FAILURES:
            value = None
        if value:
            print(f"ok  {what}", flush=True)
            return value
        if time.monotonic() > end:
            sys.exit(f"FAILED after {seconds} s: {what}")
        time.sleep(pause)


def has_grown(host):
    quorum = ceph(host, "quorum_status")["quorum_names"]
    pool = ceph(host, "osd", "pool", "ls", "detail")[0]
    return (len(quorum) == 3 and pool["size"] == 3 and pool["min_size"] == 2
            and ceph(host, "health")["status"] == "HEALTH_OK")
