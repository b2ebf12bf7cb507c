"""The server that both sides of a benchmark talk to: paged lists made beforehand, and a target that answers yes."""

from __future__ import annotations

import argparse
import asyncio
import json
import random

from aiohttp import web

PAGE = 200


def record(number: int) -> bytes:
    """A nested record of about 400 bytes."""
    chooser = random.Random(number)
    row = {
        "order_id": 2_000_000_000 + number,
        "order_no": f"SO{number:09d}",
        "account_date": "2024-03-15",
        "currency": "USD",
        "amount": chooser.randrange(10**7) / 100,
        "company": {"company_id": chooser.randrange(10**9), "name": f"深圳五金进出口有限公司{number % 977}"},
        "handler": {
            "user_id": str(chooser.randrange(10**8)),
            "name": "张三",
            "department": {"id": number % 40},
        },
        "items": [{"sku": f"K{chooser.randrange(10**6)}", "qty": chooser.randrange(100)} for _ in range(3)],
        "create_time": "2024-03-15 10:11:12",
        "update_time": "2024-03-16 08:00:00",
        "remark": "备注" + str(chooser.random()),
    }
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


class Server:
    """Keeps the last few pages it made; a page is the same for every reader."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.pages: dict[int, bytes] = {}

    def page(self, number: int, with_total: bool = True) -> bytes:
        """The bytes of page `number`, counted from 1."""
        if not with_total:
            return self.page(number).replace(b'"count":%d,' % self.total, b"")
        found = self.pages.get(number)
        if found is None:
            first = (number - 1) * PAGE
            rows = b",".join(record(n) for n in range(first, min(first + PAGE, self.total)))
            total = str(self.total).encode()
            found = b'{"code":200,"message":"success","data":{"count":' + total + b',"list":[' + rows + b"]}}"
            self.pages[number] = found
        return found

    async def list(self, request: web.Request) -> web.Response:
        """A page."""
        number, last = int(request.query["start_index"]), request.query.get("last")
        if last is not None and number > int(last):
            body = b'{"code":200,"message":"success","data":{"count":0,"list":[]}}'
        else:
            body = self.page(number, with_total=last is None)
        return web.Response(body=body, content_type="application/json")

    async def post(self, request: web.Request) -> web.Response:
        """Whatever is posted was written."""
        await request.read()
        return web.Response(body=b'{"code":200,"message":"success"}', content_type="application/json")


async def serve(total: int) -> None:
    """Answer until killed; print the port when ready."""
    server = Server(total)
    for number in range(1, total // PAGE + 2):
        server.page(number)
    app = web.Application(client_max_size=64 << 20)
    app.add_routes([web.get("/list", server.list), web.post("/post", server.post)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("total", type=int)
    asyncio.run(serve(parser.parse_args().total))
