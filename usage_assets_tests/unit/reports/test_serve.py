"""The server of plots reads, on loopback, below its folder, and does nothing else."""

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


def ask(address: tuple[str, int], method: str, path: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(*address, timeout=5)
    connection.request(method, path)
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
    "path",
    [
        "/../secret.txt",
        "/made/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/made/..%2f..%2fsecret.txt",
        "//etc/passwd",
        "/made/link.txt",
        "/made/.plot.part",
    ],
)
def test_nothing_outside_the_folder_and_no_hidden_file_is_served(address, path):
    answer, body = ask(address, "GET", path)
    assert answer.status == 404
    assert b"secret" not in body
    assert b"half" not in body


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
