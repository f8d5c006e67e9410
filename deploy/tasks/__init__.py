"""The tasks behind the Makefile: plain Python, standard library only, since they run before anything is installed."""
