"""Tun: network namespaces joined by links as slow, far and lossy as asked; needs Linux and root.

Each end of a cable is a TUN device; a relay between both delays, drops and paces packets. A packet
never overtakes an earlier one, and what waits longer than the queue holds is dropped.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import signal
import struct
import subprocess
import sys
import threading
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


def missing() -> str:
    """Why namespaces and cables cannot be made here; empty where they can."""
    if sys.platform != "linux" or not Path("/dev/net/tun").exists():
        return "needs Linux with /dev/net/tun"
    if not Path(IP).exists():
        return f"needs {IP}, of the package iproute2"
    if os.geteuid():
        return "needs root, to make network namespaces"
    return ""


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


@dataclass(frozen=True)
class Plug:
    """One end of a cable: in which namespace, as which device, under which address."""

    space: str
    device: str
    address: str


@contextmanager
def spaces(*names: str) -> Iterator[None]:
    """Network namespaces for as long as the context lasts; whatever runs in them then is killed."""
    made: list[str] = []
    try:
        for name in names:
            subprocess.run([IP, "netns", "add", name], check=True)
            made.append(name)
            subprocess.run([IP, "-n", name, "link", "set", "lo", "up"], check=True)
        yield
    finally:
        for name in made:
            kill(name)
            subprocess.run([IP, "netns", "delete", name], check=False)


def kill(space: str) -> None:
    """End every process of a namespace at once, as a power cut does."""
    while pids := _within(space):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _within(space: str) -> list[int]:
    """Processes of a namespace that still run; who only waits to be buried does not."""
    told = subprocess.run([IP, "netns", "pids", space], capture_output=True, check=True)
    return [int(word) for word in told.stdout.split()]


@contextmanager
def entered(space: str) -> Iterator[None]:
    """This thread's new sockets, devices and processes belong to a namespace meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
    there = os.open(NAMESPACES / space, os.O_RDONLY)
    try:
        if libc.setns(there, NEW_NETWORK):
            raise OSError(ctypes.get_errno(), f"cannot enter {space}")
        yield
    finally:
        libc.setns(home, NEW_NETWORK)
        os.close(home)
        os.close(there)


@contextmanager
def cable(near: Plug, far: Plug, *, seed: int = 1) -> Iterator["Relay"]:
    """A link between two namespaces; nothing passes until its relay runs."""
    ends: list[int] = []
    try:
        ends.append(_tun(near, far.address))
        ends.append(_tun(far, near.address))
        yield Relay(*ends, seed=seed)
    finally:
        for end in ends:
            os.close(end)


@contextmanager
def wan(seed: int = 1) -> Iterator[tuple[str, str, "Relay"]]:
    """Two namespaces, by name, and the relay between them."""
    near, far = f"lit-near-{os.getpid()}", f"lit-far-{os.getpid()}"
    with (
        spaces(near, far),
        cable(Plug(near, "wan", NEAR), Plug(far, "wan", FAR), seed=seed) as relay,
    ):
        yield near, far, relay


def _tun(plug: Plug, peer: str) -> int:
    """A point-to-point device inside a namespace; its descriptor here."""
    with entered(plug.space):
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        name = plug.device.encode()
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name, TUN_WITHOUT_HEADER))
        for words in (
            ["address", "add", plug.address, "peer", peer, "dev", plug.device],
            ["link", "set", plug.device, "up", "mtu", str(MTU)],
        ):
            subprocess.run([IP, *words], check=True)
    return device


class Relay:
    """Moves packets between both ends."""

    def __init__(self, near: int, far: int, *, seed: int) -> None:
        self.up, self.down = (Link(random.Random(seed + end)) for end in (0, 1))
        self._routes = {near: (self.up, far), far: (self.down, near)}

    def set(self, weather: Weather) -> None:
        """Make both directions so."""
        self.up.weather = self.down.weather = weather

    @contextmanager
    def running(self) -> Iterator[None]:
        """Relay in a thread beside for as long as the context lasts."""
        over = threading.Event()
        moving = threading.Thread(target=self.run, args=(lambda: not over.is_set(),))
        moving.start()
        try:
            yield
        finally:
            over.set()
            moving.join()

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
