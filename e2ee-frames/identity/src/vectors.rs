//! The published vectors `vectors/v1.json`: everything that an independent implementation needs to compare with, secrets
//! included.
//!
//! `make vectors` writes the file, and the test here fails when it is stale: then the protocol has changed.

use crate::{
    account::{AccountId, AccountName},
    certificate::{DeviceCert, DeviceKind, device_name_hash},
    code::BackupCode,
    index::{Index, IndexMark},
    keys::{DeviceKeys, IdentityKey},
    list::{DeviceList, ListMark},
    passkey::{passkey_key, prf_input},
    password::Password,
    proof::{ProofOperation, ProofStatement},
    safety::SafetyNumber,
    statement::KeyStatement,
    stretch::{Parameters, PasswordKeys, argon2_salt, root},
    succession::Succession,
    totp::TotpSecret,
    vault::{BlobName, VaultKey},
    wrap::WrapKey,
};
use alloc::{string::String, vec::Vec};
use data_encoding::HEXLOWER;
use e2ee_core::SecretBytes;
use serde_json::{Value, json};

const ORIGIN: &str = "https://call.example";
const ACCOUNT: AccountId = AccountId([0xac; 16]);
const SALT: [u8; 16] = [0x5a; 16];
const CREDENTIAL: &[u8] = b"credential id";
const PRF: [u8; 32] = [0x9f; 32];

fn ada() -> AccountName {
    AccountName::new(ORIGIN, "ada").unwrap()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

/// "Random" bytes that count up from `first`.
fn counting(mut first: u8) -> impl FnMut(&mut [u8]) + Send {
    move |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| (*byte, first) = (first, first.wrapping_add(1)))
}

fn seed(first: u8) -> [u8; 32] {
    core::array::from_fn(|index| first.wrapping_add(index as u8))
}

fn vault() -> VaultKey {
    VaultKey::from_parts(SecretBytes::copy_of(&seed(0x40)), 3)
}

fn account() -> Value {
    json!({"id": hex(ACCOUNT.0), "origin": ORIGIN, "name": "ada", "encoded": hex(ada().encoded()),
        "origin_hash": hex(ada().origin_hash())})
}

fn names() -> Value {
    let typed = [
        "Ada",
        "ANDRE\u{301}",
        "\u{ff22}ob",
        "\u{212b}sa",
        "\u{41c}\u{418}\u{420}",
        "\u{3a3}\u{391}\u{3a3}",
        "\u{1f4}o-2",
        "\u{fb01}n",
    ];
    let name = |typed: &str| String::from(AccountName::new(ORIGIN, typed).unwrap().name());
    typed.iter().map(|typed| json!({"typed": typed, "name": name(typed)})).collect()
}

fn passwords() -> Value {
    let typed = [
        "correct horse",
        "cafe\u{301}",
        "\u{fb01}sh \u{2075}",
        "\u{3c9}\u{345}\u{301}",
        "\u{1d54e} \u{fdfa}",
        "\u{1f511}",
    ];
    let normal = |typed: &str| hex(Password::new(typed).unwrap().as_bytes());
    typed.iter().map(|typed| json!({"typed": typed, "normal": normal(typed)})).collect()
}

fn stretches() -> Value {
    let typed = ["correct horse battery staple", "cafe\u{301} \u{1f511}"];
    typed
        .iter()
        .map(|typed| {
            let (password, name) = (Password::new(typed).unwrap(), ada());
            let keys = PasswordKeys::stretch(&password, &name, &SALT, Parameters::RECOMMENDED).unwrap();
            json!({
                "password": typed,
                "salt": hex(SALT),
                "memory_kib": Parameters::RECOMMENDED.memory_kib(),
                "passes": Parameters::RECOMMENDED.passes(),
                "argon2_salt": hex(argon2_salt(&name, &SALT)),
                "root": hex(*root(&password, &name, &SALT, Parameters::RECOMMENDED).unwrap()),
                "auth": hex(keys.auth.as_bytes()),
                "wrap_key": hex(keys.wrap.key()),
                "slot": hex(keys.wrap.slot().id()),
            })
        })
        .collect()
}

fn code() -> BackupCode {
    BackupCode::draw(&mut counting(11))
}

fn codes() -> Value {
    let keys = code().keys(&ACCOUNT, &ada());
    json!([{
        "code": code().to_text().as_str(),
        "id": hex(keys.id),
        "auth": hex(keys.auth.as_bytes()),
        "wrap_key": hex(keys.wrap.key()),
        "slot": hex(keys.wrap.slot().id()),
    }])
}

fn passkey() -> Value {
    let key = passkey_key(&PRF, CREDENTIAL, &ACCOUNT, &ada());
    json!({"prf_input": hex(prf_input(ORIGIN).unwrap()), "credential": hex(CREDENTIAL), "prf": hex(PRF),
        "wrap_key": hex(key.key()), "slot": hex(key.slot().id())})
}

fn wraps() -> Value {
    let password = WrapKey::new(crate::Slot::password(&SALT), SecretBytes::copy_of(&seed(0x80)));
    let others = [code().keys(&ACCOUNT, &ada()).wrap, passkey_key(&PRF, CREDENTIAL, &ACCOUNT, &ada())];
    let wrap = |key: &WrapKey| {
        let bytes = vault().wrap(&ACCOUNT, key, &mut counting(0x30)).unwrap();
        assert_eq!(VaultKey::open(&bytes, &ACCOUNT, key, 3).ok().unwrap().bytes(), vault().bytes());
        json!({"kind": key.slot().kind() as u8, "slot": hex(key.slot().id()), "wrap_key": hex(key.key()),
            "nonce": hex(&bytes[22..34]), "bytes": hex(bytes)})
    };
    [password].iter().chain(&others).map(wrap).collect()
}

fn sealed(name: &str, version: u64, contents: &[u8]) -> Vec<u8> {
    let name = BlobName::new(name.as_bytes()).unwrap();
    vault().seal_blob(&ACCOUNT, &name, version, contents, &mut counting(0x60)).unwrap()
}

const BLOBS: [(&str, u64, &[u8]); 3] =
    [("contacts", 7, b"Bob"), ("identity", 1, &[0x11; 32]), ("history-2026.11", 4_294_967_297, b"")];

fn blobs() -> Value {
    BLOBS
        .iter()
        .map(|(text, version, contents)| {
            let name = BlobName::new(text.as_bytes()).unwrap();
            json!({"name": text, "version": version, "contents": hex(contents),
                "key": hex(*vault().blob_key(&ACCOUNT, &name)), "nonce": hex(&sealed(text, *version, contents)[1..13]),
                "sealed": hex(sealed(text, *version, contents))})
        })
        .collect()
}

fn index() -> Value {
    let mut index = Index::default();
    for (name, version, contents) in BLOBS {
        index.set(BlobName::new(name.as_bytes()).unwrap(), version, &sealed(name, version, contents)).unwrap();
    }
    let bytes = sealed("index", 9, &index.to_bytes());
    json!({"bytes": hex(index.to_bytes()), "version": 9, "sealed": hex(&bytes),
        "mark": hex(IndexMark::new(vault().version(), 9, &bytes).to_bytes())})
}

const DEVICES: [(&str, u8, DeviceKind); 2] =
    [("Firefox on Linux", 1, DeviceKind::BROWSER), ("t\u{e9}l\u{e9}phone", 2, DeviceKind::NATIVE)];

fn cert(identity: &IdentityKey, (name, first, kind): (&str, u8, DeviceKind)) -> Vec<u8> {
    let keys = DeviceKeys::from_seeds(&seed(first), &seed(first + 100));
    keys.certify(&ACCOUNT, &identity.public(), 20_786, kind, &device_name_hash(&SALT, name)).to_vec()
}

fn certs(identity: &IdentityKey) -> Value {
    DEVICES
        .iter()
        .map(|device| {
            let bytes = cert(identity, *device);
            let read = DeviceCert::parse(&bytes).unwrap();
            json!({"label": device.0, "label_salt": hex(SALT), "label_hash": hex(read.label_hash),
                "signing_seed": hex(seed(device.1)), "agreement_seed": hex(seed(device.1 + 100)),
                "identity": hex(read.identity.0), "device": hex(read.device.0), "agreement": hex(read.agreement.0),
                "added_day": read.added_day, "kind": read.kind.0, "hash": hex(read.hash), "bytes": hex(bytes)})
        })
        .collect()
}

/// Ada's first two lists, and the one after a device was removed, of a new identity.
fn listed() -> Vec<(u8, Vec<u8>)> {
    let mut previous: Option<ListMark> = None;
    [(0xa0, &DEVICES[..1]), (0xa0, &DEVICES), (0xb0, &DEVICES[1..])]
        .into_iter()
        .map(|(first, devices)| {
            let identity = IdentityKey::from_seed(&seed(first));
            let certs: Vec<_> =
                devices.iter().map(|device| DeviceCert::parse(&cert(&identity, *device)).unwrap()).collect();
            let bytes = identity.sign_devices(&ACCOUNT, &ada(), previous.as_ref(), &certs).unwrap();
            previous = Some(DeviceList::parse(&bytes, &ada()).unwrap().mark());
            (first, bytes)
        })
        .collect()
}

fn lists() -> Value {
    listed()
        .into_iter()
        .map(|(first, bytes)| {
            let list = DeviceList::parse(&bytes, &ada()).unwrap();
            json!({"identity_seed": hex(seed(first)), "identity": hex(list.identity.0), "seq": list.seq,
                "previous": hex(list.previous), "certs": list.certs.iter().map(hex).collect::<Vec<_>>(),
                "hash": hex(list.hash), "bytes": hex(bytes)})
        })
        .collect()
}

fn statements() -> Value {
    let marks = listed().into_iter().map(|(_, bytes)| DeviceList::parse(&bytes, &ada()).unwrap().mark());
    [false, false, true]
        .into_iter()
        .zip(marks)
        .map(|(closed, list)| KeyStatement { list, closed })
        .map(|statement| {
            json!({"closed": u8::from(statement.closed), "bytes": hex(statement.to_bytes()),
            "value": hex(statement.value())})
        })
        .collect()
}

fn succession() -> Value {
    let (old, new) = (IdentityKey::from_seed(&seed(0xa0)), IdentityKey::from_seed(&seed(0xb0)));
    let bytes = Succession::sign(&old, &new, &ACCOUNT, 3);
    assert!(Succession::parse(&bytes).is_ok());
    json!({"old_seed": hex(seed(0xa0)), "new_seed": hex(seed(0xb0)), "seq": 3, "bytes": hex(bytes)})
}

fn proofs() -> Value {
    use ProofOperation::{Recover, Refresh, SignIn, SignOut};
    let (keys, name) = (DeviceKeys::from_seeds(&seed(1), &seed(101)), ada());
    [SignIn, Refresh, SignOut, Recover]
        .into_iter()
        .map(|operation| {
            let statement = ProofStatement {
                operation,
                name: &name,
                account: ACCOUNT,
                token: b"a refresh token",
                time: 1_800_000_000_000,
                nonce: seed(0xe0),
            };
            json!({"signing_seed": hex(seed(1)), "operation": operation as u8, "token": hex(statement.token),
                "time": statement.time, "nonce": hex(statement.nonce), "proof": hex(keys.prove(statement))})
        })
        .collect()
}

fn safety() -> Value {
    let bob = AccountName::new(ORIGIN, "bob").unwrap();
    let identities = [0xa0, 0xc0].map(|first| IdentityKey::from_seed(&seed(first)).public());
    let number = SafetyNumber::new((&identities[0], &ada()), (&identities[1], &bob));
    json!({"people": [{"identity": hex(identities[0].0), "name": "ada"}, {"identity": hex(identities[1].0), "name": "bob"}],
        "digits": number.digits(), "qr": hex(number.qr_bytes())})
}

fn totp() -> Value {
    let secret = TotpSecret::draw(&mut counting(0x21));
    let codes = [0, 59, 1_111_111_111, 1_800_000_000, 20_000_000_000u64].map(|time| {
        let text = String::from_utf8(secret.code(time / 30).to_vec()).unwrap();
        json!({"time": time, "code": text})
    });
    json!({"secret": hex(secret.as_bytes()), "base32": secret.to_base32().as_str(),
        "uri": secret.to_uri("call.example", "ada").as_str(), "codes": codes})
}

fn document() -> Value {
    json!({
        "protocol": "e2ee-identity/1",
        "account": account(),
        "names": names(),
        "passwords": passwords(),
        "stretches": stretches(),
        "codes": codes(),
        "passkey": passkey(),
        "vault": {"key": hex(vault().bytes()), "version": vault().version()},
        "wraps": wraps(),
        "blobs": blobs(),
        "index": index(),
        "certs": certs(&IdentityKey::from_seed(&seed(0xa0))),
        "lists": lists(),
        "succession": succession(),
        "statements": statements(),
        "proofs": proofs(),
        "safety": safety(),
        "totp": totp(),
    })
}

#[test]
fn published_vectors_match() {
    let document = document();
    if std::env::var_os("UPDATE").is_some() {
        let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/v1.json"), text).unwrap();
        return;
    }
    let published: Value = serde_json::from_str(include_str!("../vectors/v1.json")).unwrap();
    assert!(published == document, "the protocol has changed, or run `make vectors`");
}
