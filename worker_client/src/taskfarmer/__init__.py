"""PyTaskFarmer's names, for its *.ini files and for classes that derive from its own.

Runners and tasklist handlers are those of Taskfarm. The distribution `PyTaskFarmer` has a package
of the same name: have one of the two in an environment.
"""
