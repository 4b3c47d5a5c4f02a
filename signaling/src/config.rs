//! Settings of an operator.

pub use crate::api_key::{ApiKey, ShortKey};
use crate::security_contact::SecurityContact;
pub use crate::{http::Hosts, public_url::PublicUrl};
pub use ipnet::IpNet;
use sfu_api::SPEAKERS;
use std::time::Duration;
use tacet_proto::limits;

/// Maximum number of speakers that a participant hears, and of open microphones that it hears all of.
pub const MAX_SPEAKERS: u8 = 10;

/// Settings of the control plane.
#[derive(Clone, Debug)]
pub struct Config {
    /// Web origins that may connect in addition to the server's own, such as `https://example.org`.
    pub allowed_origins: Vec<String>,
    /// The URL under which people reach the server, if that is not the address it listens on.
    pub public_url: Option<PublicUrl>,
    /// Hosts under which the server is reached.
    pub hosts: Hosts,
    /// Whether browsers are instructed to use nothing but HTTPS for the server's name.
    pub strict_transport: bool,
    /// Proxies that are believed what they say about their clients.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether only trusted proxies and this machine may connect: without TLS, nothing else keeps a client's requests from
    /// being read on the way.
    pub proxies_only: bool,
    /// Whether anyone may create a room.
    pub open_rooms: bool,
    /// Bearer token with which rooms may be created over HTTP.
    pub api_key: Option<ApiKey>,
    /// How webhooks are called.
    pub webhooks: WebhookSettings,
    /// Contact for vulnerability reports, served as `/.well-known/security.txt`.
    pub security_contact: Option<SecurityContact>,
    /// Maximum number of rooms.
    pub rooms: usize,
    /// How long an unused room is kept.
    pub room_idle: Duration,
    /// Limits of each room.
    pub room: RoomLimits,
    /// Maximum number of TCP connections in all.
    pub sockets: usize,
    /// Maximum number of TCP connections of one address; `None` is no limit. Those of trusted proxies count for the clients
    /// whose requests they carry.
    pub sockets_per_address: Option<usize>,
    /// Networks that the limits per address do not concern, such as those from which the server is tested under load.
    pub exempt: Vec<IpNet>,
    /// Maximum number of WebSocket connections of one address; `None` is no limit.
    pub connections_per_address: Option<usize>,
    /// Maximum number of new connections and rooms per second of one address; `None` is no limit. The participants of one
    /// full room may come at once.
    pub handshakes_per_second: Option<u32>,
    /// Time limits of a connection.
    pub timing: Timing,
}

/// Limits of one room.
#[derive(Clone, Copy, Debug)]
pub struct RoomLimits {
    /// Maximum number of participants, 1..=4096.
    pub participants: usize,
    /// Maximum number of tracks that one participant publishes.
    pub tracks_per_participant: usize,
    /// Maximum number of receiving slots of one participant.
    pub slots_per_participant: usize,
    /// Number of the loudest speakers that a participant hears while more microphones are open than it has audio slots,
    /// 1..=[`MAX_SPEAKERS`]. The media plane must be configured for as many.
    pub speakers: u8,
    /// Whether packets of audio carry their level (RFC 6464), which everyone on the way can read, and the media plane finds
    /// speakers by. Otherwise clients say when their participants begin and stop to speak.
    pub audio_levels: bool,
}

/// How webhooks are called.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Whether http and addresses that are not public are allowed: this machine and the networks that it reaches.
    pub private: bool,
    /// Pauses between the attempts to send a message, each up to a fifth shorter or longer. After the last attempt it has
    /// failed. Only tests change them.
    pub pauses: Vec<Duration>,
    /// Time for one attempt. Only tests change it.
    pub timeout: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            private: false,
            pauses: [5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200].map(Duration::from_secs).into(),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Time limits of a connection. Only tests change them.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From the challenge until `hello`.
    pub hello: Duration,
    /// Between the server's pings.
    pub ping: Duration,
    /// Silence after which a connection is closed.
    pub dead: Duration,
    /// Maximum time from Close to the end of the TCP connection.
    pub linger: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            public_url: None,
            hosts: Hosts::default(),
            strict_transport: false,
            trusted_proxies: Vec::new(),
            proxies_only: false,
            open_rooms: false,
            api_key: None,
            webhooks: WebhookSettings::default(),
            security_contact: None,
            rooms: 1_000,
            room_idle: Duration::from_secs(7 * 24 * 3_600),
            room: RoomLimits::default(),
            sockets: 20_000,
            sockets_per_address: Some(400),
            exempt: Vec::new(),
            connections_per_address: Some(100),
            handshakes_per_second: Some(10),
            timing: Timing::default(),
        }
    }
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self {
            participants: 50,
            tracks_per_participant: 4,
            slots_per_participant: 200,
            speakers: SPEAKERS,
            audio_levels: true,
        }
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
