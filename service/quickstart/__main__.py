"""``python -m service.quickstart``."""

from service.quickstart.main import run

run()
