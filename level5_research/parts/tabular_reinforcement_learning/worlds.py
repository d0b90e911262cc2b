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
# # Worlds for tabular reinforcement learning
#
# The ground under `tabular_reinforcement_learning`: a transition table as arrays, a world with Gymnasium's
# interface made from such a table, and the checks of arguments. Nothing here learns or plans.

# %%
from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float, Int

from shared.arrays import validate_number

# %% [markdown]
# ## The table as arrays
#
# Gymnasium's nested lists are turned into arrays once. Outcome $j$ of every pair stands in one array of
# shape $(A, S)$, so a sweep is $b$ passes of gather, multiply and add over contiguous memory, and the
# maximum over actions runs along the first axis. Pairs with fewer outcomes than $b$ are filled up with
# outcomes of weight zero.


# %%
@dataclass(frozen=True, repr=False)
class MarkovDecisionProcess:
    """A transition table as arrays, checked. Memory O(S·A·b), b the largest number of outcomes of a pair.

    Attributes:
        reward: expected reward r(s, a), shape (A, S).
        weight: probability of outcome j and of going on after it, shape (b, A, S); zero where it terminates.
        next_state: where outcome j leads, shape (b, A, S).
    """

    reward: Float[np.ndarray, "A S"]
    weight: Float[np.ndarray, "b A S"]
    next_state: Int[np.ndarray, "b A S"]

    def __repr__(self) -> str:
        return (
            f"MarkovDecisionProcess({self.n_states} states, {self.n_actions} actions, at most "
            f"{len(self.weight)} outcomes a pair; see reward, weight, next_state)"
        )

    @property
    def n_states(self) -> int:
        return self.reward.shape[1]

    @property
    def n_actions(self) -> int:
        return self.reward.shape[0]


def markov_decision_process(P: Any) -> MarkovDecisionProcess:
    """Check a table `P[s][a] = [(probability, next_state, reward, terminated), …]` and turn it into arrays.

    Args:
        P: dict or list over states 0 … S−1 of dicts or lists over actions 0 … A−1, as
            `gymnasium.make(…).unwrapped.P`; or the result of an earlier call, which is passed through.

    Raises:
        TypeError: P cannot be read as such a table.
        ValueError: no states or actions, a state or action missing, probabilities that are negative or do
            not sum to 1 (within 1e-8), a next state that does not exist, rewards that are not finite.
    """
    if isinstance(P, MarkovDecisionProcess):
        return P
    try:
        n_states, n_actions = len(P), len(P[0])
        pairs = [P[s][a] for s in range(n_states) for a in range(n_actions)]
        counts = np.array([len(outcomes) for outcomes in pairs])
        sizes = {len(P[s]) for s in range(n_states)}
        lengths = {len(outcome) for outcomes in pairs for outcome in outcomes}
    except (KeyError, IndexError) as error:
        raise ValueError(
            "P must have states 0 … S−1, at least one, and in each of them actions 0 … A−1; "
            f"index {error} is missing."
        ) from error
    except TypeError as error:
        raise TypeError(
            "P[s][a] must be a list of (probability, next_state, reward, terminated), "
            f"got {type(P).__name__}: {error}."
        ) from error
    if len(sizes) != 1 or lengths != {4}:
        raise ValueError(
            "P must have the same actions in every state and outcomes (probability, next_state, reward, "
            f"terminated); got {sorted(sizes)} actions and outcomes of length {sorted(lengths)}."
        )
    columns = zip(*chain.from_iterable(pairs), strict=True)
    probability, next_state, reward, terminated = (np.asarray(column, dtype=float) for column in columns)
    pair = np.repeat(np.arange(len(pairs)), counts)  # which (s, a) an outcome belongs to
    _check_outcomes(probability, next_state, reward, pair, n_states, n_actions)
    column = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)  # j: 0, 1, … within a pair
    place = (column, pair % n_actions, pair // n_actions)
    shape = (counts.max(), n_actions, n_states)
    weight, successor = np.zeros(shape), np.zeros(shape, dtype=np.intp)
    weight[place] = probability * ~terminated.astype(bool)
    successor[place] = next_state
    expected = np.bincount(pair, probability * reward, minlength=len(pairs)).reshape(n_states, n_actions)
    return MarkovDecisionProcess(np.ascontiguousarray(expected.T), weight, successor)


def _check_outcomes(probability, next_state, reward, pair, n_states, n_actions) -> None:
    total = np.bincount(pair, probability, minlength=n_states * n_actions)
    wrong = np.flatnonzero(~(np.abs(total - 1.0) <= 1e-8))
    if wrong.size:
        s, a = divmod(int(wrong[0]), n_actions)
        raise ValueError(f"the probabilities in P[{s}][{a}] must sum to 1, got {total[wrong[0]]:.10g}.")
    if not np.all(probability >= 0):
        s, a = divmod(int(pair[np.argmin(probability)]), n_actions)
        raise ValueError(f"the probabilities in P[{s}][{a}] must be at least 0, got {probability.min():g}.")
    outside = (next_state < 0) | (next_state >= n_states) | (next_state != np.floor(next_state))
    if outside.any():
        raise ValueError(
            f"next states in P must be integers from 0 to {n_states - 1}, got {next_state[outside][0]}."
        )
    if not np.isfinite(reward).all():
        raise ValueError("rewards in P must be finite numbers, got NaN or infinity.")


# %% [markdown]
# ## A world to learn in
#
# Learners see only `reset` and `step`. Any Gymnasium environment with discrete states and actions will do;
# this one turns a table into a world with the same interface, without Gymnasium's overhead.


# %%
@dataclass(frozen=True)
class Discrete:
    """The space {0, …, n − 1}, as `gymnasium.spaces.Discrete`."""

    n: int
    start: int = 0
    shape: tuple[int, ...] = ()


@no_type_check
class TabularEnvironment:
    """A transition table behind Gymnasium's interface.

    Args:
        P: the table, as of `value_iteration`. initial_distribution: probability of each first state, (S,).
        max_episode_steps: truncate episodes after so many steps; None: never.
    """

    def __init__(self, P: Any, initial_distribution: Any, *, max_episode_steps: int | None = None):
        model = markov_decision_process(P)
        self.P, self.initial_state_distrib = P, initial_probabilities(initial_distribution, model.n_states)
        self.observation_space, self.action_space = Discrete(model.n_states), Discrete(model.n_actions)
        self.max_episode_steps = math.inf
        if max_episode_steps is not None:
            self.max_episode_steps = validate_number(
                max_episode_steps, "max_episode_steps", minimum=1, integer=True
            )
        self._start = np.cumsum(self.initial_state_distrib)[:-1].tolist()
        self._outcomes = [
            [[tuple(outcome[1:]) for outcome in P[s][a]] for a in range(model.n_actions)]
            for s in range(model.n_states)
        ]
        self._cumulative = [
            [np.cumsum([outcome[0] for outcome in P[s][a]])[:-1].tolist() for a in range(model.n_actions)]
            for s in range(model.n_states)
        ]
        self._uniform = uniform_numbers(np.random.default_rng())

    def reset(self, *, seed=None, options=None):
        """Begin an episode; returns the first state and an empty dict."""
        if seed is not None:
            self._uniform = uniform_numbers(np.random.default_rng(seed))
        self._steps = 0
        self._state = bisect_right(self._start, next(self._uniform))
        return self._state, {}

    def step(self, action):
        """Act; returns (next state, reward, terminated, truncated, {})."""
        cumulative = self._cumulative[self._state][action]
        outcome = bisect_right(cumulative, next(self._uniform)) if cumulative else 0
        self._state, reward, terminated = self._outcomes[self._state][action][outcome]
        self._steps += 1
        return self._state, reward, terminated, self._steps >= self.max_episode_steps, {}


@no_type_check
def uniform_numbers(rng: np.random.Generator) -> Iterator[float]:
    """Uniform numbers in [0, 1) one by one, drawn in blocks: a tenth of the cost of `rng.random()` each."""
    while True:
        yield from rng.random(4096).tolist()


# %% [markdown]
# ## Checks of arguments


# %%
def planning_discount(gamma: Any) -> float:
    """γ in [0, 1), checked."""
    gamma = validate_number(gamma, "gamma")
    if not 0 <= gamma < 1:
        raise ValueError(
            f"gamma must be in [0, 1) for planning, got {gamma!r}: without discounting a policy that never "
            "ends has no finite value. The learners accept gamma=1 on tasks whose episodes end."
        )
    return gamma


def action_probabilities(policy: Any, n_states: int, n_actions: int) -> Float[np.ndarray, "S A"]:
    """A policy as probabilities, checked: actions of shape (S,) become rows with a single one."""
    array = np.asarray(policy)
    if array.shape == (n_states,) and array.dtype.kind in "iu":
        if array.min() < 0 or array.max() >= n_actions:
            raise ValueError(
                f"policy must hold actions from 0 to {n_actions - 1}, got {array.min()} … {array.max()}."
            )
        return np.eye(n_actions)[array]
    if array.shape != (n_states, n_actions) or array.dtype.kind not in "iuf":
        raise ValueError(
            f"policy must be {n_states} integer actions or probabilities of shape ({n_states}, {n_actions}), "
            f"got shape {array.shape} of dtype {array.dtype}."
        )
    if not (np.all(array >= 0) and np.allclose(array.sum(axis=1), 1.0, rtol=0, atol=1e-8)):
        raise ValueError("policy: the probabilities of each state must be at least 0 and sum to 1.")
    return array.astype(float)


def initial_probabilities(initial_distribution: Any, n_states: int) -> Float[np.ndarray, " S"]:
    """The distribution of the first state, checked."""
    start = np.asarray(initial_distribution, dtype=float)
    if start.shape != (n_states,) or not np.all(start >= 0) or not abs(start.sum() - 1.0) <= 1e-8:
        raise ValueError(
            f"initial_distribution must be {n_states} probabilities that sum to 1, got shape {start.shape} "
            f"with sum {start.sum():g}."
        )
    return start


def schedule(value: Any, name: str) -> Callable[[int], float]:
    """A number in [0, 1], or a function of a count, as a function; its values are checked and kept."""
    if not callable(value):
        number = validate_number(value, name, minimum=0.0, maximum=1.0)
        return lambda count: number
    return functools.cache(
        lambda count: validate_number(value(count), f"{name}({count})", minimum=0.0, maximum=1.0)
    )


def space_size(env: Any, name: str) -> int:
    """Number of elements of an environment's discrete space, checked."""
    space = getattr(env, name, None)
    n = getattr(space, "n", None)
    if n is None or getattr(space, "shape", ()) != () or not (callable(getattr(env, "step", None))):
        raise TypeError(
            f"env must be an environment whose {name} is Discrete, as a table needs; got {space!r} of "
            f"{type(env).__name__}. Cut a continuous or composite space into numbered cells first."
        )
    if getattr(space, "start", 0) != 0:
        raise ValueError(f"env.{name} must count from 0, got Discrete(n={n}, start={space.start}).")
    return int(n)
