"""The whisper engine's process: speech to text, whole or as it is heard."""

import sys
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias, final

import anyio
import anyio.to_thread
import msgspec
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment, TranscriptionInfo, Word

from littoral.engines.child.hearing import Ask, Task, read_form
from littoral.engines.child.host import Fault, Host, Routes, error_body, host, own_output
from littoral.engines.child.http import Call, Responder
from littoral.engines.child.lifeline import tie
from littoral.engines.child.sounding import samples_of

Object: TypeAlias = dict[str, object]

TOKENS_A_SECOND = 50
"""Positions of Whisper's encoder for a second of sound: what it is accounted by."""
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Tried in turn where none is asked for, until what is heard is likely enough."""


class Start(msgspec.Struct, kw_only=True):
    """What the parent sends on standard input."""

    parent: int
    key: str
    model: str
    files: dict[str, str]
    alias: str
    threads: int
    compute: str = "int8"
    beam: int = 5
    seconds_max: int = 3600
    vad: bool = False


def main(line: bytes) -> None:
    """Load the model and serve until killed.

    Args:
        line: The parent's one line, a ``Start`` as JSON.
    """
    start = msgspec.json.decode(line, type=Start)
    tie(start.parent)
    ready = own_output()
    try:
        model = load(start)
    except (RuntimeError, ValueError, OSError) as error:
        sys.stderr.write(f"the model cannot be loaded: {error}\n")
        sys.exit(1)
    multilingual = model.model.is_multilingual
    desk = Desk(model, start)
    server = Host(alias=start.alias, key=start.key, routes=desk.routes())
    host(server, ready=ready, report={"multilingual": multilingual})


def load(start: Start) -> WhisperModel:
    """Load a model from files that lie under names of their own, gathered for the loading only."""
    with TemporaryDirectory(prefix="littoral-whisper-") as folder:
        for name, path in {**start.files, "model.bin": start.model}.items():
            Path(folder, name).symlink_to(path)
        return WhisperModel(
            folder,
            device="cpu",
            compute_type=start.compute,
            cpu_threads=start.threads,
            num_workers=1,
            local_files_only=True,
        )


@final
class Desk:
    """Answers requests, one stretch of sound at a time.

    Args:
        model: Hears.
        start: How it is to hear.
    """

    def __init__(self, model: WhisperModel, start: Start) -> None:
        self._model = model
        self._start = start
        self._lane = anyio.CapacityLimiter(1)

    def routes(self) -> Routes:
        """What it answers."""
        routes = {("POST", "/v1/audio/transcriptions"): self._transcribe}
        if self._model.model.is_multilingual:
            routes["POST", "/v1/audio/translations"] = self._translate
        return routes

    async def _transcribe(self, call: Call, responder: Responder) -> None:
        await self._hear(self._asked(call, task="transcribe"), responder)

    async def _translate(self, call: Call, responder: Responder) -> None:
        await self._hear(self._asked(call, task="translate"), responder)

    def _asked(self, call: Call, *, task: Task) -> Ask:
        ask = read_form(bytes(call.body), task=task)
        known = self._model.supported_languages
        if ask.language is not None and ask.language not in known:
            shown = ", ".join(known[:8]) + (" ..." if len(known) > 8 else "")
            text = f"this model does not hear {ask.language!r}; it hears {shown}"
            raise Fault(text, param="language")
        return ask

    async def _hear(self, ask: Ask, responder: Responder) -> None:
        segments, info = await anyio.to_thread.run_sync(self._begun, ask, limiter=self._lane)
        heard: list[Segment] = []
        try:
            while (segment := await self._next(segments)) is not None:
                if ask.streamed:
                    text = segment.text if heard else segment.text.lstrip()
                    await responder.event(msgspec.json.encode(_delta(text)))
                heard.append(segment)
        except RuntimeError as error:
            await self._failed(ask, responder, error)
            return
        told = self._told(ask, heard, info)
        if not ask.streamed:
            await responder.send(200, msgspec.json.encode(told))
            return
        await responder.event(msgspec.json.encode({"type": "transcript.text.done", **told}))
        await responder.event(b"[DONE]")
        await responder.end()

    async def _failed(self, ask: Ask, responder: Responder, error: RuntimeError) -> None:
        fault = Fault(f"the engine failed: {error}", code="upstream", status=500)
        if not ask.streamed:
            raise fault
        await responder.event(error_body(fault))
        responder.cut()

    async def _next(self, segments: Iterator[Segment]) -> Segment | None:
        return await anyio.to_thread.run_sync(lambda: next(segments, None), limiter=self._lane)

    def _begun(self, ask: Ask) -> tuple[Iterator[Segment], TranscriptionInfo]:
        sound = samples_of(ask.file, seconds_max=self._start.seconds_max)
        given = ask.temperature
        segments, info = self._model.transcribe(
            sound,
            language=ask.language,
            task=ask.task,
            beam_size=self._start.beam,
            initial_prompt=ask.prompt,
            word_timestamps=ask.words,
            vad_filter=self._start.vad,
            temperature=[given] if given else list(TEMPERATURES),
        )
        return iter(segments), info

    def _told(self, ask: Ask, heard: Sequence[Segment], info: TranscriptionInfo) -> Object:
        told: Object = {"text": "".join(each.text for each in heard).strip()}
        usage = self._usage(ask, heard, info)
        if not ask.verbose:
            return {**told, "usage": {"type": "tokens", **usage}}
        told |= {"task": ask.task, "language": info.language, "duration": round(info.duration, 3)}
        if ask.segments:
            told["segments"] = [_segment(each) for each in heard]
        if ask.words:
            told["words"] = [_word(word) for each in heard for word in each.words or ()]
        return {**told, "usage": {"type": "duration", **usage}}

    def _usage(self, ask: Ask, heard: Sequence[Segment], info: TranscriptionInfo) -> Object:
        audio = ceil(info.duration * TOKENS_A_SECOND)
        text = len(self._model.hf_tokenizer.encode(ask.prompt).ids) if ask.prompt else 0
        out = sum(len(each.tokens) for each in heard)
        return {
            "seconds": round(info.duration, 3),
            "input_tokens": audio + text,
            "input_token_details": {"audio_tokens": audio, "text_tokens": text},
            "output_tokens": out,
            "total_tokens": audio + text + out,
        }


def _delta(text: str) -> Object:
    return {"type": "transcript.text.delta", "delta": text}


def _segment(segment: Segment) -> Object:
    return {
        "id": segment.id,
        "seek": segment.seek,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": segment.tokens,
        "temperature": segment.temperature or 0.0,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }


def _word(word: Word) -> Object:
    return {"word": word.word.strip(), "start": round(word.start, 3), "end": round(word.end, 3)}
