"""Real processes: one that ends by itself is named, and none outlives the demo."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from demo.processes import MARK, DemoError, ProcessGroup

SLEEPS = "import time; time.sleep(600)"
PARENT = (
    f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEPS!r}]); print('up'); time.sleep(600)"
)
IGNORES_SIGTERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[ProcessGroup]:
    made = ProcessGroup(logs=tmp_path / "log", environment=dict(os.environ), mark=str(tmp_path))
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


def test_a_process_that_ends_is_named_with_its_last_lines(processes: ProcessGroup) -> None:
    started = processes.start("worker", ["-c", "import sys; print('no broker'); sys.exit(3)"])
    started.process.wait()

    with pytest.raises(
        DemoError, match=r"worker ended by itself \(exit 3\)\. Its last lines .*worker\.log\):\n    no broker"
    ):
        processes.check()


def test_a_killed_process_is_named_with_its_signal(processes: ProcessGroup) -> None:
    started = processes.start("web", ["-c", SLEEPS])
    started.process.kill()
    started.process.wait()

    with pytest.raises(DemoError, match=r"web ended by itself \(SIGKILL\)"):
        processes.check()


def test_a_command_that_fails_is_named(processes: ProcessGroup) -> None:
    with pytest.raises(DemoError, match=r"migrate failed \(exit 1\).*\n    .*boom"):
        processes.run("migrate", ["-c", "raise SystemExit('boom')"])


def test_stopping_ends_child_processes_too(processes: ProcessGroup, tmp_path: Path) -> None:
    started = processes.start("web", ["-c", PARENT])
    assert until(lambda: "up" in started.log.read_text())
    assert until(lambda: len(marked(str(tmp_path))) == 2)

    processes.stop()

    assert until(lambda: marked(str(tmp_path)) == [])


def test_a_process_that_ignores_sigterm_is_killed(
    processes: ProcessGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.processes.STOP_SECONDS", 0.2)
    started = processes.start("web", ["-c", IGNORES_SIGTERM])
    assert until(lambda: "up" in started.log.read_text())

    processes.stop()

    assert marked(str(tmp_path)) == []


def test_what_an_earlier_demo_left_is_killed(processes: ProcessGroup, tmp_path: Path) -> None:
    left = subprocess.Popen([sys.executable, "-c", SLEEPS], env={**os.environ, MARK: str(tmp_path)})
    other = subprocess.Popen([sys.executable, "-c", SLEEPS], env={**os.environ, MARK: "elsewhere"})
    try:
        assert until(lambda: len(marked(str(tmp_path))) == 1)
        assert processes.clear_leftovers() == 1
        assert left.wait(5) is not None
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_processes_end_with_a_killed_demo(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, time; from demo.processes import ProcessGroup;"
        f"var = {str(tmp_path)!r}; logs = pathlib.Path(var);"
        "processes = ProcessGroup(logs=logs, environment=dict(os.environ), mark=var);"
        f"processes.start('web', ['-c', {SLEEPS!r}]); print('up', flush=True); time.sleep(600)"
    )
    demo = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert demo.stdout is not None
    assert demo.stdout.readline() == b"up\n"
    assert len(marked(str(tmp_path))) == 1

    demo.kill()
    demo.communicate()

    assert until(lambda: marked(str(tmp_path)) == [])
