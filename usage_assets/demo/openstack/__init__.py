"""Made-up OpenStack sites: what people asked for, and the rows that the services' databases hold of it."""
