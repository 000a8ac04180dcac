"""What is recorded of a request: by the context manager and by the decorator, sync and async."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from usage_assets import track
from usage_assets.track import Tracker
from usage_assets.track.lines import COLUMNS

_TIMES = ("event_id", "ts", "duration_s", "queue_s", "first_output_s")


def written(tracker: Tracker, folder: Path) -> list[dict[str, Any]]:
    """The events in the files of a folder, in their order, after everything queued was written."""
    assert tracker.flush()
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events without what differs from run to run."""
    return [{name: value for name, value in row.items() if name not in _TIMES} for row in rows]


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Tracker]:
    made = Tracker(tmp_path, provider="own", flush_seconds=60)
    yield made
    made.close()


def test_a_request_is_one_complete_event_with_what_was_set(tracker: Tracker, tmp_path: Path):
    with tracker.request("small", "alice", team="physics", session="s1", parameters={"top_p": 0.5}) as call:
        call.input_tokens, call.output_tokens = 12, 30
        call.cost, call.currency = Decimal("0.000000123456"), "USD"
        call.meter("images", 2)
        call.meter("audio_seconds", 1.5)
    rows = written(tracker, tmp_path)
    assert without_times(rows) == [
        {
            "event_type": "complete", "model_id": "small", "user_id": "alice", "team_id": "physics",
            "session_id": "s1", "provider": "own", "input_tokens": 12, "output_tokens": 30,
            "cost": "0.000000123456", "currency": "USD", "meters": {"images": 2, "audio_seconds": 1.5},
            "success": True, "parameters": {"top_p": 0.5},
        }
    ]  # fmt: skip
    assert 0 <= rows[0]["duration_s"] < 60
    assert rows[0].keys() <= COLUMNS


def test_the_event_of_a_request_has_the_time_of_its_begin(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("usage_assets.track.calls.time.time_ns", iter([1_764_331_200_123_456_789]).__next__)
    monkeypatch.setattr("usage_assets.track.calls.time.perf_counter", iter([10.0, 12.0, 12.5, 15.25]).__next__)
    with tracker.request("small") as call:
        call.started()  # at 12.0
        call.first_output()  # at 12.5
        call.first_output()
    (row,) = written(tracker, tmp_path)
    assert (row["ts"], row["queue_s"], row["first_output_s"], row["duration_s"]) == (
        "2025-11-28T12:00:00.123456Z",
        2.0,
        0.5,
        3.25,
    )


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("a secret prompt"), "failed"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(3), "cancelled"),
    ],
)
def test_an_exception_is_recorded_by_its_class_and_goes_on(
    tracker: Tracker, tmp_path: Path, error: BaseException, outcome: str
):
    with pytest.raises(type(error)) as caught, tracker.request("small", "alice"):
        raise error
    assert caught.value is error
    assert without_times(written(tracker, tmp_path)) == [
        {
            "event_type": outcome,
            "model_id": "small",
            "user_id": "alice",
            "provider": "own",
            "error": type(error).__name__,
        }
    ]


def test_a_request_fails_or_is_cancelled_without_an_exception(tracker: Tracker, tmp_path: Path):
    with tracker.request("small") as call:
        call.fail("out_of_memory")
    with tracker.request("small") as call:
        call.cancel()
    rows = written(tracker, tmp_path)
    assert [(row["event_type"], row.get("error"), row.get("success")) for row in rows] == [
        ("failed", "out_of_memory", None),
        ("cancelled", None, None),
    ]


def test_stages_are_events_of_one_request_whose_outcome_has_the_time_of_its_end(tracker: Tracker, tmp_path: Path):
    with tracker.request("small", "alice", stages=True) as call:
        call.started()
    rows = written(tracker, tmp_path)
    assert [row["event_type"] for row in rows] == ["request", "start", "complete"]
    assert [row["ts"] for row in rows] == sorted(row["ts"] for row in rows)
    assert len({row["request_id"] for row in rows}) == 1
    assert len({row["event_id"] for row in rows}) == 3


def test_a_request_without_stages_has_no_id_but_its_events(tracker: Tracker, tmp_path: Path):
    with tracker.request("small"), tracker.request("small", request_id="r1"):
        pass
    assert [row.get("request_id") for row in written(tracker, tmp_path)] == ["r1", None]


def test_a_prompt_is_kept_as_its_hash_only(tracker: Tracker, tmp_path: Path):
    with tracker.request("small", parameters={"prompt": "a secret", "messages": ["a secret"], "seed": 1}) as call:
        call.hash_prompt("abc")
    (row,) = written(tracker, tmp_path)
    assert row["parameters"] == {"seed": 1}
    assert row["prompt_hash"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_key_makes_another_hash_of_a_prompt():
    known = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"  # an example of HMAC-SHA-256
    assert track.prompt_hash("The quick brown fox jumps over the lazy dog", key="key") == known
    assert track.prompt_hash("\ud800") != track.prompt_hash("")


def test_an_async_request_is_recorded_and_cancelled(tracker: Tracker, tmp_path: Path):
    async def ask(seconds: float) -> None:
        async with tracker.request("small") as call:
            await asyncio.sleep(seconds)
            call.output_tokens = 1

    async def both() -> None:
        await ask(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(60), 0.01)

    asyncio.run(both())
    rows = written(tracker, tmp_path)
    assert [(row["event_type"], row.get("output_tokens")) for row in rows] == [("complete", 1), ("cancelled", None)]


def test_a_decorated_function_is_recorded_with_its_arguments_only_where_asked(tracker: Tracker, tmp_path: Path):
    @tracker.tracked(
        model="small",
        user=lambda prompt, who: who,
        measure=lambda call, answer: setattr(call, "output_tokens", len(answer)),
    )
    def generate(prompt: str, who: str) -> str:
        """Make an answer."""
        return prompt[::-1]

    assert generate("abc", who="alice") == "cba"
    assert (generate.__name__, generate.__doc__) == ("generate", "Make an answer.")
    assert without_times(written(tracker, tmp_path)) == [
        {
            "event_type": "complete", "model_id": "small", "user_id": "alice", "provider": "own",
            "output_tokens": 3, "success": True,
        }
    ]  # fmt: skip


def test_a_decorated_coroutine_fails_as_it_would_without(tracker: Tracker, tmp_path: Path):
    @tracker.tracked(model="small")
    async def generate() -> str:
        raise ConnectionError

    assert asyncio.iscoroutinefunction(generate)
    with pytest.raises(ConnectionError):
        asyncio.run(generate())
    assert [row["error"] for row in written(tracker, tmp_path)] == ["ConnectionError"]


def test_a_generator_is_one_request_from_its_first_item_to_its_last(tracker: Tracker, tmp_path: Path):
    @tracker.tracked(model="small")
    def stream(items: int) -> Iterator[int]:
        yield from range(items)

    @tracker.tracked(model="large")
    async def async_stream(items: int) -> AsyncIterator[int]:
        for item in range(items):
            yield item

    async def collect() -> list[int]:
        return [item async for item in async_stream(3)]

    assert list(stream(2)) == [0, 1]
    assert asyncio.run(collect()) == [0, 1, 2]
    abandoned = stream(2)
    next(abandoned)
    abandoned.close()  # type: ignore[attr-defined]
    rows = written(tracker, tmp_path)
    assert [(row["model_id"], row["event_type"]) for row in rows] == [
        ("small", "complete"),
        ("large", "complete"),
        ("small", "cancelled"),
    ]
    assert all(row["first_output_s"] <= row["duration_s"] for row in rows)


def test_what_a_decorator_can_not_find_out_fails_nobody(
    tracker: Tracker, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    @tracker.tracked(model="small", user=lambda: 1 / 0, measure=lambda call, answer: answer.tokens)
    def generate() -> str:
        return "answer"

    with caplog.at_level(logging.CRITICAL + 1, "usage_assets.track"):
        assert generate() == "answer"
    assert without_times(written(tracker, tmp_path)) == [
        {"event_type": "complete", "model_id": "small", "provider": "own", "success": True}
    ]


def test_a_misspelt_field_is_refused_where_a_function_is_decorated(tracker: Tracker):
    with pytest.raises(TypeError, match="modell; there are measure, model,"):
        tracker.tracked(modell="small")


def test_the_functions_of_the_module_use_the_configured_folder(tmp_path: Path):
    @track.tracked(model="decorated before")
    def generate() -> None: ...

    track.configure(tmp_path, model_id="default")
    try:
        generate()
        with track.request("small"):
            pass
        track.event("model_load")
        rows = written(track.tracker(), tmp_path)
    finally:
        track.configure(None)
    assert [(row["event_type"], row["model_id"]) for row in rows] == [
        ("complete", "decorated before"),
        ("complete", "small"),
        ("model_load", "default"),
    ]
    track.event("health_check")
    assert track.tracker().dropped == 1
