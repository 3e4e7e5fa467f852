# skein in an image of its own: docker build -t skein . && docker run -p 127.0.0.1:1883:1883 skein
#
# Both images may be chosen: --build-arg BUILD_IMAGE=… --build-arg BASE_IMAGE=…. The binary needs
# nothing of the base but a C library no older than that of the build image.
ARG BUILD_IMAGE=rust:1-slim-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
# jemalloc's C code is built by `make`.
RUN apt-get update && apt-get install --yes --no-install-recommends make
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin skein --features jemalloc
RUN mkdir /data
# Called by these names the binary behaves as Mosquitto's programs.
RUN mkdir /links && cd /links && for name in pub sub rr; do ln -s skein mosquitto_$name; done

FROM ${BASE_IMAGE}
COPY --from=build /src/target/release/skein /usr/local/bin/skein
COPY --from=build /links/ /usr/local/bin/
# What outlives the container, if a volume lies there; of the user below.
COPY --from=build --chown=65532:65532 /data /var/lib/skein
COPY LICENSE LICENSE-APACHE LICENSE-MIT /usr/share/doc/skein/
# Nobody in particular: a number needs no user database in the base image.
USER 65532:65532
VOLUME /var/lib/skein
EXPOSE 1883
ENTRYPOINT ["/usr/local/bin/skein"]
# Without arguments skein listens on the loopback interface, which nobody outside the container can
# reach. So the image listens on all interfaces, and who may reach them is decided by `docker run
# -p`. With a configuration of your own, whose listeners name 0.0.0.0 and say who may connect: docker
# run -v ./skein.toml:/etc/skein.toml:ro skein serve --config /etc/skein.toml
CMD ["serve", "--data-dir", "/var/lib/skein", "--listen", "0.0.0.0:1883", "--anonymous"]
