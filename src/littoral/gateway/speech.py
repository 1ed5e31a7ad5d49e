"""Speech: sound that is written down or translated, and text that is spoken."""

import math
import re
import struct
from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from littoral.domain.errors import InvalidInput, LittoralError
from littoral.gateway.asked import Asked
from littoral.gateway.body import Reader, refusal_of
from littoral.gateway.named import NOTHING_WRITTEN, Named, Text, tokens_of
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.tally import Whole
from littoral.placement.filters import capability_mask
from littoral.trust import form
from littoral.trust.form import Part

MOST_SOUND: Final = 25 * 1024 * 1024 + 64 * 1024
"""Most bytes of a form: a file of 25 MiB, and its fields."""
TOKENS_A_SECOND: Final = 10
"""Of sound, as most engines count."""
MOST_TOKENS_A_SECOND: Final = 50
"""The same as Whisper counts: one for each 20 ms."""
BYTES_A_TOKEN: Final = 1600
"""Of sound whose length nobody knows: about 16 kB a second."""
LEAST_BYTES_A_SECOND: Final = 640
"""The same at the least: Opus at its slowest has 750."""
MOST_OF_A_WINDOW: Final = 224
"""Tokens that Whisper writes of one window; of a full one, 30 seconds, fewer than it hears."""
TRANSCRIPTIONS: Final = capability_mask(("transcriptions",))
TRANSLATIONS: Final = capability_mask(("translations",))
SPEECH: Final = capability_mask(("speech",))
_STREAM: Final = capability_mask(("stream",))

Format: TypeAlias = Literal["json", "text", "srt", "verbose_json", "vtt"]
_Granularity: TypeAlias = Literal["word", "segment"]
_PLAIN: Final = frozenset({1, 3, 6, 7, 0xFFFE})
"""Kinds of WAV file whose samples all have one size: whole and real numbers, A-law and mu-law."""
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,8})\Z")
_MEDIA: Final = {
    "text": b"text/plain; charset=utf-8",
    "srt": b"text/plain; charset=utf-8",
    "vtt": b"text/vtt; charset=utf-8",
}
SPOKEN: Final = {
    "mp3": b"audio/mpeg",
    "opus": b"audio/ogg",
    "aac": b"audio/aac",
    "flac": b"audio/flac",
    "wav": b"audio/wav",
    "pcm": b"audio/pcm",
}
"""The media type of each format of speech."""


class Sound(Named, omit_defaults=True, kw_only=True):
    """``POST /v1/audio/translations``; the file is kept beside its fields."""

    prompt: Annotated[str, Meta(max_length=65_536)] | None = None
    response_format: Format | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None


class Transcription(Sound, omit_defaults=True, kw_only=True):
    """``POST /v1/audio/transcriptions``."""

    language: Annotated[str, Meta(pattern=r"^[A-Za-z-]{2,32}$")] | None = None
    timestamp_granularities: list[_Granularity] | None = None
    stream: bool | None = None


class Recording(Struct):
    """The fields of a form and its file, as an engine will get them."""

    fields: Sound
    file: Part


class Speech(Named, omit_defaults=True, kw_only=True):
    """``POST /v1/audio/speech``."""

    input: Annotated[Text, Meta(max_length=4096)]
    voice: Annotated[str, Meta(min_length=1, max_length=256)] | dict[str, str]
    instructions: Annotated[str, Meta(max_length=4096)] | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    stream_format: Literal["sse", "audio"] | None = None


class StrictSpeech(Speech, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The same, of known fields only."""


_read_speech = Reader(StrictSpeech, Speech).read


def read_speech(data: bytes) -> Asked | Refusal:
    """Decode the body of a request for speech."""
    found = _read_speech(data)
    if isinstance(found, Refusal):
        return found
    body, ignored = found
    if isinstance(body.voice, dict) and set(body.voice) != {"id"}:
        return refuse(InvalidInput, "voice must be a name, or an object with an id", param="voice")
    streamed = body.stream_format == "sse"
    return Asked(
        body.model,
        body,
        ignored,
        SPEECH | _STREAM if streamed else SPEECH,
        streamed,
        wants_usage=True,
        cap=NOTHING_WRITTEN,
        media=SPOKEN[body.response_format or "mp3"],
        weight=tokens_of(body.input),
    )


def spoken(_data: bytes) -> Whole:
    """What a reply of sound says was used: nothing, it is sound."""
    return Whole(None, "")


def read_transcription(data: bytes) -> Asked | Refusal:
    """Read a form with a recording that is to be written down."""
    found = _read_form(data, Transcription)
    if isinstance(found, Refusal):
        return found
    asked, recording = found
    fields: Transcription = recording.fields  # pyright: ignore[reportAssignmentType]  as asked for
    if fields.timestamp_granularities and fields.response_format != "verbose_json":
        message = "timestamp_granularities needs response_format=verbose_json"
        return refuse(InvalidInput, message, param="timestamp_granularities")
    if fields.stream:
        if fields.response_format not in {None, "json", "text"}:
            message = "a stream has response_format json or text"
            return refuse(InvalidInput, message, param="response_format")
        asked.streamed, asked.media = True, b""
    asked.needs = TRANSCRIPTIONS | _STREAM if asked.streamed else TRANSCRIPTIONS
    return asked


def read_translation(data: bytes) -> Asked | Refusal:
    """Read a form with a recording that is to be written down in English."""
    found = _read_form(data, Sound)
    if isinstance(found, Refusal):
        return found
    found[0].needs = TRANSLATIONS
    return found[0]


def transcription_of(sound: bytes, fields: Transcription) -> Asked:
    """Ask for the transcript of a WAV file, as a stream."""
    fields.stream = True
    file = Part(name="file", data=sound, filename="audio.wav", media="audio/wav")
    asked = _asked(Recording(fields, file), ())
    asked.streamed, asked.needs = True, TRANSCRIPTIONS | _STREAM
    return asked


def encode_recording(asked: Asked, model: str, _cap: int) -> bytes:
    """Write the form for an engine: of text formats it is asked for what they are made from."""
    recording: Recording = asked.body  # pyright: ignore[reportAssignmentType]  these readers make no other
    fields = recording.fields
    wanted = fields.response_format or "json"
    said = {"model": model, "response_format": _SOURCES.get(wanted, wanted)}
    if fields.prompt is not None:
        said["prompt"] = fields.prompt
    if fields.temperature is not None:
        said["temperature"] = repr(fields.temperature)
    parts = [Part(name=name, data=value.encode()) for name, value in said.items()]
    if isinstance(fields, Transcription):
        parts += _more(fields)
    return form.build([*parts, recording.file])


_SOURCES: Final = {"text": "json", "srt": "verbose_json", "vtt": "verbose_json"}


def _more(fields: Transcription) -> Sequence[Part]:
    parts: list[Part] = []
    if fields.language is not None:
        parts.append(Part(name="language", data=fields.language.encode()))
    if fields.stream:
        parts.append(Part(name="stream", data=b"true"))
    name = "timestamp_granularities[]"
    given = fields.timestamp_granularities or ()
    return [*parts, *(Part(name=name, data=each.encode()) for each in given)]


def _read_form(data: bytes, kind: type[Sound]) -> tuple[Asked, Recording] | Refusal:
    try:
        given, file = _fields(form.parse(data))
        known = {field.name for field in msgspec.structs.fields(kind)}
        ignored = [name for name in given if name not in known]
        fields = msgspec.convert(given, kind, strict=False)
        recording = Recording(fields, _cleaned(file))
    except LittoralError as error:
        return refuse(type(error), error.message, param=error.param)
    except msgspec.ValidationError as error:
        return refusal_of(error)
    return _asked(recording, ignored), recording


def _asked(recording: Recording, ignored: Sequence[str]) -> Asked:
    fields, file = recording.fields, recording.file
    media = _MEDIA.get(fields.response_format or "", b"")
    asked = Asked(fields.model, recording, ignored, 0, wants_usage=True, media=media)
    asked.longest = 1  # engines cut sound to what they can take
    size, known = len(file.data), seconds_of(file.data)
    usual = size // BYTES_A_TOKEN + 1
    asked.weight = usual if known is None else math.ceil(known * TOKENS_A_SECOND)
    longest = size / LEAST_BYTES_A_SECOND if known is None else known
    prompt = len((fields.prompt or "").encode("utf-8", "replace"))
    asked.heaviest = math.ceil(longest * MOST_TOKENS_A_SECOND) + prompt
    asked.cap = math.ceil(longest * TOKENS_A_SECOND) + MOST_OF_A_WINDOW
    return asked


def seconds_of(sound: bytes) -> float | None:
    """Return the most seconds that a WAV file of plain samples has; None of any other file."""
    if sound[:4] != b"RIFF" or sound[8:12] != b"WAVE":
        return None
    at = sound.find(b"fmt ", 12, 4096)
    if at < 0 or len(sound) < at + 24:
        return None
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", sound, at + 8)
    a_second = rate * channels * (bits // 8)
    return len(sound) / a_second if kind in _PLAIN and a_second else None


def _fields(parts: Sequence[Part]) -> tuple[dict[str, str | list[str]], Part]:
    """Values by name, of names that end in ``[]`` a list; and the file."""
    given: dict[str, str | list[str]] = {}
    file: Part | None = None
    for part in parts:
        name = part.name.removesuffix("[]")
        if part.name == "file" and file is None:
            file = part
        elif part.name == "file" or (name in given and name == part.name):
            raise InvalidInput(f"the form has two fields {part.name!r}", param=part.name)
        elif name == part.name:
            given[name] = part.text
        else:
            known = given.setdefault(name, [])
            if isinstance(known, str):
                raise InvalidInput(f"the form has two fields {name!r}", param=name)
            known.append(part.text)
    if file is None or file.filename is None:
        raise InvalidInput("the form needs the sound as a file in its field 'file'", param="file")
    if not file.data:
        raise InvalidInput("the file is empty", param="file")
    return given, file


def _cleaned(file: Part) -> Part:
    """The file under a name of ours; its ending tells engines what it is."""
    if form.SEPARATOR in file.data:
        raise InvalidInput("the file holds what separates the parts of forms", param="file")
    found = _EXTENSION.search(file.filename or "")
    name = f"audio.{found[1].lower()}" if found else "audio"
    return Part(name="file", data=file.data, filename=name, media=file.media)
