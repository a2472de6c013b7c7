"""Named passes: one file each; the registry lists them (docs/comparison.md, "Adding a pass")."""
