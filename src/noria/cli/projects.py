"""Commands about a project's files: init, check, connectors."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from noria.cli.options import HERE, JsonOption, OptionalPlans, ProjectOption
from noria.cli.output import console, print_json, problem_lines, table
from noria.connectors.guarantees import guarantees
from noria.connectors.registry import BROKEN, CONNECTORS, OWN, connector_named
from noria.engine.checking import check_project
from noria.messages import LANGUAGES, Message, language, t
from noria.metadata.declared import options_of
from noria.metadata.errors import NoriaError
from noria.metadata.project import PROJECT_FILE, load_project, problems_of
from noria.metadata.schema import NAMES, shipped


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command(help=t("help.init"))(init)
    app.command(help=t("help.check"))(check)
    app.command(help=t("help.connectors"))(connectors)
    app.command(help=t("help.schema"))(schema)
    group = typer.Typer(help=t("help.new"), no_args_is_help=True)
    group.command("connector", help=t("help.new_connector"))(new_connector)
    app.add_typer(group, name="new")


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help=t("help.init_dir"), show_default=False)] = HERE,
    project: Annotated[Path | None, typer.Option("--project", help=t("help.project"))] = None,
    as_json: JsonOption = False,
) -> None:
    """A project that runs: nothing that exists is overwritten."""
    folder = project if project is not None and folder == HERE else folder
    written = write_template(folder, {})
    if as_json:
        print_json({"project": str(folder), "written": written})
        return
    out = console()
    out.print(t("init.done", folder=folder), markup=False)
    for name in written:
        out.print(f"  {name}", style="green", markup=False)
    out.print(t("init.next"), markup=False)


def write_template(folder: Path, replaced: dict[str, str]) -> list[str]:
    """Write a new project's files, with texts in `noria.toml` replaced; raises `NoriaError` when there is one already.

    Other files that exist are left as they are. Gives the names of those written.
    """
    template = resources.files("noria.cli").joinpath("template")
    if (folder / PROJECT_FILE).exists():
        message = Message("init.exists", {"path": str(folder / PROJECT_FILE)})
        raise NoriaError("exists", message, path=PROJECT_FILE, hint=Message("init.exists_hint"))
    settings = template.joinpath("noria.toml").read_text("utf-8")
    for old, new in replaced.items():
        settings = settings.replace(old, new)
    files = {
        "plans/departments.json": template.joinpath("departments.json").read_text("utf-8"),
        "plans/users.json": template.joinpath("users.json").read_text("utf-8"),
        ".gitignore": template.joinpath("gitignore").read_text("utf-8"),
        PROJECT_FILE: settings,
    }
    written = [name for name in files if not (folder / name).exists()]
    for name in written:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(files[name], encoding="utf-8")
    return written


def new_connector(
    name: Annotated[str, typer.Argument(help=t("help.new_name"), show_default=False)],
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help=t("help.new_dir"), show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """A package with a connector that keeps the contract with its simulator, to be changed into another. Raises
    `NoriaError` for a name that is none, or is taken."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or name in OWN:
        raise NoriaError("usage", Message("new.bad_name", {"name": name}), hint=Message("new.bad_name_hint"))
    folder = folder if folder is not None else Path(f"noria-{name}")
    if folder.exists() and any(folder.iterdir()):
        raise NoriaError("exists", Message("new.exists", {"path": str(folder)}), path=str(folder))
    module = f"noria_{name}"
    template = resources.files("noria.cli").joinpath("connector_template")
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"src/{module}/__init__.py": "package.py",
        f"src/{module}/connector.py": "connector.py",
        f"src/{module}/simulator.py": "simulator.py",
        "tests/test_contract.py": "test_contract.py",
    }
    for path, source in files.items():
        text = template.joinpath(source).read_text("utf-8").replace("NAME", name).replace("MODULE", module)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    if as_json:
        print_json({"folder": str(folder), "written": list(files)})
        return
    out = console()
    out.print(t("new.done", folder=folder), markup=False)
    for path in files:
        out.print(f"  {path}", style="green", markup=False)


def check(plans: OptionalPlans = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Plans, connections and schedules, without network."""
    alone = bool(plans) and not (project / PROJECT_FILE).is_file()
    try:
        loaded = None if alone else load_project(project)
        problems = check_project(loaded, plans or [], project)
    except NoriaError as error:
        if not as_json:
            raise
        problems = problems_of(error)
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        print_json([problem.to_json() for problem in problems])
    else:
        problem_lines(problems)
        warnings = len(problems) - errors
        console().print(t("check.summary", errors=errors, warnings=warnings), style="red" if errors else "green")
    raise typer.Exit(1 if errors else 0)


def connectors(
    name: Annotated[str | None, typer.Argument(help=t("help.connector"), show_default=False)] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """What connectors exist; one connector's endpoints, parameters and options."""
    if name is None:
        titles = {one.name: one.title[LANGUAGES.index(language())] for one in CONNECTORS.values()}
        if as_json:
            broken = [{"name": key, "error": reason} for key, reason in BROKEN.items()]
            print_json([*({"name": key, "title": title} for key, title in titles.items()), *broken])
            return
        shown = table(t("column.name"), t("column.title"), t("column.endpoints"))
        for key, title in titles.items():
            shown.add_row(key, title, str(len(CONNECTORS[key].endpoints) or "-"))
        for key, reason in BROKEN.items():
            shown.add_row(key, reason, "-", style="red")
        console().print(shown)
        return
    connector = connector_named(name, name, "$")
    options = [row for row in options_of(connector.settings_type)]
    if as_json:
        endpoints = [msgspec.to_builtins(endpoint) for endpoint in connector.endpoints]
        promises = [{"name": one.name, "holds": one.holds, "how": str(one.how)} for one in guarantees(connector)]
        title = connector.title[0]
        print_json({"name": name, "title": title, "guarantees": promises, "options": options, "endpoints": endpoints})
        return
    out = console()
    out.print(f"{connector.name}  {connector.title[LANGUAGES.index(language())]}", style="bold")
    shown = table(t("column.guarantee"), "", t("column.how"))
    for one in guarantees(connector):
        shown.add_row(*one.words())
    out.print(shown)
    shown = table(t("column.option"), t("column.type"), t("column.default"), t("column.meaning"))
    for row in options:
        shown.add_row(row["name"], row["type"], row["default"], row["meaning"])
    out.print(shown)
    if connector.endpoints:
        shown = table(t("column.method"), t("column.path"), t("column.title"), t("column.parameters"))
        for endpoint in connector.endpoints:
            shown.add_row(endpoint.method, endpoint.path, endpoint.name, " ".join(endpoint.parameters))
        out.print(shown)


def schema(
    name: Annotated[str, typer.Argument(help=t("help.schema_name"), metavar="[plan|metadata]")] = "plan",
) -> None:
    """A JSON Schema for editors."""
    if name not in NAMES:
        choices = Message("valid.choices", {"choices": ", ".join(NAMES)})
        raise NoriaError("usage", Message("valid.not_a_choice", {"value": name}), hint=choices)
    typer.echo(shipped(name), nl=False)
