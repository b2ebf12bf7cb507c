"""A target that stores what is posted and can say what it got, how often, and what came twice."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from itertools import pairwise
from typing import Any

from aiohttp import web

from noria.simulators.faults import Faults
from noria.simulators.server import Simulator

_ID_FIELDS = ("id", "user_id", "code", "number", "FNumber", "nickname")


class Sink(Simulator):
    """Takes JSON objects, arrays of them, or an object with one array in it. `keys`: honours `Idempotency-Key`;
    `results`: answers one result a row."""

    name = "sink"

    def __init__(self, *, keys: bool = True, results: bool = True, latency: float = 0.0, id_field: str = "") -> None:
        self.keys = keys
        self.results = results
        self.latency = latency
        self.id_fields = (id_field,) if id_field else _ID_FIELDS
        self.faults = Faults()
        self.forget()

    def forget(self) -> None:
        """Back to the beginning."""
        super().__init__()
        self.rows: dict[str, Any] = {}
        self.hashes: dict[str, list[str]] = {}
        self.order: list[str] = []
        self.answers: dict[str, bytes] = {}
        self.rejected = self.replayed = 0
        self.bodies: list[tuple[str, int]] = []

    def routes(self) -> list[web.RouteDef]:
        """Anything may be posted anywhere."""
        return [
            web.get("/_control/items", self._items),
            web.post("/_control/reset", self._reset),
            web.post("/{path:.*}", self._write),
            web.put("/{path:.*}", self._write),
            web.get("/{path:.*}", self._read),
        ]

    def state(self) -> dict[str, Any]:
        """What the control endpoint reports. `applied` counts every row that was written; `duplicates` are ids written
        more than once with the same content, `updates` the times that an id's content changed."""
        doubled = {key: len(seen) - len(set(seen)) for key, seen in self.hashes.items()}
        changes = sum(sum(a != b for a, b in pairwise(seen)) for seen in self.hashes.values())
        return {
            **super().state(),
            "applied": len(self.order),
            "unique": len(self.rows),
            "duplicates": [{"id": key, "times": n + 1} for key, n in doubled.items() if n],
            "updates": changes,
            "rejected": self.rejected,
            "replayed": self.replayed,
            "paths": sorted({path for path, _ in self.bodies}),
            "largest_batch": max((size for _, size in self.bodies), default=0),
        }

    async def _write(self, request: web.Request) -> web.Response:
        if self.latency:
            await asyncio.sleep(self.latency)
        if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8":
            return self._refuse(415, "content type must be application/json, UTF-8")
        raw = await request.read()
        try:
            body = json.loads(raw.decode("utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            return self._refuse(400, f"body is not UTF-8 JSON: {error}")
        rows = _rows(body)
        if rows is None:
            return self._refuse(400, "body must be an object, an array, or an object with one array")
        key = request.headers.get("Idempotency-Key", "")
        if self.keys and key and key in self.answers:
            self.replayed += 1
            return web.Response(body=self.answers[key], content_type="application/json")
        poison = self.faults.strike(request.path, "poison") if self._named(rows, "poison") else None
        if poison is not None:
            return self._refuse(400, poison.message)
        answer = self._apply(request.path, rows)
        if self.keys and key:
            self.answers[key] = answer
        return web.Response(body=answer, content_type="application/json")

    def _named(self, rows: list[Any], kind: str) -> bool:
        ids = {str(i) for fault in self.faults.active if fault.kind == kind for i in fault.ids}
        return any(self._id(row) in ids for row in rows)

    def _apply(self, path: str, rows: list[Any]) -> bytes:
        self.bodies.append((path, len(rows)))
        reject = self.faults.strike(path, "reject") if self._named(rows, "reject") else None
        results = []
        for row in rows:
            row_id = self._id(row)
            if row_id is None:
                self.rejected += 1
                results.append({"id": None, "ok": False, "message": "no id"})
            elif reject is not None and row_id in reject.ids:
                self.rejected += 1
                results.append({"id": row_id, "ok": False, "message": reject.message})
            else:
                text = json.dumps(row, sort_keys=True, ensure_ascii=False)
                self.rows[row_id] = row
                self.hashes.setdefault(row_id, []).append(hashlib.sha256(text.encode()).hexdigest()[:16])
                self.order.append(row_id)
                results.append({"id": row_id, "ok": True, "message": ""})
        if self.faults.strike(path, "shuffle"):
            results.reverse()
        if self.faults.strike(path, "drop_results"):
            results = results[: len(results) // 2]
        data = {"results": results} if self.results else {}
        return json.dumps({"code": 200, "message": "success", "data": data}, ensure_ascii=False).encode()

    def _id(self, row: Any) -> str | None:
        if not isinstance(row, dict):
            return None
        for name in self.id_fields:
            if row.get(name) not in (None, ""):
                return str(row[name])
        return None

    def _refuse(self, status: int, message: str) -> web.Response:
        self.refused.append(f"{status} {message}")
        return web.json_response({"code": status, "message": message}, status=status)

    async def _read(self, request: web.Request) -> web.Response:
        """A row by its id, under whatever name that is asked for; all of them; or a page of them, with their number."""
        query = dict(request.query)
        rows = list(self.rows.values())
        if "page" in query:
            page, size = int(query["page"]), int(query.get("size", "100"))
            body = {"data": rows[(page - 1) * size : page * size], "total": len(rows)}
            return web.json_response({"code": 200, "message": "success", **body})
        wanted = next(iter(query.values()), None)
        if wanted is not None:
            rows = [self.rows[wanted]] if wanted in self.rows else []
        return web.json_response({"code": 200, "message": "success", "data": rows})

    async def _items(self, _: web.Request) -> web.Response:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows.values())
        return web.Response(text=text, content_type="application/jsonl", charset="utf-8")

    async def _reset(self, _: web.Request) -> web.Response:
        self.forget()
        return web.json_response({"ok": True})


def _rows(body: Any) -> list[Any] | None:
    """The rows of a body."""
    if isinstance(body, list):
        return body
    if not isinstance(body, dict):
        return None
    if len(body) == 1:
        only = next(iter(body.values()))
        if isinstance(only, list):
            return only
    return [body]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program `sink` takes."""
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--no-keys", action="store_true", help="ignore idempotency keys")
    parser.add_argument("--no-results", action="store_true", help="answer without a result a row")
    parser.add_argument("--id-field", default="", help="the field that holds a row's id")


def from_arguments(chosen: argparse.Namespace) -> Sink:
    """The target that the arguments describe."""
    return Sink(
        keys=not chosen.no_keys,
        results=not chosen.no_results,
        latency=chosen.latency_ms / 1000,
        id_field=chosen.id_field,
    )
