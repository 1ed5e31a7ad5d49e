"""Every code of an event is in the reference, and the reference names no other."""

import ast
import re

from littoral.domain.failpoint import NAMES
from littoral.trust.role import SCOPE_OF

SAYS = ("node/", "stores/", "control/", "jobs/", "domain/ailment.py", "gateway/wire/loop.py")
"""Where events are made."""
CODE = re.compile(
    r"(?:blobs?|ca|certificate|clock|deferrals|delta|disk|engine|gateway|ledger|limits|machine|memory|model|nodes?"
    r"|outbox|peer|policy|quality|records|responses|rollout|session|shares|slot|snapshot|supervisor|thermal|update|version)[._][a-z_]+"
)
FILES = frozenset(
    {
        *("memory.current", "memory.events", "memory.limit_in_bytes", "memory.max"),
        *("memory.oom_control", "memory.usage_in_bytes", "snapshot.bin"),
        *("disk_used", "memory_used", "memory_waits", "outbox_waiting"),
    }
)
"""Names of files and of figures that look alike."""


def test_every_code_of_an_event_is_in_the_reference_and_no_other(root, sources):
    text = (root / "docs/reference/events.md").read_text("utf-8")
    written = set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))
    made = {
        node.value
        for source in sources
        if source.name.startswith(SAYS)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and CODE.fullmatch(node.value)
    } - {*NAMES, *SCOPE_OF, *FILES}
    assert written == made
