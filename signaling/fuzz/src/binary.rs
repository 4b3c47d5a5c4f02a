//! Binary frames, in both directions.
//!
//! Asserts that what is accepted is written again as the same bytes: nothing is cut off, and nothing read twice.

use crate::genuine;
use tacet_fuzz::Script;
use tacet_proto::{
    Seat,
    binary::{self, BATCH_HEADER_BYTES, BatchEntry, BatchHeader, ClientBinary, ServerBinary, WantedKey},
};

/// Input: a direction, and edits of a genuine frame.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let is_of_client = script.byte().unwrap_or_default().is_multiple_of(2);
    let genuine = if is_of_client { genuine::client_binaries() } else { genuine::server_binaries() };
    let frame = script.edit(&genuine.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let id = binary::request_id(&frame);
    if is_of_client {
        if let Ok((answered, message)) = binary::parse_client(&frame) {
            assert_eq!(answered, id, "a request number by which an error is answered, too");
            assert_eq!(of_client(answered.unwrap_or_default(), &message), frame);
        }
    } else if let Ok((number, message)) = binary::parse_server(&frame) {
        assert_eq!(of_server(number, &message), frame);
    }
}

fn of_client(id: u32, message: &ClientBinary) -> Vec<u8> {
    match message {
        ClientBinary::KeyBatch(batch) => {
            let entries = batch.entries.iter().flat_map(|entry| entry.0);
            binary::key_batch(id, &batch.header.0.into_iter().chain(entries).collect::<Vec<_>>())
        }
        ClientBinary::KeyRequest(wanted) => {
            binary::key_request(id, &wanted.iter().flat_map(|key| key.0).collect::<Vec<_>>())
        }
        ClientBinary::Chat { id: chat, sealed } => binary::chat(id, *chat, sealed),
    }
}

fn of_server(number: u32, message: &ServerBinary<'_>) -> Vec<u8> {
    match message {
        ServerBinary::Keys(keys) => {
            let split = |bytes: &[u8]| {
                let (header, entry) = bytes.split_at(BATCH_HEADER_BYTES);
                (BatchHeader(header.try_into().unwrap()), BatchEntry(entry.try_into().unwrap()))
            };
            let keys: Vec<_> = keys.chunks_exact(BATCH_HEADER_BYTES + binary::BATCH_ENTRY_BYTES).map(split).collect();
            binary::keys(number, keys.iter().map(|(header, entry)| (header, entry)))
        }
        ServerBinary::Announces(entries) => binary::announces(number, entries),
        ServerBinary::KeyRequest { requester, wanted } => {
            let (wanted, _) = wanted.as_chunks();
            let wanted: Vec<_> = wanted.iter().map(|key| WantedKey(*key)).collect();
            binary::forwarded_key_request(number, Seat(requester.0), &wanted)
        }
        ServerBinary::Chat { participant, id, sealed } => binary::forwarded_chat(number, *participant, *id, sealed),
    }
}
