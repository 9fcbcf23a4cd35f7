"""R, τ and R − ω τ with their gradients: rate has Eq. (4), beam has Eq. (5), total both together."""

from beamfold.objective.beam import beam_error, beam_gradient, inner_product
from beamfold.objective.rate import (
    LN2,
    SINGLE,
    Users,
    block_diagonal_of,
    by_user,
    rate,
    rate_gradient,
    received,
    receivers,
    signal_gradient,
    user_rates,
    weights,
)
from beamfold.objective.total import (
    DigitalGradient,
    Measured,
    ascent,
    measure,
    objective,
)

__all__ = [
    "LN2",
    "SINGLE",
    "DigitalGradient",
    "Measured",
    "Users",
    "ascent",
    "beam_error",
    "beam_gradient",
    "block_diagonal_of",
    "by_user",
    "inner_product",
    "measure",
    "objective",
    "rate",
    "rate_gradient",
    "received",
    "receivers",
    "signal_gradient",
    "user_rates",
    "weights",
]
