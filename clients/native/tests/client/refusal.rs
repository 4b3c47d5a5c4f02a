//! Who does not belong, and keys that are not right.

use crate::{PATIENCE, listener::Listener, server::Server};
use tacet_native::{
    call::{Call, CallError, JoinOptions},
    client::{Client, ClientEvent, ClientOptions, Encryption},
};
use tokio::time::timeout;

#[tokio::test]
async fn without_the_rooms_secret_there_is_no_way_in() {
    let server = Server::start();
    let link = server.forged_link();
    let joining = Client::join(&link, ClientOptions::new("Mallory"));
    let refused = timeout(PATIENCE, joining).await.unwrap().expect_err("the server knows the hash of the right one");
    assert!(matches!(refused, CallError::Refused { .. } | CallError::Closed { code: 4401, .. }), "{refused}");
}

#[tokio::test]
async fn a_name_that_is_too_long_is_said_to_be() {
    let server = Server::start();
    let link = server.link();
    let joining = Client::join(&link, ClientOptions::new(&"a".repeat(300)));
    let refused = timeout(PATIENCE, joining).await.unwrap().unwrap_err();
    assert!(matches!(refused, CallError::Session(_)), "{refused}");
}

#[tokio::test]
async fn whoever_exchanges_no_keys_is_here_and_never_verified() {
    let server = Server::start();
    let mut ada = Listener::join(&server.link(), ClientOptions::new("Ada")).await;
    let silent = JoinOptions { exchange_keys: false, ..JoinOptions::new("Bot") };
    let mut bot = timeout(PATIENCE, Call::join(&server.link(), &silent)).await.unwrap().unwrap();
    let bots_calls = tokio::spawn(async move { while bot.next().await.is_ok() {} });
    let bot = ada.sees("Bot").await;
    let state = |event: &ClientEvent| match event {
        ClientEvent::Encryption { participant, state } if *participant == bot.id => Some(*state),
        _ => None,
    };
    let state = ada.until("its encryption", |ada| ada.told.iter().find_map(state)).await;
    assert_eq!(state, Encryption::WaitingForKey);
    bots_calls.abort();
}
