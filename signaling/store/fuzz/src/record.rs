//! Texts and records: what is read is written as it was.

use crate::machine::Machine;
use tacet_fuzz::Script;
use tacet_store::{
    DataKeyRecord,
    archive::{Identity, Recipient},
    database::Table,
    master::MasterKeys,
    version_of,
    wrap::{WrapFiles, WrapRecord},
};

/// The target: edits of genuine records, or bytes as they are.
pub fn run(data: &[u8]) {
    let machine = Machine::new();
    let (mut genuine, files) = (machine.records(Table::DataKey), machine.files.read_all().unwrap());
    genuine.extend(machine.records(Table::Content));
    let genuine: Vec<&[u8]> =
        genuine.iter().map(|(_, value)| &value[..]).chain(files.iter().map(|(_, file)| &file[..])).collect();
    let edited = Script(data).edit(&genuine);
    for bytes in [data, &edited] {
        if let Some(record) = WrapRecord::parse(bytes) {
            assert_eq!(record.to_bytes(), bytes);
        }
        if let Some(record) = DataKeyRecord::parse(bytes) {
            assert_eq!(record.to_bytes(), bytes);
        }
        if let Some(version) = version_of(bytes) {
            assert_eq!(bytes[1..5], version.to_be_bytes());
        }
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        if let Ok(keys) = MasterKeys::parse(text) {
            let written = keys.to_text();
            assert_eq!(*MasterKeys::parse(&written).unwrap().to_text(), *written);
        }
        let _ = Recipient::parse(text);
        if let Ok(identity) = Identity::parse(text) {
            assert!(identity.recipient().is_ok());
        }
    }
}
