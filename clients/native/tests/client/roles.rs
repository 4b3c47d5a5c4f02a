//! Roles: what clients learn of them, and what someone can still open who was removed.

use crate::{TIMEOUT, listener::Listener, recorder::Recorder, server::Server, tone::tone};
use e2ee_frames::{Codec, OpenError, sframe::header};
use std::{collections::BTreeSet, time::Duration};
use tacet_native::{
    call::{Call, CallError, CallEvent, JoinOptions},
    client::{AudioOptions, Client, ClientEvent, ClientOptions, EndReason, ErrorCode},
};
use tacet_proto::{ParticipantId, Role, media::Source};
use tokio::time::{interval, timeout};

async fn join(server: &Server, name: &str, role: Role) -> Call {
    timeout(TIMEOUT, Call::join(&server.link_of(role), &JoinOptions::new(name))).await.unwrap().unwrap()
}

/// Lets a call go on by itself.
fn run(mut call: Call) -> tokio::task::JoinHandle<CallError> {
    tokio::spawn(async move {
        loop {
            if let Err(error) = call.next().await {
                return error;
            }
        }
    })
}

/// The id of a participant of this name.
async fn id_of(call: &mut Call, name: &str) -> ParticipantId {
    let finding = async {
        loop {
            if let CallEvent::Verified { participant, name: found, .. } = call.next().await.unwrap()
                && found == name
            {
                return participant;
            }
        }
    };
    timeout(TIMEOUT, finding).await.expect("sees the participant")
}

fn kid(frame: &[u8]) -> u64 {
    header::parse(frame).expect("an SFrame header").0.kid
}

/// The server forwards nothing to someone who was removed. If it did, it would not help: the others replace their keys.
#[tokio::test]
async fn kicked_participant_opens_nothing_of_the_next_key() {
    let server = Server::start();
    let recorder = Recorder::default();
    let (ada, mut events) = recorder.join(&server.link(), ClientOptions::new("Ada")).await;
    let microphone = ada.publish_audio(AudioOptions::default()).await.unwrap();
    let bob = join(&server, "Bob", Role::Speaker).await;
    let (bobs, bobs_id) = (bob.keys(), bob.welcome().participant);
    let mut bob = run(bob);
    let mut host = join(&server, "Host", Role::Host).await;

    let (mut pace, mut blocks) = (interval(Duration::from_millis(20)), tone(440.0));
    let (mut kids, mut opened, mut of_next, mut end) = (BTreeSet::new(), 0, 0, None);
    let mut looked = 0;
    let story = async {
        while of_next < 50 {
            tokio::select! {
                _ = pace.tick() => microphone.write(&blocks.next().unwrap()),
                event = events.next() => assert!(event.is_some()),
                event = host.next() => drop(event.unwrap()),
                error = &mut bob, if end.is_none() => end = Some(error.unwrap()),
            }
            let Some(path) = recorder.paths().into_iter().next() else { continue };
            for (_, packet) in &path.sent[looked..] {
                let mut frame = packet.payload.to_vec();
                let kid = kid(&frame);
                match bobs.open(Codec::Opus, &mut frame) {
                    Ok(_) => {
                        assert!(end.is_none() || kids.contains(&kid), "a frame of a key that came after the kick");
                        kids.insert(kid);
                        opened += 1;
                        if opened == 20 {
                            host.kick(bobs_id).unwrap();
                        }
                    }
                    Err(OpenError::NotAuthentic | OpenError::Malformed) => panic!("a frame that is not sealed"),
                    Err(_) if end.is_some() && !kids.contains(&kid) => of_next += 1,
                    Err(_) => {}
                }
            }
            looked = path.sent.len();
        }
    };
    timeout(TIMEOUT, story).await.expect("frames of the next key");
    assert!(matches!(end, Some(CallError::Closed { code: 4403, .. })), "{end:?}");
    assert!(opened >= 20);
}

#[tokio::test]
async fn client_says_why_it_was_removed_and_does_not_come_back() {
    let server = Server::start();
    let mut ada = Listener::join(&server.link(), ClientOptions::new("Ada")).await;
    let mut host = join(&server, "Host", Role::Host).await;
    let id = id_of(&mut host, "Ada").await;
    host.ban(id).unwrap();
    let host = run(host);
    let end = ada.event("the end", |event| match event {
        ClientEvent::Ended(reason) => Some(reason.clone()),
        _ => None,
    });
    let end = end.await;
    assert_eq!(end, EndReason::Removed("a moderator has banned you".to_owned()));
    let again = timeout(TIMEOUT, Client::join(&server.link(), ClientOptions::new("Ada"))).await.unwrap();
    let reason = again.expect_err("the ban has locked the room").end_reason();
    assert_eq!(reason, Some(EndReason::Locked));
    host.abort();
}

#[tokio::test]
async fn lost_role_stops_the_microphone_for_good() {
    let server = Server::start();
    let mut ada = Listener::join(&server.link(), ClientOptions::new("Ada")).await;
    let microphone = ada.client.publish_audio(AudioOptions::default()).await.unwrap();
    let published = |event: &ClientEvent| matches!(event, ClientEvent::Published(Source::Microphone)).then_some(());
    ada.until("published", |ada| ada.events_seen.iter().find_map(published)).await;
    let mut host = join(&server, "Host", Role::Host).await;
    let id = id_of(&mut host, "Ada").await;
    host.request_mute(id).unwrap();
    host.assign(id, Role::Listener).unwrap();
    host.assign(id, Role::Speaker).unwrap();
    host.lock(true).unwrap();
    let host = run(host);
    ada.event("locked", |event| matches!(event, ClientEvent::RoomLocked(true)).then_some(())).await;
    assert!(ada.saw(|event| matches!(event, ClientEvent::MuteRequested(_))));
    let roles = ada.events_seen.iter().filter_map(|event| match event {
        ClientEvent::RoleChanged { role, .. } => Some(*role),
        _ => None,
    });
    assert_eq!(roles.collect::<Vec<_>>(), [Role::Listener, Role::Speaker]);
    let refused = ClientEvent::PublicationRefused { source: Source::Microphone, code: ErrorCode::Forbidden };
    assert!(ada.saw(|event| *event == refused));
    assert_eq!(microphone.state(), tacet_native::client::TrackState::Refused(ErrorCode::Forbidden));
    host.abort();
}
