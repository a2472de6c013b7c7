"""The public HTTP service: one file per resource; every route is declared with :func:`service.api.operation.operation`."""
