# Builds tokend and puts nothing but it into the image.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
ARG TOKEND_COMMIT
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin tokend \
    && install -D target/release/tokend /out/tokend \
    && mkdir /out/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/tokend /usr/local/bin/tokend
# The database and, beside it, the key that seals what is in it.
COPY --from=build --chown=nonroot:nonroot --chmod=0700 /out/data /var/lib/tokend
WORKDIR /var/lib/tokend
VOLUME /var/lib/tokend
# Inside a container the loopback interface is nobody else's.
ENV TOKEND__GRPC__LISTEN=0.0.0.0:50051 \
    TOKEND__REST__LISTEN=0.0.0.0:8080 \
    TOKEND__MANAGEMENT__LISTEN=0.0.0.0:9090 \
    TOKEND__DATABASE__URL=sqlite:///var/lib/tokend/tokend.db
EXPOSE 50051 8080 9090
USER nonroot
ENTRYPOINT ["/usr/local/bin/tokend"]
CMD ["serve"]
