"""Driver errors become StoreUnavailable, without their text."""

from __future__ import annotations

import pytest
from bson.errors import InvalidDocument
from pymongo import errors

from consumer.core.deadline import deadline, had_a_fair_share
from consumer.core.errors import StoreUnavailable
from consumer.mongodb.errors import translated


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
        (errors.OperationFailure("secret", 2, {}), "refused the operation"),
        (errors.OperationFailure("secret", 13, {}), "lacks the right"),
        (errors.OperationFailure("secret", 13297, {}), "upper and lower case"),
        (errors.ConfigurationError("secret"), "MongoDB failed"),
        (errors.InvalidOperation("secret"), "has closed its connections"),
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


@pytest.mark.parametrize(
    ("error", "away", "in_a_hurry"),
    [
        (errors.ServerSelectionTimeoutError("x"), True, False),
        (errors.NetworkTimeout("x"), True, False),
        (errors.ExecutionTimeout("x", 50, {}), True, False),
        (errors.AutoReconnect("x"), True, True),
        (errors.NotPrimaryError("x"), True, True),
        (errors.WriteConcernError("x", 91, {}), True, True),
        (errors.OperationFailure("x", 13, {}), True, True),
        (errors.WriteError("x", 121, {}), False, False),
        (errors.WaitQueueTimeoutError("x"), False, False),
        (errors.InvalidOperation("x"), False, False),
        (InvalidDocument("x"), False, False),
        (errors.DocumentTooLarge("x"), False, False),
    ],
)
def test_only_what_the_driver_found_in_a_fair_time_says_that_mongodb_is_away(
    error: Exception, *, away: bool, in_a_hurry: bool
) -> None:
    with pytest.raises(StoreUnavailable) as caught, translated("events"):
        raise error
    # Others have used up the time of this block: what is left shows nothing.
    with deadline(3600), pytest.raises(StoreUnavailable) as hurried, translated("events"):
        raise error

    assert (caught.value.away, hurried.value.away) == (away, in_a_hurry)


def test_a_call_had_its_fair_share_where_it_or_one_before_it_had_half_of_the_time() -> None:
    with deadline(10):
        shares = [had_a_fair_share(seconds) for seconds in (4.9, 5.1, 0.1)]
    with deadline(10):
        fresh = had_a_fair_share(0.1)

    assert (shares, fresh, had_a_fair_share(0.0)) == ([False, True, True], False, True)


def test_what_is_no_driver_error_passes() -> None:
    with pytest.raises(ValueError, match="ours"), translated("events"):
        raise ValueError("ours")
