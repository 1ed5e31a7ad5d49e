"""Each foreign library, and each risky part of the standard one, is used only at home."""

import ast
import sys
from collections.abc import Iterator

RISKY = {
    *("asyncio", "ctypes", "hmac", "http", "logging", "multiprocessing", "pickle", "random"),
    *("secrets", "socket", "ssl", "subprocess", "threading", "time", "urllib"),
}
HOMES: dict[str, set[str]] = {
    "anyio": {"app", "control", "engines", "jobs", "lab", "node", "stores", "testing"},
    "apsw": {"app/command/checkup.py", "stores", "testing/faults.py"},
    "asyncio": {"app/bench/wire", "gateway/wire", "testing/loop.py"},
    "av": {"engines/child/sounding.py"},
    "backports": {"placement/columns.py", "trust/delta.py"},
    "compression": {"placement/columns.py", "trust/delta.py"},
    "cryptography": {"trust"},
    "ctypes": {"engines/child/lifeline.py"},
    "cyclopts": {"app/command"},
    "faster_whisper": {"engines/child/whisper.py"},
    "fastapi": {"control"},
    "gguf": {"testing/gguf.py"},
    "hmac": {"engines/child/fake.py", "engines/child/host.py", "trust/key.py", "trust/nonce.py"}
    | {"trust/capability.py", "trust/chain.py", "trust/ticket.py"},
    "http": {
        *("app/command/probe.py", "engines/child/llama_cpp.py", "gateway/reply.py"),
        "testing/origin.py",
    },
    "httptools": {"app/bench/wire/connection.py", "engines/child/http.py", "gateway/wire"},
    "msgspec": {
        *("app", "client", "control", "engines", "gateway", "jobs", "stores"),
        *(
            "node/dating.py",
            "node/diary.py",
            "node/enrolment.py",
            "node/identity.py",
            "node/sharing.py",
        ),
        *(
            "node/previous.py",
            "node/recollection.py",
            "node/start.py",
            "node/sweep.py",
            "node/update.py",
        ),
        "node/upkeep.py",
    },
    "httpx2": {
        "app/command/conversation.py",
        "app/download.py",
        "client",
        "engines/openai.py",
        "jobs",
    },
    "numpy": {"engines/child", "testing/gguf.py", "testing/onnx.py"},
    "onnxruntime": {"engines/child/encoder.py"},
    "openvino": {"engines/child/batching.py"},
    "openvino_genai": {"engines/child/batching.py", "engines/child/genai.py"},
    "random": {"app/system.py", "testing/chance.py"},
    "socket": {"app", "engines", "gateway/wire", "jobs/source/dial.py"},
    "sqlalchemy": {"stores"},
    "ssl": {
        *("app/bench/wire/load.py", "app/certificate.py", "app/command/checkup.py", "app/link"),
        *("app/download.py", "app/late.py", "app/role/node.py"),
        *("app/command/probe.py", "app/command/site.py"),
        *("client/caller.py", "client/registrar.py", "control/listener.py"),
        *("gateway/wire/tls.py", "gateway/wire/upstream.py"),
    },
    "subprocess": {"app", "jobs/source/pypi.py"},
    "threading": {"app/command/waiting.py", "stores", "testing/loop.py", "testing/origin.py"},
    "time": {"app/launcher.py", "app/system.py"},
    "tokenizers": {"engines/child/encoder.py"},
    "urllib": {
        *("app/bench/run.py", "app/command", "client", "engines", "gateway/desk.py"),
        *("gateway/realtime.py", "jobs"),
    },
    "uvicorn": {"control"},
    "uvloop": {"app/bench/wire/worker.py", "gateway/wire/loop.py"},
    "websockets": {"app/link", "gateway/wire/socket.py"},
    "xllamacpp": {"engines/child/llama_cpp.py"},
    "yaml": {"app/command/documents.py"},
}


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def uses(sources) -> Iterator[tuple[str, str]]:
    """Every pair of a library that needs a home and a module that uses it."""
    for source in sources:
        for library in set(imported(source.tree)) - {"littoral"}:
            if library in RISKY or library not in sys.stdlib_module_names:
                yield library, source.name


def is_in(module: str, home: str) -> bool:
    return module == home or module.startswith(f"{home}/")


def test_every_library_is_used_only_at_home(sources):
    strays = [
        f"{module} imports {library}"
        for library, module in uses(sources)
        if not any(is_in(module, home) for home in HOMES.get(library, ()))
    ]
    assert sorted(strays) == []


def test_no_home_is_empty(sources):
    used = set(uses(sources))
    empty = [
        f"{library} is not used in {home}"
        for library, homes in HOMES.items()
        for home in homes
        if not any(name == library and is_in(module, home) for name, module in used)
    ]
    assert sorted(empty) == []
