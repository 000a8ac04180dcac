"""Site files: what they hold, and errors that name file, line and key."""

import os
from collections.abc import Iterator
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from usage_assets.core.errors import SiteError
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.sites.base import expand
from usage_assets.sites.files import load_book, load_site, load_sites
from usage_assets_tests import ROOT

GOOD = """\
kind: openstack
name: CHI@Somewhere
first_month: 2018-03
databases:
  nova: mysql+pymysql://usage:${DB_PASSWORD}@db/nova
known_gaps: [{source: nova_compute_nodes, to: 2018-06-01}]
"""


def write(folder: Path, text: str, name: str = "chi.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def cloud(folder: Path, text: str) -> OpenStackSite:
    site = load_site(write(folder, text))
    assert isinstance(site, OpenStackSite)
    return site


def test_a_site_takes_its_key_from_the_file_and_its_name_from_within(tmp_path: Path):
    site = load_site(write(tmp_path, GOOD))
    assert (site.key, site.name, site.first_month) == ("chi", "CHI@Somewhere", date(2018, 3, 1))
    assert site.known_gaps[0].end == date(2018, 6, 1)


def test_maintenance_is_named_by_projects_by_a_pattern_or_not_at_all(tmp_path: Path):
    assert cloud(tmp_path, GOOD).maintenance is None
    text = GOOD + "maintenance: {projects: [0123abc], lease_name: '^maint-of-'}\n"
    said = cloud(tmp_path, text).maintenance
    assert said is not None
    assert (said.projects, said.lease_name) == (("0123abc",), "^maint-of-")


def test_owners_are_teams_and_mail_addresses(tmp_path: Path):
    assert cloud(tmp_path, GOOD).owners == ()
    assert cloud(tmp_path, GOOD + "owners: [team:cloud, ops@example.org]\n").owners == ("team:cloud", "ops@example.org")
    with pytest.raises(SiteError, match=r"chi.yaml:7: owners.*'cloud' is no owner; write team:NAME or a mail address"):
        cloud(tmp_path, GOOD + "owners: [cloud]\n")


def test_the_shipped_sites_load():
    assert {"demo_metal", "demo_kvm"} <= set(load_sites(ROOT / "sites"))


def test_the_shipped_examples_load_when_copied(tmp_path: Path):
    examples = sorted((ROOT / "sites" / "examples").glob("*.yaml.example"))
    assert examples
    for example in examples:
        load_site(write(tmp_path, example.read_text(), example.name.removesuffix(".example")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("kind: openstack", "kind: slurm"), "chi.yaml:1: kind is 'slurm'; allowed: openstack"),
        (GOOD.replace("2018-03", "march"), "chi.yaml:3: first_month: 'march' is not a month; write it as 2016-01"),
        (GOOD + "colour: red\n", "chi.yaml:7: colour: unknown key; allowed: annotations"),
        (GOOD.replace("  nova:", "  novva:"), "chi.yaml:5: databases.novva"),
        (GOOD + "resolution: 7h\n", "chi.yaml:7: resolution: '7h' does not divide a day"),
        (GOOD + "name: again\n", "chi.yaml:7: name stands twice (also in line 2)"),
        ("- a\n", "chi.yaml:1: expected keys and values"),
        ("kind: [\n", "is not YAML"),
        (
            GOOD + "maintenance: {lease_name: '^(m'}\n",
            "chi.yaml:7: maintenance.lease_name: '^(m' is no pattern",
        ),
        (
            GOOD + "maintenance: {lease_name: '(?!x)maint'}\n",
            "chi.yaml:7: maintenance.lease_name: '(?!x)maint': a pattern",
        ),
        (GOOD + "maintenance: {}\n", "chi.yaml:7: maintenance: name projects, a lease_name, or both"),
        (GOOD + "maintenance: {project: a}\n", "chi.yaml:7: maintenance.project: unknown key"),
        (GOOD + "node_types: {'(?=x)': {gpus: 4}}\n", "chi.yaml:7: node_types: '(?=x)': a pattern of host names can't"),
    ],
)
def test_a_broken_file_is_said_with_line_and_key(tmp_path: Path, text: str, said: str):
    with pytest.raises(SiteError) as error:
        load_site(write(tmp_path, text))
    assert said in str(error.value)


def test_every_broken_file_of_a_folder_is_said_at_once(tmp_path: Path):
    write(tmp_path, GOOD)
    write(tmp_path, "kind: nope\n", "one.yaml")
    write(tmp_path, "kind: nope\n", "two.yaml")
    with pytest.raises(SiteError, match=r"one\.yaml[\s\S]*two\.yaml"):
        load_sites(tmp_path)


def test_a_book_holds_the_good_sites_and_says_the_faults_of_the_others(tmp_path: Path):
    write(tmp_path, GOOD)
    write(tmp_path, GOOD + "colour: red\n", "bad.yaml")
    book = load_book(tmp_path)
    assert list(book) == ["chi"]
    assert book["chi"].name == "CHI@Somewhere"
    assert "bad" not in book
    assert "bad.yaml:7: colour: unknown key" in book.faults["bad"]
    with pytest.raises(SiteError, match=r"site bad can't be used until its file is mended: bad\.yaml:7"):
        book["bad"]
    with pytest.raises(KeyError):
        book["nobody"]


@pytest.mark.parametrize(
    "text",
    ["kind: openstack\ncolour: red\n", "kind: 'openstack'\na: [\n", "kind: nope\n", ""],
)
def test_a_site_whose_file_broke_keeps_its_partitions(tmp_path: Path, text: str):
    write(tmp_path, GOOD)
    write(tmp_path, text, "bad.yaml")
    write(tmp_path, text, "Never-A-Site.yaml")
    book = load_book(tmp_path)
    assert book.keys_of("openstack") == ["bad", "chi"]
    assert sorted(book.faults) == ["Never-A-Site", "bad"]


def test_a_file_of_another_kind_keeps_no_partition_of_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("usage_assets.sites.files.KINDS", ("openstack", "htcondor"))
    write(tmp_path, "kind: htcondor\n", "other.yaml")
    assert load_book(tmp_path).keys_of("openstack") == []
    assert load_book(tmp_path).keys_of("htcondor") == ["other"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: openstack\nannotations: [{at: 2026-02-30, text: a}]\n", "day"),
        ("kind: " + "[" * 3000, "no value"),
        ("kind: &a [*a]\n", "a part of it holds itself"),
        ("kind: openstack\n? [a, b]\n: c\n", "is not YAML"),
        ("kind: open\x00stack\n", "is not YAML"),
        ("7: a\nkind: openstack\n", "Keys should be strings"),
        ("", "expected keys and values"),
    ],
)
def test_whatever_a_file_holds_its_fault_is_told_and_the_others_load(tmp_path: Path, text: str, said: str):
    write(tmp_path, GOOD)
    write(tmp_path, text, "bad.yaml")
    book = load_book(tmp_path)
    assert list(book) == ["chi"]
    assert said in book.faults["bad"]
    assert book.faults["bad"].startswith("bad.yaml")


def test_a_file_that_is_no_text_or_can_not_be_read_is_a_fault(tmp_path: Path):
    write(tmp_path, GOOD)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nowhere")
    assert sorted(load_book(tmp_path).faults) == ["bytes", "dangling", "folder"]


def test_a_missing_folder_names_the_setting(tmp_path: Path):
    with pytest.raises(SiteError, match="USAGE_SITES"):
        load_sites(tmp_path / "nowhere")


def test_secrets_come_from_the_environment_when_connecting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DB_PASSWORD", "s3cret")
    assert expand("mysql://u:${DB_PASSWORD}@h/d", where="chi") == "mysql://u:s3cret@h/d"
    with pytest.raises(SiteError, match="chi: the environment has no OTHER"):
        expand("${OTHER}", where="chi")


def test_secrets_come_from_the_secrets_file_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "secrets"
    path.write_text("DB_PASSWORD=s3cret\n", encoding="utf-8")
    path.chmod(0o600)
    monkeypatch.setenv("USAGE_SECRETS", str(path))
    assert expand("mysql://u:${DB_PASSWORD}@h/d", where="chi") == "mysql://u:s3cret@h/d"


@pytest.mark.parametrize(
    ("gap", "found"),
    [
        ("{source: nova_compute_node, to: 2018-01-01}", "no raw table is named nova_compute_node; there are blazar_"),
        ("{source: nova_instances, from: 2018-01-01, to: 2017-01-01}", "to 2017-01-01 does not lie after from 2018-"),
    ],
)
def test_a_known_gap_of_no_source_or_of_no_length_is_refused(tmp_path, gap, found):
    path = tmp_path / "chi_a.yaml"
    path.write_text(f"kind: openstack\ndatabases:\n  nova: sqlite:///a.db\nknown_gaps: [{gap}]\n")
    with pytest.raises(SiteError, match=rf"chi_a.yaml:4: known_gaps.*{found}"):
        load_site(path)


RULE = "{table: nova_instances, where: {project_id: 0123abc}, from: 2019-05-01, to: 2019-06-01, reason: test, by: ops}"


def test_a_rule_takes_dates_as_utc_and_values_as_their_text(tmp_path: Path):
    site = cloud(tmp_path, GOOD + f"exclusions: [{RULE}]\n")
    (rule,) = site.exclusions
    assert (rule.start, rule.end) == (datetime(2019, 5, 1), datetime(2019, 6, 1))
    assert (rule.where, rule.said) == ({"project_id": ("0123abc",)}, "excluded by ops: test")
    zoned = RULE.replace("2019-05-01", "2019-05-01T02:00:00+02:00").replace(", to: 2019-06-01", "")
    (rule,) = cloud(tmp_path, GOOD + f"exclusions: [{zoned}]\n").exclusions
    assert (rule.start, rule.end) == (datetime(2019, 5, 1), None)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("nova_instances", "nova_flavors", "rows of 'nova_flavors' can't be excluded, only those of nova_"),
        ("project_id", "projectid", "nova_instances has no column projectid; there are id, uuid, created_at"),
        (
            "0123abc",
            "0123",
            "where.project_id: YAML reads 0123 as 83; write a number in decimal digits, and put what is",
        ),
        ("0123abc", "123", "project_id: the column is text, YAML reads 123 as a int; put it in quotes"),
        ("{project_id: 0123abc}", "{}", "where names no column"),
        ("0123abc", "[]", "where.project_id names no value"),
        ("0123abc", "null", "where.project_id: None is no value"),
        ("to: 2019-06-01", "to: 2019-04-01", "to 2019-04-01 00:00:00 does not lie after from 2019-05-01"),
        ("to: 2019-06-01", "to: soon", "'soon' is no date; write it as 2019-05-01"),
        ("reason: test, ", "", "exclusions.0.reason: Field required"),
        ("by: ops", 'by: ""', "exclusions.0.by: String should have at least 1 character"),
    ],
)
def test_a_rule_that_could_match_nothing_is_refused(tmp_path: Path, before: str, after: str, said: str):
    with pytest.raises(SiteError) as error:
        load_site(write(tmp_path, GOOD + f"exclusions: [{RULE.replace(before, after)}]\n"))
    assert said in str(error.value)
    assert str(error.value).startswith("chi.yaml:7: exclusions.0")


def test_the_first_source_is_authoritative_others_fill_gaps_and_a_file_lies_beside_the_site(tmp_path: Path):
    text = GOOD + "sources: {total: [nova_compute_nodes, {name: inventory, file: machines.csv}]}\n"
    first, second = cloud(tmp_path, text).sources["total"]
    assert (first.name, first.policy, first.file) == ("nova_compute_nodes", "authoritative", None)
    assert (second.name, second.policy, second.file) == ("inventory", "gap_fill", tmp_path / "machines.csv")


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ("{committed: [nova_instances]}", "committed has no sources to choose from; only total has"),
        ("{total: [nova_hosts]}", "total can't be made from nova_hosts; its sources are nova_compute_nodes"),
        ("{total: [nova_compute_nodes, nova_compute_nodes]}", "total names a source twice"),
        ("{total: [inventory]}", "sources.total.0: inventory needs file"),
        ("{total: [{name: nova_services, file: a.csv}]}", "nova_services is a raw table and has no file"),
        ("{total: [{name: nova_services, policy: guess}]}", "Input should be 'authoritative', 'gap_fill'"),
        ("{total: nova_compute_nodes}", "expected a list of sources"),
        ("{total: []}", "total needs a source with machines"),
        ("{total: [chameleon_usage_node_count_cache]}", "total needs a source with machines"),
        ("{total: [nova_compute_nodes, {policy: gap_fill}]}", "sources.total.1.name: Field required"),
    ],
)
def test_sources_that_a_metric_can_not_have_are_refused(tmp_path: Path, sources: str, said: str):
    with pytest.raises(SiteError) as error:
        load_site(write(tmp_path, GOOD + f"sources: {sources}\n"))
    assert said in str(error.value)
    assert str(error.value).startswith("chi.yaml:7: sources")


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ("{cert: c.pem}", "cert and key belong together"),
        ("{verify: ca}", "name ca"),
        ("{verify: none, ca: ca.pem}", "leave ca out"),
        ("{verify: maybe}", "tls.verify"),
        ("{cipher: x}", "tls.cipher: unknown key"),
    ],
)
def test_a_tls_that_means_nothing_is_refused(tmp_path: Path, tls: str, said: str):
    with pytest.raises(SiteError, match=said):
        load_site(write(tmp_path, f"kind: openstack\ndatabases: {{nova: 'mysql://h/nova'}}\ntls: {tls}\n"))


def test_files_of_tls_lie_beside_the_sites_file(tmp_path: Path):
    text = "kind: openstack\ndatabases: {nova: 'mysql://h/nova'}\ntls: {ca: ca.pem, cert: /etc/c.pem, key: k.pem}\n"
    tls = cloud(tmp_path, text).tls
    assert tls is not None
    assert (tls.ca, tls.cert, tls.key) == (tmp_path / "ca.pem", Path("/etc/c.pem"), tmp_path / "k.pem")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "node_types: {'^g': {gpus: 010}}",
            "chi.yaml:7: node_types.^g.gpus: YAML reads 010 as 8; write a number in decimal",
        ),
        ("node_types: {'^g': {gpus: yes}}", "chi.yaml:7: node_types.^g.gpus: Input should be a valid integer"),
        ("node_types: {'^g': {gpus: '4'}}", "chi.yaml:7: node_types.^g.gpus: Input should be a valid integer"),
        ("node_types: {'^g': {gpus: 4.0}}", "chi.yaml:7: node_types.^g.gpus: Input should be a valid integer"),
        ("settle_days: 031", "chi.yaml:7: settle_days: YAML reads 031 as 25"),
        ("settle_days: yes", "chi.yaml:7: settle_days: Input should be a valid integer"),
        ("settle_days: 1:30", "chi.yaml:7: settle_days: YAML reads 1:30 as 90"),
        ("settle_days: 0x1f", "chi.yaml:7: settle_days: YAML reads 0x1f as 31"),
        ("settle_days: 1_0", "chi.yaml:7: settle_days: YAML reads 1_0 as 10"),
        ("cleaning_minutes: on", "chi.yaml:7: cleaning_minutes: Input should be a valid integer"),
        ("project_names: {012: a}", "chi.yaml:7: project_names.012: YAML reads 012 as 10"),
        ("maintenance: {projects: [0123]}", "chi.yaml:7: maintenance.projects.0: YAML reads 0123 as 83"),
    ],
)
def test_a_number_is_what_it_looks_like(tmp_path: Path, text: str, said: str):
    with pytest.raises(SiteError) as error:
        load_site(write(tmp_path, f"{GOOD}{text}\n"))
    assert str(error.value).startswith(said)


def test_plain_numbers_and_quoted_texts_are_taken(tmp_path: Path):
    site = cloud(tmp_path, GOOD + "settle_days: 0\nnode_types: {'^g': {gpus: 8}}\nproject_names: {'012': '0x1'}\n")
    assert (site.settle_days, site.node_types["^g"].gpus, site.project_names) == (0, 8, {"012": "0x1"})


def _numbers(model: type[BaseModel]) -> Iterator[object]:
    """Of every number in a model, and in what is in it, whether pydantic takes nothing else for one."""
    waiting: list[Any] = [TypeAdapter(model).core_schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if part.get("type") in ["int", "float"]:
                yield part.get("strict")
            waiting += part.values()
        elif isinstance(part, (list, tuple)):
            waiting += part


def test_every_number_of_every_file_is_strict():
    from usage_assets.alerts.config import Alerts
    from usage_assets.sites.files import MODELS

    found = [strict for model in (*MODELS.values(), Alerts) for strict in _numbers(model)]
    assert len(found) > 10
    assert all(found)


def test_files_of_editors_are_no_site_files_and_both_suffixes_are(tmp_path: Path):
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "other.yml")
    for name in ("._chi.yaml", "#chi.yaml#", "chi.yaml~", ".chi.yaml.swp", "#chi.yaml", ".yaml"):
        write(tmp_path, "junk: [", name)
    (tmp_path / ".#chi.yaml").symlink_to("me@host.1:1")
    book = load_book(tmp_path)
    assert list(book) == ["chi", "other"]
    assert book.faults == {}


def test_two_files_of_one_site_are_a_fault_of_that_site(tmp_path: Path):
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "two.yaml")
    write(tmp_path, GOOD, "two.yml")
    book = load_book(tmp_path)
    assert list(book) == ["chi"]
    assert book.faults == {"two": "two.yaml and two.yml are both there, one site has one file; take one of them away"}
    assert book.keys_of("openstack") == ["chi", "two"]


def _bomb(levels: int, first: str = "[x,x,x,x,x,x,x,x,x,x]") -> str:
    names = "abcdefghij"[:levels]
    lines = [f"a: &a {first}"]
    lines += [f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]" for old, new in pairwise(names)]
    return "\n".join(lines) + "\n"


def _merges(levels: int) -> str:
    names = "abcdefghij"[:levels]
    lines = ["a: &a {x: 1, y: 2}"]
    lines += [f"{new}: &{new} {{<<: [{','.join([f'*{old}'] * 10)}]}}" for old, new in pairwise(names)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("text", [_bomb(10), _bomb(7), _merges(10)])
def test_a_file_that_its_aliases_make_huge_is_refused_at_once_and_the_others_load(tmp_path: Path, text: str):
    write(tmp_path, GOOD)
    write(tmp_path, f"kind: openstack\nname: x\n{text}", "bomb.yaml")
    begun = process_time()
    book = load_book(tmp_path)
    assert process_time() - begun < 1
    assert list(book) == ["chi"]
    assert "bomb.yaml: its aliases (&name ... *name) make" in book.faults["bomb"]


def test_a_few_aliases_are_what_yaml_has_them_for(tmp_path: Path):
    text = GOOD + "node_types: {'^a': &gpu {type: gpu, gpus: 4}, '^b': *gpu}\n"
    assert cloud(tmp_path, text).node_types["^b"].gpus == 4


def test_what_is_no_file_or_a_huge_one_is_refused_at_once_and_the_others_load(tmp_path: Path):
    write(tmp_path, GOOD)
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(10**10)
    begun = process_time()
    book = load_book(tmp_path)
    assert process_time() - begun < 1
    assert list(book) == ["chi"]
    assert book.faults["pipe"].startswith("pipe.yaml: is no regular file")
    assert book.faults["device"].startswith("device.yaml: is no regular file")
    assert book.faults["huge"].startswith("huge.yaml: has 10,000,000,000 bytes, more than")


LEAK = "mysql+pymysql://usage:Lit3ral-Secret-88@127.0.0.1:3306/nova"
KEYS = (
    "kind", "name", "first_month", "databases", "tls", "resolution", "settle_days", "known_gaps", "maintenance",
    "node_types", "utilization_of", "project_names", "hash_names", "personal", "exclusions", "sources",
    "cleaning_minutes", "annotations", "snapshots", "poll_minutes", "timezone", "hosted", "masked", "memory_bands",
    "collector", "reports", "nobody",
)  # fmt: skip
SHAPES = ("{0}", "[{0}]", "'{0}'", "{{'{0}': a}}", "{{a: '{0}'}}", "[{{at: '{0}'}}]", "!{0} a", "*{0}", '"{0}', "[{0}")


@pytest.mark.parametrize("leak", [LEAK, LEAK.replace("Lit3ral", "/?@: Lit3ral"), "https://hooks/Secret-88?t=Lit3ral"])
@pytest.mark.parametrize("key", KEYS)
def test_no_fault_repeats_a_url_whatever_key_it_stands_in(tmp_path: Path, key: str, leak: str):
    for kind in ("openstack", "htcondor"):
        good = GOOD.replace("kind: openstack", f"kind: {kind}")
        rest = "".join(line + "\n" for line in good.splitlines() if not line.startswith((key, "  ")))
        for shape in SHAPES:
            write(tmp_path, f"{rest}{key}: {shape.format(leak)}\n")
            book = load_book(tmp_path)
            assert not [word for word in ("Lit3ral", "Secret-88") if word in " ".join(book.faults.values())], shape
