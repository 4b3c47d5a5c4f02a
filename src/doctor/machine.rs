//! What the machine grants a server: open files, socket buffers, a clock.

use super::finding::Finding;
use crate::descriptors;

/// Requested size of a media socket's buffers, in bytes; the kernel grants no more than its maximum.
const BUFFER: u64 = 6 << 20;
/// Below this a burst of a large room does not fit.
const SMALL_BUFFER: u64 = 512 << 10;

/// Everything about the machine. `sockets` is the number of connections that the server is set to accept.
pub(super) fn findings(sockets: usize) -> Vec<Finding> {
    descriptors::raise();
    vec![files(sockets, descriptors::connections(sockets)), buffers(kernel_buffers()), clock(synchronised())]
}

/// `possible` connections of the `wanted` number fit into the limit of open files.
fn files(wanted: usize, possible: usize) -> Finding {
    let subject = "open files";
    if possible >= wanted {
        return Finding::ok(subject, format!("enough for {wanted} connections"));
    }
    Finding::warning(
        subject,
        format!("enough for {possible} of the {wanted} connections that [limits] sockets allows"),
        format!("raise the hard limit: LimitNOFILE={} in the unit of the service", wanted + wanted / 5),
    )
}

/// Maximum sizes of a socket's buffers, receive and send, in bytes.
fn buffers(maximum: Option<(u64, u64)>) -> Finding {
    let subject = "socket buffers";
    let Some((receive, send)) = maximum else {
        return Finding::unknown(subject, "this system does not say how large they may be");
    };
    let granted = receive.min(send).min(BUFFER);
    if granted >= SMALL_BUFFER {
        return Finding::ok(subject, format!("{} kB", granted / 1_000));
    }
    Finding::warning(
        subject,
        format!(
            "the kernel grants {} kB of the {} kB requested: bursts of large rooms are lost",
            granted / 1_000,
            BUFFER / 1_000
        ),
        "sysctl -w net.core.rmem_max=8388608 net.core.wmem_max=8388608, and the same in /etc/sysctl.d",
    )
}

fn kernel_buffers() -> Option<(u64, u64)> {
    let maximum = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?.trim().parse().ok();
    Some((maximum("rmem_max")?, maximum("wmem_max")?))
}

/// Whether the clock follows a time server; `None` if that is not known.
fn clock(synchronised: Option<bool>) -> Finding {
    let subject = "clock";
    match synchronised {
        Some(true) => Finding::ok(subject, "synchronised"),
        Some(false) => Finding::warning(
            subject,
            "not synchronised: people whose clocks differ by minutes cannot join, and read that theirs is wrong",
            "timedatectl set-ntp true",
        ),
        None => Finding::unknown(subject, "timedatectl does not say whether it is synchronised"),
    }
}

fn synchronised() -> Option<bool> {
    let arguments = ["show", "--property=NTPSynchronized", "--value"];
    let output = std::process::Command::new("timedatectl").args(arguments).output().ok()?;
    match String::from_utf8(output.stdout).ok()?.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Grade, *};

    #[test]
    fn limits_that_bind_are_warnings() {
        assert_eq!(files(1_000, 1_000).grade, Grade::Ok);
        let few = files(10_000, 900);
        assert_eq!(few.grade, Grade::Warning);
        assert!(few.text.contains("900 of the 10000") && few.remedy.is_some_and(|it| it.contains("LimitNOFILE=12000")));
        assert_eq!(buffers(Some((8 << 20, 8 << 20))).text, "6291 kB");
        let small = buffers(Some((8 << 20, 212_992)));
        assert_eq!(small.grade, Grade::Warning);
        assert!(small.text.contains("212 kB of the 6291 kB"), "{small:?}");
    }

    #[test]
    fn what_cannot_be_found_out_is_not_called_good() {
        assert_eq!([buffers(None).grade, clock(None).grade], [Grade::Unknown; 2]);
        assert_eq!([Some(true), Some(false)].map(|it| clock(it).grade), [Grade::Ok, Grade::Warning]);
    }
}
