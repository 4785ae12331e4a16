# Every command of the project. The work is done in scripts/; each target says what it does to `make help`.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
PYTHON_HERE := .venv/bin/python
DEMO_IMAGES := jobrunner-demo/python:v2 jobrunner-demo/r:v2

.PHONY: help demo demo-server test test-postgres coverage check fast format setup engine serve static run bench screenshots requirements clean
.PHONY: docker-build docker-test docker-serve docker-run docker-exec docker-clean enable-docker-over-ssh disable-docker-over-ssh

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-23s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## set everything up and run the demo study in real containers
	@scripts/demo.sh

demo-server: ## a fake job-server, sync, run and the web pages: watch a request (RAP=1: it calls us; PORT=8000 SERVER_PORT=8001)
	@scripts/demo_server.sh

test: setup-dev engine images browser nginx podman deployment ## set everything up and run every check and test, as CI does
	@scripts/checks.sh all

test-postgres: setup-dev engine images browser nginx podman deployment ## every test on PostgreSQL, with a server of their own (ARGS=tests/jobs)
	@scripts/postgres.sh scripts/checks.sh tests $(ARGS)

coverage: setup-dev engine images browser nginx podman deployment ## as test, and what of the code the tests reach
	@scripts/checks.sh coverage

check: setup-dev ## format, lint, migrations, Django's checks; no tests
	@scripts/checks.sh lint

fast: setup-dev ## the tests that need no engine and take under 2 s each
	@$(PYTHON_HERE) -m pytest -m "not slow_test and not needs_docker and not needs_podman"

format: setup-dev ## let ruff format the code and mend what it can
	@$(PYTHON_HERE) -m ruff check --fix-only --quiet .
	@$(PYTHON_HERE) -m ruff format .

setup: ## make .venv with the packages that production needs
	@scripts/setup.sh

engine: setup ## make sure that a Docker engine answers; start or install one if none does
	@scripts/engine.sh

serve: ## all three processes and their pages on http://127.0.0.1:8000/ until Ctrl-C (PORT=8000)
	@scripts/serve.sh

static: setup ## collect the static files of the web pages, for production
	@$(PYTHON_HERE) manage.py collectstatic --no-input --clear

run: engine ## drive jobs until Ctrl-C
	@$(PYTHON_HERE) manage.py migrate --no-input --verbosity 0
	@$(PYTHON_HERE) manage.py run

bench: setup-dev engine images ## measure speed beside the bare engine's: OUT=file.json keeps it, ONLY=A,G, REPEAT=3
	@OUT="$(OUT)" ONLY="$(ONLY)" REPEAT="$(REPEAT)" $(PYTHON_HERE) scripts/bench.py

screenshots: setup-dev browser ## take the pictures of the pages in docs/screenshots anew
	@$(PYTHON_HERE) scripts/screenshots.py

requirements: setup-dev ## pin the packages of requirements.in and requirements.dev.in anew; UPGRADE=1 takes newer ones
	@scripts/requirements.sh $(if $(UPGRADE),--upgrade)

docker-build: ## build the image (ENV=prod or dev, ARGS=--no-cache), also where no registry answers (docs/containers.md)
	@scripts/docker/build.sh

docker-test: ## the test suite inside the container, against this machine's engine (ARGS="tests/runner -k disk")
	@scripts/docker/test.sh

docker-serve: ## sync, run and the pages as containers, in the background (ENV=prod or dev, PORT=8000; ARGS="logs -f run")
	@scripts/docker/serve.sh

docker-run: ## a command in a container of its own, with what `run` has: ARGS="python manage.py status"; else bash
	@scripts/docker/run.sh

docker-exec: ## a command in the container of a service (SERVICE=run): ARGS="python manage.py status"; else bash
	@scripts/docker/exec.sh

docker-clean: ## remove the services' containers and networks, the images and Docker over ssh; data stay
	@scripts/docker/clean.sh

enable-docker-over-ssh: ## use the engine of SSH_USER@SSH_HOST (this machine's, if not set; SSH_PORT, SSH_KEY=own key)
	@scripts/docker/over_ssh.sh enable

disable-docker-over-ssh: ## undo it: the key, its line in authorized_keys, the settings
	@scripts/docker/over_ssh.sh disable

clean: ## remove what can be made again: caches, reports, demo/repo (not .venv, not workdir with its data)
	@rm -rf .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov staticfiles demo/repo
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: setup-dev images browser nginx podman deployment
setup-dev:
	@scripts/setup.sh dev

images: engine
	@$(PYTHON_HERE) scripts/images.py $(DEMO_IMAGES)

browser:
	@scripts/browser.sh

nginx:
	@scripts/nginx.sh

podman:
	@scripts/podman.sh

deployment:
	@scripts/deployment.sh
