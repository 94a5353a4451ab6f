"""Believable contact-centre traffic that drifts as such systems do, the same for the same seed."""

from consumer.samples.drifts import DRIFTS, Drift
from consumer.samples.mishaps import Expect, Sample, Signature
from consumer.samples.scenario import scenario, traffic

__all__ = ["DRIFTS", "Drift", "Expect", "Sample", "Signature", "scenario", "traffic"]
