"""Usage records for tests: alike but for their number and what a test changes."""

from dataclasses import replace

from littoral.domain.ids import DeploymentName, EndpointId, KeyId, ProjectId, RequestId
from littoral.domain.units import Micros, Tokens
from littoral.domain.usage import UsageRecord


def usage_record(number: int | str, **changes: object) -> UsageRecord:
    """Record ``rq_<number>``: one token in, ``number`` out where that is a number.

    Args:
        number: Names the request.
        changes: Fields of the record.
    """
    out = number if isinstance(number, int) else 1
    record = UsageRecord(
        request=RequestId(f"rq_{number}"),
        attempt=0,
        project=ProjectId("default"),
        key=KeyId("k1"),
        model="tiny",
        deployment=DeploymentName("d"),
        endpoint=EndpointId("ep_1"),
        status="ok",
        streamed=True,
        estimated=False,
        tokens_in=Tokens(1),
        tokens_cached=Tokens(0),
        tokens_out=Tokens(out),
        at_us=Micros(1_800_000_000_000_000),
        first_us=1,
        total_us=2,
        predicted_us=3,
        predicted_p90_us=4,
        cost=0.5,
    )
    return replace(record, **changes)
