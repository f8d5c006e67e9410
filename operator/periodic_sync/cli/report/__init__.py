"""`periodic-sync report`: a support bundle that can be shown to others."""
