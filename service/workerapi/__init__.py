"""What workers may call: claim, heartbeat, log, blobs, resolution, report. Its own listener and process, roles ``work`` and ``resolve`` only."""
