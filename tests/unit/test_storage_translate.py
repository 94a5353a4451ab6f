"""Driver errors become StoreUnavailable, without their text."""

from __future__ import annotations

import pytest
from pymongo import errors

from consumer.errors import StoreUnavailable
from consumer.storage.translate import translated


@pytest.mark.parametrize(
    ("error", "fact"),
    [
        (errors.ServerSelectionTimeoutError("secret"), "no primary of MongoDB was found"),
        (errors.NetworkTimeout("secret"), "did not answer in time"),
        (errors.NotPrimaryError("secret"), "no longer primary"),
        (errors.AutoReconnect("secret"), "the connection to MongoDB failed"),
        (errors.WTimeoutError("secret", 64, {}), "did not confirm the write in time, "),
        (errors.WriteConcernError("secret", 91, {}), "did not confirm the write"),
        (errors.ExecutionTimeout("secret", 50, {}), "time limit"),
        (errors.OperationFailure("secret", 13, {}), "refused the operation"),
        (errors.ConfigurationError("secret"), "MongoDB failed"),
    ],
)
def test_each_error_is_told_by_its_meaning_and_without_its_text(
    error: errors.PyMongoError, fact: str
) -> None:
    with pytest.raises(StoreUnavailable) as caught, translated("events"):
        raise error

    text = str(caught.value)
    assert fact.rstrip(", ") in text
    assert type(error).__name__ in text
    assert "'events'" in text
    assert "secret" not in text
    assert caught.value.retryable


def test_what_is_no_driver_error_passes() -> None:
    with pytest.raises(ValueError, match="ours"), translated("events"):
        raise ValueError("ours")
