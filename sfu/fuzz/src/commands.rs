//! Commands from a script, on few participants, tracks and slots, so that they often refer to the same ones.

use sfu::{
    Command, Mid, ParticipantId, Rid, RoomId, SPEAKERS, SlotSource, Ssrc, TrackId,
    command::{EncodingParams, Publication, RemoteTransport, Wish},
    media::Codec,
};
use tacet_fuzz::Script;

const PARTICIPANTS: u8 = 4;
const TRACKS: u8 = 6;
const SLOTS: u8 = 4;

pub(crate) const CODECS: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264];

pub(crate) fn participant(byte: u8) -> ParticipantId {
    ParticipantId(u32::from(byte % PARTICIPANTS))
}

pub(crate) fn mid(byte: u8) -> Mid {
    Mid::new(["m0", "m1", "m2", "a-mid-16-letters"][usize::from(byte % SLOTS)]).expect("a MID")
}

/// RIDs of the encodings of a track, lowest quality first.
pub(crate) const RIDS: [&str; 3] = ["q", "h", "f"];

/// A publication with the SSRCs that [`crate::packets`] sends, and up to two `more` encodings, whose SSRCs are learned.
pub(crate) fn publication(track: u8, codec: Codec, mid: Mid, more: u8) -> Publication {
    let ssrc = u32::from(track % TRACKS) * 2;
    let mut publication = Publication::single(codec, mid, Ssrc(ssrc), codec.entry().rtx_pt.map(|_| Ssrc(ssrc + 1)));
    publication.screen = more == 1;
    if more > 0 {
        let [first, others @ ..] = RIDS.map(|rid| EncodingParams::named(Rid::new(rid).expect("a RID")));
        publication.encodings.iter_mut().for_each(|encoding| encoding.rid = first.rid);
        publication.encodings.extend(others.into_iter().take(more.into()));
    }
    publication
}

/// Returns the next command; `None` at the end of the script.
pub(crate) fn command(script: &mut Script<'_>) -> Option<Command> {
    let (kind, who, what) = (script.byte()?, script.byte()?, script.byte()?);
    let participant = participant(who);
    let track = TrackId(u32::from(what % TRACKS));
    // The low bits select the participant, the high bits the slot.
    let mid = mid(who >> 4);
    let codec = CODECS[usize::from(what >> 4) % CODECS.len()];
    Some(match kind % 9 {
        0 => Command::AddParticipant { room: RoomId(u64::from(what % 2)), participant },
        1 if kind & 0x80 != 0 => Command::RestartIce { participant },
        1 => {
            let remote = RemoteTransport {
                ufrag: "x".repeat(usize::from(what % 3)),
                pwd: "y".to_owned(),
                fingerprint: [what; 32],
            };
            Command::Connect { participant, remote }
        }
        2 => {
            let mut publication = publication(what, codec, mid, kind >> 4 & 0b11);
            if kind & 0x80 != 0 {
                publication.encodings.iter_mut().for_each(|encoding| encoding.rtx = encoding.ssrc);
            }
            Command::Publish { participant, track, publication }
        }
        3 => Command::Unpublish { participant, track },
        4 if kind & 0x40 != 0 => Command::SetSpeaking { participant, track, speaking: kind & 0x80 != 0 },
        4 => Command::SetMuted { participant, track, muted: kind & 0x80 != 0 },
        5 => Command::AddSlot { participant, mid, codec },
        6 => Command::ActivateSlot { participant, mid },
        7 if kind & 0x80 != 0 => {
            // The last one does not exist.
            Command::SetSlot { participant, mid, source: Some(SlotSource::Speaker(what % (SPEAKERS + 1))) }
        }
        7 => Command::SetSlot { participant, mid, source: (what != 0xff).then_some(track.into()) },
        8 if kind & 0x80 != 0 => {
            let (height, pinned, paused) = (u16::from(what) << 3, what & 0b01 != 0, what & 0b10 != 0);
            Command::SetWishes { participant, wishes: vec![Wish { mid, height, pinned, paused }] }
        }
        _ => Command::RemoveParticipant { participant },
    })
}
