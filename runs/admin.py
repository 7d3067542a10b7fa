"""The admin of runs, tasks, attempts and workers: it looks, and acts through the lifecycle alone.

No list counts its table, none is ordered or searched without an index.
"""
