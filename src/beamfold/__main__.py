"""`python -m beamfold`, and what torchrun starts."""

from beamfold.cli import main

main()
