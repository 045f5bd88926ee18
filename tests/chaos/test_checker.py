"""Each judge says yes to what is right, and can say no."""
import checker


def op(op, out="ok", name="a", kind="network", **more):
    return {"what": "op", "op": op, "out": out, "name": name, "kind": kind,
            "id": None, "value": None, "at": 2.0, "begun": 1.0, "status": 200,
            **more}


def final(*things, kind="network"):
    return {kind: [{"id": i, "name": n, "value": v} for i, n, v in things]}


MADE = op("create", id="1", value="x")


def answers(rows, there):
    return checker.check_answers(rows, there)


def test_answered_writes_are_there():
    assert not answers([MADE], final(("1", "a", "x")))
    assert answers([MADE], final())
    assert answers([MADE], final(("2", "a", "x")))
    assert answers([MADE], final(("1", "a", "x"), ("2", "a", "x")))
    assert answers([MADE], final(("1", "a", "y")))


def test_the_last_answered_value_counts():
    rows = [MADE, op("change", value="y")]
    assert not answers(rows, final(("1", "a", "y")))
    assert answers(rows, final(("1", "a", "x")))


def test_a_lost_answer_may_have_happened_and_may_yet():
    rows = [MADE, op("change", "unknown", value="y"),
            op("change", value="z")]
    for value, good in (("y", True), ("z", True), ("x", False)):
        assert (not answers(rows, final(("1", "a", value)))) == good
    lost = [op("create", "unknown", value="x")]
    assert not answers(lost, final())
    assert not answers(lost, final(("1", "a", "x")))
    assert answers(lost, final(("1", "a", "x"), ("2", "a", "x")))


def test_what_is_deleted_or_refused_is_gone():
    gone = [MADE, op("delete")]
    assert not answers(gone, final())
    assert answers(gone, final(("1", "a", "x")))
    lost = [MADE, op("delete", "unknown")]
    assert not answers(lost, final())
    assert not answers(lost, final(("1", "a", "x")))
    assert answers([op("create", "refused", value="x")],
                   final(("1", "a", "x")))


def test_stale_reads_are_counted():
    rows = [MADE, op("read", value="x", begun=3.0)]
    assert checker.staleness(rows)["stale_reads"] == 0
    rows.append(op("read", value="w", begun=5.0))
    assert checker.staleness(rows)["worst_s"] == 3.0


NAMES = {"s": "w"}


def said(*lines):
    return [{"what": "writer", "server": "s", "line": line} for line in lines]


def writers(*lines, last="check gens=1 last=9 blocks=9 bad=0 strange=0"):
    return checker.check_writers(said(*lines, last), NAMES, {"w": last})


def test_blocks_are_as_written():
    assert not writers("gen=1 boot=ab at=5 synced=9 worst=3")
    assert writers("gen=1 boot=ab at=5 synced=10 worst=3")
    assert writers(last="check gens=1 last=9 blocks=9 bad=1 strange=0")
    assert writers(last="check gens=1 last=9 blocks=9 bad=0 strange=1")
    assert checker.check_writers([], NAMES, {"w": "not after 180 s"})
    # A check is said again while the same start goes on writing.
    assert not writers("gen=2 boot=ab at=5 synced=30 worst=3")
    assert not writers("gen=1 boot=ab at=5 [ 12.3] random: crng init done")


def test_no_guest_runs_twice():
    assert writers("DOUBLE gen=1 seq=5")
    assert writers("gen=1 boot=ab at=5 synced=1 worst=3",
                   "gen=1 boot=cd at=5 synced=1 worst=3")
    assert not writers("gen=1 boot=ab at=5 synced=1 worst=3",
                       "gen=2 boot=cd at=5 synced=2 worst=3")


SERVER = {"id": "s", "name": "s", "node": "h1", "vm_state": "active",
          "project_id": "p", "vcpus": 1, "ram_mb": 128}


def domains(where, server=SERVER):
    return checker.check_domains({"server": {"s": server}}, where)


def test_each_server_has_one_domain_where_it_belongs():
    assert not domains({"h1": {"s": "running"}, "h2": {}})
    assert domains({"h1": {"s": "running"}, "h2": {"s": "running"}})
    assert domains({"h1": {"s": "running"}, "h2": {"s": "shut off"}})
    assert domains({"h1": {}, "h2": {"s": "running"}})
    assert domains({"h1": {"s": "shut off"}})
    assert domains({"h1": {"s": "running", "x": "shut off"}})


def test_usage_is_counted_anew():
    def usage(n):
        return {"server": {"s": SERVER}, "usage": {"u": {
            "id": "compute/p", "amounts": [
                {"name": "instances", "n": n}, {"name": "cores", "n": 1},
                {"name": "ram", "n": 128}]}}}
    assert not checker.check_usage(usage(1))
    assert checker.check_usage(usage(2))
    assert checker.check_usage({"server": {"s": SERVER}})


def test_claims_have_owners():
    port = {"id": "q", "network_id": "n", "mac_address": "m"}
    claim = {"mac/n/m": {"id": "mac/n/m", "owner": "port/q"}}
    good = {"port": {"q": port}, "claim": claim}
    assert not checker.check_claims(good)
    assert checker.check_claims({"port": {"q": port}})
    assert checker.check_claims({"claim": claim})


def test_nodes_tell_the_same():
    one, two = {"network": {"1": {"v": 1}}}, {"network": {"1": {"v": 2}}}
    assert not checker.check_same({"h1": one, "h2": one})
    assert checker.check_same({"h1": one, "h2": two})
    assert checker.check_same({"h1": one, "h2": {"network": {}}})


def test_nothing_is_left():
    before = {"network": {"1": {}}, "claim": {}}
    assert not checker.check_leaks(before, before)
    assert checker.check_leaks(before, {"network": {}, "claim": {}})
    assert checker.check_leaks(before, {"network": {"1": {}, "2": {}},
                                        "claim": {}})
    assert checker.check_leaks(before, {**before, "claim": {"ip/x": {}}})


def moves(*statuses, last=9, first=1):
    return {"server": {"s": SERVER},
            "counter": {"migration": {"id": "migration", "last": last}},
            "migration": {f"m{i}": {
                "id": f"m{i}", "number": i, "status": status,
                "server_id": "gone" if status != "running" else "s"}
                for i, status in enumerate(statuses, first)}}


def test_a_migration_that_has_ended_is_history():
    none = {"server": {}, "migration": {}, "counter": {}}
    after = moves("completed", "error", "cancelled", "confirmed", "done")
    assert not checker.check_migrations(after)
    assert not checker.check_leaks(none, {**after, "server": {}})
    assert not checker.check_claims(after)


def test_a_migration_that_has_not_ended_is_none():
    none = {"server": {}, "migration": {}, "counter": {}}
    for status in ("queued", "preparing", "running", "post-migrating",
                   "finished", "reverting"):
        after = {**moves(status), "server": {}}
        assert checker.check_leaks(none, after)
        assert checker.check_migrations(after)
    assert not checker.check_migrations(moves("running"))


def test_history_is_bounded_and_numbered():
    n = checker.KEPT_MIGRATIONS
    assert not checker.check_migrations(moves(*["done"] * n, last=n))
    assert checker.check_migrations(moves(*["done"] * (n + 1), last=n + 1))
    assert checker.check_migrations(moves("done", last=0))
    twice = moves("done", "done")
    twice["migration"]["m2"]["number"] = 1
    assert checker.check_migrations(twice)
    assert checker.check_migrations({
        **moves("done"), "counter": {"x": {"id": "x", "last": 1}}})
    assert checker.check_claims({"claim": {
        "migration/number": {"id": "migration/number", "owner": "1"}}})


def test_things_refer_to_things():
    dump = {"server": {"s": SERVER}, "port": {"q": {
        "id": "q", "network_id": "n"}}, "network": {"n": {}}}
    assert not checker.check_references(dump)
    assert checker.check_references({**dump, "network": {}})
    assert checker.check_references({**dump, "disk": {"d": {"id": "d"}}})
    assert checker.check_names("port", {"a"}, {"b"}) == [
        "port: a is of nobody", "port: b is missing"]


def test_what_was_only_begun_may_fail():
    rows = [op("change", value="small"),
            op("change", value="large", maybe=True)]
    for value, good in (("small", True), ("large", True), ("x", False)):
        assert (not answers(rows, final(("1", "a", value)))) == good
    rows.append(op("change", value="large"))
    assert answers(rows, final(("1", "a", "small")))


def test_the_charge_of_a_resize_is_the_larger():
    server = {**SERVER, "migration_id": "m"}
    both = {"server": {"s": server}, "migration": {"m": {
        "type": "resize", "old_flavor": {"vcpus": 1, "ram_mb": 128},
        "new_flavor": {"vcpus": 1, "ram_mb": 160}}}}
    assert checker.charge_of(both, server) == (1, 160)
    assert checker.charge_of({}, server) == (1, 128)


def test_volumes_are_attached_where_both_say():
    def attached(volume, server, has="v"):
        return checker.check_attached({
            "volume": {"v": {"id": "v", "status": volume and "in-use" or
                             "available", "attachments": [
                                 {"server_id": volume}] if volume else []}},
            "server": {"s": {**SERVER, "volumes": [
                {"volume_id": "v", "state": "attached"}] if server else []}}},
            {"s": has})
    assert not attached("s", True)
    assert not attached(None, False, "")
    assert attached("s", False, "")
    assert attached(None, True)
    assert attached("s", True, "")
    assert attached(None, False, "v")


def test_nobody_is_ill():
    node = {"n": {"id": "n", "health": "fenced"}}
    assert not checker.check_well({"server": {"s": SERVER}})
    assert checker.check_well({"node": node})
    failed = {**SERVER, "vm_state": "error"}
    assert checker.check_well({"server": {"s": failed}})
    assert not checker.check_well({"server": {"s": {
        **failed, "fault": "No valid host was found. 3 nodes are full."}}})
