"""Labels (capabilities) that changed, worked out by hand: each counts from its creation to its deletion."""

from usage_assets_tests.golden.builder import Rows
from usage_assets_tests.golden.worked import DEC, FEB, JAN, Worked


def _relabelled(rows: Rows, host: str, when: str, *, ended: str | None = None) -> None:
    for row in rows.tables["blazar_computehost_extra_capabilities"]:
        row["deleted_at"] = rows.tables["blazar_computehosts"][0]["created_at"].fromisoformat(ended or when)
    rows.capability(host, "node_type", "new", created_at=when)
    rows.capability(host, "gpu.gpu_count", "4", created_at=when)


def _machine(rows: Rows, deleted: str | None = None) -> str:
    rows.ironic_node("m", "2023-01-01")
    return rows.computehost("m", "2023-06-01", deleted, node_type="old", gpus=2)


def test_a_relabelled_machine_keeps_its_old_type_and_gpus_until_then_in_every_month():
    rows = Rows()
    _relabelled(rows, _machine(rows), "2024-02-12")
    for months in ((DEC, JAN, FEB), (JAN, FEB), (FEB,)):
        site = Worked(rows, months=months, first_month="2023-06")
        assert site.hours("total", node_type="new") == 18 * 24
        assert site.hours("total", "gpus", "new") == 18 * 24 * 4
        assert site.hours("total", node_type="old") == (11 + 31 * (len(months) - 1)) * 24
        assert site.hours("reservable", "gpus", "old") == (11 + 31 * (len(months) - 1)) * 24 * 2


def test_before_its_first_label_a_machine_has_that_one():
    rows = Rows()
    rows.ironic_node("m", "2023-01-01")
    rows.capability(rows.computehost("m", "2023-06-01"), "node_type", "t", created_at="2024-01-20")
    assert Worked(rows).kept("total", "node_type") == [("m", "01-01", "02-01", "kept", "t")]


def test_a_label_taken_away_leaves_what_the_sites_file_says_until_the_next_one():
    rows = Rows()
    _relabelled(rows, _machine(rows), "2024-01-12", ended="2024-01-10")
    assert Worked(rows, node_types={"m": {"type": "said", "gpus": 9}}).kept("total", "node_type", "gpus") == [
        ("m", "01-01", "01-10", "kept", "old", 2.0),
        ("m", "01-10", "01-12", "kept", "said", 9.0),
        ("m", "01-12", "02-01", "kept", "new", 4.0),
    ]


def test_a_label_deleted_a_moment_before_the_next_one_or_its_host_counts_until_then():
    rows = Rows()
    host = _machine(rows, "2024-01-20")
    _relabelled(rows, host, "2024-01-12", ended="2024-01-11 23:59:58")
    for row in rows.tables["blazar_computehost_extra_capabilities"][2:]:
        row["deleted_at"] = row["created_at"].fromisoformat("2024-01-19 23:59:59")
    site = Worked(rows)
    assert site.kept("total", "node_type") == [
        ("m", "01-01", "01-12", "kept", "old"),
        ("m", "01-12", "02-01", "kept", "new"),
    ]
    assert site.kept("reservable", "node_type")[-1][1:3] == ("01-12", "01-20")


def test_of_labels_at_the_same_time_the_latest_created_counts():
    rows = Rows()
    host = _machine(rows)
    rows.capability(host, "node_type", "for a while", created_at="2024-01-10", deleted_at="2024-01-15")
    assert Worked(rows).kept("total", "node_type") == [
        ("m", "01-01", "01-10", "kept", "old"),
        ("m", "01-10", "01-15", "kept", "for a while"),
        ("m", "01-15", "02-01", "kept", "old"),
    ]


def test_a_relabelled_device_changes_its_type_where_it_counts():
    rows = Rows()
    device = rows.device("d", "2023-06-01", machine_name="pi3")
    rows.device_capability(device, "machine_name", "pi4", created_at="2024-01-12")
    lease = rows.lease("2024-01-10", "2024-01-10", "2024-01-20")
    rows.device_allocation(rows.reservation(lease, "device"), device, "2024-01-10")
    container = rows.container("2024-01-11", "2024-01-14", host="d")
    site = Worked(rows)
    for metric in ("total", "reservable"):
        assert site.kept(metric, "node_type") == [
            (device, "01-01", "01-12", "kept", "pi3"),
            (device, "01-12", "02-01", "kept", "pi4"),
        ]
    assert [row[1:3] + row[4:] for row in site.kept("committed", "node_type")] == [
        ("01-10", "01-12", "pi3"),
        ("01-12", "01-20", "pi4"),
    ]
    assert site.kept("occupied_unknown", "node_type") == [
        (container, "01-11", "01-12", "kept", "pi3"),
        (container, "01-12", "01-14", "kept", "pi4"),
    ]
