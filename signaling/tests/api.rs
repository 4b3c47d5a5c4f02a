//! What programs do over HTTP with keys of their own: which scope each request needs, what keys can do, and what a browser may.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use signaling::{
    Config,
    api::Scope,
    config::{ApiKey, Hosts},
};
use std::time::{Duration, SystemTime};
use support::{ACCESS, Server, config};
use tacet_proto::{ClientMessage, ServerMessage, bytes::Fixed, client::Hello};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const KEY: &str = "correct horse battery";

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

/// An answer: status, head in small letters, and JSON, `null` if there is none.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// A server whose operator has a key.
fn start() -> Server {
    Server::start(Config { api_key: Some(ApiKey::new(KEY).unwrap()), ..config() })
}

async fn send(server: &Server, request: &str, headers: &str, body: &str) -> Answer {
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    tcp.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: serde_json::from_str(body).unwrap_or_default(),
    }
}

async fn with_key(server: &Server, request: &str, key: &str, body: &str) -> Answer {
    send(server, request, &format!("Authorization: Bearer {key}\r\n"), body).await
}

async fn as_operator(server: &Server, request: &str, body: &Value) -> Answer {
    with_key(server, request, KEY, &if body.is_null() { String::new() } else { body.to_string() }).await
}

/// A key with these scopes: itself, and its id.
async fn key(server: &Server, scopes: &[Scope]) -> (String, String) {
    let scopes: Vec<_> = scopes.iter().map(|scope| scope.name()).collect();
    let created = as_operator(server, "POST /v1/keys", &json!({"name": "shop", "scopes": scopes})).await;
    assert_eq!(created.status, 201, "{created:?}");
    let text = |field: &str| created.body[field].as_str().unwrap().to_owned();
    (text("key"), text("id"))
}

fn room_body() -> String {
    json!({"access_hash": "A".repeat(43)}).to_string()
}

/// Every request that needs a key, with its scope.
fn requests(server: &Server) -> Vec<(String, Scope)> {
    let room = server.room;
    [
        ("POST /v1/rooms".to_owned(), Scope::RoomsWrite),
        ("GET /v1/rooms".to_owned(), Scope::RoomsRead),
        (format!("GET /v1/rooms/{room}"), Scope::RoomsRead),
        (format!("PATCH /v1/rooms/{room}"), Scope::RoomsWrite),
        (format!("POST /v1/rooms/{room}/tokens"), Scope::Tokens),
        ("GET /v1/webhooks".to_owned(), Scope::Webhooks),
        ("DELETE /v1/webhooks/0000000000000000".to_owned(), Scope::Webhooks),
        ("GET /v1/webhooks/0000000000000000/failed".to_owned(), Scope::Webhooks),
        ("POST /v1/webhooks/0000000000000000/resend".to_owned(), Scope::Webhooks),
        (format!("GET /v1/rooms/{room}/participants"), Scope::RoomsRead),
        (format!("DELETE /v1/rooms/{room}/participants/7"), Scope::RoomsWrite),
        ("GET /v1/stats".to_owned(), Scope::Stats),
        ("GET /v1/keys".to_owned(), Scope::Keys),
        ("DELETE /v1/keys/0000000000000000".to_owned(), Scope::Keys),
        // The last one: it ends the room.
        (format!("DELETE /v1/rooms/{room}"), Scope::RoomsWrite),
    ]
    .into()
}

#[tokio::test]
async fn each_request_needs_its_scope() {
    let server = start();
    for scope in Scope::ALL {
        let (key, _) = key(&server, &[scope]).await;
        for (request, needed) in requests(&server) {
            if scope != needed {
                let refused = with_key(&server, &request, &key, "").await;
                assert_eq!((refused.status, refused.code()), (403, "missing_scope"), "{scope}: {request}");
                assert_eq!(refused.body["scope"], needed.name(), "{scope}: {request}");
                let challenge = format!("error=\"insufficient_scope\", scope=\"{needed}\"");
                assert!(refused.head.contains(&challenge), "{}", refused.head);
            }
        }
    }
    for (request, needed) in requests(&server) {
        let (key, _) = key(&server, &[needed]).await;
        let body = match needed {
            Scope::RoomsWrite if request.starts_with("POST") => room_body(),
            Scope::Tokens => json!({"role": "host"}).to_string(),
            _ if request.starts_with("PATCH") => "{}".to_owned(),
            _ => String::new(),
        };
        let answer = with_key(&server, &request, &key, &body).await;
        let expected = [200, 201, 204, 404];
        assert!(expected.contains(&answer.status), "{request}: {answer:?}");
    }
}

#[tokio::test]
async fn request_without_a_key_is_challenged() {
    let server = start();
    for (request, _) in requests(&server) {
        let answer = send(&server, &request, "", "").await;
        if request == "POST /v1/rooms" {
            assert_eq!((answer.status, answer.code()), (403, "rooms_closed"), "{request}");
        } else {
            assert_eq!((answer.status, answer.code()), (401, "unauthorized"), "{request}");
            assert!(answer.head.contains("www-authenticate: bearer realm=\"tacet\"\r\n"), "{}", answer.head);
        }
    }
    let wrong = with_key(&server, "GET /v1/rooms", "another horse battery", "").await;
    assert!(wrong.status == 401 && wrong.head.contains("error=\"invalid_token\""), "{wrong:?}");
}

#[tokio::test]
async fn key_ends_when_it_is_revoked_or_expires() {
    let server = start();
    let (shop, id) = key(&server, &[Scope::RoomsRead]).await;
    assert_eq!(with_key(&server, "GET /v1/rooms", &shop, "").await.status, 200);
    let listed = as_operator(&server, "GET /v1/keys", &Value::Null).await;
    let listed = &listed.body["keys"][0];
    assert_eq!(
        (&listed["id"], &listed["name"], &listed["scopes"]),
        (&json!(id), &json!("shop"), &json!(["rooms:read"]))
    );
    let (_, secret) = shop.split_once(&format!("{id}_")).unwrap();
    assert!(secret.len() > 20 && !listed.to_string().contains(secret), "{listed}");
    assert_eq!(as_operator(&server, &format!("DELETE /v1/keys/{id}"), &Value::Null).await.status, 204);
    assert_eq!(with_key(&server, "GET /v1/rooms", &shop, "").await.status, 401);
    assert_eq!(as_operator(&server, &format!("DELETE /v1/keys/{id}"), &Value::Null).await.status, 404);

    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
    let (_, brief) = server.api.keys.create("brief", vec![Scope::RoomsRead], Some(1_000), long_ago).unwrap();
    assert_eq!(with_key(&server, "GET /v1/rooms", &brief, "").await.status, 401);
}

#[tokio::test]
async fn key_makes_no_key_that_may_do_more() {
    let server = start();
    let (maker, _) = key(&server, &[Scope::Keys, Scope::RoomsRead]).await;
    let make = async |body: Value| with_key(&server, "POST /v1/keys", &maker, &body.to_string()).await;
    assert_eq!(make(json!({"name": "a", "scopes": ["rooms:read"]})).await.status, 201);
    let refused = make(json!({"name": "a", "scopes": ["rooms:read", "rooms:write"]})).await;
    assert_eq!((refused.status, &refused.body["scope"]), (403, &json!("rooms:write")));
    for malformed in [
        json!({"name": "a"}),
        json!({"name": "", "scopes": ["keys"]}),
        json!({"name": "a", "scopes": []}),
        json!({"name": "a", "scopes": ["all"]}),
        json!({"name": "a", "scopes": ["keys"], "days": 0}),
    ] {
        assert_eq!(make(malformed.clone()).await.status, 400, "{malformed}");
    }
}

#[tokio::test]
async fn last_use_of_a_key_is_shown() {
    let server = start();
    let (stats, _) = key(&server, &[Scope::Stats]).await;
    let read = with_key(&server, "GET /v1/stats", &stats, "").await;
    assert_eq!((read.status, &read.body["rooms"]), (200, &json!(1)));
    let used = loop {
        let listed = as_operator(&server, "GET /v1/keys", &Value::Null).await;
        if let Some(used) = listed.body["keys"][0]["used"].as_u64() {
            break used;
        }
    };
    assert_eq!(used % 3_600, 0, "to the hour");
}

#[tokio::test]
async fn link_in_a_request_is_refused() {
    let server = start();
    let secret = "s3".repeat(21) + "A";
    let link = format!("https://127.0.0.1/r/{}#{secret}", server.room);
    for body in [json!({"access_hash": link}), json!({"access_hash": "A".repeat(43), "secret": secret})] {
        let answer = as_operator(&server, "POST /v1/rooms", &body).await;
        assert_eq!((answer.status, answer.code()), (400, "link_in_request"), "{body}");
        assert!(!answer.body.to_string().contains(&secret), "{answer:?}");
    }
}

#[tokio::test]
async fn requests_of_a_key_are_limited() {
    let server = start();
    let (one, _) = key(&server, &[Scope::Stats]).await;
    let (other, _) = key(&server, &[Scope::Stats]).await;
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET /v1/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {one}\r\n");
    // On one connection, faster than a key may be used on any machine that runs this.
    let mut text = format!("{request}\r\n").repeat(4_000);
    text += &format!("{request}Connection: close\r\n\r\n");
    let (mut reading, mut writing) = tcp.split();
    let mut answers = String::new();
    let (written, read) = tokio::join!(writing.write_all(text.as_bytes()), reading.read_to_string(&mut answers));
    written.and(read).unwrap();
    let refused = answers.matches("HTTP/1.1 429").count();
    assert!(answers.matches("HTTP/1.1 200").count() >= 1_000 && refused > 0, "{refused} refused");
    assert!(answers.contains("too_many_requests") && answers.to_ascii_lowercase().contains("retry-after: 1"));
    assert_eq!(with_key(&server, "GET /v1/stats", &other, "").await.status, 200, "another key");
}

#[tokio::test]
async fn only_listed_origins_may_use_the_api() {
    let allowed_origins = vec!["https://shop.example".to_owned()];
    let server = Server::start(Config {
        api_key: Some(ApiKey::new(KEY).unwrap()),
        allowed_origins,
        hosts: Hosts::Loopback(Vec::new()),
        ..config()
    });
    let of = async |request: &str, origin: &str, more: &str| {
        let headers = format!("Origin: {origin}\r\nAuthorization: Bearer {KEY}\r\n{more}");
        send(&server, request, &headers, "").await
    };
    for evil in ["https://evil.example", "null", "http://shop.example"] {
        for request in ["GET /v1/rooms", "GET /v1/server", "OPTIONS /v1/rooms", "GET /v1/nothing"] {
            let answer = of(request, evil, "Access-Control-Request-Method: GET\r\n").await;
            assert_eq!((answer.status, answer.code()), (403, "origin_not_allowed"), "{request} of {evil}");
            assert!(!answer.head.contains("access-control"), "{}", answer.head);
        }
    }
    let answer = of("GET /v1/rooms", "https://shop.example", "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("access-control-allow-origin: https://shop.example\r\n"), "{}", answer.head);
    assert!(answer.head.contains("vary: origin") && !answer.head.contains("allow-credentials"), "{}", answer.head);
    let preflight = of("OPTIONS /v1/rooms", "https://shop.example", "Access-Control-Request-Method: POST\r\n").await;
    assert!(preflight.status == 204 && preflight.head.contains("access-control-allow-headers: authorization"));
    let own = of("GET /v1/rooms", "http://127.0.0.1", "").await;
    assert_eq!(own.status, 200, "the server's own page");
    assert_eq!(send(&server, "GET /v1/server", "", "").await.status, 200, "no browser");
}

/// Whatever is refused is refused in one form.
#[tokio::test]
async fn every_error_is_json() {
    let server = start();
    for (request, expected) in [
        ("GET /v1/nothing", 404),
        ("GET /nothing", 404),
        ("PUT /v1/rooms", 405),
        ("POST /v1/server", 405),
        ("GET /v1/rooms?limit=x", 400),
        ("GET /v1/rooms/%ff", 404),
        ("GET /v1/ws", 400),
    ] {
        let answer = as_operator(&server, request, &Value::Null).await;
        assert_eq!(answer.status, expected, "{request}: {answer:?}");
        assert!(answer.body["error"].is_string() && answer.body["code"].is_string(), "{request}: {answer:?}");
        assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
        assert_eq!(answer.head.contains("allow: "), expected == 405, "{}", answer.head);
    }
}

/// Whatever the document names exists, and needs the scope that it says.
#[tokio::test]
async fn document_is_served_and_true() {
    let server = start();
    let document = send(&server, "GET /v1/openapi.json", "", "").await.body;
    assert_eq!(document["openapi"], "3.1.0");
    let (none, _) = key(&server, &[Scope::Stats]).await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = path
                .replace("{room}", &server.room.to_string())
                .replace("{key}", "0000000000000000")
                .replace("{webhook}", "0000000000000000");
            let request = format!("{} {path}", method.to_ascii_uppercase());
            let answer = with_key(&server, &request, &none, "").await;
            let scope = operation["security"][0]["key"][0].as_str().unwrap_or("stats");
            let expected = if scope == "stats" { 200 } else { 403 };
            assert_eq!(answer.status, expected, "{request}");
            if expected == 403 {
                assert_eq!(answer.body["scope"], scope, "{request}");
            }
        }
    }
    let page = send(&server, "GET /v1/docs", "", "").await;
    assert!(page.status == 200 && page.head.contains("content-type: text/html"), "{page:?}");
    assert_eq!(send(&server, "GET /v1/docs.css", "", "").await.status, 200);
}

#[tokio::test]
async fn server_is_ready_while_it_runs() {
    let server = start();
    assert_eq!(send(&server, "GET /readyz", "", "").await.status, 200);
}

#[tokio::test]
async fn repeated_request_creates_one_room() {
    let server = start();
    let create = async |key: &str, idempotency: &str, hash: &str| {
        let headers = format!("Authorization: Bearer {key}\r\nIdempotency-Key: {idempotency}\r\n");
        send(&server, "POST /v1/rooms", &headers, &json!({"access_hash": hash}).to_string()).await
    };
    let (a, b) = ("A".repeat(43), "B".repeat(42) + "A");
    let first = create(KEY, "ticket-1", &a).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = create(KEY, "ticket-1", &a).await;
    assert_eq!((again.status, &again.body), (201, &first.body));
    let other = create(KEY, "ticket-1", &b).await;
    assert_eq!((other.status, other.code()), (409, "idempotency_key_reused"));
    assert_ne!(create(KEY, "ticket-2", &a).await.body, first.body);
    let (shop, _) = key(&server, &[Scope::RoomsWrite]).await;
    assert_ne!(create(&shop, "ticket-1", &a).await.body, first.body, "another key");
    assert_eq!(server.registry.count(), 4);
    assert_eq!(create(KEY, &"x".repeat(256), &a).await.status, 400);

    let (one, two) = tokio::join!(create(KEY, "ticket-3", &a), create(KEY, "ticket-3", &a));
    assert!([&one, &two].iter().all(|answer| [201, 409].contains(&answer.status)), "{one:?} {two:?}");
    assert_eq!(server.registry.count(), 5, "at the same time");
}

/// The whole life of a webhook, as its owner has it.
#[tokio::test]
async fn webhook_is_added_listed_and_removed() {
    let server = start();
    let (shop, _) = key(&server, &[Scope::Webhooks]).await;
    let add = async |body: Value| with_key(&server, "POST /v1/webhooks", &shop, &body.to_string()).await;
    let added = add(json!({"url": "https://shop.example/hook", "events": ["room.ended"]})).await;
    assert_eq!(added.status, 201, "{added:?}");
    let (id, secret) = (added.body["id"].as_str().unwrap(), added.body["secret"].as_str().unwrap());
    assert!(secret.starts_with("whsec_") && added.body["public_key"].as_str().unwrap().starts_with("whpk_"));
    let listed = with_key(&server, "GET /v1/webhooks", &shop, "").await.body;
    assert_eq!(listed["webhooks"][0]["url"], "https://shop.example/hook");
    assert_eq!(
        (&listed["webhooks"][0]["events"], &listed["public_key"]),
        (&json!(["room.ended"]), &added.body["public_key"])
    );
    assert!(!listed.to_string().contains(secret), "{listed}");
    let failed = with_key(&server, &format!("GET /v1/webhooks/{id}/failed"), &shop, "").await;
    assert_eq!((failed.status, failed.body), (200, json!({"failed": []})));
    let again = with_key(&server, &format!("POST /v1/webhooks/{id}/resend"), &shop, "").await;
    assert_eq!((again.status, again.body), (200, json!({"messages": 0})));
    for private in ["http://shop.example/", "https://127.0.0.1/", "https://[fd00::1]/", "https://169.254.169.254/"] {
        let refused = add(json!({"url": private})).await;
        assert_eq!((refused.status, refused.code()), (403, "url_not_allowed"), "{private}");
    }
    for malformed in
        [json!({}), json!({"url": "https://a/", "events": []}), json!({"url": "https://a/", "events": ["x"]})]
    {
        assert_eq!(add(malformed.clone()).await.status, 400, "{malformed}");
    }
    assert_eq!(with_key(&server, &format!("DELETE /v1/webhooks/{id}"), &shop, "").await.status, 204);
    assert_eq!(with_key(&server, &format!("DELETE /v1/webhooks/{id}"), &shop, "").await.status, 404);
}

#[tokio::test]
async fn policy_of_a_room_is_set_and_changed() {
    let server = start();
    let body = json!({"access_hash": Fixed(sha256(&ACCESS)).encode(), "guests": "none"});
    let room = as_operator(&server, "POST /v1/rooms", &body).await.body["room"].as_str().unwrap().to_owned();
    let (get, patch) = (format!("GET /v1/rooms/{room}"), format!("PATCH /v1/rooms/{room}"));
    let described = as_operator(&server, &get, &Value::Null).await.body;
    assert_eq!((&described["guests"], &described["locked"]), (&json!("none"), &json!(false)));
    let enters = async |participants: u64| {
        let mut client = server.connect().await;
        let ClientMessage::Hello(hello) = server.hello(ACCESS) else { unreachable!() };
        client.send(1, ClientMessage::Hello(Hello { room: room.parse().unwrap(), ..hello })).await;
        let entered = matches!(client.answer(1).await, ServerMessage::Welcome(_));
        let found = as_operator(&server, &get, &Value::Null).await.body["participants"].clone();
        assert!(!entered || found == json!(participants), "{found}");
        (entered, client)
    };
    assert!(!enters(0).await.0, "guests do not come in by link");
    let changed = as_operator(&server, &patch, &json!({"guests": "listener"})).await;
    assert_eq!((changed.status, &changed.body["guests"]), (200, &json!("listener")), "{changed:?}");
    let (entered, _client) = enters(1).await;
    assert!(entered);
    assert_eq!(as_operator(&server, &patch, &json!({"locked": true})).await.body["guests"], "listener", "it stays");
    assert!(!enters(1).await.0, "locked");
    for malformed in [json!({"guests": "owner"}), json!({"locked": 1}), json!({"other": 1}), json!([])] {
        assert_eq!(as_operator(&server, &patch, &malformed).await.status, 400, "{malformed}");
    }
    assert_eq!(as_operator(&server, "PATCH /v1/rooms/AAAAAAAAAAAAAAAAAAAAAA", &json!({})).await.status, 404);
}
