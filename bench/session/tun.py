"""Tun: two network namespaces joined by a link as slow, far and lossy as asked; Linux and root.

Each namespace gets a TUN device; the relay between them delays, drops and paces packets. A packet
never overtakes an earlier one, and what waits longer than the queue holds is dropped.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

TUNSETIFF = 0x400454CA
TUN_WITHOUT_HEADER = 0x0001 | 0x1000
NEW_NETWORK = 0x40000000
NAMESPACES = Path("/var/run/netns")
NEAR, FAR = "10.231.9.2", "10.231.9.1"
MTU = 1400
IP = "/sbin/ip"
LONGEST_WAIT_S = 0.05


@dataclass(frozen=True)
class Weather:
    """One-way delay, s; share of packets lost; bytes a second (0: any); seconds of queue."""

    delay_s: float = 0.0
    loss: float = 0.0
    rate: float = 0.0
    queue_s: float = 0.5
    cut: bool = False


@dataclass
class Link:
    """One direction of the way."""

    chance: random.Random
    weather: Weather = field(default_factory=Weather)
    free_at: float = 0.0
    last: float = 0.0
    octets: int = 0

    def arrival(self, size: int, now: float) -> float | None:
        """When a packet of ``size`` bytes arrives; None where it does not."""
        weather = self.weather
        if weather.cut or self.chance.random() < weather.loss:
            return None
        begin = max(now, self.free_at)
        if weather.rate:
            if begin - now > weather.queue_s:
                return None
            begin = self.free_at = begin + size / weather.rate
        self.octets += size
        self.last = max(self.last, begin + weather.delay_s)
        return self.last


@contextmanager
def wan(seed: int = 1) -> Iterator[tuple[str, str, "Relay"]]:
    """Two namespaces, by name, and the relay between them."""
    names = f"lit-near-{os.getpid()}", f"lit-far-{os.getpid()}"
    made: list[str] = []
    ends: list[int] = []
    try:
        for name in names:
            subprocess.run([IP, "netns", "add", name], check=True)
            made.append(name)
        ends.append(_tun(names[0], NEAR, FAR))
        ends.append(_tun(names[1], FAR, NEAR))
        yield *names, Relay(ends[0], ends[1], seed=seed)
    finally:
        for end in ends:
            os.close(end)
        for name in made:
            subprocess.run([IP, "netns", "delete", name], check=False)


def _tun(namespace: str, address: str, peer: str) -> int:
    """A point-to-point device inside a namespace; its descriptor here."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(NAMESPACES / namespace, os.O_RDONLY)
    try:
        if libc.setns(there, NEW_NETWORK):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"wan", TUN_WITHOUT_HEADER))
        for words in (
            ["address", "add", address, "peer", peer, "dev", "wan"],
            ["link", "set", "wan", "up", "mtu", str(MTU)],
            ["link", "set", "lo", "up"],
        ):
            subprocess.run([IP, *words], check=True)
    finally:
        libc.setns(home, NEW_NETWORK)
        os.close(home)
        os.close(there)
    return device


class Relay:
    """Moves packets between both ends."""

    def __init__(self, near: int, far: int, *, seed: int) -> None:
        self.up, self.down = (
            Link(random.Random(seed + end))  # noqa: S311  losses of a bench, no secret
            for end in (0, 1)
        )
        self._routes = {near: (self.up, far), far: (self.down, near)}

    def run(self, going: Callable[[], bool]) -> None:
        """Relay for as long as ``going`` says."""
        queue: list[tuple[float, int, int, bytes]] = []
        number = 0
        while going():
            wait = min(LONGEST_WAIT_S, queue[0][0] - time.monotonic()) if queue else LONGEST_WAIT_S
            ready, _, _ = select.select(list(self._routes), [], [], max(0.0, wait))
            for end in ready:
                link, other = self._routes[end]
                for packet in _waiting(end):
                    at = link.arrival(len(packet), time.monotonic())
                    if at is not None:
                        number += 1
                        heapq.heappush(queue, (at, number, other, packet))
            while queue and queue[0][0] <= time.monotonic():
                _, _, other, packet = heapq.heappop(queue)
                with suppress(OSError):
                    os.write(other, packet)


def _waiting(end: int) -> Iterator[bytes]:
    while True:
        try:
            yield os.read(end, 65536)
        except BlockingIOError:
            return
