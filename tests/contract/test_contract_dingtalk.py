"""钉钉 keeps the contract: people by department, and work notifications."""

from __future__ import annotations

import json
from typing import Any

from noria.metadata.clock import FakeClock
from noria.simulators.dingtalk import DingTalk
from noria.testing import ConnectorContract, Reads, System, Writes


class TestDingTalk(ConnectorContract):
    connector = "dingtalk"

    def system(self, clock: FakeClock) -> System:
        made = DingTalk(app_secret="hush-hush-ding", users=60, per_second=20, clock=clock.steady, now=clock.now)

        def grow() -> None:
            last = made.users[-1]
            made.users.insert(0, {**last, "userid": f"new-{len(made.users)}", "name": "新人 😀"})

        def stored() -> dict[str, tuple[int, Any]]:
            texts = [one["msg"]["text"]["content"].split("|") for one in made.messages]
            return {text[0]: (sum(one[0] == text[0] for one in texts), text) for text in texts}

        return System(
            simulator=made,
            table=lambda url: {"base_url": url, "api_url": url, "app_key": "dingdemo", "app_secret": "hush-hush-ding"},
            wrong={"app_secret": "not-the-secret-1"},
            secrets=("hush-hush-ding", "not-the-secret-1"),
            reads=Reads(
                metadata={"api": "topapi/v2/user/list", "method": "POST", "id": "userid", "number": "name"}
                | {"idCheck": True},
                truth=lambda: {row["userid"]: json.dumps(row) for row in made.truth()["users"]},
                path="/topapi/v2/user/list",
                grow=grow,
            ),
            writes=Writes(
                metadata={
                    "api": "/topapi/message/corpconversation/asyncsend_v2",
                    "method": "POST",
                    "request": [
                        {"field": "agent_id", "type": "int", "value": "3001"},
                        {"field": "userid_list", "value": made.users[0]["userid"]},
                        {
                            "field": "msg",
                            "type": "object",
                            "children": [
                                {"field": "msgtype", "value": "text"},
                                {
                                    "field": "text",
                                    "type": "object",
                                    "children": [{"field": "content", "value": "{{id}}|{{name}}|{{amount}}|{{code}}"}],
                                },
                            ],
                        },
                    ],
                },
                stored=stored,
                path="/topapi/message",
                once=False,
                batch=1,
            ),
            names_waits=False,
            limited=lambda: sum("90018" in one for one in made.refused),
        )
