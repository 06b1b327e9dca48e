# Images of the coordinator and of a ready-made runner:
#   docker build --target coordinator -t baton-coordinator .
#   docker build --target runner --build-arg RUNNER=mail -t baton-runner-mail .
# They run as a user without rights, on a read-only root file system, and stop at SIGTERM. See docs/deploy.md.

# Any image with Node 20.19 or later and npm; of the same system and processor as RUNTIME.
ARG BASE=docker.io/library/node:22-bookworm-slim
# Any image with Node; it needs no npm.
ARG RUNTIME=${BASE}

FROM ${BASE} AS build
# The name of a folder of runners/.
ARG RUNNER=http
WORKDIR /build
COPY . .
# The scripts of the project are compiled against the example runner.
RUN node scripts/setup.mjs --only "coordinator,dashboard,runners/quotes,runners/${RUNNER}"

FROM build AS coordinator-build
RUN sh deploy/container/gather.sh coordinator /app

FROM build AS runner-build
RUN sh deploy/container/gather.sh "runners/${RUNNER}" /app

FROM ${RUNTIME} AS coordinator
LABEL org.opencontainers.image.title="Baton coordinator" org.opencontainers.image.licenses="MIT"
COPY --from=coordinator-build /app /app
WORKDIR /app
ENV NODE_ENV=production PORT=3001
EXPOSE 3001
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 CMD ["node", "/app/health.mjs"]
ENTRYPOINT ["node", "/app/main.cjs"]

FROM ${RUNTIME} AS runner
LABEL org.opencontainers.image.title="Baton runner" org.opencontainers.image.licenses="MIT"
# Debian's packages that the runner needs: "ffmpeg" for video, "chromium fonts-dejavu" for documents.
ARG PACKAGES=
RUN if [ -n "${PACKAGES}" ]; then \
    apt-get update && apt-get install -y --no-install-recommends ${PACKAGES} && rm -rf /var/lib/apt/lists/*; \
  fi; \
  mkdir -p /var/lib/baton/work /var/lib/baton/storage && chown -R 10001:10001 /var/lib/baton
COPY --from=runner-build /app /app
WORKDIR /app
# The two folders are all that it writes to: mount what is to be kept, and a temporary file system for work and /tmp.
ENV NODE_ENV=production RUNNER_HEALTH_PORT=9090 RUNNER_HEALTH_HOST=0.0.0.0 \
  RUNNER_WORK_DIR=/var/lib/baton/work STORAGE_ROOTS=file:/var/lib/baton/storage
EXPOSE 9090
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["node", "/app/health.mjs"]
ENTRYPOINT ["node", "/app/main.cjs"]
