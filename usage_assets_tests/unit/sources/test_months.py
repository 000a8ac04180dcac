"""Which months hold which rows: one test per clause of the month rule."""

from datetime import date
from pathlib import Path

import pytest

from usage_assets.kinds.openstack.raw.tables import BY_NAME
from usage_assets.warehouse import Warehouse
from usage_assets_tests.unit.sources.sources import Data, held, make_sqlite, run, stored, tables_of

JAN, FEB, MAR, APR, JUN = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1), date(2020, 4, 1), date(2020, 6, 1)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "data" / "warehouse.duckdb")


def dumped(tmp_path: Path, warehouse: Warehouse, data: Data, first: date = JAN, last: date = JUN) -> None:
    run(make_sqlite(tmp_path / "source", data), warehouse, first, last, tables=tables_of(data))


def test_a_row_is_held_from_the_month_of_its_creation_to_that_of_its_end(tmp_path, warehouse):
    rows = [
        {"id": 1, "uuid": "a", "created_at": "2020-02-10 00:00:00", "deleted_at": "2020-04-05 00:00:00"},
        {"id": 2, "uuid": "b", "created_at": "2020-05-31 23:59:59"},
        {"id": 3, "uuid": "c", "created_at": "2019-01-01 00:00:00", "deleted_at": "2019-12-31 23:59:59"},
    ]
    dumped(tmp_path, warehouse, {"nova.instances": rows})
    assert held(warehouse, "nova_instances") == {"1": ["2020-02", "2020-03", "2020-04"], "2": ["2020-05", "2020-06"]}


def test_bounds_at_a_months_edge_touch_the_month_that_begins_there(tmp_path, warehouse):
    rows = [
        {"id": 1, "uuid": "a", "created_at": "2020-01-31 23:59:59", "deleted_at": "2020-03-01 00:00:00"},
        {"id": 2, "uuid": "b", "created_at": "2020-02-01 00:00:00", "deleted_at": "2020-02-29 23:59:59"},
    ]
    dumped(tmp_path, warehouse, {"nova.instances": rows})
    assert held(warehouse, "nova_instances") == {"1": ["2020-01", "2020-02", "2020-03"], "2": ["2020-02"]}


def test_an_instance_ends_at_the_least_of_deleted_at_and_terminated_at(tmp_path, warehouse):
    born = {"created_at": "2020-01-05 00:00:00"}
    rows = [
        {"id": 1, "uuid": "a", **born, "terminated_at": "2020-02-03 00:00:00", "deleted_at": "2020-04-03 00:00:00"},
        {"id": 2, "uuid": "b", **born, "terminated_at": "2020-03-03 00:00:00", "deleted_at": "2020-02-03 00:00:00"},
        {"id": 3, "uuid": "c", **born, "terminated_at": "2020-01-09 00:00:00"},
    ]
    dumped(tmp_path, warehouse, {"nova.instances": rows})
    assert held(warehouse, "nova_instances") == {
        "1": ["2020-01", "2020-02"],
        "2": ["2020-01", "2020-02"],
        "3": ["2020-01"],
    }


def test_a_lease_ends_at_the_least_of_deleted_at_and_end_date(tmp_path, warehouse):
    born = {"created_at": "2020-01-05 00:00:00", "start_date": "2020-01-06 00:00:00"}
    rows = [
        {"id": "natural", **born, "end_date": "2020-03-02 00:00:00"},
        {"id": "early", **born, "end_date": "2020-05-02 00:00:00", "deleted_at": "2020-02-02 00:00:00"},
        {"id": "cleaned late", **born, "end_date": "2020-02-02 00:00:00", "deleted_at": "2020-05-02 00:00:00"},
    ]
    dumped(tmp_path, warehouse, {"blazar.leases": rows})
    assert held(warehouse, "blazar_leases") == {
        "natural": ["2020-01", "2020-02", "2020-03"],
        "early": ["2020-01", "2020-02"],
        "cleaned late": ["2020-01", "2020-02"],
    }


def test_a_container_ends_at_its_last_update_only_when_it_no_longer_runs(tmp_path, warehouse):
    times = {"created_at": "2020-01-05 00:00:00", "updated_at": "2020-02-05 00:00:00"}
    statuses = ("Deleted", "Error", "Stopped", "Running", "Paused")
    rows = [{"id": n, "uuid": status, **times, "status": status} for n, status in enumerate(statuses)]
    rows.append({"id": 9, "uuid": "unknown", **times, "status": None})
    dumped(tmp_path, warehouse, {"nova.instances": [], "zun.container": rows}, JAN, MAR)
    two, three = ["2020-01", "2020-02"], ["2020-01", "2020-02", "2020-03"]
    assert held(warehouse, "zun_container") == {"0": two, "1": two, "2": two, "3": three, "4": three, "9": three}


def test_a_missing_birth_is_the_earliest_other_time_of_the_row(tmp_path, warehouse):
    instances = [
        {"id": 1, "uuid": "a", "launched_at": "2020-04-02 00:00:00", "updated_at": "2020-05-02 00:00:00"},
        {"id": 2, "uuid": "b", "launched_at": "2020-05-02 00:00:00", "updated_at": "2020-04-02 00:00:00"},
        {"id": 3, "uuid": "c", "deleted_at": "2020-05-02 00:00:00"},
    ]
    leases = [{"id": "l", "start_date": "2020-05-01 00:00:00", "end_date": "2020-05-02 00:00:00"}]
    containers = [{"id": 1, "uuid": "x", "started_at": "2020-05-01 00:00:00"}]
    dumped(tmp_path, warehouse, {"nova.instances": instances, "blazar.leases": leases, "zun.container": containers})
    assert held(warehouse, "nova_instances") == {
        "1": ["2020-04", "2020-05", "2020-06"],
        "2": ["2020-04", "2020-05", "2020-06"],
        "3": ["2020-05"],
    }
    assert held(warehouse, "blazar_leases") == {"l": ["2020-05"]}
    assert held(warehouse, "zun_container") == {"1": ["2020-05", "2020-06"]}


def test_a_row_without_any_time_is_held_in_the_sites_first_month_alone(tmp_path, warehouse):
    dumped(tmp_path, warehouse, {"nova.instances": [{"id": 1, "uuid": "a"}], "nova.compute_nodes": [{"id": 7}]})
    assert held(warehouse, "nova_instances") == {"1": ["2020-01"]}
    assert held(warehouse, "nova_compute_nodes") == {"7": ["2020-01"]}


@pytest.mark.parametrize(
    "bad", ["0000-00-00 00:00:00", "2020-00-00 00:00:00", "2020-02-31 00:00:00", "soon", "infinity"]
)
def test_a_date_that_is_none_counts_as_open_wherever_the_row_is_looked_for(tmp_path, warehouse, bad):
    rows = [{"id": 1, "uuid": "a", "created_at": "2020-01-05 00:00:00", "deleted_at": bad}]
    urls = make_sqlite(tmp_path / "source", {"nova.instances": rows})
    result = run(urls, warehouse, JUN, tables=[BY_NAME["nova_instances"]])
    assert held(warehouse, "nova_instances") == {"1": ["2020-06"]}
    assert [item.zero_dates for item in result.months if item.table.name == "nova_instances"] == [1]
    assert stored(warehouse, "nova_instances")["deleted_at"].to_list() == [None]


def test_instants_are_read_with_a_t_between_and_with_fractions_to_the_microsecond(tmp_path, warehouse):
    texts = {
        "2020-01-05T01:02:03": "2020-01-05 01:02:03",
        "2020-01-06 00:00:00.999999": "2020-01-06 00:00:00.999999",
        "2020-01-07T00:00:00.25": "2020-01-07 00:00:00.250000",
        "2020-01-08 00:00:00.123456789": "2020-01-08 00:00:00.123456",
        "2020-01-09 00:00:00.5+00:00": "2020-01-09 00:00:00.500000",
        "2020-01-10T00:00:00Z": "2020-01-10 00:00:00",
        "2020-01-11 00:00:00.": "2020-01-11 00:00:00",
        "2020-01-12": "2020-01-12 00:00:00",
    }
    rows = [{"id": number, "uuid": f"u{number}", "created_at": text} for number, text in enumerate(texts)]
    dumped(tmp_path, warehouse, {"nova.instances": rows}, JAN, JAN)
    frame = stored(warehouse, "nova_instances", ["id", "created_at"]).sort("id")
    assert [str(value) for value in frame["created_at"]] == list(texts.values())


def test_machines_are_also_held_as_context_last_before_and_first_after_per_hostname(tmp_path, warehouse):
    def node(number: int, created: str, deleted: str | None, host: str = "h") -> dict:
        return {"id": number, "hypervisor_hostname": host, "created_at": created, "deleted_at": deleted}

    rows = [
        node(1, "2020-01-02 00:00:00", "2020-01-03 00:00:00"),
        node(2, "2020-01-04 00:00:00", "2020-01-20 00:00:00"),
        node(3, "2020-01-25 00:00:00", "2020-01-21 00:00:00"),  # ended before it began: no context
        node(4, "2020-05-02 00:00:00", None),
        node(5, "2020-06-02 00:00:00", None),
        node(6, "2020-01-01 00:00:00", "2020-01-20 00:00:00"),  # ended with 2, began earlier
        node(7, "2020-04-02 00:00:00", None, "other"),
    ]
    dumped(tmp_path, warehouse, {"nova.compute_nodes": rows}, FEB, MAR)
    assert held(warehouse, "nova_compute_nodes") == {
        "2": ["2020-02*", "2020-03*"],
        "4": ["2020-02*", "2020-03*"],
        "7": ["2020-02*", "2020-03*"],
    }


def test_of_context_rows_alike_in_their_times_the_greatest_id_is_held(tmp_path, warehouse):
    same = {"hypervisor_hostname": "h", "created_at": "2020-01-02 00:00:00", "deleted_at": "2020-01-03 00:00:00"}
    later = {"hypervisor_hostname": "h", "created_at": "2020-05-02 00:00:00"}
    rows = [{"id": n, **same} for n in (9, 10, 8)] + [{"id": n, **later} for n in (21, 20, 22)]
    dumped(tmp_path, warehouse, {"nova.compute_nodes": rows}, FEB, FEB)
    assert held(warehouse, "nova_compute_nodes") == {"10": ["2020-02*"], "22": ["2020-02*"]}


def test_a_row_that_touches_the_month_is_no_context(tmp_path, warehouse):
    rows = [{"id": 1, "hypervisor_hostname": "h", "created_at": "2019-01-02 00:00:00"}]
    dumped(tmp_path, warehouse, {"nova.compute_nodes": rows}, FEB, FEB)
    assert held(warehouse, "nova_compute_nodes") == {"1": ["2020-02"]}


def test_every_host_that_an_allocation_of_the_month_names_is_held(tmp_path, warehouse):
    data = {
        "blazar.computehosts": [
            {
                "id": "1",
                "hypervisor_hostname": "h",
                "created_at": "2018-01-01 00:00:00",
                "deleted_at": "2018-06-01 00:00:00",
            },
            {
                "id": "2",
                "hypervisor_hostname": "h",
                "created_at": "2018-07-01 00:00:00",
                "deleted_at": "2019-06-01 00:00:00",
            },
        ],
        "blazar.leases": [{"id": "l", "created_at": "2020-02-02 00:00:00", "end_date": "2020-02-05 00:00:00"}],
        "blazar.reservations": [{"id": "r", "lease_id": "l", "created_at": "2020-02-02 00:00:00"}],
        "blazar.computehost_allocations": [
            {"id": "a", "reservation_id": "r", "compute_host_id": "1", "created_at": "2020-02-02 00:00:00"}
        ],
    }
    dumped(tmp_path, warehouse, data, JAN, MAR)
    assert held(warehouse, "blazar_computehosts") == {"1": ["2020-02*"], "2": ["2020-01*", "2020-02*", "2020-03*"]}


def test_capabilities_are_held_where_their_host_is_context_rows_included(tmp_path, warehouse):
    data = {
        "blazar.computehosts": [
            {
                "id": "1",
                "hypervisor_hostname": "h",
                "created_at": "2019-01-01 00:00:00",
                "deleted_at": "2020-01-05 00:00:00",
            },
            {"id": "2", "hypervisor_hostname": "h", "created_at": "2020-03-01 00:00:00"},
        ],
        "blazar.computehost_extra_capabilities": [
            {"id": "c1", "computehost_id": "1", "created_at": "2019-01-01 00:00:00"},
            {"id": "c2", "computehost_id": "2", "created_at": "2020-03-01 00:00:00"},
            {"id": "lost", "computehost_id": "9", "created_at": "2020-02-01 00:00:00"},
        ],
    }
    dumped(tmp_path, warehouse, data, JAN, MAR)
    assert held(warehouse, "blazar_computehost_extra_capabilities") == {
        "c1": ["2020-01", "2020-02*", "2020-03*"],
        "c2": ["2020-01*", "2020-02*", "2020-03"],
        "lost": ["2020-02", "2020-03"],
    }


LEASE = {"id": "l", "created_at": "2020-02-02 00:00:00", "end_date": "2020-03-05 00:00:00"}
OLD = {"created_at": "2019-01-01 00:00:00", "deleted_at": "2019-02-01 00:00:00"}


def test_satellites_of_a_lease_are_held_where_the_lease_is_whatever_their_own_times(tmp_path, warehouse):
    data = {
        "blazar.leases": [LEASE],
        "blazar.reservations": [{"id": "r", "lease_id": "l", **OLD}],
        "blazar.events": [{"id": "e", "lease_id": "l", **OLD}],
        "blazar.computehost_allocations": [{"id": "a", "reservation_id": "r", **OLD}],
        "blazar.computehost_reservations": [{"id": "hr", "reservation_id": "r", **OLD}],
        "blazar.instance_reservations": [{"id": "ir", "reservation_id": "r", **OLD}],
        "blazar.device_allocations": [{"id": "da", "reservation_id": "r", **OLD}],
        "blazar.device_reservations": [{"id": "dr", "reservation_id": "r", **OLD}],
    }
    dumped(tmp_path, warehouse, data)
    months = ["2020-02", "2020-03"]
    assert held(warehouse, "blazar_reservations") == {"r": months}
    assert held(warehouse, "blazar_events") == {"e": months}
    assert held(warehouse, "blazar_computehost_allocations") == {"a": months}
    assert held(warehouse, "blazar_computehost_reservations") == {"hr": months}
    assert held(warehouse, "blazar_instance_reservations") == {"ir": months}
    assert held(warehouse, "blazar_device_allocations") == {"da": months}
    assert held(warehouse, "blazar_device_reservations") == {"dr": months}


def test_an_orphan_is_held_by_its_own_times_whichever_step_is_missing(tmp_path, warehouse):
    own = {"created_at": "2020-04-02 00:00:00", "deleted_at": "2020-05-02 00:00:00"}
    data: Data = {
        "blazar.leases": [LEASE],
        "blazar.reservations": [{"id": "r", "lease_id": "no lease", **own}],
        "blazar.computehost_allocations": [
            {"id": "no reservation", "reservation_id": "none", **own},
            {"id": "null", "reservation_id": None, **own},
            {"id": "no lease", "reservation_id": "r", **own},
            {"id": "open", "reservation_id": "none", "created_at": "2020-05-02 00:00:00"},
            {"id": "timeless", "reservation_id": "none"},
            {"id": "updated", "reservation_id": "none", "updated_at": "2020-06-01 00:00:00"},
        ],
    }
    dumped(tmp_path, warehouse, data)
    two = ["2020-04", "2020-05"]
    assert held(warehouse, "blazar_reservations") == {"r": two}
    assert held(warehouse, "blazar_computehost_allocations") == {
        "no reservation": two,
        "null": two,
        "no lease": two,
        "open": ["2020-05", "2020-06"],
        "timeless": ["2020-01"],
        "updated": ["2020-06"],
    }


def test_a_parent_outside_the_run_is_not_missing_at_the_source(tmp_path, warehouse):
    data = {
        "blazar.leases": [LEASE],
        "blazar.reservations": [{"id": "r", "lease_id": "l", "created_at": "2020-02-02 00:00:00"}],
    }
    dumped(tmp_path, warehouse, data, JUN, JUN)
    assert held(warehouse, "blazar_reservations") == {}


def test_actions_and_all_their_events_follow_the_instance_also_later_ones(tmp_path, warehouse):
    data = {
        "nova.instances": [
            {"id": 1, "uuid": "u", "created_at": "2020-02-02 00:00:00", "deleted_at": "2020-02-05 00:00:00"}
        ],
        "nova.instance_actions": [
            {"id": 1, "instance_uuid": "u", "created_at": "2020-02-02 00:00:00"},
            {"id": 2, "instance_uuid": "u", "created_at": "2020-05-02 00:00:00"},
        ],
        "nova.instance_actions_events": [
            {"id": 1, "action_id": 1, "created_at": "2020-02-02 00:00:00"},
            {"id": 2, "action_id": 2, "created_at": "2020-05-02 00:00:00"},
        ],
        "nova_api.request_specs": [{"id": 1, "instance_uuid": "u", "spec": "{}", "created_at": "2020-02-02 00:00:00"}],
    }
    dumped(tmp_path, warehouse, data)
    assert held(warehouse, "nova_instance_actions") == {"1": ["2020-02"], "2": ["2020-02"]}
    assert held(warehouse, "nova_instance_actions_events") == {"1": ["2020-02"], "2": ["2020-02"]}
    assert held(warehouse, "nova_api_request_specs") == {"1": ["2020-02"]}


def test_a_spec_of_a_server_that_never_got_a_host_follows_its_row_in_cell0(tmp_path, warehouse):
    data = {
        "nova.instances": [],
        "nova_cell0.instances": [
            {"id": 1, "uuid": "u", "created_at": "2020-02-02 00:00:00", "deleted_at": "2020-02-05 00:00:00"}
        ],
        "nova_api.request_specs": [{"id": 1, "instance_uuid": "u", "spec": "{}", "created_at": "2020-02-02 00:00:00"}],
    }
    dumped(tmp_path, warehouse, data)
    assert held(warehouse, "nova_api_request_specs") == {"1": ["2020-02"]}


def test_archived_rows_are_read_and_archived_parents_are_not_missing(tmp_path, warehouse):
    life = {"created_at": "2020-02-02 00:00:00", "deleted_at": "2020-02-05 00:00:00"}
    data = {
        "nova.instances": [],
        "nova.shadow_instances": [{"id": 1, "uuid": "u", **life}],
        "nova.instance_actions": [{"id": 1, "instance_uuid": "u", "created_at": "2020-02-02 00:00:00"}],
        "nova.shadow_instance_actions": [{"id": 2, "instance_uuid": "u", "created_at": "2020-02-02 00:00:00"}],
        "nova.instance_actions_events": [{"id": 1, "action_id": 2, "created_at": "2020-02-02 00:00:00"}],
    }
    dumped(tmp_path, warehouse, data)
    assert held(warehouse, "nova_instances") == {"1": ["2020-02"]}
    assert held(warehouse, "nova_instance_actions") == {"1": ["2020-02"], "2": ["2020-02"]}
    assert held(warehouse, "nova_instance_actions_events") == {"1": ["2020-02"]}


def test_the_live_row_wins_over_an_archived_one_with_its_key(tmp_path, warehouse):
    life = {"created_at": "2020-02-02 00:00:00", "deleted_at": "2020-02-05 00:00:00"}
    data = {
        "nova.instances": [{"id": 1, "uuid": "u", "vm_state": "live", "created_at": "2020-04-01 00:00:00"}],
        "nova.shadow_instances": [{"id": 1, "uuid": "u", "vm_state": "archived", **life}],
    }
    dumped(tmp_path, warehouse, data, FEB, APR)
    assert held(warehouse, "nova_instances") == {"1": ["2020-04"]}
    assert stored(warehouse, "nova_instances")["vm_state"].to_list() == ["live"]


def test_hidden_copies_are_skipped_and_their_satellites_are_no_orphans(tmp_path, warehouse):
    life = {"created_at": "2020-02-02 00:00:00", "deleted_at": "2020-02-05 00:00:00"}
    data: Data = {
        "nova.instances": [
            {"id": 1, "uuid": "u", "hidden": 1, **life},
            {"id": 2, "uuid": "v", "hidden": 0, **life},
            {"id": 3, "uuid": "w", "hidden": None, **life},
        ],
        "nova.instance_actions": [{"id": 1, "instance_uuid": "u", "created_at": "2020-02-02 00:00:00"}],
    }
    dumped(tmp_path, warehouse, data)
    assert held(warehouse, "nova_instances") == {"2": ["2020-02"], "3": ["2020-02"]}
    assert held(warehouse, "nova_instance_actions") == {"1": ["2020-02"]}


def test_names_of_capabilities_are_held_whole_in_every_month(tmp_path, warehouse):
    rows = [
        {
            "id": "p",
            "property_name": "node_type",
            "created_at": "2020-04-01 00:00:00",
            "deleted_at": "2020-04-02 00:00:00",
        }
    ]
    dumped(tmp_path, warehouse, {"blazar.resource_properties": rows, "blazar.leases": []}, JAN, FEB)
    assert held(warehouse, "blazar_resource_properties") == {"p": ["2020-01", "2020-02"]}


def test_a_legacy_row_is_held_in_the_month_of_its_date(tmp_path, warehouse):
    data = {
        "nova.instances": [],
        "chameleon_usage.node_usage_report_cache": [
            {"date": "2020-01-31 00:00:00", "node_type": "x", "used_hours": 1.5},
            {"date": "2020-02-01 00:00:00", "node_type": "x", "used_hours": 2.5},
        ],
        "chameleon_usage.node_count_cache": [
            {"date": "2020-01-31", "node_type": "x", "cnt": 1},
            {"date": "2020-02-01", "node_type": "x", "cnt": 2},
            {"date": "2020-03-01", "node_type": "x", "cnt": 3},
        ],
    }
    dumped(tmp_path, warehouse, data, FEB, FEB)
    assert stored(warehouse, "chameleon_usage_node_usage_report_cache")["used_hours"].to_list() == [2.5]
    assert stored(warehouse, "chameleon_usage_node_count_cache")["cnt"].to_list() == [2]
