"""Frames into packs: read, encoded and written as tar files, in parallel and in order.

::

    tasks ── workers.py ──> parts.py, in worker processes ── parts ──┐   task: a run of one video's frames
                            storage.read, Encoder                    │   part: a file of its tar members
                                                                     │
    shards.py, in the caller:  parts in order ──> shards  <──────────┘   a record beside each shard
                               all records    ──> the pack's index

Packs and tar files into files::

    runs ── workers.py ──> frame_files.py, in worker processes ──> dst/.unpacking/files
    target.py, in the caller: keeps what is done, and moves all files to their places at the end
"""
