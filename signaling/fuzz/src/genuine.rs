//! Genuine messages, which inputs edit.

use tacet_proto::binary::{
    self, ANNOUNCE_BYTES, AnnounceEntry, BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES, BatchEntry, BatchHeader, ChatId,
    ChatKind, WANTED_KEY_BYTES, WantedKey,
};
use tacet_proto::{ParticipantId, Seat};

/// Text frames of clients, as `docs/protocol.md` has them.
pub(crate) const CLIENT_TEXTS: [&str; 19] = [
    r#"{"client":"a","credential":{"token":"IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI","type":"guest"},"features":["x"],"id":1,"resume":{"last_seq":4,"proof":"MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMw","token":"paWl","type":"session"},"room":"EREREREREREREREREREREQ","t":"hello"}"#,
    r#"{"announce":"paWl","display":"paWl","expects":[{"participant":9,"seat":1}],"id":2,"t":"join"}"#,
    r#"{"dtls":{"fingerprint":"XV1dXV1dXV1dXV1dXV1dXV1dXV1dXV1dXV1dXV1dXV0"},"ice":{"pwd":"9uB0sYHc3cI5gqzv6wYw4nN8","ufrag":"Qc4X"},"id":4,"t":"transport"}"#,
    r#"{"cid":"camera","codec":"vp8","encodings":[{"height":180,"kbps":150,"rid":"q"},{"height":720,"kbps":1700,"rid":"f"}],"id":5,"kind":"video","mid":"sv","muted":false,"source":"camera","t":"publish"}"#,
    r#"{"id":7,"t":"mute","track":1}"#,
    r#"{"id":9,"speaking":true,"t":"speech","track":1}"#,
    r#"{"auto":true,"id":10,"t":"subscribe","tracks":[1,2]}"#,
    r#"{"downlink":true,"id":12,"t":"layers","tiles":[{"height":360,"pinned":true,"track":1},{"height":90,"paused":true,"track":2}]}"#,
    r#"{"rev":3,"t":"slots.ready"}"#,
    r#"{"id":14,"t":"resync"}"#,
    r#"{"seq":41,"t":"ack","ext":{"a":[null]}}"#,
    r#"{"id":18,"t":"ice.restart"}"#,
    r#"{"id":19,"raised":true,"t":"hand"}"#,
    r#"{"id":20,"participant":2,"t":"mute.request"}"#,
    r#"{"id":21,"participant":3,"t":"kick"}"#,
    r#"{"id":22,"participant":4,"t":"ban"}"#,
    r#"{"id":23,"locked":true,"t":"lock"}"#,
    r#"{"id":24,"participant":2,"role":"moderator","t":"role"}"#,
    r#"{"id":25,"t":"end"}"#,
];

/// Text frames of the server.
pub(crate) const SERVER_TEXTS: [&str; 8] = [
    r#"{"add":[{"participant":2,"seat":2}],"del":[5],"full":false,"rev":6,"seq":4,"t":"roster","upd":[{"away":true,"participant":9,"seat":1}]}"#,
    r#"{"add":[{"codec":"opus","kind":"audio","mid":"a0","ssrc":1001}],"rev":3,"seq":8,"set":[{"mid":"a0","source":{"speaker":0}},{"mid":"v1","source":null}],"t":"slots"}"#,
    r#"{"seq":10,"t":"want","tracks":[{"active":[true,false],"height":360,"track":1}]}"#,
    r#"{"capabilities":["subscribe","chat"],"role":"listener","seq":11,"t":"role","withdrawn":[1]}"#,
    r#"{"by":2,"seq":12,"t":"mute.request"}"#,
    r#"{"locked":true,"seq":13,"t":"policy"}"#,
    r#"{"code":"rate_limited","detail":"x","re":12,"retry_ms":200,"seq":0,"t":"error"}"#,
    r#"{"ms":81234,"re":19,"seq":0,"t":"pong","tokens":{"reload":"paWl","session":"paWl"}}"#,
];

/// A key batch for these seats, whose header is all `mark` but for the number of entries.
pub(crate) fn key_batch(mark: u8, seats: &[u16]) -> Vec<u8> {
    let mut body = vec![mark; BATCH_HEADER_BYTES - 2];
    body.extend_from_slice(&(seats.len() as u16).to_be_bytes());
    for seat in seats {
        body.extend_from_slice(&seat.to_be_bytes());
        body.extend_from_slice(&[mark; BATCH_ENTRY_BYTES - 2]);
    }
    binary::key_batch(9, &body)
}

const CHAT: ChatId = ChatId::new(ChatKind::Reaction, 5);

/// Binary frames of clients.
pub(crate) fn client_binaries() -> Vec<Vec<u8>> {
    vec![key_batch(1, &[0, 1, 2]), binary::key_request(8, &[7; 2 * WANTED_KEY_BYTES]), binary::chat(9, CHAT, b"sealed")]
}

/// Binary frames of the server.
pub(crate) fn server_binaries() -> Vec<Vec<u8>> {
    let (header, entry) = (BatchHeader([1; BATCH_HEADER_BYTES]), BatchEntry([2; BATCH_ENTRY_BYTES]));
    let announce = [3; ANNOUNCE_BYTES];
    let entries = [1, 2].map(|number| AnnounceEntry {
        participant: ParticipantId(number),
        seat: Seat(number as u16),
        announce: &announce,
        display: b"name",
    });
    vec![
        binary::keys(5, [(&header, &entry)].into_iter()),
        binary::announces(6, &entries),
        binary::forwarded_key_request(7, Seat(3), &[WantedKey([4; WANTED_KEY_BYTES])]),
        binary::forwarded_chat(8, ParticipantId(4), CHAT, b"sealed"),
    ]
}
