//! From unit costs to machines: how many participants fit a core and a link, and what many at once need.

use super::{
    cost::{Load, MemoryCosts, UnitCosts},
    point::StreamRate,
    workload::{Kind, Workload},
};
use serde::{Deserialize, Serialize};

/// Bytes around each RTP payload on an Ethernet: RTP header 12 and its extensions 12, SRTP tag 16, UDP 8, IPv4 20,
/// Ethernet with preamble and gap 38.
pub const WIRE_BYTES_PER_PACKET: f64 = 106.0;
/// A link of 10 Gbit/s.
const TEN_GIGABITS: f64 = 10e9;

/// A machine to plan with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineSize {
    /// Cores, each with one worker.
    pub cores: f64,
    /// Speed of its link, each way, in Gbit/s.
    pub gbits: f64,
    /// Memory in GB.
    pub memory_gb: f64,
}

impl Default for MachineSize {
    /// 32 cores, 25 Gbit/s, 64 GB.
    fn default() -> Self {
        Self { cores: 32.0, gbits: 25.0, memory_gb: 64.0 }
    }
}

/// Assumptions of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assumptions {
    /// Concurrent participants.
    pub participants: f64,
    /// Share of a core that may be used in the mean: the rest is for peaks.
    pub core_use: f64,
    /// Share of a link that may be used in the mean.
    pub link_use: f64,
    /// How long a participant stays, in minutes.
    pub stay_minutes: f64,
    /// The machine.
    pub machine: MachineSize,
    /// One audio stream, as measured.
    pub audio: StreamRate,
    /// One video stream, as measured.
    pub video: StreamRate,
    /// CPU of the server for one participant to join, in milliseconds, as measured; `null` when it was not.
    pub join_cpu_ms: Option<f64>,
    /// Memory, as measured; `null` when it was not.
    pub memory: Option<MemoryCosts>,
}

/// Resources that one participant of a kind needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindSize {
    /// The kind.
    pub kind: String,
    /// How many of it are in a room.
    pub per_room: f64,
    /// Share of a core.
    pub cpu: f64,
    /// Memory in bytes; `null` when it was not measured.
    pub memory_bytes: Option<f64>,
    /// Bits a second to it, on the wire.
    pub out_bits_per_s: f64,
    /// Bits a second from it, on the wire.
    pub in_bits_per_s: f64,
    /// How many of it fit one core.
    pub per_core: f64,
    /// How many of it fit a link of 10 Gbit/s, which carries as much each way.
    pub per_10_gbits: f64,
}

/// The resource that limits the participants of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bottleneck {
    /// Its cores.
    Cores,
    /// Its link.
    Link,
    /// Its memory.
    Memory,
}

impl Bottleneck {
    /// Name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cores => "cores",
            Self::Link => "link",
            Self::Memory => "memory",
        }
    }
}

/// Resources that all concurrent participants need.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Total {
    /// Number of participants.
    pub participants: f64,
    /// Cores for media, with what is kept free.
    pub cores: f64,
    /// Gbit/s out of all servers.
    pub out_gbits: f64,
    /// Gbit/s into all servers.
    pub in_gbits: f64,
    /// Links of 10 Gbit/s, with what is kept free.
    pub links_10_gbits: f64,
    /// Memory in bytes; `null` when it was not measured.
    pub memory_bytes: Option<f64>,
    /// Machines.
    pub machines: f64,
    /// The resource that is exhausted first.
    pub bottleneck: Bottleneck,
    /// Participants that join each second.
    pub joins_per_s: f64,
    /// Signaling messages a second at most, both ways.
    pub signaling_messages_per_s: f64,
    /// Cores for joins, with what is kept free; `null` when joins were not measured.
    pub join_cores: Option<f64>,
}

/// A workload, sized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadSize {
    /// Its name.
    pub workload: String,
    /// Participants of a room.
    pub room: f64,
    /// Share of a core that a whole room takes. A room has one worker: above what may be used of a core, it does not fit.
    pub room_cpu: f64,
    /// Whether a room fits its worker.
    pub room_fits: bool,
    /// Participants of all kinds, as they are mixed, that fit one core.
    pub per_core: f64,
    /// And a link of 10 Gbit/s.
    pub per_10_gbits: f64,
    /// Each kind alone.
    pub kinds: Vec<KindSize>,
    /// All at once.
    pub total: Total,
}

/// How many of something fit; `f64::MAX` when it needs nothing.
fn fitting(available: f64, needed: f64) -> f64 {
    if needed > 0.0 { available / needed } else { f64::MAX }
}

impl Assumptions {
    /// Sizes one workload.
    #[must_use]
    pub fn size(&self, costs: &UnitCosts, workload: &Workload) -> WorkloadSize {
        let kinds: Vec<KindSize> = workload.kinds.iter().map(|kind| self.kind(costs, kind)).collect();
        let room = workload.participants();
        let sum = |of: fn(&KindSize) -> f64| kinds.iter().map(|kind| kind.per_room * of(kind)).sum::<f64>();
        let mean = |of: fn(&KindSize) -> f64| if room > 0.0 { sum(of) / room } else { 0.0 };
        let (cpu, out, into) = (mean(|k| k.cpu), mean(|k| k.out_bits_per_s), mean(|k| k.in_bits_per_s));
        let room_cpu = sum(|kind| kind.cpu);
        let memory = self.memory.map(|_| mean(|k| k.memory_bytes.unwrap_or(0.0)));
        WorkloadSize {
            workload: workload.name.clone(),
            room,
            room_cpu,
            room_fits: room_cpu <= self.core_use,
            per_core: fitting(self.core_use, cpu),
            per_10_gbits: fitting(self.link_use * TEN_GIGABITS, out.max(into)),
            kinds,
            total: self.total(workload, cpu, memory, (out, into)),
        }
    }

    fn kind(&self, costs: &UnitCosts, kind: &Kind) -> KindSize {
        let packets = |audio: f64, video: f64| audio * self.audio.pps + video * self.video.pps;
        let load = Load {
            received_pps: packets(kind.sends.audio, kind.sends.video),
            audio_pps: packets(kind.receives.audio, 0.0),
            video_pps: packets(0.0, kind.receives.video),
            participants: 1.0,
        };
        let bits =
            |streams: f64, rate: StreamRate| streams * (rate.bytes_per_s + rate.pps * WIRE_BYTES_PER_PACKET) * 8.0;
        let out_bits_per_s = bits(kind.receives.audio, self.audio) + bits(kind.receives.video, self.video);
        let in_bits_per_s = bits(kind.sends.audio, self.audio) + bits(kind.sends.video, self.video);
        let cpu = costs.cpu(load);
        KindSize {
            kind: kind.name.clone(),
            per_room: kind.per_room,
            cpu,
            memory_bytes: self
                .memory
                .map(|memory| memory.participant_bytes + (kind.sends.audio + kind.sends.video) * memory.stream_bytes),
            out_bits_per_s,
            in_bits_per_s,
            per_core: fitting(self.core_use, cpu),
            per_10_gbits: fitting(self.link_use * TEN_GIGABITS, out_bits_per_s.max(in_bits_per_s)),
        }
    }

    /// All participants, from the mean of one: share of a core, bytes of memory, bits a second out and in.
    fn total(&self, workload: &Workload, cpu: f64, memory: Option<f64>, (out, into): (f64, f64)) -> Total {
        let Self { participants, core_use, link_use, machine, .. } = *self;
        let joins_per_s = participants / (self.stay_minutes * 60.0);
        let join_cores = self.join_cpu_ms.map(|ms| joins_per_s * ms / 1e3 / core_use);
        let cores = participants * cpu / core_use;
        let memory_bytes = memory.map(|memory| participants * memory);
        let by_link = participants * out.max(into) / link_use / (machine.gbits * 1e9);
        let by_memory = memory_bytes.unwrap_or(0.0) / (machine.memory_gb * 1e9);
        let by_core = (cores + join_cores.unwrap_or(0.0)) / machine.cores;
        let (needed, bottleneck) =
            [(by_core, Bottleneck::Cores), (by_link, Bottleneck::Link), (by_memory, Bottleneck::Memory)]
                .into_iter()
                .max_by(|(one, _), (other, _)| one.total_cmp(other))
                .unwrap_or((0.0, Bottleneck::Cores));
        Total {
            participants,
            cores,
            out_gbits: participants * out / 1e9,
            in_gbits: participants * into / 1e9,
            links_10_gbits: (participants * out.max(into) / link_use / TEN_GIGABITS).ceil(),
            memory_bytes,
            machines: needed.ceil(),
            bottleneck,
            joins_per_s,
            signaling_messages_per_s: joins_per_s * workload.messages_per_stay(),
            join_cores,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::workload::Streams, *};

    /// One core forwards a million packets a second, and nothing else costs anything.
    const MICROSECOND: UnitCosts =
        UnitCosts { received_packet_us: 0.0, audio_packet_us: 1.0, video_packet_us: 1.0, participant_second_us: 0.0 };

    fn assumptions() -> Assumptions {
        Assumptions {
            participants: 1e6,
            core_use: 0.5,
            link_use: 0.5,
            stay_minutes: 1e6 / 60.0 / 1_000.0,
            machine: MachineSize { cores: 10.0, gbits: 10.0, memory_gb: 100.0 },
            audio: StreamRate { pps: 50.0, bytes_per_s: 50.0 * 94.0 },
            video: StreamRate { pps: 100.0, bytes_per_s: 100.0 * 894.0 },
            join_cpu_ms: Some(1.0),
            memory: Some(MemoryCosts { participant_bytes: 60_000.0, stream_bytes: 20_000.0 }),
        }
    }

    fn video_call_of_four() -> Workload {
        let both = Streams { audio: 1.0, video: 1.0 };
        Workload::room("four", [0, 0, 4], both, both)
    }

    #[test]
    fn size_of_round_numbers() {
        let size = assumptions().size(&MICROSECOND, &video_call_of_four());
        let kind = &size.kinds[0];
        // Three others, 150 packets a second each, a microsecond each.
        assert!((kind.cpu - 450e-6).abs() < 1e-12, "{kind:?}");
        assert!((kind.per_core - 0.5 / 450e-6).abs() < 1e-6);
        // 200 bytes for an audio and 1,000 for a video packet on the wire.
        assert!((kind.in_bits_per_s - (50.0 * 200.0 + 100.0 * 1_000.0) * 8.0).abs() < 1e-6);
        assert!((kind.out_bits_per_s - 3.0 * kind.in_bits_per_s).abs() < 1e-6);
        let total = size.total;
        assert!((total.cores - 900.0).abs() < 1e-6, "{total:?}");
        assert!((total.out_gbits - 2_640.0).abs() < 1e-6 && (total.in_gbits - 880.0).abs() < 1e-6, "{total:?}");
        assert_eq!(total.links_10_gbits, 528.0);
        // 528 links' worth, against 90.2 machines' worth of cores and one of memory.
        assert_eq!((total.machines, total.bottleneck), (528.0, Bottleneck::Link));
        assert!((total.joins_per_s - 1_000.0).abs() < 1e-6);
        assert_eq!(total.join_cores.map(f64::round), Some(2.0));
        assert_eq!(total.memory_bytes, Some(1e11));
    }

    #[test]
    fn room_too_large_for_a_worker() {
        let one = Streams { audio: 0.0, video: 1.0 };
        let room = |n| assumptions().size(&MICROSECOND, &Workload::room("stage", [1, n, 0], one, one));
        let (small, large) = (room(1_000), room(10_000));
        assert!(small.room_fits && !large.room_fits, "{} {}", small.room_cpu, large.room_cpu);
        assert_eq!(small.kinds.len(), 2);
    }

    #[test]
    fn unmeasured_stays_unknown() {
        let assumptions = Assumptions { join_cpu_ms: None, memory: None, ..assumptions() };
        let total = assumptions.size(&MICROSECOND, &video_call_of_four()).total;
        assert_eq!((total.join_cores, total.memory_bytes), (None, None));
    }
}
