"""Operator commands of the service, registered as entry points of `reprove`."""
