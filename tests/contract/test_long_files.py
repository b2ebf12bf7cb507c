"""Connector `file`: files are read as they come, however long, and what changes meanwhile is no mixture."""

from __future__ import annotations

import json
import tracemalloc
from codecs import BOM_UTF8
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from noria.connectors.connection import open_connection
from noria.connectors.declaration import Listed
from noria.connectors.failures import Failure
from noria.connectors.files.folder import Folder
from noria.metadata.documents import Metadata
from noria.metadata.secrets import Redactor
from tests.contract.test_files import Reading

WORDS = "部门研发：浙江省杭州市西湖区文三路"


@asynccontextmanager
async def listed(folder: Path, api: str, **table: Any) -> AsyncIterator[Listed]:
    """Files as a connection lists them."""
    settings = {"connector": "file", "folder": str(folder), **table}
    connection = open_connection("files", settings, folder, redactor=Redactor())
    try:
        yield connection.source(Metadata(api=api), lambda _: {})
    finally:
        await connection.close()


async def rows_of(source: Listed, cursor: str | None = None) -> list[Any]:
    """All rows from a cursor on."""
    found: list[Any] = []
    while True:
        page = await source.fetch(cursor)
        found += [json.loads(raw) for raw in page.records]
        cursor = page.cursor
        if cursor is None:
            return found


def lines(count: int, kind: str) -> str:
    """A file's text with so many rows."""
    if kind == "jsonl":
        return "".join(f'{{"id": {n}, "text": "{WORDS * 10}"}}\n' for n in range(count))
    return "id,text\n" + "".join(f"{n},{WORDS * 10}\n" for n in range(count))


@pytest.mark.parametrize(("kind", "encoding"), [("csv", "utf-8"), ("csv", "gb18030"), ("jsonl", "utf-8")])
async def test_a_long_file_takes_no_more_memory_than_its_pages(tmp_path: Path, kind: str, encoding: str) -> None:
    rows = 40_000
    (tmp_path / f"long.{kind}").write_text(lines(rows, kind), encoding)
    assert (tmp_path / f"long.{kind}").stat().st_size > 13_000_000
    async with listed(tmp_path, f"long.{kind}") as source:
        cursor, count = None, 0
        tracemalloc.start()
        try:
            while count < rows:
                page = await source.fetch(cursor)
                cursor, count = page.cursor, count + len(page.records)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert count == rows and peak < 10_000_000, peak


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "xlsx"])
async def test_a_read_goes_on_where_another_ended(tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        rows = [{"id": f"{name}{n}", "text": WORDS} for n in range(25)]
        path = tmp_path / f"{name}.{kind}"
        if kind == "xlsx":
            book = Workbook()
            for line in [["id", "text"], *(list(row.values()) for row in rows)]:
                book.active.append(line)
            book.save(path)
        elif kind == "csv":
            path.write_text("id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in rows), "utf-8")
        else:
            path.write_text(json.dumps(rows) if kind == "json" else "\n".join(map(json.dumps, rows)), "utf-8")
    async with listed(tmp_path, f"*.{kind}", page=10) as source:
        first = await source.fetch(None)
        second = await source.fetch(first.cursor)
        rest = await rows_of(source, second.cursor)
    async with listed(tmp_path, f"*.{kind}", page=10) as source:
        assert await rows_of(source, second.cursor) == rest
        assert [row["id"] for row in await rows_of(source)] == [f"{name}{n}" for name in "ab" for n in range(25)]
    assert [(row["_file"], row["_row"]) for row in rest[:2]] == [(f"a.{kind}", 21), (f"a.{kind}", 22)]


async def test_nothing_stays_open_of_a_read_that_is_given_up(tmp_path: Path) -> None:
    opened = {str((tmp_path / name).resolve()) for name in ("a.jsonl", "b.csv")}

    def held() -> set[str]:
        links = [one for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
        return {str(one.readlink()) for one in links} & opened

    (tmp_path / "a.jsonl").write_text(lines(50, "jsonl"), "utf-8")
    (tmp_path / "b.csv").write_text("id\n1\n2,3\n", "utf-8")
    async with listed(tmp_path, "a.jsonl", page=10) as source:
        await source.fetch((await source.fetch(None)).cursor)
        assert held()
    assert not held()
    async with listed(tmp_path, "b.csv") as source:
        with pytest.raises(Failure, match="line 3: 2 cells"):
            await source.fetch(None)
        assert not held()


async def test_a_mark_that_json_may_hold_ends_no_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('\ufeff{"id": "a\u2028b\x85c"}\r\n\r\n{"id": 2}'.encode())
    async with listed(tmp_path, "a.jsonl") as source:
        assert [row["id"] for row in await rows_of(source)] == ["a\u2028b\x85c", 2]


@pytest.mark.parametrize("encoding", ["", "utf-8", "gbk"])
async def test_a_file_that_is_damaged_far_behind_its_start_names_the_line(tmp_path: Path, encoding: str) -> None:
    text = lines(8000, "csv").encode(encoding or "utf-8")
    (tmp_path / "a.csv").write_bytes(text + b"8000,\xff\xff\n8001,x\n")
    async with listed(tmp_path, "a.csv", encoding=encoding) as source:
        with pytest.raises(Failure) as caught:
            await rows_of(source)
    said = str(caught.value)
    assert caught.value.kind == "permanent" and "a.csv" in said and "8002" in said, said
    assert (encoding or "UTF-8") in said


@pytest.mark.parametrize("start", ["id,name\n" + "1,部门\n" * 20, "\ufeffid,name\n"], ids=["long", "marked"])
async def test_damaged_utf_8_is_not_taken_for_gb18030(tmp_path: Path, start: str) -> None:
    content = start.encode() + b"2,\xe9\x83\n"
    assert content.removeprefix(BOM_UTF8).decode("gb18030")
    (tmp_path / "a.csv").write_bytes(content)
    async with listed(tmp_path, "a.csv") as source:
        with pytest.raises(Failure, match=f"line {start.count(chr(10)) + 1}: not in UTF-8;"):
            await rows_of(source)


async def test_neither_utf_8_nor_gb18030(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,name\n1,a\n2,\xff\xff\n")
    async with listed(tmp_path, "a.csv") as source:
        with pytest.raises(Failure) as caught:
            await rows_of(source)
    assert caught.value.message.values == {"name": "a.csv", "line": 3, "encoding": "UTF-8, GB18030"}


async def test_gb18030_that_shows_only_at_the_end_is_gb18030_from_the_start(tmp_path: Path) -> None:
    # 联通 in GB18030 happens to be UTF-8, too.
    text = "id,name\n" + "1,联通\n" + "2,plain\n" * 200_000 + "3,部门\n"
    (tmp_path / "a.csv").write_bytes(text.encode("gb18030"))
    async with listed(tmp_path, "a.csv", page=300_000) as source:
        rows = await rows_of(source)
    assert (rows[0]["name"], rows[-1]["name"], len(rows)) == ("联通", "部门", 200_002)


async def test_json_in_one_piece_has_a_limit_and_lines_of_it_too(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" + " " * (64 * 2**20) + "]", "utf-8")
    (tmp_path / "a.jsonl").write_text('{"id": 1}\n' + " " * (17 * 2**20), "utf-8")
    for name, said in (("a.json", "64 MB.* JSONL"), ("a.jsonl", "line 2: longer than 16 MB")):
        async with listed(tmp_path, name) as source:
            with pytest.raises(Failure, match=said):
                await source.fetch(None)


async def test_a_file_that_changes_while_it_is_read_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"

    def write(word: str) -> None:
        path.write_text("".join(f'{{"id": {n}, "name": "{word}{n}"}}\n' for n in range(30)), "utf-8")

    write("old")
    mark, asked = Folder.mark, 0

    def changing(self: Folder, name: str) -> str:
        nonlocal asked
        asked += 1
        if asked == 3:
            # Between its second page and the look whether it is still the same.
            write("newer")
        return mark(self, name)

    monkeypatch.setattr(Folder, "mark", changing)
    with Reading(str(tmp_path), "*.jsonl", page=10) as tried:
        finished = await tried.run()
        assert finished.status == "done", str(finished.error)
        assert {json.loads(raw)["name"] for raw in tried.raws().values()} == {f"newer{n}" for n in range(30)}


async def test_a_file_that_never_stands_still_fails_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(lines(30, "jsonl"), "utf-8")
    mark = Folder.mark

    def growing(self: Folder, name: str) -> str:
        with path.open("a", encoding="utf-8") as file:
            file.write('{"id": 99}\n')
        return mark(self, name)

    monkeypatch.setattr(Folder, "mark", growing)
    with Reading(str(tmp_path), "*.jsonl", page=10) as tried:
        failed = await tried.run()
        assert failed.status == "failed" and "a.jsonl" in str(failed.error)


async def test_a_cursor_into_a_file_that_is_another_one_now_asks_for_a_new_start(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(lines(30, "jsonl"), "utf-8")
    async with listed(tmp_path, "*.jsonl", page=10) as source:
        cursor = (await source.fetch(None)).cursor
    path.write_text(lines(31, "jsonl"), "utf-8")
    async with listed(tmp_path, "*.jsonl", page=10) as source:
        with pytest.raises(Failure, match="has changed") as caught:
            await source.fetch(cursor)
        assert caught.value.restart
        path.unlink()
        with pytest.raises(Failure, match=r"there is no /.*/a.jsonl$"):
            await source.fetch(cursor)


async def test_a_damaged_workbook_and_a_sheet_that_is_not_there(tmp_path: Path) -> None:
    book = Workbook()
    for n in range(2000):
        book.active.append([n, f"{WORDS}{n}"])
    book.save(tmp_path / "a.xlsx")
    content = bytearray((tmp_path / "a.xlsx").read_bytes())
    at = content.index(b"xl/worksheets/sheet1.xml") + 200
    content[at : at + 400] = bytes(range(200)) * 2
    (tmp_path / "b.xlsx").write_bytes(content)
    for name, table in (("a.xlsx", {"sheet": "none"}), ("b.xlsx", {})):
        async with listed(tmp_path, name, **table) as source:
            with pytest.raises(Failure, match="can't be read") as caught:
                await rows_of(source)
        assert name in str(caught.value)
