"""Memory: whether a model fits a machine, and how many slots and how much context it may have."""

import math
from typing import Final

from littoral.domain.endpoint import Fit, Machine
from littoral.domain.model import Artefact
from littoral.domain.units import Bytes, Tokens

OVERHEAD: Final = 120_000_000
"""An engine process without a model, bytes."""
OVERHEAD_SHARE: Final = 0.05
"""Compute buffers, as a share of the weights."""
USABLE: Final = 0.9
"""Share of the free memory that may be planned."""
SLOT_CONTEXT: Final = 4096
SHORTEST: Final = 512
GRAIN: Final = 256
"""Contexts that are chosen or advised are multiples of this, as engines pad them."""


def fit(artefact: Artefact, machine: Machine, *, slots: int | None, context: int | None) -> Fit:
    """Say whether a model fits beside what runs on a machine.

    ``weights + overhead + kv_bytes_per_token * context * slots`` within 90 % of the free memory.
    What is given is kept; what is None is chosen and lowered until it fits: slots first, from
    twice the cores (4 to 8), then the context, from 4096 or the model's own.

    Args:
        artefact: The checked weights.
        machine: Cores and free memory, bytes.
        slots: Sequences at once, or None to choose.
        context: Tokens a slot, or None to choose.

    Returns:
        The terms in bytes, and where it does not fit, in words, what to lower and to what.

    Source: term C of ECS and ECP.
    Checked by: tests/unit/cost/test_memory.py.
    """
    facts = artefact.facts
    overhead = OVERHEAD + round(OVERHEAD_SHARE * artefact.size)
    available = int(USABLE * machine.memory_free)
    room = available - artefact.size - overhead
    longest = facts.context or SLOT_CONTEXT
    wanted_slots = slots or max(4, min(8, 2 * machine.cores))
    wanted_context = context or min(longest, SLOT_CONTEXT)
    per_token = facts.kv_bytes_per_token
    safe_slots = _most(room, per_token * wanted_context)
    chosen_slots = wanted_slots if slots else max(1, min(wanted_slots, safe_slots))
    safe_context = _most(room, per_token * chosen_slots) // GRAIN * GRAIN
    least = min(SHORTEST, wanted_context)
    chosen_context = wanted_context if context else max(least, min(wanted_context, safe_context))
    cache = per_token * chosen_context * chosen_slots
    fits = cache <= room
    return Fit(
        fits=fits,
        weights=artefact.size,
        cache=Bytes(cache),
        overhead=Bytes(overhead),
        available=Bytes(available),
        slots=chosen_slots,
        context=Tokens(chosen_context),
        advice="" if fits else _advice(room, per_token, slots=chosen_slots, context=chosen_context),
    )


def _most(room: int, size: int) -> int:
    """How many of ``size`` bytes fit into ``room``; without bound where they take none."""
    if size <= 0:
        return 1 << 31
    return max(0, room // size)


def _advice(room: int, per_token: int, *, slots: int, context: int) -> str:
    if room < per_token * SHORTEST:
        short = math.ceil((per_token * SHORTEST - room) / USABLE)
        return (
            f"free {_mega(short)} MB of memory or take a smaller model: "
            f"even one slot with a context of {SHORTEST} does not fit"
        )
    fewer = room // (per_token * context)
    shorter = room // (per_token * slots) // GRAIN * GRAIN
    ways = [f"slots to {fewer}"] if 1 <= fewer < slots else []
    if shorter >= SHORTEST:
        ways.append(f"context to {shorter}")
    if not ways:
        ways.append(f"slots to 1 and context to {room // per_token // GRAIN * GRAIN}")
    return f"lower {' or '.join(ways)}"


def _mega(size: int) -> int:
    return -(-size // 1_000_000)
