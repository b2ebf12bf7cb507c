"""`noria demo`: the whole main job on local simulators, faults included, then what happened, proved by counting."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from noria.cli.beside import ask, runs, runs_table, simulator, truth
from noria.cli.options import JsonOption
from noria.cli.output import console, print_json
from noria.cli.projects import write_template
from noria.cli.records import show_story
from noria.cli.solutions import SOLUTIONS, Solution
from noria.engine import Finished
from noria.ledger import Ledger, ledger_of
from noria.messages import Message, t
from noria.metadata.errors import NoriaError
from noria.metadata.project import load_project

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
    solution: Annotated[
        str | None,
        typer.Option("--solution", metavar="|".join(SOLUTIONS), help=t("help.solution"), show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Start a simulated OKKI and a sink, run departments and users twice, and show what happened; or a solution beside
    the systems that it connects. Raises `NoriaError` for a solution that there is not."""
    if solution is not None and solution not in SOLUTIONS:
        choices = Message("valid.choices", {"choices": ", ".join(SOLUTIONS)})
        raise NoriaError("usage", Message("valid.not_a_choice", {"value": solution}), hint=choices)
    own = folder is None
    folder = Path(tempfile.mkdtemp(prefix="noria-demo-")) if folder is None else folder
    try:
        if solution is not None:
            result = Solution(SOLUTIONS[solution], folder, quiet=as_json).run()
        else:
            with (
                simulator(
                    "okki", f"--users={users}", f"--departments={departments}", "--invalid=3", "--seed=7"
                ) as okki,
                simulator("sink") as sink,
            ):
                result = _Demo(folder, okki, sink, quiet=as_json).run()
    finally:
        if own:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json(result)
    raise typer.Exit(0 if result["equal"] else 1)


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
        first = runs(self.folder, _PLANS, quiet=self.quiet)
        again = runs(self.folder, _PLANS, quiet=self.quiet)
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
        ask(self.okki["control"] + "/faults", source)
        ask(self.sink["control"] + "/faults", target)
        return {"source": len(source), "target": len(target)}

    def _proof(self, ledger: Ledger) -> dict[str, Any]:
        """Source, ledger and sink, compared id by id and department by department."""
        names = {d["id"]: d["name"] for d in truth(self.okki, "departments")}
        wanted: dict[str, dict[str, str]] = {}
        for user in truth(self.okki, "users"):
            if user.get("nickname"):
                wanted.setdefault(
                    user["nickname"],
                    {
                        "user_id": user["nickname"],
                        "username": user["full_name"],
                        "department_name": names[str(user["department_id"])],
                    },
                )
        got = {row["user_id"]: row for row in map(json.loads, ask(self.sink["control"] + "/items").splitlines())}
        plan_id = ledger.runs.known_plan("users") or 0
        kept = {one["id"] for one in ledger.records.select(plan_id, state="delivered")}
        state = json.loads(ask(self.sink["control"] + "/state"))
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
        out.print()
        out.print(runs_table([(t("demo.first"), first), (t("demo.second"), again)]))
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
