//! Datagrams that the kernel drops because a socket's buffer is full: the last column of `/proc/net/udp` and
//! `/proc/net/udp6`.
//!
//! Such a datagram is lost between sender and relay. No [`Path`](crate::Path) decided that, so it is counted here.

use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, SocketAddr},
};

/// Datagrams dropped so far by the sockets bound to these addresses; 0 where unknown.
pub(super) fn of(sockets: &[SocketAddr]) -> u64 {
    let names: HashSet<String> = sockets.iter().copied().map(name).collect();
    let table = |path: &str| fs::read_to_string(path).map_or(0, |table| dropped(&table, &names));
    table("/proc/net/udp").saturating_add(table("/proc/net/udp6"))
}

/// As the tables write an address: its words as the machine holds them, in hexadecimal.
fn name(address: SocketAddr) -> String {
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    let ip = match address.ip() {
        IpAddr::V4(ip) => word(ip.octets()),
        IpAddr::V6(ip) => ip.octets().as_chunks().0.iter().copied().map(word).collect(),
    };
    format!("{ip}:{:04X}", address.port())
}

/// The sum of the last column over lines whose second column is one of the names.
fn dropped(table: &str, names: &HashSet<String>) -> u64 {
    let lines = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_whitespace();
        let ours = columns.nth(1).is_some_and(|local| names.contains(local));
        columns.last().filter(|_| ours)?.parse::<u64>().ok()
    });
    lines.fold(0, u64::saturating_add)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn overruns_are_counted_per_socket() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(full) = UdpSocket::bind(host) else { continue };
            let other = UdpSocket::bind(host).unwrap();
            let address = full.local_addr().unwrap();
            let sent = 20_000;
            for _ in 0..sent {
                other.send_to(&[0; 1_200], address).unwrap();
            }
            full.set_nonblocking(true).unwrap();
            let held = std::iter::from_fn(|| full.recv(&mut [0; 1_200]).ok()).count();
            assert_eq!(of(&[address]) + held as u64, sent, "{host}");
            assert_eq!(of(&[other.local_addr().unwrap()]), 0);
        }
    }

    #[test]
    fn malformed_table_counts_nothing() {
        let names = HashSet::from(["0100007F:0001".to_owned()]);
        assert_eq!(dropped("", &names), 0);
        assert_eq!(dropped("head\n  1: 0100007F:0001 x\n  2: 0100007F:0001\n\n", &names), 0);
        assert_eq!(dropped("head\n 1: 0100007F:0001 7\n 2: 0200007F:0001 9\n 3: 0100007F:0001 1\n", &names), 8);
    }
}
