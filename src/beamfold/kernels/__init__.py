"""Compiled versions of a method's inner loop: the same steps, tested against the readable path."""
