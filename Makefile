# Two commands are the whole set-up: `make demo` and `make test`. What they do is in deploy/tasks.
#
#   ENGINE=kind|local|existing   where the cluster comes from; by itself kind where a container engine is running,
#                                else the local cluster of plain processes; existing: the current kubeconfig
#   IMAGE=REGISTRY/NAME:TAG      an image that the cluster can pull, in place of one built here (needed with existing)
#   STORE=configmap|redis        where the users of `make demo` are: configmap unless it says otherwise
#   KEEP=1                       `make test` keeps its cluster for the next run
#   PYTHON=/path/to/python3      the Python (3.11 or newer) to make .venv with

ENGINE ?=
IMAGE ?=
STORE ?=
KEEP ?=
ARGS ?=
export ENGINE IMAGE STORE KEEP ARGS

TASKS := demo test bench cluster deploy image lint crds metrics reference docs lock venv clean
.PHONY: help $(TASKS)

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)
	@sed -n '2,/^$$/s/^#//p' $(MAKEFILE_LIST)

demo: ## cluster, image, operator and examples/quickstart (STORE=redis: examples/redis), until every active user is synced
test: ## lint, then all tests in one pytest run of two processes; ARGS='-k pause' are handed to pytest, '-n0' for one
cluster: ## only the cluster; its kubeconfig is .cluster/kubeconfig
deploy: ## the image, the CRD and the operator onto the cluster
image: ## only the image
bench: ## the Redis store beside bare commands, 2 min; benchmarks/run measures the operator on a cluster
lint: ## ruff, mypy, import contracts, shell syntax
crds: ## crds/ again from the models
metrics: ## docs/reference/metrics.md again from the definitions
reference: ## the other pages of docs/reference that are made from code
docs: ## the handbook, docs/ as pages for a browser, in .build/handbook
lock: ## requirements/ again from pyproject.toml
venv: ## only the Python environment .venv
clean: ## delete the clusters made here, .build and .cluster; .venv and the cache stay

$(TASKS):
	@deploy/tasks/run $@
