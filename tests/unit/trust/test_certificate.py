"""Certificates: what a cluster signs, and what it refuses."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from authorities import NODE, NOW, Cluster
from littoral.domain.enrolment import control_host, node_host
from littoral.domain.errors import Denied, InvalidInput
from littoral.domain.ids import NodeId
from littoral.domain.units import Micros
from littoral.trust import certificate as trust

OURS, OTHERS = Cluster(), Cluster(name="cl_" + "z" * 26, seed=2)
CHAIN, KEY = OURS.node()


def pem(made: x509.Certificate | x509.CertificateSigningRequest) -> str:
    return made.public_bytes(serialization.Encoding.PEM).decode()


def test_the_same_entropy_makes_the_same_key_and_the_same_request():
    assert trust.make_key(b"n" * 48) == trust.make_key(b"n" * 48)
    assert trust.request(KEY) == trust.request(KEY)
    with pytest.raises(ValueError, match="48 bytes"):
        trust.make_key(b"n" * 47)


def test_a_chain_of_ours_names_its_node():
    found = trust.verified(CHAIN, OURS.root, at_us=NOW)
    assert (found.node, found.cluster) == (NODE, OURS.name)
    assert found.life == trust.life_of(CHAIN)
    assert found.life.end_us - NOW == trust.LEAF_US


def test_a_leaf_carries_both_names_and_both_uses():
    leaf = x509.load_pem_x509_certificate(CHAIN.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert names.value.get_values_for_type(x509.DNSName) == [node_host(NODE, OURS.name)]
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"spiffe://{OURS.name}/node/{NODE}"
    ]


def test_controls_certificate_has_its_fixed_name_and_what_people_call():
    made = x509.load_pem_x509_certificate(OURS.server("::1", "a.example").certificate.encode())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [control_host(OURS.name), "a.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["::1"]


@pytest.mark.parametrize("at", [NOW - trust.EARLY_US - 1_000_000, NOW + trust.LEAF_US + 1_000_000])
def test_a_chain_does_not_count_at_another_time(at):
    with pytest.raises(Denied):
        trust.verified(CHAIN, OURS.root, at_us=Micros(at))


def test_another_clusters_chain_is_refused():
    with pytest.raises(Denied):
        trust.verified(CHAIN, OTHERS.root, at_us=NOW)


def test_a_server_is_no_node():
    with pytest.raises(InvalidInput, match="names no node"):
        trust.verified(OURS.server("a.example").certificate, OURS.root, at_us=NOW)
    with pytest.raises(InvalidInput, match="names no node"):
        trust.holder(OURS.root)


def test_a_leaf_signs_nobody():
    chain, key = OURS.node()
    issuer = trust.Issuer(certificate=trust.split(chain)[0], key=key)
    forged = trust.leaf(
        trust.request(OURS.key()), issuer, node=NODE, cluster=OURS.name, life=OURS.life()
    )
    with pytest.raises(Denied):
        trust.verified(forged + chain, OURS.root, at_us=NOW)


def test_a_request_tells_the_pin_of_its_key():
    csr = trust.request(KEY)
    assert trust.check_request(csr) == trust.pin(CHAIN) == trust.pin_of_key(KEY)


def test_a_changed_request_is_refused():
    other = x509.load_pem_x509_csr(trust.request(OURS.key()).encode())
    der = bytearray(other.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    with pytest.raises(InvalidInput):
        trust.check_request(pem(x509.load_der_x509_csr(bytes(der))))


@pytest.mark.parametrize("kind", ["ed25519", "p384"])
def test_a_request_for_another_kind_of_key_is_refused(kind):
    built = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if kind == "ed25519":
        made = built.sign(ed25519.Ed25519PrivateKey.generate(), None)
    else:
        made = built.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256())
    with pytest.raises(InvalidInput, match="P-256"):
        trust.check_request(pem(made))


@pytest.mark.parametrize("text", ["", "x", "é", "-----BEGIN CERTIFICATE-----\nAA\n", "a" * 20_000])
def test_what_is_no_certificate_is_refused(text):
    for read in (trust.check_request, trust.pin, trust.split, trust.holder, trust.life_of):
        with pytest.raises(InvalidInput):
            read(text)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=300))
def test_no_text_makes_a_reader_fail_in_another_way(text):
    for read in (trust.check_request, trust.split, trust.holder):
        with pytest.raises(InvalidInput):
            read(text)


def test_a_root_names_its_cluster_and_a_leaf_does_not():
    assert trust.cluster_of(OURS.root) == OURS.name
    with pytest.raises(InvalidInput, match="names no cluster"):
        trust.cluster_of(CHAIN)


def test_a_bundle_is_split_in_its_order():
    assert trust.split(OURS.root + OTHERS.root) == (OURS.root, OTHERS.root)


def test_a_proof_is_good_for_its_words_and_its_key_only():
    csr, other = trust.request(OURS.key()), trust.request(OURS.key())
    proof = trust.prove(KEY, holder=trust.holder(CHAIN), nonce=b"n", csr=csr)
    trust.check_proof(CHAIN, proof, nonce=b"n", csr=csr)
    for chain, nonce, asked in (
        (CHAIN, b"m", csr),
        (CHAIN, b"n", other),
        (OURS.node()[0], b"n", csr),
    ):
        with pytest.raises(Denied, match="key"):
            trust.check_proof(chain, proof, nonce=nonce, csr=asked)


def test_a_proof_for_another_node_of_the_same_key_is_refused():
    csr = trust.request(KEY)
    others = OURS.chain(csr, NodeId("nd_" + "c" * 26))
    proof = trust.prove(KEY, holder=trust.holder(others), nonce=b"n", csr=csr)
    with pytest.raises(Denied):
        trust.check_proof(CHAIN, proof, nonce=b"n", csr=csr)


def test_a_certificate_with_foreign_names_only_is_no_nodes():
    key = ec.generate_private_key(ec.SECP256R1())
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(moment)
        .not_valid_after(moment + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://x/other/y")]),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    with pytest.raises(InvalidInput, match="names no node"):
        trust.holder(pem(made))
