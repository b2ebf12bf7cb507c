"""Signed and encrypted callbacks of 钉钉 and 企业微信: the vendor's side, made independently of noria's.

Signature: lower-hex SHA-1 of token, timestamp, nonce and ciphertext, sorted and joined. Encryption: AES-256-CBC with
the key of 43 base64 characters, its first 16 bytes as IV, PKCS#7 to blocks of 32; within: 16 bytes of chance, the
message's length in bytes (4, big-endian), the message, the owner's key. (The vendor's demonstration
`open-dingtalk/dingtalk-callback-Crypto`; 企业微信 uses the same scheme.)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK = 32


@dataclass(frozen=True)
class Keys:
    """What both sides know: the token that signs, the AES key (43 characters), whose it is (钉钉: appKey or corpId;
    企业微信: corpid)."""

    token: str
    aes_key: str
    owner: str


@dataclass(frozen=True)
class Callback:
    """A request that the vendor would make: the query and the body."""

    query: dict[str, str]
    body: bytes


def signature(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    """The signature of a ciphertext."""
    joined = "".join(sorted((token, timestamp, nonce, encrypted)))
    return hashlib.sha1(joined.encode(), usedforsecurity=False).hexdigest()


def encrypt(text: str, keys: Keys, chance: bytes | None = None) -> str:
    """The ciphertext of a message, in base64; `chance`: the 16 bytes before it, when a test must know them."""
    message, before = text.encode(), os.urandom(16) if chance is None else chance
    plain = before + len(message).to_bytes(4, "big") + message + keys.owner.encode()
    padding = _BLOCK - len(plain) % _BLOCK
    sealed = _cipher(keys).encryptor().update(plain + bytes([padding]) * padding)
    return base64.b64encode(sealed).decode("ascii")


def decrypt(encrypted: str, keys: Keys) -> str:
    """The message of a ciphertext; raises `ValueError` for one that the vendor would not take."""
    try:
        sealed = base64.b64decode(encrypted, validate=True)
    except binascii.Error as error:
        raise ValueError(f"ciphertext is not base64: {error}") from error
    if not sealed or len(sealed) % _BLOCK:
        raise ValueError(f"ciphertext is not of whole blocks: {len(sealed)} bytes")
    padded = _cipher(keys).decryptor().update(sealed)
    padding = padded[-1]
    if not 1 <= padding <= _BLOCK or padded[-padding:] != bytes([padding]) * padding:
        raise ValueError("padding is not PKCS#7 to 32 bytes")
    plain = padded[:-padding]
    length = int.from_bytes(plain[16:20], "big")
    message, owner = plain[20 : 20 + length], plain[20 + length :]
    if len(message) != length or owner != keys.owner.encode():
        raise ValueError("the length is not the message's in bytes, or the owner's key is another's")
    return message.decode()


def opened(encrypted: str, timestamp: str, nonce: str, signed: str, keys: Keys) -> str:
    """The message of a signed ciphertext; raises `ValueError` where the signature is not right or `decrypt` does."""
    if not hmac.compare_digest(signature(keys.token, timestamp, nonce, encrypted).encode(), signed.encode()):
        raise ValueError("signature does not match")
    return decrypt(encrypted, keys)


def _cipher(keys: Keys) -> Cipher[modes.CBC]:
    if len(keys.aes_key) != 43:
        raise ValueError("the AES key has 43 characters")
    key = base64.b64decode(keys.aes_key + "=")
    return Cipher(algorithms.AES256(key), modes.CBC(key[:16]))
