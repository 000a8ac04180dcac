"""The file of an HTCondor pool as a typed model, with its lists of hosts. What stays out: what any site has."""
