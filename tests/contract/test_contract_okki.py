"""小满 OKKI keeps the contract: its paged list of orders, with amounts to the last digit, and its pushes of orders.

Every other list is read whole through a plan, and every other push made through one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from noria.connectors.declaration import Endpoint
from noria.connectors.okki import OKKI, SCOPES
from noria.engine import Workspace, reconcile_plan
from noria.engine.sweep import sweep_of
from noria.metadata.clock import FakeClock
from noria.metadata.documents import Item, Metadata
from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.okki_facts import Operation, facts
from noria.simulators.server import serve
from noria.simulators.wire import encoded
from noria.testing import ConnectorContract, Reads, System, Writes
from noria.testing.trial import Trial, giving, trial

SECRET = "hush-hush-okki"
PUSH = "/v1/invoices/order/push"
OPERATIONS = {(one.method, one.path): one for one in facts().endpoints}
# What a selector or query has to be asked for.
ASKED = {
    "/v1/company/fields/selector": {"field": "trail_status"},
    "/v1/invoices/quotation/fields/selector": {"field": "status"},
    "/v1/opportunity/fields/selector": {"field": "sales_flow"},
    "/v1/company/query": {"word": "公司"},
    "/v1/report/info": {"key": "xs1", "start_date": "2024-01-01", "end_date": "2024-02-01"},
    "/v1/product/productEnums": {"field": "unit_list"},
}
LISTS = [one for one in OKKI.endpoints if one.reads in ("list", "array") and "/subscribe" not in one.path]
SINGLE = [one for one in OKKI.endpoints if one.reads == "one" and one.path.endswith(("/info", "Info", "Enums"))]
WRITES = [one for one in OKKI.endpoints if one.keys is not None]
PUSHES = [one for one in WRITES if OPERATIONS[one.method, one.path].does == "push"]
REMOVALS = [one for one in WRITES if one not in PUSHES]


def simulated(clock: FakeClock, **sizes: int) -> Okki:
    """An account on the clock of a test."""
    none = {"users": 0, "departments": 1, "companies": 0, "orders": 0, "leads": 0, "invalid": 0}
    account = make_account(5, **{**none, **sizes})
    return Okki(account, client_secret=SECRET, now=clock.now, clock=clock.steady, sleep=clock.sleep)


def table(url: str) -> dict[str, Any]:
    """A connection to it, for everything."""
    scope = f"{SCOPES} supplier report"
    return {
        "connector": "okki",
        "base_url": url,
        "client_id": "demo-client",
        "client_secret": SECRET,
        "scope": scope,
    }


class TestOkki(ConnectorContract):
    connector = "okki"

    def system(self, clock: FakeClock) -> System:
        okki = simulated(clock, users=9, departments=4, orders=130)
        account = okki.account
        okki.mutate("update", "orders", account.rows("orders")[3]["order_id"], {"name": "订单 😀 مرحبا"})
        okki.mutate("update", "orders", account.rows("orders")[7]["order_id"], {"amount": 90071992547409931})

        def stored() -> dict[str, tuple[int, Any]]:
            found = okki.api.books.stored.values()
            return {one.row["order_no"]: (one.times, json.loads(encoded(one.row), parse_float=str)) for one in found}

        return System(
            simulator=okki,
            table=table,
            wrong={"client_secret": "not-the-secret-1"},
            secrets=(SECRET, "not-the-secret-1", "eyJ0eXAiOiJKV1QifQ"),
            reads=Reads(
                metadata={
                    "api": "/v1/invoices/order/list",
                    "id": "order_id",
                    "number": "order_no",
                    "idCheck": True,
                    "request": [{"field": "start_index", "value": "1"}, {"field": "count", "value": "50"}],
                },
                truth=lambda: {str(row["order_id"]): encoded(row) for row in account.truth("orders")},
                path="/v1/invoices",
                grow=lambda: okki.mutate("insert", "orders", None, {"name": "新订单"}),
            ),
            writes=Writes(
                metadata={
                    "api": PUSH,
                    "method": "POST",
                    "request": [
                        {"field": "order_no", "value": "{{id}}"},
                        {"field": "currency", "value": "USD"},
                        {"field": "name", "value": "{{name}}"},
                        {"field": "amount", "value": "{{amount}}"},
                        {"field": "opportunity_id", "type": "int", "value": "{{code}}"},
                    ],
                },
                stored=stored,
                path=PUSH,
                refuse=lambda ids: okki.faults.add(
                    {"kind": "reject", "path": PUSH, "times": None, "ids": ids, "message": "单据被锁定，无法操作"}
                ),
                refusal="单据被锁定",
                batch=1,
            ),
        )


@asynccontextmanager
async def reading(okki: Okki, clock: FakeClock, metadata: dict[str, Any]) -> AsyncIterator[Trial]:
    """A plan that reads, and writes nowhere."""
    async with serve(okki) as running:
        with trial(clock, {"system": table(running.url), "inside": {"connector": "noria"}}) as tried:
            tried.plan(("system", metadata), ("inside", {"api": "写入空操作"}), {})
            yield tried


def asked(path: str, more: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """A plan's request."""
    return [{"field": name, "value": value} for name, value in {**ASKED.get(path, {}), **(more or {})}.items()]


@pytest.mark.parametrize("endpoint", LISTS, ids=lambda one: one.path)
async def test_every_list_is_read_whole(endpoint: Endpoint) -> None:
    """Three pages of it, where it has pages; each row as the account has it."""
    clock = FakeClock()
    okki = simulated(clock, users=7, departments=3, companies=25, orders=25, leads=25, others=25)
    operation = OPERATIONS[endpoint.method, endpoint.path]
    paged = "start_index" in endpoint.parameters
    request = asked(endpoint.path, {"start_index": "1", "count": "10"} if paged else {})
    body = ASKED.get(endpoint.path, {})
    truth = okki.api.report(body) if operation.does == "report" else okki.api.listed(operation, body)
    key = endpoint.id or next((name for name in ("sku_id", "status_id", "id") if name in truth[0]), "")
    metadata = {"api": endpoint.path, "method": endpoint.method, "id": key, "number": endpoint.number or key}
    async with reading(okki, clock, {**metadata, "request": request}) as tried:
        finished = await tried.run()
        assert finished.status == "done", str(finished.error)
        rows = {key: json.loads(raw, parse_float=str) for key, raw in tried.raws().items()}
    assert okki.refused == []
    assert len(truth) == len(rows) > 1
    assert rows == {str(row[key]): json.loads(encoded(row), parse_float=str) for row in truth}
    if paged:
        assert len(truth) == 25 and okki.requests[f"GET {endpoint.path}"] == 3


@pytest.mark.parametrize("endpoint", SINGLE, ids=lambda one: one.path)
async def test_every_single_record_is_read(endpoint: Endpoint) -> None:
    """By its id, or, of lists of choices, by nothing."""
    clock = FakeClock()
    okki = simulated(clock, users=2, departments=2, companies=2, orders=2, leads=2, others=2)
    operation = OPERATIONS[endpoint.method, endpoint.path]
    row = okki.account.rows(operation.of)[1] if operation.of else {}
    by = next((one for one in operation.parameters if operation.column(one) == endpoint.id), "")
    request = asked(endpoint.path, {by: str(row[endpoint.id])} if by else {})
    # Of choices, the first one's code is as good an id as any.
    key = endpoint.id or f"{next(iter(operation.lists))}.0.code"
    metadata = {"api": endpoint.path, "id": key, "number": key, "request": request}
    async with reading(okki, clock, metadata) as tried:
        finished = await tried.run()
        assert finished.status == "done", str(finished.error)
        (raw,) = tried.raws().values()
    assert okki.refused == []
    found = json.loads(raw)
    assert str(found[endpoint.id]) == str(row[endpoint.id]) if by else found.keys() <= operation.lists.keys()


def sample(kind: Any) -> Any:
    """A value of a documented type."""
    if isinstance(kind, list):
        return [sample(kind[0])]
    if isinstance(kind, dict):
        return {name.rstrip("*"): sample(inner) for name, inner in kind.items()}
    kinds = {"integer": 7, "number": 12.5, "boolean": True, "object": {}, "any": 1, "string": "文本 😀"}
    return kinds.get(kind, kind.split("|")[0])


def made_for(operation: Operation, okki: Okki) -> dict[str, Any]:
    """An object that a push takes: of all documented fields, an id only where the row has to be there."""
    body = {name.rstrip("*"): sample(kind) for name, kind in operation.body.items()}
    own = facts().lists[operation.of]
    for name in list(body):
        if operation.column(name) != own.id or operation.open:
            continue
        if operation.edits:
            body[name] = okki.account.rows(operation.of)[0][own.id]
        else:
            del body[name]
    if operation.belongs:
        body["company_id"] = okki.account.rows("companies")[0]["company_id"]
    return body


async def write(okki: Okki, clock: FakeClock, endpoint: Endpoint, body: dict[str, Any]) -> None:
    """One record, through a plan that names every field."""
    kinds = {str: "string", int: "int", float: "float", list: "array", dict: "object", bool: "bool"}
    async with serve(okki) as running, giving([{"id": "R1", "body": body}]) as url:
        records = {"connector": "http", "base_url": url}
        with trial(clock, {"system": table(running.url), "records": records}) as tried:
            request = [
                {"field": name, "value": f"{{{{body.{name}}}}}", "type": kinds[type(value)]}
                for name, value in body.items()
            ]
            target = {"api": endpoint.path, "request": request}
            tried.plan(("records", {"api": "/records", "id": "id", "number": "id"}), ("system", target), {})
            finished = await tried.run()
            assert finished.status == "done", (str(finished.error), [one["reason"] for one in tried.records()])
    assert okki.refused == []


@pytest.mark.parametrize("endpoint", PUSHES, ids=lambda one: one.path)
async def test_every_push_is_found_again(endpoint: Endpoint) -> None:
    """Every field that is documented, as it was sent; and nothing was refused."""
    clock = FakeClock()
    okki = simulated(clock, users=2, companies=2, orders=2, leads=2, others=2)
    operation = OPERATIONS[endpoint.method, endpoint.path]
    body = made_for(operation, okki)
    assert body.keys() <= endpoint.parameters.keys() and set(endpoint.required) <= body.keys()
    await write(okki, clock, endpoint, body)
    (stored,) = okki.api.books.stored.values()
    row = okki.account.find(operation.of, (own := facts().lists[operation.of]).id, stored.row[own.id])
    assert row == stored.row
    for name, value in body.items():
        if name in operation.adds or operation.column(name) in operation.ids or name in operation.sets:
            continue
        kept = json.loads(encoded(row[operation.column(name)]))
        assert kept == value or str(kept) == str(value), name


@pytest.mark.parametrize("endpoint", REMOVALS, ids=lambda one: one.path)
async def test_every_removal_is_made(endpoint: Endpoint) -> None:
    """As parameters, as a form or as a body, as the vendor wants it; the row is gone and shows among the removed."""
    clock = FakeClock()
    okki = simulated(clock, companies=2, orders=2, leads=2, others=2)
    operation = OPERATIONS[endpoint.method, endpoint.path]
    own, kept = facts().lists[operation.of], okki.account.rows(operation.of)
    if operation.public:
        okki.mutate("update", operation.of, kept[1][own.id], {"user_id": "0"})
    body = {name.rstrip("*"): sample(kind) for name, kind in (operation.body or operation.parameters).items()}
    body |= {name: kept[1][operation.column(name)] for name in body if operation.column(name) in (own.id, own.number)}
    await write(okki, clock, endpoint, body)
    assert okki.account.rows(operation.of) == kept[:1]
    listing = next((one for one in facts().endpoints if one.does == "page" and one.of == operation.of), None)
    if listing is not None and "removed" in listing.parameters:
        assert [row[own.id] for row in okki.api.listed(listing, {"removed": "1"})] == [kept[1][own.id]]


@pytest.mark.parametrize(
    ("api", "field", "missing"),
    [
        (PUSH, "order_no", set()),
        (PUSH, "12345678", set()),
        (PUSH, "order_nr", {"order_nr"}),
        ("/v1/lead/push", "order_no", {"order_no", "name"}),
    ],
)
def test_fields_that_the_vendor_does_not_have_are_told(api: str, field: str, missing: set[str]) -> None:
    names = [field, "currency", "users.0.rate"] if api == PUSH else [field]
    metadata = Metadata(api=api, method="POST", request=[Item(field=one) for one in names])
    settings = OKKI.settings({"client_id": "x", "client_secret": "y"})
    problems = OKKI.plan_problems(metadata, settings, "$.target.metadata", "target")
    assert {one.message.values["field"] for one in problems} == missing
    assert all(one.severity == "warning" for one in problems)


LEAD, PURCHASE = "/v1/lead/push", "/v1/purchaseOrder/push"
FOUND = {"purchase_order_no": "P-1", "supplier_id": 7, "currency": "USD", "amount": 5}


@pytest.mark.parametrize(
    ("api", "body", "when", "state", "sent", "made"),
    [
        # Without an id or a number it is made anew each time it is sent.
        (LEAD, {"name": "新"}, "after", "held", 1, 1),
        ("/v1/company/pushTag", {"tag_name": "新"}, "after", "held", 1, 1),
        ("/v1/dynamic/trail/push", {"company_id": 1, "content": "新"}, "before", "held", 1, 0),
        # With its id it is asked for, and is an edit when it is sent again; where it can't be asked for, it is sent.
        (LEAD, {"lead_id": 3_000_000_001, "name": "改"}, "after", "delivered", 1, 0),
        (LEAD, {"lead_id": 3_000_000_001, "name": "改"}, "before", "delivered", 2, 0),
        ("/v1/company/pushTag", {"tag_id": 27_000_000_001, "tag_name": "改"}, "after", "delivered", 2, 0),
        ("/v1/product/push-inventory", {"sku_id": 5, "enable_count": 1}, "after", "delivered", 2, 1),
        # By its number it is found, and never made again because it shows otherwise.
        (PURCHASE, FOUND, "after", "delivered", 1, 1),
        (PURCHASE, FOUND, "before", "delivered", 2, 1),
        (PURCHASE, {**FOUND, "remark": "shows as it pleases"}, "after", "delivered", 1, 1),
    ],
)
async def test_a_push_in_doubt(api: str, body: dict[str, Any], when: str, state: str, sent: int, made: int) -> None:
    """Never does it make a second record, whatever `on_doubt` says."""
    clock = FakeClock()
    okki = simulated(clock, leads=3, others=3)
    okki.account.told = lambda change, row: row.update(remark="otherwise") if "remark" in row else None
    okki.faults.add({"kind": "cut", "when": when, "path": api})
    async with serve(okki) as running, giving([{"id": "R1", "body": body}]) as url:
        records = {"connector": "http", "base_url": url}
        with trial(clock, {"system": table(running.url), "records": records}) as tried:
            request = [{"field": name, "value": f"{{{{body.{name}}}}}"} for name in body]
            source = {"api": "/records", "id": "id", "number": "id"}
            tried.plan(("records", source), ("system", {"api": api, "request": request}), {})
            for _ in range(2):
                await tried.run()
                clock.time += 7200
            assert [one["state"] for one in tried.records()] == [state]
    assert okki.requests[f"POST {api}"] == sent
    assert [one.op for one in okki.account.journal].count("insert") == made


@pytest.mark.parametrize(("api", "found"), [(PUSH, (1, 0, 0)), (LEAD, (0, 0, 1)), ("gone", (0, 1, 0))])
async def test_a_reconciliation_asks_for_what_it_can(api: str, found: tuple[int, int, int]) -> None:
    """An order by its number, there or not; a lead that was sent without its id can't be asked for."""
    clock = FakeClock()
    okki = simulated(clock)
    body = {"name": "新"} if api == LEAD else {"order_no": "N-1", "currency": "USD"}
    async with serve(okki) as running, giving([{"id": "R1", "body": body}]) as url:
        records = {"connector": "http", "base_url": url}
        with trial(clock, {"system": table(running.url), "records": records}) as tried:
            request = [{"field": name, "value": f"{{{{body.{name}}}}}"} for name in body]
            source = {"api": "/records", "id": "id", "number": "id"}
            target = {"api": LEAD if api == LEAD else PUSH, "request": request}
            tried.plan(("records", source), ("system", target), {})
            assert (await tried.run()).status == "done"
            if api == "gone":
                okki.mutate("delete", "orders", okki.account.rows("orders")[0]["order_id"], {})
            async with Workspace(tried.project, clock=clock) as workspace:
                plan = workspace.project.plan("contract")
                wanted = sweep_of(plan, clock.now(), whole=True)
                made = (await reconcile_plan(workspace, plan, wanted=wanted, fixes=False))[1]
    assert made.in_target is not None
    assert (made.target, made.in_target.counts["missing"], made.uncompared) == found
