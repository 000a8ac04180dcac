"""The tracker never blocks or fails its caller; its files hold whole events, whatever happens to the disk."""

import ast
import errno
import logging
import os
import sys
import threading
import time
import timeit
from datetime import UTC, datetime
from pathlib import Path

import pytest

import usage_assets.track
from usage_assets.track import Tracker
from usage_assets.track.files import LineFiles
from usage_assets_tests.unit.track.written import numbers, rows, until


class _Full:
    """A disk that takes `bytes_left` more bytes, in place of os.write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bytes_left: int = 0) -> None:
        self.bytes_left = bytes_left
        self._write = os.write
        monkeypatch.setattr("usage_assets.track.files.os.write", self)

    def __call__(self, handle: int, data: bytes) -> int:
        taken = data[: self.bytes_left]
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.bytes_left -= len(taken)
        return self._write(handle, taken)


def test_modules_import_the_standard_library_and_each_other_only():
    names = set()
    for path in Path(usage_assets.track.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(str(node.module).split(".")[0])
    assert names <= sys.stdlib_module_names


def test_events_are_written_by_themselves_in_their_order(tmp_path: Path):
    tracker = Tracker(tmp_path / "a" / "b", flush_seconds=0.01)
    for number in range(1000):
        tracker.event("complete", input_tokens=number)
    until(lambda: tracker.queued == 0)
    assert numbers(tmp_path / "a" / "b") == list(range(1000))
    tracker.close()


def test_an_event_has_the_time_it_is_given_or_that_of_its_call(tmp_path: Path):
    tracker = Tracker(tmp_path)
    before = datetime.now(UTC)
    tracker.event("complete")
    tracker.event("complete", ts=datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC))
    tracker.event("complete", ts=datetime.max.replace(tzinfo=UTC))
    tracker.event("complete", ts="yesterday")  # type: ignore[arg-type]
    tracker.close()
    times = [row["ts"] for row in rows(tmp_path)]
    assert before <= datetime.fromisoformat(times[0]) <= datetime.now(UTC)
    assert times[1] == "2024-02-29T23:59:59.999999Z"
    assert times[2] == "9999-12-31T23:59:59.999999Z"
    assert datetime.fromisoformat(times[3]) >= before


def test_a_tracker_without_events_makes_no_file_and_no_thread(tmp_path: Path):
    threads = threading.active_count()
    tracker = Tracker(tmp_path / "events")
    assert threading.active_count() == threads
    tracker.close()
    assert not (tmp_path / "events").exists()


def test_a_full_queue_drops_new_events_and_says_so_once_it_has_room(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    tracker = Tracker(tmp_path, queue_size=10, flush_seconds=60)
    tracker._wake_at = 99  # the thread sleeps
    with caplog.at_level(logging.WARNING, "usage_assets.track"):
        for number in range(25):
            tracker.event("complete", input_tokens=number)
    assert (tracker.dropped, tracker.queued) == (15, 10)
    assert len(caplog.records) == 1
    tracker.event("complete", input_tokens=99)
    assert tracker.flush()
    tracker.event("complete", input_tokens=100)
    tracker.close()
    assert numbers(tmp_path) == [*range(10), 100]
    (note,) = (tmp_path / "dropped.log").read_text().splitlines()
    assert note.endswith(f" {os.getpid()} 16 events were dropped, 16 since the process began")


def test_a_queue_half_full_is_written_before_its_time(tmp_path: Path):
    tracker = Tracker(tmp_path, queue_size=100, flush_seconds=60)
    for number in range(52):
        tracker.event("complete", input_tokens=number)
    until(lambda: tracker.queued == 0)
    assert numbers(tmp_path)[:51] == list(range(51))
    tracker.close()


def test_a_full_disk_keeps_whole_lines_and_events_wait_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    disk = _Full(monkeypatch, bytes_left=1_000_000)
    tracker = Tracker(tmp_path, flush_seconds=60)
    tracker.event("complete", input_tokens=0)
    assert tracker.flush()
    disk.bytes_left = 50  # half a line
    for number in range(1, 5):
        tracker.event("complete", input_tokens=number)
    with caplog.at_level(logging.WARNING, "usage_assets.track"):
        assert not tracker.flush()
        assert numbers(tmp_path) == [0]
        assert not tracker.flush()
    assert [record.message for record in caplog.records] == [
        "usage events wait in memory: the disk took a part of the lines only"
    ]
    disk.bytes_left = 1_000_000
    assert tracker.flush()
    assert (numbers(tmp_path), tracker.dropped) == ([0, 1, 2, 3, 4], 0)
    assert len({row["event_id"] for row in rows(tmp_path)}) == 5
    tracker.close()


def test_events_that_a_full_disk_can_not_take_at_the_end_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tracker = Tracker(tmp_path, flush_seconds=60)
    tracker.event("complete", input_tokens=1)
    _Full(monkeypatch)
    tracker.close()
    tracker.event("complete", input_tokens=2)
    assert tracker.dropped == 2
    assert rows(tmp_path) == []


@pytest.mark.parametrize("place", ["a file", "in a file", "no folder"])
def test_a_folder_that_can_not_be_written_fails_nobody(tmp_path: Path, place: str):
    (tmp_path / "file").write_text("")
    folders = {"a file": tmp_path / "file", "in a file": tmp_path / "file" / "events", "no folder": None}
    tracker = Tracker(folders[place], flush_seconds=0.01)
    with tracker.request("small") as call:
        call.input_tokens = 1
    assert not tracker.flush()
    tracker.close()
    assert tracker.dropped == 1


def test_a_relative_folder_stays_where_it_was_when_the_program_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    tracker = Tracker("events", flush_seconds=60)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    tracker.event("complete", input_tokens=1)
    tracker.close()
    assert numbers(tmp_path / "events") == [1]


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path):
    tracker = Tracker(tmp_path / "events", flush_seconds=60)
    tracker.event("complete", input_tokens=1)
    assert tracker.flush()
    for path in (tmp_path / "events").iterdir():
        path.unlink()
    (tmp_path / "events").rmdir()
    tracker.event("complete", input_tokens=2)
    assert tracker.flush()
    assert numbers(tmp_path / "events") == [2]
    tracker.close()


def test_a_file_that_is_full_is_followed_by_one_with_a_later_name(tmp_path: Path):
    files = LineFiles(tmp_path, max_bytes=10, max_seconds=3600)
    for lines in (b"0___\n", b"1___\n", b"2___\n", b"longer than a file may be\n", b"3\n"):
        files.append(lines)
    files.close()
    texts = [path.read_text() for path in sorted(tmp_path.glob("*.jsonl"))]
    assert texts == ["0___\n1___\n", "2___\n", "longer than a file may be\n", "3\n"]


def test_a_file_that_is_old_is_followed_by_one_with_a_later_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = [0]
    monkeypatch.setattr("usage_assets.track.files.time.monotonic", lambda: now[0])
    files = LineFiles(tmp_path, max_bytes=1000, max_seconds=3600)
    for second in (0, 3599, 3600, 7199, 7200):
        now[0] = second
        files.append(b"%d\n" % second)
    files.close()
    texts = [path.read_text() for path in sorted(tmp_path.glob("*.jsonl"))]
    assert texts == ["0\n3599\n", "3600\n7199\n", "7200\n"]


def test_half_a_line_of_a_killed_process_is_cut_off_but_not_of_a_living_one(tmp_path: Path):
    living = Tracker(tmp_path, flush_seconds=60)
    living.event("complete", input_tokens=1)
    assert living.flush()
    (open_file,) = tmp_path.glob("*.jsonl")
    with open_file.open("a") as handle:
        handle.write("half a line of a living process")
    killed = tmp_path / "20250101T000000000000Z-host-1.jsonl"
    only_half = tmp_path / "20250101T000000000000Z-host-2.jsonl"
    foreign = tmp_path / "events.jsonl"
    killed.write_text('{"a":1}\n{"b":')
    only_half.write_text('{"b":')
    foreign.write_text('{"a":1}')
    started = Tracker(tmp_path, flush_seconds=60)
    started.event("complete")
    started.close()
    assert [path.read_text() for path in (killed, only_half, foreign)] == ['{"a":1}\n', "", '{"a":1}']
    assert open_file.read_text().endswith("half a line of a living process")
    living.close()


def test_closing_does_not_wait_longer_than_it_may_for_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    released = threading.Event()

    def hang(handle: int, data: bytes) -> int:
        released.wait(60)
        return len(data)

    monkeypatch.setattr("usage_assets.track.files.os.write", hang)
    tracker = Tracker(tmp_path, flush_seconds=0.001, close_seconds=0.1)
    tracker.event("complete")
    until(tracker._writing.locked)
    began = time.monotonic()
    tracker.event("complete")
    tracker.close()
    assert time.monotonic() - began < 5
    released.set()


def test_an_event_costs_its_caller_microseconds(tmp_path: Path):
    tracker = Tracker(tmp_path, flush_seconds=60)

    def tracked_request() -> None:
        with tracker.request("small", "alice") as call:
            call.input_tokens, call.output_tokens = 12, 30

    seconds = min(timeit.repeat(tracked_request, number=2000, repeat=5)) / 2000
    assert seconds < 20e-6  # about 2 us on a quiet machine; the tests' one is not
    tracker.close()
    assert tracker.dropped == 0


def test_threads_lose_nothing(tmp_path: Path):
    tracker = Tracker(tmp_path, flush_seconds=0.001)

    def work() -> None:
        for number in range(1000):
            tracker.event("complete", input_tokens=number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tracker.close()
    assert sorted(numbers(tmp_path)) == sorted(4 * [*range(1000)])
