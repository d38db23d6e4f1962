"""Decoding, geometry and pixel steps: from the bytes of a frame to the pixels of a clip.

`recipe` turns a list of transforms into one geometry map and an ordered list of pixel steps. Nothing here
knows of processes.
"""
