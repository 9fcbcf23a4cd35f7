"""Centro-Hermitian matrices in real form: Uᴴ H U.

H is centro-Hermitian when J H* J = H, J the reversal. With the fixed unitary

    U = [[I, 0, jI], [0, √2, 0], [J, 0, −jJ]] / √2     (middle row and column for odd N only)

Uᴴ H U is then real symmetric: the same eigenvalues at a quarter of the arithmetic. Both ways are sums
and reversals of quarter blocks, no products. The identity and every Diag ν with mirror-symmetric ν keep
their form.
"""

from __future__ import annotations

import numpy as np

from beamfold.covariance.problem import Complex, Real


def to_real(H: Complex) -> Real:
    """Uᴴ H U, (N, N) real symmetric, for centro-Hermitian H (N, N); what is not centro is ignored."""
    N = len(H)
    n, odd = N // 2, N % 2
    P, F = H[:n, :n], H[:n, n + odd :][:, ::-1]
    X = np.empty((N, N))
    X[:n, :n] = (P + F).real
    X[n + odd :, n + odd :] = (P - F).real
    X[:n, n + odd :] = (F - P).imag
    X[n + odd :, :n] = X[:n, n + odd :].T
    if odd:
        X[n, n] = H[n, n].real
        X[:n, n] = X[n, :n] = np.sqrt(2) * H[:n, n].real
        X[n + 1 :, n] = X[n, n + 1 :] = np.sqrt(2) * H[:n, n].imag
    return X


def to_complex(X: Real) -> Complex:
    """U X Uᴴ, the inverse of `to_real`: X (N, N) real symmetric gives a centro-Hermitian (N, N)."""
    N = len(X)
    n, odd = N // 2, N % 2
    a, b, d = X[:n, :n], X[:n, n + odd :], X[n + odd :, n + odd :]
    H = np.empty((N, N), dtype=complex)
    H[:n, :n] = (a + d + 1j * (b.T - b)) / 2
    H[:n, n + odd :] = ((a - d + 1j * (b.T + b)) / 2)[:, ::-1]
    if odd:
        H[n, n] = X[n, n]
        H[:n, n] = (X[:n, n] + 1j * X[n + 1 :, n]) / np.sqrt(2)
        H[n, :n] = H[:n, n].conj()
        H[n, n + 1 :] = H[:n, n][::-1]
    H[n + odd :] = H[:n][::-1, ::-1].conj()
    if odd:
        H[n + 1 :, n] = H[:n, n][::-1].conj()
    return H
