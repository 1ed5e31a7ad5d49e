"""A project's guard with real processes: what leaves is redacted, what stays is not."""

import os
import signal
from pathlib import Path

TEXT = "write to a@example.com"


def said(site, model, text):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    status, answer = site.request("POST", "/v1/chat/completions", body)
    return status, answer["choices"][0]["message"]["content"] if status == 200 else answer


def screener_of(site):
    """The pids of the gateway's children: the one that redacts, once there is one."""
    gateway = site.processes()["gateway"]
    children = Path(f"/proc/{gateway}/task/{gateway}/children").read_text(encoding="ascii")
    return [int(pid) for pid in children.split()]


def test_what_leaves_is_redacted_and_nothing_leaves_unsearched(site):
    """The site is its own upstream: far goes out and comes in again as echo."""
    site.deploy("echo", engine="fake", model="echo")
    url = f"http://127.0.0.1:{site.port}/v1"
    documents = [
        {
            "kind": "Upstream",
            "metadata": {"name": "u"},
            "spec": {"url": url, "credential": site.key},
        },
        {
            "kind": "Project",
            "metadata": {"name": "default"},
            "spec": {"guard": {"redact": ["email"], "tools": ["read_*"]}},
        },
    ]
    assert site.request("POST", "/api/v1/apply", {"documents": documents})[0] == 200
    site.deploy("far", engine="openai", upstream="u", model="echo")
    site.wait_for(lambda: said(site, "far", TEXT)[1] == "echo: write to [EMAIL]", "the guard")
    assert said(site, "echo", TEXT) == (200, f"echo: {TEXT}")
    long = TEXT + " and more" * 200
    assert said(site, "far", long) == (200, "echo: " + long.replace("a@example.com", "[EMAIL]"))
    (pid,) = screener_of(site)
    os.kill(pid, signal.SIGKILL)
    site.wait_for(lambda: said(site, "far", long)[0] == 200, "another screener")
    assert screener_of(site) not in ([], [pid])
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    status, refused = said(site, "far", image)
    assert (status, refused["error"]["code"]) == (403, "denied")
    tools = [{"type": "function", "function": {"name": "delete"}}]
    body = {"model": "echo", "messages": [{"role": "user", "content": "x"}], "tools": tools}
    assert site.request("POST", "/v1/chat/completions", body)[0] == 403
