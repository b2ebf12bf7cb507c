"""Writing to systems that want an array under its key, also of one row only."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from noria.connectors.target import Target


class Batches(Target):
    """A way into such a system; where no key is declared, bodies are as elsewhere."""

    @property
    def body_path(self) -> str:
        """Under the key."""
        return self.write.batch_key or super().body_path

    def body(self, payloads: Sequence[bytes]) -> bytes:
        """The array, under its key."""
        if not self.write.batch_key:
            return super().body(payloads)
        return b"{" + msgspec.json.encode(self.write.batch_key) + b":[" + b",".join(payloads) + b"]}"
