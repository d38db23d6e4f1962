"""Sources of frames, and the videos and labels of a dataset: layers A and B.

`opening` is the entry point: it makes a `Dataset`, a storage with an index, of folders, lists, tars, packs or
arrays.
"""
