//! SRTP and SRTCP in all profiles. Asserts that a packet opens only if it was sealed, unmodified and once; that no index is
//! sealed twice; and that genuine packets open after any number of forged ones.

use aws_lc_rs::digest::{SHA256, digest};
use rtc_client::srtp::{Profile, SrtpOpener, SrtpSealer};
use rtp_wire::{
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    rtcp,
    seq::{SeqNum, Unwrapper, near},
};
use sfu::Ssrc;
use std::collections::{HashMap, HashSet};
use tacet_fuzz::Script;

/// Packets at most this far below the highest index must open.
const WINDOW: u64 = 900;
/// Maximum number of sealed packets of one input.
const MAX_SEALED: usize = 32;

/// A sealed packet, which may open once.
struct Sealed {
    rtcp: bool,
    ssrc: u32,
    /// Extended sequence number, starting in cycle 1.
    extended: u64,
    clear: Vec<u8>,
    bytes: Vec<u8>,
    opened: bool,
}

/// Input: a profile, then packets to seal, and edits of sealed packets or arbitrary bytes to open.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(profile) = script.byte() else { return };
    let profile = match profile % 3 {
        0 => Profile::Aes256Gcm,
        1 => Profile::Aes128Gcm,
        _ => Profile::Aes128CmSha1,
    };
    // Each input has its own key: with a shared key, libFuzzer would replay packets that it saw with other inputs.
    let mut play = Play::new(profile, digest(&SHA256, data).as_ref());
    while let Some(step) = script.byte() {
        match step % 4 {
            0 if play.sealed.len() < MAX_SEALED => play.seal_rtp(&mut script),
            1 if play.sealed.len() < MAX_SEALED => play.seal_rtcp(&mut script),
            2 => {
                let genuine: Vec<&[u8]> = play.sealed.iter().map(|sealed| &sealed.bytes[..]).collect();
                let packet = script.edit(&genuine);
                play.open(step & 4 != 0, packet);
            }
            _ => {
                let length = script.byte().unwrap_or(0);
                let packet = script.bytes(length.into()).to_vec();
                play.open(step & 4 != 0, packet);
            }
        }
    }
    play.genuine_packets_open();
}

struct Play {
    sealer: SrtpSealer,
    opener: SrtpOpener,
    sealed: Vec<Sealed>,
    numbers: HashMap<u32, Unwrapper>,
    used: HashSet<(u32, u64)>,
    /// Highest index opened, by RTP or RTCP and SSRC.
    highest: HashMap<(bool, u32), u64>,
    rtcp_sealed: u64,
}

impl Play {
    fn new(profile: Profile, secret: &[u8]) -> Self {
        let (key, salt) = (&secret[..profile.key_len()], &[5; 14][..profile.salt_len()]);
        Self {
            sealer: SrtpSealer::new(profile, key, salt).expect("a key of its length"),
            opener: SrtpOpener::new(profile, key, salt).expect("a key of its length"),
            sealed: Vec::new(),
            numbers: HashMap::new(),
            used: HashSet::new(),
            highest: HashMap::new(),
            rtcp_sealed: 0,
        }
    }

    fn seal_rtp(&mut self, script: &mut Script<'_>) {
        let (Some(shape), Some(seq), Some(length)) = (script.byte(), script.word(), script.byte()) else { return };
        let ssrc = u32::from(shape % 4);
        let mut buffer = HeaderBuffer::default();
        let header = RtpHeader { marker: false, payload_type: 96, seq: SeqNum(seq), timestamp: 7, ssrc: Ssrc(ssrc) };
        let level = (shape & 4 != 0).then_some(shape);
        buffer.build(header, HeaderExtensions { audio_level: level, ..HeaderExtensions::default() });
        let payload = script.bytes(length.into());
        let mut bytes = vec![0xfe];
        if self.sealer.seal_rtp(buffer.as_bytes(), payload, &mut bytes).is_err() {
            assert_eq!(bytes, [0xfe], "what is refused is not written");
            return;
        }
        let numbers = self.numbers.entry(ssrc).or_default();
        let extended = numbers.peek(SeqNum(seq));
        numbers.accept(extended);
        assert!(self.used.insert((ssrc, extended)), "an index was sealed twice");
        let clear = [buffer.as_bytes(), payload].concat();
        self.push(Sealed { rtcp: false, ssrc, extended, clear, bytes, opened: false });
    }

    fn seal_rtcp(&mut self, script: &mut Script<'_>) {
        let (Some(ssrc), Some(length)) = (script.byte(), script.byte()) else { return };
        let (ssrc, mut clear) = (u32::from(ssrc % 4), Vec::new());
        rtcp::write::source_description(&mut clear, Ssrc(ssrc), script.bytes(length.into()));
        let mut bytes = vec![0xfe];
        self.sealer.seal_rtcp(&clear, &mut bytes).expect("the key is not exhausted");
        let extended = self.rtcp_sealed;
        self.rtcp_sealed += 1;
        self.push(Sealed { rtcp: true, ssrc, extended, clear, bytes, opened: false });
    }

    fn push(&mut self, mut sealed: Sealed) {
        sealed.bytes.remove(0);
        let overhead = if sealed.rtcp { self.sealer.rtcp_overhead() } else { self.sealer.rtp_overhead() };
        assert_eq!(sealed.bytes.len(), sealed.clear.len() + overhead);
        self.sealed.push(sealed);
    }

    fn open(&mut self, rtcp: bool, mut packet: Vec<u8>) {
        let bytes = packet.clone();
        let opened = if rtcp { self.opener.open_rtcp(&mut packet) } else { self.opener.open_rtp(&mut packet) };
        let Ok(clear) = opened else { return };
        let is_it = |sealed: &&mut Sealed| sealed.rtcp == rtcp && sealed.bytes == bytes && sealed.clear == clear;
        let sealed = self.sealed.iter_mut().find(is_it).expect("an opened packet was sealed before");
        assert!(!std::mem::replace(&mut sealed.opened, true), "a packet opened twice");
        let highest = self.highest.entry((rtcp, sealed.ssrc)).or_default();
        *highest = sealed.extended.max(*highest);
    }

    /// Asserts that packets open whose index a receiver can estimate, and which are not too old.
    fn genuine_packets_open(&mut self) {
        for at in 0..self.sealed.len() {
            let sealed = &self.sealed[at];
            let opens = match self.highest.get(&(sealed.rtcp, sealed.ssrc)) {
                Some(highest) if sealed.rtcp => sealed.extended + WINDOW > *highest,
                Some(highest) => {
                    let estimated = near(*highest, SeqNum((sealed.extended & 0xffff) as u16));
                    estimated == sealed.extended && sealed.extended + WINDOW > *highest
                }
                None => sealed.rtcp || sealed.extended < 2 << 16,
            };
            if opens {
                let (rtcp, bytes) = (sealed.rtcp, sealed.bytes.clone());
                self.open(rtcp, bytes);
                assert!(self.sealed[at].opened, "a genuine packet did not open");
            }
        }
    }
}
