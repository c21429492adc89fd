"""The machine rooms we rent: one protocol, one package for each vendor."""
