//! The one task that writes to a socket: it numbers, encodes and sends what is in the outbox, pings, and sees to it
//! that the Close frame goes out last.

use crate::{
    config::Timing,
    metrics::{Format, Metrics},
    outbox::{Closing, Outgoing, Outgoings, ended},
};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt, stream::SplitSink};
use std::sync::Arc;
use tacet_proto::{ServerEnvelope, ServerMessage, binary::PREFIX_BYTES, limits::MAX_MESSAGE_BYTES};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};

type Sink = SplitSink<WebSocket, Message>;

/// Writes until the connection is to end, then what is still queued, then Close. A peer that does not read cannot hold
/// it longer than `timing.linger` after that.
pub(crate) async fn write(sink: Sink, outgoings: Outgoings, metrics: Arc<Metrics>, timing: Timing) {
    let Outgoings { queue, closing } = outgoings;
    let mut overdue = closing.clone();
    let overdue = async move {
        ended(&mut overdue).await;
        sleep(timing.linger).await;
    };
    tokio::select! {
        _ = run(sink, queue, closing, &metrics, timing) => {}
        () = overdue => {}
    }
}

async fn run(
    mut sink: Sink,
    mut queue: mpsc::Receiver<Outgoing>,
    mut closing: watch::Receiver<Option<Closing>>,
    metrics: &Metrics,
    timing: Timing,
) -> Result<(), axum::Error> {
    let mut seq = 0;
    let mut encode = |outgoing| {
        count(metrics, &outgoing);
        encode(&mut seq, outgoing)
    };
    let mut ping = interval_at(Instant::now() + timing.ping, timing.ping);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = loop {
        tokio::select! {
            biased;
            end = ended(&mut closing) => break end,
            outgoing = queue.recv() => {
                let Some(outgoing) = outgoing else { break None };
                sink.feed(encode(outgoing)).await?;
                while let Ok(outgoing) = queue.try_recv() {
                    sink.feed(encode(outgoing)).await?;
                }
                sink.flush().await?;
            }
            _ = ping.tick() => sink.send(Message::Ping(Default::default())).await?,
        }
    };
    while let Ok(outgoing) = queue.try_recv() {
        sink.feed(encode(outgoing)).await?;
    }
    if let Some(Closing { code, reason }) = end {
        sink.feed(Message::Close(Some(CloseFrame { code: code.code(), reason: reason.into() }))).await?;
    }
    sink.flush().await
}

fn count(metrics: &Metrics, outgoing: &Outgoing) {
    match outgoing {
        Outgoing::Message { message, .. } => {
            metrics.sent.count(Format::Text);
            if let ServerMessage::Error(error) = message {
                metrics.errors.count(error.code);
            }
        }
        Outgoing::Binary(_) => metrics.sent.count(Format::Binary),
    }
}

fn encode(seq: &mut u32, outgoing: Outgoing) -> Message {
    *seq = seq.wrapping_add(1);
    match outgoing {
        Outgoing::Message { re, message } => {
            let text = ServerEnvelope { seq: *seq, re, message }.to_json();
            debug_assert!(text.len() <= MAX_MESSAGE_BYTES, "a message of {} bytes", text.len());
            Message::Text(text.into())
        }
        Outgoing::Binary(mut bytes) => {
            debug_assert!(bytes.len() <= MAX_MESSAGE_BYTES, "a message of {} bytes", bytes.len());
            if let Some(number) = bytes.get_mut(1..PREFIX_BYTES) {
                number.copy_from_slice(&seq.to_be_bytes());
            }
            Message::Binary(bytes.into())
        }
    }
}
