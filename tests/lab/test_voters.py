"""Five voters, and what follows when one of them is gone for good.

By hand: LAB=voters /usr/bin/python3 -m pytest tests/lab/test_voters.py; five
hosts on two cores are too much for make check.
"""
import os

os.environ.setdefault("LAB", "voters")

import pytest  # noqa: E402
from test_lab import (answers, cairn, cloud, hypervisors, lab,  # noqa: E402
                      voters, wait_until)


@pytest.fixture(scope="module", autouse=True)
def pool():
    lab("down", check=False)
    try:
        lab("up", "5")
        yield
    finally:
        lab("down")


def test_five_vote():
    wait_until("five vote", lambda: voters("h2") == {
        "h1", "h2", "h3", "h4", "h5"}, 180)


def test_two_may_die():
    made = cloud("h3").network.create_network(name="before").id
    for host in ("h4", "h5"):
        lab("cut", host)
    wait_until("a write is answered", lambda: wrote("h3"), 60)
    assert cloud("h2").network.find_network(made)
    for host in ("h4", "h5"):
        lab("boot", host)
        wait_until(f"{host} answers", lambda: answers(host), 90)


def wrote(host):
    try:
        return cloud(host).network.create_network(name="after")
    except Exception:  # no quorum yet
        return None


def test_a_dead_voter_is_removed_and_a_new_node_takes_its_place():
    wait_until("five vote", lambda: len(voters("h2")) == 5, 120)
    lab("cut", "h5")
    wait_until("it may be removed", lambda: cairn(
        "node", "remove", "h5", check=False).returncode == 0, 120)
    assert "h5" not in cairn("node", "list").stdout
    lab("add")
    wait_until("h6 votes, h5 does not", lambda: voters("h2") == {
        "h1", "h2", "h3", "h4", "h6"}, 180)
    for host in ("h1", "h6"):
        wait_until(f"{host} sees them", lambda: set(hypervisors(host)) >= {
            "h1", "h2", "h3", "h4", "h6"})
