"""NAME keeps the contract of every connector."""

from __future__ import annotations

import json
from typing import Any

from MODULE.connector import CONNECTOR
from MODULE.simulator import Simulated

from noria.connectors.registry import add
from noria.metadata.clock import FakeClock
from noria.testing import ConnectorContract, Reads, System, Writes

add(CONNECTOR)


class TestContract(ConnectorContract):
    connector = "NAME"

    def system(self, clock: FakeClock) -> System:
        made = Simulated(app_key="key", app_secret="hush-hush-1", clock=clock.steady)

        def table(url: str) -> dict[str, Any]:
            return {"base_url": url, "app_key": "key", "app_secret": "hush-hush-1"}

        return System(
            simulator=made,
            table=table,
            wrong={"app_secret": "not-the-secret-1"},
            secrets=("hush-hush-1", "not-the-secret-1", "NAME-token-"),
            reads=Reads(
                metadata={"api": "/items", "id": "id", "number": "name", "idCheck": True},
                truth=lambda: {str(row["id"]): json.dumps(row) for row in made.items},
                path="/items",
                grow=lambda: made.items.insert(0, {"id": len(made.items), "name": "新", "price": "1"}),
            ),
            writes=Writes(
                metadata={
                    "api": "/items/batch",
                    "method": "POST",
                    "request": [
                        {"field": "id", "value": "{{id}}"},
                        {"field": "name", "value": "{{name}}"},
                        {"field": "amount", "value": "{{amount}}"},
                        {"field": "code", "value": "{{code}}"},
                    ],
                },
                stored=lambda: made.stored,
                path="/items/batch",
                refuse=lambda ids: made.faults.add(
                    {"kind": "reject", "path": "/items/batch", "times": None, "ids": ids, "message": "no such item"}
                ),
                refusal="no such item",
            ),
            names_waits=False,
            limited=lambda: sum("42901" in one for one in made.refused),
        )
