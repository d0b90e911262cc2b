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
# # Baird's star
#
# A table has one number for each state. With features, $v(s) = \phi(s)^\top w$, states share numbers, and
# the guarantee of Q-learning is gone. Baird's (1995) star shows it in its simplest form: seven states,
# eight weights, $v(s) = 2 w_s + w_8$ for the six outer states and $v(7) = w_7 + 2 w_8$. No rewards: all
# values are zero and the features can say so. The agent behaves by going to state 7 with
# probability 1/7 and to a random outer state otherwise; it wants to evaluate the policy that always goes to
# state 7.

# %%
from __future__ import annotations

import numpy as np
from jaxtyping import Float

from shared import linalg

N_STATES, N_WEIGHTS, N_AGENTS = 7, 8, 60


def baird_features() -> Float[np.ndarray, "7 8"]:
    """Rows φ(s): 2 on the own weight and 1 on the shared one, the other way round for the last state."""
    features = np.zeros((N_STATES, N_WEIGHTS))
    features[:6, :6] = 2 * np.eye(6)
    features[:6, 7] = 1.0
    features[6, 6:] = 1.0, 2.0
    return features


def start_weights() -> Float[np.ndarray, " 8"]:
    """Sutton and Barto's start: all ones, and 10 for the weight of state 7 alone."""
    weights = np.ones(N_WEIGHTS)
    weights[6] = 10.0
    return weights


def root_mean_square_value(weights: Float[np.ndarray, " 8"]) -> float:
    """√(mean of v(s)² over the seven states), the error of the values, for the truth is 0."""
    return float(np.sqrt(np.mean((baird_features() @ weights) ** 2)))


# %% [markdown]
# ## What theory expects
#
# Semi-gradient TD(0) updates $w \leftarrow w + \alpha\, \rho\, \delta\, \phi(s)$ with $\delta = \gamma\, v(s') - v(s)$ and the
# importance ratio $\rho$, 7 for the step to state 7 and 0 otherwise. All states are visited equally often, so with $D = I / 7$
# and $P_\pi$ the matrix that leads everything to state 7, the expected update is linear:
# $\mathbb{E}\, w_{t+1} = (I + \alpha A)\, \mathbb{E}\, w_t$ with $A = \Phi^\top D\, (\gamma P_\pi - I)\, \Phi$.


# %%
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


def semi_gradient_value(*, alpha: float, n_steps: int, gamma: float, **_) -> float:
    """Root mean square of Φ (I + αA)^T w₀."""
    step = np.eye(N_WEIGHTS) + alpha * expected_update(gamma)
    return root_mean_square_value(np.linalg.matrix_power(step, n_steps) @ start_weights())


# %% [markdown]
# Gradient TD with correction (TDC; Sutton and others 2009) descends the projected Bellman error. A second vector $u$ estimates
# the expected TD error as a function of the features, and corrects the update:
#
# $$ w \leftarrow w + \alpha \rho \big(\delta\, \phi - \gamma\, \phi'\, (\phi^\top u)\big), \qquad
#    u \leftarrow u + \beta\, (\rho \delta - \phi^\top u)\, \phi . $$
#
# Its expectation is linear in $(w, u)$ again.


# %%
def gradient_td_step(*, alpha: float, beta: float, gamma: float) -> Float[np.ndarray, "16 16"]:
    """The matrix that takes the expected (w, u) one step further under TDC."""
    features = baird_features()
    A, C = expected_update(gamma), features.T @ features / N_STATES
    G = gamma * features.T @ features[[6] * N_STATES] / N_STATES  # γ E[ρ φ φ'ᵀ]
    return np.eye(2 * N_WEIGHTS) + np.block([[alpha * A, -alpha * G.T], [beta * A, -beta * C]])


def gradient_td_value(*, alpha: float, beta: float, n_steps: int, gamma: float, **_) -> float:
    """Root mean square of the values under the expected TDC update, applied T times."""
    start = np.concatenate([start_weights(), np.zeros(N_WEIGHTS)])  # (w, u)
    step = gradient_td_step(alpha=alpha, beta=beta, gamma=gamma)
    return root_mean_square_value((np.linalg.matrix_power(step, n_steps) @ start)[:N_WEIGHTS])


# %% [markdown]
# ## What agents find
#
# Least squares TD solves for the weights at which the *summed* update vanishes, and of these takes the nearest to the start:
# $w = w_0 - \hat A^{+} \hat A w_0$ with $\hat A = \sum_t \rho_t \phi_t (\gamma \phi_t' - \phi_t)^\top$ (the rewards are zero).


# %%
def learnt_value(
    rng: np.random.Generator, *, method: str, alpha: float, beta: float, n_steps: int, gamma: float
) -> float:
    """Root mean square of the values of the mean weights of 60 agents, each after `n_steps` on its own trajectory.

    Args:
        method: "semi-gradient", "gradient" (TDC) or "least squares".
    """
    states = rng.integers(N_STATES, size=(n_steps + 1, N_AGENTS))  # the behavior leads anywhere alike
    if method == "least squares":
        weights = [least_squares_weights(states[:, agent], gamma) for agent in range(N_AGENTS)]
        return root_mean_square_value(np.mean(weights, axis=0))
    features = baird_features()
    w, u = np.tile(start_weights(), (N_AGENTS, 1)), np.zeros((N_AGENTS, N_WEIGHTS))
    target = features[6]  # φ(s') wherever ρ is not zero
    for t in range(n_steps):
        phi = features[states[t]]  # (agents, 8)
        rho = 7.0 * (states[t + 1] == 6)
        delta = rho * (gamma * (w @ target) - np.einsum("nk,nk->n", w, phi))
        w += (alpha * delta)[:, None] * phi
        if method == "gradient":
            guess = np.einsum("nk,nk->n", u, phi)  # φᵀu
            w -= (alpha * gamma * rho * guess)[:, None] * target
            u += (beta * (delta - guess))[:, None] * phi
    return root_mean_square_value(w.mean(axis=0))


def least_squares_weights(states: np.ndarray, gamma: float) -> Float[np.ndarray, " 8"]:
    """Weights of least squares TD from one trajectory of states, the nearest to the start. O(8²) a step, one O(8³) solve."""
    features = baird_features()
    rho = 7.0 * (states[1:] == 6)
    weight = np.bincount(states[:-1], rho, minlength=N_STATES)  # Σ ρ over the visits of each state
    A = features.T @ (weight[:, None] * (gamma * features[6] - features))
    return start_weights() - linalg.pinv(A) @ (A @ start_weights())
