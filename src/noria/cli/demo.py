"""`noria demo`: the whole main job on local simulators, faults included, then what happened, proved by counting."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.request import Request, urlopen

import typer

from noria.cli.options import JsonOption
from noria.cli.output import LiveProgress, console, print_json, table
from noria.cli.projects import write_template
from noria.cli.records import show_story
from noria.engine import Finished, Workspace, run_plan
from noria.ledger import Ledger, ledger_of
from noria.messages import Message, t
from noria.metadata.errors import NoriaError
from noria.metadata.project import load_project
from noria.metadata.secrets import Redactor

_PLANS = ("departments", "users")
# Not a secret: the simulator's own default account.
_ACCOUNT = {"OKKI_CLIENT_ID": "demo-client", "OKKI_CLIENT_SECRET": "demo-secret"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(help=t("help.demo"))(demo)


def demo(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help=t("help.demo_dir"), show_default=False)] = None,
    users: Annotated[int, typer.Option("--users", min=10, help=t("help.users"))] = 5000,
    departments: Annotated[int, typer.Option("--departments", min=2, help=t("help.departments"))] = 40,
    as_json: JsonOption = False,
) -> None:
    """Start a simulated OKKI and a sink, run departments and users twice, and show what happened."""
    own = folder is None
    folder = Path(tempfile.mkdtemp(prefix="noria-demo-")) if folder is None else folder
    try:
        with (
            _simulator("okki", f"--users={users}", f"--departments={departments}", "--invalid=3", "--seed=7") as okki,
            _simulator("sink") as sink,
        ):
            result = _Demo(folder, okki, sink, quiet=as_json).run()
    finally:
        if own:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json(result)
    raise typer.Exit(0 if result["equal"] else 1)


@contextmanager
def _simulator(name: str, *arguments: str) -> Iterator[dict[str, str]]:
    """A simulator as a process of its own; gives its start line."""
    command = [sys.executable, "-m", "noria.simulators", name, "--with-parent", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")  # noqa: S603
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise NoriaError("simulator", Message("demo.no_simulator", {"name": name}))
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


def _ask(url: str, body: Any = None) -> str:
    """A request to a simulator's control endpoint on this machine."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data=data), timeout=30) as answer:  # noqa: S310 - 127.0.0.1, made above
        text: str = answer.read().decode()
        return text


class _Demo:
    def __init__(self, folder: Path, okki: dict[str, str], sink: dict[str, str], *, quiet: bool) -> None:
        self.folder = folder
        self.okki = okki
        self.sink = sink
        self.quiet = quiet
        self.out = console()

    def run(self) -> dict[str, Any]:
        """The demo from beginning to end; gives its figures."""
        started = time.monotonic()
        os.environ.update(_ACCOUNT)
        write_template(
            self.folder,
            {"http://127.0.0.1:8901": self.okki["url"], "http://127.0.0.1:8902": self.sink["url"]},
        )
        self._post_users_to_sink()
        self._say(t("demo.start", okki=self.okki["url"], sink=self.sink["url"]))
        faults = self._faults()
        first = self._runs()
        again = self._runs()
        project = load_project(self.folder)
        with ledger_of(project) as ledger:
            proof = self._proof(ledger)
            seconds = time.monotonic() - started
            if not self.quiet:
                self._tell(ledger, first, again, faults, proof, seconds)
        return {
            "first": [one.to_json() for one in first],
            "second": [one.to_json() for one in again],
            "faults": faults,
            "seconds": round(seconds, 2),
            **proof,
        }

    def _post_users_to_sink(self) -> None:
        """The users plan of the template, with an endpoint: the payload is POSTed as the article shows."""
        file = self.folder / "plans" / "users.json"
        plan = json.loads(file.read_text("utf-8"))
        plan["options"] = {
            "endpoint": "/api/写入空操作",
            "retry": {"wait": 1},
            "target": {
                "write": {"results": "data.results", "idempotency_header": "Idempotency-Key"},
                "envelope": {"code": "code", "success": [200], "message": "message"},
            },
        }
        file.write_text(json.dumps(plan, ensure_ascii=False, indent=2), encoding="utf-8")

    def _faults(self) -> dict[str, int]:
        """What goes wrong in the first run, at the source and at the target."""
        source = [
            {"kind": "expire", "path": "/v1/user/list"},
            {"kind": "throttle", "path": "/v1/user/list", "retry_after": 1},
            {"kind": "truncate", "path": "/v1/user/list"},
        ]
        target = [
            {"kind": "status", "status": 503, "skip": 2},
            {"kind": "throttle", "retry_after": 1, "skip": 4},
            {"kind": "cut", "when": "after", "skip": 6},
            {"kind": "after_status", "status": 504, "skip": 9},
        ]
        _ask(self.okki["control"] + "/faults", source)
        _ask(self.sink["control"] + "/faults", target)
        return {"source": len(source), "target": len(target)}

    def _runs(self) -> list[Finished]:
        """One run of both plans, in this process, over real HTTP."""
        redactor = Redactor()
        with LiveProgress(redactor, quiet=self.quiet) as progress:

            async def work() -> list[Finished]:
                async with Workspace(load_project(self.folder), observer=progress, redactor=redactor) as workspace:
                    return [await run_plan(workspace, workspace.project.plan(key)) for key in _PLANS]

            return asyncio.run(work())

    def _proof(self, ledger: Ledger) -> dict[str, Any]:
        """Source, ledger and sink, compared id by id and department by department."""
        names = {d["id"]: d["name"] for d in self._truth("departments")}
        wanted: dict[str, dict[str, str]] = {}
        for user in self._truth("users"):
            if user.get("nickname"):
                wanted.setdefault(
                    user["nickname"],
                    {
                        "user_id": user["nickname"],
                        "username": user["full_name"],
                        "department_name": names[str(user["department_id"])],
                    },
                )
        got = {row["user_id"]: row for row in map(json.loads, _ask(self.sink["control"] + "/items").splitlines())}
        plan_id = ledger.runs.known_plan("users") or 0
        kept = {one["id"] for one in ledger.records.select(plan_id, state="delivered")}
        state = json.loads(_ask(self.sink["control"] + "/state"))
        wrong = sorted(
            key for key in wanted.keys() | got.keys() | kept if wanted.get(key) != got.get(key) or key not in kept
        )
        return {
            "source": len(wanted),
            "ledger": len(kept),
            "sink": len(got),
            "differences": wrong[:20],
            "duplicates": len(state["duplicates"]),
            "replayed": state["replayed"],
            "equal": not wrong and not state["duplicates"],
            "states": ledger.records.counts(plan_id),
        }

    def _truth(self, name: str) -> list[dict[str, Any]]:
        text = _ask(f"{self.okki['control']}/truth?list={name}")
        return [json.loads(line) for line in text.splitlines()]

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.out.print(text)

    def _tell(
        self,
        ledger: Ledger,
        first: list[Finished],
        again: list[Finished],
        faults: dict[str, int],
        proof: dict[str, Any],
        seconds: float,
    ) -> None:
        out = self.out
        columns = ("staged", "unchanged", "delivered", "invalid", "retried", "requests")
        shown = table(t("demo.run"), *(t("count." + name) for name in columns), t("demo.seconds"), numbers=7)
        for title, runs in ((t("demo.first"), first), (t("demo.second"), again)):
            for one in runs:
                counts = one.counts.as_dict()
                figures = (f"{counts[name]:,}" for name in columns)
                shown.add_row(f"{title} · {one.plan}", *figures, f"{one.finished_at - one.started_at:.1f}")
        out.print()
        out.print(shown)
        out.print(t("demo.faults", **faults), style="dim")
        plan_id = ledger.runs.known_plan("users") or 0
        out.print(f"\n[bold]{t('demo.invalid')}[/]")
        for record in ledger.records.select(plan_id, state="invalid"):
            out.print(f"  {record['id'] or '-'}  {record['reason']}", markup=False)
        delivered = next(ledger.records.select(plan_id, state="delivered", limit=1))
        story = ledger.records.story(plan_id, delivered["id"])
        out.print(f"\n[bold]{t('demo.story')}[/]")
        if story is not None:
            show_story(story, longest=160)
        good = proof["equal"]
        text = t("demo.proof" if good else "demo.differs", seconds=f"{seconds:.1f}", **proof)
        out.print()
        out.print(text, style="green" if good else "red")
