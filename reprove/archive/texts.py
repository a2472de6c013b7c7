"""Bytes of headers as text."""

from __future__ import annotations


def as_text(value: bytes) -> str:
    """Bytes of a header as text that is safe to show; bytes that differ give texts that differ."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return "hex " + value.hex()
    return text if text.isprintable() and not text.startswith("hex ") else "hex " + value.hex()
