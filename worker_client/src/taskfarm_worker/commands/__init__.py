"""Commands as tasks: lists of them, how one is run, and the farmer that runs many."""
