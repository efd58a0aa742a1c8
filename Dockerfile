# Stage 1 builds the wheel and its environment; nothing of the build tools reaches the image.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY watcher watcher
RUN python -m venv /opt/watcher \
    && /opt/watcher/bin/pip install --no-cache-dir ".[embedded]"

# Stage 2 is the service: not root, exec form, SIGTERM drains.
FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="watcher" \
      org.opencontainers.image.description="Converts 3D and CAD files dropped into folders" \
      org.opencontainers.image.licenses="Apache-2.0"
# libatomic1: Mitsuba's one system library; without it thumbnails are drawn plainly
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libatomic1 tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/watcher watcher
COPY --from=build /opt/watcher /opt/watcher
ENV PATH=/opt/watcher/bin:$PATH WATCHER_CONFIG=/etc/watcher/watcher.yaml
USER 10001
WORKDIR /var/lib/watcher
VOLUME ["/var/lib/watcher"]
ENTRYPOINT ["tini", "--", "watcher"]
CMD ["run"]
