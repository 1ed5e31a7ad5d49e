"""A cloud and its edges, each in a namespace, joined by cables; all gone at the end."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.clock import shim
from lab.machine import ADDRESS, CHAT, Cloud, Edge
from lab.tun import IP, Plug, Relay, Weather, cable, kill, spaces
from littoral.testing import gguf

FAIR = Weather(delay_s=0.02, rate=1_250_000.0)
"""A good link: 10 Mbit/s, 40 ms there and back."""


def chat(model: str) -> Mapping[str, object]:
    """A deployment on every edge: of real weights, or of the made engine's model ``echo``."""
    spec: dict[str, object] = {"model": model, "serves": CHAT, "where": {"tier": "edge"}}
    engine = {"engine": "fake"} if model == "echo" else {"slots": 2}
    return {"kind": "Deployment", "metadata": {"name": "chat-edge"}, "spec": spec | engine}


class World:
    """All machines.

    Args:
        folder: Where they keep what they have.
        edges: How many.
        seed: Of losses and of the clients' chance.
    """

    def __init__(self, folder: Path, *, edges: int, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.began = time.monotonic()
        self.key = ""
        self.cables: dict[str, Relay] = {}
        self.shim = shim(folder)
        self.cloud = Cloud(f"lab{os.getpid()}-cloud", folder, shim=self.shim)
        self.edges = [
            Edge(f"lab{os.getpid()}-edge{at}", folder, shim=self.shim) for at in range(1, edges + 1)
        ]

    @contextmanager
    def built(self) -> Iterator[None]:
        """Namespaces and cables, for as long as the context lasts."""
        with ExitStack() as stack:
            stack.enter_context(spaces(self.cloud.space, *(edge.space for edge in self.edges)))
            _ip(self.cloud.space, "address", "add", ADDRESS, "dev", "lo")
            for at, edge in enumerate(self.edges, 1):
                near = Plug(edge.space, "wan", f"10.231.{at}.2")
                far = Plug(self.cloud.space, f"wan{at}", f"10.231.{at}.1")
                relay = stack.enter_context(cable(near, far, seed=self.seed + at))
                _ip(edge.space, "route", "add", ADDRESS, "dev", "wan")
                stack.enter_context(relay.running())
                self.cables[edge.space] = relay
            stack.callback(self._off)
            yield

    def _off(self) -> None:
        for machine in (*self.edges, self.cloud):
            kill(machine.space)

    def begin(self, deployment: Mapping[str, object]) -> None:
        """Start the cloud, let the edges join and serve, and make a key for the clients."""
        self.cloud.start(timeout_s=60.0)
        weights = gguf.write(self.folder / "tiny.gguf")
        self.cloud.run("models", "pull", f"file:{weights}", "--name", "tiny")
        documents = {"documents": [deployment]}
        status, told = self.cloud.request("POST", "/api/v1/apply", documents)
        if status != 200:
            raise RuntimeError(f"apply answered {status}: {told}")
        self.key = self.cloud.load_key()
        for edge in self.edges:
            edge.load = self.key
            edge.join(self.cloud)
            edge.start(timeout_s=60.0)
        self.until(self.all_serve, f"{CHAT} to be served by each edge", timeout_s=180.0)

    def all_serve(self) -> bool:
        """Whether each edge answers by itself; asked with a key that is not the clients'."""
        return all(serves(edge, self.cloud.key) for edge in self.edges)

    def all_connected(self) -> bool:
        """Whether control hears every edge now."""
        nodes = self.cloud.nodes()
        return all(nodes[edge.space]["state"] == "connected" for edge in self.edges)

    def weather(self, weather: Weather) -> None:
        """The same on every cable."""
        for relay in self.cables.values():
            relay.set(weather)

    def shift(self, seconds: float) -> None:
        """Set every wall clock so far beside the true one."""
        for machine in (*self.edges, self.cloud):
            machine.clock.shift(seconds)

    def until(self, happened: Callable[[], bool], what: str = "", *, timeout_s: float) -> float:
        """Wait for something; seconds it took.

        Raises:
            TimeoutError: It did not happen.
        """
        begin = time.monotonic()
        while time.monotonic() < begin + timeout_s:
            if happened():
                return time.monotonic() - begin
            threading.Event().wait(0.1)
        raise TimeoutError(f"waited {timeout_s:.0f} s for {what}; logs are in {self.folder}")


def serves(edge: Edge, key: str) -> bool:
    """Whether one token can be had there, of an engine there."""
    body = {"model": CHAT, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    try:
        with edge.open("POST", "/v1/chat/completions", body, key=key) as reply:
            reply.read()
            route = reply.headers.get("x-littoral-route", "")
            return reply.status == 200 and route.startswith(f"{edge.space}/")
    except OSError:
        return False


def _ip(space: str, *words: str) -> None:
    subprocess.run([IP, "-n", space, *words], check=True)


@contextmanager
def world(*, edges: int, seed: int, keep: bool = False) -> Iterator[World]:
    """A world in a folder of its own, which is removed where all went well."""
    folder = Path(tempfile.mkdtemp(prefix="littoral-lab-"))
    made = World(folder, edges=edges, seed=seed)
    with made.built():
        yield made
    if not keep:
        shutil.rmtree(folder)
