"""The rows of a simulated 旺店通, seeded, in the forms of both editions."""

from __future__ import annotations

from typing import Any

from noria.simulators.samples import BIG, Samples
from noria.simulators.wire import shown


def trades(samples: Samples, count: int) -> list[dict[str, Any]]:
    """Trades of 企业版, in the order of their modification."""
    rows = []
    for n, at in enumerate(samples.times(count)):
        lines = [
            {
                "rec_id": BIG + n * 10 + line,
                "spec_no": f"SKU{(n + line) % 25:03}",
                "goods_name": samples.goods(),
                "num": f"{samples.quantity()}.0000" if line else samples.quantity() * (n % 7 > 0),
                "price": samples.amount(),
                "type": "gift" if n % 5 == 4 or line == 2 else "sku",
            }
            for line in range(1 + n % 3)
        ]
        rows.append(
            {
                "trade_id": BIG + n,
                "trade_no": f"JY{202401000000 + n}",
                "shop_no": f"S{n % 4:02}",
                "shop_name": samples.shop(n),
                "trade_status": ("30", "55", "110")[n % 3],
                "receivable": str(samples.amount()),
                "post_amount": samples.amount(20),
                "receiver_name": samples.name(),
                "cs_remark": samples.remark(),
                "trade_time": shown(at - 86400),
                "modified": shown(at),
                "goods_list": lines,
            }
        )
    return rows


def stockouts(samples: Samples, count: int) -> list[dict[str, Any]]:
    """Stock-outs of 企业版, in the order of their modification."""
    rows = []
    for n, at in enumerate(samples.times(count)):
        lines = [
            {
                "rec_id": BIG + n * 10 + line,
                "spec_no": f"SKU{(n + line) % 25:03}",
                "goods_name": samples.goods(),
                "num": f"{samples.quantity()}.5" if n % 2 else samples.quantity(),
                "sell_price": str(samples.amount()),
                "made": "20240229" if line else shown(at)[:10],
            }
            for line in range(1 + n % 3)
        ]
        rows.append(
            {
                "stockout_id": str(BIG + 700_000 + n),
                "stockout_no": f"CK{202401000000 + n}",
                "trade_no": f"JY{202401000000 + n}",
                "shop_no": f"S{n % 4:02}",
                "status": "95",
                "amount": str(samples.amount(2_000_000)),
                "post_amount": samples.amount(20),
                "weight": f"{samples.quantity()}.25",
                "cnt": f"{samples.quantity()}.8",
                "tags": [] if n % 4 == 3 else ["加急", samples.city()],
                "note": samples.remark(),
                "consign_time": shown(at - 600),
                "modified": shown(at),
                "details_list": lines,
            }
        )
    return rows


def qjb_trades(samples: Samples, count: int) -> list[dict[str, Any]]:
    """Trades of 旗舰版, in the order of their modification."""
    return [
        {
            "trade_id": BIG + 1_000_000 + n,
            "trade_no": f"QJ{202401000000 + n}",
            "shop_no": f"S{n % 4:02}",
            "trade_status": ("30", "55", "110")[n % 3],
            "receivable": samples.amount(),
            "receiver_name": samples.name(),
            "cs_remark": samples.remark(),
            "modified": shown(at),
            "detail_list": _qjb_lines(samples, n),
        }
        for n, at in enumerate(samples.times(count))
    ]


def qjb_stockouts(samples: Samples, count: int) -> list[dict[str, Any]]:
    """Stock-outs of 旗舰版, in the order of their modification."""
    return [
        {
            "stockout_id": BIG + 1_700_000 + n,
            "order_no": f"QC{202401000000 + n}",
            "trade_no": f"QJ{202401000000 + n}",
            "shop_no": f"S{n % 4:02}",
            "status": "110",
            "goods_total_amount": samples.amount(),
            "remark": samples.remark(),
            "consign_time": shown(at - 600),
            "modified": shown(at),
            "details_list": _qjb_lines(samples, n),
        }
        for n, at in enumerate(samples.times(count))
    ]


def _qjb_lines(samples: Samples, n: int) -> list[dict[str, Any]]:
    return [
        {
            "rec_id": BIG + 2_000_000 + n * 10 + line,
            "spec_no": f"SKU{(n + line) % 25:03}",
            "num": samples.amount(20),
            "share_amount": samples.amount(),
        }
        for line in range(1 + n % 3)
    ]
