"""Layer G: batches in plan order, and their contents (layout, labels, outputs, statistics)."""
