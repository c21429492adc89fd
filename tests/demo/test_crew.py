"""Real processes: one that dies is named, and none outlives the demo."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from demo.crew import MARK, Crew, Failed

SLEEPER = "import time; time.sleep(600)"
PARENT = (
    f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]); print('up'); time.sleep(600)"
)
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    made = Crew(logs=tmp_path / "log", environment=dict(os.environ), mark=str(tmp_path))
    yield made
    made.stop()


def until(holds: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def test_a_process_that_dies_is_named_with_its_last_words(crew: Crew) -> None:
    member = crew.start("worker", ["-c", "import sys; print('no broker'); sys.exit(3)"])
    member.process.wait()

    with pytest.raises(
        Failed, match=r"worker ended by itself \(exit 3\)\. Its last lines .*worker\.log\):\n    no broker"
    ):
        crew.check()


def test_a_killed_process_is_told_by_its_signal(crew: Crew) -> None:
    member = crew.start("web", ["-c", SLEEPER])
    member.process.kill()
    member.process.wait()

    with pytest.raises(Failed, match=r"web ended by itself \(SIGKILL\)"):
        crew.check()


def test_a_command_that_fails_is_named(crew: Crew) -> None:
    with pytest.raises(Failed, match=r"migrate failed \(exit 1\).*\n    .*boom"):
        crew.run("migrate", ["-c", "raise SystemExit('boom')"])


def test_stopping_takes_the_children_of_children_too(crew: Crew, tmp_path: Path) -> None:
    member = crew.start("web", ["-c", PARENT])
    assert until(lambda: "up" in member.log.read_text())
    assert until(lambda: len(marked(str(tmp_path))) == 2)

    crew.stop()

    assert until(lambda: marked(str(tmp_path)) == [])


def test_one_that_will_not_stop_is_killed(crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.crew.STOP_SECONDS", 0.2)
    member = crew.start("web", ["-c", STUBBORN])
    assert until(lambda: "up" in member.log.read_text())

    crew.stop()

    assert marked(str(tmp_path)) == []


def test_what_an_earlier_demo_left_is_cleared(crew: Crew, tmp_path: Path) -> None:
    left = subprocess.Popen([sys.executable, "-c", SLEEPER], env={**os.environ, MARK: str(tmp_path)})
    other = subprocess.Popen([sys.executable, "-c", SLEEPER], env={**os.environ, MARK: "elsewhere"})
    try:
        assert until(lambda: len(marked(str(tmp_path))) == 1)
        assert crew.clear_leftovers() == 1
        assert left.wait(5) is not None
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_crew_goes_down_with_a_killed_demo(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, time; from demo.crew import Crew;"
        f"crew = Crew(logs=pathlib.Path({str(tmp_path)!r}), environment=dict(os.environ), mark={str(tmp_path)!r});"
        f"crew.start('web', ['-c', {SLEEPER!r}]); print('up', flush=True); time.sleep(600)"
    )
    demo = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert demo.stdout is not None
    assert demo.stdout.readline() == b"up\n"
    assert len(marked(str(tmp_path))) == 1

    demo.kill()
    demo.communicate()

    assert until(lambda: marked(str(tmp_path)) == [])
