"""Command line: `fastclips demo`, `preview`, `check`, `pack` and `bench`; `cli` dispatches."""
