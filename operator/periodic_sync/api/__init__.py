"""The interface of the product: the SyncPolicy resource, and the names that other teams' manifests rely on."""
