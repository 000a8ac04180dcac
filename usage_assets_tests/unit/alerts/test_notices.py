"""What checks want told once is told once, each by itself, however often it is found again."""

from datetime import date, timedelta

import dagster as dg

from usage_assets.orchestration.finding_metadata import of_run
from usage_assets.specs.finding import GOOD, Finding
from usage_assets_tests.unit.alerts.conftest import Receiver, World

FIRST, SECOND = "Ann has spent 80 % of her limit of March", "Ann has spent 100 % of her limit of March"


def sentences(hook: Receiver) -> list[str]:
    return [
        sentence
        for body in hook.bodies
        for group in body["groups"]
        for check in group["checks"]
        for sentence in check["sentences"]
    ]


def test_notices_that_differ_in_a_number_only_are_told_each(world: World, hook: Receiver):
    world.run(notices={"a1": FIRST, "b2": SECOND})
    world.tick()
    assert sorted(sentences(hook)) == [SECOND, FIRST]
    assert hook.subjects == ["usage_assets: 2 warnings (a)"]


def test_a_notice_is_told_once_however_often_it_is_found(world: World, hook: Receiver):
    for number in range(3):
        world.run(notices={"a1": FIRST})
        world.tick(timedelta(minutes=number))
    world.run(notices={"a1": FIRST, "b2": SECOND})
    world.tick(timedelta(minutes=5))
    assert sentences(hook) == [FIRST, SECOND]


def test_a_notice_is_shown_with_its_check_and_without_its_id(world: World, hook: Receiver):
    world.run(notices={"a1b2c3": FIRST})
    world.tick()
    assert "  holds: 2020-01\n" in hook.bodies[0]["text"]
    assert "a1b2c3" not in hook.bodies[0]["text"]


def test_a_check_that_holds_again_takes_back_no_notice(world: World, hook: Receiver):
    world.run(notices={"a1": FIRST})
    world.run()
    world.tick()
    assert sentences(hook) == [FIRST]


def test_a_run_says_the_notices_of_its_months_whether_they_pass_or_not():
    months = date(2020, 1, 1), date(2020, 2, 1)
    found = {months[1]: Finding(False, "bad", notices={"b": "two"}), months[0]: Finding(True, "", notices={"a": "one"})}
    told = of_run(found)["notices"]
    assert isinstance(told, dg.JsonMetadataValue)
    assert told.value == [
        {"month": "2020-01", "id": "a", "text": "one"},
        {"month": "2020-02", "id": "b", "text": "two"},
    ]
    assert "notices" not in of_run({months[0]: GOOD})
