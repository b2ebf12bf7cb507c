"""Commands that are sent to a server show what they show at the ledger itself."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from noria.console.app import Operations
from noria.console.server import serving
from noria.engine import run_plan
from noria.ledger import ledger_of
from noria.metadata.project import load_project
from tests.conftest import EMPTY, Project
from tests.integration.test_console_pages import NASTY, USERS
from tests.servers import alongside, listening

BOTH_LEDGERS = True
Called = Callable[..., tuple[int, str, str]]


@asynccontextmanager
async def office() -> AsyncIterator[str]:
    """A source and a target that refuses two."""

    async def rows(_: web.Request) -> web.Response:
        found = [
            f'{{"id": "r{n}", "name": {json.dumps(NASTY if n == 3 else f"row {n}")}, "sum": 1.10000000000000000000{n}}}'
            for n in range(8)
        ]
        return web.Response(
            text=f'{{"data": [{", ".join([*found, json.dumps({"id": ""})])}]}}', content_type="application/json"
        )

    async def items(request: web.Request) -> web.Response:
        rows = await request.json()
        return web.json_response(
            {"results": [{"id": row["id"], "ok": row["id"] not in ("r3", "r5"), "message": "部门"} for row in rows]}
        )

    async with listening([web.get("/list", rows), web.post("/items", items)]) as url:
        yield url


@pytest.fixture
def served(project: Project, settings: str) -> Iterator[str]:
    """A project with failures, and its console."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[str]:
        async with office() as url:
            project.connections(
                f'[connections.here]\nconnector = "http"\nbase_url = "{url}"\nenvelope = {{ records = "data" }}\n'
                f'write = {{ results = "results" }}\n[connections.inside]\nconnector = "noria"\n{settings}'
            )
            fields = [{"field": name, "value": "{{" + name + "}}"} for name in ("id", "name", "sum")]
            source = {"api": "/list", "id": "id", "number": "name", "idCheck": True}
            target = {"api": "/items", "method": "POST", "request": fields}
            project.plan("p", ("here", source), ("here", target), name="一个方案")
            project.plan("off", ("here", source), ("inside", EMPTY), enabled=False)
            async with project.workspace() as workspace:
                await run_plan(workspace, workspace.project.plan("p"))
                operations = Operations(workspace)
                async with serving(operations.app(), "127.0.0.1:0") as port:
                    yield f"http://127.0.0.1:{port}"
                operations.close()

    with alongside(opened) as beside:
        yield beside


@pytest.fixture
def settings() -> str:
    return ""


COMMANDS = (
    ("status",),
    ("records", "p"),
    ("records", "一个方案", "--state", "failed"),
    ("records", "p", "--id", "r3"),
    ("records", "p", "--limit", "4"),
    ("records", "p", "--full"),
    ("record", "p", "r3"),
    ("record", "p", "r1"),
    ("runs",),
    ("runs", "p", "--limit", "1"),
    ("failures",),
    ("failures", "off"),
    ("export", "p"),
    ("export", "p", "--format", "csv"),
    ("audit",),
)


def test_a_command_shows_the_same_here_and_from_a_server(
    served: str, project: Project, called: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", project.clock.now)
    # More than one page of them.
    monkeypatch.setattr("noria.cli.remote._PAGE", 3)
    with ledger_of(load_project(project.folder)) as ledger:
        ledger.audit.note(project.clock.now(), "ada", "replay", "p", {"count": 2})
        ledger.agenda.seen("w1", "0.1.0", project.clock.now() - 9, project.clock.now(), 1, False)
    for lang in ("en", "zh"):
        monkeypatch.setenv("NORIA_LANG", lang)
        for command in COMMANDS:
            for how in ((), ("--json",)):
                here = called(*command, *how, "--project", project.folder)
                there = called(*command, *how, "--server", served)
                assert here == there and here[0] == 0, command
                assert here[1].strip() or command == ("failures", "off"), command


def test_what_is_not_there_is_told_alike(served: str, project: Project, called: Called) -> None:
    for command in (
        ("record", "p", "nobody"),
        ("records", "q"),
        ("records", "p", "--state", "x"),
        ("failures", "offf"),
    ):
        here = called(*command, "--json", "--project", project.folder)
        there = called(*command, "--json", "--server", served)
        assert here[0] == there[0] != 0
        first, second = (json.loads(one[1])["error"] for one in (here, there))
        assert first["code"] == second["code"] and first["message"] == second["message"]


def test_acts_are_done_there(served: str, project: Project, called: Called) -> None:
    def wanted() -> set[str]:
        return {one.stage for one in project.ledger("p", lambda ledger, _: ledger.agenda.wanted())}

    there = ("--server", served)
    assert called("replay", "p", "--state", "invalid", "--json", *there)[1] == '{"plan":"p","replayed":0}\n'
    assert called("replay", "p", "--json", *there)[1] == '{"plan":"p","replayed":2}\n' and wanted() == {"deliver"}
    assert called("replay", "p", "--id", "r1", *there)[:2] == (0, "0 records are pending again\n")
    assert called("run", "p", "一个方案", *there)[:2] == (0, "p will run in a moment\np will run in a moment\n")
    assert wanted() == {"deliver", "extract"}
    assert called("pause", "p", "--json", *there)[1] == '{"plan":"p","enabled":false}\n'
    assert load_project(project.folder).plan("p").enabled is False
    code, out, _ = called("run", "p", "--json", *there)
    assert code == 1 and json.loads(out)["error"]["code"] == "paused"
    assert called("resume", "p", *there)[:2] == (0, "p is switched on\n")
    assert called("pause", "p", "--project", project.folder)[:2] == (0, "p is paused\n")
    assert load_project(project.folder).plan("p").enabled is False
    _, out, _ = called("audit", "--json", *there)
    assert [json.loads(line)["what"] for line in out.splitlines()] == [
        "pause",
        "resume",
        "pause",
        "run",
        "run",
        "replay",
        "replay",
        "replay",
    ]


@pytest.mark.parametrize("settings", [USERS])
def test_tokens_are_made_shown_once_and_revoked(
    served: str, project: Project, called: Called, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("time.time", project.clock.now)
    here, there = ("--project", str(project.folder)), ("--server", served)
    code, _, err = called("status", *there)
    assert code == 1 and "wants a token" in err and "noria token create" in err
    code, token, err = called("token", "create", "ci", "--role", "operator", "--expires", "2d", *here)
    token = token.strip()
    assert code == 0 and token.startswith("noria_") and "ci" in err and token not in err
    monkeypatch.setenv("NORIA_TOKEN", token)
    assert called("status", *there)[0] == 0
    monkeypatch.delenv("NORIA_TOKEN")
    monkeypatch.setenv("CI_TOKEN", token)
    (tmp_path / "token").write_text(token + "\n")
    for given in ("env:CI_TOKEN", f"file:{tmp_path / 'token'}", token):
        assert called("status", *there, "--token", given)[0] == 0
    code, out, _ = called("audit", "--json", *there, "--token", "env:CI_TOKEN")
    assert code == 1 and json.loads(out)["error"]["code"] == "not_yours"
    code, out, _ = called("token", "list", "--json", *here)
    listed = json.loads(out)
    assert (listed["name"], listed["role"], listed["revoked_at"]) == ("ci", "operator", None) and token not in out
    assert listed["used_at"] and listed["expires_at"]
    assert (
        called("token", "create", "ci", *here)[0] == called("token", "create", "x", "--expires", "soon", *here)[0] == 1
    )
    assert called("token", "list", *here)[1].splitlines()[1].split()[:3] == ["ci", "operator", "holds"]
    assert called("token", "revoke", "ci", *here)[0] == 0 and called("token", "revoke", "ci", *here)[0] == 1
    code, out, err = called("status", *there, "--token", "env:CI_TOKEN")
    assert code == 1 and "refuses the token" in err and token not in out + err
    assert "revoked" in called("token", "list", *here)[1]
    assert project.ledger("p", lambda ledger, _: token not in str(ledger.store.tuples("SELECT * FROM audit")))


@asynccontextmanager
async def odd(
    headers: dict[str, str],
    body: str,
    tls: ssl.SSLContext | None = None,
    status: int = 200,
    heard: list[str] | None = None,
) -> AsyncIterator[str]:
    """A server that answers so, whatever it is asked; what it hears of tokens."""

    async def answer(request: web.Request) -> web.Response:
        if heard is not None:
            heard.append(request.headers.get("Authorization", ""))
        return web.Response(text=body, headers=headers, status=status)

    async with listening([web.route("*", "/{rest:.*}", answer)], tls) as url:
        yield url


@pytest.mark.parametrize(
    ("headers", "body", "code", "says"),
    [
        ({}, "<html>", "not_noria", "answered 200"),
        ({"Noria-Api": "2"}, "{}", "version", "version 2"),
        ({"Noria-Api": "1"}, '{"plans": 3}', "version", "understood"),
        ({"Noria-Api": "1"}, "\xff", "version", "understood"),
    ],
)
def test_what_is_no_answer_is_told(called: Called, headers: dict[str, str], body: str, code: str, says: str) -> None:
    with alongside(lambda: odd(headers, body)) as beside:
        found, out, _ = called("status", "--json", "--server", beside)
        error = json.loads(out)["error"]
        assert (found, error["code"]) == (1, code) and says in error["message"]


def test_a_token_goes_nowhere_else(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORIA_TOKEN", "noria_x")
    heard: list[str] = []
    with (
        alongside(lambda: odd({"Noria-Api": "1"}, "{}", heard=heard)) as other,
        alongside(lambda: odd({"Location": other}, "", status=302)) as beside,
    ):
        _, out, _ = called("status", "--json", "--server", beside)
        assert json.loads(out)["error"]["code"] == "not_noria" and heard == []


def test_a_server_that_is_not_there(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = called("status", "--json", "--server", "http://127.0.0.1:9")
    assert code == 1 and json.loads(out)["error"]["code"] == "unreachable"
    monkeypatch.setenv("NORIA_SERVER", "http://127.0.0.1:9")
    code, _, err = called("runs")
    assert code == 1 and "can't be reached" in err and "noria serve" in err
    for wrong in ("noria.example.com", "ftp://x", "http://u:p@x", "file:///etc/passwd"):
        assert called("status", "--server", wrong)[0] == 2
    for command in (("check",), ("sweep", "p"), ("serve",), ("token", "list")):
        code, _, err = called(*command, "--server", "http://127.0.0.1:9")
        assert code == 2 and "can't be sent elsewhere" in err, command
    monkeypatch.delenv("NORIA_SERVER")
    assert called("status", "--token", "env:X")[0] == 2


def test_a_token_is_not_shown_to_everybody(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORIA_TOKEN", "noria_x")
    _, _, err = called("status", "--server", "http://noria.invalid:9")
    assert "use https" in err and "noria_x" not in err
    _, _, err = called("status", "--server", "http://127.0.0.1:9")
    assert "use https" not in err


def test_a_certificate_that_nobody_vouches_for(called: Called, tmp_path: Path) -> None:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(datetime.now(UTC)).not_valid_after(datetime.now(UTC) + timedelta(1))
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (tmp_path / "pem").write_bytes(pem + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "pem")
    with alongside(lambda: odd({"Noria-Api": "1"}, "{}", tls)) as beside:
        code, out, _ = called("status", "--json", "--server", beside)
        assert code == 1 and json.loads(out)["error"]["code"] == "tls"
        code, out, _ = called("status", "--json", "--server", beside.replace("https", "http"))
        assert code == 1 and json.loads(out)["error"]["code"] == "unreachable"
