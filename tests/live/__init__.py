"""What tests on a live cluster share: looking at the API server, witnessing what runs, and counting it again."""
