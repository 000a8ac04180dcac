"""Why a run failed: the innermost sentence, in alerts, commands and the UI; an interrupted run says that it was."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import polars as pl
import pytest

from usage_assets.core.months import Window
from usage_assets.orchestration.failed_runs import failures_of
from usage_assets.orchestration.run_faults import (
    INTERRUPTED,
    UNKNOWN,
    Failure,
    failures_in,
    messages_of,
    why,
    why_failed,
)
from usage_assets.orchestration.ui_metadata import readable_errors

WINDOW = Window("a", (date(2017, 3, 1),))
SECRET = "s3cret-word"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@dg.op(config_schema={"how": str})
def fails(context: dg.OpExecutionContext) -> None:
    how = context.op_config["how"]
    if how == "readable":
        with readable_errors(WINDOW, "reports"):
            pl.DataFrame({"t": [None]}).join(pl.DataFrame({"t": ["x"]}), on="t")
    if how == "said":
        raise dg.Failure(description="the source gave no answer", allow_retries=False) from KeyError("x")
    if how == "nested":
        try:
            msg = f"no answer from mysql://usage:{SECRET}@db/nova"
            raise ConnectionError(msg)
        except ConnectionError as error:
            msg = "the step could not go on"
            raise RuntimeError(msg) from error
    raise ValueError("two\nlines")


@dg.job
def job() -> None:
    fails()


def said(instance: dg.DagsterInstance, how: str) -> str:
    config = {"ops": {"fails": {"config": {"how": how}}}, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    (failure,) = failures_of(instance, run)
    assert failure.text == why_failed(instance, run)
    return failure.text


def test_an_error_that_nobody_expected_says_itself_and_not_what_dagster_wraps_around_it(instance: dg.DagsterInstance):
    assert said(instance, "plain") == "fails: ValueError: two lines"


def test_the_innermost_cause_is_said_without_passwords(instance: dg.DagsterInstance):
    text = said(instance, "nested")
    assert text == "fails: ConnectionError: no answer from mysql://usage:***@db/nova"


def test_what_a_step_says_of_its_failure_comes_before_its_cause(instance: dg.DagsterInstance):
    assert said(instance, "said") == "fails: the source gave no answer"


def test_a_fault_of_the_program_names_site_month_and_cause(instance: dg.DagsterInstance):
    text = said(instance, "readable")
    assert text.startswith("fails: site a 2017-03: reports: SchemaError: datatypes of join keys don't match")
    assert "report it" in text


def test_an_interrupted_run_says_that_it_was():
    chain = [
        "dagster._core.errors.DagsterExecutionStepExecutionError: Error occurred while executing op",
        "dagster._core.errors.DagsterExecutionInterruptedError",
    ]
    assert why(None, chain) == why("x", chain[1:]) == INTERRUPTED
    assert "run it again" in INTERRUPTED


def test_nothing_said_is_none():
    assert why(None, []) is None
    assert why("", [""]) is None


def test_messages_of_a_webserver_are_read_as_those_of_the_storage():
    told = {"message": "outer", "cause": {"message": "pkg.mod.InnerError: inner\n", "cause": None}}
    assert why(None, [*messages_of(told)]) == "InnerError: inner"
    assert [*messages_of(None)] == []


def test_a_run_without_any_event_of_failure_says_so(instance: dg.DagsterInstance):
    config = {"ops": {"fails": {"config": {"how": ""}}}}
    run = instance.create_run_for_job(job, run_config=config, status=dg.DagsterRunStatus.FAILURE)
    assert why_failed(instance, run) == UNKNOWN


FOUND = Failure("WARN", "Now 2 site-month(s) fail", "k/raw/x", "evidence", "a")


def test_a_check_that_fails_only_for_months_of_other_runs_is_no_failure_of_this_one():
    assert failures_in(FOUND, None, {"failing": []}) == []
    assert failures_in(FOUND, None, {"failing": "[]", "failing_months": 2}) == []


def test_each_month_that_a_run_found_is_a_failure_with_its_own_text_and_figures():
    metadata = {"failing": [{"month": "2020-01", "text": "gone"}], "figures": [{"month": "2020-01", "rows_gone": 3}]}
    (one,) = failures_in(FOUND, None, metadata)
    assert (one.site, one.month, one.text, one.sample) == ("a", "2020-01", "gone", "rows_gone 3")
    (other,) = failures_in(FOUND, None, {"failing": [{"site": "b", "month": "2020-02"}]})
    assert (other.site, other.month, other.text) == ("b", "2020-02", FOUND.text)


def test_an_evaluation_of_a_month_or_without_a_list_is_one_failure():
    (one,) = failures_in(FOUND, "2020-03-01|b", {"rows": 2})
    assert (one.site, one.month, one.sample) == ("b", "2020-03", "rows 2")
    (one,) = failures_in(FOUND, None, {})
    assert (one.site, one.month, one.text) == ("a", "", FOUND.text)
