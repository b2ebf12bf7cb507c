"""The forms of a simulated 金蝶云星空 and its seeded rows: one a line of a bill, as a query shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from noria.simulators.samples import BIG, Samples
from noria.simulators.wire import shown


@dataclass(frozen=True)
class Form:
    """A form: its number field and id field, its entry (empty: none), the start of the numbers it gives, the head's
    customer field (empty: none), and every field that a query may name."""

    number: str
    id: str
    entry: str
    prefix: str
    customer: str
    fields: tuple[str, ...]

    @property
    def entry_id(self) -> str:
        """The query's name of a line's id."""
        return f"{self.entry}_FEntryID"

    @property
    def named(self) -> dict[str, str]:
        """The fields by their names in lower case: case doesn't matter."""
        return {field.lower(): field for field in self.fields}


_STATE = ("FDocumentStatus", "FCreateDate", "FModifyDate")
FORMS = {
    "BD_MATERIAL": Form(
        "FNumber",
        "FMATERIALID",
        "",
        "WL",
        "",
        (
            *("FMATERIALID", "FNumber", "FName", "FSpecification", "FMaterialGroup.FNumber", "FBaseUnitId.FNumber"),
            *("FUseOrgId.FNumber", "FCreateOrgId.FNumber", "FIsKFPeriod", "FForbidStatus", *_STATE),
        ),
    ),
    "BD_Customer": Form(
        "FNumber",
        "FCUSTID",
        "",
        "KH",
        "",
        (
            *("FCUSTID", "FNumber", "FName", "FShortName", "FUseOrgId.FNumber", "FCreateOrgId.FNumber"),
            *("FForbidStatus", *_STATE),
        ),
    ),
    "SAL_OUTSTOCK": Form(
        "FBillNo",
        "FID",
        "FEntity",
        "XSCKD",
        "FCustomerID",
        (
            *("FID", "FBillNo", "FDate", "FCustomerID.FNumber", "FStockOrgId.FNumber", "FSaleOrgId.FNumber", "FNote"),
            *("FEntity_FEntryID", "FMaterialID.FNumber", "FRealQty", "FTaxPrice", "FAmount", "FIsFree", *_STATE),
        ),
    ),
    "STK_InStock": Form(
        "FBillNo",
        "FID",
        "FInStockEntry",
        "CGRK",
        "",
        (
            *("FID", "FBillNo", "FDate", "FSupplierId.FNumber", "FStockOrgId.FNumber", "FNote"),
            *("FInStockEntry_FEntryID", "FMaterialId.FNumber", "FRealQty", "FQty", "FPrice", "FAmount", *_STATE),
        ),
    ),
    "SAL_SaleOrder": Form(
        "FBillNo",
        "FID",
        "FSaleOrderEntry",
        "XSDD",
        "FCustId",
        (
            *("FID", "FBillNo", "FDate", "FCustId.FNumber", "FSaleOrgId.FNumber", "FSettleCurrId.FNumber", "FNote"),
            *("FSaleOrderEntry_FEntryID", "FMaterialId.FNumber", "FQty", "FTaxPrice", "FAmount", *_STATE),
        ),
    ),
}


def make_rows(
    samples: Samples, materials: int, customers: int, outstock: int, instock: int
) -> dict[str, list[dict[str, Any]]]:
    """The rows of every form; bills have one to three lines, and a row for each."""
    return {
        "BD_MATERIAL": _materials(samples, materials),
        "BD_Customer": _customers(samples, customers),
        "SAL_OUTSTOCK": _outstock(samples, outstock, max(1, materials)),
        "STK_InStock": _instock(samples, instock, max(1, materials)),
        "SAL_SaleOrder": [],
    }


def iso(epoch: float) -> str:
    """Epoch seconds as a query shows times."""
    return shown(epoch).replace(" ", "T")


def _times(at: int) -> dict[str, Any]:
    return {"FDocumentStatus": "C", "FCreateDate": iso(at - 86400), "FModifyDate": iso(at)}


def _materials(samples: Samples, count: int) -> list[dict[str, Any]]:
    return [
        {
            "FMATERIALID": 100_000 + n,
            "FNumber": f"SKU{n:03}",
            "FName": samples.goods(),
            "FSpecification": samples.remark(),
            "FMaterialGroup.FNumber": f"G{n % 5}",
            "FBaseUnitId.FNumber": "Pcs",
            "FUseOrgId.FNumber": "100" if n % 6 else "101",
            "FCreateOrgId.FNumber": "100",
            "FIsKFPeriod": n % 2 == 1,
            "FForbidStatus": "A",
            **_times(at),
        }
        for n, at in enumerate(samples.times(count))
    ]


def _customers(samples: Samples, count: int) -> list[dict[str, Any]]:
    return [
        {
            "FCUSTID": 200_000 + n,
            "FNumber": f"KH{10 + n}",
            "FName": f"{samples.shop(n)}·{samples.name()}",
            # Whoever sells in shops keeps their numbers here.
            "FShortName": f"S{n:02}",
            "FUseOrgId.FNumber": "100",
            "FCreateOrgId.FNumber": "100",
            "FForbidStatus": "A",
            **_times(at),
        }
        for n, at in enumerate(samples.times(count))
    ]


def _outstock(samples: Samples, count: int, materials: int) -> list[dict[str, Any]]:
    rows = []
    for n, at in enumerate(samples.times(count)):
        note = samples.remark()
        for line in range(1 + n % 3):
            price, quantity = samples.amount(), samples.quantity()
            rows.append(
                {
                    "FID": 300_000 + n,
                    "FBillNo": f"XSCKD{n:06}",
                    "FDate": iso(at)[:10] + "T00:00:00",
                    "FCustomerID.FNumber": f"KH{10 + n % 4}",
                    "FStockOrgId.FNumber": "100",
                    "FSaleOrgId.FNumber": "100",
                    "FNote": note,
                    "FEntity_FEntryID": BIG + n * 10 + line,
                    "FMaterialID.FNumber": f"SKU{(n + line) % materials:03}",
                    "FRealQty": quantity,
                    "FTaxPrice": price,
                    "FAmount": price * quantity,
                    "FIsFree": False,
                    **_times(at),
                }
            )
    return rows


def _instock(samples: Samples, count: int, materials: int) -> list[dict[str, Any]]:
    rows = []
    for n, at in enumerate(samples.times(count)):
        for line in range(1 + n % 3):
            price, quantity = samples.amount(), samples.quantity()
            rows.append(
                {
                    "FID": 400_000 + n,
                    "FBillNo": f"CGRK{n:05}",
                    "FDate": iso(at)[:10] + "T00:00:00",
                    "FSupplierId.FNumber": f"GYS{n % 7:02}",
                    "FStockOrgId.FNumber": "100",
                    "FNote": " ",
                    "FInStockEntry_FEntryID": BIG + 500_000 + n * 10 + line,
                    "FMaterialId.FNumber": f"SKU{(n + line) % materials:03}",
                    "FRealQty": quantity,
                    "FQty": quantity,
                    "FPrice": price,
                    "FAmount": price * quantity,
                    **_times(at),
                }
            )
    return rows
