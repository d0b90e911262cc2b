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
# # Worlds that break a learner
#
# Each is a few lines behind Gymnasium's `reset` and `step`, or a table; what happens in them stands in
# [the failure modes](../../failure_modes/tabular_reinforcement_learning.py).

# %%
from __future__ import annotations

from typing import no_type_check

import numpy as np

from level5_research.parts.tabular_reinforcement_learning.worlds import Discrete


@no_type_check
class NoisyChoices:
    """Many copies of the world above, side by side, so that one run averages over all of them.

    States 0 … n_copies−1 are the A's, the next n_copies the B's; each episode begins in a random A.
    """

    def __init__(self, n_copies: int, n_actions: int, noise: float = 1.0):
        self.observation_space, self.action_space = Discrete(2 * n_copies), Discrete(n_actions)
        self.n_copies, self.noise = n_copies, noise

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
            self.starts, self.rewards = iter(()), iter(())
        self.state = next(self.starts, None)
        if self.state is None:
            self.starts = iter(self.rng.integers(self.n_copies, size=4096).tolist())
            self.rewards = iter((self.noise * self.rng.standard_normal(4096)).tolist())
            self.state = next(self.starts)
        return self.state, {}

    def step(self, action):
        if self.state < self.n_copies:
            self.state += self.n_copies
            return self.state, 0.0, False, False, {}
        return self.state, next(self.rewards), True, False, {}


@no_type_check
class OneFlag:
    """An environment as old code sees it: `done = terminated or truncated` is reported as an end."""

    def __init__(self, env):
        self.env = env
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def reset(self, **options):
        return self.env.reset(**options)

    def step(self, action):
        state, reward, terminated, truncated, info = self.env.step(action)
        return state, reward, terminated or truncated, False, info


def cliff_walking_table() -> tuple[list, np.ndarray]:
    """The 4×12 cliff walk: `P[s][a]` as of Gymnasium's CliffWalking-v1, and the first-state distribution.

    Actions 0 up, 1 right, 2 down, 3 left. The cliff is the bottom row between start and goal.
    """
    rows, columns, start = 4, 12, 36
    table = []
    for state in range(rows * columns):
        row, column = divmod(state, columns)
        outcomes = []
        for down, right in ((-1, 0), (0, 1), (1, 0), (0, -1)):
            to = (min(max(row + down, 0), rows - 1), min(max(column + right, 0), columns - 1))
            next_state = to[0] * columns + to[1]
            if to[0] == rows - 1 and 0 < to[1] < columns - 1:
                outcomes.append([(1.0, start, -100, False)])
            else:
                outcomes.append([(1.0, next_state, -1, next_state == rows * columns - 1)])
        table.append(outcomes)
    return table, np.eye(rows * columns)[start]
