"""The corporation of a simulated 企业微信: what its API shows of departments, people and approvals."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from noria.simulators.staff import CHINA, Approval, Person, Unit

TEMPLATES = ("3TkExpenseTemplate0001", "3TkLeaveTemplate0002")

Body = dict[str, Any]


def department(unit: Unit) -> Body:
    """A department as lists show it."""
    return {
        "id": unit.number,
        "name": unit.name,
        "name_en": "",
        "department_leader": [],
        "parentid": unit.parent,
        "order": 100000000 - unit.number % 1000,
    }


def user(person: Person) -> Body:
    """An employee with all there is of them."""
    number = person.number
    return {
        "userid": f"User{number:04d}" if number % 3 else f"zhang.san-{number}@noria",
        "name": person.name,
        "department": list(person.departments),
        "order": [0] * len(person.departments),
        "position": person.title,
        "mobile": f"138{number:08d}",
        "gender": str(number % 3),
        "email": f"user{number}@example.com" if number % 4 else "",
        "biz_mail": f"user{number}@corp.example.com",
        "avatar": f"https://wework.example.com/{number}/0",
        "qr_code": f"https://open.work.example.com/wwopen/{number}",
        "address": "深圳市南山区" if number % 5 == 0 else "",
        "is_leader_in_dept": [int(person.leads)] + [0] * (len(person.departments) - 1),
        "direct_leader": [],
        "alias": "",
        "status": 4 if number % 11 == 7 else 1,
        "main_department": person.departments[0],
        "extattr": {"attrs": [{"type": 0, "name": "爱好", "text": {"value": "羽毛球"}}] if number % 5 == 0 else []},
    }


def approval(one: Approval) -> Body:
    """An approval, as the simulator keeps it."""
    form = one.number % 2
    return {
        "sp_no": f"{datetime.fromtimestamp(one.at, CHINA):%Y%m%d}{one.number:04d}",
        "sp_name": ("报销", "请假")[form],
        "sp_status": one.outcome + 1,
        "template_id": TEMPLATES[form],
        "apply_time": one.at,
        "userid": user(one.person)["userid"],
        "partyid": str(one.person.departments[0]),
        "contents": [
            _content("Money", "金额", {"new_money": one.amount}),
            _content("Text", "事由", {"text": f"事由{one.number}：项目支出，见附件📎"}),
        ],
    }


def _content(control: str, title: str, value: Body) -> Body:
    return {"control": control, "id": f"{control}-1", "title": [{"text": title, "lang": "zh_CN"}], "value": value}


def shown_approval(row: Body) -> Body:
    """An approval as `getapprovaldetail` shows it."""
    names = ("sp_no", "sp_name", "sp_status", "template_id", "apply_time")
    return {
        **{name: row[name] for name in names},
        "applyer": {"userid": row["userid"], "partyid": row["partyid"]},
        "sp_record": [],
        "notifyer": [],
        "apply_data": {"contents": row["contents"]},
        "comments": [],
    }
