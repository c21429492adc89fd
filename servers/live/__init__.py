"""What workers ask of a server's provider while a customer looks at its page: its usage and its power."""
