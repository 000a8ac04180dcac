"""From a number to its intervals and their source rows: worked by hand, every metric, and through the command line."""

import json
import random
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from usage_assets.cli.app import app, main
from usage_assets.core.errors import UsageError
from usage_assets.kinds import OPENSTACK, kind_of
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.reports.explain import Answer, Question, explain, metrics_of, weights
from usage_assets.timelines.usage import Scope
from usage_assets.warehouse import Warehouse
from usage_assets_tests.golden.builder import Rows, make_site, spec_text
from usage_assets_tests.golden.random_site import random_case
from usage_assets_tests.golden.stored import store
from usage_assets_tests.golden.worked import JAN

NOON = datetime(2024, 1, 8, 12)
IDS: dict[str, str] = {}


def two_machines() -> Rows:
    """`h` (type fast) is leased from the 5th to the 15th and used to the 10th; `g` runs a server on demand."""
    rows = Rows()
    for name in ("h", "g"):
        rows.ironic_node(name, "2023-06-01")
    host = rows.computehost("h", "2023-06-01", node_type="fast")
    lease, reservation, allocation = rows.booked(host, "2024-01-05", "2024-01-15", name="my lease")
    reserved = rows.instance("h", "2024-01-06", "2024-01-10")
    rows.spec(reserved, spec_text([reservation]))
    for day, action in ((6, "create"), (7, "reboot"), (8, "stop"), (8, "start"), (9, "delete")):
        rows.action(reserved, action, f"2024-01-{day:02} 0{len(action)}:00")
    free = rows.instance("g", "2024-01-06", "2024-01-10")
    rows.spec(free, '{"nova_object.data": {"scheduler_hints": {}, "secret": "do not print"}}')
    orphan = rows.allocation("nowhere", host, "2024-01-07", "2024-01-09")
    banned = rows.instance("g", "2024-01-07", "2024-01-09", project_id="load")
    rows.spec(banned)
    IDS.update(lease=lease, reservation=reservation, allocation=allocation, reserved=reserved, free=free)
    IDS.update(orphan=orphan, banned=banned)
    return rows


RULE = {"table": "nova_instances", "where": {"project_id": "load"}, "reason": "load test", "by": "ops"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, OpenStackSite, Path]:
    folder = tmp_path_factory.mktemp("explain")
    warehouse = Warehouse(folder / "warehouse.duckdb")
    site = make_site(exclusions=[RULE], first_month="2024-01")
    store(warehouse, two_machines(), site, [JAN])
    return warehouse, site, folder


def ask(stored: tuple[Warehouse, OpenStackSite, Path], metric: str | None, at: datetime = NOON, **more) -> Answer:
    warehouse, site, _ = stored
    with warehouse.read() as reader:
        return explain(reader, kind_of(site), site, Question(metric, at, **more))


def origins(piece) -> dict[str, str]:
    return {table: row.get("uuid") or row["id"] for table, row in piece.origins}


def test_a_number_is_the_sum_of_its_intervals_and_what_the_steps_say(stored):
    (term,) = ask(stored, "committed").terms
    assert term.steps is not None
    assert (term.count, term.totals["nodes"], term.steps["nodes"], term.agrees) == (1, 1.0, 1.0, True)
    assert term.totals["vcpus"] == 48.0


def test_an_allocation_is_shown_with_its_reservation_its_lease_and_its_host(stored):
    (piece,) = ask(stored, "committed").terms[0].pieces
    assert piece.row["entity_id"] == IDS["allocation"]
    found = origins(piece)
    assert found["blazar_computehost_allocations"] == IDS["allocation"]
    assert found["blazar_reservations"] == IDS["reservation"]
    assert found["blazar_leases"] == IDS["lease"]
    assert "blazar_computehosts" in found
    assert dict(piece.origins)["blazar_leases"]["name"] == "my lease"


def test_a_server_is_shown_with_a_summary_of_its_request_and_never_the_whole(stored):
    (piece,) = ask(stored, "occupied_reservation").terms[0].pieces
    request = dict(piece.origins)["nova_api_request_specs"]
    assert request["reservation"] == json.dumps([IDS["reservation"]])
    assert request["flavor"] == "m1"
    assert "spec" not in request
    assert dict(piece.origins)["nova_compute_nodes"]["hypervisor_hostname"] == "h"


def test_a_server_is_shown_with_what_it_was_last_asked_to_do(stored):
    pieces = [piece for piece in ask(stored, "active").terms[0].pieces if piece.row["entity_id"] == IDS["reserved"]]
    asked = [row["action"] for table, row in pieces[0].origins if table == "nova_instance_actions"]
    assert sorted(asked) == ["reboot", "start", "stop"]  # three, and none after noon of the 8th


def test_a_machine_is_shown_with_the_rows_that_cover_the_instant(stored):
    (term,) = ask(stored, "total", limit=1).terms
    assert (term.count, len(term.pieces)) == (2, 1)
    assert [table for table, _ in term.pieces[0].origins] == ["nova_compute_nodes", "blazar_computehosts"]


def test_a_derived_metric_is_explained_by_its_terms(stored):
    answer = ask(stored, "idle", datetime(2024, 1, 12))
    assert [(term.metric, term.weight, term.count) for term in answer.terms] == [
        ("committed", 1, 1),
        ("occupied_reservation", -1, 0),
    ]
    assert answer.totals["nodes"] == 1.0
    counted = ("total", "reservable", "committed", "occupied_ondemand")
    assert weights("available", Scope("s", 60, counted, ("nodes",), {})) == {
        "reservable": 0, "committed": -1, "total": 1, "occupied_ondemand": -1,
    }  # fmt: skip


def test_a_type_or_an_entity_narrows_the_intervals(stored):
    (fast,) = ask(stored, "total", node_type="fast").terms
    assert (fast.count, fast.agrees) == (1, True)
    (one,) = ask(stored, "occupied_ondemand", entity=IDS["free"]).terms
    assert (one.count, one.steps, one.agrees) == (1, None, None)
    assert ask(stored, "committed", entity=IDS["lease"]).terms[0].count == 1
    assert ask(stored, "committed", entity="nobody").terms[0].count == 0


def test_what_was_rejected_is_shown_with_its_reason_in_words_and_its_row(stored):
    answer = ask(stored, "committed", rejected=True)
    assert answer.reasons == {"no_reservation": 1}
    (piece,) = answer.rejected
    assert piece.row["reason_in_words"] == "its reservation is not there"
    assert origins(piece)["blazar_computehost_allocations"] == IDS["orphan"]


def test_of_an_excluded_row_it_is_said_who_took_it_out_and_why(stored):
    answer = ask(stored, "occupied_ondemand", rejected=True)
    assert answer.reasons == {"excluded": 1}
    assert answer.rejected[0].row["action"] == "excluded by ops: load test"
    assert ask(stored, None, rejected=True).reasons == {"excluded": 1, "no_reservation": 1}


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (Question("nonsense", NOON), "has no metric 'nonsense'; there are total, reservable"),
        (Question("committed", datetime(2023, 12, 31)), "begins in 2024-01; 2023-12-31 lies before it"),
        (Question("committed", datetime(2024, 3, 1)), "2024-03 was never built; usage-assets backfill --site golden"),
        (Question("idle", NOON, rejected=True), "nothing is rejected under the metric 'idle'; there are active"),
    ],
)
def test_what_can_not_be_answered_is_said(stored, question: Question, said: str):
    warehouse, site, _ = stored
    with warehouse.read() as reader, pytest.raises(UsageError, match=said):
        explain(reader, kind_of(site), site, question)


def test_an_empty_warehouse_says_that_nothing_was_built(tmp_path: Path):
    with Warehouse(tmp_path / "none.duckdb").read() as reader, pytest.raises(UsageError, match="was never built"):
        explain(reader, OPENSTACK, make_site(), Question("total", NOON))


@pytest.mark.parametrize("seed", range(4))
def test_every_metric_of_random_sites_agrees_with_the_steps_at_every_instant_asked(seed: int, tmp_path: Path):
    case = random_case(random.Random(seed))
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    store(warehouse, case.rows, case.site, case.months)
    rng = random.Random(seed)
    with warehouse.read() as reader:
        for metric in metrics_of(kind_of(case.site), case.site):
            month = rng.choice(case.months)
            at = datetime(month.year, month.month, rng.randint(1, 28), rng.randint(0, 23))
            answer = explain(reader, kind_of(case.site), case.site, Question(metric, at, limit=3))
            assert [term.metric for term in answer.terms if term.agrees is not True] == []
            shown = [piece for term in answer.terms for piece in term.pieces]
            assert all(piece.origins for piece in shown)


def run(stored, monkeypatch: pytest.MonkeyPatch, *arguments: str):
    _, site, folder = stored
    sites = folder / "sites"
    sites.mkdir(exist_ok=True)
    (sites / f"{site.key}.yaml").write_text(
        "kind: openstack\nname: Golden\nfirst_month: 2024-01\ndatabases: "
        "{nova: 'sqlite:////no.db', nova_api: 'sqlite:////no.db', blazar: 'sqlite:////no.db'}\n"
    )
    monkeypatch.setenv("USAGE_SITES", str(sites))
    monkeypatch.setenv("USAGE_DATA", str(folder))
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner().invoke(app, ["explain", "--site", site.key, *arguments])


def test_the_command_prints_the_number_its_intervals_and_their_rows(stored, monkeypatch: pytest.MonkeyPatch):
    found = run(stored, monkeypatch, "--metric", "idle", "--at", "2024-01-08T12:00")
    assert found.exit_code == 0
    assert "Golden (golden): idle at 2024-01-08 12:00 UTC" in found.output
    assert "= committed - occupied_reservation" in found.output
    assert found.output.count("timelines.usage_steps says the same") == 2
    assert f"raw.blazar_leases: id={IDS['lease']}" in found.output
    everything = run(stored, monkeypatch, "--metric", "occupied", "--at", "2024-01-08T12:00")
    assert "do not print" not in everything.output


def test_the_command_prints_rejects_and_json(stored, monkeypatch: pytest.MonkeyPatch):
    found = run(stored, monkeypatch, "--rejected", "--at", "2024-01-08T13:00+01:00")
    assert "rejected at 2024-01-08 12:00 UTC" in found.output
    assert "excluded: taken out by a rule of the site's file; excluded by ops: load test" in found.output
    none = ("--metric", "total", "--at", "2024-01-08", "--limit", "0")
    told = json.loads(run(stored, monkeypatch, *none, "--json").output)
    assert told["terms"][0]["agrees_with_usage_steps"] is True
    assert told["terms"][0]["pieces"] == []
    assert "... and 2 more (--limit)" in run(stored, monkeypatch, *none).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--metric total --at tomorrow", "'tomorrow' is no instant; write it as 2024-05-03T12:00"),
        ("--at 2024-01-08", "name a metric, or ask for --rejected"),
    ],
)
def test_wrong_usage_says_what_is_allowed(stored, monkeypatch: pytest.MonkeyPatch, arguments: str, said: str):
    found = run(stored, monkeypatch, *arguments.split())
    assert found.exit_code == 2
    assert said in " ".join(found.output.replace("│", " ").split())


def test_a_fault_of_the_question_is_one_sentence(stored, monkeypatch: pytest.MonkeyPatch, capsys):
    run(stored, monkeypatch, "--metric", "total", "--at", "2024-01-08")
    monkeypatch.setattr(
        "sys.argv", ["usage-assets", "explain", "--site", "golden", "--metric", "no", "--at", "2024-01-08"]
    )
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert "site golden has no metric 'no'" in " ".join(capsys.readouterr().err.split())
