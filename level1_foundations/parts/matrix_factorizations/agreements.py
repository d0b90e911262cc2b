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
# # All branches beside the library
#
# Part of the topic [matrix factorizations](../../matrix_factorizations.py): the long tail of its comparison.

# %%
from __future__ import annotations

from typing import Any

import numpy as np

from level1_foundations.parts.matrix_factorizations.nasty import NASTY, backward_errors
from shared.agreement import Comparison

__all__ = ["compare_branches"]


def compare_branches(comparison: Comparison, ours: dict[str, Any]) -> None:
    """Shapes, modes, options and types beside SciPy; backward errors on the nasty matrices; `ours` are the page's functions by name."""
    compare_shapes(comparison, ours)
    compare_solutions(comparison, ours)
    compare_types(comparison, ours)
    on = comparison.on(dataset="sixteen nasty matrices")
    worst: dict[str, float] = {}
    for A in NASTY.values():
        for name, value in backward_errors(A, ours).items():
            worst[name] = max(worst.get(name, 0.0), value)
    for name, value in worst.items():
        on.compare(f"{name}: backward error in nε‖A‖, beyond 30", max(value - 30, 0.0), 0.0, tolerance=0, measure="absolute", reason="the bound of LAPACK's own tests")  # fmt: skip


def compare_shapes(comparison: Comparison, ours: dict[str, Any]) -> None:
    """Square, tall and wide; every mode of `lu` and `qr`."""
    import scipy.linalg

    rng = np.random.default_rng(1)
    reason = "both are backward stable, κ below 100"
    for shape in ((20, 20), (35, 9), (9, 35)):
        A = rng.standard_normal(shape)
        on = comparison.on(reference="scipy.linalg.lu", dataset=f"normals, {shape[0]} × {shape[1]}")
        for options in ({}, {"permute_l": True}, {"p_indices": True}):
            told = ", ".join(f"{key}={value}" for key, value in options.items()) or "default"
            for letter, one, other in zip(
                "123", ours["lu"](A, **options), scipy.linalg.lu(A, **options), strict=False
            ):
                on.compare(f"lu, {told}: result {letter}", one, other, tolerance=1e-12, reason=reason)
        on = on.on(reference="scipy.linalg.qr")
        for mode in ("full", "economic", "r"):
            for pivoting in (False, True):
                got, expected = (
                    ours["qr"](A, mode=mode, pivoting=pivoting),
                    scipy.linalg.qr(A, mode=mode, pivoting=pivoting),
                )
                for number, (one, other) in enumerate(zip(got, expected, strict=True), 1):
                    other = np.asarray(other)
                    on.compare(f"qr, {mode}, pivoting={pivoting}: result {number}", one.astype(other.dtype), other, tolerance=1e-11, reason=reason)  # fmt: skip


def compare_solutions(comparison: Comparison, ours: dict[str, Any]) -> None:
    """Triangles with every option, and the kinds of systems."""
    import scipy.linalg

    rng = np.random.default_rng(2)
    A, B = rng.standard_normal((40, 40)) / 40 + np.eye(40), rng.standard_normal((40, 3))
    on = comparison.on(reference="scipy.linalg.solve_triangular", dataset="a well-conditioned 40 × 40 matrix")
    reason = "substitution, κ below 10"
    for lower in (False, True):
        for trans in (0, "T"):
            for unit in (False, True):
                options: dict[str, Any] = {"lower": lower, "trans": trans, "unit_diagonal": unit}
                told = ", ".join(f"{key}={value}" for key, value in options.items())
                on.compare(told, ours["solve_triangular"](A, B, **options), scipy.linalg.solve_triangular(A, B, **options), tolerance=1e-13, reason=reason)  # fmt: skip
    on = on.on(reference="scipy.linalg.solve")
    S = A @ A.T
    for kind, matrix in (
        ("gen", A),
        ("pos", S),
        ("lower triangular", np.tril(A)),
        ("upper triangular", np.triu(A)),
    ):
        on.compare(f"solve, assume_a={kind}", ours["solve"](matrix, B, assume_a=kind), scipy.linalg.solve(matrix, B, assume_a=kind), tolerance=1e-12, reason=reason)  # fmt: skip
    on.compare(
        "solve, one right-hand side",
        ours["solve"](A, B[:, 0]),
        scipy.linalg.solve(A, B[:, 0]),
        tolerance=1e-12,
        reason=reason,
    )
    on = on.on(reference="scipy.linalg.cholesky")
    for lower in (False, True):
        on.compare(
            f"cholesky, lower={lower}",
            ours["cholesky"](S, lower=lower),
            scipy.linalg.cholesky(S, lower=lower),
            tolerance=1e-12,
            reason=reason,
        )


def compare_types(comparison: Comparison, ours: dict[str, Any]) -> None:
    """Single precision stays single; integers become double."""
    import scipy.linalg

    A = np.random.default_rng(3).standard_normal((25, 25)).astype(np.float32)
    S = A @ A.T + np.eye(25, dtype=np.float32)
    reason = "single precision: κ u with κ near 100"
    for name, got, expected in (
        ("lu", ours["lu"](A)[2], scipy.linalg.lu(A)[2]),
        ("qr", ours["qr"](A)[1], scipy.linalg.qr(A)[1]),
        ("cholesky", ours["cholesky"](S), scipy.linalg.cholesky(S)),
    ):
        on = comparison.on(reference=f"scipy.linalg.{name}", dataset="25 × 25 in single precision")
        on.compare(f"{name}, float32", got, expected, tolerance=3e-5, reason=reason)
        on.compare(
            f"{name}, type", str(got.dtype), str(expected.dtype), tolerance=0, reason="the type is kept"
        )
    on = comparison.on(reference="numpy.linalg.slogdet", dataset="25 × 25 in single precision")
    for name, matrix in (
        ("single precision", A),
        ("rows exchanged", A[::-1]),
        ("singular", np.zeros((3, 3))),
        ("empty", np.zeros((0, 0))),
    ):
        on.compare(f"slogdet, {name}", np.array(ours["slogdet"](matrix)), np.array(np.linalg.slogdet(matrix)), tolerance=1e-6, reason="single precision, a sum of 25 logarithms")  # fmt: skip
    whole = np.array([[4, 2], [2, 3]])
    on = comparison.on(reference="scipy.linalg.cholesky", dataset="whole numbers")
    on.compare(
        "cholesky, integers",
        ours["cholesky"](whole),
        scipy.linalg.cholesky(whole),
        tolerance=1e-15,
        reason="one root and one quotient",
    )
