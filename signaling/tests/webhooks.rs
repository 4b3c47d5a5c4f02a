//! Messages to webhooks, as a receiver on loopback gets them: when it is down, slow or wrong, and over a restart of the server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use aws_lc_rs::{
    hmac,
    signature::{ED25519, UnparsedPublicKey},
};
use data_encoding::BASE64;
use serde_json::Value;
use signaling::{
    Config,
    api::ApiRecords,
    config::WebhookSettings,
    metrics::Kind,
    webhooks::{EventKind, Failure},
};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use support::{Server, config};
use tacet_data::DataDirectory;
use tacet_proto::{ClientMessage, client::Empty};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::mpsc,
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// Long enough that only a fault reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message that has arrived.
#[derive(Debug)]
struct Arrived {
    id: String,
    timestamp: u64,
    signature: String,
    body: String,
}

impl Arrived {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }
}

/// A receiver that answers as it is asked to, and with 204 otherwise.
struct Receiver {
    address: SocketAddr,
    /// Beginnings of answers; an empty one is no answer at all.
    answers: Arc<Mutex<VecDeque<&'static str>>>,
    arrived: mpsc::UnboundedReceiver<Arrived>,
}

impl Receiver {
    async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::<Mutex<VecDeque<&'static str>>>::default();
        let (sender, arrived) = mpsc::unbounded_channel();
        let planned = Arc::clone(&answers);
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let (sender, planned) = (sender.clone(), Arc::clone(&planned));
                tokio::spawn(async move {
                    let Some(arrived) = read(&mut tcp).await else { return };
                    let _ = sender.send(arrived);
                    let answer = planned.lock().unwrap().pop_front().unwrap_or("204 No Content\r\n");
                    if answer.is_empty() {
                        sleep(PATIENCE).await;
                    }
                    let _ = tcp.write_all(format!("HTTP/1.1 {answer}Content-Length: 0\r\n\r\n").as_bytes()).await;
                });
            }
        });
        Self { address, answers, arrived }
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    fn will_answer(&self, answers: &[&'static str]) {
        self.answers.lock().unwrap().extend(answers);
    }

    async fn next(&mut self) -> Arrived {
        timeout(PATIENCE, self.arrived.recv()).await.expect("a message").unwrap()
    }
}

async fn read(tcp: &mut TcpStream) -> Option<Arrived> {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 4_096];
        let count = tcp.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        text.push_str(std::str::from_utf8(&bytes[..count]).ok()?);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let field = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
        };
        if body.len() == field("content-length")?.parse::<usize>().ok()? {
            assert!(head.starts_with("POST /hook HTTP/1.1"), "{head}");
            return Some(Arrived {
                id: field("webhook-id")?,
                timestamp: field("webhook-timestamp")?.parse().ok()?,
                signature: field("webhook-signature")?,
                body: body.to_owned(),
            });
        }
    }
}

/// Settings with short pauses: this many attempts in all.
fn settings(attempts: usize) -> WebhookSettings {
    let pauses = vec![Duration::from_millis(30); attempts - 1];
    WebhookSettings { private: true, pauses, timeout: Duration::from_millis(500) }
}

fn with(webhooks: WebhookSettings) -> Config {
    Config { webhooks, ..config() }
}

/// A call of one, from its beginning to its end.
async fn call(server: &Server) {
    let mut ada = server.member().await;
    ada.send(9, ClientMessage::Leave(Empty {})).await;
    ada.closed().await;
}

/// Waits until the state of the only webhook is this.
async fn until(server: &Server, what: &str, is: impl Fn(usize, usize) -> bool) {
    let wait = async {
        loop {
            let described = server.api.webhooks.list();
            if is(described[0].waiting, described[0].failed) {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "{what}: {:?}", server.api.webhooks.list());
}

fn add(server: &Server, url: &str, webhooks: &WebhookSettings) -> (signaling::webhooks::EndpointId, String) {
    let (described, secret) = server.api.webhooks.add(url, None, webhooks, SystemTime::now()).unwrap();
    (described.id, secret)
}

#[tokio::test]
async fn call_is_reported_from_its_beginning_to_its_end() {
    let (mut receiver, webhooks) = (Receiver::start().await, settings(3));
    let server = Server::start(with(webhooks.clone()));
    let (_, secret) = add(&server, &receiver.url(), &webhooks);
    let public = server.api.webhooks.public_key().unwrap();
    call(&server).await;
    let mut arrived = Vec::new();
    for _ in 0..4 {
        arrived.push(receiver.next().await);
    }
    let mut kinds: Vec<_> = arrived.iter().map(Arrived::kind).collect();
    kinds.sort();
    assert_eq!(kinds, ["participant.joined", "participant.left", "room.ended", "room.started"]);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64.decode(&secret.as_bytes()["whsec_".len()..]).unwrap());
    let public = BASE64.decode(&public.as_bytes()["whpk_".len()..]).unwrap();
    let joined = arrived.iter().find(|message| message.kind() == "participant.joined").unwrap().json();
    for message in &arrived {
        let (json, kind) = (message.json(), message.kind());
        assert_eq!(json["data"]["room"], server.room.to_string());
        assert_eq!(json["data"]["call"], joined["data"]["call"]);
        let participant = kind.starts_with("participant").then(|| joined["data"]["participant"].clone());
        assert_eq!(json["data"].get("participant"), participant.as_ref());
        assert_eq!(json.as_object().unwrap().len(), 3, "no name, no address: {json}");
        let content = format!("{}.{}.{}", message.id, message.timestamp, message.body);
        let [code, signature] = message.signature.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let bytes = |text: &str, version: &str| BASE64.decode(text.strip_prefix(version).unwrap().as_bytes()).unwrap();
        hmac::verify(&key, content.as_bytes(), &bytes(code, "v1,")).unwrap();
        UnparsedPublicKey::new(&ED25519, &public).verify(content.as_bytes(), &bytes(signature, "v1a,")).unwrap();
    }
    until(&server, "all are received", |waiting, failed| (waiting, failed) == (0, 0)).await;
}

#[tokio::test]
async fn message_is_repeated_until_it_is_received() {
    let (mut receiver, webhooks) = (Receiver::start().await, settings(5));
    let server = Server::start(with(webhooks.clone()));
    let (described, _) = server
        .api
        .webhooks
        .add(&receiver.url(), Some(vec![EventKind::RoomStarted]), &webhooks, SystemTime::now())
        .unwrap();
    assert_eq!(described.events, [EventKind::RoomStarted]);
    // A fault, a redirect that is not followed, and no answer in time.
    receiver.will_answer(&["500 Internal Server Error\r\n", "302 Found\r\nLocation: http://127.0.0.1:1/\r\n", ""]);
    call(&server).await;
    let first = receiver.next().await;
    for _ in 0..3 {
        let again = receiver.next().await;
        assert_eq!((&again.id, &again.body), (&first.id, &first.body), "the same message");
        assert!(again.timestamp >= first.timestamp);
    }
    until(&server, "the fourth attempt", |waiting, failed| (waiting, failed) == (0, 0)).await;
    let counted = || {
        let counts = server.metrics.deliveries.read();
        counts.map(|(outcome, count)| format!("{} {count}", outcome.label())).collect::<Vec<_>>()
    };
    // An attempt is counted once it is recorded.
    until(&server, "all are counted", |_, _| counted() == ["received 1", "postponed 3", "failed 0"]).await;
}

#[tokio::test]
async fn failed_messages_are_kept_and_sent_again() {
    let webhooks = settings(2);
    let server = Server::start(with(webhooks.clone()));
    // No one listens here until later.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (id, _) = add(&server, &format!("http://{address}/hook"), &webhooks);
    call(&server).await;
    until(&server, "all fail", |waiting, failed| (waiting, failed) == (0, 4)).await;
    let failed = server.api.webhooks.failed(id).unwrap();
    assert!(failed.iter().all(|one| one.attempts == 2 && one.failure == Some(Failure::Unreachable)), "{failed:?}");
    let mut receiver = Receiver::start_at(address).await;
    assert_eq!(server.api.webhooks.resend(id, SystemTime::now()).unwrap(), Some(4));
    for _ in 0..4 {
        receiver.next().await;
    }
    until(&server, "all are received", |waiting, failed| (waiting, failed) == (0, 0)).await;
}

/// A server that stops between an event and its receiver sends what it has written down when it starts again.
#[tokio::test]
async fn messages_outlive_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let webhooks = WebhookSettings { pauses: vec![Duration::from_secs(3_600)], ..settings(2) };
    // No one listens here until the server has stopped.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (path, slow) = (folder.path().to_owned(), webhooks.clone());
    let open = move || Arc::new(ApiRecords::open(&DataDirectory::open(&path).unwrap()).unwrap());
    let first = open.clone();
    // With its own runtime, so that nothing of it is left.
    let stopped = spawn_blocking(move || {
        Runtime::new().unwrap().block_on(async {
            let server = Server::start_with_api(with(slow.clone()), first());
            add(&server, &format!("http://{address}/hook"), &slow);
            call(&server).await;
            until(&server, "four wait", |waiting, _| waiting == 4).await;
            server.stop().await;
        });
    });
    stopped.await.unwrap();

    let mut receiver = Receiver::start_at(address).await;
    // Those that were tried wait for an hour, which is more than any pause now.
    let webhooks = WebhookSettings { pauses: vec![Duration::from_millis(1)], ..webhooks };
    let server = Server::start_with_api(with(webhooks), open());
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(receiver.next().await.kind());
    }
    kinds.sort();
    assert_eq!(kinds, ["participant.joined", "participant.left", "room.ended", "room.started"]);
    until(&server, "all are received", |waiting, failed| (waiting, failed) == (0, 0)).await;
}

/// What an attacker with a key would have the server ask for: what only its own network reaches.
#[tokio::test]
async fn private_addresses_are_refused_at_every_attempt() {
    let (mut receiver, allowed) = (Receiver::start().await, settings(2));
    let refused = WebhookSettings { private: false, ..allowed.clone() };
    let server = Server::start(with(refused.clone()));
    let add = |url: &str, settings: &WebhookSettings| server.api.webhooks.add(url, None, settings, SystemTime::now());
    assert!(add(&receiver.url(), &refused).is_err());
    // It was added when the operator still allowed that.
    let (described, _) = add(&receiver.url(), &allowed).unwrap();
    call(&server).await;
    until(&server, "all fail", |waiting, failed| (waiting, failed) == (0, 4)).await;
    let failed = server.api.webhooks.failed(described.id).unwrap();
    assert!(failed.iter().all(|one| one.failure == Some(Failure::NotAllowed)), "{failed:?}");
    assert!(receiver.arrived.try_recv().is_err());
}

/// The certificate of a receiver is checked, also where http would be allowed.
#[tokio::test]
async fn receiver_with_a_certificate_of_no_authority_gets_nothing() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            assert!(acceptor.accept(tcp).await.is_err(), "the server goes away");
        }
    });
    let webhooks = settings(1);
    let server = Server::start(with(webhooks.clone()));
    let (id, _) = add(&server, &format!("https://localhost:{port}/hook"), &webhooks);
    call(&server).await;
    until(&server, "all fail", |waiting, failed| (waiting, failed) == (0, 4)).await;
    let failed = server.api.webhooks.failed(id).unwrap();
    assert!(failed.iter().all(|one| one.failure == Some(Failure::Tls)), "{failed:?}");
}

/// Interim answers without end take neither memory nor time: a bound ends them long before the time is over.
#[tokio::test]
async fn endless_interim_answers_are_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move { while tcp.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {} });
        }
    });
    let webhooks = WebhookSettings { timeout: 10 * PATIENCE, ..settings(1) };
    let server = Server::start(with(webhooks.clone()));
    let (id, _) = add(&server, &url, &webhooks);
    call(&server).await;
    until(&server, "all have failed", |waiting, failed| waiting == 0 && failed > 0).await;
    let failed = server.api.webhooks.failed(id).unwrap();
    assert!(failed.iter().all(|one| one.failure == Some(Failure::Unreachable)), "{failed:?}");
}

/// A receiver that answers nothing delays neither another one nor the calls.
#[tokio::test]
async fn slow_receiver_delays_no_one() {
    let webhooks = WebhookSettings { timeout: PATIENCE, ..settings(2) };
    let (slow, mut quick) = (Receiver::start().await, Receiver::start().await);
    slow.will_answer(&[""; 100]);
    let server = Server::start(with(webhooks.clone()));
    add(&server, &slow.url(), &webhooks);
    add(&server, &quick.url(), &webhooks);
    for _ in 0..5 {
        call(&server).await;
    }
    for _ in 0..20 {
        quick.next().await;
    }
}

/// A participant that is away for a moment, or reloads its page, has neither left nor joined.
#[tokio::test]
async fn return_to_the_call_is_not_reported() {
    let (mut receiver, webhooks) = (Receiver::start().await, settings(3));
    let server = Server::start(with(webhooks.clone()));
    add(&server, &receiver.url(), &webhooks);
    let (ada, place) = server.join(1).await;
    drop(ada);
    let (mut back, _) = server.resume(&place, 0).await;
    back.send(2, ClientMessage::Leave(Empty {})).await;
    back.closed().await;
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(receiver.next().await.kind());
    }
    kinds.sort();
    assert_eq!(kinds, ["participant.joined", "participant.left", "room.ended", "room.started"]);
    until(&server, "nothing more", |waiting, failed| (waiting, failed) == (0, 0)).await;
}
