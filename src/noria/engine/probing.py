"""Whether a connection works: before any plan uses it."""

from __future__ import annotations

from noria.connectors.connection import Connection
from noria.connectors.failures import Failure
from noria.messages import Message


async def probe(connection: Connection) -> Message:
    """Ask a system for a token, where it gives out such, and for its first address. Says what came of it; raises
    `Failure` where nothing is there or the credentials are refused."""
    transport = connection.transport
    token = await transport.token("")
    try:
        answer = await transport.send("GET", "")
    except Failure as failure:
        # It is there: what it answers to an address that no plan asks for says nothing else.
        if failure.status is None or failure.kind not in ("permanent", "throttled"):
            raise
        status = failure.status
    else:
        status = answer.status
    return Message("probe.token" if token else "probe.there", {"status": status})
