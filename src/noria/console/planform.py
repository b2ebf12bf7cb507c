"""A plan's text as a form: which fields there are, in which order, with what is suggested for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from noria.connectors.declaration import Endpoint
from noria.connectors.registry import CONNECTORS
from noria.connectors.settings import HttpSettings
from noria.console.fields import Field, Fields, default_of, worded
from noria.engine.drafts import Draft
from noria.messages import LANGUAGES, language, t
from noria.metadata.declared import options_of
from noria.metadata.documents import Metadata
from noria.metadata.formats import OPERATORS
from noria.metadata.kinds import ITEM_TYPES
from noria.metadata.parsers import PARSERS
from noria.metadata.paths import MISSING, at
from noria.metadata.plan import Options
from noria.metadata.project import Project
from noria.metadata.splicing import pointer

Path = tuple[str | int, ...]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Of a connection's settings what a plan often has to say of its own list.
_READING = (
    "envelope.records envelope.total envelope.code envelope.success envelope.message paging.type paging.page_param"
    " paging.first paging.size_param paging.size paging.offset_param paging.cursor_param paging.next paging.more"
).split()
# What a form says of a side as JSON, since it has a form of its own in each plan.
_WHOLE = {
    "source": ("beatFlat", "formatResponse", "omissionRemedy", "pagination", "response"),
    "target": ("operation", "groupCalculate", "callBackStrategy"),
}
# As long as nothing stands in a place there is more to do, and nothing wrong.
_OPEN = frozenset(("valid.missing_key", "valid.empty", "check.no_id"))
_WHOLE_OPTIONS = ("split", "webhook", "maps", "target")


@dataclass(frozen=True)
class Row:
    """A parameter or a mapped field: how deep it is inside others, what is written of it, what comes out."""

    pointer: str
    depth: int
    cells: dict[str, Field]
    more: list[Field]
    first: bool
    last: bool
    holds: bool
    value: Any = MISSING
    wrong: Sequence[str] = ()


@dataclass
class PlanForm:
    """The form of a draft. `payload`: what a record that is looked at becomes."""

    draft: Draft
    project: Project
    payload: Any = None
    typed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        document = self.draft.document if isinstance(self.draft.document, dict) else {}
        self.document: dict[str, Any] = document
        said: dict[str, list[str]] = {}
        todo = set()
        for problem in self.draft.problems:
            where = pointer(path_of(problem.path))
            if problem.message.key in _OPEN:
                todo.add(where)
            else:
                said.setdefault(where, []).append(worded(problem))
        for where in self.typed:
            said.setdefault(where, []).append(t("editor.no_json"))
        self.fields = Fields(self.draft.text if document else "{}", said, self.typed, todo)

    @property
    def writable(self) -> bool:
        """Whether what is put into the fields can be made part of the text."""
        return self.draft.document is not None

    def basics(self) -> list[Field]:
        """What the plan is."""
        return [
            self._field(("name",), "text", t("editor.name")),
            self._field(("description",), "text", t("editor.description")),
            self._choice(("enabled",), "truth", t("editor.enabled"), ("true", "false")),
        ]

    def times(self) -> list[Field]:
        """When it runs."""
        return [
            self._field(("schedule",), "text", t("editor.schedule"), hint=t("editor.cron"), suggests="crons"),
            self._field(("target_schedule",), "text", t("editor.target_schedule"), suggests="crons"),
            self._field(("timezone",), "text", t("editor.timezone"), suggests="zones"),
        ]

    def side(self, side: str) -> list[Field]:
        """Which system, which operation."""
        names = list(self.project.connections)
        own = str(at(self.document, f"{side}.connection") or "")
        if own and own not in names:
            names.append(own)
        titles = [(name, self._connection_title(name)) for name in names]
        base: Path = (side, "metadata")
        return [
            self._field((side, "connection"), "choice", t("editor.connection"), choices=[("", "–"), *titles]),
            self._field((*base, "api"), "text", t("editor.api"), suggests=f"{side}-apis", hint=self.named(side)),
            self._choice((*base, "method"), "choice", t("editor.method"), METHODS),
        ]

    def ids(self) -> list[Field]:
        """What a record is known by."""
        base: Path = ("source", "metadata")
        return [
            self._field((*base, "id"), "text", t("editor.id"), suggests="fields", hint=t("editor.id_hint")),
            self._field((*base, "number"), "text", t("editor.number"), suggests="fields"),
            self._choice((*base, "idCheck"), "truth", t("editor.id_check"), ("true", "false")),
        ]

    def target_check(self) -> list[Field]:
        """Whether the target's ids are checked before a write."""
        return [self._choice(("target", "metadata", "idCheck"), "truth", t("editor.id_check"), ("true", "false"))]

    def reading(self) -> list[Field]:
        """How the source's answers are taken apart, and its pages turned."""
        return [
            self._declared(row, ("options", "source")) for row in options_of(HttpSettings) if row["name"] in _READING
        ]

    def whole(self, side: str) -> list[Field]:
        """What is written as JSON."""
        described = {row["name"]: row["meaning"] for row in options_of(Metadata)}
        return [
            self._field((side, "metadata", name), "json", described.get(name, name), code=name) for name in _WHOLE[side]
        ]

    def options(self) -> list[Field]:
        """noria's own settings of a plan."""
        rows = options_of(Options)
        plain = [one for one in rows if one["name"].split(".")[0] not in (*_WHOLE_OPTIONS, "source")]
        described = {one["name"]: one["meaning"] for one in rows}
        return [
            *(self._declared(one, ("options",)) for one in plain),
            *(self._field(("options", name), "json", described.get(name, name), code=name) for name in _WHOLE_OPTIONS),
        ]

    def rows(self, side: str, key: str = "request") -> list[Row]:
        """A side's parameters or mapped fields, those inside others behind them."""
        return list(self._rows((side, "metadata", key), side, 0, ""))

    def conditions(self) -> list[tuple[str, list[tuple[str, list[Field]]]]]:
        """The source's filters: groups (with their pointers), each with its conditions."""
        base: Path = ("source", "metadata", "condition")
        found = []
        for place, group in enumerate(_list(at(self.document, "source.metadata.condition"))):
            tests = enumerate(group) if isinstance(group, list) else [(None, group)]
            shown = []
            for number, test in tests:
                path: Path = (*base, place) if number is None else (*base, place, number)
                if isinstance(test, dict):
                    shown.append((pointer(path), self._test(path)))
            found.append((pointer((*base, place)) if isinstance(group, list) else "", shown))
        return found

    def readable(self, side: str, key: str) -> bool:
        """Whether a list is written as one, so that a form can show it."""
        value = at(self.document, f"{side}.metadata.{key}")
        return (
            value is MISSING
            or value is None
            or (isinstance(value, list) and all(isinstance(one, dict | list) for one in value))
        )

    def inside(self, side: str) -> str:
        """The file that a side is written in, where it is not the plan's own."""
        metadata = at(self.document, f"{side}.metadata")
        return metadata if isinstance(metadata, str) else ""

    def endpoints(self, side: str) -> list[Endpoint]:
        """The operations that the side's connector knows."""
        connector = self._connector(side)
        listed = connector.endpoints if connector else ()
        return [one for one in listed if side == "target" or one.reads] or list(listed)

    def parameters(self) -> list[str]:
        """What the source's operation can be asked for."""
        connector = self._connector("source")
        found = connector.endpoint(str(at(self.document, "source.metadata.api") or "")) if connector else None
        return list(found.parameters) if found else []

    def target_parameters(self) -> list[str]:
        """What the target's operation takes."""
        connector = self._connector("target")
        api = str(at(self.document, "target.metadata.api") or "")
        same = connector.all_at(api) if connector else []
        writing = next((one for one in same if one.method != "GET"), same[0] if same else None)
        return list(writing.parameters) if writing else []

    def named(self, side: str) -> str:
        """What the side's operation is called."""
        api = at(self.document, f"{side}.metadata.api")
        return next((one.name for one in self.endpoints(side) if one.at(str(api or "")) is not None), "")

    def problems(self) -> list[dict[str, Any]]:
        """What is wrong, each with the field that it belongs to, and whether it only is still to be filled in."""
        return [
            {**one.to_json(), "pointer": pointer(path_of(one.path)), "todo": one.message.key in _OPEN}
            for one in self.draft.problems
        ]

    def _connector(self, side: str) -> Any:
        table = self.project.connections.get(str(at(self.document, f"{side}.connection") or ""), {})
        return CONNECTORS.get(str(table.get("connector")))

    def _connection_title(self, name: str) -> str:
        connector = CONNECTORS.get(str(self.project.connections.get(name, {}).get("connector")))
        return f"{name} · {connector.title[LANGUAGES.index(language())]}" if connector else name

    def _rows(self, path: Path, side: str, depth: int, inside: str) -> Iterator[Row]:
        holder = self.fields.root.at(path)
        for place in range(len(holder.parts) if holder is not None and holder.opens == "[" else 0):
            here: Path = (*path, place)
            span = self.fields.root.at(here)
            if span is None or span.opens != "{":
                continue
            suggested = {"source": "parameters", "target": "target-fields"}[side]
            cells = {
                "field": self._field((*here, "field"), "name", t("editor.field"), suggests=suggested),
                "value": self._field((*here, "value"), "text", t("editor.value"), suggests="expression"),
                "label": self._field((*here, "label"), "text", t("editor.label")),
                "type": self._choice((*here, "type"), "choice", t("editor.type"), ITEM_TYPES),
            }
            children = span.inner("children")
            holds = children is not None and bool(children.parts)
            known = self._known(cells["field"].value, here, inside)
            yield Row(
                pointer(here),
                depth,
                cells,
                self._more(here),
                place == 0,
                holder is not None and place == len(holder.parts) - 1,
                holds or cells["type"].value in ("array", "object"),
                at(self.payload, known) if self.payload is not None and side == "target" else MISSING,
                [] if holds else self.fields.wrong_at(pointer(here)),
            )
            if holds:
                line = ".0" if isinstance(at(self.payload or {}, known), list) else ""
                yield from self._rows((*here, "children"), side, depth + 1, f"{known}{line}.")

    def _known(self, name: str, path: Path, inside: str) -> str:
        """Where the payload has an item: below the item that its `parent` names, in the flat form."""
        parent = at(self.document, ".".join(map(str, path)) + ".parent")
        if inside or not isinstance(parent, str) or not parent:
            return inside + name
        line = ".0" if isinstance(at(self.payload or {}, parent), list) else ""
        return f"{parent}{line}.{name.removeprefix(parent + '.')}"

    def _more(self, path: Path) -> list[Field]:
        return [
            self._choice((*path, "is_required"), "truth", t("editor.required"), ("true", "false")),
            self._choice((*path, "parser", "name"), "choice", t("editor.parser"), tuple(PARSERS)),
            self._field((*path, "parser", "params"), "text", t("editor.params")),
            self._field((*path, "mapping", "target"), "text", t("editor.value_map"), suggests="maps"),
            self._choice((*path, "mapping", "direction"), "choice", t("editor.direction"), ("positive", "reverse")),
            self._field((*path, "describe"), "text", t("editor.remark")),
        ]

    def _test(self, path: Path) -> list[Field]:
        where = LANGUAGES.index(language())
        operators = [("", "–"), *((name, words[where]) for name, words in OPERATORS.items())]
        return [
            self._field((*path, "field"), "name", t("editor.field"), suggests="fields"),
            self._field((*path, "logic"), "choice", t("editor.logic"), choices=operators),
            self._field((*path, "value"), "text", t("editor.compared_with"), suggests="expression"),
            self._choice((*path, "strictMode"), "truth", t("editor.strict"), ("true", "false")),
        ]

    def _declared(self, row: dict[str, str], base: Path) -> Field:
        """The field of a setting as it is declared."""
        path = (*base, *row["name"].split("."))
        label, code = row["meaning"] or row["name"], row["name"]
        if " | " in row["type"]:
            return self._choice(path, "choice", label, tuple(row["type"].split(" | ")), code=code)
        if row["type"] == "bool":
            return self._choice(path, "truth", label, ("true", "false"), code=code)
        kind = {"int": "number", "float": "number", "list": "json", "dict": "json"}.get(row["type"], "text")
        return self._field(path, kind, label, hint=default_of(row), code=code)

    def _field(self, path: Path, kind: str, label: str, **rest: Any) -> Field:
        """A field; what stands in a choice is one of it even when it isn't known."""
        found = self.fields.field(path, kind, label, **rest)
        if found.choices and found.value not in [one for one, _ in found.choices]:
            return self.fields.field(path, kind, label, **{**rest, "choices": [*found.choices, (found.value,) * 2]})
        return found

    def _choice(self, path: Path, kind: str, label: str, names: Sequence[str], **rest: Any) -> Field:
        """A choice, or nothing, which is the default."""
        words = {"true": t("editor.yes"), "false": t("editor.no")} if kind == "truth" else {}
        choices = [("", t("editor.default")), *((one, words.get(one, one)) for one in names)]
        return self._field(path, kind, label, choices=choices, **rest)


def path_of(path: str) -> Path:
    """A problem's path (`$.source.metadata.request[1].value`) as keys and numbers."""
    found: list[str | int] = []
    for part in path.removeprefix("$").replace("[", ".[").split("."):
        if part.startswith("[") and part.endswith("]") and part[1:-1].isdigit():
            found.append(int(part[1:-1]))
        elif part:
            found.append(part)
    return tuple(found)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
