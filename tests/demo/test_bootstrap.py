"""tools/bootstrap finds a Python where one is, and says one sentence where none is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OLD = "#!/bin/sh\nexit 1\n"
INSTALLS = """#!/bin/sh
# In place of a whole Python: makes the folder asked for, and records pip's arguments.
case "$*" in
    --version) echo "Python 3.13.9" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *" install "*) echo "$*" >>pip.txt ;;
esac
"""
NO_PIP = INSTALLS.replace('*" install "*) echo', "*\" install \"*) echo 'ERROR: no hash matches' >&2; exit 1; echo")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a project (the script and requirements), an empty home, and a PATH of its own."""
    (tmp_path / "project" / "tools").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "tools" / "bootstrap", tmp_path / "project" / "tools" / "bootstrap")
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / "project" / name).write_text("a==1 --hash=sha256:00\n")
    for name in (
        "sh",
        "dirname",
        "head",
        "ls",
        "cat",
        "cksum",
        "rm",
        "mkdir",
        "cp",
        "grep",
        "sort",
        "wc",
        "tr",
        "tail",
    ):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "")
    return tmp_path


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def bootstrap(folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": str(folder / "bin"), "HOME": str(folder / "home"), **variables}
    script = folder / "project" / "tools" / "bootstrap"
    return subprocess.run([str(script)], env=environment, capture_output=True, text=True, check=False)


def test_no_python_is_one_sentence(folder: Path) -> None:
    put(folder / "bin" / "python3", OLD)

    done = bootstrap(folder)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "needs Python 3.12 or newer and found none" in done.stderr
    assert not (folder / "project" / ".venv").exists()


def test_pyenvs_python_is_found_behind_shims_that_fail(folder: Path) -> None:
    for name in ("python3", "python3.13", "python"):
        put(folder / "bin" / name, OLD)
    put(folder / "home" / ".pyenv" / "versions" / "3.13.7" / "bin" / "python", INSTALLS)
    (folder / "project" / ".python-version").write_text("3.13\n")

    done = bootstrap(folder)

    assert done.returncode == 0, done.stderr
    assert (
        "--require-hashes -r requirements.txt -r requirements-dev.txt" in (folder / "project" / "pip.txt").read_text()
    )


def test_uvs_python_is_found(folder: Path) -> None:
    python = put(folder / "elsewhere" / "python", INSTALLS)
    put(folder / "bin" / "uv", f"#!/bin/sh\necho {python}\n")

    assert bootstrap(folder).returncode == 0


def test_the_python_that_was_named_must_be_one(folder: Path) -> None:
    put(folder / "bin" / "python3", INSTALLS)

    done = bootstrap(folder, PYTHON=str(put(folder / "old", OLD)))

    assert done.returncode == 1
    assert "is not a Python 3.12 or newer that runs" in done.stderr


def test_a_second_run_installs_nothing(folder: Path) -> None:
    put(folder / "bin" / "python3", INSTALLS)
    bootstrap(folder)

    done = bootstrap(folder)

    assert (done.returncode, done.stdout) == (0, "")
    assert len((folder / "project" / "pip.txt").read_text().splitlines()) == 1


def test_changed_requirements_are_installed_again(folder: Path) -> None:
    put(folder / "bin" / "python3", INSTALLS)
    bootstrap(folder)
    (folder / "project" / "requirements.txt").write_text("a==2 --hash=sha256:00\n")

    bootstrap(folder)

    assert len((folder / "project" / "pip.txt").read_text().splitlines()) == 2


def test_a_half_made_environment_is_made_anew(folder: Path) -> None:
    put(folder / "bin" / "python3", INSTALLS)
    put(folder / "project" / ".venv" / "bin" / "python", OLD)
    (folder / "project" / ".venv" / "rubbish").write_text("")

    assert bootstrap(folder).returncode == 0
    assert not (folder / "project" / ".venv" / "rubbish").exists()


def test_a_failing_pip_is_reported_and_not_taken_for_done(folder: Path) -> None:
    put(folder / "bin" / "python3", NO_PIP)

    done = bootstrap(folder)

    assert done.returncode == 1
    assert "no hash matches" in done.stderr
    assert "pip could not install the pinned packages" in done.stderr
    assert bootstrap(folder).returncode == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="this Python is the modern one the test offers")
def test_the_running_python_counts_as_modern(folder: Path) -> None:
    script = (ROOT / "tools" / "bootstrap").read_text()
    question = next(line.split("'")[1] for line in script.splitlines() if line.startswith("MODERN="))

    assert subprocess.run([sys.executable, "-c", question], env=dict(os.environ), check=False).returncode == 0
