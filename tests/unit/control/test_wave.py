"""Who is away keeps no others of its site from an update, unless the update keeps it away."""

from dataclasses import replace

from littoral.control.wave import advanced
from littoral.domain.ids import NodeId
from unit.control.test_update import UPDATE, fleet


def test_a_node_that_is_away_keeps_others_waiting_only_where_it_was_switching():
    update = replace(UPDATE, everyone=True, before={NodeId("nd0"): "0.1.0", NodeId("nd1"): "0.1.0"})
    away = (NodeId("nd0"), NodeId("nd1"))
    assert len(advanced(update, fleet(), now_us=1).before) == 2
    assert len(advanced(update, fleet(away=away), now_us=1).before) == 4
    fetching = {"nd0": "fetching", "nd1": "fetching"}
    assert len(advanced(update, fleet(fetching, away=away), now_us=1).before) == 4
    switching = {"nd0": "switching", "nd1": "trial"}
    assert len(advanced(update, fleet(switching, away=away), now_us=1).before) == 2
