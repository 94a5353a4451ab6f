"""A MongoDB URI that the driver refuses is a fault of the settings, told without its password."""

from __future__ import annotations

import socket
import time
import warnings

import pytest

from config.loading import SettingsError, load

REFUSED = [
    ("mongodb://user:hunter2@2@host", "not percent-encoded"),
    ("mongodb://user:100%hunter2@host", "not percent-encoded"),
    ("mongodb://user:hunter2%zz@host", "not percent-encoded"),
    ("mongodb://user:hunter2:x@host", "not percent-encoded"),
    ("mongodb://user:hunter2/x@host", "not encoded"),
    ("mongodb://user:x?hunter2@host", "behind the ?"),
    ("mongodb://user:x?hunter2=y&z@host", "behind the ?"),
    ("mongodb://user:x?hunter2=y@host", "does not know"),
    ("mongodb://:hunter2@host", "not percent-encoded"),
    ("mongodb://user:hunter2@host:port", "port"),
    ("mongodb://user:hunter2@:port", "port"),
    ("mongodb://user:hunter2@host:99999", "port"),
    ("mongodb://user:hunter2@host:27017 ", "port"),
    ("mongodb://user:hunter2@", "host"),
    ("mongodb://", "host"),
    ("mongodb+srv://", "host"),
    ("mongodb://user:hunter2@[::1", "host"),
    ("mongodb://user:hunter2@host,", "host"),
    ("mongodb://user:hunter2@host/?tls", "behind the ?"),
    ("mongodb://user:hunter2@host/?tls=true&ssl=false", "contradict"),
    ("mongodb://user:hunter2@host/?tls=true&tls=false", "stands twice (tls)"),
    ("mongodb://user:hunter2@host/?tlsInsecure=true&tlsAllowInvalidHostnames=true", "contradict"),
    ("mongodb://user:hunter2@a,b/?directConnection=true", "contradict"),
    ("mongodb://user:hunter2@host/?loadBalanced=true&replicaSet=a", "contradict"),
    ("mongodb://user:hunter2@host/?w=0&journal=true", "contradict"),
    ("mongodb://user:hunter2@host/?authMechanism=MONGODB-X509", "contradict"),
    ("mongodb://host/?authMechanism=SCRAM-SHA-256", "contradict"),
    ("mongodb://user:hunter2@host/?tls=false&tlsCAFile=/etc/hostname", "contradict"),
    ("mongodb://user:hunter2@host/?hunter2=true", "does not know"),
    ("mongodb://user:hunter2@host/?retryWritez=true", "does not know"),
    ("mongodb://user:hunter2@host/?retryWrites=maybe", "cannot have (retrywrites)"),
    ("mongodb://user:hunter2@host/?connectTimeoutMS=soon", "cannot have (connecttimeoutms)"),
    ("mongodb://user:hunter2@host/?authMechanism=NOPE", "cannot have (authmechanism"),
    ("mongodb://user:hunter2@host/?tls=true&tlsCAFile=/no/such/ca.pem", "read (tlscafile)"),
    ("mongodb://user:hunter2@host/?tls=true&tlsCAFile=/etc/hostname", "certificate file"),
    ("mongodb://user:hunter2@host/?tlsCertificateKeyFile=/no/such", "certificate file"),
    ("mongodb://user:hunter2@host/hunter2 db", "cannot read"),
    ("mongodb+srv://user:hunter2@a.example.com:27017", "port"),
    ("mongodb+srv://user:hunter2@a.example.com,b.example.com", "host"),
    ("mongodb+srv://user:hunter2@a.example.com/?directConnection=true", "contradict"),
    ("mongodb+srv://user:hunter2@192.0.2.1", "no IP address"),
    ("mongodb://user:hunter2@host/?srvServiceName=x", "contradict"),
    ("http://user:hunter2@host", "begins otherwise"),
    ("hunter2", "begins otherwise"),
]
TAKEN = [
    "mongodb://user:p%40ss%25@host",
    "mongodb://a:27017,b:27018/admin?replicaSet=rs0&authSource=admin&w=majority&journal=true",
    "mongodb://[::1]:27017/?directConnection=true",
    "mongodb://host/?tls=true&tlsAllowInvalidCertificates=true&timeoutMS=100&minPoolSize=500",
    "mongodb://host/?compressors=zstd,zlib&readPreference=secondary",
    "mongodb://%2Ftmp%2Fmongodb-27017.sock",
    "mongodb+srv://user:p@cluster0.example.mongodb.net/?retryWrites=true&w=majority&appName=a",
    "mongodb://a:b%3D%3D@a.mongo.cosmos.azure.com:10255/?ssl=true&retrywrites=false&appName=@a@",
    "mongodb://a:b@a.docdb.amazonaws.com:27017/?tls=true&replicaSet=rs0&retryWrites=false",
]


@pytest.mark.parametrize(("uri", "words"), REFUSED)
def test_a_uri_that_the_driver_refuses_is_one_fault_with_its_cause(uri: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, {"MONGODB_URI": uri})

    (fault,) = caught.value.faults
    assert fault.name == "MONGODB_URI"
    assert words in fault.problem
    assert "percent-encoded" in fault.allowed
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.__context__)


@pytest.mark.parametrize("uri", TAKEN)
def test_a_uri_that_the_driver_takes_is_taken_without_a_word(uri: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = load({}, {"MONGODB_URI": uri})

    assert settings.mongodb_uri is not None
    assert settings.mongodb_uri.get_secret_value() == uri


def test_no_name_is_looked_up_to_judge_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", asked)
    monkeypatch.setattr(socket.socket, "sendto", asked)
    began = time.monotonic()

    assert load({}, {"MONGODB_URI": "mongodb+srv://no-such-host.invalid"}).mongodb_uri
    assert load({}, {"MONGODB_URI": "mongodb://no-such-host.invalid"}).mongodb_uri
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("value", ["1", "", "2", "v1"])
def test_only_the_api_version_that_exists_can_be_declared(value: str) -> None:
    if value in ("1", ""):
        assert load({}, {"MONGODB_SERVER_API": value}).mongodb_server_api == (value or None)
        return
    with pytest.raises(SettingsError, match="MONGODB_SERVER_API"):
        load({}, {"MONGODB_SERVER_API": value})
