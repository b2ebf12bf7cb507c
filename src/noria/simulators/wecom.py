"""企业微信 as its documents say: tokens, contacts, messages to people, approvals, encrypted callbacks; strict.

Sources: developer.work.weixin.qq.com, as the project's reference has it (tokens 91039, departments 90344, people 96260
and 96067, limits 90454, global error codes). Chosen here, where that is silent: a missing token is answered like a bad
one (40014); asking again while a token holds gives the same token, and does not renew it; a wrong parameter is 40058
(in approvals 301025); with the contacts-sync secret only `department/simplelist` and `user/list_id` answer, all else is
60011, as is `user/list_id` with the application's secret; a span of time includes both ends.

Assumed, as generally known but not in the reference: 40013 for a wrong corpid, 43001/43002 for a wrong method, 60003
for a department and 60111 for a person that isn't there, 40056 for another's agentid, 81013 for a message to nobody,
301025 for approvals; the fields of an approval; texts for `starttime` and `endtime`, as the vendor's examples send
them; `new_next_cursor` being left out at the end. Department numbers above 2**53 test the reader; the vendor's own are
smaller.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from noria.simulators.arguments import add_staff_arguments, made_of
from noria.simulators.callbacks import signature
from noria.simulators.faults import Faults, Handler
from noria.simulators.pace import Paces
from noria.simulators.server import Simulator
from noria.simulators.staff import below, make_approvals, make_people, make_units
from noria.simulators.tokens import Tokens
from noria.simulators.wecom_data import Body, approval, department, shown_approval, user
from noria.simulators.wire import Refused, answer, truth_route

# What applications made since 2022-06-20 are not told of people.
SENSITIVE = frozenset(("avatar", "gender", "mobile", "email", "biz_mail", "qr_code", "address"))
_SYNC = frozenset(("/cgi-bin/department/simplelist", "/cgi-bin/user/list_id"))
_SYNC_ONLY = "/cgi-bin/user/list_id"
_MOST_SPAN = 31 * 86400
_FILTERS = {"template_id": "template_id", "creator": "userid", "sp_status": "sp_status"}


def _error(code: int | str, text: str) -> web.Response:
    return answer({"errcode": code, "errmsg": text})


def _bad(text: str) -> Refused:
    return Refused(40058, f"invalid Request Parameter: {text}")


class WeCom(Simulator):
    """A simulated corporation and one application in it. `departments`, `users`, `approvals` are lists that may be
    changed while it runs; `messages` are those that were taken.

    `contacts_secret`: that of contacts sync, another than the application's; `sensitive`: people are shown with their
    mobile, e-mail and so on; `privileged`: False answers 60011 to everything that needs a token; `per_minute`: calls
    of one API within a minute (0: any number), after which it answers nobody for a minute.
    `faults`: `throttle` answers 45009, `expire` 42001, `business` the fault's code.
    """

    name = "wecom"

    def __init__(
        self,
        *,
        corpid: str = "wwdemo",
        secret: str = "demo-secret",
        contacts_secret: str = "demo-contacts-secret",
        agentid: int = 1000002,
        users: int = 50,
        departments: int = 12,
        approvals: int = 45,
        seed: int = 1,
        token_seconds: float = 7200,
        per_minute: int = 0,
        sensitive: bool = False,
        privileged: bool = True,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.corpid = corpid
        self.agentid = agentid
        self.sensitive = sensitive
        self.privileged = privileged
        self.now = now
        units = make_units(seed, departments)
        people = make_people(seed, users, units)
        self.departments = [department(unit) for unit in units]
        self.users = [user(person) for person in people]
        self.approvals = [approval(one) for one in make_approvals(seed, approvals, people)]
        self.messages: list[Body] = []
        self.tokens = Tokens(f"wecom/{seed}", token_seconds, clock)
        self.contacts_tokens = Tokens(f"wecom/{seed}/contacts", token_seconds, clock)
        self._secrets = {secret: self.tokens, contacts_secret: self.contacts_tokens}
        self.pace = Paces(per_minute, 60.0, clock, blocked=60.0)
        self.faults = Faults(
            expire=self._expire,
            throttled=lambda _: _error(45009, "api freq out of limit"),
            denied=lambda _: _error(42001, "access_token expired"),
            business=lambda fault: _error(fault.code, fault.message),
        )

    def routes(self) -> list[web.RouteDef]:
        """The endpoints, and what answers a wrong method."""
        reads = {
            "department/list": self._departments,
            "department/simplelist": self._department_ids,
            "user/list": self._list,
            "user/simplelist": self._simplelist,
            "user/get": self._user,
        }
        writes = {
            "user/list_id": self._list_id,
            "message/send": self._send,
            "oa/getapprovalinfo": self._approval_ids,
            "oa/getapprovaldetail": self._approval,
        }
        return [
            truth_route(lambda kind: self.truth()[kind]),
            web.get("/cgi-bin/gettoken", self._token, allow_head=False),
            *(web.get(f"/cgi-bin/{path}", self._read(told), allow_head=False) for path, told in reads.items()),
            *(web.post(f"/cgi-bin/{path}", self._write(told)) for path, told in writes.items()),
            *(web.route("*", f"/cgi-bin/{path}", self._wrong(43001, "require GET")) for path in (*reads, "gettoken")),
            *(web.route("*", f"/cgi-bin/{path}", self._wrong(43002, "require POST")) for path in writes),
        ]

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports."""
        return {
            **super().state(),
            "tokens_issued": self.tokens.issued + self.contacts_tokens.issued,
            "users": len(self.users),
            "departments": len(self.departments),
            "approvals": len(self.approvals),
            "messages": self.messages[-100:],
        }

    def truth(self) -> dict[str, list[Body]]:
        """Every distinct person as `user/list` shows them, and department as `department/list` does, the root too."""
        return {
            "users": [self._shown(row) for row in self.users],
            "departments": list(self.departments),
            "approvals": [shown_approval(row) for row in self.approvals],
        }

    # --- tokens and what every request goes through

    async def _token(self, request: web.Request) -> web.Response:
        tokens = self._secrets.get(request.query.get("corpsecret", ""))
        if not self.pace.takes(request.path):
            return self._refuse(request, Refused(45009, "api freq out of limit"))
        if request.query.get("corpid") != self.corpid:
            return self._refuse(request, Refused(40013, "invalid corpid"))
        if tokens is None:
            return self._refuse(request, Refused(40001, "invalid credential"))
        token, seconds = tokens.give()
        return answer({"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": seconds})

    def _expire(self) -> None:
        self.tokens.expire()
        self.contacts_tokens.expire()

    def _admit(self, request: web.Request) -> None:
        """Raise `Refused` for a caller with a bad token, without the privilege, or too often here."""
        token = request.query.get("access_token", "")
        sync = self.contacts_tokens.gave(token)
        tokens = self.contacts_tokens if sync else self.tokens
        if not tokens.gave(token):
            raise Refused(40014, "invalid access_token")
        if not tokens.holds(token):
            raise Refused(42001, "access_token expired")
        if not self.pace.takes(request.path):
            raise Refused(45009, "api freq out of limit")
        allowed = request.path in _SYNC if sync else request.path != _SYNC_ONLY
        if not (allowed and self.privileged):
            raise Refused(60011, "no privilege to access/modify contact/party/agent")

    def _read(self, told: Callable[[dict[str, str]], Body]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                self._admit(request)
                return answer({"errcode": 0, "errmsg": "ok", **told(dict(request.query))})
            except Refused as refused:
                return self._refuse(request, refused)

        return handle

    def _write(self, told: Callable[[Body], Body]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                self._admit(request)
                return answer({"errcode": 0, "errmsg": "ok", **told(_object(await request.read()))})
            except Refused as refused:
                return self._refuse(request, refused)

        return handle

    def _refuse(self, request: web.Request, refused: Refused) -> web.Response:
        self.refused.append(f"{request.path} {refused.code} {refused.message}")
        return _error(refused.code, refused.message)

    def _wrong(self, code: int, text: str) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            return self._refuse(request, Refused(code, text))

        return handle

    # --- contacts

    def _departments(self, query: dict[str, str]) -> Body:
        return {"department": self._tree(query)}

    def _department_ids(self, query: dict[str, str]) -> Body:
        rows = [{name: row[name] for name in ("id", "parentid", "order")} for row in self._tree(query)]
        return {"department_id": rows}

    def _tree(self, query: dict[str, str]) -> list[Body]:
        """A department and everything below it; all, when none is named."""
        if not query.get("id"):
            return self.departments
        top = self._find(query["id"], "id")
        return [top, *below(top["id"], self.departments, "id", "parentid")]

    def _find(self, text: str, name: str) -> Body:
        if not _is_number(text):
            raise _bad(name)
        for row in self.departments:
            if row["id"] == int(text):
                return row
        raise Refused(60003, "department not found")

    def _list(self, query: dict[str, str]) -> Body:
        return {"userlist": [self._shown(row) for row in self._members(query)]}

    def _simplelist(self, query: dict[str, str]) -> Body:
        return {
            "userlist": [{name: row[name] for name in ("userid", "name", "department")} for row in self._members(query)]
        }

    def _members(self, query: dict[str, str]) -> list[Body]:
        """Who is in a department itself."""
        number = self._find(query.get("department_id", ""), "department_id")["id"]
        return [row for row in self.users if number in row["department"]]

    def _user(self, query: dict[str, str]) -> Body:
        for row in self.users:
            if row["userid"] == query.get("userid"):
                return self._shown(row)
        raise Refused(60111, "userid not found")

    def _shown(self, row: Body) -> Body:
        return {name: value for name, value in row.items() if self.sensitive or name not in SENSITIVE}

    def _list_id(self, body: Body) -> Body:
        cursor, limit = body.get("cursor", ""), body.get("limit", 10000)
        if type(limit) is not int or not 1 <= limit <= 10000:
            raise _bad("limit is 1 to 10000")
        start = _place("list_id", cursor)
        rows = [{"userid": row["userid"], "department": one} for row in self.users for one in row["department"]]
        more = start + limit < len(rows)
        return {"next_cursor": _cursor("list_id", start + limit) if more else "", "dept_user": rows[start:][:limit]}

    # --- messages

    def _send(self, body: Body) -> Body:
        named = {name: _names(body, name) for name in ("touser", "toparty", "totag")}
        kind = body.get("msgtype")
        if type(body.get("agentid")) is not int or body["agentid"] != self.agentid:
            raise Refused(40056, "invalid agentid")
        if not isinstance(kind, str) or not isinstance(body.get(kind), dict):
            raise Refused(40008, "invalid message type")
        if kind == "text" and not (isinstance(body["text"].get("content"), str) and body["text"]["content"]):
            raise _bad("text.content")
        known = {row["userid"] for row in self.users}
        parties = {str(row["id"]) for row in self.departments}
        wrong = [one for one in named["touser"] if one not in known and one != "@all"]
        no_party = [one for one in named["toparty"] if one not in parties]
        if len(wrong) == len(named["touser"]) and len(no_party) == len(named["toparty"]) and not named["totag"]:
            raise Refused(81013, "user & party & tag all invalid")
        msgid = f"simulated-{len(self.messages) + 1:06d}"
        self.messages.append({"msgid": msgid, **body})
        return {"invaliduser": "|".join(wrong), "invalidparty": "|".join(no_party), "msgid": msgid}

    # --- approvals

    def _approval_ids(self, body: Body) -> Body:
        start, end = (body.get(name) for name in ("starttime", "endtime"))
        size, cursor = body.get("size"), body.get("new_cursor")
        if not (isinstance(start, str) and isinstance(end, str) and _is_number(start) and _is_number(end)):
            raise Refused(301025, "starttime and endtime are texts of unix seconds")
        low, high = int(start), int(end)
        if not low < high <= low + _MOST_SPAN:
            raise Refused(301025, "endtime is after starttime, by 31 days at most")
        if type(size) is not int or not 1 <= size <= 100:
            raise Refused(301025, "size is 1 to 100")
        filters = _filters(body.get("filters", []))
        query = f"approvals/{low}/{high}/{sorted(filters.items())}"
        begin = _place(query, cursor)
        rows = [
            row
            for row in self.approvals
            if low <= row["apply_time"] <= high
            and all(str(row[_FILTERS[key]]) == value for key, value in filters.items())
        ]
        found: Body = {"sp_no_list": [row["sp_no"] for row in rows[begin : begin + size]]}
        if begin + size < len(rows):
            found["new_next_cursor"] = _cursor(query, begin + size)
        return found

    def _approval(self, body: Body) -> Body:
        for row in self.approvals:
            if row["sp_no"] == body.get("sp_no"):
                return {"info": shown_approval(row)}
        raise Refused(301025, "no such sp_no")


# --- what is sent


def _object(raw: bytes) -> Body:
    try:
        return msgspec.json.decode(raw, type=Body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _bad("the body is not a JSON object") from error


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _names(body: Body, name: str) -> list[str]:
    """What a text joined by `|` names, a thousand people or a hundred departments or tags at most."""
    value = body.get(name, "")
    if not isinstance(value, str):
        raise _bad(name)
    found = [one for one in value.split("|") if one]
    if len(found) > (1000 if name == "touser" else 100):
        raise _bad(f"{name} has too many")
    return found


def _filters(value: Any) -> dict[str, str]:
    if not isinstance(value, list):
        raise Refused(301025, "filters is a list")
    found = {}
    for one in value:
        if not isinstance(one, dict) or one.get("key") not in _FILTERS or not isinstance(one.get("value"), str):
            raise Refused(301025, f"a filter has a key of {', '.join(_FILTERS)} and a value")
        found[one["key"]] = one["value"]
    return found


def _cursor(query: str, place: int) -> str:
    """A cursor that only means something to the query it was given for."""
    return f"{signature('cursor', query, str(place), '')[:16]}{place:x}"


def _place(query: str, cursor: Any) -> int:
    """Where a cursor points; raises `Refused` for one that was not given for this query."""
    if cursor == "":
        return 0
    if isinstance(cursor, str) and re.fullmatch("[0-9a-f]{17,30}", cursor):
        place = int(cursor[16:], 16)
        if cursor == _cursor(query, place):
            return place
    raise _bad("cursor")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `wecom` takes."""
    parser.add_argument("--corpid", default="wwdemo")
    parser.add_argument("--secret", default="demo-secret")
    parser.add_argument("--contacts-secret", default="demo-contacts-secret", help="that of contacts sync")
    parser.add_argument("--agentid", type=int, default=1000002)
    add_staff_arguments(parser, users=50, departments=12, approvals=45)
    parser.add_argument("--per-minute", type=int, default=10000, help="calls of one API a minute; 0: any number")
    parser.add_argument("--sensitive", action="store_true", help="show mobile, e-mail and so on")


def from_arguments(chosen: argparse.Namespace) -> WeCom:
    """The corporation that the arguments describe."""
    return made_of(WeCom, chosen)
