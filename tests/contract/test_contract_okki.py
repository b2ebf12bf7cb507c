"""小满 OKKI keeps the contract: its paged list of orders, with amounts to the last digit."""

from __future__ import annotations

from noria.metadata.clock import FakeClock
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.wire import encoded
from noria.testing import ConnectorContract, Reads, System


class TestOkki(ConnectorContract):
    connector = "okki"

    def system(self, clock: FakeClock) -> System:
        account = make_account(5, users=9, departments=4, companies=0, orders=130, leads=0, invalid=0)
        okki = Okki(account, client_secret="hush-hush-okki", now=clock.now, clock=clock.steady)
        okki.mutate("update", "orders", account.rows("orders")[3]["order_id"], {"name": "订单 😀 مرحبا"})
        okki.mutate("update", "orders", account.rows("orders")[7]["order_id"], {"amount": 90071992547409931})

        def truth() -> dict[str, str]:
            return {str(row["order_id"]): encoded(row) for row in account.truth("orders")}

        return System(
            simulator=okki,
            table=lambda url: {"base_url": url, "client_id": "demo-client", "client_secret": "hush-hush-okki"},
            wrong={"client_secret": "not-the-secret-1"},
            secrets=("hush-hush-okki", "not-the-secret-1", "eyJ0eXAiOiJKV1QifQ"),
            reads=Reads(
                metadata={
                    "api": "/v1/invoices/order/list",
                    "id": "order_id",
                    "number": "order_no",
                    "idCheck": True,
                    "request": [{"field": "start_index", "value": "1"}, {"field": "count", "value": "50"}],
                },
                truth=truth,
                path="/v1/invoices",
                grow=lambda: okki.mutate("insert", "orders", None, {"name": "新订单"}),
            ),
        )
