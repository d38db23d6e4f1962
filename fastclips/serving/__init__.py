"""Layer G: batches in plan order, and what they are made of (layout, labels, outputs, statistics)."""
