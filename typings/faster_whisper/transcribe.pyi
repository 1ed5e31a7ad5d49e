class Word:
    word: str
    start: float
    end: float

class Segment:
    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: list[Word] | None
    temperature: float | None

class TranscriptionInfo:
    language: str
    duration: float
