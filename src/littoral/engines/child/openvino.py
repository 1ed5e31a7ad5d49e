"""The openvino engine's process: keeps telemetry out, then serves."""

import sys
from types import ModuleType
from typing import cast

TELEMETRY = "openvino_telemetry"


def main(line: bytes) -> None:
    """Serve until killed.

    Args:
        line: The parent's one line, as ``genai.Start`` reads it.
    """
    sys.modules.update(cast("dict[str, ModuleType]", {TELEMETRY: None}))
    from littoral.engines.child.genai import serve_model  # noqa: PLC0415  only without telemetry

    serve_model(line)
