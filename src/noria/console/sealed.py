"""Callbacks of 钉钉 and 企业微信: signed with a token, encrypted with a key of 43 characters; answers likewise.

Sources: the vendor's demonstration open-dingtalk/dingtalk-callback-Crypto, and developer.work.weixin.qq.com 90968, as
restated in the project's reference. Lengths are those of bytes, which the demonstration gets wrong.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 32
# What noria needs of 企业微信's XML: without a parser nothing in it can be expanded.
_ENCRYPTED = re.compile(rb"<Encrypt>\s*(?:<!\[CDATA\[)?([A-Za-z0-9+/=]+)(?:\]\]>)?\s*</Encrypt>")


class Unsealed(Exception):
    """A message whose signature or ciphertext is not right."""


@dataclass(frozen=True)
class Seal:
    """What both sides know: the token that signs, the AES key, and whose messages they are (钉钉: AppKey or CorpId;
    企业微信: CorpID; empty: anybody's)."""

    token: str
    key: str
    owner: str

    def opened(self, encrypted: str, stamp: str, nonce: str, signature: str) -> bytes:
        """The message in a ciphertext; raises `Unsealed`."""
        if not hmac.compare_digest(self.sign(stamp, nonce, encrypted).encode(), signature.encode()):
            raise Unsealed("the signature is not that of the message")
        try:
            padded = self._cipher().decryptor().update(base64.b64decode(encrypted, validate=True))
            padding, length = padded[-1], int.from_bytes(padded[16:20], "big")
        except (ValueError, IndexError) as error:
            raise Unsealed(f"can't be decrypted: {type(error).__name__}") from None
        plain = padded[:-padding]
        message, owner = plain[20 : 20 + length], plain[20 + length :]
        whole = 1 <= padding <= _BLOCK and padded.endswith(bytes([padding]) * padding) and len(message) == length
        if not whole or (self.owner and owner != self.owner.encode()):
            raise Unsealed("can't be decrypted, or is another's")
        return message

    def sealed(self, message: str) -> str:
        """The ciphertext of a message."""
        plain = message.encode()
        body = os.urandom(16) + len(plain).to_bytes(4, "big") + plain + self.owner.encode()
        padding = _BLOCK - len(body) % _BLOCK
        return base64.b64encode(self._cipher().encryptor().update(body + bytes([padding]) * padding)).decode()

    def sign(self, stamp: str, nonce: str, encrypted: str) -> str:
        """The signature of a ciphertext."""
        joined = "".join(sorted((self.token, stamp, nonce, encrypted)))
        return hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()

    def _cipher(self) -> Cipher[modes.CBC]:
        key = base64.b64decode(self.key + "=", validate=True)
        return Cipher(algorithms.AES256(key), modes.CBC(key[:16]))


def given(query: Mapping[str, str]) -> tuple[str, str, str]:
    """Signature, time and nonce of a request, under the names that each vendor uses."""
    signature = query.get("msg_signature") or query.get("signature") or ""
    return signature, query.get("timestamp") or query.get("timeStamp") or "", query.get("nonce") or ""


def in_json(body: bytes) -> str:
    """钉钉's ciphertext; raises `Unsealed`."""
    try:
        return str(msgspec.json.decode(body, type=dict[str, str])["encrypt"])
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        raise Unsealed("there is no encrypt") from None


def in_xml(body: bytes) -> str:
    """企业微信's ciphertext; raises `Unsealed`."""
    found = _ENCRYPTED.search(body)
    if found is None:
        raise Unsealed("there is no Encrypt")
    return found[1].decode()


def as_json(seal: Seal, message: str, stamp: str, nonce: str) -> dict[str, str]:
    """钉钉's answer."""
    encrypted = seal.sealed(message)
    return {
        "msg_signature": seal.sign(stamp, nonce, encrypted),
        "encrypt": encrypted,
        "timeStamp": stamp,
        "nonce": nonce,
    }
