"""`noria new connector`: what it writes keeps the contract, and is found once its package is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import environment


@pytest.fixture
def package(tmp_path: Path, called: Any) -> Path:
    assert called("new", "connector", "corner_shop", str(tmp_path / "package"))[0] == 0
    return tmp_path / "package"


def installed(package: Path, value: str = "noria_corner_shop.connector:CONNECTOR") -> dict[str, str]:
    """An environment in which the package is there, as an installer leaves it."""
    site = package / "src"
    info = site / "noria_corner_shop-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noria-corner-shop\nVersion: 0.1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[noria.connectors]\ncorner_shop = {value}\n", "utf-8")
    known = environment()
    path = os.pathsep.join(one for one in (str(site), known.get("PYTHONPATH", "")) if one)
    return {**known, "PYTHONPATH": path, "NORIA_LANG": "en"}


def noria(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "noria", *arguments], env=env, capture_output=True, text=True)


def test_what_it_writes_keeps_the_contract(package: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", str(package)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, cwd=package)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "skipped" not in done.stdout and int(done.stdout.split(" passed")[0].split()[-1]) > 25
    # Whatever is broken in it is noticed.
    file = package / "src" / "noria_corner_shop" / "connector.py"
    file.write_text(file.read_text("utf-8").replace("expired=[40101]", "expired=[]"), "utf-8")
    changed = [*command, "-x", "-k", "token"]
    assert subprocess.run(changed, env=environment(), capture_output=True, cwd=package).returncode == 1


def test_an_installed_package_brings_its_connector(tmp_path: Path, package: Path) -> None:
    env = installed(package)
    shown = noria(env, "connectors", "corner_shop", "--json")
    assert json.loads(shown.stdout)["endpoints"][0]["path"] == "/items", shown.stderr
    project = tmp_path / "project"
    (project / "plans").mkdir(parents=True)
    table = '[connections.c]\nconnector = "corner_shop"\nbase_url = "http://127.0.0.1:9"\n'
    (project / "noria.toml").write_text(table, "utf-8")
    checked = noria(env, "check", "--project", str(project))
    assert checked.returncode == 1 and "needs app_key, app_secret" in checked.stdout + checked.stderr


@pytest.mark.parametrize("value", ["nowhere:CONNECTOR", "noria_corner_shop.connector:Settings"])
def test_one_that_can_t_be_used_is_said_and_stops_nothing(package: Path, value: str) -> None:
    env = installed(package, value)
    listed = json.loads(noria(env, "connectors", "--json").stdout)
    assert {"okki", "http"} <= {one["name"] for one in listed}
    broken = next(one for one in listed if one["name"] == "corner_shop")
    assert "nowhere" in broken["error"] or "is no connector" in broken["error"]
    refused = noria(env, "connectors", "corner_shop")
    assert refused.returncode != 0 and "can't be loaded" in refused.stdout + refused.stderr


@pytest.mark.parametrize("name", ["okki", "Shop", "1shop", "a-b", "", "../x"])
def test_names_that_are_none(tmp_path: Path, name: str, called: Any) -> None:
    assert called("new", "connector", name, str(tmp_path / "package"))[0] != 0
    assert not (tmp_path / "package").exists()


def test_nothing_is_overwritten(tmp_path: Path, called: Any) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "mine").write_text("mine", "utf-8")
    assert called("new", "connector", "corner_shop", str(tmp_path / "package"))[0] != 0
    assert [one.name for one in (tmp_path / "package").iterdir()] == ["mine"]
