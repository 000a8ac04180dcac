"""The file of an HTCondor pool as a typed model."""
