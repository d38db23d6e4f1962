"""Layer C: the plan, a pure function of (seed, epoch, rank) that says which clip comes when. No I/O."""
