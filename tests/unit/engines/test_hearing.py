"""A form with sound is read strictly, and what is asked of it is checked."""

import pytest

from littoral.engines.child.hearing import read_form
from littoral.engines.child.host import Fault
from littoral.trust.form import Part, build

SOUND = Part(name="file", data=b"sound", filename="a.wav")


def form(*parts: Part, **fields: str) -> bytes:
    return build([*parts, *(Part(name=name, data=text.encode()) for name, text in fields.items())])


def test_a_file_alone_is_enough():
    ask = read_form(form(SOUND, model="m"), task="transcribe")
    assert ask.file == b"sound"
    assert (ask.language, ask.prompt, ask.temperature) == (None, None, 0)
    assert (ask.verbose, ask.words, ask.streamed) == (False, False, False)


def test_every_field_is_read():
    kinds = [Part(name="timestamp_granularities[]", data=kind) for kind in (b"word", b"segment")]
    fields = {"language": "en", "prompt": "names", "temperature": "0.5"}
    ask = read_form(
        form(SOUND, *kinds, response_format="verbose_json", **fields), task="transcribe"
    )
    assert (ask.language, ask.prompt, ask.temperature) == ("en", "names", 0.5)
    assert ask.verbose
    assert ask.words
    assert ask.segments
    assert read_form(form(SOUND, stream="true"), task="transcribe").streamed


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{}", "multipart"),
        (form(model="m"), "one file"),
        (form(SOUND, SOUND), "one file"),
        (form(SOUND, wings="2"), "'wings' is no field; known: file"),
        (form(SOUND, response_format="srt"), "json, verbose_json; not 'srt'"),
        (form(SOUND, stream="yes"), "false, true"),
        (form(SOUND, temperature="warm"), "from 0 to 1"),
        (form(SOUND, temperature="nan"), "from 0 to 1"),
        (form(SOUND, timestamp_granularities="year"), "word or segment"),
        (form(SOUND, stream="true", response_format="verbose_json"), "streamed"),
    ],
)
def test_a_wrong_form_is_refused_with_what_is_allowed(body, why):
    with pytest.raises(Fault, match=why):
        read_form(body, task="transcribe")


def test_translations_are_not_streamed():
    with pytest.raises(Fault, match="streamed"):
        read_form(form(SOUND, stream="true"), task="translate")
