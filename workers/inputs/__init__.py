"""Everything that a rebuild reads from outside: the content-addressed store, the egress rules, the index reader, the recording proxy."""
