"""Where frames are and what there is to learn of them: layers A and B.

`opening` is the door: from folders, lists or arrays to a `Dataset`, a storage with an index over it.
"""
