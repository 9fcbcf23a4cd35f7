"""The paper's figures and tables, and sweeps: each a function of a `Setting` that gives a labelled dataset.

setting ← labelled ← gradients, convergence, figures_6_to_8, tradeoff, complexity, which `reproduction` names.
store reads and writes the datasets, claims puts them beside the paper's; grid, cells and sweep are sweeps.
"""
