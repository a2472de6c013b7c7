"""Why two artifacts differ: the catalogue of causes, their signatures and their proofs."""
