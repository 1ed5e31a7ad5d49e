"""State, blobs and the outbox on real disks."""
