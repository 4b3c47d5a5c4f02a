//! What a server can do with all it ever received, and with old rows: whole accounts, as clients use the crate.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use e2ee_identity::{
    AccountId, AccountName, BackupCode, BlobError, BlobName, DeviceCert, DeviceKeys, DeviceKind, DeviceList,
    IdentityKey, Index, IndexError, IndexMark, ListRefusal, Parameters, ParametersError, Password, PasswordKeys,
    Succession, VaultKey, WrapError, WrapKey, passkey_key, wrap,
};

const ACCOUNT: AccountId = AccountId([9; 16]);
const SALT: [u8; 16] = [3; 16];
const PASSWORD: &str = "correct horse";

fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).unwrap();
}

fn ada() -> AccountName {
    AccountName::new("https://call.example", "ada").unwrap()
}

fn stretched(password: &str, name: &AccountName) -> PasswordKeys {
    PasswordKeys::stretch(&Password::new(password).unwrap(), name, &SALT, Parameters::RECOMMENDED).unwrap()
}

fn blob(name: &str) -> BlobName {
    BlobName::new(name.as_bytes()).unwrap()
}

/// The rows of one vault key: what the server keeps, and may keep for ever.
struct Rows {
    wraps: Vec<Vec<u8>>,
    identity: Vec<u8>,
    version: u64,
}

impl Rows {
    fn new(vault: &VaultKey, keys: &[&WrapKey], identity: &IdentityKey, version: u64) -> Self {
        let wraps = keys.iter().map(|key| vault.wrap(&ACCOUNT, key, &mut random).unwrap().to_vec()).collect();
        let identity = vault.seal_blob(&ACCOUNT, &blob("identity"), version, identity.seed(), &mut random).unwrap();
        Self { wraps, identity, version }
    }

    /// The identity key, by the wrap of the secret's slot.
    fn open(&self, key: &WrapKey, at_least: u32) -> Result<IdentityKey, WrapError> {
        let wrap =
            self.wraps.iter().find(|wrap| wrap::slot_of(wrap) == Some(key.slot())).ok_or(WrapError::OtherSlot)?;
        let vault = VaultKey::open(wrap, &ACCOUNT, key, at_least)?;
        let seed = vault.open_blob(&ACCOUNT, &blob("identity"), self.version, &self.identity).unwrap();
        Ok(IdentityKey::from_seed(seed.as_slice().try_into().unwrap()))
    }
}

fn code_key(code: &BackupCode) -> WrapKey {
    code.keys(&ACCOUNT, &ada()).wrap
}

/// The server has every row and a list of words. Without the password in it, the archive stays shut.
#[test]
fn archive_opens_by_the_password_and_by_no_other_word() {
    let (vault, identity) = (VaultKey::draw(&mut random), IdentityKey::draw(&mut random));
    let rows = Rows::new(&vault, &[&stretched(PASSWORD, &ada()).wrap], &identity, 1);
    for word in ["correct horse ", "Correct horse"] {
        assert_eq!(rows.open(&stretched(word, &ada()).wrap, 1).err(), Some(WrapError::NotAuthentic), "{word}");
    }
    assert_eq!(rows.open(&stretched(PASSWORD, &ada()).wrap, 1).ok().unwrap().public(), identity.public());
    // Typed at another server, the right password is a wrong one.
    let elsewhere = AccountName::new("https://ca11.example", "ada").unwrap();
    let typed = stretched(PASSWORD, &elsewhere);
    assert_eq!(rows.open(&typed.wrap, 1).err(), Some(WrapError::NotAuthentic));
    assert_ne!(typed.auth.as_bytes(), stretched(PASSWORD, &ada()).auth.as_bytes());
    assert_eq!(Parameters::new(1_024, 1, 1), Err(ParametersError::TooWeak));
}

/// Each of eight codes opens the archive alone. After new codes none of the old opens what is new, whichever rows the server
/// serves; the archive of its day stays open to it, identity key included.
#[test]
fn old_code_opens_old_rows_and_nothing_new() {
    let (vault, identity) = (VaultKey::draw(&mut random), IdentityKey::draw(&mut random));
    let old_keys = BackupCode::draw_all(&mut random).each_ref().map(code_key);
    let old_rows = Rows::new(&vault, &old_keys.each_ref(), &identity, 1);
    for key in &old_keys {
        assert_eq!(old_rows.open(key, 1).ok().unwrap().public(), identity.public());
    }

    // New codes: a new vault key, and every blob sealed again.
    let new_vault = vault.successor(&mut random).unwrap();
    let new_keys = BackupCode::draw_all(&mut random).each_ref().map(code_key);
    let new_rows = Rows::new(&new_vault, &new_keys.each_ref(), &identity, 2);
    for (old, new) in old_keys.iter().zip(&new_keys) {
        assert!(new_rows.open(new, 2).is_ok());
        assert_eq!(new_rows.open(old, 1).err(), Some(WrapError::OtherSlot));
        // A device that knows of the change refuses old rows, even with the secret that opens them.
        assert_eq!(old_rows.open(old, 2).err(), Some(WrapError::Stale));
    }
    // Old wraps beside new blobs: the old vault key opens none of them, at either version.
    for version in [1, 2] {
        let opened = vault.open_blob(&ACCOUNT, &blob("identity"), version, &new_rows.identity);
        assert_eq!(opened.err(), Some(BlobError::NotAuthentic));
    }
    // What the pages say: with the server's old rows an old code opens the archive of its day. Hence the next test.
    assert_eq!(old_rows.open(&old_keys[0], 1).ok().unwrap().public(), identity.public());
}

/// A sheet of codes was stolen together with old rows: the identity changes, and what the thief signs is refused.
#[test]
fn new_identity_shuts_out_a_stolen_sheet() {
    let certified = |identity: &IdentityKey, seed| {
        let keys = DeviceKeys::from_seeds(&[seed; 32], &[seed; 32]);
        DeviceCert::parse(&keys.certify(&ACCOUNT, &identity.public(), 1, DeviceKind::BROWSER, &[0; 32])).unwrap()
    };
    let signed = |identity: &IdentityKey, previous: Option<&DeviceList>, devices: &[DeviceCert]| {
        let previous = previous.map(DeviceList::mark);
        DeviceList::parse(&identity.sign_devices(&ACCOUNT, &ada(), previous.as_ref(), devices).unwrap(), &ada())
            .unwrap()
    };
    let (vault, old) = (VaultKey::draw(&mut random), IdentityKey::draw(&mut random));
    let sheet = code_key(&BackupCode::draw(&mut random));
    let rows = Rows::new(&vault, &[&sheet], &old, 1);
    let first = signed(&old, None, &[certified(&old, 1)]);
    let new = IdentityKey::draw(&mut random);
    let change = Succession::parse(&Succession::sign(&old, &new, &ACCOUNT, 2)).unwrap();
    let second = signed(&new, Some(&first), &[certified(&new, 1)]);
    assert!(first.mark().check(&second, &[change]).is_ok());

    let stolen = rows.open(&sheet, 1).ok().unwrap();
    let theirs = signed(&stolen, Some(&second), &[certified(&stolen, 66)]);
    assert_eq!(second.mark().check(&theirs, &[change]), Err(ListRefusal::OtherIdentity));
    assert!(!second.has(&certified(&stolen, 66)));
}

/// Wraps of one account, swapped by the server among secrets and accounts, open nothing.
#[test]
fn swapped_wraps_open_nothing() {
    let vault = VaultKey::draw(&mut random);
    let code = code_key(&BackupCode::draw(&mut random));
    let passkey = passkey_key(&[1; 32], b"one", &ACCOUNT, &ada());
    let wraps = [&code, &passkey].map(|key| vault.wrap(&ACCOUNT, key, &mut random).unwrap());
    assert_eq!(VaultKey::open(&wraps[0], &ACCOUNT, &passkey, 1).err(), Some(WrapError::OtherSlot));
    // Also when the server writes the other slot onto it.
    let mut relabelled = wraps[0];
    relabelled[1..18].copy_from_slice(&wraps[1][1..18]);
    assert_eq!(VaultKey::open(&relabelled, &ACCOUNT, &passkey, 1).err(), Some(WrapError::NotAuthentic));
    assert_eq!(VaultKey::open(&wraps[0], &AccountId([8; 16]), &code, 1).err(), Some(WrapError::NotAuthentic));
}

/// The server serves yesterday's contacts, or yesterday's archive as a whole.
#[test]
fn rolled_back_archive_is_refused() {
    let vault = VaultKey::draw(&mut random);
    let contacts = blob("contacts");
    let store = |version, contents: &[u8]| {
        let sealed = vault.seal_blob(&ACCOUNT, &contacts, version, contents, &mut random).unwrap();
        let mut index = Index::default();
        index.set(contacts, version, &sealed).unwrap();
        let index = vault.seal_blob(&ACCOUNT, &BlobName::INDEX, version, &index.to_bytes(), &mut random).unwrap();
        (sealed, index)
    };
    let (old, old_index) = store(1, b"Bob");
    let (_, new_index) = store(2, b"Bob, Mallory blocked");
    let read = Index::parse(&vault.open_blob(&ACCOUNT, &BlobName::INDEX, 2, &new_index).unwrap()).unwrap();
    assert_eq!(read.check(&contacts, 1, &old), Err(IndexError::OtherBlob));
    assert_eq!(vault.open_blob(&ACCOUNT, &contacts, 2, &old).err(), Some(BlobError::NotAuthentic));
    let known = IndexMark::new(vault.version(), 2, &new_index);
    assert_eq!(known.check(&IndexMark::new(vault.version(), 1, &old_index)), Err(IndexError::Older));
    // A new vault key does not make an old archive a new one.
    assert_eq!(known.check(&IndexMark::new(vault.version() + 1, 1, &old_index)), Err(IndexError::Older));
}
