"""What the usage timeline of a pool covers."""
