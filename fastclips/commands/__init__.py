"""Command line: `fastclips demo`, `preview`, `pack` and `bench`; `cli` dispatches."""
