"""Tabular reinforcement learning: planners to the last digit, learners against the exact optimum."""

import warnings

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from level5_research import tabular_reinforcement_learning as rl
from level5_research.failure_modes import tabular_reinforcement_learning as broken
from level5_research.failure_modes.tabular_reinforcement_learning import FAILURE_MODES
from level5_research.parts.tabular_reinforcement_learning import star
from level5_research.parts.tabular_reinforcement_learning.references import random_world

GAMMA = 0.9

# State 0: action 0 stays for 1, action 1 ends with 5. State 1 is never left and pays 2 for action 0, else 0.
TWO_STATES = [
    [[(1.0, 0, 1.0, False)], [(1.0, 1, 5.0, True)]],
    [[(1.0, 1, 2.0, False)], [(1.0, 1, 0.0, False)]],
]


def corridor(length=4, max_episode_steps=None):
    """States in a row; action 1 goes right for −1, action 0 stays for −1; the last step right ends."""
    P = [
        [[(1.0, s, -1.0, False)], [(1.0, min(s + 1, length - 1), -1.0, s == length - 1)]]
        for s in range(length)
    ]
    return rl.TabularEnvironment(P, np.eye(length)[0], max_episode_steps=max_episode_steps)


def endless(max_episode_steps):
    """One state, one action, reward 1, never ends: worth 1/(1 − γ); only a time limit interrupts it."""
    return rl.TabularEnvironment([[[(1.0, 0, 1.0, False)]]], [1.0], max_episode_steps=max_episode_steps)


# In one breath


def test_plain_value_iteration_by_hand():
    q = rl.plain_value_iteration(TWO_STATES, GAMMA, tol=1e-10)
    np.testing.assert_allclose(q.max(axis=1), [10.0, 20.0], atol=1e-10)
    assert q[0, 1] == 5.0, "a terminated transition earns its reward and has no future"


def test_plain_value_iteration_stops_within_tol_of_the_optimum():
    plan = rl.value_iteration(TWO_STATES, GAMMA, tol=1e-12)
    error = np.abs(rl.plain_value_iteration(TWO_STATES, GAMMA, tol=1e-2).max(axis=1) - plan.values).max()
    assert 1e-4 < error <= 1e-2, "the change must fall to tol (1 − γ)/γ, and no further"


def test_the_plain_planner_equals_the_whole_one():
    P = random_world(6, 3, 2, rng=0)
    q = rl.plain_value_iteration(P, GAMMA, tol=1e-10)
    np.testing.assert_allclose(q, rl.value_iteration(P, GAMMA, tol=1e-10).q, atol=1e-12)


def test_the_plain_learner_equals_the_whole_one_step_by_step():
    """One action: nothing is left to chance, so both see the same transitions, cut short after three of them."""
    plain = rl.plain_q_learning(endless(3), 7, 0.9, 0.25, 0.0, np.random.default_rng(0))
    whole = rl.q_learning(endless(3), 7, gamma=0.9, alpha=0.25, epsilon=0.0, rng=0)
    np.testing.assert_allclose(plain, whole.q, rtol=1e-14)


def test_the_plain_learner_finds_the_optimum_of_the_corridor():
    plain = rl.plain_q_learning(corridor(3), 300, 0.9, 1.0, 0.3, np.random.default_rng(0))
    np.testing.assert_allclose(plain, rl.policy_iteration(corridor(3).P, 0.9).q, atol=1e-9)


def test_the_plain_learner_explores():
    """Staying pays a little at once, going on a lot later: without chance the agent stays."""
    P = [[[(1.0, 0, 1.0, False)], [(1.0, 1, 0.0, False)]], [[(1.0, 1, 9.0, True)], [(1.0, 1, 9.0, True)]]]
    world = rl.TabularEnvironment(P, [1.0, 0.0], max_episode_steps=5)
    never, sometimes = (
        rl.plain_q_learning(world, 60, 0.5, 1.0, epsilon, np.random.default_rng(1))[0, 1]
        for epsilon in (0.0, 0.5)
    )
    assert sometimes == pytest.approx(4.5) and never in (0.0, 4.5)


# Planning, one function after the other


def test_bellman_backup_adds_the_discounted_future():
    q = rl.bellman_backup(TWO_STATES, np.array([3.0, 7.0]), GAMMA)
    np.testing.assert_allclose(q, [[1 + 0.9 * 3, 5.0], [2 + 0.9 * 7, 0.9 * 7]], rtol=1e-14)


def test_bellman_backup_weighs_outcomes_by_their_probability():
    P = [[[(0.25, 0, 4.0, False), (0.5, 0, 0.0, True), (0.25, 0, 8.0, False)]]]
    np.testing.assert_allclose(rl.bellman_backup(P, np.array([10.0]), 0.5), [[1.0 + 2.0 + 0.5 * 0.5 * 10]])


def test_value_iteration_by_hand():
    plan = rl.value_iteration(TWO_STATES, GAMMA, tol=1e-10)
    np.testing.assert_allclose(plan.values, [10.0, 20.0], atol=1e-10)  # 1/(1−γ) beats 5; 2/(1−γ)
    np.testing.assert_array_equal(plan.policy, [0, 0])
    np.testing.assert_array_equal(plan.q.argmax(axis=1), plan.policy)


def test_value_iteration_stops_where_the_error_bound_says():
    """The change of the last sweep is at most tol·(1−γ)/γ, that of the sweep before it is not."""
    plan = rl.value_iteration(TWO_STATES, GAMMA, tol=1e-4)
    values, changes = np.zeros(2), []
    for _ in range(plan.n_sweeps):
        new_values = rl.bellman_backup(TWO_STATES, values, GAMMA).max(axis=1)
        changes.append(np.abs(new_values - values).max())
        values = new_values
    np.testing.assert_array_equal(plan.values, values)
    assert changes[-1] <= 1e-4 * (1 - GAMMA) / GAMMA < changes[-2]


def test_value_iteration_without_a_future_needs_one_sweep():
    plan = rl.value_iteration(TWO_STATES, 0.0, tol=1e-8)
    np.testing.assert_array_equal(plan.values, [5.0, 2.0])
    assert plan.n_sweeps == 1


def test_value_iteration_below_rounding_ends_with_a_warning(monkeypatch):
    """Values that keep wavering by one unit in the last place must not keep the sweeps going for ever."""
    exact, signs = rl.bellman_backup, iter([1.0, -1.0] * 5000)
    monkeypatch.setattr(rl, "bellman_backup", lambda *given: exact(*given) * (1 + next(signs) * 2.0**-50))
    with pytest.warns(RuntimeWarning, match=r"rounding.*larger tol"):
        plan = rl.value_iteration(TWO_STATES, 0.9, tol=1e-18)
    np.testing.assert_allclose(plan.values, [10.0, 20.0], rtol=1e-12)


def test_policy_evaluation_by_hand():
    np.testing.assert_allclose(rl.policy_evaluation(TWO_STATES, [1, 0], GAMMA), [5.0, 20.0])
    mixed = rl.policy_evaluation(TWO_STATES, [[0.5, 0.5], [0.5, 0.5]], GAMMA)
    np.testing.assert_allclose(mixed, [3.0 / (1 - 0.45), 10.0])  # v = 3 + 0.45 v; v = 1 + 0.9 v


def test_exact_return_weighs_the_first_states():
    assert rl.exact_return(TWO_STATES, [1, 0], GAMMA, [0.25, 0.75]) == pytest.approx(0.25 * 5 + 0.75 * 20)


def test_epsilon_soft_probabilities():
    np.testing.assert_allclose(
        rl.epsilon_soft(np.array([2, 0]), 0.3, 3), [[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]], rtol=1e-14
    )


def test_policy_iteration_by_hand():
    plan = rl.policy_iteration(TWO_STATES, GAMMA)
    np.testing.assert_allclose(plan.values, [10.0, 20.0])
    np.testing.assert_array_equal(plan.policy, [0, 0])
    assert plan.n_sweeps == 2  # greedy for the next reward, then the optimum


def test_no_epsilon_soft_policy_is_better_than_the_optimal_one():
    P = random_world(3, 2, 2, rng=1)
    plan = rl.policy_iteration(P, GAMMA, epsilon=0.4)
    for choice in np.ndindex(2, 2, 2):
        values = rl.policy_evaluation(P, rl.epsilon_soft(np.array(choice), 0.4, 2), GAMMA)
        assert np.all(values <= plan.values + 1e-12), choice


@given(seed=st.integers(0, 10_000), n_states=st.integers(1, 12), gamma=st.floats(0.0, 0.97))
@settings(max_examples=15, deadline=None)
def test_both_planners_agree_on_any_world(seed, n_states, gamma):
    rng = np.random.default_rng(seed)
    P = random_world(n_states, int(rng.integers(1, 4)), int(rng.integers(1, 4)), rng=rng)
    sweeps, rounds = rl.value_iteration(P, gamma, tol=1e-9), rl.policy_iteration(P, gamma)
    np.testing.assert_allclose(sweeps.values, rounds.values, atol=1e-9, rtol=0)
    np.testing.assert_allclose(rl.policy_evaluation(P, sweeps.policy, gamma), rounds.values, atol=1e-7)


def test_pairs_may_have_different_numbers_of_outcomes():
    P = {
        0: {0: [(1.0, 1, 1.0, False)], 1: [(0.5, 0, 0.0, False), (0.25, 1, 4.0, False), (0.25, 1, 0.0, True)]}
    }
    P[1] = {0: [(1.0, 0, 0.0, True)], 1: [(1.0, 1, 0.0, False)]}
    np.testing.assert_allclose(rl.policy_evaluation(P, [1, 0], 0.5), [1.0 / (1 - 0.25), 0.0])


# Learning, one function after the other


def test_the_world_of_a_table_behaves_as_gymnasium_does():
    env = corridor(length=2, max_episode_steps=3)
    assert env.reset(seed=0)[0] == 0
    assert env.step(0)[:4] == (0, -1.0, False, False)
    assert env.step(1)[:4] == (1, -1.0, False, False)
    assert env.step(1)[:4] == (1, -1.0, True, True)


def test_epsilon_greedy_spends_one_uniform_number():
    row = [1.0, 3.0, 2.0, 3.0]
    assert [rl.epsilon_greedy(row, 0.4, u) for u in (0.0, 0.11, 0.21, 0.31)] == [0, 1, 2, 3]  # random share
    assert [rl.epsilon_greedy(row, 0.4, u) for u in (0.41, 0.69, 0.71, 0.99)] == [1, 1, 3, 3]  # equals
    assert rl.epsilon_greedy([0.0, 5.0], 0.0, 0.0) == 1


def test_epsilon_greedy_follows_the_epsilon_soft_probabilities():
    uniform = (np.arange(3000) + 0.5) / 3000
    actions = [rl.epsilon_greedy([0.0, 2.0, 1.0], 0.3, u) for u in uniform.tolist()]
    np.testing.assert_allclose(
        np.bincount(actions) / 3000, rl.epsilon_soft(np.array([1]), 0.3, 3)[0], atol=1e-3
    )


def test_q_learning_target():
    assert rl.q_learning_target(1.0, False, [2.0, 4.0], 0.5) == 3.0
    assert rl.q_learning_target(1.0, True, [2.0, 4.0], 0.5) == 1.0


def test_double_q_learning_target_is_chosen_by_one_and_judged_by_the_other():
    assert rl.double_q_learning_target(1.0, False, [2.0, 4.0], [10.0, -6.0], 0.5) == -2.0
    assert rl.double_q_learning_target(1.0, True, [2.0, 4.0], [10.0, -6.0], 0.5) == 1.0


def test_sarsa_target():
    assert rl.sarsa_target(1.0, False, [2.0, 4.0], 0, 0.5) == 2.0
    assert rl.sarsa_target(1.0, True, [2.0, 4.0], 0, 0.5) == 1.0


def test_expected_sarsa_target_is_the_mean_of_sarsas():
    row, epsilon = [2.0, 5.0, -1.0], 0.3
    probabilities = rl.epsilon_soft(np.array([1]), epsilon, 3)[0]
    mean = sum(p * rl.sarsa_target(1.0, False, row, a, 0.9) for a, p in enumerate(probabilities))
    assert rl.expected_sarsa_target(1.0, False, row, epsilon, 0.9) == pytest.approx(mean)
    assert rl.expected_sarsa_target(1.0, True, row, epsilon, 0.9) == 1.0


def test_returns_to_go():
    assert rl.returns_to_go([1.0, 2.0, 3.0], 0.5, tail=8.0) == [1 + 0.5 * 5.5, 2 + 0.5 * 7.0, 3 + 4.0]


LEARNERS = [rl.q_learning, rl.double_q_learning, rl.sarsa, rl.expected_sarsa, rl.monte_carlo_control]
each_learner = pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.__name__)


@each_learner
def test_each_learner_finds_the_way_down_the_corridor(learner):
    learnt = learner(corridor(), 300, gamma=0.9, alpha=0.5, epsilon=0.2, rng=0)
    np.testing.assert_array_equal(learnt.policy, [1, 1, 1, 1])
    assert learnt.q[3, 1] == pytest.approx(-1.0)  # the last step has no future


@each_learner
def test_truncation_is_not_termination(learner):
    """An endless reward of 1 is worth 1/(1−γ) = 10, though no episode is longer than two steps."""
    learnt = learner(endless(max_episode_steps=2), 400, gamma=0.9, alpha=0.5, epsilon=0.0, rng=0)
    assert learnt.q[0, 0] == pytest.approx(10.0, abs=1e-6)
    np.testing.assert_allclose(learnt.returns, 1.9)


@each_learner
def test_the_record_of_a_run(learner):
    learnt = learner(corridor(max_episode_steps=30), 20, gamma=0.5, rng=3)
    assert learnt.returns.shape == learnt.lengths.shape == (20,)
    np.testing.assert_allclose(learnt.returns, -2 * (1 - 0.5**learnt.lengths))  # −1 each step, discounted
    if learner is not rl.monte_carlo_control:
        assert learnt.visits.sum() == learnt.lengths.sum()
    again = learner(corridor(max_episode_steps=30), 20, gamma=0.5, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(again.q, learnt.q)
    different = learner(corridor(max_episode_steps=30), 20, gamma=0.5, rng=4)
    assert not np.array_equal(different.q, learnt.q)


def test_the_generator_seeds_the_world_too():
    """One action, so that all chance is the world's own: a coin that pays 1 and ends, or goes on."""
    world = rl.TabularEnvironment([[[(0.5, 0, 1.0, True), (0.5, 0, 0.0, False)]]], [1.0])
    first, again, other = (rl.q_learning(world, 50, epsilon=0.0, rng=seed).lengths for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_sarsas_values_follow_from_the_actions_that_were_played():
    class Recording(rl.TabularEnvironment):
        def reset(self, **options):
            self.played = getattr(self, "played", [])
            self.state, info = super().reset(**options)
            return self.state, info

        def step(self, action):
            before = self.state
            self.state, reward, terminated, *rest = super().step(action)
            self.played.append((before, int(action), reward, self.state, terminated))
            return self.state, reward, terminated, *rest

    env = Recording(corridor(3).P, [1.0, 0.0, 0.0])
    learnt = rl.sarsa(env, 20, gamma=0.9, alpha=0.5, epsilon=0.5, rng=0)
    q = np.zeros((3, 2))
    for (s, a, r, t, end), (_, following, *_) in zip(env.played, [*env.played[1:], (0, 0)], strict=True):
        q[s, a] += 0.5 * (r + 0.9 * q[t, following] * (not end) - q[s, a])
    np.testing.assert_allclose(learnt.q, q, rtol=1e-12)


def test_on_and_off_policy_values_differ_by_the_exploration():
    """Q-learning learns the optimum although it explores; SARSA and expected SARSA the ε-soft optimum."""
    env, options = corridor(3), {"gamma": 0.9, "epsilon": 0.4, "rng": 0}
    optimum, soft = rl.policy_iteration(env.P, 0.9), rl.policy_iteration(env.P, 0.9, epsilon=0.4)
    np.testing.assert_allclose(rl.q_learning(env, 500, alpha=1.0, **options).q, optimum.q, atol=1e-9)
    expected = rl.expected_sarsa(env, 500, alpha=1.0, **options).q
    np.testing.assert_allclose(expected, soft.q, atol=1e-9)
    sampled = rl.sarsa(env, 6000, alpha=lambda n: n**-0.7, **options).q
    np.testing.assert_allclose(sampled, soft.q, atol=0.15)


def test_double_q_learning_updates_both_tables():
    learnt = rl.double_q_learning(corridor(2), 400, gamma=0.9, alpha=1.0, epsilon=0.3, rng=0)
    np.testing.assert_allclose(learnt.q, rl.policy_iteration(corridor(2).P, 0.9).q, atol=1e-9)


@pytest.mark.parametrize("hallway", [False, True], ids=["first step", "later step"])
def test_double_q_learning_acts_on_the_sum_of_its_tables(hallway):
    """Costs 1 and 3, tables of zero, no exploration: once each is tried, the sum is at least -2 against -3."""
    last = [[(1.0, 0, -1.0, True)], [(1.0, 0, -3.0, True)]]
    P = [[[(1.0, 1, 0.0, False)], [(1.0, 1, 0.0, False)]], last] if hallway else [last]
    world = rl.TabularEnvironment(P, np.eye(len(P))[0])
    for seed in range(20):
        learnt = rl.double_q_learning(world, 60, gamma=1.0, alpha=1.0, epsilon=0.0, rng=seed)
        assert learnt.visits[-1, 1] == 1, "the dear action is tried exactly once"


def test_only_double_q_learning_keeps_judge_and_chooser_apart():
    """Ten noisy actions worth nothing: a table that judges its own choice finds them worth something."""
    world = {"n_actions": 10, "alpha": 0.5, "n_copies": 30, "n_visits": 10}
    assert broken.value_of_noise(np.random.default_rng(0), double=False, **world) > 0.5
    assert abs(broken.value_of_noise(np.random.default_rng(0), double=True, **world)) < 0.3


def test_first_and_every_visit_differ():
    """Stay once, go: the stay is seen twice in the episode 0, 0, 1 and counts once at its first visit."""
    options = {"gamma": 1.0, "epsilon": 1.0, "rng": 0}
    first = rl.monte_carlo_control(corridor(1), 300, **options)
    every = rl.monte_carlo_control(corridor(1), 300, first_visit=False, **options)
    assert first.visits[0, 0] <= 300 < every.visits[0, 0] + every.visits[0, 1]
    assert every.visits.sum() == every.lengths.sum()
    assert first.visits.sum() < first.lengths.sum()


def test_monte_carlo_means_are_means_of_returns():
    """A last step costs 1; after a first stay, a geometric number of steps with mean 2 is still to come."""
    learnt = rl.monte_carlo_control(corridor(1), 4000, gamma=1.0, epsilon=1.0, rng=0)
    assert learnt.q[0, 1] == pytest.approx(-1.0)
    assert learnt.q[0, 0] == pytest.approx(-3.0, abs=5 * np.sqrt(2 / 2000))  # 1 + geometric with mean 2


def test_schedules_get_the_number_of_updates_and_of_the_episode():
    seen_alpha, seen_epsilon = [], []

    def alpha(n):
        seen_alpha.append(n)
        return 1.0 / n

    def epsilon(episode):
        seen_epsilon.append(episode)
        return 0.0

    rl.q_learning(endless(max_episode_steps=3), 4, gamma=0.5, alpha=alpha, epsilon=epsilon, rng=0)
    assert seen_alpha == list(range(1, 13))
    assert seen_epsilon == [0, 1, 2, 3]


def test_a_constant_step_size_weighs_the_past_geometrically():
    learnt = rl.q_learning(endless(max_episode_steps=1), 3, gamma=0.0, alpha=0.25, initial_q=9.0, rng=0)
    assert learnt.q[0, 0] == pytest.approx(1 + 8 * 0.75**3)


def test_the_decaying_step_size():
    assert rl.decaying_step_size(1) == 1.0  # the start is forgotten at once
    assert rl.decaying_step_size(32) == pytest.approx(1 / 8)


def test_optimism_tries_every_action():
    P = [[[(1.0, 0, float(a == 6), True)] for a in range(8)]]
    env = rl.TabularEnvironment(P, [1.0])
    assert rl.q_learning(env, 8, alpha=1.0, epsilon=0.0, initial_q=2.0, rng=0).policy[0] == 6


# Gymnasium's own worlds


def test_learners_live_in_gymnasium():
    env = gymnasium.make("CliffWalking-v1", max_episode_steps=200)
    P, start = env.unwrapped.P, env.unwrapped.initial_state_distrib
    learnt = rl.q_learning(env, 400, gamma=0.99, alpha=1.0, epsilon=0.1, rng=1)
    best = rl.value_iteration(P, 0.99, tol=1e-8)
    assert rl.exact_return(P, learnt.policy, 0.99, start) == pytest.approx(start @ best.values, rel=0.02)


def test_our_cliff_is_gymnasiums():
    P, start = broken.cliff_walking_table()
    world = gymnasium.make("CliffWalking-v1").unwrapped
    np.testing.assert_array_equal(start, world.initial_state_distrib)
    assert all([tuple(o) for o in world.P[s][a]] == P[s][a] for s in range(48) for a in range(4))


def test_rewards_of_single_precision_do_not_spoil_the_table():
    class SinglePrecision(rl.TabularEnvironment):
        def step(self, action):
            state, reward, *rest = super().step(action)
            return state, np.float32(reward), *rest

    P = [[[(1.0, 0, 0.1, False)]]]
    env = SinglePrecision(P, [1.0], max_episode_steps=50)
    learnt = rl.q_learning(env, 20, gamma=0.5, alpha=1.0, rng=0)
    assert learnt.q[0, 0] == pytest.approx(float(np.float32(0.1)) / 0.5, rel=1e-12)


# The formulas behind the failure modes


def test_expected_maximum_of_normals():
    assert broken.expected_maximum_of_normals(1) == pytest.approx(0.0, abs=1e-12)
    assert broken.expected_maximum_of_normals(2) == pytest.approx(1 / np.sqrt(np.pi), rel=1e-10)
    assert broken.expected_maximum_of_normals(3) == pytest.approx(1.5 / np.sqrt(np.pi), rel=1e-10)


def test_what_steps_leave_of_a_start():
    """One state without noise: each update takes the share (1−γ)α off the error, so the products are exact."""
    for alpha, share in (
        (rl.one_over_n, broken.share_left_by_one_over_n(gamma=0.9, n_updates=50)),
        (rl.rescaled_step_size(0.9), broken.share_left_by_rescaled_steps(gamma=0.9, n_updates=50)),
    ):
        learnt = rl.q_learning(endless(1), 50, gamma=0.9, alpha=alpha, initial_q=0.0, rng=0)
        assert 1 - learnt.q[0, 0] / 10 == pytest.approx(share, rel=1e-12)


def test_one_over_n_keeps_93_percent_of_a_start_and_87_after_a_million():
    shares = [broken.share_left_by_one_over_n(gamma=0.99, n_updates=n) for n in (1, 1000, 10**6)]
    assert shares[0] == pytest.approx(0.99), "the first update takes 1 − γ"
    assert [round(share, 2) for share in shares[1:]] == [0.93, 0.87]
    assert broken.share_left_by_rescaled_steps(gamma=0.99, n_updates=1000) == pytest.approx(1 / 11)


def test_a_time_limit_of_gymnasium_is_a_truncation_and_of_one_flag_an_end():
    for wrap, flags in ((lambda env: env, (False, True)), (broken.OneFlag, (True, False))):
        env = wrap(gymnasium.make("CliffWalking-v1", max_episode_steps=2))
        env.reset(seed=0)
        assert env.step(0)[2:4] == (False, False)
        assert env.step(0)[2:4] == flags
        assert env.observation_space.n == 48 and env.action_space.n == 4


def test_the_walled_world_is_met_as_the_steps_shrink():
    """Read after a fall of α(v−1), the value lies one fall below the formula; halved steps halve the distance."""
    wall = broken.value_of_a_walled_world(gamma=0.99, horizon=100)
    assert wall == pytest.approx(50.2513, abs=1e-4)
    for n_episodes in (200, 400):
        learnt = broken.value_behind_limit(
            np.random.default_rng(0), one_flag=True, gamma=0.99, horizon=100, n_episodes=n_episodes
        )
        assert wall - learnt == pytest.approx((wall - 1) / (1 + n_episodes), rel=0.02)


def test_sarsa_earns_no_more_than_the_best_soft_policy(verdicts):
    """The claim bounds its return from below; from above it is bounded by the optimum, up to the runs' own noise."""
    remedy = verdicts["path_along_the_cliff"].remedy
    assert remedy.claim.relation == "≥"
    assert remedy.corrected[0] <= remedy.predicted


def test_gradient_td_stops_the_growth_and_leaves_the_values():
    options = {"alpha": 0.01, "beta": 0.05, "gamma": 0.99}
    left = [star.gradient_td_value(n_steps=n, **options) for n in (0, 500, 50_000, 5_000_000)]
    assert [round(value, 2) for value in left] == [5.32, 1.94, 1.91, 0.59]
    factors = np.sort(np.abs(np.linalg.eigvals(star.gradient_td_step(**options))))
    slow = factors[factors < 1 - 1e-9].max()
    assert 1 - slow == pytest.approx(2.4e-7, rel=0.02)


def test_gradient_td_agents_follow_their_expected_update():
    options = {"alpha": 0.01, "beta": 0.05, "gamma": 0.99, "n_steps": 500}
    found = [
        star.learnt_value(np.random.default_rng(seed), method="gradient", **options) for seed in range(8)
    ]
    assert np.mean(found) == pytest.approx(star.gradient_td_value(**options), abs=0.5)


def test_gradient_td_learns_nothing_from_a_step_the_judged_policy_never_takes():
    """From state 7 (index 6) to another: its ratio is 0, so the weights stay, though u is not 0 any more."""

    class Path(np.random.Generator):
        def integers(self, n_states, size):
            return np.tile(np.array([[0], [6], [1]])[: size[0]], (1, size[1]))

    first, second = (
        star.learnt_value(
            Path(np.random.PCG64(0)), method="gradient", alpha=0.1, beta=0.5, gamma=0.9, n_steps=n
        )
        for n in (1, 2)
    )
    assert first != star.root_mean_square_value(star.start_weights())
    assert second == first


def test_least_squares_needs_each_state_to_have_been_left():
    """Steps toward state 7 (index 6) from all seven states: exact. Without state 3: it keeps an error, and theory says nothing."""
    through_all = np.array([6, 6, 0, 6, 1, 6, 2, 6, 3, 6, 4, 6, 5, 6])
    assert star.root_mean_square_value(star.least_squares_weights(through_all, 0.99)) < 1e-12
    without = through_all[through_all != 3]
    values = star.baird_features() @ star.least_squares_weights(without, 0.99)
    assert abs(values[3]) > 0.1 and np.abs(np.delete(values, 3)).max() < 1e-12
    with pytest.raises(ValueError, match="may not have been left"):
        broken.value_of_least_squares(n_steps=200)
    assert broken.value_of_least_squares(n_steps=300) == 0.0


def test_least_squares_weighs_a_step_by_its_importance():
    """A step that the judged policy would not take counts nothing: the weights stay where they were."""
    np.testing.assert_array_equal(
        star.least_squares_weights(np.array([0, 1, 2, 3]), 0.99), star.start_weights()
    )


def test_the_star_has_one_unstable_direction_and_a_table_has_none():
    A = star.expected_update(0.99)
    rate, direction = star.unstable_direction(0.99)
    np.testing.assert_allclose(direction @ A, rate * direction, atol=1e-10)
    assert rate == pytest.approx(np.linalg.eigvals(A).real.max(), abs=1e-10)
    table = (0.99 * np.eye(7)[[6] * 7] - np.eye(7)) / 7
    assert np.linalg.eigvals(table).real.max() < 0 < rate


# Bad input


@pytest.mark.parametrize(
    ("P", "error", "message"),
    [
        ([[[(0.5, 0, 1.0, False)]]], ValueError, r"P\[0\]\[0\] must sum to 1, got 0.5"),
        ([[[(1.5, 0, 1.0, False), (-0.5, 0, 1.0, False)]]], ValueError, r"P\[0\]\[0\] must be at least 0"),
        ([[[(1.0, 3, 1.0, False)]]], ValueError, "integers from 0 to 0, got 3"),
        ([[[(1.0, 0, np.nan, False)]]], ValueError, "finite"),
        ([[[(np.nan, 0, 1.0, False)]]], ValueError, "sum to 1, got nan"),
        ([[[(1.0, 0, 1.0)]]], ValueError, "probability, next_state, reward, terminated"),
        ([[[]]], ValueError, "probability, next_state, reward, terminated"),
        ([], ValueError, "at least one"),
        ({1: {0: [(1.0, 1, 1.0, False)]}}, ValueError, "states 0"),
        ([TWO_STATES[0], TWO_STATES[0][:1]], ValueError, "actions"),
        (3.0, TypeError, "got float"),
    ],
)
def test_a_bad_table_is_refused(P, error, message):
    with pytest.raises(error, match=message):
        rl.value_iteration(P, GAMMA, tol=1e-8)


@pytest.mark.parametrize("gamma", [-0.1, 1.0, 1.1, np.nan])
def test_planners_need_a_discount_below_one(gamma):
    for planner in (rl.value_iteration, rl.policy_iteration):
        with pytest.raises(ValueError, match="gamma"):
            planner(TWO_STATES, gamma)
    with pytest.raises(ValueError, match="gamma"):
        rl.policy_evaluation(TWO_STATES, [0, 0], gamma)


def test_planners_refuse_other_bad_arguments():
    with pytest.raises(ValueError, match="tol"):
        rl.value_iteration(TWO_STATES, GAMMA, tol=0.0)
    with pytest.raises(ValueError, match="epsilon"):
        rl.policy_iteration(TWO_STATES, GAMMA, epsilon=1.5)
    with pytest.raises(ValueError, match="policy must hold actions from 0 to 1"):
        rl.policy_evaluation(TWO_STATES, [0, 2], GAMMA)
    with pytest.raises(ValueError, match="sum to 1"):
        rl.policy_evaluation(TWO_STATES, [[0.5, 0.4], [1.0, 0.0]], GAMMA)
    with pytest.raises(ValueError, match="shape"):
        rl.policy_evaluation(TWO_STATES, [0, 0, 0], GAMMA)
    with pytest.raises(ValueError, match="initial_distribution"):
        rl.exact_return(TWO_STATES, [0, 0], GAMMA, [0.5, 0.4])
    with pytest.raises(ValueError, match="max_episode_steps"):
        corridor(max_episode_steps=0)


@each_learner
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_episodes": 0}, ValueError, "n_episodes"),
        ({"n_episodes": 2.5}, TypeError, "n_episodes"),
        ({"gamma": 1.5}, ValueError, "gamma"),
        ({"gamma": "high"}, TypeError, "gamma"),
        ({"alpha": -0.1}, ValueError, "alpha"),
        ({"alpha": lambda n: 2.0}, ValueError, r"alpha\(1\)"),
        ({"epsilon": 1.5}, ValueError, "epsilon"),
        ({"epsilon": lambda episode: -1.0}, ValueError, r"epsilon\(0\)"),
        ({"initial_q": [1.0, 2.0, 3.0]}, ValueError, "initial_q"),
        ({"initial_q": np.nan}, ValueError, "initial_q"),
        ({"rng": "zero"}, TypeError, "random_state"),
    ],
)
def test_learners_refuse_bad_arguments(learner, options, error, message):
    arguments = {"n_episodes": 1, "gamma": 0.9} | options
    with pytest.raises(error, match=message):
        learner(corridor(), arguments.pop("n_episodes"), **arguments)


@each_learner
def test_learners_need_discrete_spaces(learner):
    with pytest.raises(TypeError, match=r"observation_space is Discrete.*Box"):
        learner(gymnasium.make("CartPole-v1"), 1)
    with pytest.raises(TypeError, match="env must be"):
        learner(None, 1)


def test_spaces_must_count_from_zero():
    env = corridor()
    env.action_space = gymnasium.spaces.Discrete(2, start=1)
    with pytest.raises(ValueError, match="action_space must count from 0"):
        rl.q_learning(env, 1)


def test_nothing_warns_on_good_input():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rl.value_iteration(TWO_STATES, 0.99, tol=1e-8)
        rl.q_learning(corridor(), 5, rng=0)


# What the results print


def test_results_print_in_one_line():
    env = corridor(max_episode_steps=30)
    learnt = rl.q_learning(env, 1000, rng=0)
    model = rl.markov_decision_process(TWO_STATES)
    for result in (learnt, rl.value_iteration(env.P, GAMMA), rl.policy_iteration(env.P, GAMMA), model):
        assert "\n" not in repr(result) and len(repr(result)) < 150
    assert repr(learnt).startswith(
        "Control(4 states and 2 actions, 1,000 episodes, mean discounted return -4."
    )
    plan = rl.value_iteration(TWO_STATES, 0.0)
    assert repr(plan) == ("Plan(2 states and 2 actions, 1 sweep, values from 2 to 5; see values, q, policy)")
    assert "2 states, 2 actions, at most 1 outcomes" in repr(model)


@each_learner
def test_the_summary_of_a_learner(learner):
    learnt = learner(corridor(max_episode_steps=30), 50, epsilon=0.3, rng=0)
    summary = learnt.summary()
    assert (summary.n_episodes, summary.n_states, summary.n_actions) == (50, 4, 2)
    assert summary.mean_return == pytest.approx(learnt.returns[-5:].mean())
    assert summary.first_return == pytest.approx(learnt.returns[:5].mean())
    assert summary.mean_length == pytest.approx(learnt.lengths[-5:].mean())
    assert summary.standard_error == pytest.approx(learnt.returns[-5:].std(ddof=1) / np.sqrt(5))
    shorter = learner(corridor(max_episode_steps=30), 45, epsilon=0.3, rng=0)
    np.testing.assert_array_equal(shorter.returns, learnt.returns[:45])
    assert (
        summary.last_change == pytest.approx(np.abs(learnt.q - shorter.q).max()) and summary.last_change > 0
    )
    assert "50 episodes, 4 states, 2 actions\nmean discounted return -" in str(summary)


def test_the_summary_counts_what_was_never_tried():
    """Always right, in a corridor with a cellar of two states that nobody enters."""
    P = [*corridor(3).P, [[(1.0, 3, 0.0, False)]] * 2, [[(1.0, 4, 0.0, False)]] * 2]
    start = np.zeros((5, 2))
    start[:, 0] = -100.0
    learnt = rl.q_learning(rl.TabularEnvironment(P, np.eye(5)[0]), 3, epsilon=0.0, initial_q=start, rng=0)
    summary = learnt.summary()
    assert (summary.n_untried_pairs, summary.n_unvisited_states) == (7, 2)
    assert (
        "7 of 10 pairs of state and action never tried, in 2 states no action at all; 3 in states where others "
        "were: raise epsilon"
    ) in str(summary)
    assert "±" not in str(summary), "the last tenth is a single episode"


# All of it together


def test_agrees_with_the_reference(agreements):
    disagreeing = [agreement for agreement in agreements if not agreement.agrees]
    assert not disagreeing, disagreeing


@pytest.mark.parametrize("name", [mode.name for mode in FAILURE_MODES])
def test_breaks_and_mends(verdicts, name):
    assert verdicts[name].breaks.verdict == "holds", verdicts[name].breaks
    assert verdicts[name].remedy.verdict == "holds", verdicts[name].remedy
