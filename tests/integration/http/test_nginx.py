"""The shipped configuration of nginx, run by nginx: client certificates become a token."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.support.service import Client, eventually, running_service

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nginx is a beta on Windows")
Db = Database[dict[str, Any]]
CONFIG = Path("config/nginx.conf")
TOKEN = "the token that nginx vouches with"
SOURCES = f'[sources.voice]\nproof = "token"\nheader = "X-Api-Key"\nsecret = "{TOKEN}"\n'
EVENT = json.dumps({"id": "1", "type": "t"}).encode()


def program(name: str) -> str:
    """The path of a program. Skips where it is missing, but not in CI, which installs it."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing: install it")
        pytest.skip(f"{name} is missing")
    return found


def certificate(folder: Path, name: str, signer: str | None = None) -> None:
    """NAME.pem and NAME.key, of `signer` or of itself."""
    by = (
        []
        if signer is None
        else ["-CA", f"{folder}/{signer}.pem", "-CAkey", f"{folder}/{signer}.key"]
    )
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
         *by, "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def as_shipped(folder: Path, port: int, upstream: str, network: str | None) -> str:
    """The shipped file with the block of client certificates in force, or with its line of a
    network in place of them, and names of this test."""
    text = CONFIG.read_text(encoding="utf-8")
    begin, end = text.index("#ssl_client_certificate"), text.index("# Every source under")
    block = re.sub(r"(?m)^    #(?=\S| {4})", "    ", "    " + text[begin:end])
    if network is not None:
        block = re.sub(r"ssl_(client_cert|verify).*|if \(.*", "", block)
        block = block.replace("#allow 203.0.113.0/24", f"allow {network}")
    text = text[:begin] + block + text[end:]
    for shipped, own in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "server 127.0.0.1:8080": f"server {upstream}",
        "/etc/ssl/hooks.example.com.pem": f"{folder}/server.pem",
        "/etc/ssl/hooks.example.com.key": f"{folder}/server.key",
        "/etc/ssl/ca-of-the-sender.pem": f"{folder}/ca.pem",
        "/etc/nginx/cxone-voice.secret": f"{folder}/voice.secret",
    }.items():
        assert shipped in text or network is not None
        text = text.replace(shipped, own)
    return text


@dataclass
class Proxy:
    """nginx before a service, and the certificates of its clients."""

    port: int
    folder: Path
    client: Client

    def post(
        self, path: str, headers: list[tuple[str, str]], certificate: str | None = None
    ) -> int:
        context = ssl.create_default_context(cafile=f"{self.folder}/server.pem")
        if certificate is not None:
            context.load_cert_chain(
                f"{self.folder}/{certificate}.pem", f"{self.folder}/{certificate}.key"
            )
        connection = HTTPSConnection("127.0.0.1", self.port, context=context, timeout=30)
        try:
            connection.putrequest("POST", path)
            for name, value in [("Content-Length", str(len(EVENT))), *headers]:
                connection.putheader(name, value)
            connection.endheaders(EVENT)
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture
def proxy(
    mongod_uri: str, database: Db, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Proxy]:
    """`request.param`: the network that is let in, in place of certificates."""
    nginx = program("nginx")
    (tmp_path / "cxone.toml").write_text(SOURCES, encoding="utf-8")
    (tmp_path / "voice.secret").write_text(f'proxy_set_header X-Api-Key "{TOKEN}";\n')
    for name in ("server", "ca", "other"):
        certificate(tmp_path, name)
    certificate(tmp_path, "right", "ca")
    certificate(tmp_path, "wrong", "other")
    with running_service(
        mongod_uri, database.name, cxone_config=str(tmp_path / "cxone.toml")
    ) as client:
        port = free_port()
        host, upstream = client.service.server.address
        network = getattr(request, "param", None)
        site = as_shipped(tmp_path, port, f"{host}:{upstream}", network)
        (tmp_path / "site.conf").write_text(site)
        (tmp_path / "nginx.conf").write_text(
            f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
            f"events {{}}\nhttp {{ access_log off; client_body_temp_path {tmp_path}/body;\n"
            f"proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/f;\n"
            f"uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;\n"
            f"include {tmp_path}/site.conf; }}\n"
        )
        process = subprocess.Popen([nginx, "-c", f"{tmp_path}/nginx.conf", "-p", str(tmp_path)])
        try:
            eventually(lambda: listens(port))
            yield Proxy(port, tmp_path, client)
        finally:
            process.terminate()
            process.wait(30)


def listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def test_only_the_right_certificate_lets_a_delivery_in(proxy: Proxy, database: Db) -> None:
    forged = [("X-Api-Key", "a forged token")]
    taken = {
        "no certificate": proxy.post("/webhook/voice", []),
        "no certificate, the right token": proxy.post("/webhook/voice", [("X-Api-Key", TOKEN)]),
        "another spelling": proxy.post("/webhook//voice/", [("X-Api-Key", TOKEN)]),
        "an encoded one": proxy.post("/webhook/%76oice", [("X-Api-Key", TOKEN)]),
        "wrong": proxy.post("/webhook/voice", [], "wrong"),
        "right": proxy.post("/webhook/voice", [], "right"),
        "right, forged header": proxy.post("/webhook/voice", forged, "right"),
        "right, doubled header": proxy.post("/webhook/voice", [*forged, *forged], "right"),
        "right, underscores": proxy.post("/webhook/voice", [("X_Api_Key", "forged")], "right"),
    }

    assert taken == {
        "no certificate": 403,
        "no certificate, the right token": 403,
        "another spelling": 403,
        "an encoded one": 403,
        # nginx answers so to a certificate that it cannot verify.
        "wrong": 400,
        "right": 200,
        "right, forged header": 200,
        "right, doubled header": 200,
        "right, underscores": 200,
    }
    assert database["events"].count_documents({"_meta.source": "voice"}) == 1


@pytest.mark.parametrize(
    ("proxy", "status"), [("127.0.0.0/8", 200), ("203.0.113.0/24", 403)], indirect=["proxy"]
)
def test_a_network_may_stand_in_place_of_a_certificate(proxy: Proxy, status: int) -> None:
    assert proxy.post("/webhook/voice", [("X-Api-Key", "forged")]) == status


def test_other_sources_pass_without_a_certificate(proxy: Proxy) -> None:
    signed = proxy.client.signed(EVENT, "a secret for tests")

    assert proxy.post("/webhook/cxone-dataaction/", list(signed.items())) == 200
    assert proxy.post("/webhook/cxone-dataaction", []) == 401


def test_a_doubled_token_is_none(proxy: Proxy) -> None:
    """Straight at the service, as if the proxy had let both pass."""
    headers = [("X-Api-Key", TOKEN), ("X-Api-Key", "another")]
    host, port = proxy.client.service.server.address
    with socket.create_connection((host, port), timeout=30) as caller:
        head = ["POST /webhook/voice HTTP/1.1", "Host: x", f"Content-Length: {len(EVENT)}"]
        head += [f"{name}: {value}" for name, value in headers]
        caller.sendall("\r\n".join([*head, "Connection: close", "", ""]).encode() + EVENT)

        assert b" 401 " in caller.makefile("rb").readline()
