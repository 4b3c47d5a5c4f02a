//! Clients that are rejected, and participants without keys.

use crate::{TIMEOUT, listener::Listener, server::Server};
use tacet_native::{
    call::{Call, CallError, JoinOptions},
    client::{Client, ClientEvent, ClientOptions, Encryption},
};
use tokio::time::timeout;

#[tokio::test]
async fn wrong_secret_is_rejected() {
    let server = Server::start();
    let link = server.forged_link();
    let joining = Client::join(&link, ClientOptions::new("Mallory"));
    let refused = timeout(TIMEOUT, joining).await.unwrap().expect_err("the server knows the hash of the right one");
    assert!(matches!(refused, CallError::Refused { .. } | CallError::Closed { code: 4401, .. }), "{refused}");
}

#[tokio::test]
async fn name_that_is_too_long_is_an_error() {
    let server = Server::start();
    let link = server.link();
    let joining = Client::join(&link, ClientOptions::new(&"a".repeat(300)));
    let refused = timeout(TIMEOUT, joining).await.unwrap().unwrap_err();
    assert!(matches!(refused, CallError::Session(_)), "{refused}");
}

#[tokio::test]
async fn participant_without_keys_is_never_verified() {
    let server = Server::start();
    let mut ada = Listener::join(&server.link(), ClientOptions::new("Ada")).await;
    let silent = JoinOptions { exchange_keys: false, ..JoinOptions::new("Bot") };
    let mut bot = timeout(TIMEOUT, Call::join(&server.link(), &silent)).await.unwrap().unwrap();
    let bots_calls = tokio::spawn(async move { while bot.next().await.is_ok() {} });
    let bot = ada.sees("Bot").await;
    let state = |event: &ClientEvent| match event {
        ClientEvent::Encryption { participant, state } if *participant == bot.id => Some(*state),
        _ => None,
    };
    let state = ada.until("its encryption", |ada| ada.events_seen.iter().find_map(state)).await;
    assert_eq!(state, Encryption::WaitingForKey);
    bots_calls.abort();
}
