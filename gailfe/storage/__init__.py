"""Files: artefacts, checkpoints, metrics, progress."""
