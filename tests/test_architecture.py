"""Rules about the code that are cheap to check in every run; `make check` has the rest."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

ROOT = Path(__file__).resolve().parent.parent
APPS = ("core", "accounts", "catalog", "billing", "servers", "orders", "support", "nodebyte")
LEVELS = {"core": 0, "accounts": 1, "catalog": 2, "billing": 3, "servers": 3, "orders": 4, "support": 5, "nodebyte": 6}
CODE = (*APPS, "sandbox", "demo", "bench", "tests", "tools")
MAX_FILE = 400  # lines
MAX_TEST_FILE = 600
MAX_FUNCTION = 45
MONEY = ("billing", "orders", "catalog", "core/money.py")
REGISTRIES = re.compile(
    "|".join(("pyp" + "i[.]org", "python" + "hosted[.]org", "registry[.]npm" + "js", "deb[.]deb" + "ian"))
)
MACHINE = re.compile(r"(?<![\w.])/(?:work/|root/[.]|Users/|home/(?!container\b))\w")  # /home/container: the panel's
FIELDS = {"core.encryption", "core.ids"}  # a migration must name the class of a column
VAGUE = re.compile(r"^(utils?|helpers?|managers?|misc|common)(_|$)")
TEXT = {".py", ".html", ".css", ".js", ".md", ".toml", ".yaml", ".txt", ".in", ".json", ""}


def python_files(*packages: str) -> Iterator[Path]:
    for package in packages:
        root = ROOT / package
        found = [root] if root.is_file() else sorted(root.rglob("*.py"))
        yield from (path for path in found if "migrations" not in path.parts)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def committed_texts() -> Iterator[Path]:
    git = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = (ROOT / name for name in git.stdout.decode().split("\0") if name)
    yield from (path for path in paths if path.suffix in TEXT and path.is_file() and not path.is_symlink())


def test_the_database_is_the_only_clock() -> None:
    """What a process's own clock says may be wrong: `core.clock.now` asks the database."""
    clocks = re.compile(r"\b(timezone\.now|datetime\.(now|utcnow|today)|date\.today)\(")
    found = {name_of(path) for path in python_files(*APPS) if clocks.search(path.read_text())}
    assert found == set()


def test_an_act_that_is_told_the_time_records_it() -> None:
    late = {
        f"{name_of(path)}:{call.lineno}"
        for path in python_files(*APPS)
        for act in ast.walk(tree_of(path))
        if isinstance(act, ast.FunctionDef)
        and {"at", "context"} & {arg.arg for arg in ast.walk(act.args) if isinstance(arg, ast.arg)}
        for call in ast.walk(act)
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("audit.record")
        if "at" not in {keyword.arg for keyword in call.keywords}
    }

    assert late == set()


def test_every_package_has_a_place_in_the_layers() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in linter["contracts"] if contract["type"] == "layers")
    placed = {app for layer in layers for app in layer.replace(" ", "").split("|")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert placed == set(APPS)
    assert packages - {"tests", "bench", "tools"} == placed | {"sandbox", "demo"}


def test_every_package_and_file_of_the_layout_exists() -> None:
    expected = (
        "manage.py",
        "pyproject.toml",
        "Makefile",
        "README.md",
        "ARCHITECTURE.md",
        ".ci/run",
        "templates",
        "static",
    )

    assert [name for name in (*expected, *APPS) if not (ROOT / name).exists()] == []


def test_no_file_is_too_long() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in python_files(*CODE)}
    limits = {name: MAX_FILE if name.partition("/")[0] in APPS else MAX_TEST_FILE for name in lengths}

    assert {name: lines for name, lines in lengths.items() if lines > limits[name]} == {}


def test_no_function_is_too_long() -> None:
    long = {
        f"{name_of(path)}:{node.name}": node.end_lineno - node.lineno + 1
        for path in python_files(*APPS, "sandbox", "demo")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno
        and node.end_lineno - node.lineno >= MAX_FUNCTION
    }

    assert long == {}


def test_an_app_imports_only_apps_below_it() -> None:
    wrong = [
        f"{name_of(path)} imports {top}"
        for app in APPS
        for path in python_files(app)
        for top in imported_packages(path)
        if top in {"sandbox", "demo", "tests"} or (top in LEVELS and top != app and LEVELS[top] >= LEVELS[app])
    ]

    assert wrong == []


def imported_packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported_modules(path)}


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return names


def test_only_its_own_package_the_seed_and_the_settings_name_stripe() -> None:
    named = {name_of(path) for path in committed_texts() if "stripe" in path.read_text().lower()}
    ours = {name for name in named if name.startswith(tuple(f"{app}/" for app in (*APPS, "templates", "static")))}

    assert {name for name in ours if not name.startswith("billing/gateways/stripe/")} == {
        "billing/apps.py",  # the line that registers it
        "billing/migrations/0002_ledger_rules.py",  # the first account
        "nodebyte/environment.py",
        "nodebyte/settings.py",
    }


def test_the_stand_ins_do_not_import_django() -> None:
    importing = [name_of(path) for path in python_files("sandbox", "demo") if "django" in imported_packages(path)]

    assert importing == []


def test_no_float_is_in_money_code() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in python_files(*MONEY)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.expr) and is_float(node)
    ]

    assert wrong == []


def is_float(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float)
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", "") == "float"
    return isinstance(node, ast.Attribute) and node.attr == "FloatField"


def test_no_name_is_vague() -> None:
    assert [name_of(path) for path in python_files(*APPS, "sandbox", "demo") if VAGUE.match(path.stem)] == []


def test_no_file_names_a_registry_or_this_machine() -> None:
    wrong = [
        f"{name_of(path)}: {found.group()}"
        for path in committed_texts()
        if path != Path(__file__)
        for pattern in (REGISTRIES, MACHINE)
        if (found := pattern.search(path.read_text(errors="replace")))
    ]

    assert wrong == []


def test_no_todo_is_left() -> None:
    marks = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")

    assert [name_of(path) for path in python_files(*CODE) if marks.search(path.read_text())] == []


def test_no_exception_is_silently_ignored() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in python_files(*APPS, "sandbox", "demo")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
    ]

    assert wrong == []


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_with_a_hash(file: str) -> None:
    from tools import pinned

    assert pinned.lines_without_pin_or_hash(ROOT / file) == []
    assert pinned.not_locked((ROOT / file).with_suffix(".in"), pinned.pins_of(ROOT / file)) == []


@pytest.mark.parametrize("line", ["stripe", "stripe==1.0", "stripe>=1 --hash=sha256:00", "--index-url http://x"])
def test_a_requirement_without_pin_or_hash_is_found(tmp_path: Path, line: str) -> None:
    from tools import pinned

    (tmp_path / "requirements.txt").write_text(f"{line}\n")

    assert len(pinned.lines_without_pin_or_hash(tmp_path / "requirements.txt")) == 1


def test_every_migration_is_named_by_hand() -> None:
    migrations = (path for app in APPS for path in (ROOT / app).glob("migrations/0*.py"))

    assert [
        name_of(path) for path in migrations if re.match(r"\d+_(auto|alter|add|remove)_.*_and_|\d+_auto", path.stem)
    ] == []


def test_no_migration_imports_an_app() -> None:
    wrong = [
        f"{name_of(path)} imports {module}"
        for app in APPS
        for path in (ROOT / app).glob("migrations/0*.py")
        for module in imported_modules(path) - FIELDS - {f"{app}.migrations"}  # SQL of its own that it holds
        if module.partition(".")[0] in APPS and path.stem != "0001_initial"
    ]

    assert wrong == []


def test_every_app_is_installed() -> None:
    assert [app for app in APPS if not apps.is_installed(app)] == []


@pytest.mark.parametrize("command", [("ruff", "check", "."), ("ruff", "format", "--check", ".")])
def test_ruff_finds_nothing(command: tuple[str, ...]) -> None:
    ruff = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ruff.returncode == 0, ruff.stdout[-3000:]
