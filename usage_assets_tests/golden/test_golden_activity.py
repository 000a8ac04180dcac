"""Rule 6 on sites worked out by hand: which servers run while they hold their machine."""

import pytest

from usage_assets_tests.golden.builder import Rows, spec_text
from usage_assets_tests.golden.worked import FEB, JAN, Worked, one_machine, one_metal

SOURCE = "nova_instances"


def _server(rows: Rows, start: str, end: str | None = None, **more) -> str:
    """A server on demand that fills machine `h`."""
    server = rows.instance("h", start, end, **({"vcpus": 40, "vm_state": "deleted" if end else "active"} | more))
    rows.spec(server)
    return server


def _events(rows: Rows, server: str, *events: tuple[str, str]) -> None:
    for name, start in events:
        rows.event(server, f"compute_{name}_instance", start)


@pytest.mark.parametrize("opens", ["stop", "pause", "suspend", "soft_delete"])
@pytest.mark.parametrize("closes", ["start", "unpause", "resume", "restore", "reboot"])
def test_a_server_is_off_until_an_event_after_which_it_surely_runs(opens, closes):
    rows, _ = one_machine()
    server = _server(rows, "2024-01-10", "2024-01-20")
    _events(rows, server, (opens, "2024-01-12"), (closes, "2024-01-15 12:00"))
    site = Worked(rows)
    assert site.kept("active", "source", "node", "nodes", "vcpus") == [
        (server, "01-10", "01-12", "clipped", SOURCE, "h", 1.0, 40.0),
        (server, "01-15 12:00", "01-20", "clipped", SOURCE, "h", 1.0, 40.0),
    ]
    assert (site.hours("occupied"), site.hours("active"), site.hours("stopped")) == (240, 156, 84)
    assert site.hours("stopped", "vcpus") == 84 * 40


def test_a_server_without_such_events_is_active_while_it_occupies_however_booked():
    rows, host = one_metal(node_type="t", gpus=4)
    _, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-20")
    server = rows.instance("h", "2024-01-08", "2024-01-31", vm_state="deleted")
    rows.spec(server, spec_text([reservation]))
    unknown = rows.instance("h", "2024-01-02", "2024-01-04")
    site = Worked(rows)
    assert site.kept("active", "reservation_id", "node_type", "gpus") == [
        (server, "01-10", "01-20", "kept", reservation, "t", 4.0),
        (unknown, "01-02", "01-04", "kept", None, "t", 4.0),
    ]
    assert site.hours("stopped") == 0


def test_the_first_stop_since_the_last_start_opens_and_failed_events_change_nothing():
    rows, _ = one_machine()
    server = _server(rows, "2024-01-01", "2024-01-31")
    _events(rows, server, ("start", "2024-01-02"), ("stop", "2024-01-05"), ("stop", "2024-01-06"))
    _events(rows, server, ("start", "2024-01-08"), ("start", "2024-01-09"), ("stop", "2024-01-20"))
    _events(rows, server, ("start", "2024-01-22"))
    rows.event(server, "compute_stop_instance", "2024-01-03", "Error")
    rows.event(server, "compute_start_instance", "2024-01-07", None)
    site = Worked(rows)
    assert site.kept("active") == [
        (server, "01-01", "01-05", "clipped"),
        (server, "01-08", "01-20", "clipped"),
        (server, "01-22", "01-31", "clipped"),
    ]
    assert site.hours("stopped") == (3 + 2) * 24


def test_whatever_turned_a_server_off_it_is_off_until_the_first_event_after_which_it_runs():
    rows, _ = one_machine()
    server = _server(rows, "2024-01-01", "2024-01-31")
    _events(rows, server, ("pause", "2024-01-05"), ("stop", "2024-01-06"), ("resume", "2024-01-07"))
    _events(rows, server, ("start", "2024-01-08"), ("unpause", "2024-01-07"))
    site = Worked(rows)
    assert site.kept("active") == [(server, "01-01", "01-05", "clipped"), (server, "01-07", "01-31", "clipped")]


def test_a_rebuild_leaves_a_stopped_server_stopped_and_so_does_a_reboot_that_failed():
    rows, _ = one_machine()
    server = _server(rows, "2024-01-01", "2024-01-31")
    _events(rows, server, ("stop", "2024-01-05"), ("rebuild", "2024-01-06"))
    rows.event(server, "compute_reboot_instance", "2024-01-07", "Error")
    site = Worked(rows)
    assert site.kept("active") == [(server, "01-01", "01-05", "clipped")]


def test_a_stopped_server_that_is_unshelved_runs():
    rows, _ = one_machine()
    server = _server(rows, "2024-01-01", "2024-01-31")
    _events(rows, server, ("stop", "2024-01-05"), ("shelve", "2024-01-06"), ("unshelve", "2024-01-10"))
    site = Worked(rows)
    assert site.kept("active") == [(server, "01-01", "01-05", "clipped"), (server, "01-10", "01-31", "clipped")]
    assert (site.hours("occupied"), site.hours("stopped")) == (26 * 24, 24)


def test_a_soft_deleted_server_holds_what_it_held_and_does_not_run_until_it_is_restored():
    rows, _ = one_machine()
    server = _server(rows, "2024-01-01", "2024-01-21")
    _events(rows, server, ("soft_delete", "2024-01-05"), ("restore", "2024-01-07"))
    site = Worked(rows)
    assert (site.hours("occupied"), site.hours("active")) == (480, 432)


def test_a_server_found_soft_deleted_without_an_event_is_off_since_its_row_was_last_changed():
    rows, _ = one_machine()
    server = _server(rows, "2024-01-01", vm_state="soft-delete", updated_at="2024-01-11")
    _events(rows, server, ("stop", "2024-01-03"), ("start", "2024-01-04"))
    site = Worked(rows)
    assert site.kept("active") == [(server, "01-01", "01-03", "clipped"), (server, "01-04", "01-11", "clipped")]
    assert site.hours("occupied") == 744


def test_events_at_one_instant_are_told_apart_by_their_id():
    rows, _ = one_machine()
    server = _server(rows, "2024-01-01", "2024-01-31")
    rows.event(server, "compute_start_instance", "2024-01-10", id=900002)
    rows.event(server, "compute_stop_instance", "2024-01-10", id=900003)
    rows.event(server, "compute_start_instance", "2024-01-12", id=900001)
    site = Worked(rows)
    assert site.hours("stopped") == 48


@pytest.mark.parametrize("state", ["stopped", "deleted", "error", "shelved_offloaded", "building", "paused", None])
def test_a_stop_without_a_start_lasts_as_long_as_the_server_where_no_state_speaks_against_it(state):
    rows, _ = one_machine()
    server = _server(rows, "2024-01-10", "2024-01-20", vm_state=state)
    _events(rows, server, ("stop", "2024-01-12"))
    site = Worked(rows)
    assert site.kept("active") == [(server, "01-10", "01-12", "clipped")]
    assert site.hours("stopped") == 8 * 24


@pytest.mark.parametrize("state", ["active", "rescued", "resized"])
def test_a_stop_without_a_start_of_a_server_that_runs_at_the_dump_does_not_count(state):
    rows, _ = one_machine()
    server = _server(rows, "2024-01-10", vm_state=state)
    _events(rows, server, ("stop", "2024-01-11"), ("start", "2024-01-12"), ("stop", "2024-01-15"))
    site = Worked(rows)
    assert site.kept("active") == [(server, "01-10", "01-11", "clipped"), (server, "01-12", "02-01", "clipped")]


def test_a_server_off_for_a_whole_month_is_outside_in_it_and_its_account_is_that_of_what_it_occupies():
    rows, _ = one_machine()
    server = _server(rows, "2024-01-20", vm_state="stopped", vcpus=20)
    _events(rows, server, ("stop", "2024-01-30"))
    other = _server(rows, "2024-02-10", "2024-02-11", vcpus=20)
    site = Worked(rows, [JAN, FEB])
    assert site.kept("active") == [
        (server, "01-20", "01-30", "clipped"),
        (other, "02-10", "02-11", "kept"),
    ]
    assert site.rejected(SOURCE) == []
    assert site.account(SOURCE, "active", JAN) == {
        "rows_in": 1, "rows_kept": 1, "rows_rejected": 0, "rows_outside": 0,
        "hours_in": 288, "hours_kept": 240, "hours_clipped": 48, "hours_rejected": 0,
    }  # fmt: skip
    assert site.account(SOURCE, "active", FEB) == {
        "rows_in": 2, "rows_kept": 1, "rows_rejected": 0, "rows_outside": 1,
        "hours_in": 720, "hours_kept": 24, "hours_clipped": 696, "hours_rejected": 0,
    }  # fmt: skip
    assert site.hours("stopped") == (48 + 696) / 2


def test_only_time_in_which_a_server_holds_its_machine_can_be_stopped_time():
    rows, host = one_metal()
    _, reservation, _ = rows.booked(host, "2024-01-10", "2024-01-20")
    server = rows.instance("h", "2024-01-08", "2024-01-31", vm_state="deleted")
    rows.spec(server, spec_text([reservation]))
    _events(rows, server, ("shelve", "2024-01-12"), ("stop", "2024-01-13"), ("unshelve", "2024-01-14"))
    _events(rows, server, ("start", "2024-01-15"), ("stop", "2024-01-18"))
    site = Worked(rows)
    assert site.kept("active") == [(server, "01-10", "01-12", "clipped"), (server, "01-14", "01-18", "clipped")]
    assert (site.hours("occupied"), site.hours("stopped")) == (192, 48)


def test_a_container_is_active_while_it_occupies():
    rows = Rows()
    rows.device("pi-1", "2023-06-01", machine_name="pi")
    one = rows.container("2024-01-10", "2024-01-12", host="pi-1", annotations="{}")
    site = Worked(rows, databases=("blazar", "zun"))
    assert site.kept("active", "node_type", "devices") == [(one, "01-10", "01-12", "kept", "pi", 1.0)]
    assert (site.hours("active", "devices"), site.hours("stopped", "devices")) == (48, 0)
