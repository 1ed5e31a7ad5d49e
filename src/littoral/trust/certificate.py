"""Certificates of a cluster: root, intermediate, those of nodes and of control; all P-256.

Pure: keys are made of bytes that are passed in, so are serials, and the time is an argument.
Certificates and keys are PEM in and out. Signatures are deterministic (RFC 6979).
"""

import datetime as dt
import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from littoral.domain.enrolment import control_host, node_host
from littoral.domain.errors import Denied, InvalidInput
from littoral.domain.ids import NodeId
from littoral.domain.units import DAY_US, Micros

KEY_BYTES: Final = 48
SERIAL_BYTES: Final = 16
ROOT_US: Final = 3650 * DAY_US
INTERMEDIATE_US: Final = 90 * DAY_US
LEAF_US: Final = DAY_US
EARLY_US: Final = 300_000_000
"""A certificate counts from five minutes before it was made: clocks differ."""
MOST_PEM: Final = 16_384
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256."""
_NODE: Final = re.compile(r"spiffe://([a-z0-9_]+)/node/([a-z0-9_]+)")
_PROOF: Final = b"littoral-renew-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A certificate that may sign others, and its key."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """From when until when a certificate counts, and its number."""

    serial: int
    begin_us: Micros
    end_us: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whom a node's certificate names."""

    node: NodeId
    cluster: str
    life: Life


def make_key(noise: bytes) -> str:
    """Make a private key of 48 bytes of entropy (FIPS 186-5, A.2.1: extra random bits).

    Raises:
        ValueError: ``noise`` has another length.
    """
    if len(noise) != KEY_BYTES:
        raise ValueError(f"a key needs {KEY_BYTES} bytes of entropy, got {len(noise)}")
    secret = int.from_bytes(noise, "big") % (_ORDER - 1) + 1
    key = ec.derive_private_key(secret, ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def life(noise: bytes, *, now_us: Micros, us: int) -> Life:
    """A certificate's life from now on; ``noise`` is 16 bytes for its serial number."""
    serial = int.from_bytes(noise[:SERIAL_BYTES], "big") >> 1 | 1
    begin = max(0, now_us - EARLY_US)
    return Life(serial=serial, begin_us=Micros(begin), end_us=Micros(now_us + us))


def root(key: str, *, cluster: str, life: Life) -> str:
    """The certificate that everything in a cluster trusts: signed by itself."""
    private = _private(key)
    name = _name(f"Littoral root of {cluster}", cluster)
    built = _authority(name, private.public_key(), life, length=1)
    return _signed(built.issuer_name(name), private, private.public_key())


def intermediate(key: str, issuer: Issuer, *, cluster: str, life: Life) -> str:
    """The certificate that signs nodes and servers, so that the root's key is rarely opened."""
    name = _name(f"Littoral intermediate of {cluster}", cluster)
    built = _authority(name, _private(key).public_key(), life, length=0)
    return _by(issuer, built)


def request(key: str) -> str:
    """Ask for a certificate of this key: names nobody, control says who it is."""
    built = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    made = built.sign(_private(key), hashes.SHA256(), ecdsa_deterministic=True)
    return made.public_bytes(serialization.Encoding.PEM).decode()


def check_request(csr: str) -> str:
    """Check that a request is whole and its sender has its key; returns the public key's pin.

    Raises:
        InvalidInput: It is not a request for a P-256 key that signs itself.
    """
    return _spki(_requested(csr))


def leaf(csr: str, issuer: Issuer, *, node: NodeId, cluster: str, life: Life) -> str:
    """A node's certificate, for its side of every connection.

    Raises:
        InvalidInput: The request is not a good one.
    """
    names = [
        x509.UniformResourceIdentifier(f"spiffe://{cluster}/node/{node}"),
        x509.DNSName(node_host(node, cluster)),
    ]
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    return _by(issuer, _end(_requested(csr), life, names, uses=uses))


def server(key: str, issuer: Issuer, *, cluster: str, names: Sequence[str], life: Life) -> str:
    """Control's certificate: of its own fixed name, and of the addresses that people call."""
    shown: list[x509.GeneralName] = [x509.DNSName(control_host(cluster))]
    shown.extend(_general(name) for name in dict.fromkeys(names))
    public = _private(key).public_key()
    return _by(issuer, _end(public, life, shown, uses=[ExtendedKeyUsageOID.SERVER_AUTH]))


def pin(certificate: str) -> str:
    """SHA-256 of a certificate's public key (its DER SubjectPublicKeyInfo), hexadecimal."""
    return _spki(_loaded(certificate).public_key())


def pin_of_key(key: str) -> str:
    """The same of a private key: equal where certificate and key belong together."""
    return _spki(_private(key).public_key())


def split(bundle: str) -> tuple[str, ...]:
    """The certificates of a PEM bundle, each for itself.

    Raises:
        InvalidInput: It is too long, or holds something else.
    """
    try:
        found = x509.load_pem_x509_certificates(_bounded(bundle).encode("ascii"))
    except (ValueError, UnicodeError) as error:
        raise InvalidInput(f"not certificates in PEM: {error}") from error
    return tuple(one.public_bytes(serialization.Encoding.PEM).decode() for one in found)


def cluster_of(certificate: str) -> str:
    """The cluster that a root belongs to.

    Raises:
        InvalidInput: The certificate names none.
    """
    named = _loaded(certificate).subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    if len(named) != 1:
        raise InvalidInput("this root certificate names no cluster")
    return str(named[0].value)


def life_of(certificate: str) -> Life:
    """From when until when a certificate counts."""
    return _life_of(_loaded(certificate))


def holder(certificate: str) -> Holder:
    """Whom a node's certificate names; its signature is not looked at.

    Raises:
        InvalidInput: It is no node's certificate.
    """
    return _holder(_loaded(certificate))


def verified(chain: str, roots: str, *, at_us: Micros) -> Holder:
    """Verify a node's chain as of a time, which need not be now.

    Raises:
        InvalidInput: The chain cannot be read or names no node.
        Denied: It does not lead to a root of ours, or did not count then.
    """
    certificates = [_loaded(one) for one in split(chain)]
    found = _holder(certificates[0])
    store = verification.Store([_loaded(one) for one in split(roots)])
    policy = verification.PolicyBuilder().store(store).time(_moment(at_us))
    try:
        policy.build_client_verifier().verify(certificates[0], certificates[1:])
    except verification.VerificationError as error:
        raise Denied("this certificate was not issued by this cluster for that time") from error
    return found


def prove(key: str, *, holder: Holder, nonce: bytes, csr: str) -> bytes:
    """Sign what proves that the sender of a late renewal has the old certificate's key."""
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    return _private(key).sign(_stated(holder, nonce, csr), algorithm)


def check_proof(certificate: str, signature: bytes, *, nonce: bytes, csr: str) -> None:
    """Check what ``prove`` signed.

    Raises:
        InvalidInput: The certificate is no node's.
        Denied: Another key signed, or other words.
    """
    public = _public(_loaded(certificate).public_key())
    stated = _stated(holder(certificate), nonce, csr)
    try:
        public.verify(signature, stated, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Denied("the proof was not signed by this certificate's key") from error


def _stated(holder: Holder, nonce: bytes, csr: str) -> bytes:
    digest = hashlib.sha256(csr.encode()).digest()
    parts = (_PROOF, holder.cluster.encode(), holder.node.encode(), nonce, digest)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _bounded(text: str) -> str:
    if len(text) > MOST_PEM:
        raise InvalidInput(f"{len(text)} characters of PEM; at most {MOST_PEM}")
    return text


def _private(key: str) -> ec.EllipticCurvePrivateKey:
    return cast(
        "ec.EllipticCurvePrivateKey",
        serialization.load_pem_private_key(key.encode(), password=None),
    )


def _public(key: object) -> ec.EllipticCurvePublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidInput("the key must be one of the curve P-256", param="csr")
    return key


def _requested(csr: str) -> ec.EllipticCurvePublicKey:
    try:
        made = x509.load_pem_x509_csr(_bounded(csr).encode("ascii"))
        whole = made.is_signature_valid
    except (ValueError, UnicodeError) as error:
        raise InvalidInput("not a certificate request in PEM", param="csr") from error
    if not whole:
        raise InvalidInput("the certificate request was changed after it was signed", param="csr")
    return _public(made.public_key())


def _loaded(certificate: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_bounded(certificate).encode("ascii"))
    except (ValueError, UnicodeError) as error:
        raise InvalidInput("not a certificate in PEM") from error


def _holder(certificate: x509.Certificate) -> Holder:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise InvalidInput("this certificate names no node") from error
    for name in names.get_values_for_type(x509.UniformResourceIdentifier):
        if found := _NODE.fullmatch(name):
            life = _life_of(certificate)
            return Holder(node=NodeId(found[2]), cluster=found[1], life=life)
    raise InvalidInput("this certificate names no node")


def _life_of(certificate: x509.Certificate) -> Life:
    return Life(
        serial=certificate.serial_number,
        begin_us=_micros(certificate.not_valid_before_utc),
        end_us=_micros(certificate.not_valid_after_utc),
    )


def _spki(key: object) -> str:
    der = _public(key).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def _name(common: str, cluster: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Littoral"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, cluster),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return x509.DNSName(name)


def _moment(us: Micros) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=us // 1_000_000)


def _micros(moment: dt.datetime) -> Micros:
    return Micros(int((moment - _moment(Micros(0))).total_seconds()) * 1_000_000)


def _dated(public: ec.EllipticCurvePublicKey, life: Life) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .public_key(public)
        .serial_number(life.serial)
        .not_valid_before(_moment(life.begin_us))
        .not_valid_after(_moment(life.end_us))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _authority(
    name: x509.Name, public: ec.EllipticCurvePublicKey, life: Life, *, length: int
) -> x509.CertificateBuilder:
    return (
        _dated(public, life)
        .subject_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )


def _end(
    public: ec.EllipticCurvePublicKey,
    life: Life,
    names: Sequence[x509.GeneralName],
    *,
    uses: Sequence[x509.ObjectIdentifier],
) -> x509.CertificateBuilder:
    return (
        _dated(public, life)
        .subject_name(x509.Name([]))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _by(issuer: Issuer, built: x509.CertificateBuilder) -> str:
    above = _loaded(issuer.certificate)
    private = _private(issuer.key)
    return _signed(built.issuer_name(above.subject), private, _public(above.public_key()))


def _signed(
    built: x509.CertificateBuilder,
    private: ec.EllipticCurvePrivateKey,
    above: ec.EllipticCurvePublicKey,
) -> str:
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(above)
    made = built.add_extension(known, critical=False).sign(
        private, hashes.SHA256(), ecdsa_deterministic=True
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()
