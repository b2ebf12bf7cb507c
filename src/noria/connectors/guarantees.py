"""What a connector can promise about records: how a send in doubt is settled, how a list is read without gaps."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from noria.connectors.declaration import Connector
from noria.connectors.settings import HttpSettings, Write
from noria.connectors.target import Target
from noria.messages import Message, t


@dataclass(frozen=True)
class Guarantee:
    """One promise: its name in the catalogue (`guarantee.<name>`), whether it holds ("yes", or "setting" where a
    connection's settings decide), and how."""

    name: str
    holds: str
    how: Message

    def words(self) -> tuple[str, str, str]:
        """The same in the reader's language."""
        return t(f"guarantee.{self.name}"), t(f"guarantee.holds_{self.holds}"), str(self.how)


def guarantees(connector: Connector) -> list[Guarantee]:
    """The promises of a connector with its default settings."""
    if connector.inside:
        return [Guarantee("order", "yes", Message("guarantee.order_how"))]
    needed = {one.encode_name: "x" for one in msgspec.structs.fields(connector.settings_type) if one.required}
    given = {**needed, "connector": connector.name, "base_url": "http://localhost"}
    settings = connector.to_http(msgspec.convert(given, connector.settings_type))
    found = [*(_writing(connector, settings) if connector.writes else []), *_reading(settings)]
    if connector.reached is not None:
        # How HTTP is spoken says nothing of it.
        found = [one for one in found if one.name in ("on_doubt", "order")]
    own = [Guarantee(name, holds, Message(how)) for name, (holds, how) in connector.promises.items()]
    return [*own, *(one for one in found if one.name not in connector.promises)]


def _writing(connector: Connector, settings: HttpSettings) -> list[Guarantee]:
    write = settings.write
    key = write.idempotency_header or write.idempotency_field
    keys = Message("guarantee.keys_how", {"header": key or "write.idempotency_header"})
    asks = connector.target_type.has is not Target.has or any(one.verify for one in connector.endpoints)
    own = Message("guarantee.verify_own")
    verify = own if asks else Message("guarantee.verify_how", {"api": _verifying(write)})
    found = [
        Guarantee("keys", "yes" if key else "setting", keys),
        Guarantee("verify", "yes" if write.verify or asks else "setting", verify),
        Guarantee("on_doubt", "yes", Message("guarantee.on_doubt_how")),
        Guarantee("results", "yes" if write.results else "setting", Message("guarantee.results_how")),
        Guarantee("bisect", "yes" if write.batch_size > 1 else "setting", Message("guarantee.bisect_how")),
        Guarantee("order", "yes", Message("guarantee.order_how")),
        Guarantee(
            "reconcile", "yes" if write.listing or write.verify else "setting", Message("guarantee.reconcile_how")
        ),
    ]
    upserts = Guarantee("upsert", "yes", Message("guarantee.upsert_how"))
    return [upserts, *found] if connector.upserts else found


def _verifying(write: Write) -> str:
    return write.verify.api if write.verify else "write.verify"


def _reading(settings: HttpSettings) -> list[Guarantee]:
    paging = settings.paging
    kind = "guarantee.cursor_how" if paging.type in ("cursor", "link") else "guarantee.pages_how"
    codes = ", ".join(map(str, paging.restart))
    restart = Message("guarantee.restart_how", {"codes": codes or "paging.restart"})
    return [
        Guarantee("paging", "yes" if paging.type != "none" else "setting", Message(kind)),
        Guarantee("restart", "yes" if codes or paging.type in ("cursor", "link") else "setting", restart),
    ]
