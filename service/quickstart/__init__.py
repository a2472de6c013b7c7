"""What ``deploy/quickstart`` does once Python is there: set up, start, run the main job, show the proof."""
