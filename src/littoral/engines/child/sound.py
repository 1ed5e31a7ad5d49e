"""What the fake engine hears and says: the same words for the same file, and a sine for a text."""

import base64
import hashlib
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from littoral.engines.child.reply import count_tokens
from littoral.trust.form import parse

RATE: Final = 24_000
"""Samples a second of speech; each is a signed 16-bit number."""
TOKEN_S: Final = 0.05
"""Sound of one token."""
TONE_HZ: Final = 440.0
LOUD: Final = 12_000
PIECE: Final = 24_000
"""Bytes of sound in one event."""
BYTES_A_SECOND: Final = 16_000
"""Of files that are no WAV."""
TOKENS_A_SECOND: Final = 10
SEGMENT: Final = 4
"""Words of a segment."""
FORMATS: Final = {"wav": "audio/wav", "pcm": "audio/pcm"}
Object: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was heard in one file, and how it is to be said."""

    text: str
    seconds: float
    wanted: str
    streamed: bool
    words: bool
    prompt_tokens: int

    @property
    def usage(self) -> Object:
        """Tokens of the sound and of the text."""
        audio = math.ceil(self.seconds * TOKENS_A_SECOND)
        tokens_in, tokens_out = audio + self.prompt_tokens, count_tokens(self.text)
        return {
            "type": "tokens",
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
            "input_token_details": {"audio_tokens": audio, "text_tokens": self.prompt_tokens},
        }


class Speech(msgspec.Struct):
    """A request for speech."""

    input: str
    response_format: str = "mp3"
    stream_format: str = "audio"
    speed: float = 1.0


def hear(body: bytes, *, translate: bool) -> Heard:
    """Read a form and hear its file.

    Raises:
        LittoralError: It is no form.
        ValueError: It has no file, or asks for what is not offered.
    """
    parts = parse(body)
    files = [part for part in parts if part.name == "file"]
    fields: Mapping[str, str] = {part.name: part.text for part in parts if part.name != "file"}
    if not files:
        raise ValueError("the form has no file")
    wanted = fields.get("response_format", "json")
    if wanted not in {"json", "verbose_json"}:
        raise ValueError(f"response_format {wanted!r} is not offered: json or verbose_json")
    data = files[0].data
    seconds = seconds_of(data)
    digest = hashlib.sha256(data).hexdigest()[:8]
    kind = "translated" if translate else "heard"
    return Heard(
        text=f"{kind} {seconds:.2f} seconds of sound {digest}",
        seconds=seconds,
        wanted=wanted,
        streamed=fields.get("stream") == "true",
        words=any(p.data == b"word" for p in parts if p.name == "timestamp_granularities[]"),
        prompt_tokens=count_tokens(fields.get("prompt", "")),
    )


def told(heard: Heard) -> Object:
    """What is answered at once."""
    if heard.wanted == "json":
        return {"text": heard.text, "usage": heard.usage}
    answer: Object = {"task": "transcribe", "language": "english", "duration": heard.seconds}
    answer |= {"text": heard.text, "segments": _segments(heard)}
    if heard.words:
        answer["words"] = _words(heard)
    return answer | {"usage": {"type": "duration", "seconds": heard.seconds}}


def pieces_of(heard: Heard) -> list[str]:
    """The text by words, each but the first with the space before it."""
    first, *others = heard.text.split(" ")
    return [first, *(f" {word}" for word in others)]


def _words(heard: Heard) -> list[Object]:
    words = heard.text.split(" ")
    step = heard.seconds / len(words)
    return [
        {"word": word, "start": round(at * step, 3), "end": round((at + 1) * step, 3)}
        for at, word in enumerate(words)
    ]


def _segments(heard: Heard) -> list[Object]:
    words = heard.text.split(" ")
    step = heard.seconds / len(words)
    segments: list[Object] = []
    for at in range(0, len(words), SEGMENT):
        some = words[at : at + SEGMENT]
        segment: Object = {
            "id": len(segments),
            "seek": 0,
            "start": round(at * step, 3),
            "end": round((at + len(some)) * step, 3),
            "text": " " + " ".join(some),
            "tokens": [at + offset for offset in range(len(some))],
            "temperature": 0.0,
            "avg_logprob": -0.1,
            "compression_ratio": 1.0,
            "no_speech_prob": 0.0,
        }
        segments.append(segment)
    return segments


def seconds_of(data: bytes) -> float:
    """How long a file's sound is: a WAV by its head, another by its size."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE" or len(data) < 44:
        return round(len(data) / BYTES_A_SECOND, 3)
    (rate,) = struct.unpack_from("<I", data, 28)
    at = data.find(b"data", 36)
    size = len(data) - at - 8 if at > 0 else len(data) - 44
    return round(max(size, 0) / (rate or BYTES_A_SECOND), 3)


def samples_of(ask: Speech) -> bytes:
    """The sine of a text: 50 ms a token, less the faster it is spoken."""
    seconds = count_tokens(ask.input) * TOKEN_S / (ask.speed or 1.0)
    count = int(seconds * RATE)
    turn = math.tau * TONE_HZ / RATE
    return struct.pack(f"<{count}h", *(int(LOUD * math.sin(turn * at)) for at in range(count)))


def spoken(ask: Speech, samples: bytes) -> bytes:
    """Samples in the format that was asked for.

    Raises:
        ValueError: It is not offered.
    """
    if ask.response_format not in FORMATS:
        offered = ", ".join(FORMATS)
        raise ValueError(f"response_format {ask.response_format!r} is not offered: {offered} are")
    return samples if ask.response_format == "pcm" else wav(samples)


def events_of(ask: Speech, said: bytes) -> Iterator[Object]:
    """The events of speech that is streamed: its bytes, then what was used."""
    for at in range(0, len(said), PIECE):
        audio = base64.b64encode(said[at : at + PIECE]).decode()
        yield {"type": "speech.audio.delta", "audio": audio}
    tokens_in, tokens_out = count_tokens(ask.input), math.ceil(len(said) / PIECE)
    usage = {"input_tokens": tokens_in, "output_tokens": tokens_out}
    total = {"total_tokens": tokens_in + tokens_out}
    yield {"type": "speech.audio.done", "usage": usage | total}


def wav(samples: bytes) -> bytes:
    """Samples of one channel as a WAV file."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    size = len(samples)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + _data(samples)


def _data(samples: bytes) -> bytes:
    return struct.pack("<4sI", b"data", len(samples)) + samples
