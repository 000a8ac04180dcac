"""Processes that write to one folder, that fork, end or are killed: whole lines, and every event that could be."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from usage_assets.track import Tracker
from usage_assets_tests.unit.track.written import command, environment, numbers, rows, run, until


def test_several_processes_write_to_one_folder(tmp_path: Path):
    program = "for number in range(2000): tracker.event('complete', input_tokens=number)"
    ended = [subprocess.Popen(command(tmp_path, program), env=environment()) for _ in range(3)]
    assert [process.wait(60) for process in ended] == [0, 0, 0]
    assert sorted(numbers(tmp_path)) == sorted(3 * [*range(2000)])
    assert len({row["event_id"] for row in rows(tmp_path)}) == 6000
    assert len(list(tmp_path.glob("*.jsonl"))) == 3


@pytest.mark.parametrize(
    "end",
    [
        "",
        "raise SystemExit(1)",
        "1 / 0",
        "import threading; threading.Thread(target=tracker.event, args=['health_check']).start()",
    ],
)
def test_what_is_queued_is_written_at_exit(tmp_path: Path, end: str):
    run(tmp_path, f"tracker.event('complete', input_tokens=1)\n{end}", timeout=60)
    assert [row["event_type"] for row in rows(tmp_path)][:1] == ["complete"]


def test_a_forked_process_writes_its_own_events_to_its_own_file(tmp_path: Path):
    program = """
        import os, sys
        tracker.event('complete', input_tokens=1)
        tracker.flush()
        tracker.event('complete', input_tokens=2)
        child = os.fork()
        tracker.event('complete', input_tokens=3 if child else 4)
        if child:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert run(tmp_path, program, timeout=60).returncode == 0
    assert sorted(numbers(tmp_path)) == [1, 2, 3, 4]
    assert len({row["event_id"] for row in rows(tmp_path)}) == 4
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_multiprocessing_write_before_they_end(tmp_path: Path, method: str):
    program = f"""
        import multiprocessing

        def work(number):
            own = tracker if {method == "fork"} else Tracker({str(tmp_path)!r}, flush_seconds=60)
            own.event('complete', input_tokens=number)

        if __name__ == '__main__':
            context = multiprocessing.get_context({method!r})
            workers = [context.Process(target=work, args=[number]) for number in range(3)]
            for worker in workers: worker.start()
            for worker in workers: worker.join()
    """
    path = tmp_path / "program.py"
    path.write_text(command(tmp_path, program)[2])
    subprocess.run([sys.executable, path], check=True, timeout=60, env=environment())
    assert sorted(numbers(tmp_path)) == [0, 1, 2]


def test_a_killed_process_leaves_whole_lines(tmp_path: Path):
    program = """
        tracker.close()
        tracker = Tracker(tracker._files.folder, flush_seconds=0.001)
        while True: tracker.event('complete', user_id=300 * 'x')
    """
    for _ in range(3):
        process = subprocess.Popen(command(tmp_path, program), env=environment())
        until(lambda: sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) > 1_000_000)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        with_start = Tracker(tmp_path)
        with_start.event("health_check")  # the next start cuts off half a line, if there is one
        with_start.close()
        assert {row["event_type"] for row in rows(tmp_path)} == {"complete", "health_check"}
        for path in tmp_path.glob("*.jsonl"):
            path.unlink()


def test_a_call_that_a_signal_interrupts_may_be_tracked_by_its_handler(tmp_path: Path):
    program = """
        import signal
        signal.signal(signal.SIGALRM, lambda *_: tracker.event('cancelled', input_tokens=0))
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for number in range(100_000): tracker.event('complete', input_tokens=1)
        signal.setitimer(signal.ITIMER_REAL, 0)
    """
    assert run(tmp_path, program, timeout=60).returncode == 0
    assert {row["event_type"] for row in rows(tmp_path)} == {"complete", "cancelled"}
