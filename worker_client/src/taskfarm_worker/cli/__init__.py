"""The command line `taskfarm`: submit work, work on it, look at it, steer it."""
