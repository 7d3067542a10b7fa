"""A whole farm on one machine: four workers measure every source file of Python's own library."""
