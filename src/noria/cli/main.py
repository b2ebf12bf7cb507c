"""The entry of the `noria` command: commands, languages, and how errors leave the process."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from noria import __version__
from noria.cli import alerts, demo, looking, projects, records, runs, serve, simulate, tokens, upkeep
from noria.cli.output import console, print_json, problem_lines
from noria.connectors.failures import Failure
from noria.messages import Message, t
from noria.metadata.errors import InvalidDocument, NoriaError
from noria.metadata.project import problems_of
from noria.metadata.secrets import Redactor
from noria.monitoring import traces

# Typer's own base of every usage error; it is public only through its children.
WrongUsage: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="noria",
    help=t("help.noria"),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help=t("help.version"))) -> None:
    if version:
        typer.echo(f"noria {__version__}")
        raise typer.Exit


for group in (projects, runs, records, looking, upkeep, alerts, serve, tokens, simulate, demo):
    group.add_to(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0, 1 (an error), 2 (wrong usage), 3 (records in trouble)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    try:
        traces.start()
        code = typer.main.get_command(app).main(args=arguments, prog_name="noria", standalone_mode=False)
    except typer.Exit as leaving:
        code = leaving.exit_code
    except typer.Abort:
        code = 130
    except WrongUsage as error:
        code = _wrong_usage(error, as_json)
    except NoriaError as error:
        code = _failed(error, as_json)
    except Failure as failure:
        code = _failed(NoriaError("failed", failure.message), as_json)
    except BrokenPipeError:
        # The reader of our output has gone; that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    finally:
        traces.stop()
    sys.exit(code if isinstance(code, int) else 0)


def _wrong_usage(error: Any, as_json: bool) -> int:
    if as_json:
        hint = Message("remote.not_here" if _elsewhere(error) else "help.usage_hint")
        made = NoriaError("usage", Message(error.format_message()), hint=hint)
        print_json({"error": made.to_json()})
    else:
        error.show(sys.stderr)
        if _elsewhere(error):
            console(stderr=True).print(f"  → {t('remote.not_here')}", style="cyan", markup=False)
    return 2


def _elsewhere(error: Any) -> bool:
    """Whether a command was to be sent elsewhere that can't be."""
    return getattr(error, "option_name", None) in ("--server", "--token")


def _failed(error: NoriaError, as_json: bool) -> int:
    redactor, code = Redactor(), 2 if error.code == "usage" else 1
    if as_json:
        print_json({"error": {k: redactor.clean(v) for k, v in error.to_json().items()}})
        return code
    if isinstance(error, InvalidDocument):
        problem_lines(problems_of(error))
        return code
    out = console(stderr=True)
    place = "  ".join(part for part in (error.plan, error.path) if part)
    out.print("[red]✗[/] ", end="")
    out.print(
        f"{place}  {redactor.clean(str(error.message))}" if place else redactor.clean(str(error.message)),
        markup=False,
    )
    if error.hint:
        out.print(f"  → {error.hint}", style="cyan", markup=False)
    return code
