"""Loaders in the shape that a framework wants; thin, and each the only importer of its framework."""
