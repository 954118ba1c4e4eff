"""A Plan becomes a Run: samples, batches, the one loop, and what it leaves on disk."""
