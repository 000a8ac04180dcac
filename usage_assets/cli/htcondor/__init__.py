"""Commands of HTCondor pools: `gpu` and `collect`.

What belongs here: their arguments and what they print. What stays out: how figures are made (kinds/htcondor).
"""
