"""What checks say: months that fail are always named; one evaluation keeps its partition."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import dagster as dg

from usage_assets.checks.readiness import contract, coverage, expected
from usage_assets.core.months import Window
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.orchestration.finding_metadata import description, of_run
from usage_assets.orchestration.monthly_checks import targets
from usage_assets.schema.contract import Violation
from usage_assets.specs.finding import GOOD, Finding
from usage_assets.warehouse import Reader, Warehouse
from usage_assets.warehouse.readiness import GATED

JAN, FEB, MAR = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1)
WINDOW = Window("a", (JAN, FEB, MAR))
KEY = dg.AssetKey(["k", "facts", "total"])


def site(**more) -> OpenStackSite:
    return OpenStackSite.model_validate(
        {"kind": "openstack", "key": "a", "name": "A", "databases": {"nova": "sqlite://"}, **more}
    )


def test_the_table_of_a_run_has_a_line_per_failing_month_and_is_bounded():
    months = {date(2000 + n // 12, n % 12 + 1, 1): Finding(False, f"{n} " + "x" * 5000) for n in range(200)}
    shown = of_run(months)["this_run"]
    assert isinstance(shown, dg.TableMetadataValue)
    assert [row.data["month"] for row in shown.records][:2] == ["2000-01", "2000-02"]
    assert len(shown.records) == 24
    assert sum(len(str(row.data["found"])) for row in shown.records) < 40_000
    assert "this_run" not in of_run({JAN: GOOD})


def test_what_a_database_says_moves_no_cursor_in_a_table():
    shown = of_run({JAN: Finding(False, "name \x1b[31mred\u202e")})["this_run"]
    assert isinstance(shown, dg.TableMetadataValue)
    assert shown.records[0].data["found"] == "name \\x1b[31mred\\u202e"


def test_a_description_names_site_and_month():
    assert description("a", FEB, Finding(False, "too few")) == "site a 2020-02: too few"
    assert description("a", FEB, GOOD) is None
    assert description("a", FEB, GOOD, "Now 2 fail") == "site a 2020-02: holds\n\nNow 2 fail"


ASSET = "k/facts/total"


@contextmanager
def recorded(folder: Path, months: Sequence[date] = (), refused: Mapping[date, str] | None = None) -> Iterator[Reader]:
    """A warehouse in which the asset was built of these months, or refused with a reason."""
    warehouse = Warehouse(folder / "warehouse.duckdb")
    with warehouse.write("test") as writer:
        broken = {month: [Violation(month, reason, 0)] for month, reason in (refused or {}).items()}
        writer.record_readiness(ASSET, "a", months, broken, "r")
    with warehouse.read() as reader:
        yield reader


def test_a_refused_month_breaks_the_contract_and_one_that_waits_does_not(tmp_path: Path):
    with recorded(tmp_path, (JAN, FEB, MAR), {JAN: "unique key broken", FEB: GATED + "raw was refused"}) as reader:
        found = contract(ASSET, reader, site(), WINDOW)
    assert [found[month].passed for month in (JAN, FEB, MAR)] == [False, True, True]
    assert "unique key broken" in found[JAN].text


def test_a_month_that_waits_or_was_never_built_is_not_covered(tmp_path: Path):
    with recorded(tmp_path, (JAN, FEB), {FEB: GATED + "raw was refused"}) as reader:
        found = coverage(ASSET, reader, site(), WINDOW)
    assert [found[month].passed for month in (JAN, FEB, MAR)] == [True, False, False]
    assert found[FEB].text == "not covered: raw was refused"
    assert "never built" in found[MAR].text


def test_months_before_the_first_one_are_not_asked_for(tmp_path: Path):
    assert not expected(site(first_month="2020-02"), JAN)
    with recorded(tmp_path) as reader:
        assert coverage("x", reader, site(first_month="2020-03"), WINDOW)[FEB].passed


def test_a_known_gap_excuses_only_months_that_lie_in_it_as_a_whole():
    one = site(known_gaps=[{"source": "nova_services", "to": "2020-02-15"}])
    assert not expected(one, JAN, ("nova_services",))
    assert expected(one, FEB, ("nova_services",))
    assert expected(one, JAN, ("nova_instances",))
    assert expected(one, JAN)


def test_an_evaluation_keeps_its_partition_and_points_to_the_latest_materialization():
    with dg.DagsterInstance.ephemeral() as instance:
        for n in (1, 2):
            instance.report_runless_asset_event(
                dg.AssetMaterialization(KEY, partition="2020-01-01|a", metadata={"n": n})
            )
        found = targets(instance, KEY, ["2020-01-01|a", "2020-02-01|a"])
        assert set(found) == {"2020-01-01|a"}
        latest = instance.fetch_materializations(KEY, limit=1).records[0]
        assert found["2020-01-01|a"].storage_id == latest.storage_id
        assert found["2020-01-01|a"].run_id == latest.run_id
        made = dg.AssetCheckEvaluation(
            asset_key=KEY,
            check_name="contract",
            passed=False,
            metadata={},
            partition="2020-01-01|a",
            target_materialization_data=found["2020-01-01|a"],
        )
        assert (made.partition, made.asset_check_key) == ("2020-01-01|a", dg.AssetCheckKey(KEY, "contract"))
        assert made.target_materialization_data == found["2020-01-01|a"]


def test_what_is_said_of_passing_months_is_shown_too():
    said = of_run({date(2020, 1, 1): Finding(True, "all is well"), date(2020, 2, 1): Finding(True, "")})
    assert said["failing"].value == []
    assert "| 2020-01 | all is well |" in said["passing"].value
    assert "2020-02" not in said["passing"].value


def test_every_failing_month_is_named_for_programs_however_many_there_are():
    months = {date(2000 + n // 12, n % 12 + 1, 1): Finding(n % 2 == 0, f"{n} " + "xx " * 500) for n in range(200)}
    failing = of_run(months)["failing"].value
    assert [entry["month"] for entry in failing] == [
        f"{month:%Y-%m}" for month, one in months.items() if not one.passed
    ]
    assert failing[0]["text"].startswith("1 xx")
    assert all(190 < len(entry["text"]) <= 200 for entry in failing)


def test_what_holds_of_a_site_as_it_is_now_names_no_month():
    assert of_run({JAN: Finding(False, "may write")}, of_now=True)["failing"].value == [
        {"month": "", "text": "may write"}
    ]
