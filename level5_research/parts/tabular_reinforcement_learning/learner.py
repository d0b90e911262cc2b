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
# # The loop that all learners share
#
# A learner is a target and a moment: what to learn from one transition, and when to choose the next action. Everything
# else is the same for all of them, and stands here. The table is a list of lists of Python floats: for single numbers these
# are several times faster than an array, and this loop cannot be vectorized, because what is learnt decides what is seen.

# %%
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int

from level5_research.parts.tabular_reinforcement_learning.summary import (
    LearningSummary,
    count,
    last_tenth,
    summarize_learning,
    table_text,
    tenth,
)
from level5_research.parts.tabular_reinforcement_learning.worlds import schedule, space_size, uniform_numbers
from shared.arrays import random_generator, validate_number

# %% [markdown]
# ## Acting
# One uniform number $u$ decides everything: if $u < \varepsilon$ the action is random, and
# $u / \varepsilon$ is again uniform and says which; otherwise the action is greedy, and
# $(u - \varepsilon)/(1 - \varepsilon)$ picks one of the equals. Ties are broken at random while learning:
# an agent that always took the first of equal actions would walk into the same wall until something
# changed.


# %%
@no_type_check
def epsilon_greedy(row, epsilon, u):
    """An action for the action values `row`, a list: random with probability `epsilon`, else greedy.

    `u` is a uniform number in [0, 1), the only source of randomness.
    """
    if u < epsilon:
        return int(u / epsilon * len(row))
    best = max(row)
    if row.count(best) == 1:
        return row.index(best)
    equals = [action for action, value in enumerate(row) if value == best]
    return equals[int((u - epsilon) / (1.0 - epsilon) * len(equals))]


# %% [markdown]
# ## Living
# `learn` gets one transition, changes the table and says which action comes next.


# %%
@dataclass(frozen=True, repr=False)
class Control:
    """What a learner found. Prints as one line; `summary()` says how the learning went.

    Attributes:
        q: learnt action values, shape (S, A). policy: the first action of largest q in each state, (S,).
        returns: discounted return of each episode as it was lived, exploration included, shape (n_episodes,).
        lengths: steps of each episode, (n_episodes,). visits: updates of each pair, (S, A).
        last_change: the largest change of an entry of q over the last tenth of the episodes.
    """

    q: Float[np.ndarray, "S A"]
    policy: Int[np.ndarray, " S"]
    returns: Float[np.ndarray, " n"]
    lengths: Int[np.ndarray, " n"]
    visits: Int[np.ndarray, "S A"]
    last_change: float = math.nan

    def __repr__(self) -> str:
        return (
            f"Control({table_text(self.q)}, {count(len(self.returns), 'episode')}, mean discounted return "
            f"{last_tenth(self.returns).mean():.4g} in the last tenth; see summary(), q, policy, returns)"
        )

    def summary(self) -> LearningSummary:
        """How the learning went: returns and lengths at the end, pairs never tried, whether q still moves."""
        return summarize_learning(self.returns, self.lengths, self.visits, self.last_change)


@no_type_check
class Learner:
    """The table, the schedules and the loop that all learners share."""

    def __init__(self, env, n_episodes, gamma, alpha, epsilon, rng, initial_q, n_tables=1):
        n_states, n_actions = space_size(env, "observation_space"), space_size(env, "action_space")
        self.env, self.n_episodes = env, validate_number(n_episodes, "n_episodes", minimum=1, integer=True)
        self.gamma = validate_number(gamma, "gamma", minimum=0.0, maximum=1.0)
        self.alpha, self.epsilon_of = schedule(alpha, "alpha"), schedule(epsilon, "epsilon")
        self.rng = random_generator(rng)
        self.uniform = uniform_numbers(self.rng)
        start = np.asarray(initial_q, dtype=float)
        if start.shape not in ((), (n_states, n_actions)) or not np.isfinite(start).all():
            raise ValueError(
                f"initial_q must be a finite number or an array of shape ({n_states}, {n_actions}), "
                f"got {initial_q!r}."
            )
        start = np.broadcast_to(start, (n_states, n_actions))
        self.tables = [start.tolist() for _ in range(n_tables)]
        self.visits = [[[0] * n_actions for _ in range(n_states)] for _ in range(n_tables)]
        self.epsilon = self.epsilon_of(0)

    # q(s, a) ← q(s, a) + α_n [target − q(s, a)], n the number of this pair's updates
    def update(self, state, action, target, table=0):
        row, counts = self.tables[table][state], self.visits[table][state]
        counts[action] += 1
        row[action] += self.alpha(counts[action]) * (target - row[action])

    def act(self, row):
        return epsilon_greedy(row, self.epsilon, next(self.uniform))

    def run(self, learn: Callable) -> Control:
        """Live `n_episodes` episodes; `learn` gets each transition and returns the next action."""
        gamma, step, returns, lengths = self.gamma, self.env.step, [], []
        state, _ = self.env.reset(seed=int(self.rng.integers(2**31)))
        for episode in range(self.n_episodes):
            if episode > 0:
                state, _ = self.env.reset()
            if episode == self.n_episodes - tenth(self.n_episodes):
                before = np.mean(self.tables, axis=0)
            self.epsilon = self.epsilon_of(episode)
            action = self.act([sum(values) for values in zip(*(q[state] for q in self.tables), strict=True)])
            total, discount, length, ended = 0.0, 1.0, 0, False
            while not ended:
                next_state, reward, terminated, truncated, _ = step(action)
                reward = float(reward)
                total += discount * reward
                discount *= gamma
                length += 1
                ended = terminated or truncated
                next_action = learn(state, action, reward, next_state, terminated, truncated)
                state, action = next_state, next_action
            returns.append(total)
            lengths.append(length)
        q, visits = np.mean(self.tables, axis=0), np.sum(self.visits, axis=0)
        change = float(np.abs(q - before).max())
        return Control(q, q.argmax(axis=1), np.array(returns), np.array(lengths), visits, change)


def decaying_step_size(n: int) -> float:
    """α_n = n^(−0.6), a polynomial learning rate (Even-Dar and Mansour 2003)."""
    return n**-0.6


def one_over_n(n: int) -> float:
    """α_n = 1/n, the running average: it hardly forgets the start where targets contain it."""
    return 1 / n


def rescaled_step_size(gamma: float) -> Callable[[int], float]:
    """α_n = 1/(1 + (1−γ) n), the running average slowed by the horizon 1/(1−γ) (Wainwright 2019)."""
    return lambda n: 1 / (1 + (1 - gamma) * n)
