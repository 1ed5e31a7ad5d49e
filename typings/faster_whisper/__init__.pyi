# What Littoral uses of faster-whisper; it is not installed where types are checked.
from collections.abc import Iterable

import numpy as np
from faster_whisper.transcribe import Segment, TranscriptionInfo
from numpy.typing import NDArray
from tokenizers import Tokenizer

class _Loaded:
    is_multilingual: bool

class WhisperModel:
    model: _Loaded
    hf_tokenizer: Tokenizer
    supported_languages: list[str]
    def __init__(
        self,
        model_size_or_path: str,
        *,
        device: str,
        compute_type: str,
        cpu_threads: int,
        num_workers: int,
        local_files_only: bool,
    ) -> None: ...
    def transcribe(
        self,
        audio: NDArray[np.float32],
        *,
        language: str | None,
        task: str,
        beam_size: int,
        initial_prompt: str | None,
        word_timestamps: bool,
        vad_filter: bool,
        temperature: float | list[float] = ...,
    ) -> tuple[Iterable[Segment], TranscriptionInfo]: ...
