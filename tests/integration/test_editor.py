"""The editor over real HTTP: what it makes of a plan's text, and what it must not touch, show or overwrite."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from noria.console.access import hashed
from tests.conftest import Project
from tests.integration.test_console_pages import USERS, Console, console

ADMIN = f"""{USERS}
[console.users.anna]
password = '{hashed("anna may all")}'
role = "admin"
[console.users.bert]
password = '{hashed("bert may too")}'
role = "admin"
"""
DOCUMENTS = sorted((Path(__file__).parents[1] / "documents").glob("*.json"))
WRITTEN = """{
  "name":"一个方案",   "numbers": [1.10, 1E2, 12345678901234567890123],
  "source": {"connection": "here", "metadata": {"api": "/list", "id": "id", "idCheck": true, "of_the_platform": {"x":[ ]},
      "request": [ {"field": "size", "value": 20}, {"field":"when","value":"{{LAST_SYNC_TIME|datetime}}"} ] }},
  "target": {"connection": "here",
             "metadata": {"api": "/items", "method": "POST", "request": [{"field": "id", "value": "{{id}}"}]}}
}
"""


class Editing:
    """The editor's form, as a browser has it."""

    def __init__(self, shown: Console, path: str) -> None:
        self.shown = shown
        self.path = path
        self.fields: dict[str, str] = {}
        self.page = ""

    async def open(self) -> Editing:
        status, self.page = await self.shown.get(self.path, **{"Accept-Language": "zh"})
        assert status == 200, self.page[:300]
        self.token = await self.shown.token()
        self._read()
        return self

    def _read(self) -> None:
        """What stands in the form."""
        body = self.page
        found: dict[str, str] = {}
        for tag in re.findall(r"<input [^>]*>", body):
            name = re.search(r'name="([^"]*)"', tag)
            value = re.search(r'value="([^"]*)"', tag)
            if name:
                found[html.unescape(name[1])] = html.unescape(value[1]) if value else ""
        for name, inner in re.findall(r'<select [^>]*name="([^"]*)"[^>]*>(.*?)</select>', body, re.DOTALL):
            chosen = re.search(r'<option value="([^"]*)" selected', inner)
            found[html.unescape(name)] = html.unescape(chosen[1]) if chosen else ""
        for name, inner in re.findall(r'<textarea [^>]*name="([^"]*)"[^>]*>\n?(.*?)</textarea>', body, re.DOTALL):
            found[html.unescape(name)] = html.unescape(inner)
        for name in ("to", "token"):
            found.pop(name, None)
        self.fields = found

    async def put(self, do: str = "", **changes: str) -> int:
        """Change fields (by pointer, or by name), press a button."""
        for key, value in changes.items():
            name = next((one for one in self.fields if one == key or one.endswith(":" + key)), None)
            assert name is not None, (key, list(self.fields))
            self.fields[name] = value
        # A browser sends the lines of a text area with CR LF.
        sent = {name: value.replace("\n", "\r\n") for name, value in self.fields.items()}
        status, page = await self.shown.post(
            self.path, {"HX-Request": "true", "Accept-Language": "zh"}, **sent, do=do, token=self.token
        )
        if page:
            self.page = page
            self._read()
        return status

    @property
    def text(self) -> str:
        return self.fields["text"]


def plan_file(project: Project, key: str) -> Path:
    return project.folder / "plans" / f"{key}.json"


async def test_only_what_was_changed_changes_in_the_file(project: Project) -> None:
    async with console(project) as shown:
        plan_file(project, "w").write_text(WRITTEN, "utf-8")
        editing = await Editing(shown, "/plans/w/edit").open()
        assert editing.text == WRITTEN
        assert await editing.put() == 200 and editing.text == WRITTEN
        status = await editing.put(
            **{"/source/metadata/request/0/value": "50", "/target/metadata/request/0/field": "code"}
        )
        assert status == 200
        expected = WRITTEN.replace('"value": 20', '"value": 50').replace(
            '{"field": "id", "value"', '{"field": "code", "value"'
        )
        assert editing.text == expected
        await editing.put("add:/target/metadata/request")
        await editing.put(**{"/target/metadata/request/1/field": "n", "/target/metadata/request/1/value": "{{name}}"})
        row = ', {"field": "n", "label": "", "type": "string", "value": "{{name}}"}]}}'
        assert editing.text == expected.replace('"{{id}}"}]}}', '"{{id}}"}' + row)
        await editing.put("up:/target/metadata/request/1")
        await editing.put("remove:/target/metadata/request/1")
        assert json.loads(editing.text)["target"]["metadata"]["request"][0]["field"] == "n"
        assert await editing.put("save", note="小改") == 200 and shown.headers["HX-Redirect"] == "/plans/w"
        saved = plan_file(project, "w").read_bytes()
        assert saved.decode() == editing.text and b"\r" not in saved
        # Lines end as they did.
        plan_file(project, "w").write_bytes(saved.replace(b"\n", b"\r\n"))
        editing = await Editing(shown, "/plans/w/edit").open()
        await editing.put(**{"/source/metadata/request/1/value": "7"})
        await editing.put("save")
        windows = plan_file(project, "w").read_bytes()
        assert windows == editing.text.replace("\n", "\r\n").encode() and windows.count(b"\r\n") == windows.count(b"\n")
        for kept in (
            "1.10, 1E2, 12345678901234567890123",
            '"of_the_platform": {"x":[ ]}',
            '"name":"一个方案",   "numbers"',
        ):
            assert kept in editing.text


async def test_form_and_text_stay_in_step_both_ways(project: Project) -> None:
    async with console(project) as shown:
        editing = await Editing(shown, "/plans/p/edit").open()
        document = json.loads(editing.text)
        document["name"], document["extra"] = "别的名字", {"kept": 1}
        # The text was changed: what the fields said before doesn't matter.
        await editing.put(text=json.dumps(document, ensure_ascii=False))
        assert editing.fields["text:/name"] == "别的名字" and json.loads(editing.text)["extra"] == {"kept": 1}
        await editing.put(**{"/name": "又一个", "/options/retry/tries": "5", "/enabled": "false"})
        document = json.loads(editing.text)
        assert (document["name"], document["options"], document["enabled"]) == (
            "又一个",
            {"retry": {"tries": 5}},
            False,
        )
        # What is no JSON stays as it was typed, and nothing is saved.
        before = plan_file(project, "p").read_text("utf-8")
        await editing.put(text='{"name": ')
        assert editing.text == '{"name": ' and "$" in editing.page
        # Until it is, nothing can be put into fields, where it would be lost.
        assert "<fieldset disabled>" in editing.page and "改正后表单才能使用" in editing.page
        assert await editing.put("save") == 200 and "请先改正错误" in editing.page
        await editing.put(text=json.dumps(document))
        assert "<fieldset>" in editing.page and "改正后表单才能使用" not in editing.page
        await editing.put(**{"/options/maps": "{no json"})
        assert "不是有效的 JSON" in editing.page and editing.fields["json:/options/maps"] == "{no json"
        assert await editing.put("save") == 200
        assert plan_file(project, "p").read_text("utf-8") == before


async def test_a_change_of_the_file_meanwhile_is_shown_and_not_overwritten(project: Project) -> None:
    async with console(project) as shown:
        editing = await Editing(shown, "/plans/p/edit").open()
        theirs = plan_file(project, "p").read_text("utf-8").replace("一个方案", "他们的名字")
        plan_file(project, "p").write_text(theirs, "utf-8")
        await editing.put(**{"/name": "我的名字"})
        await editing.put("save")
        assert "文件在打开之后被别人改过" in editing.page
        assert "他们的名字" in editing.page and "我的名字" in editing.page
        assert plan_file(project, "p").read_text("utf-8") == theirs
        status, data = await shown.json("/plans/p")
        assert status == 200 and data["plan"]["name"] == "他们的名字"
        # Only when somebody has seen that and wants it so.
        await editing.put("mine")
        await editing.put("save")
        assert json.loads(plan_file(project, "p").read_text("utf-8"))["name"] == "我的名字"
        # A new plan is never written over one that there is.
        new = await Editing(shown, "/new").open()
        await new.put(text=theirs, key="p")
        await new.put("save")
        assert "已经有方案了" in new.page
        assert json.loads(plan_file(project, "p").read_text("utf-8"))["name"] == "我的名字"


async def test_pasting_published_documents_fills_the_form_and_keeps_them_whole(project: Project) -> None:
    async with console(project) as shown:
        new = await Editing(shown, "/new").open()
        blank = new.text
        for document in DOCUMENTS:
            both = document.read_text("utf-8")
            for side in ("source", "target"):
                written = json.loads(both)[side]
                await new.put(text=blank)
                new.fields["pasted"] = json.dumps(written, ensure_ascii=False, indent=3)
                assert await new.put(f"paste:{side}") == 200
                assert json.loads(new.text)[side]["metadata"] == written, document.stem
                assert new.fields[f"text:/{side}/metadata/api"] == written["api"]
                request = written.get("request")
                for place, item in enumerate(request if isinstance(request, list) else []):
                    assert new.fields[f"name:/{side}/metadata/request/{place}/field"] == item.get("field", "")
                # A change in the form leaves everything else as it was pasted.
                await new.put(**{f"/{side}/metadata/method": "PUT"})
                assert json.loads(new.text)[side]["metadata"] == {**written, "method": "PUT"}, document.stem
            await new.put(text=blank)
            new.fields["pasted"] = both
            await new.put("paste:source")
            found = json.loads(new.text)
            assert [found[side]["metadata"] for side in ("source", "target")] == [
                json.loads(both)[side] for side in ("source", "target")
            ]
        # A whole plan of ours is put in as it is written; what is neither is refused.
        new = await Editing(shown, "/new").open()
        new.fields["pasted"] = WRITTEN
        await new.put("paste:target")
        assert new.text == WRITTEN
        for nonsense in ("", "[]", "{", '{"source": {}}', "5"):
            new.fields["pasted"] = nonsense
            await new.put("paste:source")
            assert new.text == WRITTEN and "没有执行" in new.page


async def test_a_sample_of_any_http_source_and_where_its_records_are(project: Project) -> None:
    async with console(project) as shown:
        new = await Editing(shown, "/new").open()
        await new.put(**{"/source/connection": "here", "/source/metadata/api": "/list"})
        # The connection says where records are; this plan says it wrongly.
        await new.put(**{"/options/source/envelope/records": "result.rows"})
        await new.put("sample")
        assert 'value="records:data"' in new.page
        await new.put("records:data")
        await new.put("sample")
        assert "读到 9 条样本" in new.page and ">row 0<" in new.page
        await new.put("id:id")
        await new.put("map:id")
        await new.put("map_all")
        items = json.loads(new.text)["target"]["metadata"]["request"]
        assert [(one["field"], one["value"]) for one in items] == [("id", "{{id}}"), ("name", "{{name}}")]
        assert '"name": "row 0"' in html.unescape(new.page)
        await new.put("look:3")
        assert "&lt;script&gt;" in new.page and "<script>alert" not in new.page
        # A system that isn't there is said, and the text is kept.
        await new.put(**{"/options/source/base_url": "x"}) if "text:/options/source/base_url" in new.fields else None
        await new.put(**{"/source/metadata/api": "/nowhere"})
        await new.put("sample")
        assert "404" in new.page and json.loads(new.text)["source"]["metadata"]["api"] == "/nowhere"


async def test_a_new_plan_is_saved_run_and_refused_while_something_is_wrong(project: Project) -> None:
    async with console(project) as shown:
        new = await Editing(shown, "/new").open()
        await new.put(**{"/source/connection": "here", "/source/metadata/api": "/list", "/source/metadata/id": "id"})
        await new.put(**{"/target/connection": "here", "/target/metadata/api": "/items"})
        for bad in ("", "../x", "a/b", ".hidden", "x" * 81, "新 方案"):
            new.fields["key"] = bad
            await new.put("save")
            assert "请填写文件名" in new.page, bad
        assert {path.name for path in (project.folder / "plans").iterdir()} == {"p.json", "off.json"}
        new.fields["key"] = "新方案-1"
        await new.put(**{"/schedule": "61 * * * *"})
        await new.put("save")
        assert "请先改正错误" in new.page and not plan_file(project, "新方案-1").exists()
        # A draft may have errors as long as it is switched off.
        await new.put(**{"/enabled": "false"})
        await new.put("save")
        assert plan_file(project, "新方案-1").exists()
        editing = await Editing(shown, "/plans/新方案-1/edit").open()
        await editing.put(**{"/enabled": "", "/schedule": "*/5 * * * *"})
        assert "接下来" in editing.page
        await editing.put("run")
        assert unquote(shown.headers["HX-Redirect"]) == "/plans/新方案-1"
        wanted = await shown.operations.desk.ask(lambda ledger: ledger.agenda.wanted("新方案-1"))
        assert sorted(one.stage for one in wanted) == ["deliver", "extract"]


async def test_a_secret_that_is_written_down_is_not_saved_nor_kept(project: Project) -> None:
    async with console(project) as shown:
        editing = await Editing(shown, "/plans/p/edit").open()
        document = json.loads(editing.text)
        document["enabled"] = False
        document["options"] = {"source": {"auth": {"type": "bearer", "token": "hush-hush-4711"}}}
        before = plan_file(project, "p").read_text("utf-8")
        await editing.put(text=json.dumps(document))
        await editing.put("save")
        assert "直接写了密钥" in editing.page and plan_file(project, "p").read_text("utf-8") == before
        # Nor is one that somebody wrote into the file himself taken into the ledger.
        plan_file(project, "p").write_text(json.dumps(document), "utf-8")
        editing = await Editing(shown, "/plans/p/edit").open()
        await editing.put(text=before)
        await editing.put("save")
        listed = (await shown.json("/plans/p/versions"))[1]["versions"]
        texts = [(await shown.json(f"/plans/p/versions?of={one['number']}"))[1]["text"] for one in listed]
        assert len(texts) == 1 and not any("hush" in text for text in texts)


async def test_who_may_edit(project: Project) -> None:
    async with console(project, ADMIN) as shown:
        for path in ("/new", "/plans/p/edit", "/plans/p/versions"):
            assert (await shown.get(path))[0] == 303
        for name, password, may in (
            ("vera", "vera looks on", False),
            ("otto", "otto operates", False),
            ("anna", "anna may all", True),
        ):
            await shown.log_in(name, password)
            assert (await shown.get("/plans/p/versions"))[0] == 200
            for path in ("/new", "/plans/p/edit"):
                assert (await shown.get(path))[0] == (200 if may else 403)
                status, _ = await shown.post(path, do="", text="{}", key="x")
                assert status == (200 if may else 403)
            assert (await shown.post("/plans/p/edit", token="forged", do="save", text="{}"))[0] == 403
            assert (await shown.post("/plans/p/versions/1/restore", base="x"))[0] == (404 if may else 403)
            await shown.post("/logout")
        # Nobody sees the records that another fetched.
        await shown.log_in("anna", "anna may all")
        editing = await Editing(shown, "/plans/p/edit").open()
        assert ">r7<" in editing.page and editing.fields["sample"]
        await shown.post("/logout")
        await shown.log_in("bert", "bert may too")
        other = await Editing(shown, "/new").open()
        other.fields["sample"] = editing.fields["sample"]
        await other.put(text=editing.text)
        assert ">r7<" not in other.page


async def test_what_is_nonsense_is_answered(project: Project) -> None:
    """Fields, steps and texts that no form of ours sends."""
    async with console(project) as shown:
        base, token = (await shown.json("/plans/p/edit"))[1]["base"], await shown.token()
        for text in (
            "",
            "null",
            "[]",
            '"x"',
            "{" * 300,
            '{"a": 1e400}',
            '{"source": 5}',
            '{"target": {"metadata": []}}',
            "\ufeff{}",
        ):
            for do in (
                "",
                "add:/source/metadata/request",
                "remove:/x/y",
                "up:/0",
                "map:a.b",
                "look:9",
                "records:x",
                "paste:target",
                "sample",
                "save",
                "what:ever",
                "test:/source/metadata/condition/-",
            ):
                given = {"text": text, "base": base, "do": do, "shown": "", "pasted": "{}", "token": token}
                status, page = await shown.post("/plans/p/edit", **given)
                assert status in (200, 400), (text, do, status, page[:200])
        digest_text = '{"source": {"metadata": {"request": [5, {"field": "a"}, [1]]}}, "name": 5}'
        from noria.console.planfiles import digest_of

        fields: dict[str, Any] = {
            "text:/source/metadata/request/0/field": "x",
            "text:/name/deeper/still": "y",
            "weird:/name": "z",
            "json:/options": "{",
            "number:/options/overlap": "many",
            "text:/": "q",
        }
        sent = {**fields, "text": digest_text, "shown": digest_of(digest_text), "base": base}
        status, page = await shown.post("/plans/p/edit", do="", **sent)
        assert status == 200
