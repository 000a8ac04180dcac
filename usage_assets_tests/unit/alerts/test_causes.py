"""When two findings say the same, and what is told of each month."""

import dagster as dg
import pytest

from usage_assets.alerts.causes import Cause, Trouble, masked, sentence
from usage_assets_tests.unit.alerts.conftest import Receiver, World


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 row(s) gone", "17 row(s) gone"),
        ("off by 1.5e-07 hours", "off by 3,201.25 hours"),
        ("read at 2026-10-01 02:15:00.123 UTC", "read at 2026-11-30T03:15:00+00:00"),
        ("run 0f8fad5b-d9cb-469f-a165-70867728950e", "run 7c9e6679-7425-40de-944b-e07fc1f90ae7"),
        ("lease 8a1bc03 overlaps", "lease 99ffab1 overlaps"),
        ("two\n  lines", "two lines"),
    ],
)
def test_numbers_instants_hashes_and_runs_make_no_other_sentence(one: str, other: str):
    assert masked(one) == masked(other)


@pytest.mark.parametrize(("one", "other"), [("rows gone", "rows doubled"), ("gpu_v100 is down", "gpu_a100 is down")])
def test_other_words_make_another_sentence(one: str, other: str):
    assert masked(one) != masked(other)


def test_a_warning_that_became_an_error_is_another_finding():
    cause = Cause("a", "k/raw/thing", "holds", "2020-01")
    assert Trouble(cause, "WARN", "x").fingerprint != Trouble(cause, "ERROR", "x").fingerprint


def test_text_of_a_database_becomes_one_bounded_line_without_control_characters():
    hostile = "a\r\nSubject: b\x00\x1b[31m\u202egnol\u2028" + "x " * 5000
    line = sentence(hostile)
    assert line.startswith("a Subject: b\\x00\\x1b[31m\\u202egnol x")
    assert 390 < len(line) <= 400


def test_each_failing_month_is_told_once(world: World, hook: Receiver):
    world.run("2020-01", "2020-02")
    world.tick()
    world.run("2020-01", "2020-02", text="too few rows")
    world.tick()
    assert hook.subjects == ["usage_assets: 1 error (a)"]
    assert hook.bodies[0]["groups"][0]["checks"][0]["months"] == "2020-01..2020-02"


def test_a_month_that_fails_newly_is_told_without_those_that_go_on(world: World, hook: Receiver):
    world.run("2020-01")
    world.tick()
    world.run("2020-01", "2020-03")
    world.tick()
    assert hook.bodies[1]["groups"][0]["checks"][0]["months"] == "2020-03"


def test_a_check_that_says_something_else_is_told_again(world: World, hook: Receiver):
    world.run("2020-01", text="5 rows gone")
    world.tick()
    world.run("2020-01", text="6 rows gone")
    world.tick()
    world.run("2020-01", text="the column is missing")
    world.tick()
    sentences = [body["groups"][0]["checks"][0]["sentences"] for body in hook.bodies]
    assert sentences == [["5 rows gone"], ["the column is missing"]]


def test_a_warning_that_becomes_an_error_is_told_again(world: World, hook: Receiver):
    world.run("2020-01", severity="WARN")
    world.tick()
    world.run("2020-01")
    world.tick()
    assert hook.subjects == ["usage_assets: 1 warning (a)", "usage_assets: 1 error (a)"]


def test_a_check_that_holds_again_is_told_for_the_months_that_were_looked_at(world: World, hook: Receiver):
    world.run("2020-01", "2020-02")
    world.tick()
    world.run(first="2020-02", last="2020-03")
    world.tick()
    told = hook.bodies[1]["groups"][0]
    assert (told["severity"], told["checks"][0]["months"], told["checks"][0]["was"]) == (
        "RECOVERED",
        "2020-02",
        "ERROR",
    )
    world.run()
    world.tick()
    assert hook.bodies[2]["groups"][0]["checks"][0]["months"] == "2020-01"


def test_a_check_of_another_site_recovers_nothing(world: World, hook: Receiver):
    world.run("2020-01")
    world.tick()
    world.run(site="b")
    world.tick()
    assert len(hook.bodies) == 1


def test_what_failed_and_held_again_before_a_tick_is_not_told(world: World, hook: Receiver):
    world.run("2020-01", raises="")
    world.run()
    world.tick()
    assert hook.bodies == []


def test_a_failed_run_is_told_for_its_months_and_recovers_when_a_run_covers_them(world: World, hook: Receiver):
    world.run(raises="the source gave no answer")
    world.tick()
    told = hook.bodies[0]["groups"][0]["checks"][0]
    assert (told["check"], told["months"]) == ("run", "2020-01..2020-03")
    assert told["sentences"] == ["2020-01: k__raw__thing: the source gave no answer"]
    world.run(first="2020-02", last="2020-03")
    world.tick()
    world.run(raises="the source gave no answer", first="2020-01", last="2020-01")
    world.tick()
    assert [body["groups"][0]["severity"] for body in hook.bodies] == ["ERROR", "RECOVERED"]
    assert hook.bodies[1]["groups"][0]["checks"][0]["months"] == "2020-02..2020-03"


def test_a_canceled_run_is_no_failure(world: World, hook: Receiver):
    run = world.instance.get_run_by_id(world.run(raises="stopped"))
    assert run is not None
    world.instance.report_run_canceled(run)
    world.tick()
    assert hook.bodies == []


COVERAGE = dg.AssetKey(["usage", "reports", "coverage"])


@dg.asset(
    key=COVERAGE, check_specs=[dg.AssetCheckSpec("complete", asset=COVERAGE)], config_schema={"failing": dg.Array(dict)}
)
def coverage(context: dg.AssetExecutionContext):
    failing = context.op_execution_context.op_config["failing"]
    yield dg.MaterializeResult()
    yield dg.AssetCheckResult(
        check_name="complete",
        passed=not failing,
        description=f"{len(failing)} site-months are missing",
        metadata={"failing": dg.MetadataValue.json(failing)},
    )


def cover(world: World, *failing: tuple[str, str]) -> None:
    entries = [{"site": site, "month": month, "text": f"missing at {site}"} for site, month in failing]
    config = {"ops": {"usage__reports__coverage": {"config": {"failing": entries}}}}
    dg.materialize([coverage], instance=world.instance, run_config=config)
    world.tick()


def test_a_check_of_all_sites_is_told_for_each_site_by_itself(world: World, hook: Receiver):
    cover(world, ("a", "2020-01"), ("b", "2020-01"))
    cover(world, ("b", "2020-01"))
    told = [[(group["severity"], group["site"]) for group in body["groups"]] for body in hook.bodies]
    assert told == [[("ERROR", "a"), ("ERROR", "b")], [("RECOVERED", "a")]]
    assert hook.bodies[0]["groups"][1]["checks"][0]["sentences"] == ["missing at b"]


def test_a_site_whose_file_broke_has_not_recovered_because_nobody_looks_at_it(world: World, hook: Receiver):
    cover(world, ("a", "2020-01"))
    world.faults = {"a": "a.yaml:1: is not YAML"}
    cover(world)
    world.faults = {}
    cover(world)
    told = [[(group["severity"], group["asset"]) for group in body["groups"]] for body in hook.bodies[1:]]
    assert told == [
        [("ERROR", "site file a.yaml")],
        [("RECOVERED", "site file a.yaml"), ("RECOVERED", "usage/reports/coverage")],
    ]
