"""The ``reprove`` command: one file per sub-command, each with an attribute ``command``; loaded only when called."""
