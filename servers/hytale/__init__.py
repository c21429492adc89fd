"""Hytale servers that the shop signs in: each start gets a game session of an account that owns the game."""
