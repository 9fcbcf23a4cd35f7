"""What every analog network has to hold: `check_network`."""

from __future__ import annotations

import torch

from beamfold.channel import saleh_valenzuela
from beamfold.constraints import power_error
from beamfold.methods.pga import pga
from beamfold.methods.phased_zf import phased_zf
from beamfold.networks import Network, quantised
from beamfold.scenario import make_scenario
from beamfold.testing.scenarios import three_beams


def check_network(network: Network, users: int = 2, seed: int = 0) -> None:
    """Check a network against what the methods rely on.

    * F of unit modulus on the connected entries and 0 elsewhere does not violate it; other moduli, and power
      on an entry that is not connected, do, by as much as they are off;
    * with b bits an entry between two levels violates it by its distance from the nearer one;
    * the start (26) and projected gradient ascent stay on it and meet the power (7c).

    Args:
        network: of at least as many chains as users.
        users: K of the designs.
        seed: of the random phases and channels.

    Raises:
        AssertionError: what does not hold.
    """
    _check_violation(network, seed)
    radar = three_beams(network.antennas)
    H = saleh_valenzuela(network.antennas, users, 3, seed=seed)
    s = make_scenario(H, radar, snr_db=6, network=network)
    for d in (phased_zf(s), pga(s, layers=5, inner=2)):
        assert float(network.violation(d.F).max()) < 1e-9, "a design leaves the network"  # type: ignore[arg-type]
        assert float(power_error(d.X, s.power).max()) < 1e-9, "a design misses the power (7c)"


def _check_violation(network: Network, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    angle = 6.3 * torch.rand(network.mask.shape, dtype=torch.float64, generator=generator)
    F = torch.polar(torch.ones_like(angle), angle)
    if network.bits is not None:
        F = quantised(F, network.bits)
    mask = network.mask
    if network.dynamic:
        mask = torch.zeros_like(mask).scatter(1, mask.int().argmax(1, keepdim=True), True)
    F = F * mask
    assert float(network.violation(F)) < 1e-12, "an F on the network violates it"
    assert abs(float(network.violation(0.75 * F)) - 0.25) < 1e-12, "a wrong modulus is not seen"
    bare = torch.nonzero(~mask)
    if len(bare):
        off = F.clone()
        off[tuple(bare[0].tolist())] = 0.125
        assert abs(float(network.violation(off)) - 0.125) < 1e-12, "power on an open switch is not seen"
    if network.bits is not None:
        turn = torch.polar(torch.tensor(1.0), torch.tensor(torch.pi / (1 << network.bits)))
        distance = abs(complex(turn) - 1)
        assert abs(float(network.violation(F * complex(turn))) - distance) < 1e-6, (
            "a phase off its level is not seen"
        )
