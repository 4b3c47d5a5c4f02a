# A call server of one binary. Build: docker build -t tacet .
# Run: docker run --network host tacet --bind 0.0.0.0 --advertise YOUR.PUBLIC.IP
FROM node:22-bookworm-slim AS node

FROM rust:1-bookworm AS build
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules /usr/local/lib/node_modules
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
WORKDIR /tacet
COPY . .
RUN make build

FROM debian:bookworm-slim
COPY --from=build /tacet/target/release/tacet /usr/local/bin/tacet
USER nobody
EXPOSE 8800/tcp 8801/udp
ENTRYPOINT ["tacet", "serve"]
