//! Formats of `e2ee-identity`: bytes that parse are the one encoding of what they say, and altered genuine ones are refused
//! or open as what they were.

use e2ee_identity::{
    AccountId, AccountName, BackupCode, BlobName, CERT_BYTES, DeviceCert, DeviceKeys, DeviceKind, DeviceList,
    IdentityKey, Index, IndexMark, KeyStatement, Password, Succession, TotpSecret, VaultKey, WrapKey, wrap,
};
use std::sync::LazyLock;
use tacet_fuzz::Script;

const ACCOUNT: AccountId = AccountId([9; 16]);

fn random(bytes: &mut [u8]) {
    bytes.fill(0x5a);
}

/// Genuine messages, made once.
struct Scene {
    name: AccountName,
    certs: [[u8; CERT_BYTES]; 2],
    lists: [Vec<u8>; 2],
    succession: Vec<u8>,
    key: WrapKey,
    vault: VaultKey,
    wrap: Vec<u8>,
    blob_name: BlobName,
    blobs: [Vec<u8>; 2],
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let name = AccountName::new("https://call.example", "ada").expect("a good name");
    let identities = [1, 2].map(|seed| IdentityKey::from_seed(&[seed; 32]));
    let cert = |identity: &IdentityKey, seed| {
        let keys = DeviceKeys::from_seeds(&[seed; 32], &[seed; 32]);
        keys.certify(&ACCOUNT, &identity.public(), 20_000, DeviceKind::BROWSER, &[0; 32])
    };
    let certs = [cert(&identities[0], 3), cert(&identities[1], 4)];
    let devices = certs.each_ref().map(|cert| DeviceCert::parse(cert).expect("a genuine certificate"));
    let sign = |identity: &IdentityKey, previous: Option<&DeviceList>, device: &DeviceCert| {
        let mark = previous.map(DeviceList::mark);
        identity.sign_devices(&ACCOUNT, &name, mark.as_ref(), std::slice::from_ref(device)).expect("fits")
    };
    let first = sign(&identities[0], None, &devices[0]);
    let parsed = DeviceList::parse(&first, &name).expect("a genuine list");
    let second = sign(&identities[1], Some(&parsed), &devices[1]);
    let key = BackupCode::draw(&mut random).keys(&ACCOUNT, &name).wrap;
    let vault = VaultKey::draw(&mut random);
    let blob_name = BlobName::new(b"contacts").expect("a good name");
    let mut index = Index::default();
    for name in [b"contacts".as_slice(), b"history"] {
        index.set(BlobName::new(name).expect("a good name"), 7, name).expect("fits");
    }
    let blobs = [b"Bob".to_vec(), index.to_bytes()]
        .map(|contents| vault.seal_blob(&ACCOUNT, &blob_name, 7, &contents, &mut random).expect("fits"));
    Scene {
        lists: [first, second],
        succession: Succession::sign(&identities[0], &identities[1], &ACCOUNT, 2).to_vec(),
        wrap: vault.wrap(&ACCOUNT, &key, &mut random).expect("seals").to_vec(),
        certs,
        name,
        key,
        vault,
        blob_name,
        blobs,
    }
});

/// The target for what devices and identities sign: certificates, lists, successions, key statements.
pub fn devices(data: &[u8]) {
    let scene = &*SCENE;
    let known = DeviceList::parse(&scene.lists[0], &scene.name).expect("a genuine list");
    let statement = KeyStatement { list: known.mark(), closed: false }.to_bytes();
    let mut genuine: Vec<&[u8]> = vec![&scene.succession, &statement];
    genuine.extend(scene.certs.iter().map(<[u8; CERT_BYTES]>::as_slice));
    genuine.extend(scene.lists.iter().map(Vec::as_slice));
    let bytes = Script(data).edit(&genuine);
    let is_genuine = genuine.contains(&bytes.as_slice());
    // What is signed is genuine to the last bit.
    assert!(DeviceCert::parse(&bytes).is_err() || is_genuine);
    assert!(Succession::parse(&bytes).is_err() || is_genuine);
    if let Ok(list) = DeviceList::parse(&bytes, &scene.name) {
        assert!(is_genuine);
        let succession = Succession::parse(&scene.succession).expect("a genuine succession");
        assert!(known.mark().check(&list, &[succession]).is_ok());
        assert_eq!(known.mark().check(&list, &[]).is_ok(), list.identity == known.identity);
    }
    if let Some(statement) = KeyStatement::parse(&bytes) {
        assert_eq!(statement.to_bytes().as_slice(), bytes);
    }
}

/// The target for what the server keeps: wraps, blobs, the index, marks.
pub fn archive(data: &[u8]) {
    let scene = &*SCENE;
    let opened = |blob: &[u8]| scene.vault.open_blob(&ACCOUNT, &scene.blob_name, 7, blob).ok();
    let index = opened(&scene.blobs[1]).expect("a genuine blob");
    let genuine = [&scene.wrap, &scene.blobs[0], &scene.blobs[1], &*index];
    let bytes = Script(data).edit(&genuine.map(Vec::as_slice));
    if let Ok(vault) = VaultKey::open(&bytes, &ACCOUNT, &scene.key, 1) {
        assert!(bytes == scene.wrap && vault.version() == 1);
        assert_eq!(wrap::slot_of(&bytes), Some(scene.key.slot()));
    }
    assert!(opened(&bytes).is_none() || scene.blobs.contains(&bytes));
    if let Ok(index) = Index::parse(&bytes) {
        assert_eq!(index.to_bytes(), bytes);
    }
    if let Some(mark) = IndexMark::from_bytes(&bytes) {
        assert_eq!(mark.to_bytes().as_slice(), bytes);
    }
}

/// The target for what people type: names, passwords, backup codes, one-time codes.
pub fn typed(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(name) = AccountName::new("https://call.example", &text) {
        assert_eq!(AccountName::new("https://call.example", name.name()), Ok(name), "a name has one form");
    }
    if let Ok(name) = AccountName::new(&text, "ada") {
        assert_eq!(name.origin(), text);
    }
    assert!(Password::from_utf8(data).is_ok() <= std::str::from_utf8(data).is_ok());
    if let Ok(code) = BackupCode::parse(&text) {
        let again = BackupCode::parse(&code.to_text()).expect("its own text");
        assert_eq!(*again.to_text(), *code.to_text());
    }
    if let Some(step) = TotpSecret::from_bytes(&[7; 20]).verify(&text, 1_800_000_000, None) {
        assert!(step.abs_diff(60_000_000) <= 1);
    }
    if let Ok(name) = BlobName::new(data) {
        assert_eq!(name.as_bytes(), data);
    }
}
