"""The bare loop: fetch → decode → map → encode → post, hand-written, without a ledger; the same HTTP client."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import aiohttp
import msgspec

from bench.measure import measured
from bench.server import PAGE


def mapped(row: dict[str, Any]) -> dict[str, Any]:
    """The mapping of `bench/plan.py`, by hand."""
    company, handler = row["company"], row["handler"]
    return {
        "id": row["order_id"],
        "no": row["order_no"],
        "date": row["account_date"],
        "currency": row["currency"],
        "amount": row["amount"],
        "customer": company["name"],
        "owner": handler["name"],
        "department": handler["department"]["id"],
    }


async def main(url: str, total: int) -> None:
    """Copy `total` records."""
    async with aiohttp.ClientSession() as session:
        seen, number = 0, 1
        while seen < total:
            async with session.get(f"{url}/list", params={"start_index": number, "count": PAGE}) as answer:
                page = msgspec.json.decode(await answer.read())
            rows = page["data"]["list"]
            body = msgspec.json.encode([mapped(row) for row in rows])
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{url}/post", data=body, headers=headers) as answer:
                await answer.read()
            seen += len(rows)
            number += 1


if __name__ == "__main__":
    with measured():
        asyncio.run(main(sys.argv[1], int(sys.argv[2])))
