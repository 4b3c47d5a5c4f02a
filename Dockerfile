# A call server of one binary, without clients and load tester. Build: docker build -t tacet .
# Run: docker run --network host --volume tacet:/var/lib/tacet --env TACET_API_KEY tacet --bind 0.0.0.0 \
#        --advertise YOUR.PUBLIC.IP
# It prints no link. Create rooms on your own machine, with the same key: tacet room --server https://YOUR.PUBLIC.IP:8800
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
# Rooms and the certificate; a new volume takes owner and mode from here.
RUN install --directory --owner 65534 --group 65534 --mode 700 /var/lib/tacet
ENV TACET_DATA=/var/lib/tacet
VOLUME /var/lib/tacet
USER nobody
EXPOSE 8800/tcp 8801/udp
ENTRYPOINT ["tacet", "serve"]
