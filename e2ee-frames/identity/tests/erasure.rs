//! Secrets are erased from the heap before it is freed: every block is searched as it is freed.
//!
//! The stack is not searched; long-lived secrets are on the heap.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use argon2::{Algorithm, Argon2, Block, Params, Version};
use e2ee_identity::{
    AccountId, AccountName, BackupCode, BlobName, DeviceKeys, DeviceKind, IdentityKey, Parameters, Password,
    PasswordKeys, TotpSecret, VaultKey, passkey_key,
};
use hkdf::Hkdf;
use sha2::{Digest, Sha256, Sha512};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

const ORIGIN: &str = "https://call.example";
const ACCOUNT: AccountId = AccountId([9; 16]);
const SALT: [u8; 16] = [3; 16];
/// Blocks that are longer hold the memory of Argon2, which must be zero as a whole.
const LARGE: usize = 1 << 22;

/// The first eight bytes of each secret, and the number of times it was found.
static WANTED: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];
static FOUND: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];
/// Number of large blocks that were freed, and of those that were not zero.
static LARGE_FREED: AtomicUsize = AtomicUsize::new(0);
static LARGE_DIRTY: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which searches blocks before it frees them.
struct Searching;

#[global_allocator]
static ALLOCATOR: Searching = Searching;

// SAFETY: the system's allocator; blocks are only read, while they are still allocated. `realloc` is the trait's own,
// which frees the old block here.
unsafe impl GlobalAlloc for Searching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract. Zeroed, so that reading all of a block is defined.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by the caller's contract the block has this many bytes, all initialised by `alloc`.
        search(unsafe { std::slice::from_raw_parts(pointer, layout.size()) });
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn search(block: &[u8]) {
    if block.len() >= LARGE {
        LARGE_FREED.fetch_add(1, Relaxed);
        let zero = block.as_chunks::<64>().0.iter().all(|chunk| *chunk == [0; 64]);
        LARGE_DIRTY.fetch_add(usize::from(!zero), Relaxed);
        return;
    }
    for window in block.windows(8) {
        let window = u64::from_le_bytes(window.try_into().unwrap());
        if window == 0 {
            continue;
        }
        for (wanted, found) in WANTED.iter().zip(&FOUND) {
            match wanted.load(Relaxed) {
                0 => break,
                wanted if wanted == window => drop(found.fetch_add(1, Relaxed)),
                _ => {}
            }
        }
    }
}

/// Begins to look for some bytes, wherever in a block their beginning is. Returns where [`FOUND`] counts them.
fn watch(secret: &[u8]) -> usize {
    let index = WANTED.iter().position(|wanted| wanted.load(Relaxed) == 0).unwrap();
    WANTED[index].store(u64::from_le_bytes(secret[..8].try_into().unwrap()), Relaxed);
    index
}

/// Random bytes, all of which are watched: keys, seeds and codes, but nonces, which are public.
fn random() -> impl FnMut(&mut [u8]) + Send {
    let mut count = 0u64;
    move |bytes: &mut [u8]| {
        count += 1;
        let block = Sha256::digest(count.to_be_bytes());
        bytes.copy_from_slice(&block[..bytes.len()]);
        if bytes.len() > 12 {
            watch(bytes);
        }
    }
}

/// HKDF-SHA-512.
fn expand(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    Hkdf::<Sha512>::new(Some(salt), secret).expand(info, &mut out).unwrap();
    out
}

/// The root of a password and the key of its wrap, as the published formulas say.
fn stretched(password: &[u8], name: &[u8]) -> [[u8; 32]; 2] {
    let salt = Sha256::digest([b"e2ee-identity/1 salt", name, &SALT].concat());
    let mut root = [0; 32];
    // In memory that is never freed.
    let memory = Vec::leak(vec![Block::new(); 65_536]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(65_536, 3, 1, Some(32)).unwrap())
        .hash_password_into_with_memory(password, &salt, &mut root, memory)
        .unwrap();
    [root, expand(b"e2ee-identity/1 password", &root, &[b"e2ee-identity/1 vault", name].concat())]
}

/// A sign-up, the sealing of an archive, and its opening by password, code and passkey; then all is dropped.
#[test]
fn key_bytes_absent_after_drop() {
    // The search finds what is there, in small and large blocks.
    let probe = watch(b"a probe of the search");
    drop(std::hint::black_box(b"a probe of the search".to_vec()));
    drop(std::hint::black_box(vec![1u8; LARGE]));
    assert_eq!((FOUND[probe].load(Relaxed), LARGE_FREED.load(Relaxed), LARGE_DIRTY.load(Relaxed)), (1, 1, 1));

    let ada = AccountName::new(ORIGIN, "ada").unwrap();
    let name = [b"\0\x14", ORIGIN.as_bytes(), b"\x03ada"].concat();
    let typed = "correct horse \u{e9}\u{1f511}";
    for secret in stretched(typed.as_bytes(), &name) {
        watch(&secret);
    }
    watch(typed.as_bytes());
    let contents = b"what the archive holds";
    watch(contents);
    let prf = [0x9f; 32];
    watch(&expand(b"e2ee-identity/1 passkey", &prf, &[&ACCOUNT.0, &name[..]].concat()));

    let mut random = random();
    let vault = VaultKey::draw(&mut random);
    let password = PasswordKeys::stretch(&Password::new(typed).unwrap(), &ada, &SALT, Parameters::RECOMMENDED).unwrap();
    watch(password.auth.as_bytes());
    let code = BackupCode::draw(&mut random);
    watch(code.to_text().as_bytes());
    let code = code.keys(&ACCOUNT, &ada);
    watch(code.auth.as_bytes());
    let passkey = passkey_key(&prf, b"credential", &ACCOUNT, &ada);
    let (identity, device) = (IdentityKey::draw(&mut random), DeviceKeys::draw(&mut random));
    let _ = device.certify(&ACCOUNT, &identity.public(), 1, DeviceKind::NATIVE, &[0; 32]);
    drop(identity.sign_devices(&ACCOUNT, &ada, None, &[]).unwrap());
    let totp = TotpSecret::draw(&mut random);
    watch(totp.to_base32().as_bytes());
    drop((totp.to_uri("call.example", "ada"), totp.verify("123456", 0, None)));

    let blob = BlobName::new(b"identity").unwrap();
    let seed = vault.seal_blob(&ACCOUNT, &blob, 1, identity.seed(), &mut random).unwrap();
    let sealed = vault.seal_blob(&ACCOUNT, &blob, 2, contents, &mut random).unwrap();
    for key in [&password.wrap, &code.wrap, &passkey] {
        let wrap = vault.wrap(&ACCOUNT, key, &mut random).unwrap();
        let opened = VaultKey::open(&wrap, &ACCOUNT, key, 1).unwrap();
        assert!(VaultKey::open(&wrap, &AccountId([0; 16]), key, 1).is_err());
        assert_eq!(opened.open_blob(&ACCOUNT, &blob, 2, &sealed).unwrap().as_slice(), contents);
        let seed = opened.open_blob(&ACCOUNT, &blob, 1, &seed).unwrap();
        drop(IdentityKey::from_seed(seed.as_slice().try_into().unwrap()));
        assert!(opened.open_blob(&ACCOUNT, &blob, 3, &sealed).is_err());
    }
    drop((vault.successor(&mut random), vault, password, code, passkey, identity, device, totp));

    let found: Vec<usize> = FOUND.iter().map(|found| found.load(Relaxed)).collect();
    assert_eq!(found.iter().sum::<usize>(), 1, "only the probe: {found:?}");
    assert_eq!((LARGE_FREED.load(Relaxed), LARGE_DIRTY.load(Relaxed)), (2, 1), "Argon2's memory is zero");
}
