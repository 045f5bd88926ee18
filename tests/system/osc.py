"""The `openstack` command, loaded once: that takes longer than what it is
asked for.  Not for several threads."""
import contextlib
import io
import json
import multiprocessing

from openstackclient import shell


class Refused(AssertionError):
    """It ended with another status than 0; its text is what it complained."""


def in_child(cloud, *words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = shell.OpenStackShell().run(["--os-cloud", cloud, *words])
        except SystemExit as e:  # it does not know these words
            status = e.code
    return status, out.getvalue(), err.getvalue()


def run(cloud, *words):
    """(status, what it said, what it complained of); in a child, for the
    client keeps whom and which version it talks to."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(in_child, (cloud, *words))


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
