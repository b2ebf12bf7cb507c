"""Connector `file`: real files in folders, and in an object store."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest
from openpyxl import Workbook, load_workbook

from noria.connectors.failures import Failure
from noria.connectors.files.folder import Folder
from noria.messages import Message
from noria.metadata.clock import FakeClock
from noria.testing.trial import Trial, giving, trial

EMPTY = {"api": "写入空操作"}
BIG, MONEY = 9_007_199_254_740_993, "12345678901234567.8901"


class Reading:
    """A plan that reads files of a folder."""

    def __init__(self, folder: str, api: str, *, metadata: dict[str, Any] | None = None, **table: Any) -> None:
        self.clock = FakeClock()
        self.made = trial(
            self.clock, {"files": {"connector": "file", "folder": folder, **table}, "inside": {"connector": "noria"}}
        )
        self.metadata = {"api": api, "id": "id", "number": "name", "idCheck": True, **(metadata or {})}

    def __enter__(self) -> Trial:
        tried = self.made.__enter__()
        tried.plan(("files", self.metadata), ("inside", EMPTY), {})
        return tried

    def __exit__(self, *error: Any) -> None:
        self.made.__exit__(*error)


@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-8", ""), ("utf-8-sig", ""), ("gb18030", ""), ("utf-8-sig", "UTF8"), ("gb18030", "gbk")]
)
async def test_csv_in_the_encodings_that_people_have(tmp_path: Path, encoding: str, said: str) -> None:
    text = 'id,name,note\r\n1,部门 研发,"a,""b""\r\nc"\r\n\r\n2,二,\r\n'
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "staff.csv").write_bytes(text.encode(encoding))
    (tmp_path / "in" / "other.txt").write_text("nothing", "utf-8")
    with Reading(str(tmp_path), "in/*.csv", encoding=said) as tried:
        finished = await tried.run()
        assert finished.status == "done", str(finished.error)
        assert [json.loads(raw) for raw in tried.raws().values()] == [
            {"id": "1", "name": "部门 研发", "note": 'a,"b"\r\nc', "_file": "in/staff.csv", "_row": 1},
            {"id": "2", "name": "二", "note": "", "_file": "in/staff.csv", "_row": 2},
        ]


async def test_lines_of_json_keep_their_digits_over_many_files_and_pages(tmp_path: Path) -> None:
    for file in range(3):
        lines = [f'{{"id": {BIG + file * 1000 + n}, "name": "货 {n} 😀", "price": {MONEY}}}' for n in range(25)]
        (tmp_path / f"goods-{file}.jsonl").write_text("\n".join(lines), "utf-8")
    with Reading(str(tmp_path), "goods-*.jsonl", page=10) as tried:
        finished = await tried.run()
        assert (finished.status, finished.counts.staged, finished.counts.pages) == ("done", 75, 8), str(finished.error)
        raws = tried.raws()
        assert all(MONEY in raw.decode() for raw in raws.values())
        assert set(raws) == {str(BIG + file * 1000 + n) for file in range(3) for n in range(25)}
        # What comes later is read by the next run; what was there is not new.
        (tmp_path / "goods-0a.jsonl").write_text('{"id": 7, "name": "new"}', "utf-8")
        again = await tried.run()
        assert (again.counts.staged, again.counts.unchanged) == (1, 75)


async def test_excel(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    sheet.append(["报表", None, None])
    sheet.append(["id", "name", "amount"])
    sheet.append([1, "部门 😀", 12.5])
    sheet.append([2, None, 3])
    book.save(tmp_path / "report.xlsx")
    with Reading(str(tmp_path), "report.xlsx", header=2) as tried:
        finished = await tried.run()
        assert finished.status == "done", str(finished.error)
        rows = [json.loads(raw) for raw in tried.raws().values()]
    assert [(row["id"], row["name"], row["amount"]) for row in rows] == [(1, "部门 😀", 12.5), (2, None, 3)]


async def test_files_that_have_not_changed_since_are_left_out(tmp_path: Path) -> None:
    old, new = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    old.write_text('{"id": 1}', "utf-8")
    new.write_text('{"id": 2}', "utf-8")
    metadata = {"request": [{"field": "since", "value": "{{LAST_SYNC_TIME|datetime}}"}]}
    with Reading(str(tmp_path), "*.jsonl", metadata=metadata) as tried:
        os.utime(old, (tried.clock.time - 90, tried.clock.time - 90))
        os.utime(new, (tried.clock.time - 90, tried.clock.time - 90))
        assert (await tried.run()).counts.staged == 2
        tried.clock.time += 3600
        os.utime(new, (tried.clock.time - 10, tried.clock.time - 10))
        second = await tried.run()
        assert (second.counts.staged, second.counts.unchanged) == (0, 1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", "id,name\n1,a,b\n", "line 2: 3 cells, 2 columns"),
        ("x.jsonl", '{"id": 1}\nnonsense\n', "malformed"),
        ("x.json", '{"id": 1}', "array"),
        ("x.xlsx", "no book", "zip"),
        ("x.pdf", "%PDF", "no known kind"),
    ],
)
async def test_what_can_t_be_read_is_said_with_the_file_s_name(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    with Reading(str(tmp_path), "x.*") as tried:
        failed = await tried.run()
        assert failed.status == "failed" and name in str(failed.error) and said in str(failed.error), failed.error


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with Reading(str(tmp_path / "gone"), "*.csv") as tried:
        failed = await tried.run()
        assert failed.status == "failed" and "gone" in str(failed.error)


GOODS = [{"id": n, "name": f'货 "{n}" 😀', "price": MONEY, "code": BIG + n} for n in range(7)]
COLUMNS = [{"field": name, "value": f"{{{{{name}}}}}"} for name in ("id", "name", "price", "code")]


@asynccontextmanager
async def writing(
    folder: str, api: str, *, storage: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Trial]:
    async with giving(GOODS) as url:
        files = {"connector": "file", "folder": folder, "storage": storage or {}}
        tables = {"files": files, "records": {"connector": "http", "base_url": url}}
        with trial(FakeClock(), tables) as tried:
            target = {"api": api, "request": COLUMNS}
            tried.plan(("records", {"api": "/records", "id": "id"}), ("files", target), options)
            yield tried


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "xlsx"])
async def test_each_batch_is_a_file(tmp_path: Path, kind: str) -> None:
    async with writing(str(tmp_path), f"out/goods.{kind}", batch_size=4) as tried:
        finished = await tried.run()
        assert finished.counts.delivered == 7, (str(finished.error), tried.records())
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == 2 and all(one.name.startswith("goods-") and one.suffix == f".{kind}" for one in files)
    # Read again, they are what was written.
    with Reading(str(tmp_path), f"out/*.{kind}") as tried:
        assert (await tried.run()).counts.staged == 7
        rows = [json.loads(raw) for raw in tried.raws().values()]
    assert sorted((str(row["id"]), row["name"], row["price"], str(row["code"])) for row in rows) == [
        (str(row["id"]), row["name"], MONEY, str(row["code"])) for row in GOODS
    ]
    if kind == "csv":
        assert files[0].read_bytes().startswith(b"\xef\xbb\xbfid,name,price,code\r\n")
    if kind == "xlsx":
        assert load_workbook(files[0]).worksheets[0]["A1"].value == "id"


async def test_a_write_that_nobody_heard_of_is_the_same_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    write = Folder.write

    def losing(self: Folder, name: str, content: bytes) -> None:
        write(self, name, content)
        if not lost:
            lost.append(name)
            raise Failure("doubt", Message("http.cut", {"reason": "gone"}))

    monkeypatch.setattr(Folder, "write", losing)
    async with writing(str(tmp_path), "goods.jsonl", batch_size=4) as tried:
        await tried.run()
        tried.clock.time += 7200
        await tried.run()
        assert {one["state"] for one in tried.records()} == {"delivered"} and lost
    assert len(list(tmp_path.iterdir())) == 2
    lines = [line for file in tmp_path.iterdir() for line in file.read_text("utf-8").splitlines()]
    assert len(lines) == 7


async def test_a_store_in_memory() -> None:
    store = fsspec.filesystem("memory")
    store.pipe_file("/bucket/in/a.jsonl", b'{"id": 1}\n{"id": 2}')
    try:
        with Reading("memory://bucket", "in/*.jsonl") as tried:
            finished = await tried.run()
            assert finished.counts.staged == 2, str(finished.error)
        async with writing("memory://bucket", "out/goods.jsonl") as tried:
            assert (await tried.run()).counts.delivered == 7
        assert len(store.ls("/bucket/out")) == 1
    finally:
        store.rm("/bucket", recursive=True)
