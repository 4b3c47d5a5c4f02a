//! A server for this machine only: which packets reach its media sockets.

#![cfg(all(feature = "serve", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Command;

/// In a network namespace with an address besides loopback, and a second namespace as another machine: prints how many
/// datagrams the server received from this machine and then from the other.
const SCRIPT: &str = r#"
set -eu
ip link set lo up
ip link add near0 type veth peer name far0
ip address add 10.99.0.1/24 dev near0
ip link set near0 up
ip route add default dev near0
unshare -n sh -c 'echo ready; exec sleep 100' > "$FOLDER/other" & other=$!
until [ -s "$FOLDER/other" ]; do sleep 0.05; done
ip link set far0 netns $other
nsenter -t $other -n sh -c 'ip address add 10.99.0.2/24 dev far0 && ip link set far0 up'
"$TACET" serve --json --data none --port 0 --media-port 0 --workers 1 --metrics 127.0.0.1:9464 --no-page "$@" \
    > "$FOLDER/ready" & server=$!
trap 'kill $server $other' EXIT
until [ -s "$FOLDER/ready" ]; do sleep 0.05; done
port=$(sed 's/.*"media_ports":\[\([0-9]*\).*/\1/' "$FOLDER/ready")
received() {
    exec 3<> /dev/tcp/127.0.0.1/9464
    printf 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
    sed -n 's/^tacet_datagrams_received_total{[^}]*} //p' <&3
    exec 3>&-
}
wait_for() { for _ in $(seq 400); do [ "$(received)" -ge "$1" ] && return; sleep 0.05; done; echo "not $1" >&2; exit 1; }
far() { nsenter -t $other -n bash -c "echo far > /dev/udp/10.99.0.1/$port"; }
near() { bash -c "echo near > /dev/udp/$1/$port"; }
# The first packets wait until both ends of the link know each other.
nsenter -t $other -n bash -c 'until echo > /dev/tcp/10.99.0.1/9; do sleep 0.05; done' 2> "$FOLDER/refused" & reaching=$!
until grep -q refused "$FOLDER/refused"; do sleep 0.05; done; kill $reaching
near 10.99.0.1
wait_for 1
far; far; far
near 10.99.0.1
wait_for 2
received
"#;

/// Datagrams that the server has received, of two from this machine and three from another.
fn received(arguments: &[&str]) -> u64 {
    let folder = support::TempDir::new();
    let root = std::fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0"));
    let output = Command::new("unshare")
        .args([if root { "-n" } else { "-Urn" }, "bash", "-c", SCRIPT, "bash"])
        .args(arguments)
        .env("TACET", env!("CARGO_BIN_EXE_tacet"))
        .env("FOLDER", folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Browsers that avoid loopback reach the server by another address of the machine; other machines do not.
#[test]
fn media_of_a_loopback_server_is_for_this_machine_only() {
    assert_eq!(received(&[]), 2);
    assert_eq!(received(&["--bind", "0.0.0.0"]), 5, "without the restriction, the other machine's packets arrive");
}
