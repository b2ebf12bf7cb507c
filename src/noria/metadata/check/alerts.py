"""What `[alerts]` says that can't be right, as far as that shows without its secrets."""

from __future__ import annotations

from collections.abc import Iterable

from noria.messages import Message
from noria.metadata.alerts import KINDS, LASTING, AlertSettings, Channel, Quiet, Rule, kind_of, threshold
from noria.metadata.check.findings import nearest_hint
from noria.metadata.errors import Problem
from noria.metadata.secrets import is_reference, literal_secrets
from noria.metadata.times import zone
from noria.metadata.validation import is_web_address, shown

# What each kind of channel must have, and what else it looks at.
_NEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "dingtalk": (("url",), ("secret",)),
    "wecom": (("url",), ()),
    "feishu": (("url",), ("secret",)),
    "email": (("host", "from", "to"), ("port", "security", "user", "password")),
    "webhook": (("url",), ("token",)),
    "apprise": (("url",), ()),
}
# Addresses that hold a secret themselves.
_SECRET_ADDRESS = ("dingtalk", "wecom", "feishu", "apprise")
_OWN = ("url", "secret", "token", "host", "port", "security", "user", "password", "from", "to")


def alert_problems(settings: AlertSettings, plans: Iterable[str]) -> list[Problem]:
    """Every problem of the settings. `plans`: the project's plans by their keys."""
    found: list[Problem] = []
    if settings.url and not is_web_address(settings.url):
        message = Message("alerts.url", {"value": shown(settings.url)})
        found.append(Problem(message, "$.alerts.url", Message("alerts.url_hint")))
    elif settings.channels and not settings.url:
        found.append(Problem(Message("alerts.no_url"), "$.alerts.url", Message("alerts.url_hint"), "hint"))
    for name, channel in settings.channels.items():
        found += _channel_problems(channel, f"$.alerts.channels.{name}")
    known = list(plans)
    for name, rule in settings.rules.items():
        found += _rule_problems(name, rule, settings, known)
    return found


def _channel_problems(channel: Channel, path: str) -> list[Problem]:
    found: list[Problem] = []
    given = {name: getattr(channel, {"from": "sender"}.get(name, name)) for name in _OWN}
    needed, also = _NEEDS[channel.kind]
    for name in needed:
        if not given[name]:
            values = {"kind": channel.kind, "key": name}
            hint = Message(f"alerts.channel_{channel.kind}_hint")
            found.append(Problem(Message("alerts.channel_needs", values), f"{path}.{name}", hint))
    blank = Channel(kind=channel.kind)
    for name in _OWN:
        unset = getattr(blank, {"from": "sender"}.get(name, name))
        if name not in (*needed, *also) and given[name] != unset:
            values = {"kind": channel.kind, "key": name}
            hint = Message("valid.choices", {"choices": ", ".join((*needed, *also))})
            found.append(Problem(Message("alerts.channel_unused", values), f"{path}.{name}", hint, "warning"))
    found += literal_secrets({name: given[name] for name in ("secret", "token", "password")}, path)
    url = channel.url
    if url and not is_reference(url):
        if channel.kind in _SECRET_ADDRESS:
            hint = Message("secret.literal_hint", {"name": f"{channel.kind}_url".upper()})
            found.append(Problem(Message("secret.literal", {"key": "url"}), f"{path}.url", hint))
        elif not is_web_address(url):
            message = Message("connection.base_url", {"value": shown(url)})
            found.append(Problem(message, f"{path}.url", Message("connection.base_url_hint")))
    return found + _hours_problems(channel, path)


def _hours_problems(channel: Channel, path: str) -> list[Problem]:
    try:
        zone(channel.zone)
    except ValueError:
        message = Message("connection.timezone", {"value": shown(channel.zone)})
        return [Problem(message, f"{path}.zone", Message("connection.timezone_hint"))]
    found = []
    quiet = channel.quiet
    for name, text in (("from", quiet.begin), ("to", quiet.end)) if quiet else ():
        try:
            Quiet(begin=text, end=text).until(0.0, channel.zone)
        except ValueError:
            message = Message("alerts.clock", {"value": shown(text)})
            found.append(Problem(message, f"{path}.quiet.{name}", Message("alerts.clock_hint")))
    if quiet and not found and quiet.begin == quiet.end:
        found.append(Problem(Message("alerts.quiet_empty"), f"{path}.quiet", Message("alerts.clock_hint")))
    return found


def _rule_problems(name: str, rule: Rule, settings: AlertSettings, plans: list[str]) -> list[Problem]:
    path = f"$.alerts.rules.{name}"
    found: list[Problem] = []
    kind = kind_of(name, rule)
    if kind is None:
        message = Message("alerts.rule_kind", {"name": name})
        found.append(Problem(message, f"{path}.kind", nearest_hint(name, KINDS)))
    elif threshold(name, rule) is None:
        key = "lasting" if kind in LASTING else "counted"
        values = {"kind": kind, "value": shown(rule.after)}
        hint = Message(f"alerts.rule_{key}_hint")
        found.append(Problem(Message("alerts.rule_after", values), f"{path}.after", hint))
    if kind != "dead" and rule.states != ["dead"]:
        message = Message("alerts.rule_states", {"kind": kind or name})
        found.append(Problem(message, f"{path}.states", Message("valid.kept"), "warning"))
    for i, plan in enumerate(rule.plans):
        if plan not in plans:
            found.append(_unknown("plan.unknown", {"plan": plan}, f"{path}.plans[{i}]", plan, plans))
    for i, channel in enumerate(rule.channels or ()):
        if channel not in settings.channels:
            values = {"name": channel}
            found.append(
                _unknown("alerts.rule_channel", values, f"{path}.channels[{i}]", channel, list(settings.channels))
            )
    return found


def _unknown(key: str, values: dict[str, str], path: str, name: str, known: list[str]) -> Problem:
    return Problem(Message(key, values), path, nearest_hint(name, known))
