"""Pixel steps: what is done to the values of a picture after its geometry."""
