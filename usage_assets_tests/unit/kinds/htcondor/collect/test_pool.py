"""The bindings: what they say becomes plain values, and what they raise a sentence. They need not be installed."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from usage_assets.core.errors import SiteError, SourceError
from usage_assets.kinds.htcondor.collect.ads import attributes
from usage_assets.kinds.htcondor.collect.pool import CondorPool, plain
from usage_assets_tests.unit.kinds.htcondor.collect.pools import SLOT, site_of


class ExprTree:
    """An expression of a ClassAd that is not evaluated."""

    def __init__(self, text: str) -> None:
        if "=>" in text:
            raise SyntaxError("the parser did not like it")
        self.text = text

    def __str__(self) -> str:
        return self.text


class Value:
    """Undefined, or an error."""


class ClassAd(dict[str, Any]):
    def eval(self, name: str) -> object:
        return {"strcat": "Unclaimed"}.get(str(self[name]), Value())


def test_a_classad_becomes_plain_values():
    ad = ClassAd(
        Name="slot1@h",
        State=ExprTree("strcat"),
        RemoteOwner=Value(),
        GlobalJobId=ExprTree("error"),
        GPUs_DeviceName=ClassAd(a=1),
        AvailableGPUs=[ExprTree("GPUs_GPU_1_a"), ExprTree("GPUs_GPU_2"), "GPUs_GPU_3", ClassAd(Id="GPU-4"), Value()],
        GPUs_GPU_1_a=ClassAd(Id="GPU-1/a"),
        GPUs_GPU_2=ClassAd(Id="of another kind"),
        Disk=7,
    )
    found = plain(ad, attributes())
    assert {name: value for name, value in found.items() if value is not None} == {
        "Name": "slot1@h",
        "State": "Unclaimed",
        "AvailableGPUs": ["GPU-1/a", "GPUs_GPU_2", "GPUs_GPU_3", "GPU-4", None],
        "Disk": 7,
    }
    listed = plain(ClassAd(AvailableGPUs=ExprTree("{ GPUs_GPU_1, GPUs_GPU_2 }")), ["AvailableGPUs"])
    assert listed == {"AvailableGPUs": ["GPUs_GPU_1", "GPUs_GPU_2"]}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object, str, list[str]]]:
    """Bindings that answer for one host only; what they were asked."""
    out: list[tuple[str, object, str, list[str]]] = []

    class Collector:
        def __init__(self, address: str) -> None:
            self.address = address

        def query(self, kind: object, constraint: str, projection: list[str]) -> list[ClassAd]:
            out.append((self.address, kind, constraint, projection))
            if self.address != "good:9618":
                raise RuntimeError(f"Failed communication\nwith {self.address}")
            return [ClassAd(SLOT)]

    condor, ads = ModuleType("htcondor2"), ModuleType("classad2")
    vars(condor).update(Collector=Collector, AdTypes=SimpleNamespace(Startd="startd"))
    vars(ads).update(ExprTree=ExprTree)
    monkeypatch.setitem(sys.modules, "htcondor2", condor)
    monkeypatch.setitem(sys.modules, "classad2", ads)
    return out


def test_the_first_collector_that_answers_is_enough(tmp_path: Path, asked):
    pool = CondorPool(site_of(tmp_path, collector={"pool": ["bad:1", "good:9618", "never:1"]}))
    (found,) = pool.slots("GPUs >= 1", ["Name", "Disk"])
    assert found == {"Name": SLOT["Name"], "Disk": None}
    assert asked == [(host, "startd", "GPUs >= 1", ["Name", "Disk"]) for host in ("bad:1", "good:9618")]


def test_who_does_not_answer_is_named_as_the_sites_file_names_it(tmp_path: Path, asked, monkeypatch):
    monkeypatch.setenv("CENTRAL_MANAGER", "hidden.x.edu:9618")
    pool = CondorPool(site_of(tmp_path, collector={"pool": ["bad:1", "${CENTRAL_MANAGER}"]}))
    with pytest.raises(SourceError) as failed:
        pool.slots("GPUs >= 1", ["Name"])
    assert str(failed.value).startswith(
        "site pool: the pool does not answer (bad:1: Failed communication with bad:1; "
        "${CENTRAL_MANAGER}: Failed communication with ${CENTRAL_MANAGER}). Look at collector in the site's file"
    )


def test_a_condition_that_is_none_is_said_before_anyone_is_asked(tmp_path: Path, asked):
    with pytest.raises(SiteError, match="constraint 'a => 1' is no ClassAd expression"):
        CondorPool(site_of(tmp_path, collector={"constraint": "a => 1"}))
    assert asked == []


def test_without_the_bindings_it_is_said_how_to_get_them(tmp_path: Path, monkeypatch):
    for name in ("htcondor2", "htcondor"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SourceError, match=r"pip install 'htcondor>=23\.0'"):
        CondorPool(site_of(tmp_path))


def test_the_real_bindings_are_understood_where_they_are_installed():
    classad = pytest.importorskip("classad2", reason="the bindings of HTCondor are not installed")
    ad = classad.ClassAd(
        '[Name = "slot1@h"; State = strcat("Un", "claimed"); Disk = undefined; RemoteOwner = error;'
        "AvailableGPUs = { GPUs_GPU_1,GPUs_GPU_2 }; GPUs_GPU_1 = [ Id = "
        '"GPU-1" ]; GPUsAverageUsage = 1/0; GPUs_GlobalMemoryMb = 1.5e4]'
    )
    found = {name: value for name, value in plain(ad, attributes()).items() if value is not None}
    assert found == {
        "Name": "slot1@h",
        "State": "Unclaimed",
        "AvailableGPUs": ["GPU-1", "GPUs_GPU_2"],
        "GPUs_GlobalMemoryMb": 15000.0,
    }
