# Builds tokend and puts nothing but it into the image. Wants BuildKit, as `docker build` has it.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY migrations migrations
COPY proto proto
COPY src src
ARG TOKEND_COMMIT
# The caches spare a second build the dependencies; `--locked` and the image above say what is built.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --bin tokend \
    && install -D target/release/tokend /out/tokend \
    && mkdir /out/data

# It has what a Rust program links to, certificates, and no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG TOKEND_COMMIT
LABEL org.opencontainers.image.title="tokend" \
      org.opencontainers.image.description="Issues, refreshes, revokes and checks tokens" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.revision="${TOKEND_COMMIT}"
COPY --from=build /out/tokend /usr/local/bin/tokend
# On SQLite the database is made here: mount a volume. On a database server nothing is written.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /var/lib/tokend
WORKDIR /var/lib/tokend
# Inside a container the loopback interface is nobody else's.
ENV TOKEND__GRPC__LISTEN=0.0.0.0:50051 \
    TOKEND__REST__LISTEN=0.0.0.0:8080 \
    TOKEND__MANAGEMENT__LISTEN=0.0.0.0:9090
EXPOSE 50051 8080 9090
# A number, so that Kubernetes sees that it is not root.
USER 65532:65532
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/tokend", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/tokend"]
CMD ["serve"]
