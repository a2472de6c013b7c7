"""One file per ecosystem: from evidence in artifact, source and index to ranked candidates. Reads the drivers' JSON only, never an archive."""
