# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---
# %% [markdown]
# # How the learning went
#
# The lines behind `Control.summary()` of `tabular_reinforcement_learning`. A table of action values looks the same
# whether it was learnt or hardly begun, so three things are asked: what the last tenth of the episodes brought, which
# pairs of state and action were never tried, and by how much the table still moved in that last tenth.

# %%
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

__all__ = ["LearningSummary", "Plan", "count", "last_tenth", "summarize_learning", "table_text", "tenth"]


def count(number: int, noun: str) -> str:
    """1 sweep, 2 sweeps, 3,000 sweeps."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def table_text(q: np.ndarray) -> str:
    """How many states and actions a table (S, A) has."""
    return f"{count(q.shape[0], 'state')} and {count(q.shape[1], 'action')}"


def tenth(n: int) -> int:
    """A tenth of n episodes, at least one."""
    return max(1, n // 10)


def last_tenth(values: np.ndarray) -> np.ndarray:
    """The last tenth of one number an episode."""
    return values[-tenth(len(values)) :]


# %%
@dataclass(frozen=True, repr=False)
class Plan:
    """What a planner found. Prints as one line.

    Attributes:
        values: v(s), shape (S,). q: q(s, a), shape (S, A).
        policy: an action of largest q in each state, shape (S,).
        n_sweeps: passes over the table (value iteration), or rounds of evaluation and improvement.
    """

    values: Float[np.ndarray, " S"]
    q: Float[np.ndarray, "S A"]
    policy: Int[np.ndarray, " S"]
    n_sweeps: int

    def __repr__(self) -> str:
        return (
            f"Plan({table_text(self.q)}, {count(self.n_sweeps, 'sweep')}, values from {self.values.min():.4g} to "
            f"{self.values.max():.4g}; see values, q, policy)"
        )


# %% [markdown]
# A state in which the agent never acted (a goal, a hole, a place it did not reach) has no pair tried, and that may be
# in order; an action never tried in a state where it did act was left out by the exploration. The two are counted
# apart. Whether a pair was tried is read from the number of its updates.


# %%
@dataclass(frozen=True, repr=False)
class LearningSummary:
    """How a learner's episodes went. Prints as a few lines.

    Attributes:
        n_episodes, n_states, n_actions: how many.
        mean_return, first_return: mean return of the last and of the first tenth of the episodes, as lived,
            exploration included. mean_length: steps of an episode in the last tenth.
        standard_error: of `mean_return`; NaN for a single episode.
        n_untried_pairs: pairs of state and action never tried, those in `n_unvisited_states` included: states in
            which the agent never acted.
        last_change: the largest change of an action value over the last tenth.
    """

    n_episodes: int
    n_states: int
    n_actions: int
    mean_return: float
    standard_error: float
    first_return: float
    mean_length: float
    n_untried_pairs: int
    n_unvisited_states: int
    last_change: float

    def __str__(self) -> str:
        error = f" (standard error {self.standard_error:.2g})" if math.isfinite(self.standard_error) else ""
        pairs = self.n_states * self.n_actions
        left_out = self.n_untried_pairs - self.n_unvisited_states * self.n_actions
        lines = [
            f"{count(self.n_episodes, 'episode')}, {count(self.n_states, 'state')}, {count(self.n_actions, 'action')}",
            f"mean discounted return {self.mean_return:.4g}{error} in the last tenth, {self.first_return:.4g} in the first; "
            f"{self.mean_length:.4g} steps an episode",
            f"{self.n_untried_pairs:,} of {count(pairs, 'pair')} of state and action never tried",
        ]
        if self.n_unvisited_states:
            lines[-1] += f", in {count(self.n_unvisited_states, 'state')} no action at all"
        if left_out:
            lines[-1] += (
                f"; {left_out:,} in states where others were: raise epsilon, n_episodes, or initial_q above every "
                "return"
            )
        lines.append(f"largest change of q in the last tenth {self.last_change:.3g}")
        return "\n".join(lines)

    __repr__ = __str__


def summarize_learning(
    returns: np.ndarray, lengths: np.ndarray, visits: np.ndarray, last_change: float
) -> LearningSummary:
    """Summary of returns and lengths (n,), visits (S, A), and the largest change of q over the last tenth."""
    late = last_tenth(returns)
    return LearningSummary(
        n_episodes=len(returns),
        n_states=visits.shape[0],
        n_actions=visits.shape[1],
        mean_return=float(late.mean()),
        standard_error=float(late.std(ddof=1) / math.sqrt(len(late))) if len(late) > 1 else math.nan,
        first_return=float(returns[: tenth(len(returns))].mean()),
        mean_length=float(last_tenth(lengths).mean()),
        n_untried_pairs=int((visits == 0).sum()),
        n_unvisited_states=int((visits == 0).all(axis=1).sum()),
        last_change=last_change,
    )
