"""What keeps an installation in order: backup, restore, the removal of old runs."""
