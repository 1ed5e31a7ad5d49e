"""Realtime: what a client of the realtime API says while it transcribes, and what it is told.

Sound comes in pieces and is kept until a turn ends, by the client's word or by the quiet after it;
each turn is then one transcription. State in, events and turns out: no socket is here.
"""

import binascii
import struct
from collections.abc import Sequence
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias, cast
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Struct

from littoral.domain.errors import InvalidInput
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.turns import Edge, Hearing, Turns

PATH: Final = b"/v1/realtime"
MOST_SOUND: Final = 16 * 1024 * 1024
"""Most bytes of one turn: a little under six minutes at 24 kHz."""
LEAST_MS: Final = 100
"""A turn that a client ends itself is at least so long."""
_ENCODE = msgspec.json.Encoder().encode
_Id: TypeAlias = Annotated[str, Meta(max_length=512)]


class Format(Struct, forbid_unknown_fields=True):
    """16-bit samples, little-endian, one channel."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[8000, 16000, 24000, 48000] = 24000


class Transcription(Struct, forbid_unknown_fields=True):
    """What writes it down."""

    model: Annotated[str, Meta(max_length=256)] | None = None
    language: Annotated[str, Meta(pattern=r"^[A-Za-z-]{2,32}$")] | None = None
    prompt: Annotated[str, Meta(max_length=65_536)] | None = None


class Detection(Struct, forbid_unknown_fields=True):
    """How turns end: by quiet. ``prefix_padding_ms`` is kept from before the first loud sound."""

    type: Literal["server_vad"] = "server_vad"
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Meta(ge=0, le=5000)] = 300
    silence_duration_ms: Annotated[int, Meta(ge=100, le=30_000)] = 500


class Input(Struct, forbid_unknown_fields=True):
    """The sound that comes in."""

    format: Format = msgspec.field(default_factory=Format)
    transcription: Transcription = msgspec.field(default_factory=Transcription)
    turn_detection: Detection | None = msgspec.field(default_factory=Detection)
    noise_reduction: None = None


class Audio(Struct, forbid_unknown_fields=True):
    """Only sound that comes in."""

    input: Input = msgspec.field(default_factory=Input)


class Settings(Struct, forbid_unknown_fields=True):
    """A session's settings; what an update leaves out takes its default."""

    type: Literal["transcription"] = "transcription"
    audio: Audio = msgspec.field(default_factory=Audio)
    include: Annotated[list[str], Meta(max_length=16)] | None = None


class _Update(Struct, tag="session.update", tag_field="type"):
    session: Settings
    event_id: _Id | None = None


class _Append(Struct, tag="input_audio_buffer.append", tag_field="type"):
    audio: str
    event_id: _Id | None = None


class _Commit(Struct, tag="input_audio_buffer.commit", tag_field="type"):
    event_id: _Id | None = None


class _Clear(Struct, tag="input_audio_buffer.clear", tag_field="type"):
    event_id: _Id | None = None


_Said: TypeAlias = _Update | _Append | _Commit | _Clear
_DECODER: msgspec.json.Decoder[_Said] = msgspec.json.Decoder(_Said)


HEARD: Final = tuple(
    cast("str", each.__struct_config__.tag) for each in (_Update, _Append, _Commit, _Clear)
)
"""The types of what a client may say."""
_TRANSCRIPT: Final = "conversation.item.input_audio_transcription"
TOLD: Final = (
    "session.created",
    "session.updated",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "input_audio_buffer.cleared",
    f"{_TRANSCRIPT}.delta",
    f"{_TRANSCRIPT}.completed",
    f"{_TRANSCRIPT}.failed",
    "error",
)
"""The types of what it is told."""


class Turn(NamedTuple):
    """One turn to transcribe: its item, its sound as a WAV file, and by what."""

    item: str
    sound: bytes
    by: Transcription


Heard: TypeAlias = bytes | Turn
"""An event to send, or a turn to transcribe."""


class Session:
    """One client's session.

    Args:
        name: Its id; items and events are named after it.
        model: Transcribes where an update names no other.
    """

    def __init__(self, name: str, model: str | None) -> None:
        self._name = name
        self._model = model
        self._settings = Settings()
        self._sound = bytearray()
        self._from = 0
        self._turns = self._ears()
        self._items = 0
        self._events = 0
        self._last: str | None = None

    @property
    def waiting(self) -> int:
        """Bytes of sound that are in no turn yet."""
        return len(self._sound)

    def opened(self) -> bytes:
        """The first event."""
        return self._event("session.created", session=self._shown())

    def hear(self, text: bytes) -> Sequence[Heard]:
        """Take one message of the client."""
        try:
            said = _DECODER.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return [self.error("invalid_request", f"cannot read the event: {error}")]
        match said:
            case _Update():
                return self._update(said)
            case _Append():
                return self._append(said)
            case _Clear():
                self._drop(len(self._sound))
                self._turns = self._ears()
                return [self._event("input_audio_buffer.cleared")]
            case _Commit():
                return self._commit(said)

    def delta(self, item: str, text: str) -> bytes:
        """Some more of a transcript."""
        return self._told("delta", item, delta=text)

    def completed(self, item: str, text: str, usage: object) -> bytes:
        """A whole transcript, and what it used."""
        return self._told("completed", item, transcript=text, usage=usage)

    def failed(self, item: str, refusal: Refusal) -> bytes:
        """A turn that could not be transcribed, and why."""
        return self._told("failed", item, error=_fault(refusal.code, refusal.message, None))

    def error(self, code: str, message: str, event: str | None = None) -> bytes:
        """Something that the client did wrong; the session goes on."""
        return self._event("error", error=_fault(code, message, event))

    def _update(self, said: _Update) -> Sequence[Heard]:
        if self._sound and said.session.audio.input.format != self._input.format:
            return [
                self.error(
                    "invalid_request",
                    "the format cannot change while sound waits: commit or clear it first",
                    said.event_id,
                )
            ]
        self._settings = said.session
        self._turns = self._ears()
        return [self._event("session.updated", session=self._shown())]

    def _append(self, said: _Append) -> Sequence[Heard]:
        try:
            sound = binascii.a2b_base64(said.audio, strict_mode=True)
        except (binascii.Error, ValueError):
            return [self.error("invalid_request", "audio must be base64", said.event_id)]
        if len(sound) % 2:
            text = "audio must be whole samples of 16 bits"
            return [self.error("invalid_request", text, said.event_id)]
        if len(self._sound) + len(sound) > MOST_SOUND:
            text = f"a turn may have {MOST_SOUND} bytes of sound: commit or clear what waits"
            return [self.error("too_large", text, said.event_id)]
        self._sound += sound
        if self._turns is None:
            return ()
        edges = self._turns.take(sound)
        told = [each for edge in edges for each in self._edge(edge)]
        if not self._turns.speaking:
            self._drop(len(self._sound) - self._bytes(self._padding))
        return told

    def _edge(self, edge: Edge) -> Sequence[Heard]:
        what, at = edge
        if what == "began":
            self._drop(at - self._from - self._bytes(self._padding))
            item = self._item(self._items + 1)
            begun = self._ms(self._from)
            return [
                self._event("input_audio_buffer.speech_started", audio_start_ms=begun, item_id=item)
            ]
        stopped = self._event(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=self._ms(at),
            item_id=self._item(self._items + 1),
        )
        return [stopped, *self._turn(at - self._from)]

    def _commit(self, said: _Commit) -> Sequence[Heard]:
        if len(self._sound) < self._bytes(LEAST_MS):
            text = f"there is less than {LEAST_MS} ms of sound to commit"
            return [self.error("invalid_request", text, said.event_id)]
        told = self._turn(len(self._sound))
        self._turns = self._ears()
        return told

    def _turn(self, size: int) -> Sequence[Heard]:
        """Make a turn of the first bytes of what waits."""
        sound = bytes(self._sound[:size])
        self._drop(size)
        self._items += 1
        item, before = self._item(self._items), self._last
        self._last = item
        by = self._input.transcription
        by = Transcription(by.model or self._model, by.language, by.prompt)
        committed = self._event(
            "input_audio_buffer.committed", item_id=item, previous_item_id=before
        )
        return [committed, Turn(item, wav(sound, self._input.format.rate), by)]

    def _drop(self, size: int) -> None:
        """Forget the first bytes of what waits."""
        if size > 0:
            del self._sound[:size]
            self._from += size

    def _ears(self) -> Turns | None:
        """What hears turns from now on; sound from before is not heard again."""
        wanted = self._input.turn_detection
        if wanted is None:
            return None
        self._from = -len(self._sound)
        hearing = Hearing(wanted.threshold, wanted.silence_duration_ms)
        return Turns(self._input.format.rate, hearing)

    @property
    def _input(self) -> Input:
        return self._settings.audio.input

    @property
    def _padding(self) -> int:
        wanted = self._input.turn_detection
        return 0 if wanted is None else wanted.prefix_padding_ms

    def _bytes(self, ms: int) -> int:
        return self._input.format.rate * ms // 1000 * 2

    def _ms(self, at: int) -> int:
        return max(0, at) * 500 // self._input.format.rate

    def _item(self, number: int) -> str:
        return f"item_{self._name}{number:06x}"

    def _shown(self) -> dict[str, object]:
        settings = cast("dict[str, object]", msgspec.to_builtins(self._settings))
        return {"id": f"sess_{self._name}", "object": "realtime.transcription_session"} | settings

    def _told(self, what: str, item: str, **fields: object) -> bytes:
        return self._event(f"{_TRANSCRIPT}.{what}", item_id=item, content_index=0, **fields)

    def _event(self, name: str, **fields: object) -> bytes:
        self._events += 1
        number = f"event_{self._name}{self._events:06x}"
        return _ENCODE({"type": name, "event_id": number, **fields})


def opened(url: bytes, name: bytes) -> Session | Refusal:
    """Begin the session that a target asks for.

    Args:
        url: The target; its query may name the model and the intent.
        name: Of the request that opens it; the session is named after it.
    """
    query = dict(parse_qsl(url.partition(b"?")[2].decode("ascii", "replace")))
    if query.get("intent", "transcription") != "transcription":
        message = "intent must be transcription: nothing else is served in realtime"
        return refuse(InvalidInput, message, param="intent", close=True)
    return Session(name.decode().removeprefix("req_"), query.get("model"))


def wav(sound: bytes, rate: int) -> bytes:
    """Put 16-bit mono samples into a WAV file."""
    head = struct.pack(
        "<4sI8sIHHIIHH", b"RIFF", 36 + len(sound), b"WAVEfmt ", 16, 1, 1, rate, rate * 2, 2, 16
    )
    return b"%b%b%b%b" % (head, b"data", struct.pack("<I", len(sound)), sound)


def _fault(code: str, message: str, event: str | None) -> dict[str, str | None]:
    kind = "invalid_request_error" if code in {"invalid_request", "too_large"} else "server_error"
    return {"type": kind, "code": code, "message": message, "param": None, "event_id": event}
