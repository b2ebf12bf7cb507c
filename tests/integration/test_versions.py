"""The versions of a plan's file: what each changed, and the way back."""

from __future__ import annotations

import json

from tests.conftest import Project
from tests.integration.test_console_pages import console
from tests.integration.test_editor import Editing, plan_file

BOTH_LEDGERS = True


async def test_versions_their_differences_and_the_way_back(project: Project) -> None:
    async with console(project) as shown:
        first = plan_file(project, "p").read_text("utf-8")
        for name in ("第二", "第三"):
            editing = await Editing(shown, "/plans/p/edit").open()
            await editing.put(**{"/name": name})
            assert await editing.put("save", note=f"改为{name}") == 200
        status, data = await shown.json("/plans/p/versions")
        assert status == 200
        assert [(one["who"], one["note"]) for one in data["versions"]] == [
            ("local", "改为第三"),
            ("local", "改为第二"),
            (None, None),
        ]
        changed = [line for line in data["changes"] if line["sign"] in "+-"]
        assert [("第二" in line["text"], "第三" in line["text"]) for line in changed] == [(True, False), (False, True)]
        oldest = data["versions"][-1]["number"]
        assert (await shown.json(f"/plans/p/versions?of={oldest}"))[1]["text"] == first
        # The file is changed outside, which is seen, and an old form can't undo that.
        plan_file(project, "p").write_text(first.replace("一个方案", "外面"), "utf-8")
        assert (await shown.json("/plans/p/versions"))[1]["outside"] is True
        restore = f"/plans/p/versions/{oldest}/restore"
        assert (await shown.post(restore, base=data["base"]))[0] == 409
        base = (await shown.json("/plans/p/versions"))[1]["base"]
        assert (await shown.post(restore, base=base))[0] == 303
        assert plan_file(project, "p").read_text("utf-8") == first
        # What was there, also from outside, is a version.
        listed = (await shown.json("/plans/p/versions"))[1]["versions"]
        texts = [(await shown.json(f"/plans/p/versions?of={one['number']}"))[1]["text"] for one in listed]
        assert any("外面" in text for text in texts) and texts[0] == first
        assert (await shown.get("/plans/p/versions?of=999999"))[0] == 404
        assert (await shown.get("/plans/nothing/versions"))[0] == (await shown.get("/plans/nothing/edit"))[0] == 404
        changes = [one["what"] for one in (await shown.json("/audit"))[1]["changes"]]
        assert changes[:3] == ["restore", "save", "save"]
        # Switching off is a change of the file as any other.
        assert (await shown.post("/plans/p/enabled", enabled="false"))[0] == 303
        text = plan_file(project, "p").read_text("utf-8")
        assert json.loads(text) == {**json.loads(first), "enabled": False}
        assert (await shown.json("/plans/p/versions"))[1]["outside"] is False
