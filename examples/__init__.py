"""Examples that run: a whole farm (``stdlib_farm``) and two workers to start one's own from."""
