"""One geometry map per clip: the transforms that compose it, and the kernels that apply it."""
