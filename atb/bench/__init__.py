"""`atb bench`: atb beside its peers, on the same bars with the same rules, each engine in a process of its own."""
