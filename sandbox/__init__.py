"""Stand-ins for the outside systems the shop talks to: one local HTTP server for demos and tests."""
