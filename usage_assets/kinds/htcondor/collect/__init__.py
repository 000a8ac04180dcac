"""The collector of a GPU pool: asks HTCondor for its slots and leaves a small file per poll, which raw reads.

Needs the bindings of HTCondor (`pip install 'htcondor>=23.0'`), and nothing else of the product does.
"""
