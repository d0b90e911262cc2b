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
# # Tabular reinforcement learning
#
# ## 1. Select
#
# **The question.** How should one act, step after step, when each action changes what comes next and the
# reward may be far away? With the rules of the world in hand this is *planning*; without them, from
# experience alone, it is *learning*.
#
# **What is here.** The planners `value_iteration` and `policy_iteration`; the learners `q_learning`,
# `double_q_learning`, `sarsa`, `expected_sarsa` and `monte_carlo_control`; and, to judge them,
# `policy_evaluation` and `exact_return`, which need no sampling at all.
#
# **Builds on.** Linear solves and fixed points (Level 1), Monte Carlo averages. Nothing else: states and
# actions are few enough to keep one number for each pair in a table.
#
# **Mirrors.** The environment interface of `gymnasium` and the transition tables `env.unwrapped.P` of its
# toy-text worlds.
#
# **Sources.** Bellman (1957); Howard (1960); Puterman, *Markov Decision Processes* (1994), chapters 5 and
# 6; Sutton and Barto, *Reinforcement Learning: An Introduction* (2018), chapters 3 to 6; Watkins and Dayan
# (1992) for Q-learning; van Hasselt (2010) for its double; Even-Dar and Mansour (2003) for step sizes.

# %% [markdown]
# ## 2. Derive
#
# | symbol | in the code | shape |
# |---|---|---|
# | states $s$, actions $a$ | `state`, `action` | $S$ and $A$ of them |
# | $p(s', r \mid s, a)$ | `P[s][a] = [(probability, next_state, reward, terminated), …]` | |
# | $v(s)$ | `values` | `(S,)` |
# | $q(s, a)$ | `q` | `(S, A)` |
# | $\pi(a \mid s)$ | `policy`, one action a state or probabilities | `(S,)` or `(S, A)` |
# | $\gamma$ | `gamma` | discount, $0 \le \gamma < 1$ for planners, $\le 1$ for learners |
# | $\alpha$, $\varepsilon$ | `alpha`, `epsilon` | step size, share of random actions |
#
# **The return.** From time $t$ the agent collects
# $G_t = R_{t+1} + \gamma R_{t+2} + \gamma^2 R_{t+3} + \dots$, so $G_t = R_{t+1} + \gamma G_{t+1}$. The
# value of a policy is the expected return, and taking expectations of that line gives the **Bellman
# equation**: with $r(s,a) = \sum p\,r$ and $P_{s a s'}$ the probability of moving to $s'$ *and going on* (a
# terminated transition contributes its reward and no future),
#
# $$ q_\pi(s, a) = r(s, a) + \gamma \sum_{s'} P_{s a s'}\, v_\pi(s'), \qquad
#    v_\pi(s) = \sum_a \pi(a \mid s)\, q_\pi(s, a). $$
#
# It is linear in $v_\pi$: $(I - \gamma P_\pi)\, v_\pi = r_\pi$. The rows of $P_\pi$ sum to at most one, so
# $\gamma < 1$ makes the matrix strictly diagonally dominant and the solution unique. One solve, no
# sampling: this is how every policy below is judged. The *return* of a policy is $\sum_s \mu(s)\, v_\pi(s)$
# with $\mu$ the distribution of the first state.
#
# **The optimum.** The best policy takes the best action in every state, which replaces the average by a
# maximum:
#
# $$ v_*(s) = \max_a \Big[ r(s, a) + \gamma \sum_{s'} P_{s a s'}\, v_*(s') \Big] =: (T v_*)(s). $$
#
# No linear solve gives this. But $|\max_a x_a - \max_a y_a| \le \max_a |x_a - y_a|$, so
# $\lVert T v - T w \rVert_\infty \le \gamma \lVert v - w \rVert_\infty$: $T$ is a contraction, its fixed
# point is unique, and repeating $v_{k+1} = T v_k$ finds it. That is **value iteration**.
#
# **When to stop.** By the triangle inequality and the contraction,
# $\lVert v_{k+1} - v_* \rVert \le \gamma \lVert v_k - v_* \rVert \le \gamma \lVert v_k - v_{k+1} \rVert +
# \gamma \lVert v_{k+1} - v_* \rVert$, hence
#
# $$ \lVert v_{k+1} - v_* \rVert_\infty \le \frac{\gamma}{1 - \gamma} \lVert v_{k+1} - v_k \rVert_\infty . $$
#
# Stop when the change is at most $\mathrm{tol}\,(1-\gamma)/\gamma$, and the error is at most tol. A small
# change alone says little: at $\gamma = 0.99$ the error may be 99 times as large. The change shrinks by
# $\gamma$ in each sweep, so the number of sweeps is at most
# $1 + \log(\text{first change} / \text{last}) / \log(1/\gamma)$, and each costs one pass over the outcomes:
# $O(S A b)$ for $b$ outcomes a pair.
#
# **Policy iteration** (Howard 1960) alternates the exact solve with greedy improvement. If $\pi'$ takes in
# each state an action with $q_\pi(s, \pi'(s)) \ge v_\pi(s)$, then $v_{\pi'} \ge v_\pi$ everywhere: replace
# the first action, then the second, and so on; each replacement adds what is at least zero. There are
# finitely many policies, so it ends, in practice after a handful of rounds of $O(S^3)$ each.
#
# **A policy that must explore.** Call a policy *ε-soft* if every action has probability at least
# $\varepsilon / A$. The best of these is greedy with probability $1 - \varepsilon$ and uniform otherwise,
# and the same improvement argument holds with
#
# $$ v(s) = (1 - \varepsilon) \max_a q(s, a) + \frac{\varepsilon}{A} \sum_a q(s, a) . $$
#
# `policy_iteration(P, gamma, epsilon=0.1)` computes it exactly. It is what an agent that keeps exploring
# should be compared with; the optimum without exploration is out of its reach.
#
# **Learning without the table.** The Bellman optimality equation says that $q_*(s,a)$ is the *mean* of the
# random target $R + \gamma \max_{a'} q_*(S', a')$. A mean can be tracked one sample at a time,
# $q \leftarrow q + \alpha\,(\text{target} - q)$, which for $\alpha = 1/n$ is the running average. With the
# current table in the target this is **Q-learning**. If every pair is visited for ever and the steps of
# each pair satisfy $\sum \alpha = \infty$, $\sum \alpha^2 < \infty$, then $q \to q_*$ with probability one
# (Watkins and Dayan 1992), whatever the agent did in between: it learns about the greedy policy while
# following another (*off-policy*). **SARSA** puts the action really taken next into the target, and so
# learns the value of the policy it follows, exploration included (*on-policy*). **Expected SARSA** averages
# that action out: same mean, less noise. **Monte Carlo control** waits for the whole return, and needs no
# other estimate at all.
#
# **Step sizes.** $\alpha_n = 1/n$ satisfies the conditions and is a trap: early targets are built on a
# wrong table, and $1/n$ forgets them so slowly that the time to converge grows exponentially in
# $1/(1-\gamma)$. With $\alpha_n = n^{-\omega}$, $1/2 < \omega < 1$, it grows polynomially (Even-Dar and
# Mansour 2003). Where the world is deterministic the target has no noise to average out, and $\alpha = 1$
# is best.
#
# **Optimism.** Start the table above every possible return: each action looks good until it was tried, so
# the agent tries them all, systematically. On FrozenLake no return exceeds 1; where rewards are costs, a
# table of zeros is optimistic by itself.
#
# **Truncation is not termination.** An episode that *terminated* has no future: the target is the reward.
# One that was *truncated* by a time limit was merely not watched any longer: the future is still worth
# $\gamma \max_{a'} q(s', a')$. Treating the second as the first teaches the agent that time limits are
# walls.

# %% [markdown]
# ## 3. Implement
#
# The table of a world is checked and turned into arrays by `markov_decision_process`: expected rewards of
# shape $(A, S)$, and for outcome $j$ of every pair its probability of going on and its next state, of shape
# $(b, A, S)$. It stands in `tabular_reinforcement_learning_worlds.py`, together with `TabularEnvironment`,
# which gives any table Gymnasium's `reset` and `step`.

# %%
from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float, Int

from level5_research.tabular_reinforcement_learning_references import (
    GAMMA,
    WORLDS,
    race_q_learning,
    race_value_iteration,
    roll_out,
    solve_linear_program,
    solve_policy,
)
from level5_research.tabular_reinforcement_learning_summary import (
    LearningSummary,
    count,
    last_tenth,
    summarize_learning,
    table_text,
    tenth,
)
from level5_research.tabular_reinforcement_learning_worlds import (
    MarkovDecisionProcess,
    TabularEnvironment,
    action_probabilities,
    initial_probabilities,
    markov_decision_process,
    planning_discount,
    schedule,
    space_size,
    uniform_numbers,
)
from shared import linalg
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import random_generator, validate_number

__all__ = [
    "Control",
    "MarkovDecisionProcess",
    "Plan",
    "TabularEnvironment",
    "bellman_backup",
    "decaying_step_size",
    "double_q_learning",
    "double_q_learning_target",
    "epsilon_greedy",
    "epsilon_soft",
    "exact_return",
    "expected_sarsa",
    "expected_sarsa_target",
    "markov_decision_process",
    "monte_carlo_control",
    "policy_evaluation",
    "policy_iteration",
    "q_learning",
    "q_learning_target",
    "returns_to_go",
    "sarsa",
    "sarsa_target",
    "value_iteration",
]


# %% [markdown]
# ### Planning


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

    def __repr__(self) -> str:  # practice: keep
        return (
            f"Plan({table_text(self.q)}, {count(self.n_sweeps, 'sweep')}, values from {self.values.min():.4g} to "
            f"{self.values.max():.4g}; see values, q, policy)"
        )


# %% [markdown]
# $q(s, a) = r(s, a) + \gamma \sum_{s'} P_{s a s'}\, v(s')$, for all pairs at once.


# %%
def bellman_backup(P: Any, values: Float[np.ndarray, " S"], gamma: float) -> Float[np.ndarray, "S A"]:
    """Value of each action when `values` is what the next states are worth: one sweep, O(S·A·b)."""
    model = markov_decision_process(P)
    future = values.take(model.next_state[0], mode="clip")  # v(s') of outcome 0, (A, S); indices are checked
    future *= model.weight[0]
    for weight, next_state in zip(model.weight[1:], model.next_state[1:], strict=True):
        gathered = values.take(next_state, mode="clip")
        gathered *= weight
        future += gathered
    future *= gamma
    future += model.reward
    return future.T


# %% [markdown]
# $v_{k+1} = \max_a q_k(\cdot, a)$ until
# $\lVert v_{k+1} - v_k \rVert_\infty \le \mathrm{tol}\,(1-\gamma)/\gamma$.


# %%
def value_iteration(P: Any, gamma: float, *, tol: float = 1e-8) -> Plan:
    """The optimal values, each within `tol`, by repeated Bellman backups from zero.

    Args:
        P: transition table as of Gymnasium's toy-text environments (see `markov_decision_process`).
        gamma: discount in [0, 1). One is refused: the error bound has the factor γ/(1−γ).
        tol: bound on max|values − v*|.

    Warns:
        RuntimeWarning: rounding stopped the progress above `tol`; the message says where.
    Raises:
        ValueError, TypeError: a bad table, gamma or tol.
    Cost: O(S·A·b) a sweep, about log(scale / (tol·(1−γ))) / log(1/γ) sweeps.
    Source: Puterman (1994), section 6.3.
    """
    model, gamma = markov_decision_process(P), planning_discount(gamma)
    tol = validate_number(tol, "tol", minimum=0.0, exclusive=True)
    enough = max(tol * (1 - gamma) / gamma, np.finfo(float).tiny) if gamma > 0 else math.inf
    values, n_sweeps, limit = np.zeros(model.n_states), 0, math.inf
    while True:
        q = bellman_backup(model, values, gamma)
        new_values = q.max(axis=1)
        change = float(np.abs(new_values - values).max())
        values, n_sweeps = new_values, n_sweeps + 1
        if change <= enough:
            return Plan(values, np.ascontiguousarray(q), q.argmax(axis=1), n_sweeps)
        if n_sweeps == 1:  # the contraction bounds the number of sweeps before they are made
            limit = 2 + math.ceil((math.log(change) - math.log(enough)) / math.log(1 / gamma))
        if n_sweeps > limit:
            warnings.warn(
                f"value_iteration: rounding keeps the values from settling; max|values − v*| is about "
                f"{change * gamma / (1 - gamma):.1g} where tol={tol:g} was asked for. Ask for a larger tol.",
                RuntimeWarning,
                stacklevel=2,
            )
            return Plan(values, np.ascontiguousarray(q), q.argmax(axis=1), n_sweeps)


# %% [markdown]
# A policy turns the decision process into a Markov chain: $P_\pi = \sum_a \pi(a \mid s) P_{s a s'}$ and
# $r_\pi = \sum_a \pi(a \mid s) r(s, a)$, and its values solve $(I - \gamma P_\pi)\, v = r_\pi$.


# %%
def policy_evaluation(P: Any, policy: Any, gamma: float) -> Float[np.ndarray, " S"]:
    """The exact values of a policy, by one linear solve. O(S³) time, O(S²) memory.

    Args:
        policy: one action for each state, shape (S,), or probabilities of the actions, shape (S, A).

    Raises:
        ValueError, TypeError: a bad table or gamma (as `value_iteration`), or a policy that does not fit it.
    """
    model, gamma = markov_decision_process(P), planning_discount(gamma)
    probabilities = action_probabilities(policy, model.n_states, model.n_actions)  # (S, A)
    n = model.n_states
    flow = model.weight * probabilities.T  # (b, A, S): π(a|s) · p(outcome j, going on | s, a)
    cell = np.arange(n) * n + model.next_state  # row s, column s' of the matrix, flattened
    chain_matrix = np.bincount(cell.ravel(), flow.ravel(), minlength=n * n).reshape(n, n)
    rewards = (probabilities.T * model.reward).sum(axis=0)
    return linalg.solve(np.eye(n) - gamma * chain_matrix, rewards)


# %% [markdown]
# The return is $\sum_s \mu(s) v_\pi(s)$.


# %%
def exact_return(P: Any, policy: Any, gamma: float, initial_distribution: Any) -> float:
    """The expected discounted return of a policy, without sampling and without a time limit. O(S³).

    Args:
        initial_distribution: probability of each first state, shape (S,); in Gymnasium's toy-text worlds
            `env.unwrapped.initial_state_distrib`.
    """
    values = policy_evaluation(P, policy, gamma)
    start = initial_probabilities(initial_distribution, len(values))
    return float(start @ values)


# %% [markdown]
# $\pi(a \mid s) = \varepsilon / A$ for every action, and $1 - \varepsilon$ more for the chosen one.


# %%
def epsilon_soft(policy: Int[np.ndarray, " S"], epsilon: float, n_actions: int) -> Float[np.ndarray, "S A"]:
    """Action probabilities of a policy that acts at random with probability `epsilon`."""
    probabilities = np.full((len(policy), n_actions), epsilon / n_actions)
    probabilities[np.arange(len(policy)), policy] += 1.0 - epsilon
    return probabilities


# %% [markdown]
# Evaluate exactly, then take in every state an action of largest $q$. An action is only given up for one
# that is better by more than the rounding of the solve (about $\epsilon_{\mathrm{mach}} / (1 - \gamma)$
# relative), so equals do not chase each other for ever.


# %%
def policy_iteration(P: Any, gamma: float, *, epsilon: float = 0.0) -> Plan:
    """The optimal policy by exact evaluation and greedy improvement; with `epsilon`, the optimal ε-soft one.

    Args:
        P, gamma: as in `value_iteration`.
        epsilon: share of uniformly random actions that the policy has to keep, in [0, 1]. The `values` and
            `q` are then those of the ε-soft policy around `policy`.

    Cost: O(S³) a round. Source: Howard (1960); Sutton and Barto (2018), sections 4.3 and 5.4.
    """
    model, gamma = markov_decision_process(P), planning_discount(gamma)
    epsilon = validate_number(epsilon, "epsilon", minimum=0.0, maximum=1.0)
    states, n_sweeps = np.arange(model.n_states), 0
    policy = model.reward.argmax(axis=0)  # greedy for the next reward alone
    while True:
        values = policy_evaluation(model, epsilon_soft(policy, epsilon, model.n_actions), gamma)
        q = bellman_backup(model, values, gamma)
        n_sweeps += 1
        rounding = 16 * np.finfo(float).eps * np.abs(q).max() / (1 - gamma)
        improvable = q[states, policy] < q.max(axis=1) - rounding
        if not improvable.any():
            return Plan(values, np.ascontiguousarray(q), q.argmax(axis=1), n_sweeps)
        policy = np.where(improvable, q.argmax(axis=1), policy)


# %% [markdown]
# ### Learning
#
# **Acting.** One uniform number $u$ decides everything: if $u < \varepsilon$ the action is random, and
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
# **What to learn from one step.** Four targets, all of the form reward plus discounted worth of the next
# state. They differ in whom they ask about it. `next_row` is $q(s', \cdot)$.
#
# Q-learning asks the best action: $R + \gamma \max_{a'} q(s', a')$.


# %%
@no_type_check
def q_learning_target(reward, terminated, next_row, gamma):
    """Target of Q-learning; the reward alone where the episode terminated."""
    return reward if terminated else reward + gamma * max(next_row)


# %% [markdown]
# Double Q-learning lets one table choose and the other judge:
# $R + \gamma\, q_2(s', \arg\max_{a'} q_1(s', a'))$. A maximum of noisy numbers is too high on average; the
# independent second opinion on the winner is not.


# %%
@no_type_check
def double_q_learning_target(reward, terminated, choosing_row, judging_row, gamma):
    """Target of double Q-learning: chosen by one table, judged by the other."""
    return reward if terminated else reward + gamma * judging_row[choosing_row.index(max(choosing_row))]


# %% [markdown]
# SARSA asks the action that will really be taken: $R + \gamma\, q(s', A')$.


# %%
@no_type_check
def sarsa_target(reward, terminated, next_row, next_action, gamma):
    """Target of SARSA: the value of the action taken next."""
    return reward if terminated else reward + gamma * next_row[next_action]


# %% [markdown]
# Expected SARSA averages over what might be taken:
# $R + \gamma \big[(1-\varepsilon) \max_{a'} q(s', a') + \tfrac{\varepsilon}{A} \sum_{a'} q(s', a')\big]$.


# %%
@no_type_check
def expected_sarsa_target(reward, terminated, next_row, epsilon, gamma):
    """Target of expected SARSA: the ε-greedy average of the next action values."""
    if terminated:
        return reward
    return reward + gamma * ((1.0 - epsilon) * max(next_row) + epsilon * sum(next_row) / len(next_row))


# %% [markdown]
# Monte Carlo control asks nobody and waits: $G_t = R_{t+1} + \gamma G_{t+1}$, backwards from the end. The
# end is worth 0 if the episode terminated, and what the table says if it was truncated.


# %%
def returns_to_go(rewards: list[float], gamma: float, tail: float) -> list[float]:
    """The return from each step of an episode on; `tail` is the worth of the state where it was left."""
    returns = []
    for reward in reversed(rewards):
        tail = reward + gamma * tail
        returns.append(tail)
    return returns[::-1]


# %% [markdown]
# **The loop** is the same for all of them. `learn` gets one transition, changes the table and says which
# action comes next. The table is a list of lists of Python floats: for single numbers these are several
# times faster than an array, and this loop cannot be vectorised, because what is learnt decides what is
# seen.


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

    def __repr__(self) -> str:  # practice: keep
        return (
            f"Control({table_text(self.q)}, {count(len(self.returns), 'episode')}, mean discounted return "
            f"{last_tenth(self.returns).mean():.4g} in the last tenth; see summary(), q, policy, returns)"
        )

    def summary(self) -> LearningSummary:  # practice: keep
        """How the learning went: returns and lengths at the end, pairs never tried, whether q still moves."""
        return summarize_learning(self.returns, self.lengths, self.visits, self.last_change)


@no_type_check
class _Learner:
    """The table, the schedules and the loop that all learners share."""

    def __init__(self, env, n_episodes, gamma, alpha, epsilon, rng, initial_q, n_tables=1):  # practice: keep
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
        self.tables: list[Table] = [start.tolist() for _ in range(n_tables)]
        self.visits = [[[0] * n_actions for _ in range(n_states)] for _ in range(n_tables)]
        self.epsilon = self.epsilon_of(0)

    # q(s, a) ← q(s, a) + α_n [target − q(s, a)], n the number of this pair's updates
    def update(self, state, action, target, table=0):
        row, counts = self.tables[table][state], self.visits[table][state]
        counts[action] += 1
        row[action] += self.alpha(counts[action]) * (target - row[action])

    def act(self, row):  # practice: keep
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


# %% [markdown]
# Each algorithm is now its target and the moment at which it chooses the next action. Q-learning learns
# first and then acts:


# %%
def q_learning(
    env: Any,
    n_episodes: int,
    *,
    gamma: float = 0.99,
    alpha: float | Callable[[int], float] = 0.1,
    epsilon: float | Callable[[int], float] = 0.1,
    rng: Any = None,
    initial_q: Any = 0.0,
) -> Control:
    """Learn the optimal action values off-policy, while acting ε-greedily.

    Args:
        env: environment with Gymnasium's `reset` and `step` and discrete spaces.
        n_episodes: how many episodes to live, at least 1.
        gamma: discount in [0, 1]; 1 only makes sense where every episode ends.
        alpha: step size in [0, 1], or a function of how often the pair has been updated, this time included.
        epsilon: share of random actions in [0, 1], or a function of the episode's number, from 0.
        rng: None, an int or a `numpy.random.Generator`; also seeds the environment at its first reset.
        initial_q: what the table starts from, a number or an array (S, A).

    Raises:
        TypeError: spaces that are not discrete. ValueError: an argument out of its range.
    Cost: O(A) a step, besides the environment's own. Source: Watkins and Dayan (1992).
    """
    learner = _Learner(env, n_episodes, gamma, alpha, epsilon, rng, initial_q)
    (q,) = learner.tables

    @no_type_check
    def learn(state, action, reward, next_state, terminated, truncated):
        learner.update(state, action, q_learning_target(reward, terminated, q[next_state], learner.gamma))
        return learner.act(q[next_state])

    return learner.run(learn)


# %% [markdown]
# Double Q-learning keeps two tables, acts on their sum, and lets a coin decide which of them is to learn.


# %%
def double_q_learning(
    env: Any,
    n_episodes: int,
    *,
    gamma: float = 0.99,
    alpha: float | Callable[[int], float] = 0.1,
    epsilon: float | Callable[[int], float] = 0.1,
    rng: Any = None,
    initial_q: Any = 0.0,
) -> Control:
    """Q-learning without its upward bias: two tables, one chooses and the other judges (van Hasselt 2010).

    Arguments, errors and cost as in `q_learning`; `.q` is the mean of the tables, and `alpha` counts the
    updates of each table by itself.
    """
    learner = _Learner(env, n_episodes, gamma, alpha, epsilon, rng, initial_q, n_tables=2)
    tables = learner.tables

    @no_type_check
    def learn(state, action, reward, next_state, terminated, truncated):
        mine = int(next(learner.uniform) < 0.5)
        chooser, judge = tables[mine][next_state], tables[1 - mine][next_state]
        target = double_q_learning_target(reward, terminated, chooser, judge, learner.gamma)
        learner.update(state, action, target, table=mine)
        return learner.act([a + b for a, b in zip(chooser, judge, strict=True)])

    return learner.run(learn)


# %% [markdown]
# SARSA has to act first, because its target contains the next action:
# state, action, reward, state, action.


# %%
def sarsa(
    env: Any,
    n_episodes: int,
    *,
    gamma: float = 0.99,
    alpha: float | Callable[[int], float] = 0.1,
    epsilon: float | Callable[[int], float] = 0.1,
    rng: Any = None,
    initial_q: Any = 0.0,
) -> Control:
    """Learn on-policy the action values of the ε-greedy policy that is being followed.

    With a fixed ε it approaches the optimal ε-soft policy (`policy_iteration(P, gamma, epsilon=ε)`).
    Arguments, errors and cost as in `q_learning`. Source: Sutton and Barto (2018), section 6.4.
    """
    learner = _Learner(env, n_episodes, gamma, alpha, epsilon, rng, initial_q)
    (q,) = learner.tables

    @no_type_check
    def learn(state, action, reward, next_state, terminated, truncated):
        next_action = learner.act(q[next_state])
        target = sarsa_target(reward, terminated, q[next_state], next_action, learner.gamma)
        learner.update(state, action, target)
        return next_action

    return learner.run(learn)


# %%
def expected_sarsa(
    env: Any,
    n_episodes: int,
    *,
    gamma: float = 0.99,
    alpha: float | Callable[[int], float] = 0.1,
    epsilon: float | Callable[[int], float] = 0.1,
    rng: Any = None,
    initial_q: Any = 0.0,
) -> Control:
    """SARSA with the next action averaged out: the same mean with less variance, so larger steps are safe.

    Arguments, errors and cost as in `q_learning`. Source: van Seijen and others (2009).
    """
    learner = _Learner(env, n_episodes, gamma, alpha, epsilon, rng, initial_q)
    (q,) = learner.tables

    @no_type_check
    def learn(state, action, reward, next_state, terminated, truncated):
        target = expected_sarsa_target(reward, terminated, q[next_state], learner.epsilon, learner.gamma)
        learner.update(state, action, target)
        return learner.act(q[next_state])

    return learner.run(learn)


# %% [markdown]
# Monte Carlo control learns at the end of each episode, from the returns it has seen. *First-visit* uses,
# of each pair, only the return after its first visit in the episode, so that under a fixed policy the
# samples of a pair are independent; *every-visit* uses them all.


# %%
def monte_carlo_control(
    env: Any,
    n_episodes: int,
    *,
    gamma: float = 0.99,
    alpha: float | Callable[[int], float] = lambda n: 1.0 / n,
    epsilon: float | Callable[[int], float] = 0.1,
    rng: Any = None,
    initial_q: Any = 0.0,
    first_visit: bool = True,
) -> Control:
    """Learn on-policy from whole returns, without bootstrapping; `alpha` is by default 1/n, the mean.

    A truncated episode has an unseen rest: it is valued at the ε-greedy average of the last state's
    action values. `first_visit=False` uses every visit of a pair.
    Other arguments, errors and cost as in `q_learning`. Source: Sutton and Barto (2018), section 5.4.
    """
    learner = _Learner(env, n_episodes, gamma, alpha, epsilon, rng, initial_q)
    (q,) = learner.tables
    pairs, rewards = [], []

    @no_type_check
    def learn(state, action, reward, next_state, terminated, truncated):
        pairs.append((state, action))
        rewards.append(reward)
        if terminated or truncated:
            tail = expected_sarsa_target(0.0, terminated, q[next_state], learner.epsilon, 1.0)
            seen = set()
            for pair, total in zip(pairs, returns_to_go(rewards, learner.gamma, tail), strict=True):
                if not (first_visit and pair in seen):
                    learner.update(*pair, total)
                seen.add(pair)
            pairs.clear()
            rewards.clear()
        return learner.act(q[next_state])

    return learner.run(learn)


# %% [markdown]
# ## 4. Validate
#
# | | ours | elsewhere | why |
# |---|---|---|---|
# | terminated outcome in `P` | reward, no future | as in `step` | the goal of CliffWalking has moves onward |
# | truncation | bootstraps | often taken for an end | the future goes on, only unwatched |
# | return of a policy | linear solve, no time limit | mean of episodes | no noise |
# | ties | random while acting, first in `.policy` | `argmax`: first | or an agent sticks to the first |
# | `gamma = 1` | learners only | not checked | a policy that never ends has no finite value |
#
# The references know nothing of our solvers. The **linear program** $\min \sum_s v(s)$ subject to
# $v(s) \ge r(s,a) + \gamma \sum_{s'} P_{sas'} v(s')$ for all pairs has $v_*$ as its only solution: any
# feasible $v$ satisfies $v \ge Tv$, hence $v \ge v_*$ by repeating $T$. The **sparse linear solve** gives
# the values of a given policy. Both get their matrices straight from Gymnasium's `P`. Monte Carlo rollouts
# in Gymnasium itself check that these tables are the world.
#
# The learners' settings follow from the theory, for each kind of world. FrozenLake slips, so the steps fall
# as $n^{-0.6}$, and its table starts at the largest possible return, 1. CliffWalking and Taxi are
# deterministic, so $\alpha = 1$; their rewards are costs except for Taxi's last, so a table of zeros is
# optimistic wherever the way is long. SARSA's target is random even there, because its next action is.


# %%
def decaying_step_size(n: int) -> float:
    """α_n = n^(−0.6), a polynomial learning rate (Even-Dar and Mansour 2003)."""
    return n**-0.6


# %%
def validate() -> list[Agreement]:
    """Planners against linear programming and sparse solves; learners against the exact optimum."""
    import gymnasium

    environments = {name: gymnasium.make(key, **options) for name, (key, options) in WORLDS.items()}
    comparison = Comparison(reference="scipy.optimize.linprog", dataset="FrozenLake 4×4")
    for name, env in environments.items():
        _compare_planners(comparison.on(dataset=name), env.unwrapped)
    _compare_rollouts(comparison, environments["FrozenLake 4×4"].unwrapped)
    _compare_learners(comparison, environments)
    return comparison.agreements


def _compare_planners(comparison: Comparison, world: Any) -> None:  # practice: keep
    P, start = world.P, world.initial_state_distrib
    stop = "stopped at tol·(1−γ)/γ with tol = 1e-8, so the error is at most 1e-8"
    exact = "both solve linear equations: rounding, times 1/(1−γ)"
    plan, optimum = comparison.run(
        lambda: value_iteration(P, GAMMA, tol=1e-8), lambda: solve_linear_program(P)
    )
    comparison.compare(
        "optimal values, value iteration",
        plan.values,
        optimum,
        tolerance=1e-8,
        reason=stop,
        measure="absolute",
    )
    by_policies, _ = comparison.run(lambda: policy_iteration(P, GAMMA), lambda: None)
    comparison.compare(
        "optimal values, policy iteration", by_policies.values, optimum, tolerance=1e-9, reason=exact
    )
    soft, soft_optimum = comparison.run(
        lambda: policy_iteration(P, GAMMA, epsilon=0.1), lambda: solve_linear_program(P, epsilon=0.1)
    )
    comparison.compare(
        "optimal ε-soft values, ε = 0.1", soft.values, soft_optimum, tolerance=1e-9, reason=exact
    )

    sparse_solve = comparison.on(reference="scipy.sparse.linalg.spsolve")
    values, (their_values, their_q) = sparse_solve.run(
        lambda: policy_evaluation(P, plan.policy, GAMMA), lambda: solve_policy(P, plan.policy)
    )
    sparse_solve.compare("values of a policy", values, their_values, tolerance=1e-10, reason=exact)
    sparse_solve.compare(
        "action values, value iteration", plan.q, their_q, tolerance=1e-8, reason=stop, measure="absolute"
    )
    sparse_solve.compare(
        "exact return",
        exact_return(P, plan.policy, GAMMA, start),
        start @ their_values,
        tolerance=1e-10,
        reason=exact,
    )


def _compare_rollouts(comparison: Comparison, world: Any) -> None:  # practice: keep
    P, policy = world.P, policy_iteration(world.P, GAMMA).policy
    simulation = comparison.on(reference="gymnasium", dataset="FrozenLake 4×4")
    exact, returns = simulation.run(
        lambda: exact_return(P, policy, GAMMA, world.initial_state_distrib),
        lambda: roll_out(world, policy, 1000, seed=0),
    )
    simulation.compare(
        "exact return, against simulated episodes",
        exact,
        returns.mean(),
        tolerance=4 * returns.std() / math.sqrt(len(returns)),
        reason="four standard errors of the mean of 1,000 episodes",
        measure="absolute",
    )


def _compare_learners(comparison: Comparison, environments: dict[str, Any]) -> None:  # practice: keep
    unsettled = "a wrong action may remain where few episodes pass: 2 % of the return"
    lanes = "two lanes through the grid are nearly as good; noisy targets may confuse them, not more: 10 %"
    first = "averages of whole returns react slowly when the policy changes: 5 %"
    slipping = {"alpha": decaying_step_size, "epsilon": 0.3, "initial_q": 1.0}
    for world, learner, n_episodes, options, followed_softly, tolerance, reason in (
        ("FrozenLake 4×4", q_learning, 6000, slipping, False, 0.02, unsettled),
        ("CliffWalking", q_learning, 500, {"alpha": 1.0, "epsilon": 0.1}, False, 0.02, unsettled),
        ("Taxi", q_learning, 4000, {"alpha": 1.0, "epsilon": 0.3}, False, 0.02, unsettled),
        (
            "FrozenLake 4×4, dry",
            double_q_learning,
            1000,
            {"alpha": 1.0, "epsilon": 0.3},
            False,
            0.02,
            unsettled,
        ),
        ("CliffWalking", sarsa, 2000, {"alpha": lambda n: 11 / (10 + n), "epsilon": 0.1}, True, 0.1, lanes),
        ("CliffWalking", expected_sarsa, 1000, {"alpha": 1.0, "epsilon": 0.1}, True, 0.02, unsettled),
        ("FrozenLake 4×4, dry", monte_carlo_control, 1000, {"epsilon": 0.1}, True, 0.05, first),
    ):
        env, epsilon = environments[world], options["epsilon"] if followed_softly else 0.0
        P, start = env.unwrapped.P, env.unwrapped.initial_state_distrib
        planner = comparison.on(reference="scipy.optimize.linprog", dataset=world)
        begin = functools.partial(learner, env, n_episodes, gamma=GAMMA, rng=0, **options)
        learnt, optimum = planner.run(begin, functools.partial(solve_linear_program, P, epsilon))
        planner.compare(
            f"return of {learner.__name__}, best {'ε-soft ' if followed_softly else ''}policy",
            exact_return(P, epsilon_soft(learnt.policy, epsilon, len(P[0])), GAMMA, start),
            start @ optimum,
            tolerance=tolerance,
            reason=reason,
            measure="elementwise",
        )
    _compare_averages(comparison, environments["FrozenLake 4×4"])


def _compare_averages(comparison: Comparison, env: Any) -> None:  # practice: keep
    """First-visit and every-visit averages under a uniformly random policy, which never changes."""
    sparse_solve = comparison.on(reference="scipy.sparse.linalg.spsolve", dataset="FrozenLake 4×4")
    uniform = np.full((env.observation_space.n, env.action_space.n), 1.0 / env.action_space.n)
    for first_visit in (True, False):
        learnt, (_, q) = sparse_solve.run(
            lambda first=first_visit: monte_carlo_control(env, 3000, epsilon=1.0, rng=0, first_visit=first),
            lambda: solve_policy(env.unwrapped.P, uniform),
        )
        sparse_solve.compare(
            f"q of the random policy at the start, {'first' if first_visit else 'every'}-visit Monte Carlo",
            learnt.q[0],
            q[0],
            tolerance=float(4 * np.sqrt(q[0].max() / learnt.visits[0].min())),
            reason="four standard errors; a return in [0, 1] of mean μ has variance at most μ",
            measure="absolute",
        )


# %% [markdown]
# **Speed.** A sweep costs $O(SAb)$ and the number of sweeps depends on $\gamma$ and tol, not on the size.
# So value iteration on random worlds with a fixed number of outcomes grows with exponent 1. The reference
# does the same sweeps with SciPy's compiled sparse product; a linear program would be no match (it is far
# slower, and grows faster). The learners are raced against the environment itself: the same number of steps
# of Gymnasium with random actions and nothing learnt. A learner cannot be faster than the world that it
# lives in, so the ratio is the cost of learning.


# %%
def benchmarks() -> list[Benchmark]:
    """Value iteration against SciPy's sparse products; Q-learning against bare environment steps."""
    return [
        Benchmark(
            name="value iteration, random worlds",
            sizes=(1000, 4000, 16_000),
            setup=functools.partial(race_value_iteration, value_iteration),
            expected_exponent=1.0,
            reference="scipy.sparse.csr_matrix",
            repeats=5,
            unit="states",
        ),
        Benchmark(
            name="Q-learning, Taxi, against its bare steps",
            sizes=(2000, 8000, 32_000),
            setup=functools.partial(race_q_learning, q_learning),
            expected_exponent=1.0,
            reference="gymnasium",
            repeats=3,
            unit="steps",
        ),
    ]


# %% [markdown]
# ## 5. Document
#
# **Use a planner** whenever the table is known or can be written down: it is exact, and takes milliseconds
# where the learners take $10^5$ steps. Value iteration for large sparse worlds and moderate $\gamma$;
# policy iteration for small ones and for $\gamma$ close to one, where value iteration needs $1/(1-\gamma)$
# times as many sweeps.
#
# **Use a learner** when there is nothing but the world itself. Q-learning for the best policy in the end;
# SARSA or expected SARSA where the exploring agent has to live with its mistakes (expected SARSA is the
# better of the two wherever ε is known); double Q-learning where rewards are noisy; Monte Carlo where
# episodes are short and the state is not all that matters. Start the table optimistically, but not for
# double Q-learning: there the choosing table may prefer an action that it has never tried, and the judging
# table knows what it costs.
#
# **Do not use any of these** where states cannot be counted. With function approximation the guarantees
# end, and off-policy learning can diverge.
#
# **How it breaks**: `failure_modes/tabular_reinforcement_learning.py` shows the maximisation bias and its
# cure, the price of walking along the cliff while exploring, and Baird's counterexample, on which
# off-policy learning diverges at a predictable rate.


# %%
def example():
    """The optimal policy of the 8×8 lake, and with which step sizes Q-learning reaches the 4×4 lake's optimum."""
    import gymnasium

    from shared.figures import COLORS, subplots

    large, small = (gymnasium.make("FrozenLake-v1", map_name=name).unwrapped for name in ("8x8", "4x4"))
    figure, (lake, curve) = subplots(1, 2, width=10.0, height=4.4, width_ratios=[1, 1.2])
    _draw_lake(lake, large.desc, value_iteration(large.P, GAMMA))

    P, start = small.P, small.initial_state_distrib
    env = TabularEnvironment(P, start, max_episode_steps=100)
    episodes = [125, 250, 500, 1000, 2000, 4000]
    for alpha, color, label in (
        (decaying_step_size, COLORS["ours"], "step size $n^{-0.6}$"),
        (lambda n: 1 / n, COLORS["broken"], "step size $1/n$"),
    ):
        for seed in range(3):  # a longer run of the same seed continues the shorter one
            runs = [q_learning(env, n, alpha=alpha, epsilon=0.3, initial_q=1.0, rng=seed) for n in episodes]
            returns = [exact_return(P, run.policy, GAMMA, start) for run in runs]
            curve.plot(episodes, returns, "o-", color=color, alpha=0.8, label=label if seed == 0 else None)
    best = start @ policy_iteration(P, GAMMA).values
    curve.axhline(best, color=COLORS["theory"], linestyle="--", label="optimum")
    curve.set(
        title="Q-learning on the 4×4 lake, three runs each",
        xlabel="episodes",
        ylabel="exact return of the greedy policy",
        xscale="log",
        xticks=episodes,
        xticklabels=episodes,
    )
    curve.minorticks_off()
    curve.legend(loc="center right")
    return figure


def _draw_lake(axes: Any, letters: np.ndarray, plan: Plan) -> None:  # practice: keep
    size = len(letters)
    image = axes.imshow(plan.values.reshape(size, size), cmap="viridis")
    for cell, action in enumerate(plan.policy):
        row, column = divmod(cell, size)
        letter = letters[row, column].decode()
        text = letter if letter in "HG" else "←↓→↑"[action]
        light = plan.values[cell] < 0.55 * plan.values.max()
        axes.text(column, row, text, ha="center", va="center", color="white" if light else "black")
    axes.set(title="8×8 lake: optimal values and actions", xticks=[], yticks=[])
    axes.grid(False)
    axes.figure.colorbar(image, ax=axes, shrink=0.8)


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example)
