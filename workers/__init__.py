"""RQ entry points and what they run. Never imports service."""
