//! Who asks, and whether the scopes of its key allow that. A handler takes the proof as an argument, so that no check can be
//! forgotten.

use super::{Client, Problem, Server, problem, refusal};
use crate::{
    api::{KeyId, Scope},
    api_key::bearer,
    metrics::Refusal,
    network::is_within,
};
use axum::{
    Json,
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{
        HeaderValue, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use std::{
    error::Error,
    marker::PhantomData,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::task::spawn_blocking;

/// Requests per second of one key.
pub(crate) const REQUESTS_PER_SECOND: u32 = 100;
/// Requests of one key at once: a program may make as many rooms as a server has by default.
pub(crate) const REQUESTS_AT_ONCE: u32 = 1_000;

/// Who a key belongs to: the operator, or the maker of a key that was created.
pub(crate) type Holder = Option<KeyId>;

/// How fast keys are used.
#[derive(Debug)]
pub(crate) struct KeyRates(DefaultKeyedRateLimiter<Holder>);

impl Default for KeyRates {
    fn default() -> Self {
        let [rate, burst] =
            [REQUESTS_PER_SECOND, REQUESTS_AT_ONCE].map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN));
        Self(RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)))
    }
}

impl KeyRates {
    /// # Errors
    /// The time until the key may be used again.
    fn accept(&self, holder: Holder) -> Result<(), Duration> {
        self.0.check_key(&holder).map_err(|until| until.wait_time_from(self.0.clock().now()))
    }

    /// Forgets keys that have been quiet.
    pub(crate) fn forget_quiet(&self) {
        self.0.retain_recent();
    }
}

/// A scope, as a type.
pub(super) trait Needs: Send {
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($name:ident),*) => {$(
        #[doc = concat!("[`Scope::", stringify!($name), "`] as a type.")]
        #[derive(Debug)]
        pub(super) struct $name;

        impl Needs for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}

needs!(RoomsRead, RoomsWrite, Tokens, Webhooks, Stats, Keys);

/// Proof that the request carries a key with a scope.
#[derive(Debug)]
pub(super) struct Permitted<N> {
    /// The key; `None` is the operator's own.
    pub(super) holder: Holder,
    /// What it allows.
    pub(super) scopes: Vec<Scope>,
    needs: PhantomData<N>,
}

impl<N: Needs> FromRequestParts<Server> for Permitted<N> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Response> {
        let permitted = <Self as OptionalFromRequestParts<Server>>::from_request_parts(parts, server).await?;
        permitted.ok_or_else(|| {
            let text = if server.config.api_key.is_none() && server.api.keys.list().is_empty() {
                "this server has no API key: it is set by TACET_API_KEY"
            } else {
                "this needs an API key"
            };
            unauthorized(text, "Bearer realm=\"tacet\"")
        })
    }
}

/// `None` if the request carries no key at all. One that is wrong is refused.
impl<N: Needs> OptionalFromRequestParts<Server> for Permitted<N> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Option<Self>, Response> {
        let Some(value) = parts.headers.get(AUTHORIZATION) else { return Ok(None) };
        let Some(client) = parts.extensions.get::<Client>() else {
            return Err(problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the client is not known"));
        };
        let key = value.to_str().ok().and_then(bearer);
        let Some((holder, scopes)) = key.and_then(|key| known(server, key)) else {
            return Err(wrong_key(server, client));
        };
        if let Err(wait) = server.key_rates.accept(holder) {
            server.refusals.refused(Refusal::ApiRate);
            return Err(refusal::answer(Refusal::ApiRate, Some(wait)));
        }
        if let Some(id) = holder {
            record_use(server, id);
        }
        if !scopes.contains(&N::SCOPE) {
            return Err(missing_scope(N::SCOPE));
        }
        Ok(Some(Self { holder, scopes, needs: PhantomData }))
    }
}

/// Whose key this is, and what it allows.
fn known(server: &Server, key: &str) -> Option<(Holder, Vec<Scope>)> {
    if server.config.api_key.as_ref().is_some_and(|operator| operator.is(key)) {
        return Some((None, Scope::ALL.to_vec()));
    }
    let found = server.api.keys.find(key, SystemTime::now())?;
    Some((Some(found.id), found.scopes))
}

fn wrong_key(server: &Server, client: &Client) -> Response {
    let is_exempt = is_within(&server.config.exempt, client.address);
    if let Some(wait) = server.guesses.wrong(client.address, Instant::now()).err().filter(|_| !is_exempt) {
        server.refusals.refused(Refusal::ApiKeyGuesses);
        return refusal::answer(Refusal::ApiKeyGuesses, Some(wait));
    }
    server.refusals.refused(Refusal::ApiKey);
    unauthorized("the API key is wrong, has expired or was revoked", "Bearer realm=\"tacet\", error=\"invalid_token\"")
}

fn unauthorized(text: &str, challenge: &'static str) -> Response {
    let mut response = problem(StatusCode::UNAUTHORIZED, "unauthorized", text);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// RFC 6750 section 3.1.
pub(super) fn missing_scope(scope: Scope) -> Response {
    let error = format!("the key lacks the scope {scope}");
    let body = Problem { error, code: "missing_scope", retry_ms: None, scope: Some(scope) };
    let mut response = (StatusCode::FORBIDDEN, Json(body)).into_response();
    let challenge = format!("Bearer realm=\"tacet\", error=\"insufficient_scope\", scope=\"{scope}\"");
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Once an hour, beside the request.
fn record_use(server: &Server, id: KeyId) {
    let now = SystemTime::now();
    if server.api.keys.is_first_use_of_hour(id, now) {
        let api = Arc::clone(&server.api);
        spawn_blocking(move || {
            if let Err(error) = api.keys.record_use(id, now) {
                tracing::warn!(error = &error as &(dyn Error + 'static), "the use of an API key was not recorded");
            }
        });
    }
}
