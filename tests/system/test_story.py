"""The story of the first page: from an empty project to a login."""
import re
import time

from conftest import FLAVOR, IMAGE, Ssh, on_node, wait_until


def test_from_nothing_to_a_login(cli, key, demo):
    images = cli.json("image", "list")
    assert any(i["Name"] == IMAGE and i["Status"] == "active" for i in images)

    cli("network", "create", "lan")
    cli("subnet", "create", "lan-v4", "--network", "lan", "--subnet-range",
        "10.9.0.0/24", "--dns-nameserver", "192.0.2.53")
    cli("router", "create", "edge", "--external-gateway", "public")
    cli("router", "add", "subnet", "edge", "lan-v4")
    cli("keypair", "create", "me", "--public-key", f"{key}.pub")
    cli("security", "group", "create", "shell")
    cli("security", "group", "rule", "create", "shell", "--protocol", "tcp",
        "--dst-port", "22")
    cli("security", "group", "rule", "create", "shell", "--protocol", "icmp")

    start = time.monotonic()
    server = cli.json(
        "server", "create", "first", "--image", IMAGE, "--flavor", FLAVOR,
        "--network", "lan", "--key-name", "me", "--security-group", "shell",
        "--property", "role=test", "--wait")
    assert server["status"] == "ACTIVE"
    print(f"ACTIVE after {time.monotonic() - start:.1f} s")

    address = cli.json("floating", "ip", "create", "public")[
        "floating_ip_address"]
    cli("server", "add", "floating", "ip", "first", address)
    ssh = Ssh(address, key).wait()
    print(f"SSH after {time.monotonic() - start:.1f} s")
    assert ssh("hostname").strip() == "first"
    assert "inet 10.9.0." in ssh("ip -4 addr show eth0")

    shown = cli.json("server", "show", "first")
    assert address in str(shown["addresses"])
    assert "10.9.0." in str(shown["addresses"])
    assert "cairn-guest" in cli("console", "log", "show", "first")

    check_power(cli, ssh)
    check_volume(cli, ssh)

    cli("server", "remove", "floating", "ip", "first", address)
    cli("floating", "ip", "delete", address)
    cli("server", "delete", "--wait", "first")
    cli("router", "remove", "subnet", "edge", "lan-v4")
    cli("router", "delete", "edge")
    cli("network", "delete", "lan")
    cli("security", "group", "delete", "shell")
    cli("keypair", "delete", "me")
    assert server["id"] not in on_node("virsh", "list", "--all",
                                       "--uuid").stdout


def status(cli):
    return cli.json("server", "show", "first")["status"]


def check_power(cli, ssh):
    boots = ssh("cat /proc/sys/kernel/random/boot_id")
    cli("server", "reboot", "--wait", "first")
    wait_until("another boot", lambda: other_boot(ssh, boots), 120)
    cli("server", "stop", "first")
    wait_until("SHUTOFF", lambda: status(cli) == "SHUTOFF", 60)
    cli("server", "start", "first")
    wait_until("ACTIVE", lambda: status(cli) == "ACTIVE", 60)
    ssh.wait()
    cli("server", "pause", "first")
    wait_until("PAUSED", lambda: status(cli) == "PAUSED")
    cli("server", "unpause", "first")
    wait_until("ACTIVE", lambda: status(cli) == "ACTIVE")
    cli("server", "suspend", "first")
    wait_until("SUSPENDED", lambda: status(cli) == "SUSPENDED")
    cli("server", "resume", "first")
    wait_until("ACTIVE", lambda: status(cli) == "ACTIVE")
    ssh.wait()
    cli("server", "reboot", "--hard", "--wait", "first")
    ssh.wait()


def other_boot(ssh, was):
    now = ssh.try_run("cat /proc/sys/kernel/random/boot_id")
    return now and now.returncode == 0 and now.stdout != was


def check_volume(cli, ssh):
    cli("volume", "create", "data", "--size", "1")
    wait_volume(cli, "data", "available")
    cli("server", "add", "volume", "first", "data")
    wait_volume(cli, "data", "in-use")
    disk = wait_until("a new disk in the guest", lambda: second_disk(ssh), 30)
    ssh(f"echo what we wrote | dd of={disk} conv=sync 2>/dev/null; sync")
    cli("server", "remove", "volume", "first", "data")
    wait_volume(cli, "data", "available")

    cli("volume", "snapshot", "create", "before", "--volume", "data")
    wait_until("the snapshot", lambda: cli.json(
        "volume", "snapshot", "show", "before")["status"] == "available")
    cli("volume", "create", "copy", "--snapshot", "before", "--size", "2")
    wait_volume(cli, "copy", "available")
    cli("server", "add", "volume", "first", "copy")
    wait_volume(cli, "copy", "in-use")
    disk = wait_until("the copy in the guest", lambda: second_disk(ssh), 30)
    assert "what we wrote" in ssh(f"head -c 13 {disk}")
    cli("server", "remove", "volume", "first", "copy")
    wait_volume(cli, "copy", "available")
    cli("volume", "set", "copy", "--size", "3")
    wait_until("3 GB", lambda: cli.json("volume", "show", "copy")["size"] == 3)
    cli("volume", "delete", "copy")
    wait_until("the copy to be gone", lambda: cli.run(
        "volume", "show", "copy").returncode != 0)
    cli("volume", "snapshot", "delete", "before")
    wait_until("the snapshot to be gone", lambda: cli.run(
        "volume", "snapshot", "show", "before").returncode != 0)
    cli("volume", "delete", "data")


def second_disk(ssh):
    """The device that is neither the root disk nor a part of it."""
    disks = re.findall(r"\b(vd[b-z]|sd[b-z])\s*$", ssh("cat /proc/partitions"),
                       re.M)
    return f"/dev/{disks[0]}" if disks else None


def wait_volume(cli, name, wanted):
    wait_until(f"volume {name} {wanted}", lambda: cli.json(
        "volume", "show", name)["status"] == wanted)
