"""Iteration, files, classes and augmentation, shared by the generators of all libraries."""
