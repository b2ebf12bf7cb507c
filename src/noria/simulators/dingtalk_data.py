"""The organization of a simulated 钉钉: what its API shows of departments, people and approvals."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from noria.simulators.staff import CHINA, ROOT, Approval, Person, Unit
from noria.simulators.wire import shown

# The approval form of every second approval, from the first; the other one's.
PROCESS_CODES = ("PROC-EXPENSE-0001", "PROC-LEAVE-0002")
_TITLES = ("报销申请", "请假申请")
_STATUS = (("RUNNING", ""), ("COMPLETED", "agree"), ("COMPLETED", "refuse"))
_LISTED_DEPARTMENT = ("dept_id", "name", "parent_id", "create_dept_group", "auto_add_user")

Body = dict[str, Any]


def department(unit: Unit) -> Body:
    """A department as `department/get` shows it."""
    shared: Body = {"dept_id": unit.number, "name": unit.name, "create_dept_group": unit.number % 2 == 0}
    shared |= {"auto_add_user": True, "order": unit.number % 1000, "dept_manager_userid_list": []}
    return shared if unit.number == ROOT else {**shared, "parent_id": unit.parent}


def listed(row: Body) -> Body:
    """A department as lists show it."""
    return {name: row[name] for name in _LISTED_DEPARTMENT if name in row}


def user(person: Person) -> Body:
    """An employee as lists and `user/get` show them."""
    number = person.number
    row: Body = {
        "userid": f"{2**53 + 7 * number}" if number % 3 else f"manager{1000 + number}",
        "unionid": f"Un{number:06d}iE",
        "name": person.name,
        "title": person.title,
        "job_number": f"{number + 1:05d}",
        "dept_id_list": list(person.departments),
        "active": number % 11 != 7,
        "admin": number == 0,
        "boss": number == 0,
        "leader": person.leads,
        "hired_date": person.joined * 1000,
        "extension": json.dumps({"爱好": "羽毛球"}, ensure_ascii=False) if number % 5 == 0 else "",
    }
    # Without the permission, or when nobody has filled it in, the vendor leaves a field out.
    if number % 4 != 1:
        row["mobile"] = f"138{number:08d}"
    if number % 4 == 2:
        row |= {"email": f"user{number}@example.com", "org_email": f"user{number}@corp.example.com"}
    return row


def approval(one: Approval) -> Body:
    """An approval, as the simulator keeps it."""
    form = one.number % 2
    values = [{"name": "金额", "value": one.amount}, {"name": "事由", "value": f"事由{one.number}：项目支出，见附件📎"}]
    leave = [{"name": "天数", "value": str(one.number % 5 + 1)}, {"name": "事由", "value": "探亲"}]
    status, result = _STATUS[one.outcome]
    return {
        "id": f"simulated-{one.number:06d}",
        "business_id": f"{datetime.fromtimestamp(one.at, CHINA):%Y%m%d%H%M}{one.number:09d}",
        "process_code": PROCESS_CODES[form],
        "title": titled(one.person.name, PROCESS_CODES[form]),
        "at": one.at,
        "userid": user(one.person)["userid"],
        "dept_id": one.person.departments[0],
        "status": status,
        "result": result,
        "values": leave if form else values,
    }


def titled(who: str, code: str) -> str:
    """The title of what somebody applies for with a form."""
    return f"{who}提交的{_TITLES[PROCESS_CODES.index(code)]}"


def old_approval(row: Body) -> Body:
    """An approval as `processinstance/get` shows it."""
    found: Body = {
        "title": row["title"],
        "create_time": shown(row["at"]),
        "status": row["status"],
        "result": row["result"],
        "business_id": row["business_id"],
        "originator_userid": row["userid"],
        "originator_dept_id": str(row["dept_id"]),
        "form_component_values": row["values"],
    }
    return found if row["status"] == "RUNNING" else {**found, "finish_time": shown(row["at"] + 7200)}
