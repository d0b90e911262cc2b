"""Evidence: everything that was measured about one topic, in one place, for the ledger and the tests."""

from __future__ import annotations

from dataclasses import dataclass

from groundup import catalogue
from shared.agreement import Agreement
from shared.failure_mode import Outcome, measure

__all__ = ["Evidence", "gather"]


@dataclass(frozen=True)
class Evidence:
    """A topic's agreements with its references and its measured failure modes."""

    topic: str
    agreements: list[Agreement]
    outcomes: list[Outcome]


def gather(name: str) -> Evidence:
    """Run the topic's validation and its failure modes at their default seeds."""
    topic = catalogue.get(name)
    agreements = topic.load().validate()
    outcomes = [measure(failure_mode) for failure_mode in topic.load_failure_modes().FAILURE_MODES]
    return Evidence(topic.name, agreements, outcomes)
