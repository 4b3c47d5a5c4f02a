//! Key traffic: split, joined, and forwarded to its recipients.

use super::*;

#[test]
fn key_batches_are_split_by_recipient_and_joined_by_sender() {
    let mut story = Story::new();
    for who in 1..=4 {
        story.join(who);
    }
    for who in 1..=4 {
        story.take(who);
    }
    // Seats 0 to 3: three of them rotate at about the same time.
    for who in 1..=3 {
        story.binary(who, &key_batch(&[0, 1, 2, 3, 999]));
        story.now += Duration::from_millis(5);
    }
    story.quiet();
    let entries = |message: &[u8]| match binary::parse_server(message) {
        Ok((_, ServerBinary::Keys(keys))) => keys
            .chunks_exact(BATCH_HEADER_BYTES + BATCH_ENTRY_BYTES)
            .map(|key| u16::from_be_bytes([key[BATCH_HEADER_BYTES], key[BATCH_HEADER_BYTES + 1]]))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let keys = story.binaries(4);
    assert_eq!(keys.len(), 1, "one message for three senders");
    assert_eq!(entries(&keys[0]), [3, 3, 3], "each gets its own entry only");
    assert_eq!(story.binaries(1).iter().flat_map(|m| entries(m)).collect::<Vec<_>>(), [0, 0], "none from itself");
}

#[test]
fn recipient_named_twice_gets_one_key() {
    let mut story = Story::new();
    story.join(1);
    story.join(2);
    story.take(2);
    story.binary(1, &key_batch(&[1; 188]));
    story.quiet();
    let keys = story.binaries(2);
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].len(), 5 + 1 + BATCH_HEADER_BYTES + BATCH_ENTRY_BYTES);
}

#[test]
fn key_request_reaches_the_owners_of_wanted_keys() {
    let mut story = Story::new();
    for who in 1..=3 {
        story.join(who);
    }
    for who in 1..=3 {
        story.take(who);
    }
    let wanted = |seat: u64| [&[7; 16][..], &(seat << 6).to_be_bytes()].concat();
    story.binary(1, &binary::key_request(0, &[wanted(1), wanted(2), wanted(1), wanted(50)].concat()));
    story.quiet();
    for (who, expected) in [(2, wanted(1)), (3, wanted(2))] {
        let messages = story.binaries(who);
        let expected = ServerBinary::KeyRequest { requester: Seat(0), wanted: &expected };
        assert_eq!(binary::parse_server(&messages[0]), Ok((0, expected)));
    }
    assert!(story.take(1).is_empty());
}
