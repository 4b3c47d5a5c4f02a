//! What an operator decides. Defaults are those of the protocol.

pub use crate::api_key::ApiKey;
use std::time::Duration;
use tacet_proto::limits;

/// Settings of the control plane.
#[derive(Clone, Debug)]
pub struct Config {
    /// Web origins beside the server's own that may connect, such as `https://example.org`.
    pub allowed_origins: Vec<String>,
    /// Whether anybody may make a room.
    pub open_rooms: bool,
    /// Bearer token with which rooms may be made over HTTP.
    pub api_key: Option<ApiKey>,
    /// Most rooms at a time.
    pub rooms: usize,
    /// How long a room that nobody is in is kept.
    pub room_idle: Duration,
    /// Limits of each room.
    pub room: RoomLimits,
    /// Most WebSocket connections of one address; `None` is no limit.
    pub connections_per_address: Option<usize>,
    /// Most new connections and rooms a second of one address; `None` is no limit.
    pub handshakes_per_second: Option<u32>,
    /// Time limits of a connection.
    pub timing: Timing,
}

/// Limits of one room.
#[derive(Clone, Copy, Debug)]
pub struct RoomLimits {
    /// Most participants, 1..=4096.
    pub participants: usize,
    /// Most tracks that one participant publishes.
    pub tracks_per_participant: usize,
    /// Most receiving slots of one participant.
    pub slots_per_participant: usize,
}

/// Time limits of a connection. Only tests change them.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Until `hello`.
    pub hello: Duration,
    /// Between the server's pings.
    pub ping: Duration,
    /// After which a silent connection is dead.
    pub dead: Duration,
    /// From Close to the end of the TCP connection at most.
    pub linger: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            open_rooms: false,
            api_key: None,
            rooms: 1_000,
            room_idle: Duration::from_secs(7 * 24 * 3_600),
            room: RoomLimits::default(),
            connections_per_address: Some(40),
            handshakes_per_second: Some(10),
            timing: Timing::default(),
        }
    }
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self { participants: 50, tracks_per_participant: 4, slots_per_participant: 200 }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            hello: Duration::from_millis(limits::HELLO_TIMEOUT_MS),
            ping: Duration::from_secs(20),
            dead: Duration::from_secs(45),
            linger: Duration::from_secs(2),
        }
    }
}
