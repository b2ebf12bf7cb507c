"""What a connector declares: endpoints with segments that are the plan's own."""

from __future__ import annotations

import pytest

from noria.connectors.declaration import Connector, Endpoint
from noria.connectors.settings import HttpSettings
from noria.metadata.documents import Metadata

SYSTEM = Connector(
    name="mine",
    title=("", ""),
    settings_type=HttpSettings,
    to_http=lambda settings: settings,
    check=lambda settings, name, path: [],
    endpoints=(
        Endpoint("/v2/{scheme}/query", "POST", "query", reads="list"),
        Endpoint("/v2/{scheme}/store", "POST", "store"),
        Endpoint("/v2/fixed/query", "GET", "fixed"),
    ),
)
SETTINGS = HttpSettings(connector="mine", base_url="http://localhost")


@pytest.mark.parametrize(
    ("api", "name", "path"),
    [
        ("/v2/Abc-1/query", "query", "/v2/Abc-1/query"),
        ("V2/Abc-1/STORE", "store", "/v2/Abc-1/store"),
        ("/v2/fixed/query", "fixed", "/v2/fixed/query"),
        ("/V2/Fixed/Query", "fixed", "/v2/fixed/query"),
        ("/v2/{scheme}/query", "query", "/v2/{scheme}/query"),
        ("/v2/a/b/query", None, None),
        ("/v2/query", None, None),
        ("/v3/a/query", None, None),
        ("", None, None),
    ],
)
def test_an_endpoint_with_an_open_segment(api: str, name: str | None, path: str | None) -> None:
    """It is any, as the plan writes it; an endpoint that has all of the path goes first."""
    found = SYSTEM.endpoint(api)
    assert (found and found.name, found and found.at(api)) == (name, path)


@pytest.mark.parametrize(
    ("api", "method", "key"),
    [
        ("/v2/a/query", "POST", None),
        ("/v2/a/query", "GET", "connection.wrong_method"),
        ("/v2/fixed/query", "POST", "connection.wrong_method"),
        ("/v2/a/querry", "POST", "connection.unknown_api"),
    ],
)
def test_a_plan_is_checked_by_it(api: str, method: str, key: str | None) -> None:
    problems = SYSTEM.plan_problems(Metadata(api=api, method=method), SETTINGS, "$.source", "source")
    assert [one.message.key for one in problems] == ([key] if key else [])
