//! Cost of 20 ms of a room of a thousand in which fifty microphones are open and six people talk at once.
//!
//! `seal` is the floor: the packets of the six sealed for a thousand receivers, without a room. `room` is a server's work:
//! levels, positions, slots, and the same seals.

#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rtp_wire::{header::HeaderBuffer, seq::SeqNum};
use sfu::{
    Ssrc,
    egress::{Egress, TransportKey},
};
use std::hint::black_box;
use tacet_benches::webinar::{Call, PARTICIPANTS, PAYLOAD, Seal, TALKERS, build_header};

fn speakers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("speakers");
    group.sample_size(20).throughput(Throughput::Elements(u64::from(PARTICIPANTS * TALKERS)));
    group.bench_function("seal", |bencher| {
        let mut egress = Seal::default();
        let receivers: Vec<TransportKey> = (0..PARTICIPANTS).map(|_| egress.connect()).collect();
        let mut headers = [(); TALKERS as usize].map(|()| HeaderBuffer::default());
        let mut seq = 0u16;
        bencher.iter(|| {
            egress.out.clear();
            (1..).zip(&mut headers).for_each(|(talker, header)| build_header(header, talker, seq, 25));
            for receiver in &receivers {
                for (slot, header) in (1..).zip(&mut headers) {
                    header.set_stream(Ssrc(slot), SeqNum(seq), 0);
                    egress.rtp(*receiver, header.as_bytes(), &[0xa5; PAYLOAD]);
                }
            }
            seq = seq.wrapping_add(1);
            black_box(egress.out.len())
        });
    });
    group.bench_function("room", |bencher| {
        let mut egress = Seal::default();
        let mut call = Call::new(&mut egress);
        egress.packets = 0;
        let mut steps = 0;
        bencher.iter(|| {
            steps += 1;
            call.step(&mut egress);
            black_box(egress.out.len())
        });
        // Six speakers to all but themselves. There is no understudy.
        assert_eq!(egress.packets, steps * u64::from(PARTICIPANTS * TALKERS - TALKERS));
    });
    group.finish();
}

criterion_group!(benches, speakers);
criterion_main!(benches);
