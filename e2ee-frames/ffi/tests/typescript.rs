//! The numbers and offsets of the ABI as TypeScript, for the host of the wasm module.
//!
//! `UPDATE=1 cargo test -p e2ee-frames-ffi --test typescript` writes the file; without it the test fails when the file is
//! stale.

#![allow(clippy::expect_used)]

use e2ee_frames_ffi::{
    ClockReading, FrameOrigin,
    codes::{
        ActionKind, CodecNumber, EndedNumber, EventKind, EventRefusal, FrameKindNumber, OpenRefusal, ProblemNumber,
        SealRefusal,
    },
    layout::CipherJob,
};
use std::{fmt::Write as _, fs, mem::offset_of, path::PathBuf};

/// A constant object of names and numbers.
fn object(out: &mut String, comment: &str, name: &str, fields: &[(String, i64)]) {
    writeln!(out, "/** {comment} */\nexport const {name} = {{").expect("a string");
    for (field, number) in fields {
        writeln!(out, "  {field}: {number},").expect("a string");
    }
    writeln!(out, "}} as const;\n").expect("a string");
}

/// The variants of an enum with their numbers. Its type is that of any of them.
macro_rules! numbers {
    ($out:expr, $comment:literal, $name:literal, $enum:ty) => {
        let fields: Vec<_> = <$enum>::ALL.iter().map(|code| (format!("{code:?}"), *code as i64)).collect();
        object($out, $comment, $name, &fields);
        writeln!($out, "export type {0} = (typeof {0})[keyof typeof {0}];\n", $name).expect("a string");
    };
}

/// The size of a struct, and where its fields are.
macro_rules! offsets {
    ($out:expr, $comment:literal, $name:literal, $struct:ty { $($field:ident: $js:literal),* $(,)? }) => {
        let mut fields = vec![("bytes".to_owned(), size_of::<$struct>() as i64)];
        $(fields.push(($js.to_owned(), offset_of!($struct, $field) as i64));)*
        object($out, $comment, $name, &fields);
    };
}

fn module() -> String {
    let mut out = String::from(
        "// Generated from e2ee-frames/ffi by `make header`. Do not edit.\n//\n// Structs are little-endian; each object holds \
         the size of one in bytes, and the offsets of its fields.\n\n",
    );
    let out = &mut out;
    numbers!(out, "Kinds of events that a session handles.", "EventKind", EventKind);
    numbers!(out, "Kinds of actions that a session returns.", "ActionKind", ActionKind);
    numbers!(out, "What a `Problem` action reports.", "ProblemNumber", ProblemNumber);
    numbers!(out, "Why a session ended.", "EndedNumber", EndedNumber);
    numbers!(out, "Why an event is refused.", "EventRefusal", EventRefusal);
    numbers!(out, "Why a frame is not sealed.", "SealRefusal", SealRefusal);
    numbers!(out, "Why a frame is not opened.", "OpenRefusal", OpenRefusal);
    numbers!(out, "Codecs.", "CodecNumber", CodecNumber);
    numbers!(out, "Kinds of frames.", "FrameKindNumber", FrameKindNumber);
    offsets!(out, "One reading of both clocks.", "ClockLayout", ClockReading { now: "now", wall: "wall" });
    offsets!(
        out,
        "Where an opened frame comes from.",
        "OriginLayout",
        FrameOrigin { participant: "participant", seat: "seat", stream: "stream", kind: "kind" }
    );
    offsets!(
        out,
        "A frame whose cipher runs outside the module.",
        "JobLayout",
        CipherJob {
            kid: "kid",
            ctr: "ctr",
            key: "key",
            opens: "opens",
            additional_len: "additionalLength",
            start: "start",
            length: "length",
            envelope: "envelope",
            participant: "participant",
            seat: "seat",
            stream: "stream",
            kind: "kind",
            nonce: "nonce",
            additional: "additional",
        }
    );
    format!("{}\n", out.trim_end())
}

#[test]
fn typescript_constants_are_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../clients/web/src/e2ee/abi.ts");
    let wanted = module();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted).expect("write the module");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run `make header`", path.display());
}
