//! The tables of limits in docs/operating.md and docs/signaling.md, written from the constants that are enforced. `make types`
//! writes them again.

use crate::{
    api::{
        idempotency::{MAX_IDEMPOTENCY_KEY, MAX_REPEATABLE, REPEATABLE},
        keys::{MAX_KEY_NAME, MAX_KEYS},
    },
    config::Config,
    connection::{BAD_MESSAGES, CONTROL_FRAMES},
    guesses::GUESSES,
    http::authorization::{REQUESTS_AT_ONCE, REQUESTS_PER_SECOND},
    http1::{HEAD_BYTES, HEAD_FIELDS},
    outbox::{CAPACITY, KEPT, KEPT_BYTES},
    room::JOIN_TIME,
    room_token::{MAX_IDENTITY, MAX_LIFETIME},
    rooms::stock::{MAX_OF_STARTS, UNENTERED, UNENTERED_PER_NETWORK},
    sockets::places::{ANSWER, BODY, HEAD, IDLE, IDLE_PROXY},
    webhooks::{MAX_ATTEMPTS_AT_ONCE, MAX_ENDPOINTS, MAX_QUEUED},
    wire_limit::{BYTES_PER_MESSAGE, BYTES_PER_SECOND},
};
use std::{env, fs, path::PathBuf, time::Duration};
use tacet_proto::{
    MessageType,
    limits::{
        HELLO_TIMEOUT_MS, MAX_FEATURES, MAX_MESSAGE_BYTES, MAX_NAME_BYTES, MAX_ROOM_TOKEN_BYTES, MESSAGE_WINDOW_MS,
        MESSAGES_PER_WINDOW, RATE_ANSWERS_PER_SECOND, STRIKE_WINDOW_MS, STRIKES_PER_WINDOW, TypeRate, type_rate,
    },
};

/// A number with a comma after each three digits.
fn number(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in kB, or in KiB if that is whole.
fn bytes(count: usize) -> String {
    if count.is_multiple_of(1 << 10) { format!("{} KiB", count >> 10) } else { format!("{} kB", count / 1_000) }
}

/// A duration in its largest whole unit.
fn time(time: Duration) -> String {
    let ms = time.as_millis();
    for (unit, length) in [("days", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
        if ms >= length && ms.is_multiple_of(length) {
            // 120 s, 24 h: one or two of a unit are written in the next one.
            if unit != "s" && ms <= 2 * length && (unit, ms) != ("days", 2 * length) {
                continue;
            }
            return format!("{} {unit}", ms / length);
        }
    }
    format!("{ms} ms")
}

fn millis(ms: u64) -> String {
    time(Duration::from_millis(ms))
}

/// Everything that is enforced before media: what, how much, and what happens beyond it.
fn rows() -> Vec<[String; 3]> {
    let config = Config::default();
    let per_address = |most: Option<usize>| number(most.unwrap_or_default());
    let row = |what: &str, limit: String, beyond: &str| [what.to_owned(), limit, beyond.to_owned()];
    let mut rows = vec![
        row(
            "TCP connections in all",
            format!("{} (`sockets`), or nine tenths of the open files", number(config.sockets)),
            "the connection that waits for longest is closed, of the address with the most of them",
        ),
        row(
            "TCP connections of an address",
            format!(
                "{}, or those of the next line and six for each participant of a room (`sockets_per_address`)",
                per_address(config.sockets_per_address)
            ),
            "its own connection that waits for longest is closed",
        ),
        row(
            "WebSockets of an address",
            format!(
                "{}, or twice the participants of a room if that is more (`connections_per_address`)",
                per_address(config.connections_per_address)
            ),
            "refused, `rate_limited`",
        ),
        row(
            "new WebSockets of an address",
            format!(
                "as many at once as a room has participants, then {} a second (`handshakes_per_second`)",
                config.handshakes_per_second.unwrap_or_default()
            ),
            "refused, `rate_limited`",
        ),
        row("from accepting a connection to a complete request head, TLS handshake included", time(HEAD), "closed"),
        row("from the head to the complete body", time(BODY), "closed"),
        row(
            "idle between requests; without progress while an answer is read; reading one answer",
            format!("{0}; {0}; {1}", time(IDLE), time(ANSWER)),
            "closed",
        ),
        row("idle, of a trusted proxy", time(IDLE_PROXY), "closed"),
        row("head of a request", format!("{}, {} fields", bytes(HEAD_BYTES), number(HEAD_FIELDS)), "HTTP 431"),
        row("body of a request", bytes(MAX_MESSAGE_BYTES), "HTTP 413"),
    ];
    rows.extend(http_rows());
    rows.extend(message_rows());
    rows
}

fn http_rows() -> Vec<[String; 3]> {
    let config = Config::default();
    let row = |what: &str, limit: String, beyond: &str| [what.to_owned(), limit, beyond.to_owned()];
    vec![
        row(
            "requests with one API key",
            format!("{} at once, then {} a second", number(REQUESTS_AT_ONCE), number(REQUESTS_PER_SECOND)),
            "HTTP 429",
        ),
        row("wrong API keys of an address", format!("{GUESSES} in any second"), "HTTP 429 in place of 401"),
        row(
            "API keys; characters of a name",
            format!("{}; {}", number(MAX_KEYS), number(MAX_KEY_NAME)),
            "HTTP 503; 400",
        ),
        row(
            "requests that may be repeated; for how long; characters of an `Idempotency-Key`",
            format!("{}; {}; {}", number(MAX_REPEATABLE), time(REPEATABLE), number(MAX_IDEMPOTENCY_KEY)),
            "the oldest is forgotten; another room; HTTP 400",
        ),
        row(
            "rooms; unused for how long",
            format!("{} (`most`); {} (`idle_hours`)", number(config.rooms), time(config.room_idle)),
            "HTTP 503; the room ends",
        ),
        row(
            "rooms of an address that anyone could create and no one has entered; for how long",
            format!("{UNENTERED_PER_NETWORK}, and a tenth of all; {}", time(UNENTERED)),
            "HTTP 429; the room ends",
        ),
        row("rooms of starts of the server that no one has entered", number(MAX_OF_STARTS), "the oldest makes space"),
        row(
            "a room token; its identity; how long it is good",
            format!(
                "{} bytes; {} characters; {}",
                number(MAX_ROOM_TOKEN_BYTES),
                number(MAX_IDENTITY),
                time(MAX_LIFETIME)
            ),
            "refused; HTTP 400",
        ),
        row(
            "webhooks; messages of one; attempts of one under way",
            format!("{}; {}; {}", number(MAX_ENDPOINTS), number(MAX_QUEUED), number(MAX_ATTEMPTS_AT_ONCE)),
            "HTTP 503; the oldest is lost; the others wait",
        ),
        row(
            "an attempt of a webhook; attempts of one message",
            format!("{}; {}", time(config.webhooks.timeout), number(config.webhooks.pauses.len() + 1)),
            "a failure; kept as failed",
        ),
    ]
}

fn message_rows() -> Vec<[String; 3]> {
    let config = Config::default();
    let row = |what: &str, limit: String, beyond: &str| [what.to_owned(), limit, beyond.to_owned()];
    vec![
        row("from the WebSocket's challenge to `hello`", millis(HELLO_TIMEOUT_MS), "closed, 4401"),
        row("from `welcome` to `join`", time(JOIN_TIME), "closed, 4408"),
        row("silence of a WebSocket", time(config.timing.dead), "closed, 4408"),
        row(
            "messages of a connection",
            format!("{MESSAGES_PER_WINDOW} in any {}", millis(MESSAGE_WINDOW_MS)),
            "`rate_limited`, and a strike",
        ),
        row(
            "strikes of a connection; strikes that are answered",
            format!(
                "{STRIKES_PER_WINDOW} in any {}; {RATE_ANSWERS_PER_SECOND} in any second",
                millis(STRIKE_WINDOW_MS)
            ),
            "closed, 4429; no answer",
        ),
        row("a message, its fragments put together", format!("{} bytes", number(MAX_MESSAGE_BYTES)), "closed, 1009"),
        row(
            "bytes of a connection in a second, whether or not they become messages",
            bytes(BYTES_PER_SECOND),
            "closed, 4429",
        ),
        row("bytes of fragments since the last message", bytes(BYTES_PER_MESSAGE), "closed, 1008"),
        row("malformed messages", format!("{BAD_MESSAGES} in any minute"), "closed, 4400"),
        row("control frames", format!("{CONTROL_FRAMES} in any second"), "closed, 1008"),
        row(
            "characters of the names of a client and its features; features",
            format!("{MAX_NAME_BYTES}; {MAX_FEATURES}"),
            "`bad_message`",
        ),
        row("messages that wait for a client", number(CAPACITY), "closed, 4408"),
        row(
            "messages kept for a client that returns",
            format!("{}, {}", number(KEPT), bytes(KEPT_BYTES)),
            "it is the same participant in a new session",
        ),
        row("participants of a room", format!("{} (`participants`)", number(config.room.participants)), "`room_full`"),
        row(
            "tracks, slots of a participant",
            format!(
                "{} (`tracks_per_participant`), {} (`slots_per_participant`)",
                config.room.tracks_per_participant, config.room.slots_per_participant
            ),
            "`limit_tracks`",
        ),
    ]
}

fn table(head: &str, rows: &[[String; 3]]) -> String {
    let lines = rows.iter().map(|[a, b, c]| format!("| {a} | {b} | {c} |\n"));
    format!("{head}\n|---|---|---|\n{}", lines.collect::<String>())
}

/// Types of messages by their rate.
fn type_rows() -> Vec<[String; 3]> {
    let mut rates: Vec<(TypeRate, Vec<String>)> = Vec::new();
    for kind in MessageType::ALL {
        let (rate, name) = (type_rate(*kind), format!("`{}`", kind.name()));
        match rates.iter_mut().find(|(known, _)| *known == rate) {
            Some((_, names)) => names.push(name),
            None => rates.push((rate, vec![name])),
        }
    }
    let row = |(TypeRate { burst, every_ms }, names): &(TypeRate, Vec<String>)| {
        [names.join(", "), burst.to_string(), millis(u64::from(*every_ms))]
    };
    rates.iter().map(row).collect()
}

/// Compares a part of a document, or writes it.
#[allow(clippy::unwrap_used)]
fn check(document: &str, part: &str, table: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(document);
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- limits: {part} -->\n"), "<!-- end of limits -->");
    let (before, rest) = text.split_once(&begin).unwrap();
    let (found, after) = rest.split_once(end).unwrap();
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert!(found == table, "docs/{document}: the table of limits is stale: make types");
    }
}

#[test]
fn documented_limits_are_enforced_ones() {
    check("operating.md", "connections, requests and messages", &table("| what | limit | beyond it |", &rows()));
    check("signaling.md", "types of messages", &table("| type | at once | then one each |", &type_rows()));
}

#[test]
fn numbers_are_written_as_people_write_them() {
    assert_eq!([0, 999, 1_000, 1_234_567].map(|count: u64| number(count)), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!([16_384, 522_240, 147_456].map(bytes), ["16 KiB", "510 KiB", "144 KiB"]);
    assert_eq!(
        [66, 1_000, 120_000, 900_000, 86_400_000, 604_800_000].map(millis),
        ["66 ms", "1 s", "120 s", "15 min", "24 h", "7 days"]
    );
}
