"""Makes certificates: a self-signed one for a listener, and a small private authority with those that it issues."""

import datetime
import hashlib
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SERVER_DAYS = 3650
_CLIENT_DAYS = 825
# clocks of small machines run late at boot
_CLOCK_SLACK = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, as PEM."""

    cert_pem: bytes
    key_pem: bytes

    @property
    def fingerprint(self) -> str:
        """What tells this certificate from every other: "sha256:" and 64 hexadecimal digits."""
        return fingerprint(self.cert_pem)

    def write(self, cert_path: Path, key_path: Path) -> None:
        """Write both files; only their owner may read the key."""
        key_path.unlink(missing_ok=True)
        descriptor = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.key_pem)
        cert_path.write_bytes(self.cert_pem)


def fingerprint(cert: bytes) -> str:
    """The fingerprint of the first certificate in `cert`, PEM or DER."""
    der = cert
    if b"-----BEGIN" in cert:
        der = x509.load_pem_x509_certificate(cert).public_bytes(serialization.Encoding.DER)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def self_signed(hosts: Sequence[str]) -> Certificate:
    """A server certificate for these names and addresses, its own authority: clients take it by its fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(hosts[0])
    builder = _builder(name, name, key.public_key(), _SERVER_DAYS).add_extension(
        _alternative_names(hosts), critical=False
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign=True, certify=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return _finish(builder, key, key)


class Authority:
    """A private authority: issues client certificates, and server certificates for machines that share it."""

    def __init__(self, certificate: Certificate) -> None:
        """Go on with an authority that was made earlier."""
        self.certificate = certificate
        self._issuer = x509.load_pem_x509_certificate(certificate.cert_pem)
        key = serialization.load_pem_private_key(certificate.key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the authority's key is not an elliptic curve key")
        self._key = key

    @classmethod
    def create(cls, name: str) -> "Authority":
        """A new authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), _name(name), key.public_key(), _SERVER_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(sign=False, certify=True), critical=True)
        return cls(_finish(builder, key, key))

    def issue_client(self, identity: str) -> Certificate:
        """A certificate for a controller; `identity` becomes its common name."""
        return self._issue(identity, ExtendedKeyUsageOID.CLIENT_AUTH, None, _CLIENT_DAYS)

    def issue_server(self, hosts: Sequence[str]) -> Certificate:
        """A certificate for a listener with these names and addresses."""
        return self._issue(hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, _alternative_names(hosts), _SERVER_DAYS)

    def _issue(
        self,
        common_name: str,
        purpose: x509.ObjectIdentifier,
        alternative_names: x509.SubjectAlternativeName | None,
        days: int,
    ) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(common_name), self._issuer.subject, key.public_key(), days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(sign=True, certify=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if alternative_names:
            builder = builder.add_extension(alternative_names, critical=False)
        return _finish(builder, key, self._key)


def _name(common_name: str) -> x509.Name:
    # X.520 allows a common name 64 characters; the whole text of a longer host is among the alternative names
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _alternative_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _CLOCK_SLACK).not_valid_after(now + datetime.timedelta(days=days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*, sign: bool, certify: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        key_cert_sign=certify,
        crl_sign=certify,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _finish(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> Certificate:
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    certificate = builder.add_extension(authority_id, critical=False).sign(signer, hashes.SHA256())
    return Certificate(
        cert_pem=certificate.public_bytes(serialization.Encoding.PEM),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
