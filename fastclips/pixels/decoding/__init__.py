"""Stored bytes of a frame to pixels, no more of them than a clip needs."""
