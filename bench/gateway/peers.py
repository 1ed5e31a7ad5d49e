"""Peers: what the gateway is measured beside, each started the way its own manual says.

Rivals live in environments of their own below ``build``, made on request.
"""

import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from measure import BUILD, HERE, Peer

MODEL = "bench-model"
RIVALS: Mapping[str, str] = {
    "vllm-router": "vllm-router==0.1.17",
    "litellm": "litellm[proxy]==1.108.7",
}
"""What pip is asked for."""
EVERY = ("ns32", "ns1", "ns8k", "st16", "paced", "c500")
WORKLOADS: Mapping[str, Sequence[str]] = {"vllm-router": ("ns32", "st16"), "litellm": ("ns32",)}
"""What rivals are measured with; others with everything."""
QUIET = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "1"}


class Place(NamedTuple):
    """Where a peer runs: its port, the mock engine's, its core, a folder for its files."""

    port: int
    engine: int
    core: int
    work: pathlib.Path


def nginx(place: Place) -> Peer:
    """A plain relay: the floor."""
    work, peer = place.work, Peer("nginx", place.port)
    command = ["nginx", "-e", str(work / "nginx.err"), "-c", _filled("nginx.conf", peer, place)]
    peer.start(command, place.core, work / "nginx.log")
    return peer


def littoral(place: Place, load_core: int) -> Peer:
    """The gateway of this tree; its node runs beside the load generator."""
    peer = Peer("littoral", place.port)
    command = [sys.executable, str(HERE / "node.py"), str(place.port), str(place.engine)]
    command += ["taskset", "-c", str(place.core)]
    peer.start(command, load_core, place.work / "littoral.log")
    return peer


def rival(name: str, place: Place) -> Peer | str:
    """Start a rival; or say why there is none."""
    tool = BUILD / name / "bin" / name
    why = _installed(name, tool)
    if why:
        return why
    slow = name == "litellm"
    peer = Peer(name, place.port, key="sk-bench" if slow else "none", slowness=4 if slow else 1)
    command = [str(tool), "--host", "127.0.0.1", "--port", str(place.port)]
    if name == "vllm-router":
        command += ["--policy", "round_robin", "--log-level", "error"]
        command += ["--worker-urls", f"http://127.0.0.1:{place.engine}"]
        command += ["--prometheus-port", str(place.port + 100)]
    else:
        command += ["--config", _filled("litellm.yaml", peer, place), "--num_workers", "1"]
    peer.start(command, place.core, place.work / f"{name}.log", env=QUIET, settle_s=3.0)
    return peer


def _installed(name: str, tool: pathlib.Path) -> str:
    """Make a rival's environment; the reason where that fails."""
    if tool.exists():
        return ""
    print(f"installing {RIVALS[name]} into {tool.parents[1]}")
    shutil.rmtree(tool.parents[1], ignore_errors=True)
    pip = [str(tool.parent / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    for command in ([sys.executable, "-m", "venv", str(tool.parents[1])], [*pip, RIVALS[name]]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(tool.parents[1], ignore_errors=True)
            return f"{RIVALS[name]} cannot be installed: {done.stderr.strip()[-300:]}"
    return ""


def _filled(name: str, peer: Peer, place: Place) -> str:
    text = (HERE / "conf" / name).read_text()
    values = {"PORT": place.port, "UPSTREAM": place.engine, "DIR": place.work, "KEY": peer.key}
    for word, value in (values | {"MODEL": MODEL}).items():
        text = text.replace(f"@{word}@", str(value))
    (place.work / name).write_text(text)
    return str(place.work / name)
