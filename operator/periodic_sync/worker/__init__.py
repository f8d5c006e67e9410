"""The built-in worker: what runs in a batch's pod and calls the team's own sync service, once for each user.

It starts in every worker pod, so it stays light: aiohttp and pydantic, never kopf or the Kubernetes client, and of this
package nothing but how durations are written and wallets hidden. `main` holds the edges (environment, files, signals,
exit code), `run` the batch, `call` one HTTP call; the other modules are pure. The contract it keeps is in
docs/reference/worker.md.
"""
