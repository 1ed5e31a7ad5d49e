from av.audio.frame import AudioFrame

class AudioResampler:
    def __init__(self, format: str, layout: str, rate: int) -> None: ...  # noqa: A002  the library's name
    def resample(self, frame: AudioFrame | None) -> list[AudioFrame]: ...
