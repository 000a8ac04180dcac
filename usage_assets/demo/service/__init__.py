"""Makers of a model service's sources: a gateway's table, spans of a server, events and an older log of a generator."""
