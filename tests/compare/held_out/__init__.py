"""A second corpus of causes, made by running the tools that leave them, by another author than the rules: to see what the first corpus flatters."""
