//! What a path names.

use super::Server;
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use std::{convert::Infallible, str::FromStr};

/// The one variable part of a path; `None` if it cannot name anything.
#[derive(Debug)]
pub(super) struct InPath<T>(pub(super) Option<T>);

impl<T: FromStr> FromRequestParts<Server> for InPath<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Infallible> {
        let path = <Path<String> as FromRequestParts<Server>>::from_request_parts(parts, server).await;
        Ok(Self(path.ok().and_then(|Path(text)| text.parse().ok())))
    }
}
