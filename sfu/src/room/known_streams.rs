//! The SSRCs of a participant's withdrawn tracks. A browser names a stream only until its SSRC was acknowledged, and goes on
//! with the same SSRCs when it publishes on that m-line again.

use crate::{
    command::MAX_ENCODINGS,
    ids::{Mid, Rid, Ssrc},
    limits::TRACKS,
    publisher::encoding::Stream,
};
use std::collections::VecDeque;

/// Streams that are remembered: as many as a participant can publish.
const MOST: usize = TRACKS * MAX_ENCODINGS * 2;

/// What a browser calls a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamName {
    pub(super) mid: Mid,
    pub(super) rid: Option<Rid>,
    pub(super) stream: Stream,
}

/// The SSRC of each remembered stream, the one that was withdrawn last at the end.
#[derive(Debug, Default)]
pub(super) struct KnownStreams(VecDeque<(StreamName, Ssrc)>);

impl KnownStreams {
    /// A stream is withdrawn.
    pub(super) fn remember(&mut self, name: StreamName, ssrc: Ssrc) {
        self.take(name);
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((name, ssrc));
    }

    /// A stream of this name is published. Returns the SSRC that it had.
    pub(super) fn take(&mut self, name: StreamName) -> Option<Ssrc> {
        let position = self.0.iter().position(|(known, _)| *known == name)?;
        self.0.remove(position).map(|(_, ssrc)| ssrc)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn name(mid: &str) -> StreamName {
        StreamName { mid: Mid::new(mid).unwrap(), rid: Rid::new("q"), stream: Stream::Media }
    }

    #[test]
    fn last_ssrc_of_a_name_is_returned_once() {
        let mut known = KnownStreams::default();
        known.remember(name("a"), Ssrc(1));
        known.remember(name("a"), Ssrc(2));
        assert_eq!(known.take(StreamName { stream: Stream::Rtx, ..name("a") }), None);
        assert_eq!(known.take(name("a")), Some(Ssrc(2)));
        assert_eq!(known.take(name("a")), None);
    }

    #[test]
    fn oldest_is_forgotten_for_the_newest() {
        let mut known = KnownStreams::default();
        for number in 0..=MOST {
            known.remember(name(&number.to_string()), Ssrc(7));
        }
        assert_eq!(known.take(name("0")), None);
        assert_eq!(known.take(name("1")), Some(Ssrc(7)));
        assert_eq!(known.take(name(&MOST.to_string())), Some(Ssrc(7)));
    }
}
