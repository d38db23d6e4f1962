"""From bytes to pixels in their place: decoding, the geometry map, and the loops over pixels.

`transforms` declares, `geometry` maps, `decode` and `kernels` do; nothing here knows of processes.
"""
