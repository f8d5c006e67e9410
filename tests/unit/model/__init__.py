"""An exhaustive small-scope model of the ledger protocol: every order of every request, freeze, crash and late delivery.

`world` has the state and what happens by itself, `operators` what two operators do, with the very functions that the
controller runs, `checker` the search.
"""
