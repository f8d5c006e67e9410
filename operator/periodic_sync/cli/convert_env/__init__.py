"""`periodic-sync convert-env`: a SyncPolicy from the settings of the service that synced before."""
