"""`fastclips.check`: every frame of a dataset is read and decoded once, and defects are listed."""
