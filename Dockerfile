# One image for each program:
#
#   docker build --target claim-server --build-arg CLAIM_COMMIT="$(git rev-parse --short=12 HEAD)" -t claim-server .
#   docker build --target claim-reaper --build-arg CLAIM_COMMIT="$(git rev-parse --short=12 HEAD)" -t claim-reaper .
#
# There is no `# syntax` line: what is used here is understood by the BuildKit of every Docker since 20.10, and nothing
# has to be fetched but the two base images and the crates.

ARG RUST_VERSION=1.95
FROM rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /src
COPY . .
# The history stays outside, so the commit that --version names has to be told.
ARG CLAIM_COMMIT=unknown
# Crates and what was compiled of them are kept between builds. Of our own sources nothing is: cargo goes by the times of
# files, and those of an older commit may be older than what was compiled last.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --locked --release -p claim-server -p claim-reaper \
    && install -D -t /out target/release/claim-server target/release/claim-reaper

# The C library, the authorities of certificates (for CLAIM_JWKS_URL and sslrootcert=system) and time zones; no shell.
FROM gcr.io/distroless/cc-debian12:nonroot AS runtime
# By number: Kubernetes' runAsNonRoot cannot look a name up.
USER 65532:65532
ARG CLAIM_COMMIT=unknown
LABEL org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${CLAIM_COMMIT}"

# Listens on loopback until it is told otherwise: see CLAIM_LISTEN in docs/deploy.md.
FROM runtime AS claim-server
LABEL org.opencontainers.image.title="claim-server"
COPY --from=build /out/claim-server /usr/local/bin/claim-server
EXPOSE 50051 9464
# Asks /readyz of CLAIM_METRICS_LISTEN, which answers from memory.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/claim-server", "health"]
ENTRYPOINT ["/usr/local/bin/claim-server"]
CMD ["serve"]

FROM runtime AS claim-reaper
LABEL org.opencontainers.image.title="claim-reaper"
COPY --from=build /out/claim-reaper /usr/local/bin/claim-reaper
EXPOSE 9465
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/claim-reaper", "health"]
ENTRYPOINT ["/usr/local/bin/claim-reaper"]
