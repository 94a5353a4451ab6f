"""Call what a job is to do; whatever it raises becomes an end without payload values."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import cast

import structlog

from consumer.errors import ConsumerError, StoreUnavailable, fault_of, place_of
from jobs.job import Ended, Job
from jobs.run import JobFunction, JobRun

log = structlog.get_logger(__name__)

Warn = Callable[[str, str, StoreUnavailable], None]


def called(job: Job, current: JobRun, warn: Warn) -> Ended:
    """`warn` is told that MongoDB was not there for it."""
    try:
        if _takes_a_run(job.run):
            result = cast(JobFunction, job.run)(current)
        else:
            cast(Callable[[], object], job.run)()
            result = {}
    except StoreUnavailable as error:
        warn("job failed", job.name, error)
        return Ended("failed", error=str(error))
    except ConsumerError as error:
        log.warning("job failed", job=job.name, error=str(error))
        return Ended("failed", error=str(error))
    except Exception as error:
        # The message may quote a payload, so only its kind and place are told.
        log.error("job failed", job=job.name, error=fault_of(error), place=place_of(error))  # noqa: TRY400
        return Ended("failed", error=fault_of(error))
    return Ended("succeeded", result)


def _takes_a_run(function: Callable[..., object]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(parameter.default is parameter.empty for parameter in parameters)
