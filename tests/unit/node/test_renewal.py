"""A node's certificate over days of virtual time: renewed in time, late, or not at all."""

from dataclasses import replace

import anyio
import pytest

from controls import URL, Cloud
from littoral.domain.enrolment import REVOKED, Authorities, Inventory, JoinRequest
from littoral.domain.errors import Revoked
from littoral.domain.units import Micros
from littoral.domain.upkeep import Issued
from littoral.node.board import Board
from littoral.node.enrolment import identity_of
from littoral.node.identity import IdentityStore
from littoral.node.renewal import KEY_US, Renewal, RenewalParts
from littoral.node.upkeep import Upkeep
from littoral.testing.chance import SeededChance
from littoral.testing.clock import START
from littoral.testing.disk import MemoryDisk
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.loop import LoopClock, simulate
from littoral.testing.registrar import MemoryRegistrar
from littoral.testing.sink import ListSink
from littoral.trust import certificate as trust

HOUR, DAY = 3600, 86_400


class Desk:
    """Control's door without threads, for virtual time."""

    def __init__(self, cloud: Cloud) -> None:
        self.enrolments = cloud.control.desk.enrolments
        self.authority = cloud.control.desk.authority
        self.fleet = cloud.control.desk.fleet

    async def authorities(self):
        return Authorities(ca=self.authority.bundle())

    async def join(self, request, *, address):
        answer, rows = self.enrolments.join(request, address=address)
        self._learn(rows)
        return answer

    async def challenge(self, node):
        return self.enrolments.challenge(node)

    async def renew(self, node, request):
        issued, rows = self.enrolments.renew_late(node, request)
        self._learn(rows)
        return issued

    def over_session(self, node, csr):
        issued, rows = self.enrolments.renew(node, csr)
        self._learn(rows)
        return issued

    def _learn(self, rows):
        for row in rows:
            self.fleet.learn(row)


class Edge:
    """A joined node, its renewal, and a session that a test may cut."""

    def __init__(self, behind: float = 0.0) -> None:
        self.cloud = Cloud(clock=LoopClock()).start()
        self.clock = LoopClock(Micros(START - round(behind * 1e6)))
        self.desk = Desk(self.cloud)
        self.disk = MemoryDisk()
        self.store = IdentityStore(self.disk, ArmedFailpoints())
        self.registrar = MemoryRegistrar({URL: self.desk})
        self.connected = True
        self.silent = False
        self.said: list[str] = []
        self.codes: list[str] = []
        key = trust.make_key(SeededEntropy(5).bytes(48))
        request = JoinRequest(
            token=self.cloud.token(), csr=trust.request(key), name="edge", facts=Inventory()
        )
        answer, rows = self.desk.enrolments.join(request, address="192.0.2.1")
        self.desk.fleet.learn(rows[0])
        identity = identity_of(answer, key_us=self.cloud.clock.wall())
        self.held = self.store.take(identity, key=key, chain=answer.chain, ca=answer.ca)
        self.renewal = self.make()

    def make(self) -> Renewal:
        return Renewal(
            self.held,
            RenewalParts(
                store=self.store,
                disk=self.disk,
                registrar=self.registrar,
                clock=self.clock,
                chance=SeededChance(3),
                entropy=SeededEntropy(6),
                send=self.send,
                say=self.say,
            ),
        )

    def say(self, code: str, sentence: str) -> None:
        self.codes.append(code)
        self.said.append(sentence)

    async def send(self, frame) -> bool:
        if self.connected and not self.silent:
            self.renewal.issued(self.desk.over_session(self.held.identity.node, frame.csr))
        return self.connected

    @property
    def until(self) -> Micros:
        return self.store.read().life.end_us

    @property
    def good(self) -> bool:
        return self.until > self.cloud.clock.wall()


def during(script, *, behind: float = 0.0) -> None:
    async def main():
        edge = Edge(behind)
        async with anyio.create_task_group() as group:
            group.start_soon(edge.renewal.run)
            await script(edge)
            group.cancel_scope.cancel()

    simulate(main)


def test_a_connected_node_never_runs_out():
    async def script(edge):
        for _ in range(20):
            await anyio.sleep(8 * HOUR)
            assert edge.good
        (node,) = edge.desk.fleet.nodes()
        assert f"{edge.store.read().life.serial:x}" == node.enrolled.serials[0]
        assert set(edge.codes) == {"certificate_renewed"}

    during(script)


def test_a_certificate_is_renewed_around_half_of_its_life():
    async def script(edge):
        await anyio.sleep(9 * HOUR)
        assert edge.until == edge.held.life.end_us
        await anyio.sleep(6 * HOUR)
        assert edge.until > edge.held.life.end_us

    during(script)


def test_a_node_away_for_weeks_is_renewed_by_proof_when_it_is_back():
    async def script(edge):
        edge.connected = False
        edge.registrar.doors.clear()
        await anyio.sleep(20 * DAY)
        assert not edge.good
        assert "ran out" in edge.said[-1]
        edge.registrar.doors[URL] = edge.desk
        await anyio.sleep(11 * 60)
        assert edge.good
        assert edge.codes[-1] == "certificate_renewed_late"
        assert {"certificate_refused", "certificate_ending"} < set(edge.codes)
        assert edge.codes.index("certificate_ending") < edge.codes.index("certificate_ended")

    during(script)


def test_a_session_that_fails_while_the_certificate_has_run_out_is_a_reason_to_renew_at_once():
    async def script(edge):
        edge.connected = False
        edge.registrar.doors.clear()
        await anyio.sleep(20 * DAY)
        edge.registrar.doors[URL] = edge.desk
        edge.renewal.failed()
        await anyio.sleep(1)
        assert edge.good
        tried = len(edge.codes)
        edge.renewal.failed()  # the certificate is good: the session failed for another reason
        await anyio.sleep(1)
        assert len(edge.codes) == tried

    during(script)


def test_a_certificate_that_has_ended_by_controls_clock_is_renewed_by_proof_at_once():
    async def script(edge):
        board = Board(clock=edge.clock, sink=ListSink(), report=lambda _pids: None)
        upkeep = Upkeep(None, edge.renewal, board=board, disk=edge.disk, clock=edge.clock)
        edge.connected = welcomed = False
        await anyio.sleep(26 * HOUR)
        assert not edge.good
        upkeep.lost("lost", welcomed)
        await anyio.sleep(1)
        assert edge.codes == []
        upkeep.lost("certificate", welcomed)
        await anyio.sleep(1)
        assert edge.good

    during(script, behind=26 * HOUR)


def test_a_cut_shorter_than_the_certificate_is_nothing_to_worry_about():
    async def script(edge):
        edge.connected = False
        await anyio.sleep(16 * HOUR)
        assert edge.good
        edge.connected = True
        await anyio.sleep(1 * HOUR)
        assert edge.until > edge.held.life.end_us

    during(script)


def test_at_its_certificates_end_a_node_turns_to_late_renewal_by_itself():
    async def script(edge):
        edge.connected = False
        left = edge.until - edge.cloud.clock.wall()
        await anyio.sleep(left / 1_000_000 - 1)
        assert edge.codes[-1] == "certificate_ending"
        await anyio.sleep(3)
        assert edge.codes[-1] == "certificate_renewed_late"
        assert edge.good

    during(script)


def test_control_that_does_not_answer_is_asked_again():
    async def script(edge):
        edge.silent = True
        await anyio.sleep(15 * HOUR)
        assert "did not answer" in edge.said[-1]
        edge.silent = False
        await anyio.sleep(1 * HOUR)
        assert edge.until > edge.held.life.end_us

    during(script)


def test_an_old_key_is_replaced_with_its_certificate():
    async def script(edge):
        edge.renewal.credentials = replace(
            edge.held,
            identity=replace(edge.held.identity, key_us=Micros(edge.cloud.clock.wall() - KEY_US)),
        )
        await anyio.sleep(15 * HOUR)
        found = edge.store.read()
        assert found.key != edge.held.key
        assert trust.pin(found.chain) == trust.pin_of_key(found.key)
        assert found.identity.key_us > edge.held.identity.key_us

    during(script)


def test_a_revoked_node_learns_it_by_proof_and_writes_it_down():
    async def main():
        edge = Edge()
        edge.desk.fleet.learn(edge.cloud.control.desk.roster.revoke("edge"))
        edge.renewal.doubted()
        with pytest.raises(Revoked, match="revoked"):
            await edge.renewal.run()
        assert b"revoked" in edge.disk.files[REVOKED]

    simulate(main)


def test_a_revoked_node_ends_though_its_disk_has_no_room_to_note_it():
    async def main():
        edge = Edge()
        edge.disk.full = True
        edge.renewal.ended()
        with pytest.raises(Revoked):
            await edge.renewal.run()
        assert REVOKED not in edge.disk.files

    simulate(main)


def test_a_node_that_is_told_so_in_its_open_session_asks_nobody():
    async def main():
        edge = Edge()
        edge.renewal.ended()
        with pytest.raises(Revoked, match="join anew"):
            await edge.renewal.run()
        assert b"revoked" in edge.disk.files[REVOKED]

    simulate(main)


@pytest.mark.parametrize(
    ("code", "welcomed", "ends"),
    [("revoked", True, True), ("revoked", False, False), ("lost", True, False)],
)
def test_only_a_session_that_was_open_says_for_good_that_a_node_is_revoked(code, welcomed, ends):
    async def main():
        edge = Edge()
        board = Board(clock=edge.cloud.clock, sink=ListSink(), report=lambda _pids: None)
        upkeep = Upkeep(None, edge.renewal, board=board, disk=edge.disk, clock=edge.cloud.clock)
        upkeep.lost(code, welcomed)
        with anyio.move_on_after(1):
            await edge.renewal.run()
        assert (REVOKED in edge.disk.files) is ends

    if ends:
        with pytest.raises(Revoked):
            simulate(main)
    else:
        simulate(main)


def test_a_node_that_only_seems_revoked_gets_a_certificate_and_goes_on():
    async def script(edge):
        edge.renewal.doubted()
        await anyio.sleep(1)
        assert edge.until > edge.held.life.end_us or edge.codes == ["certificate_renewed"]
        assert REVOKED not in edge.disk.files

    during(script)


def test_a_node_that_was_removed_goes_on_serving_and_says_why_it_is_alone():
    async def script(edge):
        node = edge.held.identity.node
        edge.cloud.control.desk.roster.remove(node)
        edge.desk.fleet.forget(node)
        edge.renewal.doubted()
        await anyio.sleep(1)
        assert "not a node of this cluster" in edge.said[-1]
        assert REVOKED not in edge.disk.files

    during(script)


def test_a_try_that_failed_while_the_clock_was_ahead_is_made_again_in_time():
    async def script(edge):
        edge.connected = False
        await anyio.sleep(600)
        assert edge.codes == ["certificate_refused"]
        edge.clock._epoch = Micros(START)  # noqa: SLF001  control told the time
        edge.connected = True
        await anyio.sleep(15 * HOUR)
        assert edge.until > edge.held.life.end_us
        assert edge.codes[1:] == ["certificate_renewed"]

    during(script, behind=-18 * HOUR)


def test_a_refusal_over_the_session_is_said():
    async def script(edge):
        async def refuse(frame):
            edge.renewal.issued(Issued(chain="", ca="", server_us=Micros(0), reason="no"))
            return bool(frame)

        edge.renewal._parts = replace(edge.renewal._parts, send=refuse)  # noqa: SLF001  one answer
        await anyio.sleep(15 * HOUR)
        assert edge.said[-1] == "the certificate was not renewed: no"

    during(script)
