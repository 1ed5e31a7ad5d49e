"""Forms: what was written is read, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.errors import InvalidInput
from littoral.trust.form import MOST_HEADERS, MOST_PARTS, SEPARATOR, Part, build, parse

names = st.text(
    st.characters(exclude_characters='\\"\r\n\x00%', exclude_categories=["Cs"]), min_size=1
).filter(lambda text: text == text.strip())
parts = st.builds(
    Part,
    name=names,
    data=st.binary(max_size=200).filter(lambda data: SEPARATOR not in data),
    filename=st.none() | names,
    media=st.sampled_from(["", "audio/wav", "application/octet-stream"]),
)


@given(st.lists(parts, min_size=1, max_size=5))
def test_what_was_written_is_read(given_parts):
    assert parse(build(given_parts)) == tuple(given_parts)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    for body in (data, b"--x\r\n" + data, b"--x\r\n" + data + b"\r\n--x--"):
        try:
            found = parse(body)
        except InvalidInput:
            continue
        assert found


@given(st.lists(parts, min_size=1, max_size=3), st.data())
def test_a_form_that_was_cut_or_bent_never_breaks_the_reader(given_parts, data):
    whole = build(given_parts)
    at = data.draw(st.integers(0, len(whole)))
    for bent in (whole[:at], whole[at:], whole[:at] + b"\r\n" + whole[at:]):
        try:
            found = parse(bent)
        except InvalidInput:
            continue
        assert found


def body(*pieces: bytes, boundary: bytes = b"x", end: bytes = b"--\r\n") -> bytes:
    mark = b"--" + boundary
    return b"".join(mark + b"\r\n" + piece + b"\r\n" for piece in pieces) + mark + end


FIELD = b'Content-Disposition: form-data; name="a"\r\n\r\nb'


def test_a_field_and_a_file_are_told_apart():
    file = (
        b'content-disposition: form-data; name="file"; filename="\xe4\xba\x91.wav"\r\n'
        b"content-type: Audio/WAV; rate=8000\r\n\r\n\x00\r\n--y"
    )
    field, found = parse(body(FIELD, file))
    assert (field.name, field.text, field.filename) == ("a", "b", None)
    assert found == Part(name="file", data=b"\x00\r\n--y", filename="云.wav", media="audio/wav")
    with pytest.raises(InvalidInput, match="not a file"):
        _ = found.text


def test_a_value_is_utf_8():
    (field,) = parse(body(FIELD + b"\xff"))
    with pytest.raises(InvalidInput, match="not UTF-8"):
        _ = field.text


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "begin with its boundary"),
        (b'{"model": "m"}', "begin with its boundary"),
        (b"preamble\r\n" + body(FIELD), "begin with its boundary"),
        (body(FIELD, boundary=b"x" * 71), "begin with its boundary"),
        (body(FIELD)[:-6], "does not end"),
        (body(FIELD, end=b"--\r\nepilogue"), "something follows"),
        (body(FIELD, end=b" \r\n"), "something follows"),
        (body(FIELD + b"\r\n--xy"), "something follows"),
        (b"--x\r\n" + FIELD + b"\r\n--x", "something follows"),
        (body(b"no headers"), "do not end"),
        (body(b"X: " + b"y" * MOST_HEADERS + b"\r\n\r\n"), "do not end"),
        (body(b"no colon\r\n\r\n"), "header that is none"),
        (body(b"X: \x00\r\n\r\n"), "header that is none"),
        (body(b"X: \xff\r\n\r\n"), "not UTF-8"),
        (body(b"X: 1\r\nx: 2\r\n\r\n"), "two headers"),
        (body(b"X: 1\r\n\r\n"), "no content-disposition"),
        (body(b"Content-Disposition: attachment\r\n\r\n"), "no content-disposition"),
        (body(b"Content-Disposition: form-data\r\n\r\n"), "no name"),
        (body(b'Content-Disposition: form-data; name=""\r\n\r\n'), "no name"),
        (body(b"Content-Disposition: form-data; name\r\n\r\n"), "cannot be read"),
        (body(b"Content-Disposition: form-data; name=a; name=b\r\n\r\n"), "cannot be read"),
        (body(b"Content-Transfer-Encoding: base64\r\n" + FIELD), "transfer-encoding"),
        (body(*[FIELD] * (MOST_PARTS + 1)), "more than"),
        (body(*[FIELD] * (MOST_PARTS + 2)), "more than"),
    ],
)
def test_what_breaks_a_rule_is_refused(data, why):
    with pytest.raises(InvalidInput, match=why):
        parse(data)


def test_as_many_fields_as_allowed_are_read():
    assert len(parse(body(*[FIELD] * MOST_PARTS))) == MOST_PARTS


def test_an_unquoted_name_is_read():
    assert parse(body(b"Content-Disposition: form-data; name=a\r\n\r\nb"))[0].name == "a"


def test_an_odd_media_type_is_dropped():
    assert parse(body(b"Content-Type: a b\r\n" + FIELD))[0].media == ""


def test_a_part_with_the_separator_is_not_written():
    with pytest.raises(InvalidInput, match="separates"):
        build([Part(name="file", data=b"x" + SEPARATOR)])


def test_quotes_and_line_ends_in_names_stay_inside():
    whole = build([Part(name="a", data=b"", filename='x"\r\ny')])
    assert parse(whole)[0].filename == 'x"\r\ny'
