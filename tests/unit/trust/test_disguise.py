import pytest

from littoral.domain.errors import InvalidInput
from littoral.trust.artefact import read_gguf, refuse_disguised

DISGUISES = {
    "zip": [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"],
    "7z": [b"7z\xbc\xaf\x27\x1c"],
    "rar": [b"Rar!\x1a\x07\x00"],
    "gzip": [b"\x1f\x8b\x08"],
    "bzip2": [b"BZh9"],
    "xz": [b"\xfd7zXZ\x00"],
    "zstd": [b"\x28\xb5\x2f\xfd"],
    "tar": [b"model.gguf".ljust(257, b"\0") + b"ustar\x0000"],
    "pickle": [bytes([0x80, n]) for n in (2, 3, 4, 5)],
}


@pytest.mark.parametrize("name", DISGUISES)
def test_archives_and_pickles_are_refused_by_content(name):
    for prefix in DISGUISES[name]:
        with pytest.raises(InvalidInput, match=f"this is a {name} file"):
            refuse_disguised(prefix)
        with pytest.raises(InvalidInput, match=f"this is a {name} file"):
            read_gguf(memoryview(prefix + bytes(600)), size=len(prefix) + 600)


@pytest.mark.parametrize("prefix", [b"", b"GG", b"GGUF\3\0\0\0", b"{}", b"\x93NUMPY", b"\x80\x01"])
def test_what_is_neither_passes(prefix):
    refuse_disguised(prefix)
