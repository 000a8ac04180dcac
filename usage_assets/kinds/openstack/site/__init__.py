"""The file of an OpenStack site as a typed model."""
