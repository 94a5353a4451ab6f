"""Contracts of the config file, and `schema approve`, beside the running service."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest

from tests.support.processes import environment
from tests.support.schema_shell import Shell, event, hold_three, post
from tests.support.service import Client, dead_letters


def test_contracts_of_the_config_file_hold_per_subject(service: Client, shell: Shell) -> None:
    strict = post(service, event(1, a=1, b=None), event(2, a=1, c=1), event(3, a="x"))
    widened = post(service, event(4, a=1.5, b="now typed"))
    general = post(
        service, event(5, "case", a=1), event(6, "case", a=1, c=1), event(7, "case", a="x")
    )
    evolving = post(service, event(8, "evolving", a=1), event(9, "evolving", a="x"))

    assert strict == [(200, 1), (202, "held"), (202, "held")]
    assert widened == [(200, 2)]
    assert general == [(200, 1), (200, 2), (202, "held")]
    assert evolving == [(200, 1), (200, 2)]
    assert {
        (e["event_type"], e["event_id"], e["reason"], e["status"])
        for e in dead_letters(shell.database)
    } == {
        ("contact.created", "e2", "contract_hold", "held"),
        ("contact.created", "e3", "contract_hold", "held"),
        ("case", "e7", "contract_hold", "held"),
    }
    held = {e["event_id"]: e["changes"] for e in dead_letters(shell.database)}
    assert held["e7"] == [
        {
            "class": "type_conflict",
            "path": ["a"],
            "from": ["integer"],
            "to": ["integer", "string"],
            "caused_by": "e7",
        }
    ]


def test_approve_shows_then_registers_and_replays_for_the_service_too(
    service: Client, shell: Shell
) -> None:
    hold_three(service)

    shown = shell("approve", "contact.created")
    still = [e["status"] for e in dead_letters(shell.database)]
    done = shell("approve", "contact.created", "--yes")
    again = shell("approve", "contact.created", "--yes")

    assert shown[0] == 1
    for part in ("version 2", "agent.team", "field_added", "e2", "3 held", "add --yes"):
        assert part in shown[1]
    assert still == ["held"] * 3
    assert done[0] == 0
    assert "is at version 2 now" in done[1]
    # The service looks for what the new version lets in as well: each is replayed by one of them.
    replayed = re.search(r"Replayed: .*", done[1])
    assert replayed is not None
    assert sum(map(int, re.findall(r"(\d+) (?:processed|settled elsewhere)", replayed[0]))) == 3
    assert again[:2] == (0, "Nothing is held for contact.created.\n")
    assert shell.database["events"].count_documents({}) == 4
    assert post(service, event(5, agent="y")) == [(200, 2)]
    deeds = list(shell.database["audit"].find())
    assert [(d["what"], d["subject"], d["version"], d["count"]) for d in deeds] == [
        ("schema approve", "contact.created", 1, 3)
    ]
    assert {e["resolved_by"] for e in dead_letters(shell.database)} < {
        e["_id"] for e in shell.database["events"].find()
    }


def test_approve_of_one_path_leaves_the_rest_and_says_what_it_waits_for(
    service: Client, shell: Shell
) -> None:
    hold_three(service)

    done = shell.json("approve", "contact.created", "--path", "agent.team", "--yes")
    rest = shell("approve", "contact.created", "--path", "agnet")

    assert (done["at"], done["registered"], done["replays"], done["left"]) == (1, 2, 2, 1)
    assert [change["text"] for change in done["changes"]] == ["agent.team"]
    assert all(result["resolved"] for result in done["results"])
    assert done["stays"][0]["because"] == "agent is not among the approved paths"
    assert rest[0] == 0
    assert "Nothing to approve" in rest[1]
    assert "What can be approved" in rest[1]


def test_approve_answers_a_wrong_path_and_an_unknown_subject_with_what_to_do(
    service: Client, shell: Shell
) -> None:
    hold_three(service)

    assert shell("approve", "contact.created", "--path", "a..b")[0] == 2
    status, _, err = shell("approve", "contact.craeted")

    assert status == 1
    assert 'no schema "contact.craeted": did you mean "contact.created"?' in err
    # Nothing is near: no name is put forward.
    assert 'no schema "zzz": `cxone-consumer schema list`' in shell("approve", "zzz")[2]


@pytest.mark.slow
def test_approve_killed_in_the_middle_is_finished_by_the_next(
    service: Client, shell: Shell, mongod_uri: str
) -> None:
    hold_three(service)
    post(service, *(event(n, agent={"team": n}) for n in range(10, 310)))
    events = shell.database["events"]
    arguments = ["--config", str(shell.config), "schema", "approve", "contact.created", "--yes"]
    settings = {"MONGODB_URI": mongod_uri, "MONGODB_DATABASE": shell.database.name}
    killed_at = []
    for enough in (5, 60, 150):
        process = subprocess.Popen(
            [sys.executable, "-m", "consumer", *arguments],
            env=environment(settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            end = time.monotonic() + 30
            while events.count_documents({}) < enough and process.poll() is None:
                assert time.monotonic() < end
                time.sleep(0.005)
        finally:
            process.kill()
            process.wait()
        killed_at.append(events.count_documents({}))

    # As if a minute had passed, for which the killed processes hold their claims.
    shell.database["dead_letter_queue"].update_many({}, {"$unset": {"claim": ""}})

    status, out, _ = shell("approve", "contact.created", "--yes")

    assert status == 0, out
    assert 5 <= killed_at[0] < 304
    assert events.count_documents({}) == 304
    assert len(events.distinct("id")) == 304
    assert {e["status"] for e in dead_letters(shell.database)} == {"resolved"}
    assert shell.database["schema_versions"].count_documents({}) == 2
