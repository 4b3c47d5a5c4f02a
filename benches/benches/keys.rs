//! Distributing a key in a room: cold, with a key agreement for each member, and warm, with cached box keys.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use e2ee_frames::{Event, ParticipantId, Session, StreamId};
use tacet_benches::calls::{CLOCK, device, drain};

/// Number of members besides the sender.
const MEMBERS: u16 = 999;

/// A sender that has verified all members and has not sent a key yet.
fn sender(announces: &[Vec<u8>]) -> Option<Session> {
    let (mut sender, _) = device(0)?;
    for body in announces {
        sender.handle(CLOCK, Event::Announces(body)).ok()?;
    }
    drain(&mut sender);
    Some(sender)
}

fn seal_key(c: &mut Criterion) {
    let announces: Option<Vec<_>> = (1..=MEMBERS).map(|number| device(number).map(|(_, body)| body)).collect();
    let Some(announces) = announces else { return };
    let mut group = c.benchmark_group("key to 999 members");
    group.sample_size(10);
    group.bench_function("cold", |b| {
        b.iter_batched_ref(
            || sender(&announces),
            |sender| {
                sender.as_mut().map(|sender| sender.handle(CLOCK, Event::StreamOpened(StreamId::MICROPHONE)).is_ok())
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("warm", |b| {
        b.iter_batched_ref(
            || {
                let mut sender = sender(&announces)?;
                sender.handle(CLOCK, Event::StreamOpened(StreamId::MICROPHONE)).ok()?;
                drain(&mut sender);
                Some(sender)
            },
            // A leave makes a new key for all who remain.
            |sender| sender.as_mut().map(|sender| sender.handle(CLOCK, Event::Left(&[ParticipantId(1)])).is_ok()),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(keys, seal_key);
criterion_main!(keys);
