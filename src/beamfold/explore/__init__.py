"""The explorer: one channel's design on a page whose controls can be dragged.

state (what the controls say) → designs (scenario and design) → answers (what the page draws); recipe has the
Python and the command of a design; page puts the page together, server serves it, offline computes a table in
the place of a server.
"""
