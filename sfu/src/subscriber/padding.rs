//! Pads packets of one stream that differ little in length to equal length (RFC 3550 section 5.1).
//!
//! ```text
//!   lengths     1150 1149 1149 1149  300        a frame, as split by its packetizer
//!   padding        0    1    1    1    0        one run of five: only the last packet of a run may be shorter
//! ```
//! A run of equal packets passes through the kernel's network stack once (`UDP_SEGMENT`), so a few bytes of padding save
//! a pass.

/// Padding is at most a 16th of the longest packet: above that, bandwidth is worth more.
const MAX_SHARE: usize = 16;

/// Computes the padding of each packet in bytes, from the lengths of packets that are sent one after another.
pub(crate) fn paddings(lengths: &[usize], paddings: &mut Vec<u8>) {
    paddings.clear();
    let mut rest = lengths;
    while !rest.is_empty() {
        let (packets, longest) = run(rest);
        let Some((run, others)) = rest.split_at_checked(packets) else { return };
        let missing = |length: &usize| u8::try_from(longest.saturating_sub(*length)).unwrap_or_default();
        paddings.extend(run.iter().map(missing));
        // The last of a run may be as short as it is.
        if let Some(last) = paddings.last_mut() {
            *last = 0;
        }
        rest = others;
    }
}

/// Number of packets, from the first on, that make one run, and the length of the longest.
fn run(lengths: &[usize]) -> (usize, usize) {
    let first = lengths.first().copied().unwrap_or_default();
    let (mut shortest, mut longest) = (first, first);
    for (before, &length) in lengths.iter().enumerate().skip(1) {
        if length.saturating_add(max_padding(longest)) < longest {
            return (before + 1, longest);
        }
        if shortest.saturating_add(max_padding(length)) < length {
            return (before, longest);
        }
        shortest = shortest.min(length);
        longest = longest.max(length);
    }
    (lengths.len().max(1), longest)
}

/// Maximum padding of a packet that is padded to `longest`; the padding count is one byte.
fn max_padding(longest: usize) -> usize {
    (longest / MAX_SHARE).min(u8::MAX.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(lengths: &[usize]) -> Vec<u8> {
        let mut out = Vec::new();
        paddings(lengths, &mut out);
        out
    }

    #[test]
    fn packets_of_a_frame_are_padded_except_the_last() {
        assert_eq!(of(&[1149, 1149, 1150, 1150]), [1, 1, 0, 0]);
        assert_eq!(of(&[1150, 1149, 1149, 1149, 300]), [0, 1, 1, 1, 0]);
        assert_eq!(of(&[1200; 5]), [0; 5]);
    }

    #[test]
    fn different_lengths_are_not_padded() {
        assert_eq!(of(&[100, 1200, 100, 1200]), [0; 4]);
        assert_eq!(of(&[]), [0; 0]);
        assert_eq!(of(&[0, 0, 7]), [0; 3]);
    }

    #[test]
    fn short_packet_ends_a_run() {
        assert_eq!(of(&[1000, 990, 200, 1100, 1090, 1095]), [0, 10, 0, 0, 10, 0]);
    }

    proptest! {
        #[test]
        fn padding_is_bounded_and_never_adds_a_run(lengths in prop::collection::vec(0usize..1_500, 0..70)) {
            let paddings = of(&lengths);
            prop_assert_eq!(paddings.len(), lengths.len());
            let padded: Vec<usize> = lengths.iter().zip(&paddings).map(|(a, b)| a + usize::from(*b)).collect();
            for (length, padding) in lengths.iter().zip(&paddings) {
                prop_assert!(usize::from(*padding) <= (length + usize::from(*padding)) / MAX_SHARE);
            }
            // As the outbox splits them: a run ends after its first shorter packet, or before a longer one.
            let runs = |lengths: &[usize]| {
                let (mut runs, mut segment, mut open) = (0, 0, false);
                for &length in lengths {
                    if !open || length > segment {
                        (runs, segment) = (runs + 1, length);
                    }
                    open = length == segment;
                }
                runs
            };
            prop_assert!(runs(&padded) <= runs(&lengths), "{lengths:?} {padded:?}");
        }
    }
}
