"""`periodic-sync check`: is everything there that the operator, and one policy, need?"""
