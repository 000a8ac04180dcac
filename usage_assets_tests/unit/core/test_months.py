"""Month x site: keys, months, and the window of a run."""

from datetime import date, datetime

import dagster as dg
import pytest

from usage_assets.core.months import (
    PARTITION,
    RANGE_END,
    RANGE_START,
    Window,
    months_between,
    next_month,
    window_of_tags,
)
from usage_assets.orchestration.partitions import partition_key, partitions, window_of

JAN, FEB, MAR = date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1)


def test_a_key_reads_month_then_site():
    assert str(partition_key("chi_tacc", JAN)) == "2020-01-01|chi_tacc"


def test_partitions_begin_in_2016_and_hold_the_running_month():
    keys = partitions(["b", "a"]).get_partition_keys(current_time=datetime(2020, 3, 15))
    assert str(keys[0]) == "2016-01-01|a"
    assert "2020-03-01|b" in keys
    assert "2020-04-01|b" not in keys


def test_december_is_followed_by_january():
    assert next_month(date(2019, 12, 1)) == JAN
    assert months_between(date(2019, 11, 20), JAN) == (date(2019, 11, 1), date(2019, 12, 1), JAN)


def test_the_window_of_a_run_is_ordered_and_half_open():
    window = window_of([partition_key("a", month) for month in (MAR, JAN, FEB)])
    assert window == Window("a", (JAN, FEB, MAR))
    assert (window.start_at, window.end_at) == (datetime(2020, 1, 1), datetime(2020, 4, 1))
    assert str(window) == "site a 2020-01..2020-03"


def test_a_run_over_two_sites_is_refused():
    with pytest.raises(ValueError, match=r"one site, not \['a', 'b'\]"):
        window_of([partition_key("a", JAN), partition_key("b", JAN)])


def test_months_with_a_hole_are_refused():
    with pytest.raises(ValueError, match="contiguous"):
        Window("a", (JAN, MAR))


def test_a_key_without_dimensions_is_refused():
    with pytest.raises(TypeError, match="no dimensions"):
        window_of(["2020-01-01"])


def test_one_definition_gives_equal_partitions_each_time():
    assert partitions(["a", "b"]) == partitions(["b", "a"])
    assert isinstance(partitions(["a"]), dg.MultiPartitionsDefinition)


def test_the_tags_of_a_run_name_its_window_whether_it_has_a_range_or_one_partition():
    assert window_of_tags({RANGE_START: "2020-01-01|a", RANGE_END: "2020-03-01|a"}) == Window("a", (JAN, FEB, MAR))
    assert window_of_tags({PARTITION: "2020-02-01|a"}) == Window("a", (FEB,))


def test_tags_that_name_no_month_of_one_site_have_no_window():
    assert window_of_tags({}) is None
    assert window_of_tags({PARTITION: "blue"}) is None
    assert window_of_tags({RANGE_START: "2020-01-01|a", RANGE_END: "2020-03-01|b"}) is None
    assert window_of_tags({RANGE_START: "2020-03-01|a", RANGE_END: "2020-01-01|a"}) is None
