//! The call page of the built binary: how it is sent, and `tacet verify-page`.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Output,
    thread,
};
use support::{Server, tacet};

fn verify_page(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = tacet(&["verify-page"]).args(arguments).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// The paths of the page's files.
fn files() -> Vec<String> {
    let (_, list) = verify_page(&[]);
    list.lines().map(|line| line.split_once("  ").expect("hash and path").1.to_owned()).collect()
}

fn origin(server: &Server) -> &str {
    server.link.split("/r/").next().unwrap()
}

/// Head and body of the answer to a request with these fields.
fn get(server: &Server, path: &str, fields: &str) -> (String, Vec<u8>) {
    let authority = origin(server).strip_prefix("http://").unwrap();
    let mut tcp = TcpStream::connect(authority).unwrap();
    write!(tcp, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n{fields}\r\n").unwrap();
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end + 4..].to_vec())
}

#[test]
fn page_is_compressed_for_browsers_that_accept_it() {
    let server = Server::spawn(&["--workers", "1", "--metrics", "off"]);
    for path in files().into_iter().filter(|path| path.ends_with(".js") || path.ends_with(".wasm")) {
        let (head, plain) = get(&server, &format!("/{path}"), "");
        assert!(head.starts_with("HTTP/1.1 200") && !head.contains("content-encoding"), "{head}");
        let mut lengths = vec![plain.len()];
        for coding in ["gzip", "br"] {
            let fields = format!("Accept-Encoding: {coding}\r\n");
            let (head, compressed) = get(&server, &format!("/{path}"), &fields);
            assert!(head.contains(&format!("content-encoding: {coding}")) && head.contains("immutable"), "{head}");
            assert!(head.contains("vary: accept-encoding"), "{head}");
            lengths.push(compressed.len());
        }
        assert!(lengths.is_sorted_by(|larger, smaller| larger > smaller), "{path}: {lengths:?}");
    }
    assert!(get(&server, "/index.html.br", "").0.starts_with("HTTP/1.1 404"));
    let (head, _) = get(&server, "/", "Accept-Encoding: gzip, deflate, br, zstd\r\n");
    assert!(head.contains("content-encoding: br") && head.contains("text/html"), "the best is chosen: {head}");
}

#[test]
fn page_that_has_not_changed_is_not_sent_again() {
    let server = Server::spawn(&["--workers", "1", "--metrics", "off"]);
    let (head, _) = get(&server, "/", "");
    assert!(head.contains("cache-control: no-cache"), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("an entity tag");
    let (head, body) = get(&server, "/", &format!("If-None-Match: {tag}\r\n"));
    assert!(head.starts_with("HTTP/1.1 304") && body.is_empty(), "{head}");
    let (head, _) = get(&server, "/", &format!("If-None-Match: \"other\", W/{tag}\r\n"));
    assert!(head.starts_with("HTTP/1.1 304"), "{head}");
    let (head, _) = get(&server, "/", "If-None-Match: \"other\"\r\n");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[test]
fn own_page_is_verified_and_another_is_not() {
    let server = Server::spawn(&["--workers", "1", "--metrics", "off"]);
    let (code, text) = verify_page(&[origin(&server)]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("same")).count(), files().len() + 1, "{text}");

    let without = Server::spawn(&["--workers", "1", "--metrics", "off", "--no-page"]);
    let (code, text) = verify_page(&[origin(&without)]);
    assert!(code == Some(1) && text.contains("DIFFERS /:") && text.contains("DIFFERS /r/"), "{text}");

    // A server that changes one file on the way.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let changing = format!("http://{}", listener.local_addr().unwrap());
    let (count, upstream) = (files().len() + 1, origin(&server).strip_prefix("http://").unwrap().to_owned());
    let relay = thread::spawn(move || {
        for _ in 0..count {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = vec![0; 4_096];
            let length = client.read(&mut request).unwrap();
            let request = String::from_utf8(request[..length].to_vec()).unwrap();
            let own = listener.local_addr().unwrap().to_string();
            let mut server = TcpStream::connect(&upstream).unwrap();
            server.write_all(request.replace(&own, &upstream).as_bytes()).unwrap();
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).unwrap();
            if request.contains(".css") {
                *answer.last_mut().unwrap() ^= 1;
            }
            client.write_all(&answer).unwrap();
        }
    });
    let (code, text) = verify_page(&[&changing]);
    relay.join().unwrap();
    let differ: Vec<_> = text.lines().filter(|line| line.starts_with("DIFFERS")).collect();
    assert!(code == Some(1) && differ.len() == 1 && differ[0].contains(".css"), "{text}");
}
