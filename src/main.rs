//! The one binary of tacet: its command line, and nothing else.

fn main() {}
