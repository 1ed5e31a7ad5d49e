"""A whole control on twins, with a key of every kind."""

from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest

from littoral.app.codec import pack
from littoral.control.event import Events
from littoral.control.parts import Control, assemble
from littoral.control.site import first_start
from littoral.control.vault import Vault
from littoral.control.world import ControlParts
from littoral.domain.endpoint import Endpoint, EngineSpec, Machine
from littoral.domain.errors import InvalidInput, UnknownName
from littoral.domain.ids import DeploymentName, Digest, EndpointId, NodeId
from littoral.domain.model import Artefact, Facts, ModelSpec, VersionSpec
from littoral.domain.node import NodeStatus
from littoral.domain.ports import Engine, Source
from littoral.domain.session import Hello
from littoral.domain.units import Bytes, Seconds
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.chunks import MemoryChunks
from littoral.testing.clock import SettableClock
from littoral.testing.disk import MemoryDisk
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.inbox import MemoryInbox
from littoral.testing.ledger import MemoryLedger
from littoral.testing.network import MemoryNetwork
from littoral.testing.obtainer import MemoryObtainer
from littoral.testing.state import MemoryState

MASTER = bytes(range(32))
CATALOGUE = {
    "smol": ModelSpec(
        versions=(VersionSpec(name="1", source="pypi:smol==1", sha256="a" * 64),),
        description="small",
    )
}


@pytest.fixture
def anyio_backend():
    return "asyncio"


class StrictEngine:
    """Knows one option, ``delay_ms``."""

    def check(self, spec: EngineSpec) -> None:
        for name in spec.assignment.options:
            if name != "delay_ms":
                raise InvalidInput(f"no option {name!r}", param=f"spec.options.{name}")
        if spec.artefact_path is None:
            raise InvalidInput("no weights", param="spec.model")

    def launch(self, spec: EngineSpec) -> Any:
        raise NotImplementedError(spec)


class OneRegistry:
    """Every kind of engine is strict; there are no sources."""

    def engine(self, kind: str) -> Engine:
        del kind
        return StrictEngine()

    def source(self, scheme: str) -> Source:
        raise UnknownName(scheme)


@dataclass
class Site:
    """Control's parts, its app, and ways to use them."""

    state: MemoryState = field(default_factory=MemoryState)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    inbox: MemoryInbox = field(default_factory=MemoryInbox)
    chunks: MemoryChunks = field(default_factory=MemoryChunks)
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    obtainer: MemoryObtainer = field(default_factory=MemoryObtainer)
    clock: SettableClock = field(default_factory=SettableClock)
    entropy: SeededEntropy = field(default_factory=SeededEntropy)
    failpoints: ArmedFailpoints = field(default_factory=ArmedFailpoints)
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    network: MemoryNetwork = field(default_factory=MemoryNetwork)
    reports: list[tuple[str, BaseException]] = field(default_factory=list)
    admin: str = ""
    parts: ControlParts = None  # type: ignore[assignment]
    control: Control = None  # type: ignore[assignment]

    def start(self) -> "Site":
        """Make the first start, then assemble; again: a restart."""
        vault = Vault(MASTER, self.entropy)
        made = first_start(
            self.state,
            vault,
            clock=self.clock,
            entropy=self.entropy,
            disk=self.disk,
            admin_file="admin.key",
        )
        self.admin = made or self.admin
        self.parts = ControlParts(
            state=self.state,
            ledger=self.ledger,
            blobs=self.blobs,
            obtainer=self.obtainer,
            registry=OneRegistry(),
            network=self.network,
            clock=self.clock,
            entropy=self.entropy,
            failpoints=self.failpoints,
            inbox=self.inbox,
            chunks=self.chunks,
            events=Events(self.inbox),
            report=lambda what, error: self.reports.append((what, error)),
            catalogue=CATALOGUE,
            master_key=MASTER,
            pack=pack,
            build="0.1.0",
            coalesce_s=Seconds(0.0),
        )
        self.control = assemble(self.parts)
        return self

    async def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        json: object = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
    ) -> httpx2.Response:
        """Send one request to the app; ``key`` None is the admin key, empty is none."""
        sent = dict(headers or {})
        key = self.admin if key is None else key
        if key:
            sent["authorization"] = f"Bearer {key}"
        transport = httpx2.ASGITransport(app=self.control.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://control") as client:
            return await client.request(
                method,
                f"/api/v1{path}",
                json=json,
                content=content,
                headers=sent,
                params=params,
            )

    def call(self, method: str, path: str, **given: Any) -> httpx2.Response:
        """Send one request from a test that is not async."""

        async def send() -> httpx2.Response:
            return await self.ask(method, path, **given)

        return anyio.run(send)

    def key(self, *scopes: str, **more: Any) -> str:
        """Mint a key and return its text."""
        body = {"name": "k", "scopes": scopes, **more}
        answer = self.call("POST", "/keys", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["secret"]

    def apply(self, *documents: dict[str, Any], **more: Any) -> httpx2.Response:
        """Apply documents as the administrator."""
        return self.call("POST", "/apply", json={"documents": list(documents), **more})

    def join(self, name: str = "nd_1", **status: Any) -> NodeId:
        """Let a node join and say what it is."""
        fleet = self.control.desk.fleet
        hello = Hello(
            protocol=1,
            node=NodeId(name),
            name="here",
            boot="b",
            build="0",
            outbox="o",
            snapshot=(0, 0),
        )
        fleet.joined(fleet.row(hello))
        fleet.beat(hello.node, node_status(**status))
        return hello.node


@pytest.fixture
def site() -> Site:
    return Site().start()


def document(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, "spec": spec}


def node_status(**given: Any) -> NodeStatus:
    memory = Bytes(given.pop("memory", 8 << 30))
    return NodeStatus(
        machine=Machine(cores=2, memory=memory, memory_free=memory),
        endpoints=tuple(given.pop("endpoints", ())),
        snapshot=(1, 1),
        outbox_depth=0,
    )


def endpoint(deployment: str, state: str = "ready", **given: Any) -> Endpoint:
    return Endpoint(
        id=EndpointId(f"{deployment}-0"),
        deployment=DeploymentName(deployment),
        serves=deployment,
        engine="llama_cpp",
        state=state,  # type: ignore[arg-type]
        **given,
    )


def artefact(letter: str = "a", *, size: int = 100_000_000, context: int = 2048) -> Artefact:
    return Artefact(
        digest=Digest("sha256:" + letter * 64),
        size=Bytes(size),
        facts=Facts(
            architecture="llama",
            parameters=135_000_000,
            context=context,
            layers=30,
            kv_bytes_per_token=Bytes(23040),
            quantisation="Q4_K_M",
            has_chat_template=True,
        ),
    )


MODEL = document("Model", "smol", versions=[{"name": "1", "source": "pypi:smol==1"}])
UPSTREAM = document("Upstream", "far", url="https://api.example/v1", credential="sk-canary-41")
LOCAL = document("Deployment", "chat", model="smol", slots=2)
REMOTE = document("Deployment", "remote", engine="openai", model="gpt", upstream="far")
FAKE = document("Deployment", "echo", engine="fake", model="echo")


class Given:
    """Makers and documents for tests."""

    document = staticmethod(document)
    node_status = staticmethod(node_status)
    endpoint = staticmethod(endpoint)
    artefact = staticmethod(artefact)
    MASTER = MASTER
    MODEL = MODEL
    UPSTREAM = UPSTREAM
    LOCAL = LOCAL
    REMOTE = REMOTE
    FAKE = FAKE


@pytest.fixture
def given() -> type[Given]:
    return Given
