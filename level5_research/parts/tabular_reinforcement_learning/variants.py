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
# # Three more learners: double Q-learning, expected SARSA, Monte Carlo control
#
# Their targets differ in whom they ask about the next state. `next_row` is $q(s',\cdot)$.

# %%
from __future__ import annotations

from collections.abc import Callable
from typing import Any, no_type_check

from level5_research.parts.tabular_reinforcement_learning.learner import Control, Learner

# %% [markdown]
# ## Double Q-learning
# Double Q-learning lets one table choose and the other judge:
# $R + \gamma\, q_2(s', \arg\max_{a'} q_1(s', a'))$. A maximum of noisy numbers is too high on average; the
# independent second opinion on the winner is not.


# %%
@no_type_check
def double_q_learning_target(reward, terminated, choosing_row, judging_row, gamma):
    """Target of double Q-learning: chosen by one table, judged by the other."""
    return reward if terminated else reward + gamma * judging_row[choosing_row.index(max(choosing_row))]


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

    Arguments, errors and cost as in `q_learning` of the topic; `.q` is the mean of the tables, and `alpha` counts the
    updates of each table by itself.
    """
    learner = Learner(env, n_episodes, gamma, alpha, epsilon, rng, initial_q, n_tables=2)
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
# ## Expected SARSA
# Expected SARSA averages over what might be taken:
# $R + \gamma \big[(1-\varepsilon) \max_{a'} q(s', a') + \tfrac{\varepsilon}{A} \sum_{a'} q(s', a')\big]$.


# %%
@no_type_check
def expected_sarsa_target(reward, terminated, next_row, epsilon, gamma):
    """Target of expected SARSA: the ε-greedy average of the next action values."""
    if terminated:
        return reward
    return reward + gamma * ((1.0 - epsilon) * max(next_row) + epsilon * sum(next_row) / len(next_row))


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

    Arguments, errors and cost as in `q_learning` of the topic. Source: van Seijen and others (2009).
    """
    learner = Learner(env, n_episodes, gamma, alpha, epsilon, rng, initial_q)
    (q,) = learner.tables

    @no_type_check
    def learn(state, action, reward, next_state, terminated, truncated):
        target = expected_sarsa_target(reward, terminated, q[next_state], learner.epsilon, learner.gamma)
        learner.update(state, action, target)
        return learner.act(q[next_state])

    return learner.run(learn)


# %% [markdown]
# ## Monte Carlo control
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
    Other arguments, errors and cost as in `q_learning` of the topic. Source: Sutton and Barto (2018), section 5.4.
    """
    learner = Learner(env, n_episodes, gamma, alpha, epsilon, rng, initial_q)
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
