"""Reprove: rebuild software artifacts, compare them with the originals, and prove the outcome."""

__version__ = "0.1.0"
