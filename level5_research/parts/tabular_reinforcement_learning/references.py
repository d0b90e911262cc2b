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
# # References for tabular reinforcement learning
#
# What `tabular_reinforcement_learning` is compared with: SciPy's linear programming and sparse solver on
# matrices built straight from Gymnasium's tables, episodes in Gymnasium itself, and the two sides of each
# benchmark. The topic's own solvers are not used here.

# %%
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from level5_research.parts.tabular_reinforcement_learning.worlds import markov_decision_process
from shared.arrays import random_generator

GAMMA = 0.99
"""Discount of all comparisons."""

WORLDS = {
    "FrozenLake 4×4": ("FrozenLake-v1", {"map_name": "4x4"}),
    "FrozenLake 8×8": ("FrozenLake-v1", {"map_name": "8x8", "max_episode_steps": 200}),
    "CliffWalking": ("CliffWalking-v1", {"max_episode_steps": 200}),
    "Taxi": ("Taxi-v4", {}),
    "FrozenLake 4×4, dry": ("FrozenLake-v1", {"map_name": "4x4", "is_slippery": False}),
}
"""Gymnasium's names and arguments of the worlds that we compare on."""


def bellman_rows(P: Any, epsilon: float = 0.0) -> tuple[Any, Any]:
    """The rows γ·P(s, a, ·) as a SciPy CSR matrix (S·A, S), and r(s, a); actions made random with ε."""
    from scipy import sparse

    n_states, n_actions = len(P), len(P[0])
    rows = sparse.lil_matrix((n_states * n_actions, n_states))
    rewards = np.zeros(n_states * n_actions)
    for s in range(n_states):
        for a in range(n_actions):
            for taken in range(n_actions) if epsilon else (a,):
                share = epsilon / n_actions + (1 - epsilon) * (taken == a)
                for probability, next_state, reward, terminated in P[s][taken]:
                    rewards[s * n_actions + a] += share * probability * reward
                    if not terminated:
                        rows[s * n_actions + a, next_state] += GAMMA * share * probability
    return rows.tocsr(), rewards


def solve_linear_program(P: Any, epsilon: float = 0.0) -> np.ndarray:
    """Optimal values by linear programming: the least v with v ≥ r + γ P v for every action."""
    from scipy import sparse
    from scipy.optimize import linprog

    rows, rewards = bellman_rows(P, epsilon)
    n_states, n_actions = len(P), len(P[0])
    own = sparse.kron(sparse.identity(n_states), np.ones((n_actions, 1)))
    return linprog(np.ones(n_states), A_ub=rows - own, b_ub=-rewards, bounds=(None, None), method="highs").x


def solve_policy(P: Any, policy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and action values of a policy, (S,) or (S, A), by SciPy's sparse solver."""
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    rows, rewards = bellman_rows(P)
    n_states, n_actions = len(P), len(P[0])
    probabilities = np.eye(n_actions)[policy] if policy.ndim == 1 else policy
    cells = np.arange(n_states * n_actions)
    mix = sparse.csr_matrix((probabilities.ravel(), (cells // n_actions, cells)))  # (S, S·A)
    values = spsolve((sparse.identity(n_states) - mix @ rows).tocsc(), mix @ rewards)
    return values, (rewards + rows @ values).reshape(n_states, n_actions)


def roll_out(env: Any, policy: np.ndarray, n_episodes: int, seed: int) -> np.ndarray:
    """Discounted returns of episodes of a deterministic policy, in the environment itself."""
    returns = np.zeros(n_episodes)
    state, _ = env.reset(seed=seed)
    for episode in range(n_episodes):
        discount, ended = 1.0, False
        while not ended:
            state, reward, terminated, truncated, _ = env.step(int(policy[state]))
            returns[episode] += discount * reward
            discount *= GAMMA
            ended = terminated or truncated
        state, _ = env.reset()
    return returns


def random_world(n_states: int, n_actions: int, n_outcomes: int, rng: Any) -> list:
    """A random table: each pair leads to `n_outcomes` random states (Archibald and others 1995: "Garnet")."""
    rng = random_generator(rng)
    next_state = rng.integers(n_states, size=(n_states, n_actions, n_outcomes)).tolist()
    probability = rng.dirichlet(np.ones(n_outcomes), size=(n_states, n_actions)).tolist()
    reward = rng.random((n_states, n_actions)).tolist()
    return [
        [
            [(p, t, reward[s][a], False) for p, t in zip(probability[s][a], next_state[s][a], strict=True)]
            for a in range(n_actions)
        ]
        for s in range(n_states)
    ]


def race_value_iteration(value_iteration: Callable, breath: Callable, n_states: int) -> tuple[Any, ...]:
    """Ours, the same sweeps with SciPy's sparse product, and the breath, on one random world."""
    from scipy import sparse

    gamma, tol = 0.9, 1e-6
    P = random_world(n_states, 4, 3, rng=0)
    model = markov_decision_process(P)
    b, n_actions, _ = model.weight.shape
    entry = np.arange(n_actions * n_states)
    rows = sparse.csr_matrix(
        (gamma * model.weight.ravel(), (np.tile(entry, b), model.next_state.ravel())), (len(entry), n_states)
    )
    rewards = model.reward.ravel()

    def reference():
        values, change = np.zeros(n_states), np.inf
        while change > tol * (1 - gamma) / gamma:
            new_values = (rows @ values + rewards).reshape(n_actions, n_states).max(axis=0)
            values, change = new_values, np.abs(new_values - values).max()
        return values

    plain = (lambda: breath(P, gamma, tol=tol)) if n_states <= 4000 else None
    return lambda: value_iteration(model, gamma, tol=tol), reference, plain


def race_q_learning(q_learning: Callable, breath: Callable, n_steps: int) -> tuple[Any, ...]:
    """Q-learning in Taxi for `n_steps` steps, as many steps of Taxi without any learning, and the breath."""
    import gymnasium

    env = gymnasium.make("Taxi-v4", max_episode_steps=100)
    actions = np.random.default_rng(0).integers(env.action_space.n, size=n_steps).tolist()

    def reference():
        env.reset(seed=0)
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    # Random actions hardly ever deliver a passenger: nearly every episode has all its 100 steps.
    def plain():
        breath(env, n_steps // 100, gamma=GAMMA, alpha=0.1, epsilon=1.0, rng=np.random.default_rng(0))

    return lambda: q_learning(env, n_steps // 100, epsilon=1.0, rng=0), reference, plain
