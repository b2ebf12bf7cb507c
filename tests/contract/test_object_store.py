"""Connector `file` in object stores: a server of S3's protocol, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import fsspec
import pytest
from aiohttp import web

from noria.connectors import CONNECTORS
from noria.connectors.connection import Connection, open_connection
from noria.connectors.failures import Failure
from noria.connectors.files.folder import Folder
from noria.messages import Message
from noria.metadata.documents import Metadata
from noria.metadata.errors import NoriaError
from noria.metadata.secrets import Redactor
from tests.contract.test_files import GOODS, Reading, writing
from tests.servers import listening

BUCKET = "bucket"
ANYBODY = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
WRONG = "wrong-secret-0123456789abcdef"


def options(url: str, secret: str, key: str = "AKIAIOSFODNN7EXAMPLE") -> dict[str, Any]:
    """What a connection says of its store; what fails is not tried again by the driver."""
    retries = {"retries": {"max_attempts": 0}, "connect_timeout": 5, "read_timeout": 10}
    client = {"endpoint_url": url, "region_name": "eu-west-1"}
    return {"key": key, "secret": secret, "client_kwargs": client, "config_kwargs": retries}


@asynccontextmanager
async def opened(folder: str, storage: dict[str, Any]) -> AsyncIterator[Connection]:
    """A connection to a store."""
    table = {"connector": "file", "folder": folder, "storage": storage}
    connection = open_connection("store", table, Path(), redactor=Redactor())
    try:
        yield connection
    finally:
        await connection.close()


async def refused_by(answer: Callable[[web.Request], Awaitable[web.Response]]) -> Failure:
    """What becomes of a probe of a store that answers so."""
    async with (
        listening([web.route("*", "/{path:.*}", answer)]) as url,
        opened(f"s3://{BUCKET}", options(url, WRONG)) as connection,
    ):
        with pytest.raises(Failure) as caught:
            await connection.transport.probe()
    return caught.value


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A store with a bucket, for one user: the options with which a connection reaches it."""
    log = tmp_path_factory.mktemp("store") / "log"
    # Three calls make the user; from then on each needs a signature with its secret.
    environ = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "3", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as file, subprocess.Popen(command, env=environ, stderr=file, stdout=file) as server:
        try:
            until = time.monotonic() + 60
            while not (found := re.search(r"Running on (\S+)", log.read_text())):
                assert server.poll() is None and time.monotonic() < until, log.read_text()
                time.sleep(0.05)
            users = boto3.client("iam", "us-east-1", endpoint_url=found[1], **ANYBODY)
            users.create_user(UserName="noria")
            made = users.create_access_key(UserName="noria")["AccessKey"]
            allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
            users.put_user_policy(UserName="noria", PolicyName="all", PolicyDocument=json.dumps(allowed))
            storage = options(found[1], made["SecretAccessKey"], made["AccessKeyId"])
            fsspec.filesystem("s3", **storage).mkdir(BUCKET)
            yield storage
        finally:
            server.kill()


async def test_rows_of_objects_under_a_prefix(store: dict[str, Any]) -> None:
    system = fsspec.filesystem("s3", **store)
    system.pipe_file(f"{BUCKET}/read/in/a.csv", "id,name\n1,部门\n2,二\n".encode("gb18030"))
    system.pipe_file(f"{BUCKET}/read/in/b.jsonl", b'{"id": 9007199254740993, "name": "b", "price": 0.10}\n')
    system.pipe_file(f"{BUCKET}/reader/in/c.csv", b"id\n3\n")
    with Reading(f"s3://{BUCKET}/read", "in/*", storage=store, page=2) as tried:
        finished = await tried.run()
        assert finished.status == "done", str(finished.error)
        raws = tried.raws()
    assert set(raws) == {"1", "2", "9007199254740993"}
    assert json.loads(raws["1"])["_file"] == "in/a.csv" and b"0.10" in raws["9007199254740993"]


async def test_an_object_that_is_replaced_between_pages_is_read_anew(
    store: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    system, path = fsspec.filesystem("s3", **store), f"{BUCKET}/replaced/a.jsonl"

    def write(word: str) -> None:
        system.pipe_file(path, "".join(f'{{"id": {n}, "name": "{word}{n}"}}\n' for n in range(30)).encode())

    write("old")
    mark, asked = Folder.mark, 0

    def replacing(self: Folder, name: str) -> str:
        nonlocal asked
        asked += 1
        if asked == 3:
            # As long as before: its ETag alone shows it.
            write("new")
        return mark(self, name)

    monkeypatch.setattr(Folder, "mark", replacing)
    with Reading(f"s3://{BUCKET}/replaced", "*.jsonl", storage=store, page=10) as tried:
        finished = await tried.run()
        assert finished.status == "done", str(finished.error)
        assert {json.loads(raw)["name"] for raw in tried.raws().values()} == {f"new{n}" for n in range(30)}


async def test_more_objects_than_a_listing_shows_at_once(store: dict[str, Any]) -> None:
    system = fsspec.filesystem("s3", **store)
    objects = {f"{BUCKET}/many/{n:04}.jsonl": f'{{"id": {n}}}'.encode() for n in range(1010)}
    system.pipe(objects, batch_size=16)
    async with opened(f"s3://{BUCKET}/many", store) as connection:
        assert (await connection.transport.probe()).values == {"count": 1010}
        page = await connection.source(Metadata(api="1*.jsonl"), lambda _: {}).fetch(None)
    assert [json.loads(raw)["id"] for raw in page.records] == list(range(1000, 1010))


async def test_a_batch_that_is_sent_twice_is_one_object(store: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    write, lost = Folder.write, list[str]()

    def losing(self: Folder, name: str, content: bytes) -> None:
        write(self, name, content)
        if not lost:
            lost.append(name)
            raise Failure("doubt", Message("http.cut", {"reason": "gone"}))

    monkeypatch.setattr(Folder, "write", losing)
    async with writing(f"s3://{BUCKET}/written", "out/goods.jsonl", storage=store, batch_size=4) as tried:
        await tried.run()
        tried.clock.time += 7200
        await tried.run()
        assert {one["state"] for one in tried.records()} == {"delivered"} and lost
    system = fsspec.filesystem("s3", **store)
    objects = system.find(f"{BUCKET}/written/out")
    assert len(objects) == 2
    assert sorted(json.loads(line)["id"] for one in objects for line in system.cat_file(one).splitlines()) == [
        one["id"] for one in GOODS
    ]


async def test_a_prefix_without_objects_is_empty_and_a_bucket_that_is_not_there_is_said(store: dict[str, Any]) -> None:
    async with opened(f"s3://{BUCKET}/nothing", store) as connection:
        assert (await connection.transport.probe()).values == {"count": 0}
    async with opened("s3://no-such-bucket/in", store) as connection:
        with pytest.raises(Failure, match="no-such-bucket") as caught:
            await connection.transport.probe()
        assert caught.value.kind == "permanent" and caught.value.message.key == "files.missing"
    async with writing("s3://no-such-bucket", "goods.jsonl", storage=store) as tried:
        await tried.run()
        assert {one["state"] for one in tried.records()} != {"delivered"}
    assert not fsspec.filesystem("s3", **store).exists("no-such-bucket")


async def test_a_wrong_secret_is_refused_and_shown_nowhere(store: dict[str, Any]) -> None:
    wrong = {**store, "secret": WRONG}
    with Reading(f"s3://{BUCKET}/read", "in/*", storage=wrong) as tried:
        failed = await tried.run()
        said = f"{failed.error}{tried.everything()}"
    assert failed.status == "failed" and "signature" in said and WRONG not in said, said
    async with opened(f"s3://{BUCKET}", wrong) as connection:
        with pytest.raises(Failure) as caught:
            await connection.transport.probe()
    assert caught.value.kind == "auth"


async def test_what_a_store_says_is_shown_without_secrets() -> None:
    async def echo(_: web.Request) -> web.Response:
        text = f"<Error><Code>InvalidArgument</Code><Message>bad {WRONG} at /?X-Amz-Signature=abcdef</Message></Error>"
        return web.Response(status=400, text=text, content_type="application/xml")

    caught = await refused_by(echo)
    assert "bad *** at /?X-Amz-Signature=***" in str(caught), caught
    assert WRONG not in caught.request


async def test_a_store_that_asks_for_patience_is_throttling() -> None:
    async def busy(_: web.Request) -> web.Response:
        text = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
        return web.Response(status=503, text=text, content_type="application/xml")

    caught = await refused_by(busy)
    assert caught.kind == "throttled" and "reduce your request rate" in str(caught)


@pytest.mark.parametrize(
    ("storage", "kind", "said"),
    [
        (options("http://127.0.0.1:9", WRONG), "transient", "127.0.0.1:9"),
        ({"client_kwargs": {"endpoint_url": "http://127.0.0.1:9"}}, "auth", "credentials"),
    ],
)
async def test_a_store_that_gives_no_answer(
    monkeypatch: pytest.MonkeyPatch, storage: dict[str, Any], kind: str, said: str
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with opened(f"s3://{BUCKET}", storage) as connection:
        with pytest.raises(Failure, match=said) as caught:
            await connection.transport.probe()
    assert caught.value.kind == kind and WRONG not in str(caught.value)


@pytest.mark.parametrize(("folder", "said"), [("nonsense://bucket", "nonsense"), ("gs://bucket", r"noria\[s3\]")])
async def test_a_store_of_which_no_driver_is_there(folder: str, said: str) -> None:
    async with opened(folder, {}) as connection:
        with pytest.raises(Failure, match=said) as caught:
            await connection.transport.probe()
    assert caught.value.kind == "permanent"


@pytest.mark.parametrize("word", ["object-store", "object_store", "s3", "excel"])
def test_words_that_people_look_for_lead_to_it(word: str) -> None:
    with pytest.raises(NoriaError) as caught:
        open_connection("store", {"connector": word}, Path(), redactor=Redactor())
    assert caught.value.hint is not None and caught.value.hint.values == {"name": "file"}


@pytest.mark.parametrize(("server", "wrong"), [("nonsense", True), ("https://s3.cn", False), ("env:S3_URL", False)])
def test_a_server_without_a_web_address_is_a_problem(server: str, wrong: bool) -> None:
    table = {"connector": "file", "folder": "s3://bucket", "storage": {"client_kwargs": {"endpoint_url": server}}}
    found = [(one.message.key, one.path) for one in CONNECTORS["file"].problems("store", table, "$")]
    assert found == ([("connection.base_url", "$.storage.client_kwargs.endpoint_url")] if wrong else [])
