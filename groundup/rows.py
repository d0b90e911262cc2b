"""One agreement and one failure mode as rows of plain values: what `--json` prints, and what the ledger keeps."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundup.catalogue import Topic
    from shared.agreement import Agreement
    from shared.failure_mode import Measurement, Outcome

__all__ = ["agreement_row", "outcome_row"]


def agreement_row(topic: Topic, agreement: Agreement) -> dict[str, Any]:
    """One quantity as `run --json` reports it."""

    def value(side: Any) -> Any:
        return side if isinstance(side, float) else asdict(side)

    return {
        "level": topic.level,
        "topic": topic.name,
        "quantity": agreement.quantity,
        "reference": agreement.reference,
        "reference_version": agreement.reference_version,
        "dataset": agreement.dataset,
        "ours": value(agreement.ours),
        "theirs": value(agreement.theirs),
        "error": agreement.error,
        "measure": agreement.measure,
        "tolerance": agreement.tolerance,
        "reason": agreement.reason,
        "agrees": agreement.agrees,
        "seconds_ours": agreement.seconds_ours,
        "seconds_reference": agreement.seconds_reference,
    }


def outcome_row(topic: Topic, outcome: Outcome) -> dict[str, Any]:
    """One failure mode as `break --json` reports it: what breaks, and under `remedy` what mends it."""
    mode = outcome.failure_mode
    return {
        "level": topic.level,
        "topic": topic.name,
        "failure_mode": mode.name,
        "title": mode.title,
        "symptoms": list(mode.symptoms),
        **_claim_row(outcome.breaks),
        "holds": outcome.breaks.holds,
        "remedied": outcome.remedy.holds,
        "remedy": _claim_row(outcome.remedy),
        "seconds": outcome.breaks.seconds + outcome.remedy.seconds,
    }


def _claim_row(measurement: Measurement) -> dict[str, Any]:
    claim = measurement.claim
    return {
        "claim": claim.statement,
        "quantity": claim.quantity,
        "predicted": measurement.predicted,
        "rival": measurement.rival,
        "measured": measurement.measured,
        "interval": list(measurement.interval),
        "corrected": list(measurement.corrected),
        "interval_kind": measurement.interval_kind,
        "relation": claim.relation,
        "tolerance": measurement.delta,
        "reason": claim.reason,
        "verdict": measurement.verdict,
        "slack": measurement.slack,
        "seeds": measurement.seeds,
        "seeds_needed": measurement.seeds_needed,
    }
