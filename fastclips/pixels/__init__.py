"""From bytes to pixels in their place: decoding, geometry, pixel steps.

`recipe` turns a list of transforms into one geometry map and an ordered list of pixel steps. Nothing in this
room knows of processes.
"""
