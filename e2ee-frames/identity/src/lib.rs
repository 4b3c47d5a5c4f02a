//! Who someone is, without the server learning the password: keys from passwords, codes and passkeys, the sealed archive,
//! and the device lists by which others know whose device is whose.
//!
//! ```text
//!  password ── Argon2id ─┐                          ┌─► auth secret, sent to sign in (password, code)
//!  8 backup codes ───────┼── HKDF ──────────────────┤
//!  passkey's PRF output ─┘                          └─► key of one wrap ──opens──► vault key ──► blobs of the archive
//!                                                                                                  │ holds
//!                                     contacts see: KeyStatement ──► DeviceList ◄──signs── identity key
//!                                                                        │ hashes of
//!                                                                     DeviceCert ◄──signs── device key (never leaves it)
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`account`] | the name of an account at its server, to which everything is bound |
//! | [`password`], [`stretch`] | normalisation; Argon2id and the secrets that follow |
//! | [`code`](mod@code), [`passkey`] | backup codes; the PRF of passkeys |
//! | [`wrap`], [`vault`], [`index`] | the vault key, wrapped for each secret; blobs; which version of each is the newest |
//! | [`keys`] | identity key and device keys |
//! | [`certificate`], [`list`], [`succession`], [`history`] | devices, signed by themselves and by the person; a change of identity; one's own history |
//! | [`statement`], [`safety`] | what the directory commits to; the number that two people compare |
//! | [`proof`] | that a request comes from the device whose session it is |
//! | [`totp`] | codes of authenticator apps |
//!
//! Invariants:
//!
//! * What the server receives opens nothing: not the archive, and not without a guess at 64 MiB each for the password.
//! * Every derivation and signature is bound to origin, name or account, and has its own [label](label::ALL).
//! * Bytes from the server never panic, and have one encoding; secrets have no `Debug` and are erased on drop.
//! * A valid signature is no trust: [`ListMark::check`] and [`check_own_history`] say what is believed.
//!
//! # From sign-up to a second device
//!
//! ```
//! use e2ee_identity::{
//!     AccountId, AccountName, BackupCode, BlobName, DeviceCert, DeviceKeys, DeviceKind, DeviceList, IdentityKey,
//!     ListChange, Parameters, Password, PasswordKeys, VaultKey,
//! };
//!
//! let mut random = |bytes: &mut [u8]| getrandom::fill(bytes).expect("randomness of the system");
//! let ada = AccountName::new("https://call.example", "Ada")?;
//! let account = AccountId([7; 16]);
//!
//! // Sign-up: the server receives the salt, `auth`, two wraps, the list, the certificate and sealed blobs.
//! let salt = [3; 16];
//! let password = PasswordKeys::stretch(&Password::new("correct horse")?, &ada, &salt, Parameters::RECOMMENDED)?;
//! let code = BackupCode::draw(&mut random);
//! let vault = VaultKey::draw(&mut random);
//! let wraps = [
//!     vault.wrap(&account, &password.wrap, &mut random)?,
//!     vault.wrap(&account, &code.keys(&account, &ada).wrap, &mut random)?,
//! ];
//! let identity = IdentityKey::draw(&mut random);
//! let phone = DeviceKeys::draw(&mut random);
//! let cert = DeviceCert::parse(&phone.certify(&account, &identity.public(), 20_786, DeviceKind::BROWSER, &[0; 32]))?;
//! let first = DeviceList::parse(&identity.sign_devices(&account, &ada, None, &[cert.clone()])?, &ada)?;
//! let name = BlobName::new(b"identity")?;
//! let blob = vault.seal_blob(&account, &name, 1, identity.seed(), &mut random)?;
//!
//! // A new laptop with a backup code: the archive opens, and the identity signs the next list.
//! let typed = BackupCode::parse(&code.to_text().to_lowercase())?;
//! let vault = VaultKey::open(&wraps[1], &account, &typed.keys(&account, &ada).wrap, 1)?;
//! let opened = vault.open_blob(&account, &name, 1, &blob)?;
//! let identity = IdentityKey::from_seed(opened.as_slice().try_into()?);
//! let laptop = DeviceKeys::draw(&mut random);
//! let added = DeviceCert::parse(&laptop.certify(&account, &identity.public(), 20_787, DeviceKind::NATIVE, &[0; 32]))?;
//! let second = identity.sign_devices(&account, &ada, Some(&first.mark()), &[cert, added.clone()])?;
//!
//! // A contact sees that it follows.
//! let second = DeviceList::parse(&second, &ada)?;
//! assert_eq!(first.mark().check(&second, &[])?, ListChange::Newer);
//! assert!(second.has(&added) && !first.has(&added));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not do
//!
//! It has no I/O, no clock and no source of randomness: those are the caller's. It does not judge how good a password is,
//! count attempts, or keep what was accepted. With rows that the server kept from before, an old password, code or passkey
//! opens the archive of its day, identity key included: if others may know one, the identity changes, too
//! ([`Succession`]). The stack is not erased, only the heap. Ed25519 and X25519 do not resist quantum computers.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod account;
pub mod certificate;
mod cipher;
pub mod code;
pub mod history;
pub mod index;
pub mod keys;
pub mod label;
pub mod list;
pub mod passkey;
pub mod password;
pub mod proof;
pub mod safety;
pub mod statement;
pub mod stretch;
pub mod succession;
pub mod totp;
pub mod vault;
#[cfg(test)]
mod vectors;
pub mod wrap;

pub use account::{AccountId, AccountName, AccountNameError};
pub use certificate::{CERT_BYTES, CertError, DeviceCert, DeviceKind, device_name_hash};
pub use cipher::CipherError;
pub use code::{BackupCode, CodeError, CodeKeys};
pub use history::{HistoryFault, check_own_history};
pub use index::{Index, IndexError, IndexMark};
pub use keys::{AgreementPublic, DeviceKeys, DevicePublic, IdentityKey, IdentityPublic};
pub use list::{DeviceList, ListChange, ListError, ListMark, ListRefusal, ListSignError, MAX_DEVICES};
pub use passkey::{passkey_key, prf_input};
pub use password::{Password, PasswordError};
pub use proof::{ProofOperation, ProofStatement};
pub use safety::SafetyNumber;
pub use statement::KeyStatement;
pub use stretch::{AuthSecret, Parameters, ParametersError, PasswordKeys, StretchError};
pub use succession::{Succession, SuccessionError};
pub use totp::TotpSecret;
pub use vault::{BlobError, BlobName, BlobNameError, BlobSealError, VaultKey};
pub use wrap::{Slot, WrapError, WrapKey, WrapKind};
