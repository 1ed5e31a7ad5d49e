"""An exception from a rule says why it is one."""

import io
import re
import tokenize

EXCEPTION = re.compile(
    r"#\s*(?:noqa(?P<codes>:\s*[A-Z]+[0-9]+(?:\s*,\s*[A-Z]+[0-9]+)*)?"
    r"|pyright:\s*ignore(?P<rules>\[[\w,\s]+\])?"
    r"|pragma:\s*no\s*(?:cover|branch)|type:\s*ignore(?:\[[\w,\s-]+\])?)"
    r"(?P<reason>[^#]*)"
)
WORD = re.compile(r"[^\W\d_]{2,}")


def exceptions(source):
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT:
            for match in EXCEPTION.finditer(token.string):
                yield f"{source.name}:{token.start[0]}: {token.string}", match


def test_every_exception_gives_its_reason(sources):
    silent = [
        where
        for source in sources
        for where, match in exceptions(source)
        if WORD.search(match["reason"]) is None
    ]
    assert silent == []


def test_every_exception_names_its_rule(sources):
    broad = [
        where
        for source in sources
        for where, match in exceptions(source)
        if not (match["codes"] or match["rules"] or "pragma" in match[0])
    ]
    assert broad == []
