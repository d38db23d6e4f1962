"""Frames into packs: read, encoded and written as tar files, in parallel and in order.

::

    task   ──crew.py──> parts.py, in worker processes ──> part     a run of one video's frames -> a file of
    tasks  in order     storage.read, Encoder                      tar members, and where each of them lies
                                                            │
    shards.py, in the caller: parts in order -> shards, each with a record of what it holds  <─┘
              all records -> the pack's index
"""
