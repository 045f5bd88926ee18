"""The `openstack` command without a process of its own for each call: starting
one takes longer than what it is asked for.  Not for several threads."""
import contextlib
import io
import json

from openstackclient import shell
from openstackclient.common.clientmanager import ClientManager
from osc_lib.clientmanager import ClientCache


class Refused(AssertionError):
    """It ended with another status than 0; its text is what it complained."""


def forget():
    """Whom and which version it talked to: a process has one of each."""
    for base in ClientManager.__mro__:
        for value in vars(base).values():
            if isinstance(value, ClientCache):
                value._handle = None


def run(cloud, *words):
    """(status, what it said, what it complained of)"""
    forget()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = shell.OpenStackShell().run(["--os-cloud", cloud, *words])
        except SystemExit as e:  # it does not know these words
            status = e.code
    return status, out.getvalue(), err.getvalue()


def osc(cloud, *words):
    status, said, why = run(cloud, *words)
    if status:
        raise Refused(f"openstack {' '.join(words)}: {said}{why}")
    return said


def osc_json(cloud, *words):
    return json.loads(osc(cloud, *words, "-f", "json"))


def refusal(cloud, *words):
    """What it complains of."""
    status, said, why = run(cloud, *words)
    assert status, f"openstack {' '.join(words)} is not refused: {said}"
    return why
