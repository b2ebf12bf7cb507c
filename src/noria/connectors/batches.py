"""Writing to systems that want an array under its key, also of one row only."""

from __future__ import annotations

from noria.connectors.target import Target


class Batches(Target):
    """A way into such a system; where no key is declared, bodies are as elsewhere."""

    @property
    def alone(self) -> bool:
        """Never under a key."""
        return super().alone and not self.write.batch_key
