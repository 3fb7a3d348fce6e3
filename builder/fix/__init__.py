"""`mlbuild fix`: the smallest change of requirements and lock with which the packages comply.

It is searched for on a copy: change, lock, judge, until no rule about packages is broken or nothing helps.
"""
