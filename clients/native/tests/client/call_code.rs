//! The call code is equal on all devices that see each other, and differs when someone stands between them.

use crate::{listener::Listener, server::Server};
use tacet_native::client::{CallCode, ClientEvent, ClientOptions};

async fn join(server: &Server, name: &str) -> Listener {
    Listener::join(&server.link(), ClientOptions::new(name)).await
}

/// The last code that a client has emitted.
fn code(listener: &Listener) -> Option<CallCode> {
    listener.events_seen.iter().rev().find_map(|event| match event {
        ClientEvent::CallCode(code) => Some(*code),
        _ => None,
    })
}

/// Waits until all clients have the same code, which is another one than `before`.
async fn agreed(listeners: &mut [&mut Listener], before: Option<CallCode>) -> CallCode {
    loop {
        for listener in listeners.iter_mut() {
            listener.until("another code", |listener| code(listener).filter(|code| Some(*code) != before)).await;
        }
        let codes: Vec<_> = listeners.iter().map(|listener| code(listener).unwrap()).collect();
        if codes.windows(2).all(|pair| pair[0] == pair[1]) {
            return codes[0];
        }
        // One that knows less of the roster has another event to come.
        for listener in listeners.iter_mut() {
            listener.step().await;
        }
    }
}

#[tokio::test]
async fn everyone_has_the_same_code_until_the_roster_changes() {
    let server = Server::start();
    let (mut ada, mut bob) = (join(&server, "Ada").await, join(&server, "Bob").await);
    ada.sees("Bob").await;
    bob.sees("Ada").await;
    let two = agreed(&mut [&mut ada, &mut bob], None).await;
    assert_eq!(ada.client.call_code(), Some(two));
    assert_eq!(two.to_string().split(' ').map(str::len).collect::<Vec<_>>(), [5; 6]);

    let mut carol = join(&server, "Carol").await;
    let three = agreed(&mut [&mut ada, &mut bob, &mut carol], Some(two)).await;
    carol.client.leave().await;
    let again = agreed(&mut [&mut ada, &mut bob], Some(three)).await;
    assert_eq!(again, two, "it names devices, and nothing else");
    ada.client.leave().await;
}

/// Who holds the link and the server relays between two calls under the names of those that it keeps apart. Each of them
/// sees the other's name, and both their links are right.
#[tokio::test]
async fn device_in_the_middle_changes_the_code() {
    let server = Server::start();
    let twin = server.twin();
    assert_eq!(server.room, twin.room);
    let (mut ada, mut bob) = (join(&server, "Ada").await, join(&twin, "Bob").await);
    let (mut false_bob, mut false_ada) = (join(&server, "Bob").await, join(&twin, "Ada").await);
    ada.sees("Bob").await;
    bob.sees("Ada").await;
    false_bob.sees("Ada").await;
    false_ada.sees("Bob").await;
    let with_ada = agreed(&mut [&mut ada, &mut false_bob], None).await;
    let with_bob = agreed(&mut [&mut bob, &mut false_ada], None).await;
    assert_ne!(with_ada, with_bob);
    let groups = |code: CallCode| code.groups();
    assert!(groups(with_ada)[..3] != groups(with_bob)[..3] && groups(with_ada)[3..] != groups(with_bob)[3..]);
}
