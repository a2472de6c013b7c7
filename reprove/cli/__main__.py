"""``python -m reprove.cli``: the command without its script."""

from reprove.cli.main import run

run()
