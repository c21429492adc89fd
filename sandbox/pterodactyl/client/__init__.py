"""The client API: what a user does with servers."""
