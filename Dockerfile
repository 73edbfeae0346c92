# syntax=docker/dockerfile:1
# recsys as a service. It runs as nobody in particular, writes to /data and /tmp only, and keeps no secret; see docs/deploying.md.
# To pin the base to the byte: --build-arg PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/recsys
# PyTorch without CUDA, which is gigabytes smaller; a layer of its own, for it seldom changes.
COPY constraints.txt ./
RUN grep '^torch==' constraints.txt > torch.txt \
    && /opt/recsys/bin/pip install --index-url https://download.pytorch.org/whl/cpu -r torch.txt
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY datasets datasets
COPY recsys recsys
RUN /opt/recsys/bin/pip install -c constraints.txt ".[serving,index]"

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 recsys \
    && useradd --uid 10001 --gid recsys --home-dir /data --no-create-home --no-log-init --shell /usr/sbin/nologin recsys \
    && install -d -m 0750 -o recsys -g recsys /data
COPY --from=build /opt/recsys /opt/recsys
COPY deploy/entrypoint /usr/local/bin/entrypoint
ENV PATH=/opt/recsys/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    RECSYS_DATA=/data/logs
WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["entrypoint"]
CMD ["serve", "--run", "runs/served", "--host", "0.0.0.0", "--port", "8000"]
