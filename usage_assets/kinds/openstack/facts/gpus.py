"""GPUs that a flavor's extra specs ask for."""

import polars as pl

from usage_assets.kinds.openstack.site.gpu_aliases import alias_patterns
from usage_assets.kinds.openstack.site.model import OpenStackSite


def with_flavor_gpus(rows: pl.LazyFrame, extra_specs: str, site: OpenStackSite) -> pl.LazyFrame:
    """The rows with flavor_gpus in place of the text of their extra specs.

    Flavors are few and their texts long: each is read once.
    """
    texts = rows.select(extra_specs).unique()
    known = texts.with_columns(flavor_gpus=flavor_gpus(pl.col(extra_specs), site))
    return rows.join(known, on=extra_specs, how="left", nulls_equal=True, maintain_order="left").drop(extra_specs)


def flavor_gpus(extra_specs: pl.Expr, site: OpenStackSite) -> pl.Expr:
    """GPUs that a flavor's extra specs ask for: virtual and whole ones, and PCI devices by alias; null without specs.

    `resources:VGPU`, `resources:PGPU` and custom classes with GPU in their name, also of numbered groups
    (`resources1:VGPU`), and the counts in `pci_passthrough:alias` (`a100:2`) of aliases that are GPUs by the site's
    file. The number in the site's `gpu_extra_spec`, where a flavor has it, stands for all of these.
    """
    classes = extra_specs.str.extract_all(r'"resources[A-Za-z0-9_-]*:[A-Z0-9_]*GPU[A-Z0-9_]*"\s*:\s*"?\d+')
    asked = extra_specs.str.extract(r'"pci_passthrough:alias"\s*:\s*"([^"]*)"').str.split(",")
    name = pl.element().str.extract(r"^\s*(.*?)\s*:\s*\d+\s*$")
    is_gpu = pl.any_horizontal(
        pl.lit(value=False), *(name.str.contains(pattern) for pattern in alias_patterns(site.gpu_aliases))
    )
    aliases = asked.list.eval(pl.element().filter(is_gpu.fill_null(value=False)).str.strip_chars_end())
    count = _sum_of_numbers(classes) + _sum_of_numbers(aliases)
    if site.gpu_extra_spec is not None:
        name_of_spec = site.gpu_extra_spec.replace(".", "[.]")
        number = f'"{name_of_spec}"' + r'\s*:\s*"?\s*(\d+(?:\.\d+)?)\s*["},]'
        count = pl.coalesce(extra_specs.str.extract(number).cast(pl.Float64), count)
    return pl.when(extra_specs.str.starts_with("{")).then(count)


def _sum_of_numbers(texts: pl.Expr) -> pl.Expr:
    number = pl.element().str.extract(r"(\d+)$").cast(pl.Float64)
    return texts.list.eval(number).list.sum().fill_null(0.0)
