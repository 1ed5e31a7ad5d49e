"""Resources as people write them: YAML files of bounded size, several documents each."""

import sys
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from littoral.domain.errors import InvalidInput, TooLarge

MOST_BYTES = 1 << 20
MOST_DOCUMENTS = 500
SUFFIXES = {".yaml", ".yml", ".json"}
FIELDS = ("kind", "metadata", "spec", "version", "created_us", "updated_us")


class Loader(yaml.SafeLoader):
    """Safe values only; anchors are refused, since a small file of them can fill the memory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  PyYAML's signature
        """Refuse a name that is there twice, else as before."""
        seen: set[str] = set()
        for key, _ in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            name = cast("str", key.value)
            if isinstance(key, yaml.ScalarNode) and name in seen:
                raise yaml.YAMLError(f"{name!r} is there twice")
            if isinstance(key, yaml.ScalarNode):
                seen.add(name)
        return super().construct_mapping(node, deep=deep)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases, else as before."""
        if self.check_event(yaml.AliasEvent):  # pyright: ignore[reportUnknownMemberType]  PyYAML has no types for it
            raise yaml.YAMLError("aliases (*name) are not accepted")
        return super().compose_node(parent, index)


def read(place: str) -> list[dict[str, object]]:
    """Read every document of a file, of a folder's files by name, or of ``-`` (stdin).

    Raises:
        InvalidInput: Not there, not YAML, or not a resource; the message names file and place.
        TooLarge: Over a megabyte, or more than 500 documents.
    """
    found = [document for name, text in _texts(place) for document in parse(text, name=name)]
    if not found:
        raise InvalidInput(f"{place}: holds no resource")
    if len(found) > MOST_DOCUMENTS:
        raise TooLarge(f"{place}: {len(found)} resources; at most {MOST_DOCUMENTS} at once")
    return found


def _texts(place: str) -> Iterator[tuple[str, str]]:
    if place == "-":
        yield "stdin", _bounded(sys.stdin.buffer.read(MOST_BYTES + 1), "stdin")
        return
    path = Path(place).expanduser()
    if not path.exists():
        raise InvalidInput(f"there is no file or folder {place!r}")
    files = sorted(f for f in path.iterdir() if f.suffix in SUFFIXES) if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as stream:
            yield str(file), _bounded(stream.read(MOST_BYTES + 1), str(file))


def _bounded(data: bytes, name: str) -> str:
    if len(data) > MOST_BYTES:
        raise TooLarge(f"{name}: over {MOST_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name}: not UTF-8 at byte {error.start}") from None


def parse(text: str, *, name: str) -> list[dict[str, object]]:
    """Read the documents in a text; empty ones are skipped.

    Raises:
        InvalidInput: Not YAML, or not a resource; the message gives the place.
    """
    try:
        values = cast("list[object]", list(yaml.load_all(text, Loader)))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise InvalidInput(f"{name}: not YAML: {told}") from None
    return [
        _checked(value, f"{name}, document {number}")
        for number, value in enumerate(values, 1)
        if value is not None
    ]


def _checked(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where}: must be a mapping with kind, metadata and spec")
    document = cast("dict[str, object]", value)
    unknown = sorted(str(field) for field in document if field not in FIELDS)
    if unknown:
        raise InvalidInput(
            f"{where}: unknown field {unknown[0]!r}; known: kind, metadata, spec", param=unknown[0]
        )
    metadata = document.get("metadata")
    if not isinstance(document.get("kind"), str):
        raise InvalidInput(f"{where}: kind is missing", param="kind")
    if not isinstance(metadata, dict) or "name" not in metadata:
        raise InvalidInput(f"{where}: metadata.name is missing", param="metadata.name")
    return document


def dump(documents: list[object]) -> str:
    """Write documents as YAML that ``read`` takes back."""
    return yaml.safe_dump_all(
        documents, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
