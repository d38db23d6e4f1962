"""Decode stored frames to pixels, no more of them than a clip needs."""
