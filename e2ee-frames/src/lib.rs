//! Frame encryption (RFC 9605 SFrame), session keys and trust for end-to-end encrypted calls.
