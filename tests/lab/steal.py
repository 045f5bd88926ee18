"""What tests/lab/steal proves on its two hosts: guests that take each other's
CPU are parted, by the rebalancer alone."""
import base64
import os
import re
import time

from test_lab import cairn, cloud, wait_until

BURN = b"""#!/bin/sh
printf '#!/bin/sh\\nwhile :; do :; done\\n' >/root/at-boot
chmod 755 /root/at-boot
sync
/root/at-boot &
"""
MOVED_S, REST_S = 420, 90


def say(text):
    print(f"ok  {text}", flush=True)


def main():
    api = cloud("h1")
    image = api.image.find_image("cairn-guest")
    flavor = api.compute.find_flavor("cairn.nano")
    # As many busy vCPUs as the machine has, and one.
    busy = os.cpu_count() // flavor.vcpus + 1
    servers = [api.compute.create_server(
        name=f"busy-{i}", image_id=image.id, flavor_id=flavor.id,
        networks="none", availability_zone="nova:h1", config_drive=True,
        user_data=base64.b64encode(BURN).decode()) for i in range(busy)]
    for server in servers:
        api.compute.wait_for_server(server, wait=240)
    say(f"{busy} busy guests on h1")

    def hosts():
        return {s.id: s.hypervisor_hostname
                for s in api.compute.servers(all_projects=True)}

    begun = time.monotonic()
    wait_until("one leaves h1", lambda: "h2" in hosts().values(), MOVED_S)
    say(f"one has left after {time.monotonic() - begun:.0f} s")
    moved = next(id_ for id_, host in hosts().items() if host == "h2")

    def told():
        found = re.search(r"^Moved .* from h1 \(live-migration\): (guests of "
                          r"h1 want [0-9.]+ of its [0-9.]+ CPUs.*)$",
                          cairn("explain", moved).stdout, re.M)
        return found and found[1]

    say(f"cairn explain: {wait_until('it says by what', told, 120)}")
    at = hosts()
    time.sleep(REST_S)
    assert hosts() == at, f"it goes on moving: {at}, {hosts()}"
    say(f"nobody has moved in {REST_S} s since")


if __name__ == "__main__":
    main()
