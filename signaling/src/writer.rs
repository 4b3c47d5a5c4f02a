//! The one task that writes to a socket: it sends what is in the outbox, pings, and sends the Close frame last.

use crate::{
    config::Timing,
    connection::Socket,
    metrics::{Format, Metrics},
    outbox::{Closing, Encoded, Frame, Outgoings, ended},
};
use futures_util::{SinkExt, stream::SplitSink};
use std::sync::Arc;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tungstenite::{Error, Message, protocol::frame::CloseFrame};

type Sink = SplitSink<Socket, Message>;

/// Writes until the connection is to end, then what is still queued, then Close. A peer that does not read cannot delay
/// the end by more than `timing.linger`.
pub(crate) async fn write(
    sink: Sink,
    outgoings: Outgoings,
    closing: watch::Receiver<Option<Closing>>,
    metrics: Arc<Metrics>,
    timing: Timing,
) {
    let mut overdue = closing.clone();
    let overdue = async move {
        ended(&mut overdue).await;
        sleep(timing.linger).await;
    };
    tokio::select! {
        _ = run(sink, outgoings, closing, &metrics, timing) => {}
        () = overdue => {}
    }
}

async fn run(
    mut sink: Sink,
    mut outgoings: Outgoings,
    mut closing: watch::Receiver<Option<Closing>>,
    metrics: &Metrics,
    timing: Timing,
) -> Result<(), Error> {
    let mut ping = interval_at(Instant::now() + timing.ping, timing.ping);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = loop {
        tokio::select! {
            biased;
            end = ended(&mut closing) => break end,
            encoded = outgoings.recv() => {
                sink.feed(message(metrics, encoded)).await?;
                while let Some(encoded) = outgoings.try_recv() {
                    sink.feed(message(metrics, encoded)).await?;
                }
                sink.flush().await?;
            }
            _ = ping.tick() => sink.send(Message::Ping(Default::default())).await?,
        }
    };
    while let Some(encoded) = outgoings.try_recv() {
        sink.feed(message(metrics, encoded)).await?;
    }
    if let Some(Closing { code, reason }) = end {
        sink.feed(Message::Close(Some(CloseFrame { code: code.code().into(), reason: reason.into() }))).await?;
    }
    sink.flush().await
}

/// The WebSocket message for an encoded one, which is counted.
fn message(metrics: &Metrics, Encoded { frame, error, .. }: Encoded) -> Message {
    if let Some(code) = error {
        metrics.errors.count(code);
    }
    match frame {
        Frame::Text(text) => {
            metrics.sent.count(Format::Text);
            Message::Text(text)
        }
        Frame::Binary(bytes) => {
            metrics.sent.count(Format::Binary);
            Message::Binary(bytes)
        }
    }
}
