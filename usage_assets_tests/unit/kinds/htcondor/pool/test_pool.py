import polars as pl
import pytest

from usage_assets.kinds.htcondor.pool import classes, columns
from usage_assets.kinds.htcondor.pool.rules import Pool

POOL = Pool(hosted=frozenset({"h1", "big2.pool.edu"}), masked={"gpulab2003": "broken fan", "m2.a.edu": "moved"})


@pytest.mark.parametrize(
    ("device", "shown"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("NVIDIA A100 80GB PCIe", "A100 80GB"),
        ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", "A100 80GB MIG 3g.40gb"),
        ("NVIDIA H100 80GB HBM3", "H100 80GB"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce GTX 1080 Ti", "GTX 1080 Ti"),
        ("Tesla P100-PCIE-16GB", "P100 16GB"),
        ("Quadro RTX 6000", "Quadro RTX 6000"),
        ("NVIDIA RTX A4000", "RTX A4000"),
        ("NVIDIA", "NVIDIA"),
        (None, "Unknown"),
        (" ", "Unknown"),
    ],
)
def test_devices_have_short_names(device: str | None, shown: str) -> None:
    assert POOL.display_name(device) == shown


def test_the_site_may_name_a_device() -> None:
    assert Pool(display_names={"NVIDIA H100 80GB HBM3": "H100"}).display_name("NVIDIA H100 80GB HBM3") == "H100"


@pytest.mark.parametrize(
    ("device", "filtered"),
    [
        ("NVIDIA GeForce GTX 1080 Ti", True),
        ("Tesla P100-PCIE-16GB", True),
        ("Quadro RTX 6000", True),
        ("NVIDIA A40", True),
        ("NVIDIA A30", True),
        ("NVIDIA RTX A4000", False),
        ("NVIDIA A300", False),
        ("NVIDIA A100-SXM4-80GB", False),
        (None, False),
    ],
)
def test_family_filter_by_word(device: str | None, filtered: bool) -> None:
    assert POOL.is_filtered(device) is filtered


@pytest.mark.parametrize(
    ("memory", "band"),
    [
        (24564, "<48GB"),
        (44 * 1024 - 1, "<48GB"),
        (44 * 1024, "48GB"),
        (46068, "48GB"),
        (64 * 1024, "50-75GB"),
        (81251, "80GB"),
        (143771, ">80GB"),
        (None, "Unknown"),
        (0, "Unknown"),
        (float("nan"), "Unknown"),
    ],
)
def test_memory_bands(memory: float | None, band: str) -> None:
    assert POOL.band(memory) == band
    assert band in POOL.band_labels


@pytest.mark.parametrize(
    ("device", "tier"),
    [
        ("NVIDIA A100-SXM4-80GB", "Flagship"),
        ("NVIDIA A100-SXM4-40GB", "Standard"),
        ("NVIDIA H200", "Flagship"),
        ("NVIDIA GH200 480GB", "Standard"),
        (None, "Standard"),
    ],
)
def test_tiers(device: str | None, tier: str) -> None:
    assert POOL.tier(device) == tier


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        ("gpulab2003", "broken fan"),
        ("gpulab2003.pool.edu", "broken fan"),
        ("GPULAB2003.pool.edu", "broken fan"),
        ("gpulab20031.pool.edu", None),
        ("x.gpulab2003", None),
        ("m2", "moved"),
        ("m2.a.edu", "moved"),
        ("m2.b.edu", None),
        ("", None),
        (None, None),
    ],
)
def test_mask_is_a_name(machine: str | None, reason: str | None) -> None:
    assert POOL.mask_reason(machine) == reason


def test_the_most_exact_mask_is_the_reason() -> None:
    pool = Pool(masked={"h1": "any", "h1.a.edu": "that one"})
    assert [pool.mask_reason(name) for name in ("h1.a.edu", "h1.b.edu", "h1")] == ["that one", "any", "any"]


def test_hosts_are_listed_with_or_without_domain() -> None:
    assert [POOL.is_hosted(name) for name in ("h1.pool.edu", "big2", "big2.other.edu", "h11")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("hosted", "projects", "interactive", "name"),
    [
        (True, False, True, classes.PRIORITIZED_HOSTED),
        (True, True, False, classes.PRIORITIZED_HOSTED),
        (False, True, True, classes.PRIORITIZED_RESEARCHER),
        (False, False, False, classes.OPEN),
        (False, False, True, classes.INTERACTIVE),
    ],
)
def test_hosted_list_decides(hosted: bool, projects: bool, interactive: bool, name: str) -> None:
    asked = (pl.lit(value) for value in (hosted, projects, interactive))
    assert pl.select(columns.primary_class(*asked)).item() == name


def test_backfill_is_classed_by_the_machine() -> None:
    asked = [(True, True), (False, True), (False, False)]
    assert [pl.select(columns.backfill_class(pl.lit(h), pl.lit(p))).item() for h, p in asked] == [
        classes.BACKFILL_HOSTED,
        classes.BACKFILL_RESEARCHER,
        classes.BACKFILL_OPEN,
    ]


def test_a_machine_may_be_called_backfill() -> None:
    assert not classes.is_backfill("slot1@backfill1.pool.edu")
    assert classes.is_backfill("backfill2_3@host.pool.edu")


def test_every_class_but_the_interactive_one_is_in_one_legacy_class() -> None:
    assert set(classes.LEGACY_OF) == set(classes.CLASSES) - {classes.INTERACTIVE}
    assert (*classes.PRIMARY, *classes.BACKFILL) == classes.CLASSES


@pytest.mark.parametrize("dtype", [pl.String(), pl.Categorical()])
def test_columns_say_the_same(dtype: pl.DataType) -> None:
    devices = ["NVIDIA H200", None, "NVIDIA A40", "NVIDIA H200"]
    frame = pl.LazyFrame({"device": pl.Series(devices, dtype=dtype), "memory": [143771, None, 46068, 143771]})
    found = frame.select(
        name=columns.applied(POOL.display_name, pl.col("device"), pl.String()),
        out=columns.applied(POOL.is_filtered, pl.col("device"), pl.Boolean()),
        tier=columns.applied(POOL.tier, pl.col("device"), pl.String()),
        band=columns.applied(POOL.band, pl.col("memory"), pl.String()),
        hosted=columns.applied(POOL.is_hosted, pl.col("device"), pl.Boolean()),
        mask=columns.applied(POOL.mask_reason, pl.col("device"), pl.String()),
    ).collect()
    assert found["name"].to_list() == [POOL.display_name(device) for device in devices]
    assert found["out"].to_list() == [False, False, True, False]
    assert found["tier"].to_list() == ["Flagship", "Standard", "Standard", "Flagship"]
    assert found["band"].to_list() == [">80GB", "Unknown", "48GB", ">80GB"]
    assert not found["hosted"].any()
    assert found["mask"].null_count() == 4


def test_columns_of_no_rows() -> None:
    frame = pl.DataFrame({"device": pl.Series([], dtype=pl.String)})
    assert frame.select(columns.applied(POOL.tier, pl.col("device"), pl.String())).is_empty()
