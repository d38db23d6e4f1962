"""fastclips beside other loaders. `python benchmarks/peers --help` has the commands."""
