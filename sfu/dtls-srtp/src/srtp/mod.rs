//! SRTP and SRTCP of one transport (RFC 3711, RFC 7714): one [`SrtpOpener`] and one [`SrtpSealer`], each keyed once.
//!
//! Invariants:
//! * state of an SSRC appears, and its replay window moves, only after a packet was authenticated, so that forged
//!   packets cost no memory;
//! * no (SSRC, index) is opened twice or sealed twice. An SSRC keeps its index for the life of the sealer, whatever
//!   source feeds it; a sequence number that was used, or is older than the window, is refused and not sealed;
//! * a stream whose first packets are lost opens even if the sequence number wrapped among them (`WrapGuesses`), and
//!   forged packets cost a second decryption only a bounded number of times in the life of the opener.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod cipher;
mod kdf;
mod profile;
mod replay;
mod wrap_guesses;

use cipher::{Cipher, Stream};
pub use profile::{Profile, SrtpError};
use replay::{Refused, ReplayWindow};
use wrap_guesses::WrapGuesses;

/// Maximum number of SSRCs of one peer in each direction.
pub const MAX_SSRCS: usize = 1_024;
/// Packets of one key (RFC 3711 section 9.2): 2^48 of SRTP and 2^31 of SRTCP, over all SSRCs.
const RTP_KEY_LIMIT: u64 = 1 << 48;
const RTCP_KEY_LIMIT: u32 = 1 << 31;

impl From<Refused> for SrtpError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Replay => Self::Replay,
            Refused::Exhausted => Self::KeyExhausted,
        }
    }
}

/// Decrypts and authenticates packets of the peer.
#[derive(Debug)]
pub struct SrtpOpener {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_windows: Windows,
    rtcp_windows: Windows,
    wrap_guesses: WrapGuesses,
}

impl SrtpOpener {
    /// Derives the session keys for packets from the peer.
    ///
    /// # Errors
    /// [`SrtpError::Key`] if a length is not the profile's.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        Ok(Self {
            rtp: Cipher::new(profile, Stream::Rtp, key, salt)?,
            rtcp: Cipher::new(profile, Stream::Rtcp, key, salt)?,
            rtp_windows: Windows::default(),
            rtcp_windows: Windows::default(),
            wrap_guesses: WrapGuesses::default(),
        })
    }

    /// Opens an SRTP packet in place; returns the clear RTP packet with its header.
    ///
    /// # Errors
    /// [`SrtpError`]; the content of `packet` is undefined then.
    pub fn open_rtp<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a mut [u8], SrtpError> {
        let header = RtpHeader::parse(packet).ok_or(SrtpError::Malformed)?;
        let clear = match self.rtp_windows.index_of(header.ssrc, header.sequence)? {
            Some(index) => {
                let clear = self.rtp.open_rtp(packet, header.len, header.ssrc, index)?;
                self.rtp_windows.commit(header.ssrc, index);
                clear
            }
            None => self.open_first(packet, &header)?,
        };
        packet.get_mut(..clear).ok_or(SrtpError::Malformed)
    }

    /// Opens a packet of an SSRC of which none was authenticated before; returns the length of the clear packet.
    fn open_first(&mut self, packet: &mut [u8], header: &RtpHeader) -> Result<usize, SrtpError> {
        let mut index = u64::from(header.sequence);
        // An attempt that fails destroys the packet.
        let wrapped = self.wrap_guesses.index(header.sequence).map(|wrapped| (wrapped, packet.to_vec()));
        let mut opened = self.rtp.open_rtp(packet, header.len, header.ssrc, index);
        if let (Err(SrtpError::Authentication), Some((wrapped, sealed))) = (&opened, wrapped) {
            packet.copy_from_slice(&sealed);
            index = wrapped;
            opened = self.rtp.open_rtp(packet, header.len, header.ssrc, index);
            self.wrap_guesses.guessed();
        }
        let clear = opened?;
        self.rtp_windows.commit(header.ssrc, index);
        self.wrap_guesses.authenticated();
        Ok(clear)
    }

    /// Opens an SRTCP packet in place; returns the clear, possibly compound RTCP packet.
    ///
    /// # Errors
    /// [`SrtpError`]; the content of `packet` is undefined then.
    pub fn open_rtcp<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a mut [u8], SrtpError> {
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpError::Malformed)?;
        let index = self.rtcp.rtcp_index(packet)?;
        self.rtcp_windows.check(ssrc, index.into())?;
        let clear = self.rtcp.open_rtcp(packet, ssrc, index)?;
        self.rtcp_windows.commit(ssrc, index.into());
        packet.get_mut(..clear).ok_or(SrtpError::Malformed)
    }
}

/// Encrypts and authenticates packets to the peer.
#[derive(Debug)]
pub struct SrtpSealer {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    rtp_windows: Windows,
    rtp_sealed: u64,
    /// One index for all SSRCs, so that no (SSRC, index) pair repeats.
    rtcp_sealed: u32,
}

impl SrtpSealer {
    /// Derives the session keys for packets to the peer.
    ///
    /// # Errors
    /// [`SrtpError::Key`] if a length is not the profile's.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        Ok(Self {
            profile,
            rtp: Cipher::new(profile, Stream::Rtp, key, salt)?,
            rtcp: Cipher::new(profile, Stream::Rtcp, key, salt)?,
            rtp_windows: Windows::default(),
            rtp_sealed: 0,
            rtcp_sealed: 0,
        })
    }

    /// The profile that the keys are for.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Bytes that sealing adds to an RTP packet.
    #[must_use]
    pub fn rtp_overhead(&self) -> usize {
        self.profile.rtp_overhead()
    }

    /// Bytes that sealing adds to an RTCP packet.
    #[must_use]
    pub fn rtcp_overhead(&self) -> usize {
        self.rtp_overhead().saturating_add(4)
    }

    /// Appends the sealed packet of this header and payload to `out`: both are copied there once and sealed in place.
    ///
    /// `header` is a whole RTP header with its extensions. The first packet of an SSRC should have a sequence number
    /// below 2^15: if it is lost, a receiver still guesses the right rollover counter.
    ///
    /// # Errors
    /// [`SrtpError`]; `out` is unchanged then.
    pub fn seal_rtp(&mut self, header: &[u8], payload: &[u8], out: &mut Vec<u8>) -> Result<(), SrtpError> {
        let parsed = RtpHeader::parse(header).filter(|h| h.len == header.len()).ok_or(SrtpError::Malformed)?;
        if self.rtp_sealed >= RTP_KEY_LIMIT {
            return Err(SrtpError::KeyExhausted);
        }
        let index = self.rtp_windows.index_of(parsed.ssrc, parsed.sequence)?.unwrap_or(parsed.sequence.into());
        let start = out.len();
        out.extend_from_slice(header);
        let body = out.len();
        out.extend_from_slice(payload);
        if let Err(error) = self.rtp.seal_rtp(out, start, body, parsed.ssrc, index) {
            out.truncate(start);
            return Err(error);
        }
        self.rtp_windows.commit(parsed.ssrc, index);
        self.rtp_sealed = self.rtp_sealed.saturating_add(1);
        Ok(())
    }

    /// Appends the sealed packet of a clear, possibly compound RTCP packet to `out`.
    ///
    /// # Errors
    /// [`SrtpError`]; `out` is unchanged then.
    pub fn seal_rtcp(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), SrtpError> {
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpError::Malformed)?;
        if self.rtcp_sealed >= RTCP_KEY_LIMIT {
            return Err(SrtpError::KeyExhausted);
        }
        let start = out.len();
        out.extend_from_slice(packet);
        if let Err(error) = self.rtcp.seal_rtcp(out, start, ssrc, self.rtcp_sealed) {
            out.truncate(start);
            return Err(error);
        }
        self.rtcp_sealed = self.rtcp_sealed.saturating_add(1);
        Ok(())
    }
}

/// The fields of an RTP header that SRTP uses (RFC 3550 section 5.1).
struct RtpHeader {
    ssrc: u32,
    sequence: u16,
    /// Length in bytes with CSRCs and extensions: the part that stays in clear.
    len: usize,
}

impl RtpHeader {
    fn parse(packet: &[u8]) -> Option<Self> {
        let [first, _, s0, s1, _, _, _, _, c0, c1, c2, c3] = packet.first_chunk::<12>()?;
        if first >> 6 != 2 {
            return None;
        }
        let mut len = usize::from(first & 0x0f).checked_mul(4)?.checked_add(12)?;
        if first & 0x10 != 0 {
            let [_, _, words @ ..] = packet.get(len..)?.first_chunk::<4>()?;
            len = usize::from(u16::from_be_bytes(*words)).checked_mul(4)?.checked_add(len)?.checked_add(4)?;
        }
        if len > packet.len() {
            return None;
        }
        Some(Self { ssrc: u32::from_be_bytes([*c0, *c1, *c2, *c3]), sequence: u16::from_be_bytes([*s0, *s1]), len })
    }
}

/// SSRC of the sender of an RTCP packet.
fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let [first, _, _, _, ssrc @ ..] = packet.first_chunk::<8>()?;
    (first >> 6 == 2).then(|| u32::from_be_bytes(*ssrc))
}

/// Replay windows by SSRC, sorted: a transport has few, and no choice of SSRCs makes a lookup slow.
#[derive(Debug, Default)]
struct Windows {
    /// SSRCs apart from their windows, so that a search touches few cache lines.
    sorted: Vec<u32>,
    /// In the order of `sorted`.
    windows: Vec<ReplayWindow>,
    /// Position of the last lookup: consecutive packets often have the same SSRC.
    last: usize,
}

impl Windows {
    /// Position of the SSRC (`Ok`), or where to insert it (`Err`).
    fn position(&mut self, ssrc: u32) -> Result<usize, usize> {
        if self.sorted.get(self.last) != Some(&ssrc) {
            self.last = self.sorted.binary_search(&ssrc)?;
        }
        Ok(self.last)
    }

    /// Returns the window of the SSRC, if it has one; an error if it has none and there can be no more.
    fn find(&mut self, ssrc: u32) -> Result<Option<&mut ReplayWindow>, SrtpError> {
        match self.position(ssrc) {
            Ok(at) => Ok(self.windows.get_mut(at)),
            Err(_) if self.sorted.len() >= MAX_SSRCS => Err(SrtpError::TooManySsrcs),
            Err(_) => Ok(None),
        }
    }

    /// Returns the index of a packet, unless it was used or is too old; `None` if the SSRC is unknown.
    fn index_of(&mut self, ssrc: u32, sequence: u16) -> Result<Option<u64>, SrtpError> {
        let Some(window) = self.find(ssrc)? else { return Ok(None) };
        let index = window.index_of(sequence)?;
        window.check(index)?;
        Ok(Some(index))
    }

    fn check(&mut self, ssrc: u32, index: u64) -> Result<(), SrtpError> {
        self.find(ssrc)?.map_or(Ok(()), |window| Ok(window.check(index)?))
    }

    fn commit(&mut self, ssrc: u32, index: u64) {
        match self.position(ssrc) {
            Ok(at) => {
                if let Some(window) = self.windows.get_mut(at) {
                    window.commit(index);
                }
            }
            Err(at) => {
                // A window is large, and most transports have few: no space for more than there are.
                self.windows.reserve_exact(1);
                self.sorted.insert(at, ssrc);
                self.windows.insert(at, ReplayWindow::starting_at(index));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROFILES: [Profile; 3] = [Profile::Aes256Gcm, Profile::Aes128Gcm, Profile::Aes128CmSha1];

    fn pair(profile: Profile) -> (SrtpSealer, SrtpOpener) {
        let (key, salt) = ([3; 32], [5; 14]);
        let (key, salt) = (&key[..profile.key_len()], &salt[..profile.salt_len()]);
        (SrtpSealer::new(profile, key, salt).unwrap(), SrtpOpener::new(profile, key, salt).unwrap())
    }

    fn header(ssrc: u32, sequence: u16) -> Vec<u8> {
        let mut header = vec![0x80, 96];
        header.extend_from_slice(&sequence.to_be_bytes());
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&ssrc.to_be_bytes());
        header
    }

    fn seal(sealer: &mut SrtpSealer, ssrc: u32, sequence: u16, payload: &[u8]) -> Result<Vec<u8>, SrtpError> {
        let mut out = Vec::new();
        sealer.seal_rtp(&header(ssrc, sequence), payload, &mut out).map(|()| out)
    }

    fn receiver_report(ssrc: u32) -> Vec<u8> {
        let mut packet = vec![0x80, 201, 0, 1];
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet
    }

    #[test]
    fn srtp_packet_opens_once() {
        for profile in PROFILES {
            let (mut sealer, mut opener) = pair(profile);
            let sealed = seal(&mut sealer, 7, 100, b"audio").unwrap();
            assert_eq!(sealed.len(), 12 + 5 + sealer.rtp_overhead());
            assert_eq!(opener.open_rtp(&mut sealed.clone()).unwrap(), [&header(7, 100)[..], b"audio"].concat());
            assert_eq!(opener.open_rtp(&mut sealed.clone()), Err(SrtpError::Replay));
        }
    }

    #[test]
    fn sequence_number_is_sealed_once() {
        let (mut sealer, _) = pair(Profile::Aes256Gcm);
        seal(&mut sealer, 7, 100, b"one").unwrap();
        assert_eq!(seal(&mut sealer, 7, 100, b"two"), Err(SrtpError::Replay));
        seal(&mut sealer, 7, 5_000, b"three").unwrap();
        assert_eq!(seal(&mut sealer, 7, 101, b"late"), Err(SrtpError::Replay));
    }

    #[test]
    fn refused_seal_appends_nothing() {
        let (mut sealer, _) = pair(Profile::Aes256Gcm);
        let mut out = b"before".to_vec();
        assert_eq!(sealer.seal_rtp(&[0x80; 5], b"", &mut out), Err(SrtpError::Malformed));
        assert_eq!(sealer.seal_rtcp(&[0x80; 5], &mut out), Err(SrtpError::Malformed));
        assert_eq!(out, b"before");
    }

    #[test]
    fn forged_packet_leaves_no_state() {
        let (_, mut opener) = pair(Profile::Aes256Gcm);
        for ssrc in 0..10_000 {
            let mut forged = header(ssrc, 1);
            forged.extend_from_slice(&[0; 40]);
            assert_eq!(opener.open_rtp(&mut forged), Err(SrtpError::Authentication));
            let mut forged = receiver_report(ssrc);
            forged.extend_from_slice(&[0x80; 30]);
            assert_eq!(opener.open_rtcp(&mut forged), Err(SrtpError::Authentication));
        }
        assert_eq!((opener.rtp_windows.sorted.len(), opener.rtcp_windows.sorted.len()), (0, 0));
    }

    /// A stream of 200 packets from this sequence number on, of which the first 10 are lost.
    fn opened_of_stream(opener: &mut SrtpOpener, sealer: &mut SrtpSealer, ssrc: u32, first: u16) -> usize {
        let packets = (0..200u16).map(|n| seal(sealer, ssrc, first.wrapping_add(n), b"x").unwrap());
        packets.skip(10).filter(|packet| opener.open_rtp(&mut packet.clone()).is_ok()).count()
    }

    #[test]
    fn stream_whose_wrap_was_lost_opens() {
        for profile in PROFILES {
            let (mut sealer, mut opener) = pair(profile);
            for (ssrc, first) in [(1, 65_530), (2, 32_000), (3, 65_535), (4, 65_400)] {
                assert_eq!(opened_of_stream(&mut opener, &mut sealer, ssrc, first), 190, "{profile} from {first}");
            }
        }
    }

    #[test]
    fn packet_before_a_guessed_wrap_opens_late_and_once() {
        let (mut sealer, mut opener) = pair(Profile::Aes256Gcm);
        let [before, after] = [65_535, 0].map(|sequence| seal(&mut sealer, 7, sequence, b"x").unwrap());
        for packet in [after, before] {
            assert!(opener.open_rtp(&mut packet.clone()).is_ok());
            assert_eq!(opener.open_rtp(&mut packet.clone()), Err(SrtpError::Replay));
        }
    }

    #[test]
    fn forged_packets_use_up_guesses_that_a_new_stream_renews() {
        let (mut sealer, mut opener) = pair(Profile::Aes256Gcm);
        for ssrc in 100..1_100 {
            let forged = [header(ssrc, 1), vec![0; 40]].concat();
            assert_eq!(opener.open_rtp(&mut forged.clone()), Err(SrtpError::Authentication));
        }
        assert_eq!(opened_of_stream(&mut opener, &mut sealer, 1, 65_530), 0, "the guesses are used up");
        assert_eq!(opened_of_stream(&mut opener, &mut sealer, 2, 100), 190);
        assert_eq!(opened_of_stream(&mut opener, &mut sealer, 3, 65_530), 190);
    }

    #[test]
    fn ssrc_limit_spares_known_ssrcs() {
        let (mut sealer, _) = pair(Profile::Aes128Gcm);
        for ssrc in 0..u32::try_from(MAX_SSRCS).unwrap() {
            seal(&mut sealer, ssrc, 1, b"").unwrap();
        }
        assert_eq!(seal(&mut sealer, 99_999, 1, b""), Err(SrtpError::TooManySsrcs));
        seal(&mut sealer, 5, 2, b"").unwrap();
    }

    #[test]
    fn srtcp_opens_once_in_any_order() {
        for profile in PROFILES {
            let (mut sealer, mut opener) = pair(profile);
            let packets: Vec<_> = (0..5)
                .map(|_| {
                    let mut out = Vec::new();
                    sealer.seal_rtcp(&receiver_report(9), &mut out).unwrap();
                    out
                })
                .collect();
            assert_eq!(packets[0].len(), 8 + sealer.rtcp_overhead());
            for packet in packets.iter().rev() {
                assert_eq!(opener.open_rtcp(&mut packet.clone()).unwrap(), receiver_report(9));
                assert_eq!(opener.open_rtcp(&mut packet.clone()), Err(SrtpError::Replay));
            }
        }
    }

    #[test]
    fn exhausted_key_seals_nothing() {
        let (mut sealer, _) = pair(Profile::Aes256Gcm);
        (sealer.rtp_sealed, sealer.rtcp_sealed) = (RTP_KEY_LIMIT - 1, RTCP_KEY_LIMIT - 1);
        seal(&mut sealer, 1, 1, b"last").unwrap();
        assert_eq!(seal(&mut sealer, 1, 2, b""), Err(SrtpError::KeyExhausted));
        sealer.seal_rtcp(&receiver_report(1), &mut Vec::new()).unwrap();
        assert_eq!(sealer.seal_rtcp(&receiver_report(1), &mut Vec::new()), Err(SrtpError::KeyExhausted));
    }

    #[test]
    fn unencrypted_srtcp_is_refused() {
        let (mut sealer, mut opener) = pair(Profile::Aes256Gcm);
        let mut out = Vec::new();
        sealer.seal_rtcp(&receiver_report(9), &mut out).unwrap();
        let word = out.len() - 4;
        out[word] &= 0x7f;
        assert_eq!(opener.open_rtcp(&mut out), Err(SrtpError::Malformed));
    }

    #[test]
    fn stream_survives_rollovers() {
        let (mut sealer, mut opener) = pair(Profile::Aes128CmSha1);
        for step in 0..40u32 {
            #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
            let sequence = (step * 9_000) as u16;
            let mut sealed = seal(&mut sealer, 1, sequence, b"x").unwrap();
            opener.open_rtp(&mut sealed).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_sealed_opens(
            profile in prop::sample::select(PROFILES.to_vec()),
            ssrc: u32, sequence: u16,
            csrcs in 0usize..16,
            extension in prop::option::of(0usize..8),
            payload in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let (mut sealer, mut opener) = pair(profile);
            let mut header = header(ssrc, sequence);
            header[0] |= u8::try_from(csrcs).unwrap();
            header.extend(vec![0xaa; 4 * csrcs]);
            if let Some(words) = extension {
                header[0] |= 0x10;
                header.extend([0xbe, 0xde, 0, u8::try_from(words).unwrap()]);
                header.extend(vec![0xbb; 4 * words]);
            }
            let mut out = Vec::new();
            sealer.seal_rtp(&header, &payload, &mut out).unwrap();
            let expected = [header, payload].concat();
            prop_assert_eq!(&*opener.open_rtp(&mut out).unwrap(), &expected[..]);
        }

        /// Any one flipped bit makes the packet unreadable, and the true one still opens.
        #[test]
        fn a_flipped_bit_is_noticed(
            profile in prop::sample::select(PROFILES.to_vec()),
            payload in prop::collection::vec(any::<u8>(), 0..60),
            bit in 0usize..8 * 72,
        ) {
            let (mut sealer, mut opener) = pair(profile);
            let sealed = seal(&mut sealer, 77, 1_000, &payload).unwrap();
            let mut damaged = sealed.clone();
            let bit = bit % (8 * damaged.len());
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(opener.open_rtp(&mut damaged).is_err());
            prop_assert!(opener.open_rtp(&mut sealed.clone()).is_ok());

            let mut report = Vec::new();
            sealer.seal_rtcp(&receiver_report(77), &mut report).unwrap();
            let mut damaged = report.clone();
            let bit = bit % (8 * damaged.len());
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(opener.open_rtcp(&mut damaged).is_err());
            prop_assert!(opener.open_rtcp(&mut report).is_ok());
        }

        /// Packets that are shuffled among near ones, across the wrap of the sequence number, all open, each once.
        #[test]
        fn reordering_across_the_wrap_loses_nothing(keys in prop::collection::vec(0u32..200, 300)) {
            let (mut sealer, mut opener) = pair(Profile::Aes256Gcm);
            let mut packets: Vec<_> = keys
                .iter()
                .zip(0u32..)
                .map(|(jitter, n)| {
                    #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
                    let sequence = (65_400 + n) as u16;
                    (n + jitter, seal(&mut sealer, 4, sequence, &n.to_be_bytes()).unwrap())
                })
                .collect();
            // The first packet fixes the cycle.
            packets[1..].sort_by_key(|(at, _)| *at);
            for (_, packet) in &packets {
                prop_assert!(opener.open_rtp(&mut packet.clone()).is_ok());
                prop_assert!(opener.open_rtp(&mut packet.clone()).is_err());
            }
        }

        /// However many of the first 2^15 packets are lost: the next ones open.
        #[test]
        fn stream_opens_after_lost_first_packets(
            profile in prop::sample::select(PROFILES.to_vec()), first: u16, lost in 0u16..0x8000,
        ) {
            let (mut sealer, mut opener) = pair(profile);
            seal(&mut sealer, 1, first, b"lost").unwrap();
            for n in lost.max(1)..lost.max(1) + 3 {
                let sealed = seal(&mut sealer, 1, first.wrapping_add(n), b"x").unwrap();
                prop_assert!(opener.open_rtp(&mut sealed.clone()).is_ok());
                prop_assert!(opener.open_rtp(&mut sealed.clone()).is_err());
            }
        }

        #[test]
        fn arbitrary_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (_, mut opener) = pair(Profile::Aes256Gcm);
            prop_assert!(opener.open_rtp(&mut bytes.clone()).is_err());
            prop_assert!(opener.open_rtcp(&mut bytes).is_err());
        }
    }
}
