"""Site files: what they hold, and errors that name file, line and key."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from usage_assets.core.errors import SiteError
from usage_assets.kinds.site_files import load_site, load_sites
from usage_assets.sites.base import expand
from usage_assets_tests import ROOT
from usage_assets_tests.unit.sites.texts import GOOD, cloud, write


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
    assert (rule.where, rule.explanation) == ({"project_id": ("0123abc",)}, "excluded by ops: test")
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
    from usage_assets.kinds.site_files import MODELS

    models: list[type[BaseModel]] = [*MODELS.values(), Alerts]
    found = [strict for model in models for strict in _numbers(model)]
    assert len(found) > 10
    assert all(found)
