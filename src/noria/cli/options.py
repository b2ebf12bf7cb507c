"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noria.messages import t

ProjectOption = Annotated[Path, typer.Option("--project", help=t("help.project"), show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help=t("help.json"))]
PlanArgument = Annotated[str, typer.Argument(help=t("help.plan"), show_default=False)]
PlansArgument = Annotated[list[str], typer.Argument(help=t("help.plans"), show_default=False)]
OptionalPlans = Annotated[list[str] | None, typer.Argument(help=t("help.plans_all"), show_default=False)]
StateOption = Annotated[str | None, typer.Option("--state", help=t("help.state"))]
IdOption = Annotated[str | None, typer.Option("--id", help=t("help.id"))]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", envvar="NORIA_SERVER", help=t("help.server"), show_default=False),
]
TokenOption = Annotated[
    str | None, typer.Option("--token", metavar="env:NAME", help=t("help.token"), show_default=False)
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=200, help=t("help.limit"))]
HERE = Path()
