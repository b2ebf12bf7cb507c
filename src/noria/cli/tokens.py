"""`noria token`: tokens that programs show to the API."""

from __future__ import annotations

import getpass
import time
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer

from noria.cli.options import HERE, JsonOption, LimitOption, ProjectOption
from noria.cli.output import console, print_json, table, timed
from noria.ledger import ledger_of
from noria.ledger.tokens import Token, expiry, new_token
from noria.messages import t
from noria.metadata.project import load_project
from noria.metadata.times import iso


class Role(StrEnum):
    """What its bearer may do."""

    viewer = "viewer"
    operator = "operator"
    admin = "admin"


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help=t("help.token_name"), show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help=t("help.tokens"), no_args_is_help=True)
    group.command("create", help=t("api.token_make"))(create)
    group.command("list", help=t("help.token_list"))(list_command)
    group.command("revoke", help=t("api.token_revoke"))(revoke)
    app.add_typer(group, name="token")


def create(
    name: NameArgument,
    role: Annotated[Role, typer.Option("--role", help=t("help.token_role"))] = Role.viewer,
    expires: Annotated[str, typer.Option("--expires", help=t("help.token_expires"))] = "90d",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """A new token: on standard output, and nowhere else."""
    now, token = time.time(), new_token()
    until, who = expiry(expires, now), getpass.getuser()
    with ledger_of(load_project(project)) as ledger:
        made = ledger.tokens.add(name, role.value, token, who, now, until)
        ledger.audit.note(now, who, "token", None, {"name": made.name, "role": made.role, "expires_at": until})
    if as_json:
        print_json({"name": made.name, "role": made.role, "expires_at": iso(until), "token": token})
        return
    console(stderr=True).print(t("token.made_once", name=made.name), markup=False)
    print(token)


def list_command(limit: LimitOption = 50, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """The newest tokens."""
    now = time.time()
    with ledger_of(load_project(project)) as ledger:
        found = ledger.tokens.page(limit=limit)
    if as_json:
        for one in found:
            print_json(_as_json(one))
        return
    names = ("name", "role", "stands", "created", "used", "expires_column")
    shown = table(*(t(f"token.{name}") for name in names))
    for one in found:
        stands = "revoked" if one.revoked_at is not None else "holds" if one.holds(now) else "expired"
        until = t("token.never") if one.expires_at is None else _day(one.expires_at)
        shown.add_row(one.name, one.role, t(f"token.{stands}"), _day(one.created_at), _day(one.used_at), until)
    console().print(shown)


def revoke(name: NameArgument, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """From now on it is refused."""
    now, who = time.time(), getpass.getuser()
    with ledger_of(load_project(project)) as ledger:
        ledger.tokens.revoke(name, now)
        ledger.audit.note(now, who, "token_revoke", None, {"name": name})
    if as_json:
        print_json({"revoked": name})
    else:
        console().print(t("done.token_revoke", name=name), style="green", markup=False)


def _as_json(one: Token) -> dict[str, Any]:
    return timed(asdict(one), "created_at", "used_at", "expires_at", "revoked_at")


def _day(at: float | None) -> str:
    return (iso(at) or "–")[:16].replace("T", " ")
