"""How differentiation works: the tape, operations and their rules, the mode, and which records are stale."""
