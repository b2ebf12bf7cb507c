"""What a connection has to remember from process to process, such as a token that a vendor has replaced.

It is kept sealed with a secret of the connection: who has the ledger and not the secret can read nothing of it.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class Keeper(Protocol):
    """Where it is kept (see `noria.ledger.memories`)."""

    def of(self, name: str) -> bytes | None:
        """What is kept under a name."""

    def keep(self, name: str, sealed: bytes) -> None:
        """Keep this, whatever was kept before."""


class InMemory:
    """Kept until the process ends: for a connection that is only tried."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def of(self, name: str) -> bytes | None:
        """What is kept under a name."""
        return self._kept.get(name)

    def keep(self, name: str, sealed: bytes) -> None:
        """Keep this, whatever was kept before."""
        self._kept[name] = sealed


class Memory:
    """One connection's memory. `name`: the connection's."""

    def __init__(self, name: str, keeper: Keeper) -> None:
        self.name = name
        self._keeper = keeper

    def read(self, secret: str) -> dict[str, str]:
        """What was written with this secret; nothing where that was another, or nothing ever was."""
        sealed = self._keeper.of(self.name)
        if sealed is None:
            return {}
        try:
            text = self._cipher(secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], self.name.encode())
        except InvalidTag:
            return {}
        return msgspec.json.decode(text, type=dict[str, str])

    def write(self, secret: str, values: dict[str, str]) -> None:
        """Keep these, and nothing else, for whoever has the secret."""
        nonce = os.urandom(_NONCE)
        sealed = self._cipher(secret).encrypt(nonce, msgspec.json.encode(values), self.name.encode())
        self._keeper.keep(self.name, nonce + sealed)

    @staticmethod
    def _cipher(secret: str) -> AESGCM:
        return AESGCM(sha256(f"noria keeps {secret}".encode()).digest())
