"""A mail server on loopback that offers what a test wants and keeps every line it was told, with whether encrypted."""

import contextlib
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class MailServer:
    """What it was told: lines and whether TLS was on; the mails it took."""

    port: int
    lines: list[tuple[bool, str]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)

    @property
    def clear(self) -> str:
        """Everything that went over the wire unencrypted."""
        return "\n".join(line for encrypted, line in self.lines if not encrypted)


@contextmanager
def mail_server(
    *, starttls: Path | None = None, implicit: Path | None = None, refuses: str | None = None
) -> Iterator[MailServer]:
    """A running server; a path is a certificate with its key, `refuses` a command that it answers 550."""

    class Handler(socketserver.StreamRequestHandler):
        encrypted = False

        def answer(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())
            self.wfile.flush()

        def wrap(self, certificate: Path) -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.request = context.wrap_socket(self.request, server_side=True)
            self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb")
            self.encrypted = True

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                if implicit is not None:
                    self.wrap(implicit)
                self.answer("220 hello")
                while line := self.rfile.readline().decode().rstrip("\r\n"):
                    got.lines.append((self.encrypted, line))
                    if not self.obey(line.upper()):
                        return

        def obey(self, line: str) -> bool:
            if refuses is not None and line.startswith(refuses):
                self.answer("550 no")
            elif line.startswith("EHLO"):
                offers = ["STARTTLS"] if starttls is not None and not self.encrypted else []
                names = ["here", *offers, "AUTH PLAIN LOGIN"]
                for name in names[:-1]:
                    self.answer(f"250-{name}")
                self.answer(f"250 {names[-1]}")
            elif line == "STARTTLS" and starttls is not None:
                self.answer("220 go on")
                self.wrap(starttls)
            elif line.startswith("AUTH"):
                self.answer("235 welcome")
            elif line == "DATA":
                self.answer("354 go on")
                body = []
                while (part := self.rfile.readline().decode()) not in (".\r\n", ""):
                    body.append(part)
                got.mails.append("".join(body))
                self.answer("250 taken")
            else:
                self.answer("221 bye" if line == "QUIT" else "250 ok")
            return line != "QUIT"

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request, client_address):
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        got = MailServer(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield got
        server.shutdown()


def certificate(folder: Path) -> Path:
    """A certificate of 127.0.0.1 with its key, which nobody has signed; made by openssl."""
    path = folder / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return path
