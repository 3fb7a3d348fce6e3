"""The content-addressed cache: downloads and layer blobs by sha256, and what each layer was made from.

    blobs/sha256/ab/ab12…        a file with that digest
    blobs/sha256/ab/ab12….seen   its size and modification time when it was last hashed; its own
                                 modification time is when the file was last asked for
    layers/KEY.json              the layer that a set of inputs gives: descriptor, diffID, tar size
    records/KIND/NAME.json       what was found out and need not be again, such as what a wheel's objects ask for;
                                 its modification time is when it was last asked for
    new/                         files being written
    sessions/                    a locked file for each process that uses the cache
    NAME/                        whatever `directory(NAME)` is asked for

How content is trusted: a blob is hashed while it is written and gets its name only when the digest is
right. When it is asked for again its size and modification time are compared with those of that moment;
when they differ (the cache was copied, the file was touched or altered) it is hashed again. So altered
content is found unless size and time were forged with it; registries and the image's own digests still
hold then. Files are not synced to disk: after a power cut a blob may be short, which its size tells.

What a record tells of may be gone by then: a build needs the layer of a wheel, not the wheel.

Several builds may use one cache, and any may be killed at any moment: a file appears whole under its
name by a rename, in place of an equal one. Only `prune` deletes, and never a file that was asked for
since the oldest build that still runs began. Leftovers in new/ are harmless; those more than a day old
are removed when a cache is opened.
"""

from builder.cache.prune import Pruned, prune
from builder.cache.records import Recipe, StoredLayer
from builder.cache.store import Cache, storing
from builder.cache.usage import Usage, measure

__all__ = ["Cache", "Pruned", "Recipe", "StoredLayer", "Usage", "measure", "prune", "storing"]
