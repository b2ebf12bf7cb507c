"""飞书 as its documents say: an application's token, the departments below one, the people of one; strict.

The token is in the project's reference. Everything else is from the vendor's public documents as generally known, and
not in the reference: both contact paths, their parameters (`page_size` 50 at most and 10 if not said, `fetch_child`,
`department_id_type`, `user_id_type`), the fields of departments and people, 99991663 for a bad token, 99991400 (HTTP
429) for too many requests, 10003 and 10014 for a wrong app id and secret, 40001, 40004, 40011, 40012 for a wrong
parameter, department, page size and page token.

Chosen here: errors of contacts come with HTTP 400, those of tokens with 200; a missing token is answered like a bad
one; unknown parameters are ignored; a page token means something only to the very query that it was given for; asking
for a token again gives the same, until a quarter of its life (30 minutes at most) is left: then a new one, and the old
one holds to its end; `order` is a text; a person's `department_ids` are of the type that was asked for.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from noria.simulators import wire
from noria.simulators.arguments import add_staff_arguments, made_of
from noria.simulators.faults import Fault, Faults, Handler
from noria.simulators.pace import Paces
from noria.simulators.server import Simulator
from noria.simulators.staff import ROOT, Person, Unit, below, make_people, make_units
from noria.simulators.tokens import Tokens
from noria.simulators.wire import answer, truth_route

_SIGN_IN = "/open-apis/auth/v3/tenant_access_token/internal"
_CHILDREN = "/open-apis/contact/v3/departments/{department_id}/children"
_PEOPLE = "/open-apis/contact/v3/users/find_by_department"
_DEPARTMENT_TYPES = ("open_department_id", "department_id")
_PERSON_TYPES = ("open_id", "union_id", "user_id")

Row = dict[str, Any]


class Refused(wire.Refused):
    """A request that the vendor would refuse: the code, its text, the HTTP status."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(code, text)
        self.status = status


def _error(refused: Refused) -> web.Response:
    headers = {"x-ogw-ratelimit-limit": "1", "x-ogw-ratelimit-reset": "1"} if refused.status == 429 else None
    return answer({"code": refused.code, "msg": refused.message}, status=refused.status, headers=headers)


def _too_often(_: Fault | None = None) -> Refused:
    return Refused(99991400, "request trigger frequency limit", 429)


def _bad_token(_: Fault | None = None) -> Refused:
    return Refused(99991663, "Invalid access token for authorization. Please make a test attempt with a valid token.")


class Feishu(Simulator):
    """A simulated tenant and one application in it. `departments` (the root, "0", is none of them) and `users` are
    lists that may be changed while it runs.

    `per_second`: calls of one API within a second (0: any number).
    `faults`: `throttle` answers HTTP 429 with 99991400, `expire` 99991663, `business` the fault's code with HTTP 200.
    """

    name = "feishu"

    def __init__(
        self,
        *,
        app_id: str = "cli_demo",
        app_secret: str = "demo-secret",
        users: int = 50,
        departments: int = 12,
        seed: int = 1,
        token_seconds: float = 7200,
        per_second: int = 0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.app_id = app_id
        self.app_secret = app_secret
        self.seed = seed
        self.now = now
        units = make_units(seed, departments)
        self.departments = [_department(unit) for unit in units if unit.number != ROOT]
        self.users = [_user(person) for person in make_people(seed, users, units)]
        self.tokens = Tokens(f"feishu/{seed}", token_seconds, clock)
        self.pace = Paces(per_second, 1.0, clock)
        self._pages: dict[str, tuple[str, int]] = {}
        self.faults = Faults(
            expire=self.tokens.expire,
            throttled=lambda fault: _error(_too_often(fault)),
            denied=lambda fault: _error(_bad_token(fault)),
            business=lambda fault: _error(Refused(fault.code, fault.message, 200)),
        )

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [
            truth_route(lambda kind: self.truth()[kind]),
            web.post(_SIGN_IN, self._token),
            web.get(_CHILDREN, self._api(_CHILDREN, self._children)),
            web.get(_PEOPLE, self._api(_PEOPLE, self._people)),
        ]

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports."""
        return {
            **super().state(),
            "tokens_issued": self.tokens.issued,
            "users": len(self.users),
            "departments": len(self.departments),
        }

    def truth(self) -> dict[str, list[Row]]:
        """Every distinct person and department as the lists show them to who names no type of id."""
        return {
            "users": [self._shown_person(row, _DEPARTMENT_TYPES[0]) for row in self.users],
            "departments": [self._shown_department(row, _DEPARTMENT_TYPES[0]) for row in self.departments],
        }

    # --- tokens and what every request goes through

    async def _token(self, request: web.Request) -> web.Response:
        try:
            body = msgspec.json.decode(await request.read(), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            body = {}
        if not self.pace.takes(_SIGN_IN):
            return self._refuse(request, _too_often())
        if body.get("app_id") != self.app_id:
            return self._refuse(request, Refused(10003, "invalid app_id", 200))
        if body.get("app_secret") != self.app_secret:
            return self._refuse(request, Refused(10014, "app secret invalid", 200))
        token, seconds = self.tokens.give(spare=min(1800.0, self.tokens.seconds / 4))
        return answer({"code": 0, "msg": "ok", "tenant_access_token": f"t-{token}", "expire": seconds})

    def _api(self, api: str, told: Callable[[web.Request], Row]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                kind, _, token = request.headers.get("Authorization", "").partition(" t-")
                if kind != "Bearer" or not self.tokens.holds(token):
                    raise _bad_token()
                if not self.pace.takes(api):
                    raise _too_often()
                return answer({"code": 0, "msg": "success", "data": told(request)})
            except Refused as refused:
                return self._refuse(request, refused)

        return handle

    def _refuse(self, request: web.Request, refused: Refused) -> web.Response:
        self.refused.append(f"{request.path} {refused.code} {refused.message}")
        return _error(refused)

    # --- contacts

    def _children(self, request: web.Request) -> Row:
        kind = _one_of(request, "department_id_type", _DEPARTMENT_TYPES)
        _one_of(request, "user_id_type", _PERSON_TYPES)
        deep = _one_of(request, "fetch_child", ("false", "true")) == "true"
        parent = self._find(request.match_info["department_id"], kind)
        if deep:
            rows = below(parent, self.departments, "open_department_id", "parent")
        else:
            rows = [row for row in self.departments if row["parent"] == parent]
        return self._page(request, rows, lambda row: self._shown_department(row, kind))

    def _people(self, request: web.Request) -> Row:
        kind = _one_of(request, "department_id_type", _DEPARTMENT_TYPES)
        _one_of(request, "user_id_type", _PERSON_TYPES)
        wanted = self._find(request.query.get("department_id", ""), kind)
        rows = [row for row in self.users if wanted in row["department_ids"]]
        return self._page(request, rows, lambda row: self._shown_person(row, kind))

    def _find(self, number: str, kind: str) -> str:
        """The open id of a department."""
        if number == "0":
            return number
        for row in self.departments:
            if row[kind] == number:
                return str(row["open_department_id"])
        raise Refused(40004, "no dept authority error")

    def _named(self, number: str, kind: str) -> str:
        """The id of a type of a department with an open id."""
        for row in self.departments:
            if row["open_department_id"] == number:
                return str(row[kind])
        return number

    def _page(self, request: web.Request, rows: list[Row], show: Callable[[Row], Row]) -> Row:
        size = request.query.get("page_size", "10")
        if not (size.isascii() and size.isdecimal() and 1 <= int(size) <= 50):
            raise Refused(40011, "page size is invalid")
        asked = {name: value for name, value in request.query.items() if name != "page_token"}
        query = f"{request.path}?{sorted(asked.items())}"
        token = request.query.get("page_token", "")
        known, start = self._pages.get(token, ("", 0)) if token else (query, 0)
        if known != query:
            raise Refused(40012, "page token is invalid")
        end = start + int(size)
        page: Row = {"has_more": end < len(rows), "items": [show(row) for row in rows[start:end]]}
        if end < len(rows):
            page["page_token"] = self._page_token(query, end)
        return page

    def _page_token(self, query: str, place: int) -> str:
        token = hashlib.sha256(f"{self.seed}/{query}/{place}".encode()).hexdigest()[:40]
        self._pages[token] = (query, place)
        return token

    def _shown_department(self, row: Row, kind: str) -> Row:
        shown_row = {name: value for name, value in row.items() if name != "parent"}
        count = sum(row["open_department_id"] in person["department_ids"] for person in self.users)
        return {**shown_row, "parent_department_id": self._named(row["parent"], kind), "member_count": count}

    def _shown_person(self, row: Row, kind: str) -> Row:
        return {**row, "department_ids": [self._named(number, kind) for number in row["department_ids"]]}


def _one_of(request: web.Request, name: str, values: tuple[str, ...]) -> str:
    """A parameter's value, the first of those it may have when it isn't said."""
    value = request.query.get(name, values[0])
    if value not in values:
        raise Refused(40001, f"param error: {name}")
    return value


def _open_id(number: int) -> str:
    """A department's open id; the root's is "0"."""
    return "0" if number == ROOT else f"od-{hashlib.sha256(str(number).encode()).hexdigest()[:32]}"


def _department(unit: Unit) -> Row:
    return {
        "name": unit.name,
        "department_id": f"D{unit.number}",
        "open_department_id": _open_id(unit.number),
        "parent": _open_id(unit.parent),
        "order": str(unit.number),
        "status": {"is_deleted": False},
    }


def _user(person: Person) -> Row:
    number = person.number
    row: Row = {
        "union_id": f"on_{number:028x}",
        "user_id": f"u{number:06d}",
        "open_id": f"ou_{number:028x}",
        "name": person.name,
        "en_name": "",
        "job_title": person.title,
        "department_ids": [_open_id(one) for one in person.departments],
        "employee_no": f"{number + 1:05d}",
        "employee_type": 1,
        "join_time": person.joined,
        "is_tenant_manager": number == 0,
        "status": {
            "is_frozen": number % 11 == 7,
            "is_resigned": False,
            "is_activated": number % 11 != 7,
            "is_exited": False,
            "is_unjoin": False,
        },
    }
    # Without the permission for a field, the vendor leaves it out.
    return row if number % 4 == 1 else {**row, "mobile": f"+86138{number:08d}", "email": f"user{number}@example.com"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `feishu` takes."""
    parser.add_argument("--app-id", default="cli_demo")
    parser.add_argument("--app-secret", default="demo-secret")
    add_staff_arguments(parser, users=50, departments=12)
    parser.add_argument("--per-second", type=int, default=0, help="calls of one API within a second; 0: any number")


def from_arguments(chosen: argparse.Namespace) -> Feishu:
    """The tenant that the arguments describe."""
    return made_of(Feishu, chosen)
