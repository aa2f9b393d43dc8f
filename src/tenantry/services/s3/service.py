"""The S3 service: the operation classes of this package over one `Shelf`.

`S3Service` is what the composition root knows. Every operation class is written on its own (buckets, settings, objects, copies,
multipart, listing) and takes the shelf; this class only puts them under one name.
"""

from __future__ import annotations

from tenantry.model.clock import Clock
from tenantry.services.s3.buckets import Buckets
from tenantry.services.s3.copies import Copies
from tenantry.services.s3.listing import Listings
from tenantry.services.s3.multipart import Multipart
from tenantry.services.s3.objects import Objects
from tenantry.services.s3.settings import Settings
from tenantry.services.s3.shelf import Shelf
from tenantry.store.blobs import Blobs
from tenantry.store.documents import Documents


class S3Service(Buckets, Settings, Objects, Listings, Copies, Multipart):
    """S3. `blobs` must be a directory of its own: bytes that no record of S3 refers to are removed from it."""

    name = "s3"

    def __init__(self, documents: Documents, blobs: Blobs, clock: Clock) -> None:
        self._shelf = Shelf(documents, blobs, clock)
        self._multipart = self

    def sweep(self) -> int:
        """Remove what a crash left in the blob directory. Call once, before the first request; returns how many blobs."""
        return self._shelf.content.sweep()
