"""Only what this cluster signed, and what can be true, is believed of a blob."""

import hashlib
import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.blob import BLOB_MOST, CHUNK_LEAST, BlobManifest, DeltaOffer
from littoral.domain.errors import Damaged
from littoral.domain.ids import Digest
from littoral.trust.blob import accept, measure, sign
from littoral.trust.signature import SEED_BYTES, key_id, public_of

SEED = bytes(range(SEED_BYTES))
KEYS = {key_id(public_of(SEED)): public_of(SEED)}
A, B = (Digest("sha256:" + letter * 64) for letter in "ab")
DELTA = DeltaOffer(parent=A, digest=B, size=10, tensors=1)


def made(data: bytes = b"x" * 200_000) -> BlobManifest:
    return measure([data], kind="gguf", chunk=CHUNK_LEAST)


@given(
    data=st.binary(max_size=5000),
    cuts=st.lists(st.integers(0, 5000), max_size=4),
    chunk=st.integers(1, 1000),
)
def test_a_measured_blob_is_the_same_however_it_was_cut(data, cuts, chunk):
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    manifest = measure(pieces, kind="gguf", chunk=chunk)
    assert manifest.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert manifest.size == len(data)
    ends = [(manifest.begin(i), manifest.length(i)) for i in range(len(manifest.chunks))]
    parts = [hashlib.sha256(data[begin : begin + length]).digest() for begin, length in ends]
    assert parts == list(manifest.chunks)
    assert sum(length for _, length in ends) == len(data)


def test_what_control_signed_is_accepted():
    manifest = replace(made(), deltas=(DELTA,))
    assert accept(sign(manifest, seed=SEED), digest=manifest.digest, keys=KEYS) == manifest


CHANGES = {
    "size": lambda m: replace(m, size=m.size - 1),
    "kind": lambda m: replace(m, kind="lora"),
    "chunks": lambda m: replace(m, chunks=(*m.chunks[:-1], bytes(32))),
    "deltas": lambda m: replace(m, deltas=(DELTA,)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_manifest_that_was_changed_is_refused(change):
    signed = sign(made(), seed=SEED)
    forged = replace(signed, manifest=CHANGES[change](signed.manifest))
    with pytest.raises(Damaged, match="not the one that was signed"):
        accept(forged, digest=signed.manifest.digest, keys=KEYS)


def test_a_manifest_of_another_blob_is_refused():
    with pytest.raises(Damaged, match="came for"):
        accept(sign(made(), seed=SEED), digest=B, keys=KEYS)


def test_a_manifest_that_somebody_else_signed_is_refused():
    manifest = made()
    with pytest.raises(Damaged, match="signed by"):
        accept(sign(manifest, seed=bytes(32)), digest=manifest.digest, keys=KEYS)


IMPOSSIBLE = {
    "tiny chunks": lambda m: replace(m, chunk=1),
    "huge chunks": lambda m: replace(m, chunk=1 << 30),
    "no size": lambda m: replace(m, size=-1),
    "too large": lambda m: replace(m, size=BLOB_MOST + 1),
    "a chunk too few": lambda m: replace(m, chunks=m.chunks[1:]),
    "a short digest": lambda m: replace(m, chunks=(b"x", *m.chunks[1:])),
    "many deltas": lambda m: replace(m, deltas=(DELTA,) * 9),
    "a nameless parent": lambda m: replace(m, deltas=(replace(DELTA, parent=Digest("x")),)),
    "an empty delta": lambda m: replace(m, deltas=(replace(DELTA, size=0),)),
}


@pytest.mark.parametrize("odd", IMPOSSIBLE)
def test_what_cannot_be_true_is_refused_even_when_it_is_signed(odd):
    manifest = IMPOSSIBLE[odd](made())
    with pytest.raises(Damaged, match="impossible"):
        accept(sign(manifest, seed=SEED), digest=manifest.digest, keys=KEYS)
