"""The tests' server runs without fsync and is stopped at the end: it is never a shop's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import environment as bench
from tools import run_tests

ROOT = Path(__file__).resolve().parents[2]
TELLS = """
import os
from django.conf import settings

def test_tell():
    print("VAR", settings.VAR, "REDIS", repr(os.environ["REDIS_URL"]), settings.HAS_EMBEDDED_DATABASE)
"""
SHOP = {"DATABASE_URL": "postgres://shop@127.0.0.1:1/shop", "REDIS_URL": "redis://127.0.0.1:1/0"}


def test_pytest_works_in_places_of_its_own_where_a_shops_are_set(tmp_path: Path) -> None:
    shop, own = tmp_path / "shop", tmp_path / "own"
    (tmp_path / "test_tell.py").write_text(TELLS)
    pytest_arguments = ["-q", "-s", "-p", "no:cacheprovider", "-c", "pyproject.toml", str(tmp_path / "test_tell.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *pytest_arguments],
        cwd=ROOT,
        env=os.environ | SHOP | {"NODEBYTE_VAR": str(shop), "NODEBYTE_TEST_VAR": str(own), "TEST_REDIS_URL": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert f"VAR {own} REDIS '' True" in done.stdout, done.stdout + done.stderr
    assert not shop.exists()


@pytest.mark.parametrize(
    "variables", [{"NODEBYTE_VAR": "/srv/shop"}, {}], ids=["a shop's folder is set", "none is set"]
)
def test_what_make_test_stops_is_the_tests_server(variables: dict[str, str]) -> None:
    environment = run_tests.test_environment(variables | SHOP)
    assert environment["NODEBYTE_VAR"] == str(ROOT / "var" / "test")
    assert not environment.keys() & SHOP.keys()


def test_a_bench_works_in_a_folder_of_its_own_where_a_shops_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEBYTE_VAR", "/srv/shop")

    assert bench.VAR == ROOT / "var" / "bench"
