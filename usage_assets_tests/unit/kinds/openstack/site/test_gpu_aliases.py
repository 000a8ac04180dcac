"""PCI aliases that are GPUs: by the site's file, else by words that name GPUs."""

from pathlib import Path
from typing import Any

import pytest

from usage_assets.kinds.openstack.raw.access import check_site
from usage_assets.kinds.openstack.raw.tables import TABLES
from usage_assets.kinds.openstack.site.gpu_aliases import is_gpu_alias
from usage_assets_tests.golden.builder import Rows, spec_text
from usage_assets_tests.golden.stores import write_sqlite

GPUS = (
    "gpu",
    "GPU",
    "vgpu",
    "nvidia",
    "amd-mi100",
    "a100",
    "A100-SXM4",
    "a100sxm4",
    "h100_pcie",
    "v100s",
    "p100",
    "t4",
)
MORE_GPUS = (
    "l40s",
    "mi250x",
    "rtx6000",
    "quadro_rtx",
    "k80m",
    "nvidia-a30-24q",
    "gpu0",
    "my.gpu.4",
    "gh200",
    "tesla-t4",
)
OTHERS = (
    "mlx5-vf",
    "nvme",
    "nvme4",
    "qat",
    "sriov",
    "a1000x",
    "gpus_not_x"[5:],
    "intel-x710",
    "fpga",
    "p4510",
    "ssd-t40",
)


@pytest.mark.parametrize("alias", [*GPUS, *MORE_GPUS])
def test_words_that_name_gpus_count(alias: str):
    assert is_gpu_alias(alias, None)


@pytest.mark.parametrize("alias", OTHERS)
def test_other_aliases_do_not(alias: str):
    assert not is_gpu_alias(alias, None)


def test_names_of_the_sites_file_are_whole_and_patterns_are_searched_for():
    declared = ["nvme", "^mlx5-"]
    assert [is_gpu_alias(name, declared) for name in ("nvme", "nvme2", "mlx5-vf", "a-mlx5-vf", "a100")] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert not is_gpu_alias("a100", [])


def test_check_site_lists_the_aliases_of_the_newest_flavors_that_do_not_count(tmp_path: Path):
    rows = Rows()
    for extra_specs in ({"pci_passthrough:alias": "a100:1,mlx5-vf:2"}, {"pci_passthrough:alias": "nvme:4"}, {}):
        server = rows.instance("h", "2024-01-10")
        rows.spec(server, spec_text(extra_specs=extra_specs))
    said = {name: _remarks(rows, tmp_path, **more) for name, more in ((1, {}), (2, {"gpu_aliases": ["nvme", "x"]}))}
    (remark,) = said[1]
    assert remark == (
        "PCI aliases of flavors that do not count as GPUs: mlx5-vf, nvme; where some are GPUs, name all aliases that "
        "are in gpu_aliases of golden.yaml"
    )
    assert "as GPUs: a100, mlx5-vf;" in said[2][0]
    assert _remarks(rows, tmp_path, gpu_aliases=[".*"]) == ()


def _remarks(rows: Rows, folder: Path, **site: Any) -> tuple[str, ...]:
    made = write_sqlite(rows, folder, databases=("nova", "nova_api"), **site)
    return check_site(made, TABLES).remarks
