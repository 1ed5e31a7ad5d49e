"""A cluster's certificates for tests: one authority, a listener's and any number of nodes'."""

import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from littoral.domain.link import Shown

NAME = "control.test.internal"
LONG = dt.timedelta(days=36_500)


@dataclass(frozen=True)
class Span:
    begin: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    end: dt.datetime = dt.datetime(2126, 1, 1, tzinfo=dt.UTC)


class Cluster:
    """An authority that signs what a test asks for."""

    def __init__(self, name: str = "test") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.serial = 1
        self.root = (
            self._begin(self.subject, self.key, Span())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def _begin(self, subject, key, span: Span) -> x509.CertificateBuilder:
        self.serial += 1
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(self.serial)
            .not_valid_before(span.begin)
            .not_valid_after(span.end)
        )

    def control(self, span: Span | None = None) -> Shown:
        return self._leaf([x509.DNSName(NAME)], ExtendedKeyUsageOID.SERVER_AUTH, span)

    def node(self, node: str, span: Span | None = None) -> Shown:
        names = [
            x509.UniformResourceIdentifier(f"spiffe://test/node/{node}"),
            x509.DNSName(f"{node.replace('_', '-')}.nodes.test.internal"),
        ]
        return self._leaf(names, ExtendedKeyUsageOID.CLIENT_AUTH, span)

    def _leaf(self, names, usage, span) -> Shown:
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            self._begin(x509.Name([]), key, span or Span())
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return Shown(chain=pem(made), key=secret.decode(), roots=pem(self.root))


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
