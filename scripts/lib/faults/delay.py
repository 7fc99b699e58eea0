#!/usr/bin/env python3
"""Delays packets: what a router sends into its device comes out of it later, in the same order.

    delay.py DEVICE MILLISECONDS JITTER

Makes the device DEVICE (a tun), prints "ready", and goes on until it is ended. Each packet is kept for
MILLISECONDS, give or take up to JITTER. Which packets are led here is the business of the routes. For kernels
without `tc netem`.
"""

import asyncio
import fcntl
import os
import random
import struct
import sys

# From linux/if_tun.h: makes a device out of an open /dev/net/tun, one that carries bare IP packets.
TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
# Longer than any packet of a link with the usual 1500 bytes.
PACKET_MAX = 65536


def open_device(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


async def main(name: str, delay: float, jitter: float) -> None:
    loop = asyncio.get_running_loop()
    device = open_device(name)
    # By direction, when the last packet leaves: none overtakes another, as in a queue.
    leaves_at: dict[bytes, float] = {}

    def let_go(packet: bytes) -> None:
        try:
            os.write(device, packet)
        except OSError:
            # A full queue, or a route that is gone: a packet less, as happens on networks.
            pass

    def take() -> None:
        while True:
            try:
                packet = os.read(device, PACKET_MAX)
            except BlockingIOError:
                return
            # Source and destination of IPv4; another packet is in a queue of its own.
            direction = packet[12:20]
            leaves = loop.time() + delay + random.uniform(-jitter, jitter)
            leaves = max(leaves, leaves_at.get(direction, 0.0))
            leaves_at[direction] = leaves
            loop.call_at(leaves, let_go, packet)

    loop.add_reader(device, take)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]) / 1000, float(sys.argv[3]) / 1000))
