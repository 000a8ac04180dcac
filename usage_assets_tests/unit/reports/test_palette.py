"""A node type looks the same in every plot and month, and no two types of a site look alike."""

from itertools import combinations

import polars as pl

from usage_assets.kinds.htcondor.plots.heatmap import STATES
from usage_assets.kinds.htcondor.pool.classes import CLASSES, COLOURS
from usage_assets.kinds.htcondor.pool.metrics import BY_NAME
from usage_assets.reports.figures import hours
from usage_assets.reports.figures.hours import markers

NAMES = [f"compute_{n}" for n in range(20)] + [f"gpu_{n}" for n in range(15)]


def test_no_two_of_thirty_five_types_look_alike():
    pairs = {(marker["color"], marker["symbol"]) for marker in markers(NAMES).values()}
    assert len(pairs) == len(NAMES) == 35


def test_the_order_and_the_number_of_rows_do_not_matter():
    assert markers(NAMES) == markers(NAMES[::-1] * 2)
    few = hours.ranked(pl.Series("node_type", ["gpu_1"] * 3 + ["compute_1"]), NAMES)
    other = hours.ranked(pl.Series("node_type", ["compute_1"] * 5 + ["gpu_1", "gpu_2"]), NAMES)
    assert [*few] == ["gpu_1", "compute_1"]
    assert few == {name: other[name] for name in few}


def test_a_new_type_changes_no_other_but_those_that_it_meets():
    before = markers(NAMES[:6])
    for name in NAMES[6:]:
        after = markers([*NAMES[:6], name])
        changed = [one for one in before if before[one] != after[one]]
        assert len(changed) <= 1


def test_classes_of_a_pool_have_one_colour_each_in_plots_and_reports():
    for name in CLASSES:
        held, offered = COLOURS[name]
        assert BY_NAME[f"allocated_{name}"].colour == STATES[name][1] == held
        assert BY_NAME[f"available_{name}"].colour == offered
    assert len({held for held, _ in COLOURS.values()}) == len(CLASSES)


def _seen(colour: str, kind: tuple[tuple[float, float, float], ...]) -> tuple[float, ...]:
    """A colour as people see it who lack a kind of cone (Vienot 1999, in linear light)."""
    linear = [(int(colour[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5)]
    sums = (sum(weight * part for weight, part in zip(row, linear, strict=True)) for row in kind)
    return tuple(max(one, 0.0) ** (1 / 2.2) for one in sums)


def test_classes_are_told_apart_by_colour_blind_readers():
    protan = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
    deutan = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
    shown = [held for held, _ in COLOURS.values()] + [BY_NAME[state].colour for state in ("drained", "refusing")]
    for kind in (protan, deutan):
        for one, other in combinations(shown, 2):
            apart = sum((a - b) ** 2 for a, b in zip(_seen(one, kind), _seen(other, kind), strict=True)) ** 0.5
            assert apart > 0.1, (one, other)
