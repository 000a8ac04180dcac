"""The tables of the services' databases, and how their rows fall into months."""
