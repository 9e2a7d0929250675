# SPDX-License-Identifier: MIT
"""What an engine did, kept to be looked at again: in a file, or in memory for the last minutes.

``frame.py`` is one look at an engine.  ``delta.py`` writes a frame as what changed since the last one, ``chunk.py``
packs frames together, ``writer.py`` and ``reader.py`` make a file of chunks, bounded in size
(docs/recording-format.md), and ``recorder.py`` fills one from a running engine.  ``timeline.py`` keeps chunks in
memory, ``replay.py`` is a Backend that plays a file.
"""
