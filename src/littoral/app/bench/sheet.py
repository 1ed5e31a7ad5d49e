"""What every page of ours is made of: one file, no network, no script, light and dark."""

from html import escape
from pathlib import Path

from littoral.app.bench.plots import Panel
from littoral.app.bench.view import Say, duration
from littoral.planner.metrics import Estimate

STYLE = Path(__file__).with_name("report.css")


def document(title: str, body: str, say: Say) -> str:
    """A whole page."""
    return (
        f'<!doctype html>\n<html lang="{say("bench.html.lang")}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE.read_text('utf-8')}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def footer(version: str, say: Say) -> str:
    """What made the page."""
    return f"<footer>{escape(say('bench.html.footer', version=version))}</footer>"


def card(name: str, value: str, *more: str) -> str:
    """A figure that is seen first, and what is said below it."""
    small = "".join(f"<small>{escape(text)}</small>" for text in more if text.strip())
    return f"<div><h2>{escape(name)}</h2><b>{escape(value)}</b>{small}</div>"


def drawn(panel: Panel) -> str:
    """A plot with its heading and its legend."""
    legend = "".join(
        f'<span><i class="{kind}"></i>{escape(name)}</span>' for kind, name in panel.legend
    )
    return (
        f"<figure><figcaption><h2>{escape(panel.title)}</h2><p>{legend}</p></figcaption>"
        f"{panel.svg}<p>{escape(panel.note)}</p></figure>"
    )


def value_of(found: Estimate | None) -> str:
    """A latency, or a dash."""
    return "–" if found is None else duration(found.value)


def margin_of(found: Estimate | None) -> str:
    """Half of its interval, the longer half; empty where there is none."""
    if found is None:
        return ""
    return f"±{duration(max(found.high - found.value, found.value - found.low))}"
