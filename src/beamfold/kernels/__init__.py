"""Compiled versions of a method's inner loop: the same steps, tested against the readable path.

Three families share the arithmetic, the letters and the way in which matrices are stored:

    layers of Algorithm 1   coordinates, layers, adjoint; subarrays, subarrays_adjoint for networks with one
                            chain on each antenna; packed; entry points unfolded (batch), single (one channel)
    fast design             fast_objective, fast_memory, fast_chains, fast_start, fast_channel, fast_design,
                            fast_guard, fast_loud; for another goal than τ fast_goal, goal_form; named tuples
                            in fast_workspace; entry points fast
    fast design of bands    band_choice, band_basis, band_chains, band_sums, band_work, band_finish,
                            band_design, team (threads); named tuples in band_workspace; entry points band
    start (26)              proposed
    both                    simd (registers), linalg, cholesky, phases, planes, workspace, compiled

A complex matrix Z (D, M) is an array (2, M, D) of planes, real and imaginary, by columns: column m is
contiguous and padded with zeros. W (M, K), too, is (2, K, M). A capital is the same thing in every file:

    letter  size        meaning
    N K M r             antennas, users, RF chains, columns of U
    D                   coordinates: M of F, K of the channels, r of U, padded
    o                   the first coordinate of the channels: M, in the fast design M padded
    H       K × N       rows h_kᴴ
    U       N × r       Ψ ≈ U Uᴴ
    F W X               N × M, M × K and N × K: X = F W
    V       N × D       [F, h_1 … h_K, U]: the basis in which everything else has coordinates
    G       K × K       the Gram matrix of h_1 … h_K
    T       D × D       Vᴴ V; the fast design needs of it the columns Vᴴ F alone
    Y       D × K       Vᴴ X, with A = H X of Eq. (4) in the rows of the channels
    C       K × K       Xᴴ X
    P       D × K       the gradient in X is V P; the fast design has V P + X P_X (PX, K × K)
    PW      D × M       P Wᴴ: the gradient in F is V (P Wᴴ)
    g       M × K       the gradient in W
    S Sx    D × M, K    coordinates of F̂ and of X in V: F̂ = V S, X = V S_x
    f E     N, (K+r)×M  on sub-arrays: the connected entries of F, and [h_1 … h_K, U]ᴴ F
    Phi     D × M       Φ, coordinates of the cotangent of F
    L Q Z               [h_1 … h_K, U] = Q Lᴴ with orthonormal Q; X = Q Z
    B                   −(∇²f)⁻¹ in the unknowns of W
    free    N × M       real; 1 where an entry of F is there and its phase may change, else 0

Z̄, a cotangent of Z, is `Zbar` or `Zb`. In `linalg`, `cholesky` and `phases` A and B are any matrices.
"""
