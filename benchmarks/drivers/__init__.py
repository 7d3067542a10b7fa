"""Programs that run outside the harness, in the environment of what they measure."""
