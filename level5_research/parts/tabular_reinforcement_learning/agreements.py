"""Tabular reinforcement learning against its references: planners on every world, learners against the exact optimum."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from level5_research.parts.tabular_reinforcement_learning.references import (
    GAMMA,
    WORLDS,
    roll_out,
    solve_linear_program,
    solve_policy,
)
from shared.agreement import Comparison


def compare_worlds(comparison: Comparison, ours: SimpleNamespace) -> None:
    """Append the agreements on all worlds.

    Args:
        ours: the topic's planners and learners by name.
    """
    import gymnasium

    environments = {name: gymnasium.make(key, **options) for name, (key, options) in WORLDS.items()}
    for name, env in environments.items():
        _compare_planners(comparison.on(dataset=name), env.unwrapped, ours)
    _compare_rollouts(comparison, environments["FrozenLake 4×4"].unwrapped, ours)
    _compare_learners(comparison, environments, ours)


def _compare_planners(comparison: Comparison, world: Any, ours: SimpleNamespace) -> None:
    P, start = world.P, world.initial_state_distrib
    stop = "stopped at tol·(1−γ)/γ with tol = 1e-8, so the error is at most 1e-8"
    exact = "both solve linear equations: rounding, times 1/(1−γ)"
    plan, optimum = comparison.run(
        lambda: ours.value_iteration(P, GAMMA, tol=1e-8), lambda: solve_linear_program(P)
    )
    comparison.compare(
        "optimal values, value iteration",
        plan.values,
        optimum,
        tolerance=1e-8,
        reason=stop,
        measure="absolute",
    )
    by_policies, _ = comparison.run(lambda: ours.policy_iteration(P, GAMMA), lambda: None)
    comparison.compare(
        "optimal values, policy iteration", by_policies.values, optimum, tolerance=1e-9, reason=exact
    )
    soft, soft_optimum = comparison.run(
        lambda: ours.policy_iteration(P, GAMMA, epsilon=0.1), lambda: solve_linear_program(P, epsilon=0.1)
    )
    comparison.compare(
        "optimal ε-soft values, ε = 0.1", soft.values, soft_optimum, tolerance=1e-9, reason=exact
    )

    sparse_solve = comparison.on(reference="scipy.sparse.linalg.spsolve")
    values, (their_values, their_q) = sparse_solve.run(
        lambda: ours.policy_evaluation(P, plan.policy, GAMMA), lambda: solve_policy(P, plan.policy)
    )
    sparse_solve.compare("values of a policy", values, their_values, tolerance=1e-10, reason=exact)
    sparse_solve.compare(
        "action values, value iteration", plan.q, their_q, tolerance=1e-8, reason=stop, measure="absolute"
    )
    sparse_solve.compare(
        "exact return",
        ours.exact_return(P, plan.policy, GAMMA, start),
        start @ their_values,
        tolerance=1e-10,
        reason=exact,
    )


def _compare_rollouts(comparison: Comparison, world: Any, ours: SimpleNamespace) -> None:
    P, policy = world.P, ours.policy_iteration(world.P, GAMMA).policy
    simulation = comparison.on(reference="gymnasium", dataset="FrozenLake 4×4")
    exact, returns = simulation.run(
        lambda: ours.exact_return(P, policy, GAMMA, world.initial_state_distrib),
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


def _compare_learners(comparison: Comparison, environments: dict[str, Any], ours: SimpleNamespace) -> None:
    unsettled = "a wrong action may remain where few episodes pass: 2 % of the return"
    lanes = "two lanes through the grid are nearly as good; noisy targets may confuse them, not more: 10 %"
    first = "averages of whole returns react slowly when the policy changes: 5 %"
    slipping = {"alpha": ours.decaying_step_size, "epsilon": 0.3, "initial_q": 1.0}
    for world, learner, n_episodes, options, followed_softly, tolerance, reason in (
        ("FrozenLake 4×4", ours.q_learning, 6000, slipping, False, 0.02, unsettled),
        ("CliffWalking", ours.q_learning, 500, {"alpha": 1.0, "epsilon": 0.1}, False, 0.02, unsettled),
        ("Taxi", ours.q_learning, 4000, {"alpha": 1.0, "epsilon": 0.3}, False, 0.02, unsettled),
        (
            "FrozenLake 4×4, dry",
            ours.double_q_learning,
            1000,
            {"alpha": 1.0, "epsilon": 0.3},
            False,
            0.02,
            unsettled,
        ),
        (
            "CliffWalking",
            ours.sarsa,
            2000,
            {"alpha": lambda n: 11 / (10 + n), "epsilon": 0.1},
            True,
            0.1,
            lanes,
        ),
        ("CliffWalking", ours.expected_sarsa, 1000, {"alpha": 1.0, "epsilon": 0.1}, True, 0.02, unsettled),
        ("FrozenLake 4×4, dry", ours.monte_carlo_control, 1000, {"epsilon": 0.1}, True, 0.05, first),
    ):
        env, epsilon = environments[world], options["epsilon"] if followed_softly else 0.0
        P, start = env.unwrapped.P, env.unwrapped.initial_state_distrib
        planner = comparison.on(reference="scipy.optimize.linprog", dataset=world)
        begin = functools.partial(learner, env, n_episodes, gamma=GAMMA, rng=0, **options)
        learnt, optimum = planner.run(begin, functools.partial(solve_linear_program, P, epsilon))
        planner.compare(
            f"return of {learner.__name__}, best {'ε-soft ' if followed_softly else ''}policy",
            ours.exact_return(P, ours.epsilon_soft(learnt.policy, epsilon, len(P[0])), GAMMA, start),
            start @ optimum,
            tolerance=tolerance,
            reason=reason,
            measure="elementwise",
        )
    _compare_averages(comparison, environments["FrozenLake 4×4"], ours)


def _compare_averages(comparison: Comparison, env: Any, ours: SimpleNamespace) -> None:
    """First-visit and every-visit averages under a uniformly random policy, which never changes."""
    sparse_solve = comparison.on(reference="scipy.sparse.linalg.spsolve", dataset="FrozenLake 4×4")
    uniform = np.full((env.observation_space.n, env.action_space.n), 1.0 / env.action_space.n)
    for first_visit in (True, False):
        learnt, (_, q) = sparse_solve.run(
            lambda first=first_visit: ours.monte_carlo_control(
                env, 3000, epsilon=1.0, rng=0, first_visit=first
            ),
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
