"""What the user has: a folder of any known layout becomes a Study."""
