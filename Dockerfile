# One image for broker and worker: docs/containers.md. It has no secrets: those are mounted, or given when it runs.
FROM python:3.13-slim-bookworm AS build
WORKDIR /source
COPY LICENSE MANIFEST.in README.md pyproject.toml setup.cfg ./
COPY alaska alaska
COPY twisted twisted
# All packages as wheels, so that the image itself needs neither a compiler nor a network.
RUN ["python", "-m", "pip", "wheel", "--no-cache-dir", "--wheel-dir", "/wheels", "."]

FROM python:3.13-slim-bookworm
ARG VERSION=unknown
LABEL org.opencontainers.image.title="Alaska" \
      org.opencontainers.image.description="Distributed processing: Lua and Python services behind a Malamute broker" \
      org.opencontainers.image.licenses="MPL-2.0" \
      org.opencontainers.image.version="${VERSION}"

# Twisted caches its list of plugins; later, nobody may write it.
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir --no-compile --no-index /wheels/*.whl && \
    python -m compileall -q /usr/local/lib/python3.13/site-packages && \
    twistd --help > /dev/null

COPY examples/etc/malamute.cfg examples/etc/alaska.cfg /etc/alaska/
COPY services /var/lib/alaska/services
# The scripts belong to root. The tokens for HTTP are in the volume, where the user of the programs can add some.
RUN useradd --system --uid 950 --home-dir /var/lib/alaska --no-create-home --shell /usr/sbin/nologin alaska && \
    install -m 600 -o alaska -g alaska /dev/null /var/lib/alaska/tokens && \
    ln -s /var/lib/alaska/tokens /etc/alaska/tokens && \
    chown alaska:alaska /var/lib/alaska && \
    chmod 750 /var/lib/alaska

# Inside of a container, other containers and the published ports are not on loopback.
ENV MALAMUTE_MLM_SERVER_BIND_ENDPOINT=tcp://*:9999 \
    MALAMUTE_HTTP_ENDPOINT=tcp://*:9998 \
    ALASKA_HTTP_ENDPOINT=tcp://127.0.0.1:9998

USER 950:950
WORKDIR /var/lib/alaska
EXPOSE 9999 9998
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-m", "alaska.commands.health", "tcp://127.0.0.1:9998"]
ENTRYPOINT ["twistd", "--nodaemon"]
CMD ["malamute", "--config", "/etc/alaska/malamute.cfg"]
