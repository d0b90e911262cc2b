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
# **The question.** How should one act, step after step, when each action changes what comes next and the reward may be far
# away? With the rules of the world in hand this is *planning*; without them, from experience alone, it is *learning*.
#
# **In one line.** The worth of an action is its reward plus the discounted worth of what follows; solve that equation
# where the rules are known, and follow it sample by sample where they are not.
#
# **What is here.** The planners `value_iteration` and `policy_iteration`; the learners `q_learning`, `double_q_learning`,
# `sarsa`, `expected_sarsa` and `monte_carlo_control`; and, to judge them, `policy_evaluation` and `exact_return`, which
# need no sampling at all.
#
# **Builds on** linear solves, fixed points and averages: one number for each pair of state and action, in a table. **Mirrors**
# the environments of `gymnasium` and the transition tables `env.unwrapped.P` of its toy-text worlds.
#
# **Sources.** Bellman (1957); Howard (1960); Puterman, *Markov Decision Processes* (1994), chapters 5 and 6; Sutton and
# Barto, *Reinforcement Learning: An Introduction* (2018), chapters 3 to 6; Watkins and Dayan (1992) for Q-learning; van
# Hasselt (2010) for its double; Singh and others (2000) for SARSA; Even-Dar and Mansour (2003) and Wainwright (2019) for step sizes.

# %% [markdown]
# ## 2. Derive
#
# | symbol | meaning | in the code | shape |
# |---|---|---|---|
# | $s$, $a$, $r$ | state, action, reward; $s'$ and $a'$ are the next ones | `state`, `action`, `reward` | |
# | $n_s$, $n_a$ | how many states and actions there are | `S`, `A` in shapes | |
# | $p(s',r\mid s,a)$ | the rules of the world | `P[s][a] = [(probability, next_state, reward, terminated), …]` | |
# | $b$ | the largest number of outcomes of a pair | | |
# | $v(s)$, $q(s,a)$ | worth of a state, of an action in it | `values`, `q` | `(S,)`, `(S, A)` |
# | $\pi(a\mid s)$ | policy: one action a state, or probabilities | `policy` | `(S,)` or `(S, A)` |
# | $\gamma$ | discount, $0\le\gamma<1$ for planners, $\le1$ for learners | `gamma` | |
# | $\alpha$, $\varepsilon$ | step size, share of random actions | `alpha`, `epsilon` | |
# | $G_t$, $R_t$ | return and reward from time $t$ on, at time $t$ | | |
# | $T$ | the Bellman operator | `bellman_backup`, then the maximum | |
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
# $O(n_sn_ab)$.
#
# **Policy iteration** (Howard 1960) alternates the exact solve with greedy improvement. If $\pi'$ takes in
# each state an action with $q_\pi(s, \pi'(s)) \ge v_\pi(s)$, then $v_{\pi'} \ge v_\pi$ everywhere: replace
# the first action, then the second, and so on; each replacement adds what is at least zero. There are
# finitely many policies, so it ends, in practice after a handful of rounds of $O(n_s^3)$ each.
#
# **A policy that must explore.** Call a policy *ε-soft* if every action has probability at least
# $\varepsilon/n_a$. The best of these is greedy with probability $1 - \varepsilon$ and uniform otherwise,
# and the same improvement argument holds with
#
# $$ v(s) = (1 - \varepsilon) \max_a q(s, a) + \frac{\varepsilon}{n_a} \sum_a q(s, a) . $$
#
# `policy_iteration(P, gamma, epsilon=0.1)` computes it exactly. It is what an agent that keeps exploring
# should be compared with; the optimum without exploration is out of its reach.
#
# **Prediction before control.** Fix a policy. Its Bellman equation says that $v_\pi(s)$ is the *mean* of the random target
# $r + \gamma v_\pi(s')$, and a mean can be tracked one sample at a time, $v \leftarrow v + \alpha\,(\text{target} - v)$, which for
# $\alpha = 1/n$ is the running average. *Monte Carlo* takes the observed return $G_t$ for the target: unbiased, and as noisy as
# a whole episode. *TD(0)* takes $r + \gamma v(s')$ with the current table: the noise of one step, and a bias that shrinks as the
# table improves. On the same finite data, repeated until they settle, Monte Carlo fits the observed returns best and TD(0)
# finds the values of the world that the observed transitions suggest (Sutton and Barto 2018, section 6.3).
#
# **Control** tracks $q_*(s,a)$, the mean of $r + \gamma \max_{a'} q_*(s', a')$; with the current table in the target this is
# **Q-learning**, which learns about the greedy policy while following another (*off-policy*). **SARSA** puts the action really
# taken next into the target, and so learns the value of the policy it follows, exploration included (*on-policy*). **Expected
# SARSA** averages that action out: same mean, less noise. **Monte Carlo control** uses no other estimate.
#
# **Why Q-learning converges.** If each pair is visited for ever and its steps satisfy $\sum \alpha = \infty$, $\sum \alpha^2 < \infty$,
# then $q \to q_*$ with probability one (Watkins and Dayan 1992). The sketch, after Tsitsiklis (1994), for the error $e = q - q_*$:
#
# 1. *Split off the noise.* The target is $(Hq)(s,a)$ plus noise of mean zero, where $H$ takes the mean of the target over $s'$ and is a
#    contraction: $\lVert Hq - q_* \rVert_\infty \le \gamma \lVert q - q_* \rVert_\infty$. The table stays bounded, for a target is at
#    most $\max|r| + \gamma \max|q|$, so the variance of the noise is bounded, too.
# 2. *The noise averages out.* $z \leftarrow (1-\alpha) z + \alpha \cdot \text{noise}$ tends to 0: that is Robbins and Monro's theorem
#    (1951), and needs $\sum\alpha^2 < \infty$.
# 3. *The rest shrinks box by box.* Suppose $|e| \le B$ from some time on. Then $y = e - z$ obeys
#    $|y| \leftarrow (1-\alpha)|y| + \alpha\gamma B$ at most, whichever pair is updated, in any order. Because $\sum\alpha = \infty$ for every pair, all $|y|$
#    fall below $(\gamma + \eta)B$ for any $\eta > 0$, and with $z \to 0$ so does $|e|$. With $\gamma + \eta < 1$ repeat: $B$ tends to 0.
#
# Nothing in it says when: step 3 may take as long as $\sum\alpha$ takes to grow. SARSA with a fixed $\varepsilon$ converges to the best
# ε-soft policy, and to $q_*$ if $\varepsilon \to 0$ while every pair is still visited for ever (Singh and others 2000).
#
# **What it assumes.** States are counted, and what follows depends on the present state and action alone. The planners
# take the rules for true; the learners take the world for one that does not change while they learn.
#
# **Step sizes.** $\alpha_n = 1/n$ satisfies the conditions and is a trap: early targets are built on a wrong table. In one state
# whose reward comes for ever, each update takes the share $(1-\gamma)\alpha_n$ off the error, so that $1/n$ leaves about
# $n^{-(1-\gamma)}$ of it: at $\gamma = 0.99$, 93 % after a thousand updates and 87 % after a million. In general its time
# is exponential in $1/(1-\gamma)$, that of $n^{-\omega}$, $1/2 < \omega < 1$, polynomial (Even-Dar and Mansour 2003). Slowed by the
# horizon, $1/(1 + (1-\gamma)n)$, the error of that state falls like $1/n$ (Wainwright 2019). Where the world is
# deterministic there is no noise to average out, and $\alpha = 1$ is best.
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

# %%
from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float, Int

from level5_research.parts.tabular_reinforcement_learning.agreements import compare_worlds
from level5_research.parts.tabular_reinforcement_learning.learner import (
    Control,
    Learner,
    decaying_step_size,
    epsilon_greedy,
    one_over_n,
    rescaled_step_size,
)
from level5_research.parts.tabular_reinforcement_learning.pictures import draw_forgetting, draw_lakes
from level5_research.parts.tabular_reinforcement_learning.references import (
    GAMMA,
    race_q_learning,
    race_value_iteration,
)
from level5_research.parts.tabular_reinforcement_learning.summary import Plan
from level5_research.parts.tabular_reinforcement_learning.variants import (
    double_q_learning,
    double_q_learning_target,
    expected_sarsa,
    expected_sarsa_target,
    monte_carlo_control,
    returns_to_go,
)
from level5_research.parts.tabular_reinforcement_learning.worlds import (
    MarkovDecisionProcess,
    TabularEnvironment,
    action_probabilities,
    initial_probabilities,
    markov_decision_process,
    planning_discount,
)
from shared import linalg
from shared.agreement import Agreement, Benchmark, Comparison
from shared.arrays import validate_number

__all__ = [
    "BREATH", "Control", "MarkovDecisionProcess", "Plan", "TabularEnvironment", "bellman_backup",
    "decaying_step_size", "double_q_learning", "double_q_learning_target", "epsilon_greedy", "epsilon_soft",
    "exact_return", "expected_sarsa", "expected_sarsa_target", "markov_decision_process",
    "monte_carlo_control", "one_over_n", "plain_q_learning", "plain_value_iteration", "policy_evaluation",
    "policy_iteration", "q_learning", "q_learning_target", "rescaled_step_size", "returns_to_go", "sarsa", "sarsa_target",
    "value_iteration",
]  # fmt: skip

BREATH = "plain_q_learning"

# %% [markdown]
# ### In one breath
# Planning sweeps the equation until it holds. Learning meets the same equation one transition at a time.


# %%
def plain_value_iteration(P, gamma, tol=1e-8):  # practice: core
    """Action values q(s, a), (S, A), whose largest in each state is within tol of the optimum."""
    v = np.zeros(len(P))
    while True:
        q = np.array([
            [sum(p * (r + gamma * v[t] * (not end)) for p, t, r, end in P[s][a]) for a in range(len(P[s]))]
            for s in range(len(P))
        ])  # fmt: skip
        if np.abs(q.max(axis=1) - v).max() <= tol * (1 - gamma) / gamma:
            return q
        v = q.max(axis=1)


def plain_q_learning(env, n_episodes, gamma, alpha, epsilon, rng):  # practice: core
    """Action values learnt from experience alone, (S, A)."""
    q = np.zeros((env.observation_space.n, env.action_space.n))
    for _ in range(n_episodes):
        (s, _), done = env.reset(seed=int(rng.integers(2**31))), False
        while not done:
            best = rng.choice(np.flatnonzero(q[s] == q[s].max()))
            a = int(rng.integers(q.shape[1]) if rng.random() < epsilon else best)
            t, r, terminated, truncated, _ = env.step(a)
            q[s, a] += alpha * (r + gamma * q[t].max() * (not terminated) - q[s, a])
            s, done = t, terminated or truncated
    return q


# %% [markdown]
# **What is wrong with it.** Both touch one number at a time, in arrays that are slow for single numbers, the first cannot
# tell when rounding keeps it from its tolerance, and the second keeps one step size for a world that may be random. (Put the
# action that is taken next in the place of the maximum, and it is SARSA.) `groundup bench` prints the price. The rest of the
# page plans with whole arrays, judges every policy without sampling, and gives the learners schedules and a record.
#
# ### Planning
# The table is checked and turned into arrays by `markov_decision_process` ([worlds](parts/tabular_reinforcement_learning/worlds.py)):
# `.reward` holds $r(s,a)$ as $(A,S)$; `.weight` and `.next_state`, $(b,A,S)$, hold for outcome $j$ of each pair its probability of
# going on, and where it leads. `TabularEnvironment` gives any table Gymnasium's `reset` and `step`. The checks of arguments
# (`planning_discount`, `action_probabilities`, `initial_probabilities`) are there, too.
#
# $q(s, a) = r(s, a) + \gamma \sum_{s'} P_{s a s'}\, v(s')$, for all pairs at once.


# %%
def bellman_backup(
    P: Any, values: Float[np.ndarray, " S"], gamma: float
) -> Float[np.ndarray, "S A"]:  # practice: core
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
def value_iteration(P: Any, gamma: float, *, tol: float = 1e-8) -> Plan:  # practice: core
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
def policy_evaluation(P: Any, policy: Any, gamma: float) -> Float[np.ndarray, " S"]:  # practice: core
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
# $\pi(a \mid s) = \varepsilon/n_a$ for every action, and $1 - \varepsilon$ more for the chosen one.


# %%
def epsilon_soft(policy: Int[np.ndarray, " S"], epsilon: float, n_actions: int) -> Float[np.ndarray, "S A"]:
    """Action probabilities of a policy that acts at random with probability `epsilon`."""
    probabilities = np.full((len(policy), n_actions), epsilon / n_actions)
    probabilities[np.arange(len(policy)), policy] += 1.0 - epsilon
    return probabilities


# %% [markdown]
# Evaluate exactly, then take in every state an action of largest $q$. An action is only given up for one
# that is better by more than the rounding of the solve (about $\epsilon_{\mathrm{mach}} / (1 - \gamma)$
# relative), so equals do not chase each other.


# %%
def policy_iteration(P: Any, gamma: float, *, epsilon: float = 0.0) -> Plan:  # practice: core
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
# **What to learn from one step.** All targets have the form reward plus discounted worth of the next state, and the reward
# alone where the episode terminated. They differ in whom they ask about that worth. `next_row` is $q(s',\cdot)$.
#
# Q-learning asks the best action: $r+\gamma\max_{a'}q(s',a')$.


# %%
@no_type_check
def q_learning_target(reward, terminated, next_row, gamma):
    """Target of Q-learning; the reward alone where the episode terminated."""
    return reward if terminated else reward + gamma * max(next_row)


# %% [markdown]
# SARSA asks the action that will really be taken: $r+\gamma\,q(s',a')$.


# %%
@no_type_check
def sarsa_target(reward, terminated, next_row, next_action, gamma):
    """Target of SARSA: the value of the action taken next."""
    return reward if terminated else reward + gamma * next_row[next_action]


# %% [markdown]
# [Three more](parts/tabular_reinforcement_learning/variants.py) ask two tables (double Q-learning), the average over what might be
# taken (expected SARSA), or nobody, and wait: Monte Carlo control uses no other estimate, its target is the observed return.
#
# **The loop** is the same for all of them, in [learner](parts/tabular_reinforcement_learning/learner.py). Three of its helpers are
# needed here: `Learner.act(row)` chooses an action ε-greedily, ties at random; `Learner.update(state, action, target)` moves
# $q(s,a)$ by $\alpha$ of its distance to the target; `Learner.run(learn)` lives the episodes, where `learn` gets each transition,
# changes the table and returns the next action. Q-learning learns first and then acts:


# %%
def q_learning(  # practice: core
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
    learner = Learner(env, n_episodes, gamma, alpha, epsilon, rng, initial_q)
    (q,) = learner.tables

    @no_type_check
    def learn(state, action, reward, next_state, terminated, truncated):
        learner.update(state, action, q_learning_target(reward, terminated, q[next_state], learner.gamma))
        return learner.act(q[next_state])

    return learner.run(learn)


# %% [markdown]
# SARSA has to act first, because its target contains the next action: state, action, reward, state, action.


# %%
def sarsa(  # practice: core
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

    With a fixed ε it approaches the optimal ε-soft policy (`policy_iteration(P, gamma, epsilon=ε)`; Singh and others 2000).
    Arguments, errors and cost as in `q_learning`. Source: Sutton and Barto (2018), section 6.4.
    """
    learner = Learner(env, n_episodes, gamma, alpha, epsilon, rng, initial_q)
    (q,) = learner.tables

    @no_type_check
    def learn(state, action, reward, next_state, terminated, truncated):
        next_action = learner.act(q[next_state])
        target = sarsa_target(reward, terminated, q[next_state], next_action, learner.gamma)
        learner.update(state, action, target)
        return next_action

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
def validate() -> list[Agreement]:
    """Planners against linear programming and sparse solves; learners against the exact optimum."""
    comparison = Comparison(reference="scipy.optimize.linprog", dataset="FrozenLake 4×4")
    ours = SimpleNamespace(
        value_iteration=value_iteration, policy_iteration=policy_iteration, policy_evaluation=policy_evaluation,
        exact_return=exact_return, epsilon_soft=epsilon_soft, q_learning=q_learning, sarsa=sarsa,
        double_q_learning=double_q_learning, expected_sarsa=expected_sarsa, monte_carlo_control=monte_carlo_control,
        decaying_step_size=decaying_step_size,
    )  # fmt: skip
    compare_worlds(comparison, ours)
    return comparison.agreements


# %% [markdown]
# **Speed.** A sweep costs $O(n_sn_ab)$, and how many are needed depends on $\gamma$ and tol, so value iteration grows with exponent
# 1; the reference makes the same sweeps with SciPy's compiled sparse product. The learners are raced against the environment
# itself, the same number of steps with nothing learnt: the ratio is the price of learning.


# %%
def benchmarks() -> list[Benchmark]:
    """Value iteration against SciPy's sparse products; Q-learning against bare environment steps."""
    return [
        Benchmark(
            name="value iteration, random worlds",
            sizes=(1000, 4000, 16_000),
            setup=functools.partial(race_value_iteration, value_iteration, plain_value_iteration),
            expected_exponent=1.0,
            reference="scipy.sparse.csr_matrix",
            repeats=5,
            unit="states",
        ),
        Benchmark(
            name="Q-learning, Taxi, against its bare steps",
            sizes=(2000, 8000, 32_000),
            setup=functools.partial(race_q_learning, q_learning, plain_q_learning),
            expected_exponent=1.0,
            reference="gymnasium",
            repeats=3,
            unit="steps",
        ),
    ]


# %% [markdown]
# ## 5. Document
#
# **Use a planner** whenever the table is known or can be written down: it is exact, and takes milliseconds where the
# learners take $10^5$ steps. Value iteration for large sparse worlds and moderate $\gamma$; policy iteration for small
# ones and for $\gamma$ close to one, where value iteration needs $1/(1-\gamma)$ times as many sweeps.
#
# **Use a learner** when all there is is the world itself. Q-learning for the best policy in the end; SARSA or expected
# SARSA where the exploring agent has to live with its mistakes (expected SARSA is the better of the two wherever ε is
# known); double Q-learning where rewards are noisy; Monte Carlo where episodes are short and the state is not all that
# matters. Start the table optimistically, but not for double Q-learning: there the choosing table may prefer an action
# that it has never tried, and the judging table knows what it costs.
#
# **Do not use any of these** where states cannot be counted. With function approximation the guarantees end, and
# off-policy learning can diverge.
#
# **In plain words.** The method keeps a score for each situation and each thing one could do in it: what that earns in the
# end, not at once. With the rules of the world in hand the scores are computed; without them they are learnt by trying. It
# takes for granted that situations can be counted, and that what comes next depends on the situation alone. When an agent
# does something odd, ask what it was rewarded for, whether it still explores while it is judged, and whether it ever tried
# the alternative.
#
# **How it breaks**: `groundup break tabular_reinforcement_learning`, and `failure_modes/tabular_reinforcement_learning.py`.
#
# **The pictures.** The mechanism: how worth spreads backward from the goal, sweep by sweep, until the actions settle. The
# result: how slowly four kinds of steps forget a wrong start.


# %%
def mechanism():
    """Values of the 8×8 lake after 10 and 40 sweeps and at the end, with the greedy actions: worth spreads from the goal G, and
    the actions turn away from the holes H."""
    import gymnasium

    lake = gymnasium.make("FrozenLake-v1", map_name="8x8").unwrapped
    plan = value_iteration(lake.P, GAMMA)
    stages = [(plan.q, f"{plan.n_sweeps} sweeps: settled")]
    for n_sweeps in (40, 10):
        values = np.zeros(64)
        for _ in range(n_sweeps):
            q = bellman_backup(lake.P, values, GAMMA)
            values = q.max(axis=1)
        stages.insert(0, (q, f"{n_sweeps} sweeps"))
    return draw_lakes(lake.desc, stages, plan.values.max())


def example():
    """What is left of a wrong start over the updates of one state whose reward of 1 comes for ever, γ = 0.99: steps of 1/n keep
    nearly all of it; dots are Q-learning's, lines the products of 1 − (1−γ)α."""
    world = TabularEnvironment([[[(1.0, 0, 1.0, False)]]], [1.0], max_episode_steps=1)
    counts, curves = [1, 10, 100, 1000, 10_000], {}
    for label, alpha in (
        ("1/n", one_over_n),
        ("n^−0.6", decaying_step_size),
        ("constant 0.1", lambda n: 0.1),
        ("1/(1 + (1−γ)n)", rescaled_step_size(GAMMA)),
    ):
        learnt = [q_learning(world, n, gamma=GAMMA, alpha=alpha, rng=0).q[0, 0] for n in counts]
        factors = [1 - (1 - GAMMA) * alpha(n) for n in range(1, counts[-1] + 1)]
        curves[label] = (1 - (1 - GAMMA) * np.array(learnt), np.cumprod(factors))
    return draw_forgetting(counts, curves)


# %%
if __name__ == "__main__":
    from shared.presentation import present_topic

    present_topic(validate, example, mechanism)
