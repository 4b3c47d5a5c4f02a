//! A bot that joins a call, plays a WAV file and leaves.
//!
//! ```sh
//! cargo run -p tacet-native --example bot -- 'http://127.0.0.1:8800/r/…#…' greeting.wav
//! ```

use std::{error::Error, path::Path};
use tacet_native::{
    audio::Channels,
    client::{AudioOptions, Client, ClientOptions},
    file::wav::Reader,
    link::RoomLink,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(link), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bot LINK FILE.wav".into());
    };
    play(&link.parse()?, Path::new(&file)).await
}

/// Joins the call of a link, plays a file to the participants, and leaves.
pub async fn play(link: &RoomLink, file: &Path) -> Result<(), Box<dyn Error>> {
    let mut audio = Reader::open(file, Channels::Mono)?;
    let (client, events) = Client::join(link, ClientOptions::new("Bot")).await?;
    // It does not listen.
    drop(events);
    let speaker = client.publish_audio(AudioOptions::default()).await?;
    speaker.live().await?;
    speaker.play(std::iter::from_fn(|| audio.block().transpose())).await?;
    client.leave().await;
    Ok(())
}
