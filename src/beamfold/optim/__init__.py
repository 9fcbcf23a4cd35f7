"""The optimisation loops, each written once: fixed points, conjugate gradients, L-BFGS, the layers of PGA.

active has the loop of them all over the channels that are not done yet; matrices the linear algebra between
them; local_maximum how a search over {F, W} ends. A method states its problem and calls one of these.
"""
