"""Commands that say why requests ran where they did, and whether predictions were right."""

import json
from csv import reader
from dataclasses import replace

import pytest

from littoral.control.archive import chunk_of
from littoral.domain.chunk import ChunkId, ChunkPage
from littoral.domain.decided import decided
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.ids import DeploymentName, EndpointId, NodeId
from littoral.domain.policy import Cascade, PolicySpec
from littoral.domain.prior import Learned, PredictorView
from littoral.domain.resource import Metadata, Resource
from littoral.domain.units import Micros, Seconds, Tokens
from littoral.domain.usage import CACHE
from littoral.domain.view import RequestRecords
from littoral.testing.usage import usage_record

SECOND = 1_000_000
POLICY = {"kind": "Policy", "metadata": {"name": "quick"}, "spec": {"total_s": 3.5}}


def record(number: int):
    """In turn: a near place that takes 4 s and is free, a far one that takes 1 s and is not."""
    name, total_s = ("near", 4.0) if number % 2 else ("far", 1.0)
    return usage_record(
        number,
        deployment=DeploymentName(name),
        endpoint=EndpointId(f"{name}@1"),
        tokens_in=Tokens(100),
        tokens_out=Tokens(20),
        at_us=Micros(5 * number * SECOND),
        first_us=100_000,
        total_us=round(total_s * SECOND),
        predicted_us=round(total_s * SECOND),
        predicted_p90_us=round(total_s * 1.5 * SECOND),
        cost=0.0 if number % 2 else 0.00014,
        decided=decided("cheapest", (0, 0, 0, 1, 0, 0)),
    )


def seen(node, state):
    """What a node said of its predictor of the place near."""
    learned = Learned(endpoint=EndpointId("near@1"), state=state, outcomes=60)
    return PredictorView(node=NodeId(node), learned=learned)


EVER = ("--since", "1970-01-01")


def paged(records):
    """A page that holds these records of one node, a chunk a model."""
    models = sorted({each.model for each in records})
    chunks = [
        chunk_of(ChunkId(0, NodeId("nd_1"), model, 0), [r for r in records if r.model == model])
        for model in models
    ]
    return ChunkPage(chunks=tuple(chunks))


@pytest.fixture
def recorded(stand_in):
    records = tuple(record(n) for n in range(60))
    deployments = [
        Resource(
            kind="Deployment",
            metadata=Metadata(name=name),
            spec=DeploymentSpec(model="m", price_in=price, price_out=2 * price),
        )
        for name, price in (("near", 0.0), ("far", 1.0))
    ]
    stand_in.on("GET /api/v1/requests", RequestRecords(records=records[::-1]))
    stand_in.on("GET /api/v1/records/chunks", paged(records))
    stand_in.on("GET /api/v1/nodes", {"items": []})
    stand_in.on("GET /api/v1/predictors", {"items": [seen("nd_1", "ok"), seen("nd_2", "suspect")]})
    stand_in.on("GET /api/v1/requests/rq_59", RequestRecords(records=(records[59],)))
    stand_in.on("GET /api/v1/resources/Deployment", {"items": deployments})
    stand_in.on("GET /api/v1/resources/Policy", {"items": []})
    stand_in.on("GET /api/v1/keys", {"items": []})
    stand_in.on("POST /api/v1/apply", {"changes": []})
    return stand_in


@pytest.mark.usefixtures("recorded")
def test_the_report_has_a_row_a_place_and_the_money(call, tmp_path):
    page = tmp_path / "report.html"
    said = call("placement", "report", *EVER, "--html", str(page))
    assert said.status == 0, said.err
    assert "100.0%" in said.out
    assert "50% of the" in said.out
    text = page.read_text()
    assert text.count("<svg") == 3
    assert "near@1" in text
    told = call("placement", "report", *EVER, "--json").json
    assert told["why"] == {"cheapest": 60}
    assert [each["state"] for each in told["places"]] == [None, "suspect"]
    rows = [line.split() for line in said.out.splitlines()[1:3]]
    assert [row[-1] for row in rows] == ["-", "suspect"]
    assert "<td>suspect</td>" in text
    assert told["rejected"] == {"unready": 60}
    assert "why         cheapest 60" in said.out
    assert [each["endpoint"] for each in told["places"]] == ["far@1", "near@1"]
    assert told["places"][0]["accuracy"]["coverage_p90"] == 1.0
    assert told["saved"]["share"] == pytest.approx(0.5)


def test_a_report_of_nothing_says_so(call, recorded):
    recorded.on("GET /api/v1/records/chunks", ChunkPage(chunks=()))
    assert "No records" in call("placement", "report").err
    assert call("placement", "report", "--since", "soon").status == 2


def test_a_place_without_predictions_has_no_figures(call, recorded):
    plain = usage_record(1, predicted_us=0)
    recorded.on("GET /api/v1/records/chunks", paged([plain]))
    far = ("--since", "2027-01-01", "--until", "2028-01-01")
    assert " - " in call("placement", "report", *far).out
    (place,) = call("placement", "report", *far, "--json").json["places"]
    assert place["accuracy"] is None


def test_pages_are_asked_for_until_there_are_no_more_and_the_unreadable_are_counted(call, recorded):
    page = paged([record(1), record(2)])
    bad = replace(page.chunks[0], id=ChunkId(0, NodeId("nd_2"), "tiny", 0), body=b"")
    first = ChunkPage(chunks=(*page.chunks, bad), next="0/0/nd_2/tiny")
    recorded.on("GET /api/v1/records/chunks", first, ChunkPage(chunks=()))
    said = call("placement", "records", *EVER)
    assert len(said.out.splitlines()) == 3
    assert "2 records were kept and cannot be read" in said.err
    asked = [call for call, _ in recorded.calls if call.startswith("GET /api/v1/records/chunks?")]
    assert ["after=" in each for each in asked] == [False, True]
    recorded.on("GET /api/v1/records/chunks", first, ChunkPage(chunks=()))
    assert "2 records were kept" in call("placement", "report", *EVER).err


@pytest.mark.usefixtures("recorded")
def test_records_are_shown_and_written_as_csv_and_as_json(call):
    rows = call("placement", "records", *EVER, "--limit", "2").out.splitlines()
    assert [row.split()[2] for row in rows[1:]] == ["rq_58", "rq_59"]
    assert "nd_1/near@1" in rows[-1]
    lines = list(reader(call("placement", "records", *EVER, "--csv").out.splitlines()))
    assert lines[0][:2] == ["node", "request"]
    assert (len(lines), lines[1][:2]) == (61, ["nd_1", "rq_0"])
    told = call("placement", "records", *EVER, "--json").json["records"]
    assert (len(told), told[0]["node"], told[0]["status"]) == (60, "nd_1", "ok")
    for bound, left in (("--of-key", 0), ("--project", 0)):
        assert (
            len(call("placement", "records", *EVER, bound, "x", "--json").json["records"]) == left
        )


@pytest.mark.parametrize("limit", ["0", "20001"])
def test_a_table_of_too_few_or_too_many_records_is_refused(call, limit):
    said = call("placement", "records", "--limit", limit)
    assert (said.status, "not within 1 to 20000" in said.err) == (2, True)


@pytest.mark.usefixtures("recorded")
def test_a_request_is_explained_by_its_candidates(call):
    said = call("route", "explain", "rq_59")
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert lines[1].endswith("; no policy")
    near = next(line.split() for line in lines if "near@1" in line and "served it" in line)
    assert near[:4] == ["near@1", "near", "0", "29"]
    assert any("far@1" in line for line in lines)
    assert "rejected    none" in lines
    assert "took        4.0 s, within it" in lines
    assert len(call("route", "explain", "rq_59", "--json").json["moments"][0]["options"]) == 2


def test_a_policys_reasons_are_in_the_explanation(call, recorded):
    quick = Resource(
        kind="Policy", metadata=Metadata(name="quick"), spec=PolicySpec(total_s=Seconds(3.5))
    )
    recorded.on("GET /api/v1/resources/Policy", {"items": [quick]})
    said = call("route", "explain", "rq_59").out
    assert "rejected    deadline " in said
    assert "; policy quick" in said


def test_an_explanation_names_the_tag(call, recorded):
    assert "; no tag; " in call("route", "explain", "rq_59").out
    tagged = usage_record(59, tag="batch", tokens_in=Tokens(100), total_us=1)
    recorded.on("GET /api/v1/requests/rq_59", RequestRecords(records=(tagged,)))
    assert "; tag batch; " in call("route", "explain", "rq_59").out


def test_whoever_may_not_see_keys_goes_by_the_tags_of_records(call, recorded):
    recorded.refuse("GET /api/v1/keys", 403, "denied", "not yours")
    assert "; no tag; " in call("route", "explain", "rq_59").out


def test_both_stages_of_a_cascade_are_explained_and_simulated(call, recorded, tmp_path):
    records = [replace(record(n), streamed=False) for n in range(60)]
    second = replace(record(60), request=records[59].request, attempt=1)
    recorded.on("GET /api/v1/requests", RequestRecords(records=tuple(records[::-1])))
    recorded.on("GET /api/v1/requests/rq_59", RequestRecords(records=(records[59], second)))
    spec = {"cascade": {"first": "near", "then": "far", "below": 0.5}}
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps({"kind": "Policy", "metadata": {"name": "c"}, "spec": spec}))
    lines = call("route", "simulate", "-f", str(file)).out.splitlines()
    assert ["first", "of", "two", "answers", "0", "40"] in [line.split() for line in lines]
    assert any(line.startswith("cost if all are escalated") for line in lines)
    declared = PolicySpec(cascade=Cascade(first="near", then="far", below=0.5))
    policy = Resource(kind="Policy", metadata=Metadata(name="c"), spec=declared)
    recorded.on("GET /api/v1/resources/Policy", {"items": [policy]})
    said = call("route", "explain", "rq_59").out
    assert "cascade     near@1, then far@1 if that is not good enough" in said
    assert "attempt 1 at far@1: another answer was not enough" in said


def test_a_failed_attempt_is_named(call, recorded):
    failed = usage_record(9, status="failed")
    recorded.on("GET /api/v1/requests/rq_9", RequestRecords(records=(failed,)))
    assert "attempt 0 at ep_1 ended: failed" in call("route", "explain", "rq_9").out


def test_an_answer_of_the_cache_went_to_no_place(call, recorded):
    cached = usage_record(9, endpoint=EndpointId(CACHE))
    recorded.on("GET /api/v1/requests/rq_9", RequestRecords(records=(cached,)))
    assert "answered from the cache" in call("route", "explain", "rq_9").out


def test_a_policy_is_simulated_on_what_was_recorded(call, recorded, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps(POLICY))
    said = call("route", "simulate", "-f", str(file))
    assert said.status == 0, said.err
    rows = [line.split() for line in said.out.splitlines()]
    assert ["to", "near", "40", "0"] in rows
    assert ["to", "far", "0", "40"] in rows
    assert recorded.calls[-1][0] != "POST /api/v1/apply"
    told = call("route", "simulate", "-f", str(file), "--json").json
    assert told["then"]["went"] == {"far": 40}


def test_a_changed_policy_takes_the_place_of_the_one_that_holds_now(call, recorded, tmp_path):
    quick = Resource(
        kind="Policy", metadata=Metadata(name="quick"), spec=PolicySpec(total_s=Seconds(3.5))
    )
    recorded.on("GET /api/v1/resources/Policy", {"items": [quick]})
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps({**POLICY, "spec": {"total_s": 300.0}}))
    told = call("route", "simulate", "-f", str(file), "--json").json
    assert told["now"]["went"] == {"far": 40}
    assert told["then"]["went"] == {"near": 40}


def test_too_few_records_are_nothing_to_go_by(call, recorded, tmp_path):
    recorded.on("GET /api/v1/requests", RequestRecords(records=()))
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps(POLICY))
    assert "nothing to go by" in call("route", "simulate", "-f", str(file)).out


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"kind": "Project", "metadata": {"name": "p"}, "spec": {}}, "no document of kind"),
        ({**POLICY, "spec": {"total_s": "soon"}}, "cannot be read"),
    ],
)
def test_a_file_without_a_good_policy_is_refused(call, tmp_path, document, told):
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps(document))
    said = call("route", "simulate", "-f", str(file))
    assert said.status == 2
    assert told in said.err


SIZES = ("--tokens-in", "100", "--tokens-out", "51", "--prefill-ms", "2", "--step-ms", "10")


def test_the_four_functions_answer_on_figures_given(call):
    told = call("cost", "edge", *SIZES, "--rate", "1", "--nodes", "2", "--json").json
    assert told["service"]["total_p50_s"] == pytest.approx(0.7)
    assert told["platform"]["size"] == 2
    assert told["platform"]["feasible"]
    told = call("cost", "cloud", *SIZES, "--rtt-ms", "100", "--price-in", "1", "--json").json
    assert told["service"]["total_p50_s"] == pytest.approx(0.8)
    assert told["service"]["marginal"] == pytest.approx(100e-6)
    said = call("cost", "cloud", *SIZES, "--rate", "1000", "--most", "2")
    assert "too small" in said.out
    assert "first token" in said.out


@pytest.mark.parametrize(
    "wrong",
    [
        ("edge", "--slots", "0"),
        ("edge", "--slots", "1001"),
        ("edge", "--pen", "-1"),
        ("edge", "--active", "4"),
        ("edge", "--nodes", "0"),
        ("edge", "--rate", "nan"),
        ("edge", "--rtt-ms", "-1"),
        ("edge", "--watts", "-1"),
        ("edge", "--kwh", "inf"),
        ("cloud", "--hour", "-3"),
        ("cloud", "--price-out", "-1"),
        ("cloud", "--most", "10001"),
    ],
)
def test_figures_that_cannot_be_are_refused(call, wrong):
    where, name, _ = wrong
    said = call("cost", where, *SIZES, *wrong[1:])
    assert said.status == 2
    assert f"{name}: " in said.err


def test_a_platform_that_carries_nothing_has_no_factor(call):
    said = call("cost", "edge", *SIZES, "--total-s", "0.001", "--rate", "1", "--json")
    assert "Infinity" not in said.out
    assert said.json["platform"]["factor"] is None
