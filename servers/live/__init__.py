"""What is asked of a server's panel while a customer waits: its status, its usage, its power."""
