#!/usr/bin/env python3
"""Black-box correctness of a gateway whose engine is this folder's mock.

    check.py --url URL --key KEY [--ledger COMMAND]

COMMAND prints {"requests":, "prompt_tokens":, "completion_tokens":} for the key; the difference
over the run must equal what the client received. Start the mock first: build/upstream 19001
"""

import argparse
import json
import shlex
import socket
import subprocess
import time
import urllib.parse
import urllib.request

p = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
for flag, default in (
    ("--url", None),
    ("--key", "sk-bench-000042"),
    ("--model", "bench-model"),
    ("--mock", "127.0.0.1:19001"),
    ("--ledger", ""),
):
    p.add_argument(flag, default=default, required=default is None)
args = p.parse_args()
url = urllib.parse.urlsplit(args.url)
AUTH = f"Authorization: Bearer {args.key}"
PLAIN = f'{{"model":"{args.model}","messages":[{{"role":"user","content":"hi"}}]}}'
STREAM = PLAIN[:-1] + ',"stream":true,"stream_options":{"include_usage":true}}'
CHUNKED = "Transfer-Encoding: chunked"
PIECE = f"{len(PLAIN):x}\r\n{PLAIN}\r\n0\r\n"
got: dict[str, int] = {}
failed: list[str] = []


def mock(query: str = "") -> dict:
    """Change the mock's settings; what it has seen."""
    return json.load(urllib.request.urlopen(f"http://{args.mock}/ctl?{query}"))


def post(body: str = PLAIN, *headers: str, **other: str) -> bytes:
    """A request; ``auth``, ``length``, ``path``, ``version`` and ``host`` replace its lines."""
    length = other.get("length") or f"Content-Length: {len(body.encode())}"
    line = f"POST {other.get('path') or url.path} HTTP/{other.get('version', '1.1')}"
    head = (line, other.get("host", "Host: x"), other.get("auth", AUTH), length, *headers)
    return "\r\n".join(line for line in head if line).encode() + b"\r\n\r\n" + body.encode()


def talk(
    raw: bytes, piece: int = 0, *, until: bytes = b"", seconds: float = 2
) -> tuple[bytes, bool]:
    """Send, then read until the peer closes (True), ``until`` was seen, or the line is silent."""
    data = b""
    with socket.create_connection((url.hostname, url.port or 80), seconds) as s:
        try:
            for i in range(0, len(raw), piece or len(raw)):
                s.sendall(raw[i : i + (piece or len(raw))])
                time.sleep(0.001 if piece else 0)
            while part := s.recv(65536):
                data += part
                if until and until in data:
                    return data, False
        except TimeoutError:
            return data, False
        except ConnectionError:
            pass
    return data, True


def expect(name: str, detail: object = "", *, good: bool) -> None:
    """Print one verdict."""
    if not good:
        failed.append(name)
    print(f"{'ok  ' if good else 'FAIL'} {name}" + ("" if good else f"   {str(detail)[:300]}"))


def count(times: int, tokens: int = 1) -> None:
    """Expect this much in the ledger."""
    counts = (("requests", 1), ("prompt_tokens", 57 * tokens), ("completion_tokens", 64 * tokens))
    for field, n in counts:
        got[field] = got.get(field, 0) + n * times


def answered(name: str, raw: bytes, times: int = 1, *, piece: int = 0) -> None:
    """Must get answers."""
    data, _ = talk(raw, piece, seconds=0.5)
    good = data.count(b"HTTP/1.1 200") == times and data.count(b'"total_tokens":121') == times
    expect(name, data, good=good)
    count(times)


def refused(name: str, raw: bytes, status: str = "", *, closes: bool = False) -> None:
    """Must get an error (or a closed connection), and the engine must see nothing."""
    before = mock()["requests"]
    data, closed = talk(raw, seconds=1)
    good = mock()["requests"] == before and b" 200 " not in data and (closed or not closes)
    right = not status or data.startswith(f"HTTP/1.1 {status}".encode())
    expect(f"refused: {name}", (closed, data), good=good and right)


def read_ledger() -> dict:
    """What the ledger says now."""
    return json.loads(subprocess.check_output(shlex.split(args.ledger))) if args.ledger else {}


mock("pace=0&cut=0&chunks=64")
start = read_ledger()
# what must work
answered("plain", post())
answered("97-byte pieces", post(PLAIN + " " * 4000), piece=97)
answered(
    "names in capitals",
    post().replace(b"Authorization", b"AUTHORIZATION").replace(b"Host", b"HOST"),
)
answered(
    "nulls and unknown fields",
    post(PLAIN[:-1] + ',"max_tokens":null,"stream":null,"stop":null,"x_unknown":{"a":[1]}}'),
)
answered(
    "a body that names another engine still goes to ours",
    post(PLAIN[:-1] + ',"api_base":"http://127.0.0.1:9/"}'),
)
answered("two pipelined requests in one segment", post() * 2, times=2)
answered("chunked request", post(PIECE + "\r\n", length=CHUNKED))
answered(
    "a trailer is not a header", post(PIECE + "Authorization: Bearer wrong\r\n\r\n", length=CHUNKED)
)
answered("11 KB of three-byte characters", post(PLAIN.replace("hi", "\u4e2d\u6587" * 1800)))
data, _ = talk(
    post("", "Expect: 100-continue", length=f"Content-Length: {len(PLAIN)}"), seconds=0.5
)
expect("Expect: 100-continue is answered", data, good=data.startswith(b"HTTP/1.1 100"))
data, _ = talk(post(STREAM), until=b"[DONE]")
full = data.count(b"data: ") == 66 and b'"total_tokens":121' in data
expect("stream: 64 events, usage, [DONE]", data[-300:], good=full)
count(1)
# what must be refused before the engine sees it
refused("no key", post(auth=""), "401")
refused("unknown key", post(auth="Authorization: Bearer nope"), "401")
refused("two keys", post(PLAIN, AUTH))
refused("unknown model", post(PLAIN.replace(args.model, "absent-model")), "404")
refused("wrong path", post(path="/v1/nothing"), "404")
refused("not JSON", post("{nope"), "400")
refused("no messages", post(f'{{"model":"{args.model}"}}'), "400")
deep = ',"x":' + "[" * 100000 + "]" * 100000 + "}"
refused("JSON 100,000 deep", post(PLAIN[:-1] + deep), "400")
refused("absolute URI", post(path=f"http://other{url.path}"))
for name, raw in {
    "length and chunked": post(PIECE + "\r\n", "Content-Length: 5", length=CHUNKED),
    "two lengths": post(PLAIN, "Content-Length: 5"),
    "length +5": post(length="Content-Length: +5"),
    "gzip, chunked": post("0\r\n\r\n", length="Transfer-Encoding: gzip, chunked"),
    "chunked in HTTP/1.0": post(PIECE + "\r\n", length=CHUNKED, version="1.0"),
    "chunk of 2^65": post("20000000000000000\r\n", length=CHUNKED),
    "bare LF": post().replace(b"\r\n", b"\n"),
    "space before colon": post(PLAIN, "X-A : b"),
    "folded header": post(PLAIN, "X-A: b\r\n c"),
    "NUL in a header": post(PLAIN, "X-A: \0"),
    "two hosts": post(PLAIN, "Host: y"),
    "no host": post(host=""),
    "HTTP/2.0": post(version="2.0"),
    "upgrade to h2c": post(
        PLAIN, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"
    ),
    "17 KiB header": post(PLAIN, "X-A: " + "a" * 17000),
    "500 headers": post(PLAIN, *["X-A: b"] * 500),
    "5 MiB body announced": post("", length="Content-Length: 5242880"),
}.items():
    refused(name, raw, closes=True)
# what must happen when one side goes away
mock("pace=20000")
for _ in range(5):
    talk(post(STREAM), until=b"t=")
time.sleep(0.5)
seen = mock()
expect("client gone: the engine's stream is cancelled", seen, good=seen["streams"] == 0)
mock("pace=1000&cut=5")
data, closed = talk(post(STREAM), seconds=2)
broken = b"[DONE]" not in data and closed and not data.endswith(b"\r\n0\r\n\r\n")
expect("engine gone in mid-stream: no [DONE], no clean end", data[-300:], good=broken)
mock("pace=0&cut=0")
count(6, tokens=0)
answered("and the next request works", post())
if args.ledger:
    time.sleep(0.5)
    end = read_ledger()
    grown = {field: end[field] - start[field] for field in got}
    # cut streams may add tokens
    equal = grown["requests"] == got["requests"] and all(grown[f] >= got[f] for f in got)
    expect("the ledger equals what clients received", (grown, got), good=equal)
print(f"{len(failed)} failed" if failed else "all passed")
raise SystemExit(len(failed) > 0)
