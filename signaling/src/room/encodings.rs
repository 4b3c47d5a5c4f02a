//! Checks what a client says of the encodings of a track.

use super::{Refusal, refusal};
use sfu_api::{EncodingParams, Mid, Publication, Rid, Ssrc};
use std::{collections::HashSet, hash::Hash};
use tacet_proto::{
    ErrorCode,
    client::{Encoding, MAX_ENCODINGS, Publish},
    media::{Kind, Source},
};

/// The publication that a request describes.
pub(super) fn publication(publish: &Publish) -> Result<Publication, Refusal> {
    let mid = Mid::new(&publish.mid).ok_or(bad("mid: 1 to 16 visible characters"))?;
    let most = if publish.kind == Kind::Audio { 1 } else { MAX_ENCODINGS };
    if publish.encodings.is_empty() || publish.encodings.len() > most {
        return Err(bad("encodings: one for audio, 1 to 3 for video"));
    }
    let encodings = publish.encodings.iter().map(parameters).collect::<Result<Vec<_>, _>>()?;
    let rids = encodings.iter().filter_map(|encoding| encoding.rid);
    if !are_distinct(rids.clone()) || encodings.len() > 1 && rids.count() < encodings.len() {
        return Err(bad("rid: several encodings have one each, all different"));
    }
    // Those that a client does not tell say nothing.
    if !encodings.iter().filter_map(|encoding| encoding.height).is_sorted() {
        return Err(bad("encodings: lowest quality first, but a height is below the one before"));
    }
    if !encodings.iter().filter_map(|encoding| encoding.max_kbps).is_sorted() {
        return Err(bad("encodings: lowest quality first, but a bitrate is below the one before"));
    }
    let ssrcs = encodings.iter().flat_map(|encoding| [encoding.ssrc, encoding.rtx]).flatten();
    if !are_distinct(ssrcs) {
        return Err(bad("ssrc: used twice"));
    }
    if publish.kind == Kind::Audio && encodings.iter().any(|encoding| encoding.rtx.is_some()) {
        return Err(bad("rtx: video only"));
    }
    Ok(Publication { codec: publish.codec, mid, encodings, screen: publish.source == Source::Screen })
}

fn parameters(encoding: &Encoding) -> Result<EncodingParams, Refusal> {
    let Encoding { rid, ssrc, rtx, height, kbps } = encoding;
    let rid = match rid {
        Some(rid) => Some(Rid::new(rid).ok_or(bad("rid: 1 to 16 letters, digits, - and _"))?),
        None => None,
    };
    if rid.is_none() && ssrc.is_none() {
        return Err(bad("encodings: neither rid nor ssrc"));
    }
    if [*ssrc, *rtx].contains(&Some(0)) {
        return Err(bad("ssrc: zero"));
    }
    Ok(EncodingParams { rid, ssrc: ssrc.map(Ssrc), rtx: rtx.map(Ssrc), height: *height, max_kbps: *kbps })
}

fn are_distinct<T: Eq + Hash>(items: impl Iterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    items.into_iter().all(|item| seen.insert(item))
}

const fn bad(detail: &'static str) -> Refusal {
    refusal(ErrorCode::BadMessage, detail)
}
