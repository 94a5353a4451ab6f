"""`schema show` says how often fields are sent, `schema signals` what that shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from consumer.core.clock import utc_now
from consumer.core.paths import Path
from consumer.mongodb.client import open_database
from consumer.signals.signals import Signal
from consumer.signals.store import Signals
from jobs.field_statistics import CountFields
from tests.support.backfill import registry
from tests.support.field_statistics import count_fields, stored_at
from tests.support.jobs import Run
from tests.support.schema_shell import Shell
from tests.support.signals import GONE, RENAMED


def counting(shell: Shell) -> CountFields:
    return count_fields(shell.database, registry(shell.database), utc_now)


def keep(shell: Shell, path: Path, to: Path | None, subject: str = "contact.created") -> Signal:
    now = utc_now()
    figures = RENAMED if to else GONE
    kind = "renamed" if to else "vanished"
    signal = Signal(kind, path, to, now, 0.92, figures, subject=subject, last_seen=now)  # type: ignore[arg-type]
    signals_of(shell).save([(signal, True)])
    return signal


def signals_of(shell: Shell) -> Signals:
    return Signals(open_database(shell.database.client, shell.database.name))


def test_show_counts_over_the_days_that_are_asked_for(shell: Shell) -> None:
    schemas = registry(shell.database)
    at = utc_now().replace(minute=0) - timedelta(hours=12)
    payloads = [{"id": str(n), "case": {"queue": None if n < 3 else "x"}} for n in range(98)]
    stored_at(shell.database, schemas, at, [*payloads, {"id": "98"}, {"id": "99"}], "s")
    stored_at(shell.database, schemas, at + timedelta(hours=6), [{"id": "100"}] * 4, "s")
    counting(shell)(Run(fence=1))

    _, out, _ = shell("show", "s", "--days", "30")
    fields = {each["text"]: each["statistics"] for each in shell.json("show", "s")["fields"]}

    assert "104 events of the last 30 days" in out
    (line,) = [line for line in out.splitlines() if "queue" in line]
    assert "sent by 94 %, null in 3 %, last sent at least 11 h ago" in line
    assert (fields["case.queue"]["sent"], fields["case.queue"]["null"]) == (98, 3)
    assert fields["case.queue"]["last_sent"].endswith(":00:00Z")


def test_show_says_when_events_are_looked_at(shell: Shell) -> None:
    stored_at(shell.database, registry(shell.database), utc_now(), [{"id": "1"}], "s")

    _, out, _ = shell("show", "s")

    assert "no events of the last 7 days: they are looked at five minutes after they came" in out


def test_signals_are_listed_with_the_line_that_mends_them(shell: Shell) -> None:
    keep(shell, ("case",), ("contact it",))
    keep(shell, ("queue", "name"), None, "other")

    status, out, _ = shell("signals")
    found = shell.json("signals", "contact.created")["signals"]

    assert status == 0
    assert (
        "contact.created case: likely contact it now (score 0.92): of events 90 % sent case before,"
        " now 30 %, and 60 % send contact it; never together in 3,210 events; alike in types,"
        " places." in out
    )
    assert "  cxone-consumer schema alias contact.created case 'contact it'\n" in out
    assert (
        "other queue.name: not sent for 8 d, its longest gap was 2 h: 1,840 events in its usual"
        " hours lack it." in out
    )
    assert [(each["path"], each["to"], each["state"]) for each in found] == [
        ("case", "contact it", "open")
    ]


def test_a_masked_field_that_got_a_name_in_clear_is_told(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXONE_REDACT", "customer,**.phone,secret.deep")
    keep(shell, ("customer",), ("client",))
    keep(shell, ("agent", "phone"), ("agent", "Phone"))
    keep(shell, ("a", "+49 555 0100"), ("a", "b"))

    _, out, _ = shell("signals")

    assert "CXONE_REDACT hides customer, but not client: name that too." in out
    assert "hides agent.phone" not in out
    assert "schema alias contact.created customer client" in out
    # A name that is a person's is in no command.
    assert "555" not in out
    assert out.count("schema alias") == 2


def test_a_signal_is_acknowledged_or_muted_by_hand_and_recorded(shell: Shell) -> None:
    keep(shell, ("case",), ("contact",))
    keep(shell, ("queue",), None)

    status, out, _ = shell("signals", "contact.created", "case", "--acknowledge")
    states = [each.state for each in signals_of(shell).of("contact.created")]
    muted = shell("signals", "contact.created", "--mute")
    hidden = shell.json("signals")["signals"]
    shown = shell.json("signals", "--all")["signals"]
    shell("signals", "contact.created", "queue", "--unmute")

    assert (status, muted[0]) == (0, 0)
    assert "Acknowledged" in out
    assert states == ["acknowledged", "open"]
    assert hidden == []
    assert [each["state"] for each in shown] == ["muted", "muted"]
    assert [each.state for each in signals_of(shell).of("contact.created")] == ["muted", "open"]
    deeds = list(shell.database["audit"].find().sort("at"))
    assert [(deed["what"], deed["changes"]) for deed in deeds] == [
        ("schema signals acknowledged", ["case"]),
        ("schema signals muted", ["case", "queue"]),
        ("schema signals open", ["queue"]),
    ]


def test_without_a_path_nothing_is_decided_about_what_ended_or_is_muted(shell: Shell) -> None:
    names = ("ended", "muted", "open")
    kept = {name: keep(shell, (name,), None) for name in names}
    signals = signals_of(shell)
    signals.decide([kept["muted"]], "muted")
    signals.save([(replace(kept["ended"], ended_at=utc_now()), False)])

    def states() -> list[str]:
        return [each.state for each in signals.of("contact.created", ended=True)]

    shell("signals", "contact.created", "--acknowledge")
    known = states()
    again = shell("signals", "other", "--acknowledge")
    shell("signals", "contact.created", "ended", "--mute")
    by_path = states()
    shell("signals", "contact.created", "--unmute")

    assert known == ["open", "muted", "acknowledged"]
    assert again[0] == 1
    assert by_path == ["muted", "muted", "acknowledged"]
    assert states() == ["open"] * 3


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--mute",), 2, "name the event type"),
        (("s", "--mute", "--acknowledge"), 2, "one of"),
        (("s", "--mute"), 1, 'no schema "s"'),
        (("contact.created", "nothing", "--mute"), 1, "no signal at nothing"),
    ],
)
def test_wrong_usage_is_told(
    shell: Shell, arguments: tuple[str, ...], status: int, words: str
) -> None:
    stored_at(shell.database, registry(shell.database), utc_now(), [{"id": "1"}], "contact.created")

    found, _, err = shell("signals", *arguments)

    assert found == status
    assert words in err
