//! Structs that the wasm host reads and writes in memory. Their offsets are generated into `clients/web/src/e2ee/abi.ts`.

/// A frame whose cipher runs outside: what AES-256-GCM with a 16-byte tag needs beside key and data, and what the caller
/// passes back to finish the frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CipherJob {
    /// The KID of the frame.
    pub kid: u64,
    /// The frame counter; only of a frame to be opened.
    pub ctr: u64,
    /// Number of the key, among those that seal or those that open.
    pub key: u32,
    /// 1 if the key opens, 0 if it seals.
    pub opens: u32,
    /// Bytes used in `additional`.
    pub additional_len: u32,
    /// Where ciphertext and tag belong in the output, or lie in the input.
    pub start: u32,
    /// Bytes of ciphertext and tag.
    pub length: u32,
    /// Bytes of the envelope in front of the SFrame header; only of a frame to be sealed.
    pub envelope: u32,
    /// Who sealed the frame if it authenticates; only of a frame to be opened.
    pub participant: u32,
    /// The seat in the KID; only of a frame to be opened.
    pub seat: u32,
    /// The stream in the KID.
    pub stream: u32,
    /// The `FrameKindNumber` of the frame.
    pub kind: u32,
    /// The nonce, which is used up.
    pub nonce: [u8; 12],
    /// The additional data: SFrame header and metadata.
    pub additional: [u8; 20],
}
