"""Amazon SNS over HTTPS: who signed what it POSTs, and the confirmation of a subscription.

Written from its documentation; other verifiers that were read agree on what is signed. A notification is signed with
an RSA key whose certificate is at an https URL of SNS's own; that URL is checked before anybody fetches it. Version 1
signs with SHA-1, version 2 with SHA-256.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from postdate.connectors.providers.contract import NeedsDocument, Untrusted
from postdate.core.instant import Instant

_HOST: Final = r"https://sns\.[a-z0-9-]{3,32}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE: Final = re.compile(_HOST + r"/[A-Za-z0-9_-]{1,128}\.pem")
_CONFIRMATION: Final = re.compile(_HOST + r"/\?Action=ConfirmSubscription&[!-\"$-~]{1,2048}")
_HASHES: Final = {"1": SHA1, "2": SHA256}
_NOTIFIED: Final = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_ASKED: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# What is signed is a text of lines: no value but the message itself may hold one.
_Short = Annotated[str, msgspec.Meta(max_length=4096, pattern=r"^[^\x00-\x1f\x7f]*\Z")]


class Envelope(msgspec.Struct, frozen=True):
    """What SNS POSTs; `Message` is what was published."""

    Type: _Short
    MessageId: _Short
    TopicArn: _Short
    Message: Annotated[str, msgspec.Meta(max_length=262_144)]
    Timestamp: _Short
    SignatureVersion: _Short
    Signature: _Short
    SigningCertURL: _Short
    Subject: _Short | None = None
    SubscribeURL: _Short | None = None
    Token: _Short | None = None

    @property
    def account(self) -> str:
        """The AWS account whose topic it is, "" where the ARN names none."""
        parts = self.TopicArn.split(":")
        return parts[4] if len(parts) == 6 and parts[:3:2] == ["arn", "sns"] else ""

    @property
    def is_notification(self) -> bool:
        """Whether it carries what was published; else it is about the subscription itself."""
        return self.Type == "Notification"


def check(envelope: Envelope, documents: Mapping[str, bytes], at: Instant) -> None:
    """Return if SNS signed it; else raise Untrusted, or NeedsDocument while the certificate is not at hand."""
    url = envelope.SigningCertURL
    if not _CERTIFICATE.fullmatch(url):
        raise Untrusted("The notification's certificate is not at a place of Amazon SNS.")
    made_with = _HASHES.get(envelope.SignatureVersion)
    if made_with is None:
        raise Untrusted("The notification is signed in a way that is not known.")
    if url not in documents:
        raise NeedsDocument(url)
    key = _key(documents[url], at)
    try:
        key.verify(base64.b64decode(envelope.Signature, validate=True), _signed(envelope), PKCS1v15(), made_with())
    except (InvalidSignature, binascii.Error, ValueError):
        raise Untrusted("The notification is not signed by Amazon SNS.") from None


def confirmation(envelope: Envelope) -> str | None:
    """Return the URL to GET that confirms a subscription, None where nothing is to be confirmed; or Untrusted."""
    if envelope.Type != "SubscriptionConfirmation":
        return None
    if envelope.SubscribeURL is None or not _CONFIRMATION.fullmatch(envelope.SubscribeURL):
        raise Untrusted("The subscription cannot be confirmed at a place of Amazon SNS.")
    return envelope.SubscribeURL


def _key(document: bytes, at: Instant) -> RSAPublicKey:
    try:
        certificate = x509.load_pem_x509_certificate(document)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise Untrusted("The certificate of Amazon SNS cannot be read.") from None
    now = _EPOCH + timedelta(microseconds=at)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Untrusted("The certificate of Amazon SNS is not valid now.")
    if not isinstance(key, RSAPublicKey):
        raise Untrusted("The certificate of Amazon SNS is of another kind.")
    return key


def _signed(envelope: Envelope) -> bytes:
    names = _NOTIFIED if envelope.is_notification else _ASKED
    fields = ((name, getattr(envelope, name)) for name in names)
    return "".join(f"{name}\n{value}\n" for name, value in fields if value is not None).encode()
