"""The gate: policy files, what they are applied to, and the answer (DESIGN sections 5.11 and 6). The attester runs it; nothing here signs."""
