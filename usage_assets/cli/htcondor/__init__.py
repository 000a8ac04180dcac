"""Commands of HTCondor pools: `gpu` and `collect`.

What belongs here: their options and how they show tables. What stays out: how figures are computed (kinds/htcondor).
"""
