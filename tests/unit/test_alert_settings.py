"""`[alerts]` in noria.toml: what is said of it that can't be right, which rules count, quiet hours, words."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noria.engine.checking import check_project
from noria.messages import CATALOGUE, Message
from noria.metadata.alerts import AlertSettings, Channel, Quiet, Rule, rulings
from noria.metadata.errors import InvalidDocument
from noria.metadata.project import load_project
from noria.monitoring.telling import Told, lasted, text
from noria.scheduler.crontab import last_fire, next_fire

DING = '[alerts.channels.ding]\nkind = "dingtalk"\nurl = "env:DING_URL"\n'
# What noria.toml says, the key of what is found, where, how bad.
CASES: list[tuple[str, str, str, str]] = [
    ('[alerts]\nurl = "noria.example.com"\n', "alerts.url", "$.alerts.url", "error"),
    (DING, "alerts.no_url", "$.alerts.url", "hint"),
    ('[alerts.channels.x]\nkind = "dingtalk"\n', "alerts.channel_needs", "$.alerts.channels.x.url", "error"),
    ('[alerts.channels.x]\nkind = "email"\nhost = "h"\nto = ["a@b.cn"]\n', "alerts.channel_needs", "$.alerts.channels.x.from", "error"),
    (
        '[alerts.channels.x]\nkind = "wecom"\nurl = "env:WECOM_URL"\nsecret = "env:DING_SECRET"\n',
        "alerts.channel_unused", "$.alerts.channels.x.secret", "warning",
    ),
    (f'{DING}secret = "SEC123456"\n', "secret.literal", "$.alerts.channels.ding.secret", "error"),
    (
        '[alerts.channels.x]\nkind = "feishu"\nurl = "https://open.feishu.cn/open-apis/bot/v2/hook/very-secret"\n',
        "secret.literal", "$.alerts.channels.x.url", "error",
    ),
    ('[alerts.channels.x]\nkind = "webhook"\nurl = "example.com/x"\n', "connection.base_url", "$.alerts.channels.x.url", "error"),
    ('[alerts.channels.x]\nkind = "wecom"\nurl = "env:NOWHERE"\n', "secret.env_missing", "$.alerts.channels.x.url", "error"),
    ('[alerts.channels.x]\nkind = "wecom"\nurl = "env:DING_URL"\n', "channel.unusable", "$.alerts.channels.x.url", "error"),
    ('[alerts.channels.x]\nkind = "apprise"\nurl = "env:NONSENSE"\n', "channel.unusable", "$.alerts.channels.x.url", "error"),
    (f'{DING}zone = "Asia/Nowhere"\n', "connection.timezone", "$.alerts.channels.ding.zone", "error"),
    (f'{DING}quiet = {{ from = "25:00", to = "08:00" }}\n', "alerts.clock", "$.alerts.channels.ding.quiet.from", "error"),
    (f'{DING}quiet = {{ from = "22:00", to = "8" }}\n', "alerts.clock", "$.alerts.channels.ding.quiet.to", "error"),
    (f'{DING}quiet = {{ from = "22:00", to = "22:00" }}\n', "alerts.quiet_empty", "$.alerts.channels.ding.quiet", "error"),
    ("[alerts.rules.failure]\nafter = 3\n", "alerts.rule_kind", "$.alerts.rules.failure.kind", "error"),
    ('[alerts.rules.failures]\nafter = "soon"\n', "alerts.rule_after", "$.alerts.rules.failures.after", "error"),
    ("[alerts.rules.failures]\nafter = 0\n", "alerts.rule_after", "$.alerts.rules.failures.after", "error"),
    ('[alerts.rules.lag]\nafter = "an hour"\n', "alerts.rule_after", "$.alerts.rules.lag.after", "error"),
    ('[alerts.rules.quiet-orders]\nkind = "silence"\n', "alerts.rule_after", "$.alerts.rules.quiet-orders.after", "error"),
    ('[alerts.rules.lag]\nstates = ["held"]\n', "alerts.rule_states", "$.alerts.rules.lag.states", "warning"),
    ('[alerts.rules.dead]\nplans = ["order"]\n', "plan.unknown", "$.alerts.rules.dead.plans[0]", "error"),
    (f'{DING}[alerts.rules.dead]\nchannels = ["dong"]\n', "alerts.rule_channel", "$.alerts.rules.dead.channels[0]", "error"),
    ('[alerts.channels.x]\nkind = "dingding"\n', "valid.not_a_choice", "$.alerts.channels.x.kind", "error"),
    ('[alerts.channels.x]\nkind = "webhook"\nurl = 5\n', "valid.wrong_type", "$.alerts.channels.x.url", "error"),
    ("[alerts.rule.dead]\nafter = 2\n", "valid.unknown_key", "$.alerts.rule", "warning"),
]  # fmt: skip


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DING_URL", "https://oapi.dingtalk.com/robot/send?access_token=abc123")
    monkeypatch.setenv("DING_SECRET", "SECabc123")
    monkeypatch.setenv("WECOM_URL", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=a-b-1")
    monkeypatch.setenv("NONSENSE", "nonsense")


def found(folder: Path, settings: str) -> list[Any]:
    (folder / "plans").mkdir(exist_ok=True)
    (folder / "plans" / "orders.json").write_text(
        '{"source": {"connection": "i", "metadata": {"api": "orders", "id": "id"}},'
        ' "target": {"connection": "i", "metadata": {"api": "写入空操作"}}}',
        encoding="utf-8",
    )
    (folder / "noria.toml").write_text(f'[connections.i]\nconnector = "noria"\n{settings}', encoding="utf-8")
    try:
        return check_project(load_project(folder), [], folder)
    except InvalidDocument as error:
        return error.problems


@pytest.mark.parametrize(("settings", "key", "path", "severity"), CASES)
def test_what_is_wrong_is_said_where_it_is(
    tmp_path: Path, secrets: None, settings: str, key: str, path: str, severity: str
) -> None:
    problems = [one for one in found(tmp_path, settings) if one.message.key == key]
    assert [(one.path, one.severity, one.plan) for one in problems] == [(path, severity, "noria.toml")]
    assert problems[0].hint is not None
    shown = [str(one.message) + str(one.hint) for one in found(tmp_path, settings)]
    assert not any(secret in text for secret in ("SEC123456", "very-secret", "abc123") for text in shown)


def test_every_finding_is_among_the_cases() -> None:
    keys = {key for key in CATALOGUE if key.startswith("alerts.") and not key.endswith("hint")}
    assert keys == {key for _, key, _, _ in CASES if key.startswith("alerts.")}


@pytest.mark.parametrize(
    "settings",
    [
        "",
        '[alerts]\nurl = "https://noria.example.com"\n' + DING + 'secret = "env:DING_SECRET"\n'
        'quiet = { from = "22:00", to = "7:30" }\nzone = "Europe/Berlin"\nseverity = "critical"\nlanguage = "en"\n',
        '[alerts]\nurl = "http://10.0.0.5:8080"\n[alerts.channels.mail]\nkind = "email"\nhost = "smtp.example.com"\nport = 465\n'
        'security = "ssl"\nuser = "noria@example.com"\npassword = "env:DING_SECRET"\nfrom = "noria@example.com"\nto = ["it@example.com"]\n',
        '[alerts.rules.silence]\nafter = "6h"\n[alerts.rules.quick]\nkind = "lag"\nafter = "10m"\nplans = ["orders"]\nchannels = []\n',
        '[alerts]\nurl = "https://x.cn"\n[alerts.channels.h]\nkind = "webhook"\nurl = "https://u:p@example.com:8443/a/b?c=d"\n',
    ],
)
def test_what_is_right_is_not_complained_of(tmp_path: Path, secrets: None, settings: str) -> None:
    assert found(tmp_path, settings) == []


def test_the_rules_that_count() -> None:
    defaults = rulings(AlertSettings())
    assert {one.kind: one.after for one in defaults} == {
        "failures": 3, "dead": 1, "lag": 3600, "token": 7 * 86400, "reconciliation": 1,
    }  # fmt: skip
    assert [one.kind for one in defaults if one.severity == "critical"] == ["failures"]
    channels = {"all": Channel(kind="wecom"), "bad": Channel(kind="wecom", severity="critical")}
    rules = {
        "failures": Rule(after=5),
        "orders": Rule(kind="failures", after=1, plans=["orders"], channels=["all"]),
        "dead": Rule(enabled=False),
        "senseless": Rule(kind="lag", after="never"),
    }
    found = {one.name: one for one in rulings(AlertSettings(channels=channels, rules=rules))}
    assert sorted(found) == ["failures", "lag", "orders", "reconciliation", "token"]
    assert found["failures"].after == 5 and found["failures"].channels == ("all", "bad")
    assert found["lag"].channels == ("all",) and found["orders"].channels == ("all",)
    assert found["orders"].concerns("orders") and not found["orders"].concerns("users")
    assert found["failures"].concerns("users") and not found["failures"].concerns("orders")


@pytest.mark.parametrize(
    ("begin", "end", "tz", "now", "until"),
    [
        ("22:00", "08:00", "Asia/Shanghai", "2026-03-02 21:59", None),
        ("22:00", "08:00", "Asia/Shanghai", "2026-03-02 22:00", "2026-03-03 08:00"),
        ("22:00", "08:00", "Asia/Shanghai", "2026-03-03 07:59", "2026-03-03 08:00"),
        ("22:00", "08:00", "Asia/Shanghai", "2026-03-03 08:00", None),
        ("12:00", "13:30", "Asia/Shanghai", "2026-03-03 13:29", "2026-03-03 13:30"),
        ("12:00", "13:30", "Asia/Shanghai", "2026-03-03 13:30", None),
        ("00:00", "06:00", "Asia/Shanghai", "2026-03-03 00:00", "2026-03-03 06:00"),
        # The night that the clocks are put forward has an hour less.
        ("22:00", "08:00", "Europe/Berlin", "2026-03-28 22:30", "2026-03-29 08:00"),
    ],
)
def test_quiet_hours(begin: str, end: str, tz: str, now: str, until: str | None) -> None:
    zone = ZoneInfo(tz)
    at = datetime.fromisoformat(now).replace(tzinfo=zone).timestamp()
    wanted = None if until is None else datetime.fromisoformat(until).replace(tzinfo=zone).timestamp()
    assert Quiet(begin=begin, end=end).until(at, tz) == wanted


@given(
    crontab=st.sampled_from(["*/10 * * * *", "0 2 * * *", "30 9 * * 1", "0 0 1 * ?", "2-59/5 8-22 * * *"]),
    at=st.integers(1_700_000_000, 1_800_000_000),
)
def test_the_last_time_is_the_one_before_the_next(crontab: str, at: int) -> None:
    tz = ZoneInfo("Asia/Shanghai")
    last = last_fire(crontab, at, tz)
    assert last <= at < next_fire(crontab, last, tz)
    assert last_fire(crontab, last, tz) == last


def told(n: int, **more: Any) -> Told:
    what = Message("alert.silence", {"since_at": 1_700_000_000.0})
    blank = Told(False, "silence", "warning", f"p{n}", f"方案 {n}", what, 1_700_000_000.0 + n, None, None)
    return blank._replace(**more)


@pytest.mark.parametrize("kind", ["wecom", "dingtalk", "feishu", "webhook"])
@pytest.mark.parametrize("count", [1, 2, 40, 3000])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_message_fits_and_says_how_many_more(kind: Any, count: int, lang: str) -> None:
    reason = Message("alert.failures", {"count": 3, "kind": "k", "since_at": 0.0, "reason": "原因" * 500})
    alerts = [told(n, name="名" * 200, what=reason, kind="failures") for n in range(count)]
    made = text(alerts, Channel(kind=kind), "https://noria.example.com", lang)
    most = {"wecom": 2048, "dingtalk": 20_000, "feishu": 18_000}.get(kind, 60_100)
    assert len(f"{made.title}\n{made.body}".encode()) <= most and len(made.items) == count and made.bad
    shown = made.body.count("https://noria.example.com/plans/")
    assert shown >= 1 and (shown == count or f"{count - shown}" in made.body.splitlines()[-1])


def test_the_worst_comes_first_and_what_is_over_last() -> None:
    over = told(1, ended=True, ended_at=1_700_003_600.0, why="over")
    made = text([over, told(2), told(3, severity="critical")], Channel(kind="webhook"), "", "zh")
    assert made.title == "noria 告警：2 个开始，1 个结束"
    assert [line for line in made.body.splitlines() if line.startswith("【")] == [
        "【严重】方案 3 (p3)", "【警告】方案 2 (p2)", "【已恢复】方案 1 (p1)",
    ]  # fmt: skip
    assert "2023-11-15 06:13 至 2023-11-15 07:13，持续 59 分钟" in made.body and "http" not in made.body


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (7300, "2 h"), (200000, "2 d")]
)
def test_durations(seconds: float, words: str) -> None:
    assert lasted(seconds).text("en") == words


def test_settings_are_read_by_the_names_of_the_file() -> None:
    channel = msgspec.convert({"kind": "email", "from": "a@b.cn", "quiet": {"from": "22:00", "to": "8:00"}}, Channel)
    assert channel.sender == "a@b.cn" and channel.quiet is not None and channel.quiet.end == "8:00"
