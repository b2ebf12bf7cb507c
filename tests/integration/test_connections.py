"""Connections made and changed in the console: in noria.toml, whose other words stay; secrets go in and never out."""

from __future__ import annotations

import re
import stat
import tomllib
from typing import Any

import pytest

from noria.console.connectionfile import changed
from noria.metadata.errors import NoriaError
from noria.metadata.project import load_project
from tests.conftest import Project
from tests.integration.test_console_pages import Console, console
from tests.integration.test_editor import ADMIN, Editing

SECRET = "hush-hush-4711"


def toml(project: Project) -> str:
    return (project.folder / "noria.toml").read_text("utf-8")


async def opened(shown: Console, path: str = "/connection") -> Editing:
    editing = await Editing(shown, path).open()
    editing.path = "/connection"
    return editing


async def test_a_connection_is_made_tested_changed_and_removed(project: Project) -> None:
    async with console(project) as shown:
        address = re.search(r'base_url = "([^"]+)"', toml(project))
        assert address is not None
        before = toml(project) + "\n# 结尾的注释\n"
        (project.folder / "noria.toml").write_text(before, "utf-8")
        new = await opened(shown)
        assert "set:auth.token" not in new.fields
        await new.put(name="crm", base_url=address[1] + "/list", **{"auth.type": "bearer"})
        await new.put(**{"auth.token": SECRET})
        assert SECRET not in new.page
        new.fields["set:auth.token"] = SECRET
        await new.put("test")
        assert "连得上" in new.page and SECRET not in new.page
        new.fields["set:auth.token"] = SECRET
        await new.put("save")
        assert shown.headers["HX-Redirect"] == "/connections"
        # The file says that besides what it said, and the secret is in a file that only its owner reads.
        after = toml(project)
        assert (
            after.startswith(before.split("[connections.here]")[0]) and "# 结尾的注释" in after and SECRET not in after
        )
        made = tomllib.loads(after)["connections"]["crm"]
        assert made["auth"] == {"type": "bearer", "token": "file:secrets/crm.auth.token"}
        kept = project.folder / "secrets" / "crm.auth.token"
        assert kept.read_text() == SECRET and stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert (project.folder / "secrets" / ".gitignore").read_text() == "*\n"
        # It can be used at once, and shows nowhere.
        assert "crm" in (await shown.get("/new"))[1]
        pages = ["/connections", "/connection?name=crm", "/audit", "/new"]
        assert not [path for path in pages if SECRET in (await shown.get(path))[1]]
        assert SECRET not in str((await shown.json("/connection?name=crm"))[1])
        # A change of something else keeps the secret; another one takes its place.
        again = await opened(shown, "/connection?name=crm")
        assert again.fields["set:auth.token"] == "file:secrets/crm.auth.token"
        await again.put(**{"paging.type": "page", "paging.size": "50"})
        await again.put("save")
        made = tomllib.loads(toml(project))["connections"]["crm"]
        assert made["paging"] == {"type": "page", "size": 50} and made["auth"]["token"] == "file:secrets/crm.auth.token"
        again = await opened(shown, "/connection?name=crm")
        again.fields["set:auth.token"] = "env:CRM_TOKEN"
        await again.put("save")
        # A variable that is not set is an error, and nothing was written.
        assert "CRM_TOKEN" in again.page
        assert tomllib.loads(toml(project))["connections"]["crm"]["auth"]["token"] == "file:secrets/crm.auth.token"
        again = await opened(shown, "/connection?name=crm")
        await again.put("remove")
        assert "crm" not in tomllib.loads(toml(project))["connections"]
        assert toml(project).rstrip().endswith("# 结尾的注释") and "[connections.here]" in toml(project)
        # One that plans use stays.
        used = await opened(shown, "/connection?name=here")
        await used.put("remove")
        assert "还有方案在用" in used.page and "here" in tomllib.loads(toml(project))["connections"]
        changes = [one["what"] for one in (await shown.json("/audit"))[1]["changes"]]
        assert changes == ["disconnect", "connect", "connect"]


async def test_what_is_wrong_is_said_at_its_field(project: Project) -> None:
    async with console(project) as shown:
        before = toml(project)
        new = await opened(shown)
        for name in ("", "../x", "a b", "here", "a.b", "[x]"):
            new.fields["name"] = name
            await new.put("save", base_url="http://127.0.0.1:1")
            assert "请填写名称" in new.page or (name == "here" and "已有这个名称" in new.page), name
        await new.put("save", name="crm", base_url="ftp://x")
        assert "请先改正" in new.page and "ftp://x" in new.page
        await new.put("save", base_url="http://127.0.0.1:1", **{"envelope.success": "[1,"})
        assert "请先改正" in new.page
        await new.put("test", **{"envelope.success": ""})
        assert 'class="said bad"' in new.page
        # Somebody else has changed the file meanwhile.
        (project.folder / "noria.toml").write_text(before + "\n# x\n", "utf-8")
        await new.put("save")
        assert "noria.toml 刚被改过" in new.page and toml(project) == before + "\n# x\n"
        # A secret that somebody wrote down is not shown, not lost, and not saved again.
        written = (
            before
            + f'[connections.old]\nconnector = "http"\nbase_url = "http://127.0.0.1:1"\nauth = {{ type = "basic", username = "u", password = "{SECRET}" }}\n'
        )
        (project.folder / "noria.toml").write_text(written, "utf-8")
        project_now = load_project(project.folder)
        shown.operations.workspace.project = project_now
        old = await opened(shown, "/connection?name=old")
        assert SECRET not in old.page and "env:" in old.page
        await old.put("save", base_url="http://127.0.0.1:2")
        assert "请先改正" in old.page and toml(project) == written
        assert (await shown.get("/connection?name=nothing"))[0] == 404
        assert (await shown.post("/connection", was="nothing", do="save"))[0] == 404
        assert (await shown.post("/connection", connector="nothing", do="save"))[0] == 400


async def test_who_may_make_connections(project: Project) -> None:
    async with console(project, ADMIN) as shown:
        for name, password, may in (
            ("vera", "vera looks on", False),
            ("otto", "otto operates", False),
            ("anna", "anna may all", True),
        ):
            await shown.log_in(name, password)
            assert (await shown.get("/connection"))[0] == (200 if may else 403)
            assert (await shown.post("/connection", connector="http"))[0] == (200 if may else 403)
            await shown.post("/logout")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only words\n",
        '[connections.a]\nconnector = "http" # why\nbase_url = "x"\n\n[connections.a.auth]\ntype = "bearer"\n[ledger]\nurl = "y"\n',
        'connections.a.connector = "http"\nconnections.a.base_url = "x"\n',
        'connections = { a = { connector = "http", base_url = "x" } }\n',
        '[ledger]\nurl = "x"\n[connections.a.auth]\ntype = "x"\n[ledger.keep]\nruns = "1d"\n[connections.a.paging]\nsize = 1\n',
        '[connections]\na = { connector = "http", base_url = "x", auth = { type = "none" } }\n',
    ],
)
@pytest.mark.parametrize("much", [True, False], ids=["more", "less"])
def test_however_the_file_is_written(text: str, much: bool) -> None:
    table: dict[str, Any] = (
        {"connector": "http"}
        if not much
        else {
            "connector": "http",
            "base_url": "z",
            "auth": {"type": "basic", "username": "我"},
            "n": [1, 2],
        }
    )
    made = changed(text, "a", table)
    wanted = tomllib.loads(text)
    wanted.setdefault("connections", {})["a"] = table
    assert tomllib.loads(made) == wanted and all(word in made for word in re.findall(r"#.*", text))
    other = changed(made, "b", {"connector": "noria"})
    assert tomllib.loads(other)["connections"] == {"a": table, "b": {"connector": "noria"}}
    assert tomllib.loads(changed(other, "b", None))["connections"] == {"a": table}


def test_a_file_that_is_no_toml_is_left_alone() -> None:
    with pytest.raises(NoriaError):
        changed("[connections", "a", {"connector": "http"})
