"""Convergence: make the panel agree with our row. Look, take the one next step, record it, be called again."""

from servers.convergence.loop import converge, perform
from servers.convergence.scheduling import request_convergence, request_recheck

__all__ = ["converge", "perform", "request_convergence", "request_recheck"]
