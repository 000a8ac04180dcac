"""The server of plots reads, on loopback, below its folder, for who calls it by its name, and does nothing else."""

import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest

from usage_assets.reports import serve


@pytest.fixture
def address(tmp_path) -> Iterator[tuple[str, int]]:
    folder = tmp_path / "plots"
    (folder / "made").mkdir(parents=True)
    (folder / "made/plot.html").write_text("<p>plot</p>")
    (folder / "made/.plot.part").write_text("half a file")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "made/link.txt").symlink_to(tmp_path / "secret.txt")
    server = serve.server(folder, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    host, port = server.server_address[:2]
    yield str(host), port
    server.shutdown()
    thread.join()
    server.server_close()


def ask(
    address: tuple[str, int], method: str, path: str, hosts: tuple[str, ...] = ("localhost",)
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(*address, timeout=5)
    connection.putrequest(method, path, skip_host=True)
    for host in hosts:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_it_listens_on_loopback_only(address):
    assert address[0] == "127.0.0.1"


def test_it_serves_a_plot(address):
    answer, body = ask(address, "GET", "/made/plot.html")
    assert (answer.status, body) == (200, b"<p>plot</p>")
    assert "default-src 'none'" in (answer.getheader("Content-Security-Policy") or "")
    head, nothing = ask(address, "HEAD", "/made/plot.html")
    assert (head.status, nothing) == (200, b"")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/../secret.txt", 400),
        ("/made/../../secret.txt", 400),
        ("/%2e%2e/secret.txt", 400),
        ("/made/..%2f..%2fsecret.txt", 400),
        ("/made/..%5c..%5csecret.txt", 400),
        ("//etc/passwd", 404),
        ("http://elsewhere/made/plot.html", 400),
        ("/made/%zz", 400),
        ("/made/%ff.html", 400),
        ("/made/plot.html%00", 400),
        ("/made/%0d%0aSet-Cookie:x", 400),
        ("/made//plot.html", 400),
        (f"/{'a' * 300}/plot.html", 400),
        (f"/made/{'a' * 3000}", 400),
        ("/made/link.txt", 404),
        ("/made/.plot.part", 404),
        ("/.front.json", 404),
        ("/made/plot.html/", 404),
        ("/made/%70lot.html?again=1", 200),
    ],
)
def test_odd_requests_are_refused_and_nothing_outside_the_folder_and_no_hidden_file_is_served(address, path, status):
    answer, body = ask(address, "GET", path)
    assert answer.status == status
    assert b"secret" not in body
    assert b"half" not in body


@pytest.mark.parametrize(
    ("hosts", "url", "status"),
    [
        (("127.0.0.1:3001",), None, 200),
        (("localhost",), None, 200),
        (("LOCALHOST.:80",), None, 200),
        (("[::1]:3001",), None, 200),
        (("usage.example.org",), "https://usage.example.org/plots", 200),
        (("usage.example.org:8443",), "https://usage.example.org/plots", 200),
        (("usage.example.org",), None, 421),
        (("evil.example",), "https://usage.example.org/plots", 421),
        (("127.0.0.1.evil.example",), None, 421),
        (("localhost@evil.example",), None, 400),
        ((), None, 400),
        (("localhost", "evil.example"), None, 400),
        (("localhost evil.example",), None, 400),
    ],
)
def test_only_names_of_this_machine_and_of_the_environments_address_are_answered(
    address, hosts, url, status, monkeypatch
):
    if url:
        monkeypatch.setenv("USAGE_PLOTS_URL", url)
    for path in ("/made/plot.html", "/"):
        answer, body = ask(address, "GET", path, hosts)
        assert answer.status == status
        assert (b"plot" in body and b"Plots are not" not in body) is (status == 200)


def test_folders_are_pages_and_what_is_missing_says_so(address):
    home, body = ask(address, "GET", "/")
    assert (home.status, b"made" in body) == (200, True)
    moved, _ = ask(address, "GET", "/made")
    assert (moved.status, moved.getheader("Location")) == (301, "made/")
    site, body = ask(address, "GET", "/made/")
    assert (site.status, b'href="plot.html"' in body) == (200, True)
    head, nothing = ask(address, "HEAD", "/made/")
    assert (head.status, head.getheader("Content-Length"), nothing) == (200, str(len(body)), b"")
    lost, body = ask(address, "GET", "/made/2026-01/legacy_facet.html")
    assert lost.status == 404
    assert b"a database chameleon_usage" in body
    assert b'href="../../made/"' in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_takes_no_writes(address, method):
    answer, _ = ask(address, method, "/made/plot.html")
    assert answer.status == 501


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://127.0.0.1:3001", 3001),
        ("http://localhost:4000/plots", 4000),
        ("https://plots.example:8443/usage", 3001),
        ("http://localhost", 3001),
    ],
)
def test_the_port_is_that_of_the_environments_address_where_it_names_this_machine(monkeypatch, url, port):
    monkeypatch.setenv("USAGE_PLOTS_URL", url)
    assert serve.port() == port
