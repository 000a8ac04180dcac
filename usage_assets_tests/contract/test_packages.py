"""The tree of packages: what each kind has, what each package says of itself, and which words stay out of the core."""

import ast
import re
from pathlib import Path

import pytest

import usage_assets
from usage_assets.kinds import KINDS

ROOT = Path(usage_assets.__file__).parent
PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py"))

NEEDED = {"site", "raw", "facts", "timelines"}
ALLOWED = {"tables", "plots", "reports", "collect", "pool", "legacy"}

CORE = ("core", "intervals", "warehouse", "schema", "specs", "sites")
# names of services, and of what only one kind of site has; machines, servers, devices, nodes and jobs are everybody's
OF_ONE_KIND = {
    "blazar", "condor", "flavor", "gpu", "hostname", "htcondor", "hypervisor", "ironic", "keystone", "lease", "nova",
    "openstack", "reservation", "slot", "vm", "zun",
}  # fmt: skip
EXCEPTIONS = {
    # a released migration names stored tables and columns as they were
    "warehouse/migrations.py": {"blazar", "gpu", "lease", "nova", "reservation", "zun"},
}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def words(text: str) -> set[str]:
    """The words of a text and of its names, in small letters, also in the singular: `is_byGPUs` has is, by and gpu."""
    found = {word.lower() for word in _WORD.findall(re.sub(r"([A-Z]{2,})s\b", r"\1", text))}
    return found | {word.removesuffix("s") for word in found}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_its_stages_and_nothing_unknown(kind: str):
    folder = ROOT / "kinds" / kind
    assert {path.name for path in folder.glob("*.py")} == {"__init__.py", "kind.py"}
    parts = {path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert parts >= NEEDED
    assert parts - NEEDED <= ALLOWED


def test_every_folder_with_modules_is_a_package_that_says_what_it_holds():
    assert {path.parent for path in ROOT.rglob("*.py")} == set(PACKAGES)
    silent = [path.name for path in PACKAGES if not ast.get_docstring(ast.parse((path / "__init__.py").read_text()))]
    assert silent == []


def test_the_core_knows_no_word_of_one_kind():
    found = {}
    for package in CORE:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            found[name] = (words(path.read_text(encoding="utf-8")) & OF_ONE_KIND) - EXCEPTIONS.get(name, set())
    assert {name: sorted(some) for name, some in found.items() if some} == {}


@pytest.mark.parametrize(
    ("text", "has"),
    [("has_gpus", True), ("GPUs", True), ("gpuStates", True), ("hypervisor_hostname", True), ("release", False)],
)
def test_a_word_is_found_in_names_and_in_the_plural(text: str, has: bool):
    assert bool(words(text) & OF_ONE_KIND) == has
