"""Carrying a server towards what it should be: look, take the one next step, record it, come again."""

from servers.convergence.loop import converge, perform

__all__ = ["converge", "perform"]
