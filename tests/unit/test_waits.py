"""Waits without a bound: on Windows Ctrl-C does nothing while the main thread is in one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Without an argument they wait for ever: locks, events, conditions, threads, processes, futures and
# queues. `run` is that of subprocess; a pool waits for its threads where its block ends.
_METHODS = {"acquire", "communicate", "get", "join", "result", "wait"}
_OTHERS = {"ThreadPoolExecutor", "check_call", "check_output", "run"}

# Waits that the main thread is never in, or that something else bounds.
ALLOWED = {
    ("consumer/cli/service/linux.py", "run"): "not on Windows",
    ("consumer/cli/spool.py", "acquire"): "a file lock that does not block",
    ("consumer/core/data_dir.py", "acquire"): "a file lock that does not block",
    ("consumer/core/deadline.py", "get"): "a context variable",
    ("consumer/core/group_commit.py", "acquire"): "its own new lock",
    ("consumer/core/waiting.py", "result"): "of a call that has ended",
    ("consumer/dead_letters/refused.py", "wait"): "in the thread of the refusals",
    ("consumer/dead_letters/rejected.py", "ThreadPoolExecutor"): "no block: it is not waited for",
    ("consumer/http/server/worker_pool.py", "acquire"): "in the threads of the pool",
    ("consumer/http/server/worker_pool.py", "wait"): "in the threads of the pool",
    ("consumer/mongodb/embedded/parent_watch.py", "wait"): "not on Windows",
    ("consumer/mongodb/embedded/process.py", "wait"): "in the thread of mongod, which was killed",
    ("consumer/monitoring/datadog/retry.py", "result"): "of an attempt that has ended",
    ("consumer/runtime/jobs.py", "ThreadPoolExecutor"): "both end within the given seconds",
    ("consumer/spool/disk_thread.py", "get"): "in the thread of the disk",
    ("jobs/backfill/run.py", "ThreadPoolExecutor"): "the client bounds each stretch",
    ("jobs/backfill/run.py", "result"): "the client bounds each stretch",
    ("jobs/drain_spool.py", "ThreadPoolExecutor"): "the client bounds each delivery",
    ("jobs/scheduling/current_run.py", "join"): "a thread that saves once more, within its bound",
    ("jobs/scheduling/scheduler.py", "ThreadPoolExecutor"): "no block: it is not waited for",
}


def waits(tree: ast.AST) -> Iterator[str]:
    """Names of the calls that may wait for ever, but for those handed to `interruptibly`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name == "interruptibly":
                continue
            bounded = any(word.arg in ("timeout", "blocking") for word in node.keywords)
            if (name in _METHODS and not node.args and not bounded) or (
                name in _OTHERS and _is_wait(node, name) and not bounded
            ):
                yield name
        yield from waits(node)


def _is_wait(node: ast.Call, name: str) -> bool:
    return name == "ThreadPoolExecutor" or ast.unparse(node.func) == f"subprocess.{name}"


def test_no_wait_without_a_bound_is_new() -> None:
    found = {
        (str(file.relative_to(ROOT).as_posix()), name)
        for package in ("config", "consumer", "jobs")
        for file in (ROOT / package).rglob("*.py")
        for name in waits(ast.parse(file.read_text(encoding="utf-8")))
    }

    new = sorted(found - ALLOWED.keys())
    assert not new, f"hand it to interruptibly(), or say here why it needs no bound: {new}"
    assert not ALLOWED.keys() - found, "no longer there"


def test_the_look_finds_what_waits_for_ever_and_nothing_else() -> None:
    code = """
thread.join(); ",".join(names); event.wait(5); lock.acquire(timeout=2); values.get("a")
interruptibly(lambda: subprocess.run(command)); subprocess.run(command, timeout=3); loop.run()
if process.wait(): pass
with ThreadPoolExecutor(2) as pool: subprocess.run(command)
"""
    assert list(waits(ast.parse(code))) == ["join", "wait", "ThreadPoolExecutor", "run"]
