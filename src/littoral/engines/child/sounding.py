"""Sounding: a file of sound as samples, within bounds of size and duration.

The format is told by the first bytes and given to the decoder by name, which then tries no other:
formats that name further files or addresses are never looked at.
"""

import io
from collections.abc import Iterator, Mapping

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from littoral.engines.child.host import Fault

RATE = 16_000
PROTOCOLS: Mapping[str, str] = {"protocol_whitelist": "none"}
"""Nothing else may be opened than the bytes at hand."""
KNOWN = "flac, m4a, mp3, mp4, ogg, wav or webm"


def samples_of(data: bytes, *, seconds_max: float) -> NDArray[np.float32]:
    """Decode a file to one channel of 16,000 samples a second, from -1 to 1.

    Args:
        data: The file.
        seconds_max: The longest sound that is taken.

    Raises:
        Fault: It is no sound of a known format, is damaged, or longer.
    """
    form = _format_of(data)
    if form is None:
        raise Fault(f"the file is no sound that is known here: send {KNOWN}", param="file")
    most, count = int(seconds_max * RATE), 0
    pieces: list[NDArray[np.int16]] = []
    try:
        for piece in _decoded(data, form):
            count += len(piece)
            if count > most:
                text = f"the sound is longer than {seconds_max:.0f} s: send it in parts"
                raise Fault(text, code="too_large", param="file", status=413)
            pieces.append(piece)
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise Fault(f"the {form} file cannot be decoded: {error}", param="file") from error
    if not count:
        raise Fault("the file holds no sound", param="file")
    return np.concatenate(pieces).astype(np.float32) / 32768.0


def _format_of(data: bytes) -> str | None:
    head = bytes(data[:12])
    starts = {b"fLaC": "flac", b"OggS": "ogg", b"\x1aE\xdf\xa3": "matroska"}
    if head[:4] in starts:
        return starts[head[:4]]
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[4:8] == b"ftyp":
        return "mp4"
    is_mpeg = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    return "mp3" if is_mpeg or head[:3] == b"ID3" else None


def _decoded(data: bytes, form: str) -> Iterator[NDArray[np.int16]]:
    """Pieces of samples, as they are decoded."""
    resampler = AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(io.BytesIO(data), mode="r", format=form, options=dict(PROTOCOLS)) as container:
        if not container.streams.audio:
            raise Fault("the file holds no sound", param="file")
        for frame in container.decode(audio=0):
            frame.pts = None
            yield from (each.to_ndarray()[0] for each in resampler.resample(frame))
        yield from (each.to_ndarray()[0] for each in resampler.resample(None))
