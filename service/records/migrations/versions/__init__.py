"""One file per released schema, never changed after its release."""
