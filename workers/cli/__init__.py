"""Operator commands of the workers, registered as entry points of `reprove`."""
