"""The options of a method, declared once for the commands that take them."""

from __future__ import annotations

from typing import Annotated

import typer

from beamfold.defaults import METHOD

Method = Annotated[
    str | None,
    typer.Option(help=f"fast, unfolded, best, ...; `beamfold methods` lists all. (default: {METHOD})"),
]
Threads = Annotated[int | None, typer.Option(help="Threads of the batch. (default: one per processor)")]
Precision = Annotated[
    str | None,
    typer.Option(help="Of fast, unfolded and pga: single or double. (default: single)"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Any other option of the method as name=value, see `beamfold methods`; repeat."
    ),
]
Inner = Annotated[int | None, typer.Option(help="J, updates of F per layer. (default: 20)")]
Layers = Annotated[int | None, typer.Option(help="Stop after this many layers. (default: all)")]
Model = Annotated[str | None, typer.Option(help="A model file, or the name of a shipped one.")]
AnySize = Annotated[bool, typer.Option(help="Use a model on other sizes than it was trained for.")]
Engine = Annotated[
    str | None,
    typer.Option(help="fast, pga, unfolded: kernel (compiled) or torch (readable); sca: fast or cvxpy."),
]
Depth = Annotated[
    str | None,
    typer.Option(help="Of the fast method: start, shallow, medium, deep, deeper, raced or deepest."),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Where to compute: cpu, cuda, ...; for methods written in torch, and fast. (default: cpu)"
    ),
]
Budget = Annotated[float | None, typer.Option(help="Microseconds per design that the fast method may take.")]
TauMax = Annotated[
    float | None, typer.Option(help="Problem (7): max R with tau at most this; omega plays no part.")
]
RcrbMax = Annotated[
    float | None, typer.Option(help="Problem (7): max R with every root CRB at most this, in degrees.")
]
ScnrMin = Annotated[
    float | None, typer.Option(help="Problem (7): max R with every target's SCNR at least this, in dB.")
]
TauMaxDb = Annotated[float | None, typer.Option(help="The same in dB of ||P_t Psi||^2.")]
Shown = Annotated[
    list[str] | None,
    typer.Option(
        "--measure",
        help="A further figure: fairness, antenna-peak, rcrb, detection or pslr; repeat it for several.",
    ),
]
