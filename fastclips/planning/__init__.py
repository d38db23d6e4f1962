"""Which clip comes when: layer C. Pure, without I/O: a function of (seed, epoch, rank)."""
