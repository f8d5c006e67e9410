"""An exhaustive small-scope model of the ledger protocol: requests, freezes, crashes, late deliveries in every order.

It drives the very functions that the controller runs (`parts`, `functions`). `world` has what everybody can see and
what happens by itself; `memory`, `looks` and `minds` what an operator remembers and decides; `operators` the requests
it makes; `laws` what must hold. `tidiness` keeps it small, `model` puts it together as a graph, `checker` searches it.
"""
