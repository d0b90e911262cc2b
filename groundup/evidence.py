"""Evidence: everything that was measured about one topic, in one place, for the ledger and the tests.

`python -m groundup.evidence TOPIC FILE` gathers it in a process of its own and pickles it to FILE.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass, field
from pathlib import Path

from groundup import catalogue
from shared.agreement import Agreement
from shared.failure_mode import Outcome, SweepPoint, measure, measure_sweep

__all__ = ["Evidence", "gather"]


@dataclass(frozen=True)
class Evidence:
    """A topic's agreements with its references and its measured failure modes."""

    topic: str
    agreements: list[Agreement]
    outcomes: list[Outcome]
    sweeps: dict[str, list[SweepPoint]] = field(default_factory=dict)  # by the claim's id, where it sweeps


def gather(name: str) -> Evidence:
    """Run the topic's validation and its failure modes at their default seeds."""
    topic = catalogue.get(name)
    agreements = topic.load().validate()
    outcomes = [measure(failure_mode) for failure_mode in topic.load_failure_modes().FAILURE_MODES]
    claims = [m.claim for outcome in outcomes for m in (outcome.breaks, outcome.remedy)]
    sweeps = {claim.id: measure_sweep(claim) for claim in claims if claim.sweep is not None}
    return Evidence(topic.name, agreements, outcomes, sweeps)


def main(name: str, path: str) -> None:
    """Gather the evidence of a topic and pickle it."""
    from groundup import evidence  # so that the pickle names this module, and not __main__

    Path(path).write_bytes(pickle.dumps(evidence.gather(name)))


if __name__ == "__main__":
    main(*sys.argv[1:])
