"""The variables of eggs: their rules, and the environment that a server is created with."""
