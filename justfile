# What a developer types, and CI types the same. Without just: `uv run --group quality just RECIPE`.

uv := "uv run --group quality"
# Node and npm come with `uv sync`.
npm := "uv run npm --prefix web"

# List the recipes.
_:
    @just --list --unsorted

# The whole service on this machine, with what it needs.
dev *options:
    uv run main.py {{ options }}

# The page with hot reload on port 5173, before an API on port 8000 (`just dev`).
web: _page-libraries
    {{ npm }} run dev

# The page built into web/dist, for an API started by hand.
page: _page-libraries
    {{ npm }} run build

# The page's typed client anew, from the API's own description.
client: _page-libraries
    uv run python -m docs.openapi | {{ npm }} run client

# The pictures of the page in the documents anew.
screenshots:
    uv run pytest tests/page/screenshots.py

# The tests, e.g. `just test tests/app/api -k upload`.
test *options:
    uv run pytest {{ options }}

# Hostile files: every attack in all its forms and so many mutated ones, from one seed on, e.g. `just attack 500 7001`.
attack count="2000" seed=`date +%s`:
    FOTOGRAMA_ATTACKS={{ count }} FOTOGRAMA_ATTACK_SEED={{ seed }} uv run pytest tests/attacks --verbose --timeout 1800

# Faults: each scenario in full, or those that match, and that many minutes of random kills, e.g. `just chaos broker 7001`.
chaos scenarios="" seed=`date +%s` minutes="10":
    FOTOGRAMA_CHAOS={{ minutes }} FOTOGRAMA_CHAOS_SEED={{ seed }} uv run pytest tests/chaos -k '{{ scenarios }}' --verbose --timeout 900

# Something dies each half minute, for two hours or so many minutes: nothing is lost, and nothing grows.
soak minutes="120" seed=`date +%s`:
    FOTOGRAMA_CHAOS_SOAK={{ minutes }} just chaos grows {{ seed }}

# Whether the API does what its description says, asked so many times for each operation, as a user and as nobody.
description examples="100":
    FOTOGRAMA_DESCRIPTION_EXAMPLES={{ examples }} uv run pytest tests/app/api/test_description.py --verbose --timeout 3600

# Everything but the tests.
check: lint types arrows dependencies files docs-are-true page-is-right

# Form and mistakes.
lint:
    {{ uv }} ruff format --check .
    {{ uv }} ruff check .

# Types.
types:
    {{ uv }} mypy
    {{ uv }} mypy main.py benchmarks deploy docs examples migrations

# Who may import whom.
arrows:
    {{ uv }} lint-imports

# What is declared is used, and what is used is declared.
dependencies:
    uv lock --check
    {{ uv }} deptry .

# What runs elsewhere: the image, compose, the cloud, the workflows, shell and YAML.
files:
    {{ uv }} hadolint Dockerfile
    {{ uv }} yamllint --strict .
    {{ uv }} check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
    {{ uv }} check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
    {{ uv }} zizmor --offline --quiet .github/workflows
    {{ uv }} shellcheck .ci/run deploy/entrypoint
    uv run pytest --quiet tests/test_cloud_run.py tests/test_compose.py tests/test_monitoring.py

# What needs programs that are not on PyPI: Terraform with its providers, and Prometheus' promtool.
cloud:
    terraform -chdir=deploy/cloud-run fmt -check -diff
    terraform -chdir=deploy/cloud-run init -backend=false -input=false
    terraform -chdir=deploy/cloud-run validate
    promtool check config deploy/monitoring/prometheus.yml
    promtool test rules deploy/monitoring/alerts.test.yml

# The generated pages are up to date, and links lead somewhere.
docs-are-true:
    uv run pytest --quiet tests/test_docs.py

# The page: its types, form and tests, and that its client is of this API.
page-is-right: _page-libraries
    uv run python -m docs.openapi | {{ npm }} run client -- --check
    {{ npm }} run check
    {{ npm }} run lint
    {{ npm }} test

_page-libraries:
    [ web/node_modules/.package-lock.json -nt web/package-lock.json ] || {{ npm }} ci --ignore-scripts --no-audit --no-fund

# Up, compared with the models, down and up again, on the database that DB_* names.
migrations:
    uv run alembic upgrade head
    uv run alembic check
    uv run alembic downgrade base
    uv run alembic upgrade head

# Mend what can be mended by itself.
fix:
    {{ uv }} ruff check --fix .
    {{ uv }} ruff format .

# Write docs/settings.md, docs/errors.md and .env.example anew.
docs:
    uv run python -m docs.tables

# What the service is made of, as CycloneDX: packages, the libraries inside of them, and the page's.
sbom:
    @uv run python -m deploy.sbom

# Ask the public advisories of all that is locked.
audit:
    uv export --quiet --no-emit-project --all-groups | uvx pip-audit --disable-pip --require-hashes --requirement /dev/stdin
    npm --prefix web audit --package-lock-only

# Build the image without a container engine, run it as compose.yaml does, and do one job in it: as root, on a Debian with buildah and debootstrap.
prove-image *options:
    uv run python -m deploy.prove_image {{ options }}

# How fast it is beside others: on drawn clips or on files, e.g. `just bench --clip h264_1080p --scale 0.3`.
bench *options:
    uv run --group bench python -m benchmarks {{ options }}

# Where a command's time goes, stage by stage, e.g. `just profile video.mp4 1s`.
profile video work="1s":
    uv run --group bench python -m benchmarks.stages {{ video }} {{ work }}
