//! Runs the example.

use crate::{
    TIMEOUT,
    listener::Listener,
    server::Server,
    tone::{is_heard, tone},
};
use tacet_native::{audio::Channels, client::ClientOptions, file::wav::Writer};
use tokio::time::timeout;

#[allow(dead_code, unreachable_pub, reason = "a program, whose `main` is not run here")]
#[path = "../../examples/bot.rs"]
mod example;

#[tokio::test]
async fn bot_plays_its_file_and_leaves() {
    let server = Server::start();
    let file = std::env::temp_dir().join(format!("tacet-bot-{}.wav", std::process::id()));
    let mut writer = Writer::create(&file, Channels::Mono).unwrap();
    tone(880.0).take(100).for_each(|block| writer.write(&block).unwrap());
    writer.finish().unwrap();

    let mut listener = Listener::join(&server.link(), ClientOptions::new("Listener")).await;
    let link = server.link();
    let played = timeout(TIMEOUT, example::play(&link, &file));
    let listening = async {
        listener
            .until("880 Hz", |listener| {
                is_heard(listener.audio.iter().map(|block| block.samples.as_slice()), 880.0).then_some(())
            })
            .await;
    };
    let (played, ()) = tokio::join!(played, listening);
    played.unwrap().unwrap();
    listener.sees("Bot").await;
    std::fs::remove_file(file).unwrap();
}
