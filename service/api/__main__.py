"""``python -m service.api``: print the OpenAPI document, which is committed as ``docs/openapi.json``."""

import json

from service.api import app, openapi

assert app.RESOURCES, "importing the application declares every route"
print(json.dumps(openapi.document(), indent=1))  # noqa: T201  # data
