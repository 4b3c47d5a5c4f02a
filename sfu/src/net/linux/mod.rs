//! Batched socket I/O of Linux: many datagrams per system call, and trains of packets that the kernel cuts and joins.

mod control;
mod receive;
mod send;

use mio::net::UdpSocket;
pub(super) use receive::Receiver;
pub(super) use send::Sender;
use std::os::fd::AsRawFd;

/// Turns on the options that the receiver uses. Returns whether the kernel can cut runs into packets (`UDP_SEGMENT`).
pub(super) fn enable(socket: &UdpSocket) -> bool {
    let segmentation = has_option(socket, libc::SOL_UDP, libc::UDP_SEGMENT);
    let trains = set_option(socket, libc::SOL_UDP, libc::UDP_GRO);
    let overflows = set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL);
    tracing::debug!(segmentation, trains, overflows, "batched I/O on a media socket");
    segmentation
}

/// Turns an option on; returns false if the kernel does not know it.
fn set_option(socket: &UdpSocket, level: libc::c_int, name: libc::c_int) -> bool {
    let on: libc::c_int = 1;
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to an integer of the given length, valid for the call.
    unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const on).cast(), len) == 0 }
}

/// Returns whether the kernel knows an option.
fn has_option(socket: &UdpSocket, level: libc::c_int, name: libc::c_int) -> bool {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointers are to an integer and its length, both valid for the call.
    unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut len) == 0 }
}
