"""Post signed bodies like CXone does, and tell how each was answered."""

from consumer.sender.results import Result, Summary, Tally, summary
from consumer.sender.sender import Outgoing, Sender, Sending, Sign

__all__ = ["Outgoing", "Result", "Sender", "Sending", "Sign", "Summary", "Tally", "summary"]
