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
# # How tabular reinforcement learning breaks
#
# Three ways, each with the number that theory predicts before anything runs:
#
# 1. the maximum of noisy estimates is too high, and Q-learning believes it;
# 2. the optimal path is the wrong one for an agent that stumbles;
# 3. off-policy learning with features in place of a table can diverge.

# %%
from __future__ import annotations

import math
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float

from level5_research.parts.tabular_reinforcement_learning.worlds import Discrete
from level5_research.tabular_reinforcement_learning import (
    TabularEnvironment,
    double_q_learning,
    exact_return,
    policy_iteration,
    q_learning,
    sarsa,
)
from shared import linalg
from shared.failure_mode import Claim, FailureMode, Sweep
from shared.special import ndtr

# %% [markdown]
# ## Q-learning believes in the luckiest of its estimates
#
# **What breaks.** From state A every action leads to B. In B there are $m$ actions, each pays a normal
# reward of mean 0 and standard deviation $\sigma$ and ends the episode. Everything is worth exactly 0.
# Q-learning's target for A is $\max_a q(B, a)$, the largest of $m$ noisy estimates of zero.
#
# **The prediction.** Under the update $q \leftarrow (1 - \alpha) q + \alpha R$ an estimate is a weighted
# sum of past rewards with weights $\alpha (1-\alpha)^k$. It is normal with mean 0 and, after many visits,
# variance
#
# $$ \sigma^2 \alpha^2 \sum_{k \ge 0} (1-\alpha)^{2k} = \sigma^2 \frac{\alpha}{2 - \alpha}. $$
#
# If the agent acts at random, what it visits does not depend on what it believes, so the $m$ estimates are
# independent, and the expected maximum is the order statistic of $m$ normals,
#
# $$ \mathbb{E}\, q(A) = \sigma \sqrt{\frac{\alpha}{2-\alpha}}\; M_m, \qquad
#    M_m = m \int x\, \varphi(x)\, \Phi(x)^{m-1}\, dx . $$
#
# This holds once every action was visited so often that $(1-\alpha)^n$ is small. No amount of further
# experience helps: with a constant step size the bias stays. With $\alpha = 1/n$ it falls as $1/\sqrt n$.
#
# **The remedy.** Two tables learn from different episodes. One chooses the action, the other, which has not
# seen those rewards, judges it. The judge's estimate of any action has mean 0, whichever action was chosen:
# the bias is 0 here. (Where the actions differ, the winner by chance may be a worse action, and the
# bias becomes negative.)


# %%
NOISE = {"n_actions": 10, "alpha": 0.5, "n_copies": 40, "n_visits": 10}


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


def value_of_noise(
    rng: np.random.Generator, *, double: bool, n_actions: int, alpha: float, n_copies: int, n_visits: int
) -> float:
    """Learnt value of the A's, whose true value is 0, after about `n_visits` visits of every action."""
    learner = double_q_learning if double else q_learning
    world = NoisyChoices(n_copies, n_actions)
    learnt = learner(world, n_copies * n_actions * n_visits, gamma=1.0, alpha=alpha, epsilon=1.0, rng=rng)
    return float(learnt.q[:n_copies].mean())


def expected_maximum_of_normals(m: int) -> float:
    """M_m, the mean of the largest of m standard normals, by the trapezoidal rule on [−12, 12]."""
    x = np.linspace(-12.0, 12.0, 4801)
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return float(m * np.sum(x * density * ndtr(x) ** (m - 1)) * (x[1] - x[0]))


def predicted_bias(*, n_actions: int, alpha: float, n_visits: int, **_: Any) -> float:
    """σ √(α/(2−α)) M_m with σ = 1, once the start is forgotten."""
    if not 0 < alpha < 2 or abs(1 - alpha) ** n_visits > 0.02:
        raise ValueError(
            f"{n_visits} visits with steps of {alpha:g} have not forgotten the start; more are needed."
        )
    return math.sqrt(alpha / (2 - alpha)) * expected_maximum_of_normals(n_actions)


def bias_of_plain_averages(*, n_actions: int, n_visits: int, **_: Any) -> float:
    """The nearest wrong theory: an estimate is the mean of all its rewards, and the bias falls as their number grows."""
    return expected_maximum_of_normals(n_actions) / math.sqrt(n_visits)


def no_bias(**_: Any) -> float:
    """The judge's estimates have mean 0."""
    return 0.0


def draw_maximization_bias() -> Any:
    """Learnt value of a state that is worth nothing, over the step size, for Q-learning and for double Q-learning; theory
    speaks once the start is forgotten."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, axes = subplots(width=7.0, height=4.0)
    plot_sweep(axes, MAXIMIZATION_BIAS.breaks, label="Q-learning, 95 %")
    plot_sweep(axes, MAXIMIZATION_BIAS.remedy, color=COLORS["mended"], label="double Q-learning, 95 %")
    axes.set(title="The value of nothing", ylabel="learnt value of state A")
    axes.legend()
    return figure


MAXIMIZATION_BIAS = FailureMode(
    name="maximization_bias",
    title="Q-learning believes in the luckiest of its estimates",
    symptoms=(
        "Q values are above every possible return",
        "the agent prefers a noisy action that pays nothing",
        "value estimates grow although rewards average zero",
    ),
    breaks=Claim(
        statement="With ten worthless noisy actions and step size 1/2, Q-learning values their state "
        "as the order statistic says, not at zero.",
        quantity="learnt value of a state whose true value is 0, in standard deviations of the reward",
        experiment=value_of_noise,
        predicted=predicted_bias,
        rival=bias_of_plain_averages,
        relation="≈",
        tolerance=0.1,
        relative=True,
        reason="the formula is for endless experience; after about 10 visits of each action "
        "the start still weighs exp(−10 α) = 0.7 %, the lag of the targets as much; the rest is what "
        "20 runs resolve",
        parameters=NOISE | {"double": False},
        sweep=Sweep("alpha", (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0), "step size α", seeds=3),
    ),
    remedy=Claim(
        statement="Double Q-learning on the same world has no bias.",
        quantity="learnt value of a state whose true value is 0, in standard deviations of the reward",
        experiment=value_of_noise,
        predicted=no_bias,
        rival=predicted_bias(**NOISE),
        relation="≈",
        tolerance=0.09,
        reason="exact for every number of visits; δ is what the runs resolve, a tenth of the bias above",
        parameters=NOISE | {"double": True},
        sweep=Sweep("alpha", (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0), "step size α", seeds=3),
    ),
    figure=draw_maximization_bias,
)

# %% [markdown]
# ## The optimal path is the wrong one for an agent that stumbles
#
# **What breaks.** In Sutton and Barto's cliff walk (their example 6.6, and Gymnasium's CliffWalking) the
# shortest path runs along the edge: 13 steps of reward −1, and a step over the edge costs −100 and starts
# again. Q-learning finds that path. But while it learns it explores, and one random action in four, taken
# on the edge, falls.
#
# **The prediction.** Once the table is right, the exploring agent follows the *optimal policy made ε-soft*,
# each optimal action as often as the others. That is a fixed policy, and its return is a linear solve: no
# run is needed. (The ties matter. Further inland, right and down are equally good, and an agent that goes
# down is back at the edge.) The best return that any ε-soft policy can reach is another number, by policy
# iteration over ε-soft policies; that policy walks one row away from the edge.
#
# **The remedy.** SARSA's target contains its own next action, stumbles included, so it learns the values of
# the ε-soft policy that it follows and improves that: its path keeps away from the edge. Its return
# approaches the ε-soft optimum from below. The lane along the top, safest of all, is worth about 6 % less
# than the best one, and noisy targets hardly tell these two apart; the rest of the allowance is for
# learning that is not over.
#
# Both are measured as what the agents really earn while they learn, over the second half of the episodes,
# when the table has settled.


# %%
CLIFF = {"epsilon": 0.1, "gamma": 0.99}


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


def return_while_learning(
    rng: np.random.Generator, *, on_policy: bool, n_episodes: int, epsilon: float, gamma: float
) -> float:
    """Mean discounted return of the second half of the episodes, exploration included."""
    P, start = cliff_walking_table()
    world = TabularEnvironment(P, start, max_episode_steps=200)
    learner, alpha = (sarsa, lambda n: n**-0.7) if on_policy else (q_learning, 1.0)
    learnt = learner(world, n_episodes, gamma=gamma, alpha=alpha, epsilon=epsilon, rng=rng)
    return float(learnt.returns[n_episodes // 2 :].mean())


def return_of_optimal_policy_made_soft(*, epsilon: float, gamma: float, **_: Any) -> float:
    """Exact return of the optimal actions, each as often as the others, with a share ε of random ones."""
    P, start = cliff_walking_table()
    q = policy_iteration(P, gamma).q
    optimal = q >= q.max(axis=1, keepdims=True) - 1e-9  # all of them: the agent breaks ties at random
    policy = (1 - epsilon) * optimal / optimal.sum(axis=1, keepdims=True) + epsilon / 4
    return exact_return(P, policy, gamma, start)


def return_of_optimal_policy(*, gamma: float, **_: Any) -> float:
    """The nearest wrong theory: the agent earns what its policy is worth, as if it did not explore."""
    P, start = cliff_walking_table()
    return float(start @ policy_iteration(P, gamma).values)


def return_of_best_soft_policy(*, epsilon: float, gamma: float, **_: Any) -> float:
    """Exact return of the best policy among those that take a share ε of random actions."""
    P, start = cliff_walking_table()
    return float(start @ policy_iteration(P, gamma, epsilon=epsilon).values)


def draw_cliff() -> Any:
    """What ten agents earn while they learn on the cliff: Q-learning falls to the return of the optimal policy made ε-soft, SARSA
    comes near the best ε-soft one."""
    from shared.figures import COLORS, subplots

    P, start = cliff_walking_table()
    world = TabularEnvironment(P, start, max_episode_steps=200)
    options = {"gamma": 0.99, "epsilon": 0.1}
    figure, axes = subplots(width=7.0, height=4.0)
    for learner, alpha, color, label in (
        (q_learning, 1.0, COLORS["broken"], "Q-learning"),
        (sarsa, lambda n: n**-0.7, COLORS["mended"], "SARSA"),
    ):
        runs = [learner(world, 500, alpha=alpha, rng=seed, **options).returns for seed in range(10)]
        returns = np.mean(runs, axis=0)
        window = 20
        smooth = np.convolve(returns, np.full(window, 1 / window), mode="valid")
        axes.plot(np.arange(window, 501), smooth, color=color, label=label)
    axes.axhline(
        return_of_optimal_policy_made_soft(**options),
        color=COLORS["theory"],
        label="optimal policy made ε-soft",
    )
    axes.axhline(
        return_of_best_soft_policy(**options),
        color=COLORS["theory"],
        linestyle="--",
        label="best ε-soft policy",
    )
    axes.set(
        title="Ten agents on the cliff, ε = 0.1",
        xlabel="episode",
        ylabel="discounted return while learning",
        ylim=(-120, 0),
    )
    axes.legend(loc="lower right")
    return figure


PATH_ALONG_THE_CLIFF = FailureMode(
    name="path_along_the_cliff",
    title="The optimal path is the wrong one for an agent that stumbles",
    symptoms=(
        "the agent falls again and again while it learns, and is fine once exploration is off",
        "returns in training are far below returns in evaluation",
        "Q-learning earns less than SARSA although its policy is better",
    ),
    breaks=Claim(
        statement="While it explores with ε = 0.1, Q-learning on the cliff walk earns the return of the "
        "optimal policy made ε-soft.",
        quantity="mean discounted return per episode while learning",
        experiment=return_while_learning,
        predicted=return_of_optimal_policy_made_soft,
        rival=return_of_optimal_policy,
        relation="≈",
        tolerance=0.1,
        relative=True,
        reason="the solve is exact for the settled table; δ is what runs of 1,200 episodes resolve, where "
        "falls are rare and cost 100",
        parameters=CLIFF | {"on_policy": False, "n_episodes": 1200},
    ),
    remedy=Claim(
        statement="SARSA, exploring as much, comes within a tenth of the best ε-soft policy's return.",
        quantity="mean discounted return per episode while learning",
        experiment=return_while_learning,
        predicted=return_of_best_soft_policy,
        rival=return_of_optimal_policy_made_soft,
        relation="≈",
        tolerance=0.1,
        relative=True,
        reason="the two lanes off the edge differ by 6 %, which noisy targets hardly tell apart; the "
        "rest is for learning that is not over",
        parameters=CLIFF | {"on_policy": True, "n_episodes": 2000},
    ),
    figure=draw_cliff,
)

# %% [markdown]
# ## Off-policy learning with features diverges
#
# A table has one number for each state. With features, $v(s) = \phi(s)^\top w$, states share numbers, and
# the guarantee of Q-learning is gone. Baird's (1995) star shows it in its simplest form: seven states,
# eight weights, $v(s) = 2 w_s + w_8$ for the six outer states and $v(7) = w_7 + 2 w_8$. No rewards: all
# values are zero and the features can say so. The agent behaves by going to state 7 with
# probability 1/7 and to a random outer state otherwise; it wants to evaluate the policy that always goes to
# state 7.
#
# **The prediction.** Semi-gradient TD(0) updates $w \leftarrow w + \alpha\, \rho\, \delta\, \phi(s)$ with
# $\delta = \gamma\, v(s') - v(s)$ and the importance ratio $\rho = \pi / b$, 7 for the step to state 7 and
# 0 otherwise. All states are visited equally often, so with $D = I / 7$ and $P_\pi$ the matrix that leads
# everything to state 7, the expected update is linear:
#
# $$ \mathbb{E}\, w_{t+1} = (I + \alpha A)\, \mathbb{E}\, w_t, \qquad A = \Phi^\top D\, (\gamma P_\pi - I)\, \Phi . $$
#
# With a table, $\Phi = I$ and the eigenvalues of $A$ have negative real parts for every $D$: the rows of
# $I - \gamma P_\pi$ are strictly diagonally dominant. With these features $A$ has an eigenvalue
# $\lambda > 0$. By symmetry its eigenvector treats the six outer states alike, which leaves a three by
# three problem; the code takes the spectral radius of the full matrix. Along the left eigenvector,
# $\ell^\top A = \lambda \ell^\top$, the expected weights grow by exactly $1 + \alpha \lambda$ a step, from
# the first step on: after $T$ steps by $(1 + \alpha \lambda)^T$.
#
# The formula takes successive transitions for independent. On a trajectory $s'$ is the next $s$, which
# changes the growth per step at second order in $\alpha$: about one part in 200 of the rate at
# $\alpha = 0.01$.
#
# **The remedy.** Follow a gradient. Gradient TD with correction (TDC; Sutton and others 2009) descends the
# projected Bellman error. A second vector $u$ estimates the expected TD error as a function of the
# features, and corrects the update:
#
# $$ w \leftarrow w + \alpha \rho \big(\delta\, \phi - \gamma\, \phi'\, (\phi^\top u)\big), \qquad
#    u \leftarrow u + \beta\, (\rho \delta - \phi^\top u)\, \phi . $$
#
# The expected update is linear in $(w, u)$ again, with a matrix whose spectral radius is 1 (the directions
# that change no value stay as they are), so the predicted size of the same component after $T$ steps is a
# matrix power.


# %%
N_STATES, N_WEIGHTS = 7, 8
STAR = {"alpha": 0.01, "beta": 0.05, "n_steps": 500, "gamma": 0.99}


def baird_features() -> Float[np.ndarray, "7 8"]:
    """Rows φ(s): 2 on the own weight and 1 on the shared one, the other way round for the last state."""
    features = np.zeros((N_STATES, N_WEIGHTS))
    features[:6, :6] = 2 * np.eye(6)
    features[:6, 7] = 1.0
    features[6, 6:] = 1.0, 2.0
    return features


def expected_update(gamma: float) -> Float[np.ndarray, "8 8"]:
    """A = Φᵀ D (γ P_π − I) Φ of semi-gradient TD(0)."""
    features = baird_features()
    return features.T @ (gamma * features[[6] * N_STATES] - features) / N_STATES


def unstable_direction(gamma: float) -> tuple[float, Float[np.ndarray, " 8"]]:
    """λ > 0 and ℓ with ℓᵀA = λℓᵀ, by power iteration on Aᵀ shifted so that the largest eigenvalue leads."""
    A = expected_update(gamma)
    shifted = A.T + np.eye(N_WEIGHTS)  # the other eigenvalues of A lie in [−4/7, λ)
    direction = np.arange(1.0, N_WEIGHTS + 1)
    for _ in range(500):
        direction = shifted @ direction
        direction /= linalg.norm(direction)
    return float(direction @ shifted @ direction) - 1.0, direction


def unstable_component(
    rng: np.random.Generator, *, gradient: bool, alpha: float, beta: float, n_steps: int, gamma: float
) -> float:
    """ℓᵀw after `n_steps` on a trajectory, as a multiple of its start; mean weights of 60 agents."""
    features, (_, direction) = baird_features(), unstable_direction(gamma)
    n_agents = 60
    states = rng.integers(N_STATES, size=(n_steps + 1, n_agents))  # the behaviour leads anywhere alike
    w, u = np.tile(start_weights(), (n_agents, 1)), np.zeros((n_agents, N_WEIGHTS))
    target = features[6]  # φ(s') wherever ρ is not zero
    for t in range(n_steps):
        phi = features[states[t]]  # (agents, 8)
        rho = 7.0 * (states[t + 1] == 6)
        delta = rho * (gamma * (w @ target) - np.einsum("nk,nk->n", w, phi))
        w += (alpha * delta)[:, None] * phi
        if gradient:
            guess = np.einsum("nk,nk->n", u, phi)  # φᵀu
            w -= (alpha * gamma * rho * guess)[:, None] * target
            u += (beta * (delta - guess))[:, None] * phi
    return float(direction @ w.mean(axis=0) / (direction @ start_weights()))


def start_weights() -> Float[np.ndarray, " 8"]:
    """Sutton and Barto's start: all ones, and 10 for the weight of state 7 alone."""
    weights = np.ones(N_WEIGHTS)
    weights[6] = 10.0
    return weights


def predicted_growth(*, alpha: float, n_steps: int, gamma: float, **_: Any) -> float:
    """(1 + αλ)^T."""
    return (1 + alpha * unstable_direction(gamma)[0]) ** n_steps


def predicted_decay(*, alpha: float, beta: float, n_steps: int, gamma: float, **_: Any) -> float:
    """The same component under the expected TDC update of (w, u), applied T times."""
    features, (_, direction) = baird_features(), unstable_direction(gamma)
    A, C = expected_update(gamma), features.T @ features / N_STATES
    G = gamma * features.T @ features[[6] * N_STATES] / N_STATES  # γ E[ρ φ φ'ᵀ]
    step = np.block([[alpha * A, -alpha * G.T], [beta * A, -beta * C]])
    weights = np.concatenate([start_weights(), np.zeros(N_WEIGHTS)])  # (w, u)
    for _ in range(n_steps):
        weights = weights + step @ weights
    w = weights[:N_WEIGHTS]
    return float(direction @ w / (direction @ start_weights()))


def draw_divergence() -> Any:
    """The unstable component over the steps, with and without the gradient correction: a table's guarantee would keep it small."""
    from shared.figures import COLORS, plot_sweep, subplots

    figure, axes = subplots(width=7.0, height=4.0)
    plot_sweep(axes, OFF_POLICY_DIVERGENCE.breaks, label="semi-gradient TD(0), 95 %")
    plot_sweep(axes, OFF_POLICY_DIVERGENCE.remedy, color=COLORS["mended"], label="gradient TD (TDC), 95 %")
    axes.set(title="Baird's star: all values are zero", ylabel=r"$\ell^\top w_T \,/\, \ell^\top w_0$")
    axes.legend()
    return figure


OFF_POLICY_DIVERGENCE = FailureMode(
    name="off_policy_divergence",
    title="Off-policy learning with features diverges",
    symptoms=(
        "weights of a value function explode",
        "off-policy TD diverges with function approximation",
        "values grow without bound although all rewards are zero",
    ),
    breaks=Claim(
        statement="On Baird's star the weights of semi-gradient TD(0) grow at the rate of the positive "
        "eigenvalue of the expected update.",
        quantity="unstable component of the weights after 500 steps, relative to its start",
        experiment=unstable_component,
        predicted=predicted_growth,
        rival=1.0,
        relation="≈",
        tolerance=0.05,
        relative=True,
        reason="the formula takes successive transitions for independent; on a trajectory the rate "
        "differs at second order in α, by half a per cent of itself; the rest is Monte Carlo error",
        parameters=STAR | {"gradient": False},
        sweep=Sweep("n_steps", (0, 100, 200, 300, 400, 500), "step T", seeds=3),
    ),
    remedy=Claim(
        statement="Under gradient TD (TDC) the same component all but vanishes, as the spectrum of its "
        "expected update says.",
        quantity="unstable component of the weights after 500 steps, relative to its start",
        experiment=unstable_component,
        predicted=predicted_decay,
        rival=predicted_growth(**STAR),
        relation="≈",
        tolerance=0.02,
        reason="independent transitions are assumed, as above; terms of order α and β",
        parameters=STAR | {"gradient": True},
        sweep=Sweep("n_steps", (0, 100, 200, 300, 400, 500), "step T", seeds=3),
    ),
    figure=draw_divergence,
)

# %%
FAILURE_MODES = (MAXIMIZATION_BIAS, PATH_ALONG_THE_CLIFF, OFF_POLICY_DIVERGENCE)

# %%
if __name__ == "__main__":
    from shared.presentation import present_failure_modes

    present_failure_modes(FAILURE_MODES)
