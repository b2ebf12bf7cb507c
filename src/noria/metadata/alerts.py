"""`[alerts]` in `noria.toml`: what is an alert, and who hears of it over which channel."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from noria.metadata.times import duration, zone

Kind = Literal["failures", "dead", "lag", "silence", "token", "reconciliation"]
Level = Literal["warning", "critical"]
ChannelKind = Literal["dingtalk", "wecom", "feishu", "email", "webhook", "apprise"]
Trouble = Literal["dead", "held", "invalid"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Kinds whose threshold is a duration; the others count.
LASTING = ("lag", "silence", "token")
# What counts where nothing is said: the threshold, how bad it is. Silence is another one for each plan, so it is off.
DEFAULTS: dict[Kind, tuple[int | str, Level]] = {
    "failures": (3, "critical"),
    "dead": (1, "warning"),
    "lag": ("1h", "warning"),
    "token": ("7d", "warning"),
    "reconciliation": (1, "warning"),
}
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\Z")


class Quiet(msgspec.Struct, kw_only=True):
    """Hours in which nothing is sent, in the channel's zone."""

    begin: Annotated[str, Meta(description="从几点，如 22:00 | from when on, e.g. 22:00")] = msgspec.field(name="from")
    end: Annotated[str, Meta(description="到几点，如 08:00 | until when, e.g. 08:00")] = msgspec.field(name="to")

    def until(self, now: float, timezone: str) -> float | None:
        """When the quiet hours end in which `now` (epoch seconds) falls; None where it falls in none. Raises
        `ValueError` for times or a zone that are none."""
        here = datetime.fromtimestamp(now, zone(timezone))
        begin, end = (_minutes(text) for text in (self.begin, self.end))
        minute = here.hour * 60 + here.minute
        over_midnight = begin > end
        within = (minute >= begin or minute < end) if over_midnight else begin <= minute < end
        if not within:
            return None
        last = here.replace(hour=end // 60, minute=end % 60, second=0, microsecond=0)
        if minute >= end:
            last += timedelta(days=1)
        return last.timestamp()


def _minutes(text: str) -> int:
    match = _CLOCK.match(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * 60 + int(match[2])


class Channel(msgspec.Struct, kw_only=True):
    """A way to tell people."""

    kind: Annotated[
        ChannelKind,
        Meta(
            description="dingtalk 钉钉、wecom 企业微信、feishu 飞书、email、webhook、apprise（任意 Apprise 地址）"
            " | dingtalk, wecom, feishu (their robots), email, webhook, apprise (any of its URLs)"
        ),
    ]
    url: Annotated[
        str,
        Meta(
            description="机器人完整地址（含令牌，写 env:名称）、webhook 地址、Apprise 地址"
            " | the robot's whole address (it holds its token: write env:NAME), the webhook's, or Apprise's"
        ),
    ] = ""
    secret: Annotated[
        str, Meta(description="dingtalk、feishu：加签密钥 | dingtalk, feishu: the secret that messages are signed with")
    ] = ""
    token: Annotated[str, Meta(description="webhook：Bearer 令牌 | webhook: a bearer token")] = ""
    host: Annotated[str, Meta(description="email：SMTP 服务器 | email: the SMTP server")] = ""
    port: Annotated[
        int, Meta(ge=0, description="email：端口；0 按加密方式 | email: its port; 0: as security has it")
    ] = 0
    security: Annotated[
        Literal["starttls", "ssl", "none"], Meta(description="email：加密方式 | email: how it is encrypted")
    ] = "starttls"
    user: Annotated[str, Meta(description="email：用户 | email: user")] = ""
    password: Annotated[str, Meta(description="email：密码 | email: password")] = ""
    sender: Annotated[str, Meta(description="email：发件人 | email: from whom")] = msgspec.field(
        name="from", default=""
    )
    to: Annotated[list[str], Meta(description="email：收件人 | email: to whom")] = msgspec.field(default_factory=list)
    severity: Annotated[Level, Meta(description="至少多严重才发 | only what is at least as bad")] = "warning"
    language: Annotated[
        Literal["zh", "en"] | None, Meta(description="语言；缺省为进程的 | language; default: the process's")
    ] = None
    zone: Annotated[str, Meta(description="时间与静默时段的时区 | zone of times and quiet hours")] = "Asia/Shanghai"
    quiet: Annotated[Quiet | None, Meta(description="静默时段，其间不发 | quiet hours, in which nothing is sent")] = (
        None
    )

    def quiet_until(self, now: float) -> float | None:
        """When its quiet hours end, while it is in them; None otherwise, also where they make no sense: `noria check`
        says that."""
        try:
            return None if self.quiet is None else self.quiet.until(now, self.zone)
        except ValueError:
            return None


class Rule(msgspec.Struct, kw_only=True):
    """What is an alert."""

    kind: Annotated[
        Kind | None,
        Meta(
            description="failures 连续失败、dead 死信、lag 落后于调度、silence 没有收到新数据、token 令牌将到期、"
            "reconciliation 对账有差异；缺省与规则同名 | failures: runs in a row; dead: letters; lag: behind schedule;"
            " silence: nothing new; token: about to expire; reconciliation: differences; default: the rule's name"
        ),
    ] = None
    enabled: Annotated[bool, Meta(description="是否启用 | whether it counts")] = True
    after: Annotated[
        int | str | None,
        Meta(
            description="阈值：failures、dead、reconciliation 为个数，lag、silence、token 为时长"
            " | threshold: a number, or for lag, silence and token a duration; default 3, 1, 1; 1h, –, 7d"
        ),
    ] = None
    plans: Annotated[list[str], Meta(description="哪些方案；缺省全部 | which plans; default: all")] = msgspec.field(
        default_factory=list
    )
    channels: Annotated[
        list[str] | None, Meta(description="发到哪些渠道；缺省全部 | over which channels; default: all")
    ] = None
    severity: Annotated[
        Level | None,
        Meta(description="严重程度；缺省 failures 为 critical | how bad it is; default: failures are critical"),
    ] = None
    states: Annotated[list[Trouble], Meta(description="dead：哪些状态 | dead: which states")] = msgspec.field(
        default_factory=lambda: ["dead"]
    )


class AlertSettings(msgspec.Struct, kw_only=True):
    """Alerts. Where nothing is said, what `DEFAULTS` names is shown on the console and sent nowhere."""

    url: Annotated[
        str, Meta(description="控制台的公开地址，用于消息中的链接 | the console's public address, for links")
    ] = ""
    channels: Annotated[dict[str, Channel], Meta(description="渠道 | channels by name")] = msgspec.field(
        default_factory=dict
    )
    rules: Annotated[
        dict[str, Rule], Meta(description="规则；同名覆盖缺省规则 | rules by name; a default one's name replaces it")
    ] = msgspec.field(default_factory=dict)


class Ruling(NamedTuple):
    """A rule as it counts. `after`: records, runs or seconds; `plans`: None for all but `others`, which have rules of
    their own of this kind; `channels`: names."""

    name: str
    kind: Kind
    after: float
    plans: frozenset[str] | None
    others: frozenset[str]
    channels: tuple[str, ...]
    severity: Level
    states: tuple[str, ...]

    def concerns(self, plan: str) -> bool:
        """Whether it is about a plan."""
        return plan in self.plans if self.plans is not None else plan not in self.others


def rulings(settings: AlertSettings) -> list[Ruling]:
    """The rules that count: the defaults, and what is declared beside or in place of them. A rule that makes no sense
    is left out; `noria check` says what is wrong with it."""
    rules: dict[str, Rule] = {**{str(kind): Rule() for kind in DEFAULTS}, **settings.rules}
    named: dict[str | None, set[str]] = {}
    for name, rule in rules.items():
        named.setdefault(kind_of(name, rule), set()).update(rule.plans)
    found = []
    for name, rule in rules.items():
        kind, after = kind_of(name, rule), threshold(name, rule)
        if kind is None or after is None or not rule.enabled:
            continue
        severity = rule.severity or DEFAULTS.get(kind, ("", "warning"))[1]
        channels = tuple(
            one
            for one, channel in settings.channels.items()
            if (rule.channels is None or one in rule.channels)
            and (channel.severity == "warning" or severity == "critical")
        )
        plans = frozenset(rule.plans) if rule.plans else None
        others = frozenset(named[kind])
        found.append(Ruling(name, kind, after, plans, others, channels, severity, tuple(rule.states)))
    return found


def kind_of(name: str, rule: Rule) -> Kind | None:
    """What a rule is about: its kind, or its name where that is one."""
    return rule.kind or next((kind for kind in KINDS if kind == name), None)


def threshold(name: str, rule: Rule) -> float | None:
    """From when on a rule counts: a number, or seconds; None for one that is none."""
    kind = kind_of(name, rule)
    if kind is None:
        return None
    after = rule.after if rule.after is not None else DEFAULTS.get(kind, (None, ""))[0]
    if after is None:
        return None
    try:
        if kind in LASTING:
            return duration(after) or None
        return float(after) if isinstance(after, int) and after >= 1 else None
    except ValueError:
        return None
