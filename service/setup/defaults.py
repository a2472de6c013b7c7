"""The policy and the bindings that a new instance starts with (DESIGN section 6, INTERFACE section 4)."""

from __future__ import annotations

DEFAULT_POLICY = """\
# What may ship. First match wins; nothing matches: deny. Every key is explained in docs/policy.md.
reprove-policy: 1
name: default
rules:
  - match: "pkg:pypi/"
    level: times-stamped
    origins: [inferred]
    indexes: [pypi]
    operators: 1
    max_age: 365d
    dissent: deny
    deployment: any
    passes: []
    allow_findings: []
"""

DEFAULT_BINDINGS = """\
# Which policy an artifact must satisfy besides the one that is asked for; the longest prefix wins.
"pkg:pypi/": default
"""
