"""Processes and the memory that they share: layers D, E and F."""
