# What Littoral uses of PyAV; it is not installed where types are checked.
import io
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

from av.audio.frame import AudioFrame

class FFmpegError(Exception): ...

class _Streams:
    audio: tuple[object, ...]

class _Container:
    streams: _Streams
    def decode(self, *, audio: int) -> Iterator[AudioFrame]: ...

def open(  # noqa: A001  the library's name
    file: io.BytesIO,
    *,
    mode: str,
    format: str,  # noqa: A002  the library's name
    options: Mapping[str, str],
) -> AbstractContextManager[_Container]: ...
