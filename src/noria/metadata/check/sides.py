"""A source's and a target's document as a whole."""

from __future__ import annotations

from noria.messages import Message
from noria.metadata.check.fields import check_array, check_references, fields_for, source_fields, unknown_macro
from noria.metadata.check.findings import error, nearest_hint, warning
from noria.metadata.check.items import parsed
from noria.metadata.check.merging import check_callback, check_operation
from noria.metadata.check.rules import check_cron, check_rules
from noria.metadata.check.tree import check_duplicates, check_tree, items_in_lines, items_with_paths
from noria.metadata.documents import NOT_YET, Metadata
from noria.metadata.errors import Problem
from noria.metadata.expression_tree import Lookup, Reference, atoms, parts_of
from noria.metadata.plan import Plan
from noria.metadata.validation import shown

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "SQL")


def base_of(plan: Plan, side: str) -> str:
    """The JSON path of a side's document; a document that stands alone is the root."""
    return f"$.{side}.metadata" if getattr(plan, side).connection else "$"


def check_source(plan: Plan) -> list[Problem]:
    """Every problem of a source's document."""
    metadata = plan.source.metadata
    base = base_of(plan, "source")
    found = _check_head(metadata, base, "QUERY") if plan.source.document else []
    if not metadata.id_paths() and plan.source.document:
        found.append(error("check.no_id", f"{base}.id", "check.no_id_hint"))
    remedy = metadata.omissionRemedy
    lists = [(key, getattr(metadata, key) or []) for key in ("request", "otherRequest")]
    if remedy is not None:
        found += check_cron(remedy.crontab, f"{base}.omissionRemedy.crontab")
        lists.append(("omissionRemedy.takeOverRequest", remedy.takeOverRequest or []))
    for key, items in lists:
        found += check_tree(items, f"{base}.{key}")
        for item, path in items_with_paths(items, f"{base}.{key}"):
            expression, problems = parsed(item, path, plan, source=True)
            found += problems
            if item.field == "detailApi":
                found.append(error("check.not_yet", path, "check.not_yet_hint", key=item.field))
            if expression is None:
                continue
            if any(isinstance(one, Lookup) for one in parts_of(expression)):
                values = {"value": shown(item.value)}
                found.append(error("check.lookup_in_source", f"{path}.value", "check.lookup_in_source_hint", **values))
                continue
            for atom in atoms(expression):
                if isinstance(atom, Reference):
                    found.append(unknown_macro(atom, f"{path}.value"))
    found += check_duplicates(metadata, base)
    return found + check_rules(plan, base)


def check_target(plan: Plan) -> list[Problem]:
    """Every problem of a target's document."""
    metadata = plan.target.metadata
    base = base_of(plan, "target")
    found = _check_head(metadata, base, "EXECUTE") if plan.target.document else []
    fields = fields_for(plan)
    for key in ("request", "otherRequest"):
        items = getattr(metadata, key) or []
        found += check_tree(items, f"{base}.{key}")
        for item, path, arrays in items_in_lines(items, f"{base}.{key}", ()):
            expression, problems = parsed(item, path, plan, source=False)
            found += problems
            if expression is not None:
                found += check_references(item, expression, path, fields, arrays)
            elif item.kind == "array" and isinstance(item.value, str):
                found += check_array(item, path, fields)
    found += check_duplicates(metadata, base)
    return found + check_operation(metadata, base, source_fields(plan.source.metadata)) + check_callback(plan, base)


def _check_head(metadata: Metadata, base: str, wanted: str) -> list[Problem]:
    """What a document says of itself: its direction, its verb; and what would change the result and is not carried out
    yet, which is refused rather than ignored."""
    found = [
        error("check.not_yet", f"{base}.{key}", "check.not_yet_hint", key=key)
        for key in NOT_YET
        if getattr(metadata, key)
    ]
    key = "effect" if metadata.effect else "type"
    said = metadata.effect or metadata.type
    if said and said.strip().upper() != wanted:
        other = {"QUERY": "EXECUTE", "EXECUTE": "QUERY"}[wanted]
        hint_ = Message("valid.did_you_mean", {"name": wanted})
        swapped = said.strip().upper() == other
        found.append(warning("check.swapped" if swapped else "check.effect", f"{base}.{key}", hint_, value=shown(said)))
    if metadata.method and metadata.method.strip().upper() not in _METHODS:
        hint_ = nearest_hint(metadata.method.strip().upper(), _METHODS)
        found.append(warning("check.method", f"{base}.method", hint_, value=shown(metadata.method)))
    if metadata.delay is not None and metadata.delay < 0:
        values = {"value": shown(metadata.delay), "least": 0}
        found.append(error("valid.too_small", f"{base}.delay", "valid.at_least", **values))
    return found
