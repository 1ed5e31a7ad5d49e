"""Guest: calls of other nodes that a played gateway's engines answer."""

from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from littoral.domain.flight import GUEST
from littoral.domain.session import Credit, Data, Frame, Open, Reset
from littoral.domain.stream import Inward, Outward, ReplyHead, ResetCode
from littoral.lab.calling import OK, answered, asked
from littoral.lab.scene import Scene
from littoral.lab.till import MOST_TOKENS, Job, Till

Send = Callable[[Frame], object]


class _Visit:
    """One call: its body as it comes in, its answer as it goes out."""

    def __init__(self, opened: Open) -> None:
        self.stream = opened.stream
        self.head = opened.head
        self.pieces: list[bytes] = []
        self.inward = Inward()
        self.outward = Outward()
        self.scope = anyio.CancelScope()
        self.tail: ReplyHead | None = None


class Guests:
    """The calls that other nodes have under way here.

    Args:
        scene: Where it runs.
        till: Its engines and its flight table.
        send: Sends a frame to the node.
    """

    def __init__(self, scene: Scene, till: Till, send: Send) -> None:
        self._scene = scene
        self._till = till
        self._send = send
        self._open: dict[int, _Visit] = {}

    def take(self, frame: Open | Data | Reset | Credit, group: TaskGroup) -> None:
        """Begin a call, or take a frame of one."""
        if isinstance(frame, Open):
            self._scene.hops.came(frame.head.project, frame.head.origin, self._scene.spot)
            self._open[frame.stream] = _Visit(frame)
            return
        visit = self._open.get(frame.stream)
        if visit is None:
            return
        if isinstance(frame, Reset):
            self._end(visit)
        elif isinstance(frame, Credit):
            visit.outward.allow(frame.upto)
            self._flush(visit)
        else:
            self._take(visit, frame, group)

    def _take(self, visit: _Visit, frame: Data, group: TaskGroup) -> None:
        visit.pieces.append(frame.body)
        if not visit.inward.take(len(frame.body)):
            self._scene.hops.wrong.append(f"{visit.head.request} sent more than it was allowed")
        if frame.fin:
            group.start_soon(self._answer, visit)
            return
        upto = visit.inward.grant()
        if upto:
            self._send(Credit(stream=visit.stream, upto=upto))

    def _end(self, visit: _Visit) -> None:
        self._open.pop(visit.stream, None)
        visit.scope.cancel()

    async def _answer(self, visit: _Visit) -> None:
        head, scene, till = visit.head, self._scene, self._till
        body = b"".join(visit.pieces)
        same = body == asked(head.request, head.size)
        scene.hops.compare(head.request, same=same)
        grant, endpoint = till.grant(head.key), scene.pick(till.here(head.deployment))
        if grant is None or endpoint is None:
            self._reset(visit, "no_candidate")
            return
        job = Job(
            request=head.request,
            grant=grant,
            endpoint=endpoint,
            tokens_in=max(1, head.size // 4),
            kind=GUEST,
            limited=False,
        )
        if till.begin(job):
            self._reset(visit, "refused")
            return
        tokens = 1 + int((MOST_TOKENS - 1) * scene.chance.random())
        took_s = 0.2 + 0.02 * tokens
        with visit.scope:
            await anyio.sleep(took_s)
            job.said = tokens
        till.settle(job, ok=job.said > 0, took_s=took_s)
        self._send(till.report())
        if job.said:
            visit.tail = ReplyHead(status=OK, tokens_in=job.tokens_in, tokens_out=tokens)
            self._send(Data(stream=visit.stream, head=ReplyHead(status=OK)))
            visit.outward.put(answered(head.request, tokens), last=True)
            self._flush(visit)

    def _flush(self, visit: _Visit) -> None:
        for body, last in visit.outward.pieces():
            tail = visit.tail if last else None
            self._send(Data(stream=visit.stream, body=body, fin=last, head=tail))
            if last:
                self._open.pop(visit.stream, None)

    def _reset(self, visit: _Visit, code: ResetCode) -> None:
        self._send(Reset(stream=visit.stream, code=code, retryable=code == "refused"))
        self._end(visit)
