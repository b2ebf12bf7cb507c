"""What somebody told only to break the editor has found."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from noria.console.connectionfile import ConnectionFile
from noria.messages import Message
from noria.metadata.errors import NoriaError
from tests.conftest import Project
from tests.integration.test_console_pages import Console, console
from tests.integration.test_editor import ADMIN, Editing, plan_file


def written(source: dict[str, Any] | None = None, target: dict[str, Any] | None = None, **rest: Any) -> str:
    """A plan's text."""
    sides = {
        "source": {"connection": "here", "metadata": {"api": "/list", "id": "id", **(source or {})}},
        "target": {"connection": "here", "metadata": {"api": "/items", "method": "POST", **(target or {})}},
    }
    return json.dumps({"name": "w", **rest, **sides}, ensure_ascii=False, indent=2) + "\n"


async def opened(shown: Console, project: Project, text: str) -> Editing:
    plan_file(project, "w").write_text(text, "utf-8")
    return await Editing(shown, "/plans/w/edit").open()


@pytest.mark.parametrize(
    "source",
    [
        {"request": [{"field": "sql", "value": "select 1\nfrom t -- all\nwhere x", "describe": "a\nb"}]},
        {"request": [{"field": "a", "value": {"x": 1, "y": [1, 2]}}]},
        {"condition": [[{"field": "id", "logic": "EQ", "value": "1"}, {"field": "id", "logic": "==", "value": "1"}]]},
    ],
    ids=["lines", "an object", "another operator"],
)
async def test_what_no_field_can_hold_stays(project: Project, source: dict[str, Any]) -> None:
    async with console(project) as shown:
        text = written(source)
        editing = await opened(shown, project, text)
        # A browser's single line has no line breaks.
        for name, value in list(editing.fields.items()):
            if f'<input id="f{name.partition(":")[2]}"' in editing.page:
                editing.fields[name] = value.replace("\n", "")
        await editing.put(**{"/name": "other"})
        assert editing.text == text.replace('"name": "w"', '"name": "other"')


async def test_an_array_that_is_written_otherwise_is_not_written_over(project: Project) -> None:
    lines = {"0": {"field": "a", "value": "{{lines.a}}"}, "1": {"field": "b", "value": "{{lines.b}}"}}
    async with console(project) as shown:
        text = written(target={"request": [{"field": "l", "type": "array", "value": "lines", "children": lines}]})
        editing = await opened(shown, project, text)
        await editing.put("add:/target/metadata/request/0/children")
        assert editing.text == text and "没有执行" in editing.page
        text = written(target={"request": lines})
        await editing.put(text=text)
        await editing.put("add:/target/metadata/request")
        assert editing.text == text and "没有执行" in editing.page


@pytest.mark.parametrize("given", ["NaN", "Infinity", "1e999", '"\\ud800"', "5０", "[" * 3000 + "]" * 3000])
async def test_what_is_typed_is_json_or_stays_out(project: Project, given: str) -> None:
    async with console(project) as shown:
        text = written({"request": [{"field": "a", "value": 5}], "pagination": {"pageSize": 5}}, options={"overlap": 5})
        for where in ("/source/metadata/request/0/value", "/source/metadata/pagination", "/options/overlap"):
            editing = await opened(shown, project, text)
            assert await editing.put(**{where: given}) == 200
            assert isinstance(msgspec.json.decode(editing.text), dict) and "text:/name" in editing.fields


async def test_a_key_that_is_there_twice_goes_with_both(project: Project) -> None:
    async with console(project) as shown:
        text = written(schedule="0 1 * * *").replace('"schedule"', '"schedule": "*/5 * * * *", "schedule"')
        editing = await opened(shown, project, text)
        await editing.put(**{"/schedule": ""})
        assert "schedule" not in json.loads(editing.text)


async def test_a_broken_file_with_a_secret_is_no_version(project: Project) -> None:
    async with console(project, ADMIN) as shown:
        await shown.log_in("anna", "anna may all")
        broken = written(options={"source": {"auth": {"type": "bearer", "token": "hush-4711"}}}).rstrip()[:-1] + ","
        editing = await opened(shown, project, broken)
        await editing.put("save", text=written())
        assert json.loads(plan_file(project, "w").read_text("utf-8"))["name"] == "w"
        await shown.post("/logout")
        await shown.log_in("vera", "vera looks on")
        listed = (await shown.json("/plans/w/versions"))[1]["versions"]
        assert len(listed) == 1 and "hush" not in (await shown.get("/plans/w/versions"))[1]


async def test_work_outlives_what_happens_meanwhile(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(project, ADMIN) as shown:
        await shown.log_in("anna", "anna may all")
        editing = await opened(shown, project, written())
        await editing.put(**{"/name": "long work"})
        # No space: it is said, and neither a version nor half a file is left.
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            assert await editing.put("save") == 503 and "No space left" in editing.page
        assert json.loads(plan_file(project, "w").read_text("utf-8"))["name"] == "w"
        assert len((await shown.json("/plans/w/versions"))[1]["versions"]) == 1
        assert sorted(path.name for path in (project.folder / "plans").iterdir()) == ["off.json", "p.json", "w.json"]
        # The ledger can't be written: then the file isn't, either, since nobody would know by whom.
        editing = await Editing(shown, "/plans/w/edit").open()
        with monkeypatch.context() as locked:
            keep = shown.operations.workspace.ledger.plan_versions.__class__
            busy = NoriaError("ledger", Message("console.too_large"))
            locked.setattr(keep, "keep", lambda *_: (_ for _ in ()).throw(busy))
            assert await editing.put("save", **{"/name": "z"}) == 503
        assert json.loads(plan_file(project, "w").read_text("utf-8"))["name"] == "w"
        # The file is gone: what is here can be written anew.
        editing = await Editing(shown, "/plans/w/edit").open()
        await editing.put(**{"/name": "z"})
        plan_file(project, "w").unlink()
        await editing.put("save")
        assert "被别人改过" in editing.page
        await editing.put("mine")
        await editing.put("save")
        assert json.loads(plan_file(project, "w").read_text("utf-8"))["name"] == "z"
        # The session is over: that is said, and takes the place of nothing.
        editing = await Editing(shown, "/plans/w/edit").open()
        shown.session.cookie_jar.clear()
        assert await editing.put(**{"/name": "y"}) == 401
        assert "<" not in editing.page


async def test_links_and_marks_of_files_stay(project: Project) -> None:
    async with console(project) as shown:
        real = project.folder / "elsewhere.json"
        real.write_bytes(b"\xef\xbb\xbf" + written().encode())
        plan_file(project, "w").symlink_to(real)
        editing = await Editing(shown, "/plans/w/edit").open()
        await editing.put("save", **{"/name": "z"})
        assert plan_file(project, "w").is_symlink() and real.read_bytes()[:3] == b"\xef\xbb\xbf"
        assert json.loads(real.read_text("utf-8-sig"))["name"] == "z"
        new = await Editing(shown, "/new").open()
        assert await new.put("save", key="𠮷" * 80, text=written()) == 200 and "请填写文件名" in new.page


async def test_a_text_opens_no_file_elsewhere(project: Project) -> None:
    (project.folder.parent / "outside.json").write_text(
        '{"api": "outside-api", "request": [{"field": "x", "value": "{{OUT"}]}'
    )
    async with console(project) as shown:
        for path in ("../../outside.json", str(project.folder.parent / "outside.json"), "/etc/passwd"):
            document = json.loads(written())
            document["source"]["metadata"] = path
            editing = await opened(shown, project, json.dumps(document))
            assert "OUT" not in editing.page and "outside-api" not in editing.page and "不在项目目录中" in editing.page


def test_a_secret_is_only_replaced_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ConnectionFile(tmp_path)
    secret = tmp_path / "secrets" / "a.token"
    secret.parent.mkdir()
    secret.write_text("old")
    secret.chmod(0o644)
    file.path.write_text('[connections.a]\nconnector = "http"\ntoken = "file:secrets/a.token"\n')
    table = {"connector": "http", "token": "file:secrets/a.token", "base_url": "x"}
    real = os.fsync

    def full(handle: int) -> None:
        if str(Path(f"/proc/self/fd/{handle}").readlink()).startswith(str(tmp_path / ".new-")):
            raise OSError(28, "No space left on device")
        real(handle)

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(NoriaError):
            file.save("a", table, file.read().digest, {"token": "new"})
    assert secret.read_text() == "old" and "base_url" not in file.path.read_text()
    file.save("a", table, file.read().digest, {"token": "new"})
    assert secret.read_text() == "new" and secret.stat().st_mode & 0o777 == 0o600


async def test_the_form_shows_what_the_file_says_now(project: Project) -> None:
    async with console(project) as shown:
        file = project.folder / "noria.toml"
        file.write_text(file.read_text().replace("[connections.inside]", "[connections.inside]\n# by hand"), "utf-8")
        file.write_text(file.read_text().replace("envelope = {", "limits = { timeout = 77 }\nenvelope = {", 1), "utf-8")
        editing = await Editing(shown, "/connection?name=here").open()
        editing.path = "/connection"
        await editing.put("save", **{"paging.type": "page"})
        assert "timeout = 77" in file.read_text() and '"page"' in file.read_text()
