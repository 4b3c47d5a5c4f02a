//! One run: server, publishers, receivers, the measured time, the report.

use crate::{
    canary::{self, CanaryError, Readiness},
    clock::{nanos, now_ns},
    engine::{Engine, Outcome},
    latencies::Latencies,
    light::{self, LightError, Rate, Shared},
    options::{Options, OptionsError, Server},
    process::{ChildServer, ServerError, Usage},
    progress::{Progress, Stage},
    report::{CanaryReport, LatencyUs, Report},
    sendlog::SendLog,
    tally::{Counts, Tally, Window},
};
use sfu::transport::{Identity, IdentityError};
use std::{io, sync::Arc, time::Duration};
use tacet_native::{call::JoinOptions, link::RoomLink, tls::Trust};
use tacet_proto::ParticipantId;
use tokio::{
    sync::{Semaphore, oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Joins that go on at the same time.
const PARALLEL_JOINS: usize = 16;
/// How long all bots may take to be ready, and how much more each may.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const READY_PER_BOT: Duration = Duration::from_millis(100);
/// How long packets of the measured time may still arrive: retransmissions take several round trips.
const DRAIN: Duration = Duration::from_millis(500);
/// Points of the latency's distribution in a report.
const CDF_POINTS: usize = 200;
/// How long bots may take to leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The settings.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The server under test.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A thread or socket of the generator.
    #[error("load generator: {0}")]
    Io(#[from] io::Error),
    /// A certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A light bot.
    #[error("{who}: {source}")]
    Light {
        /// Which.
        who: String,
        /// Why.
        source: LightError,
    },
    /// A bot on the `webrtc` crate.
    #[error("{who}: {source}")]
    Canary {
        /// Which.
        who: String,
        /// Why.
        source: CanaryError,
    },
    /// Bots that had not all they need.
    #[error("{missing} of {bots} {who} were not ready in time: no media path, stream or key")]
    NotReady {
        /// How many were not.
        missing: usize,
        /// Of how many.
        bots: usize,
        /// Which kind.
        who: &'static str,
    },
    /// A task of ours ended in a panic.
    #[error("a bot panicked")]
    Panicked,
}

/// Ends of the tasks that stay in calls.
type Lights = JoinSet<Result<(), LoadError>>;
type Canaries = JoinSet<Result<(Counts, Latencies), LoadError>>;

/// Runs the load and measures it, telling `progress` how far it is.
///
/// # Errors
/// [`LoadError`] when there is nothing to measure. Loss and frames that do not open are results, not errors.
pub async fn run(options: &Options, progress: &dyn Progress) -> Result<Report, LoadError> {
    options.check()?;
    progress.stage(Stage::Starting);
    let (child, link, trust) = match &options.server {
        Server::Child { program } => {
            let bots = options.publishers + options.subscribers + options.canaries;
            let child = ChildServer::start(program, bots).await?;
            let link = child.link.clone();
            (Some(child), link, Trust::default())
        }
        Server::Running { link, trust } => (None, link.clone(), *trust),
    };
    let result = Run::new(options, link, trust, child.as_ref(), progress)?.measure().await;
    if let Some(child) = child {
        child.stop().await;
    }
    result
}

struct Run<'a> {
    options: &'a Options,
    progress: &'a dyn Progress,
    child: Option<&'a ChildServer>,
    link: RoomLink,
    trust: Trust,
    identity: Arc<Identity>,
    window: Arc<Window>,
    logs: Arc<[Arc<SendLog>]>,
    senders: Arc<Engine>,
    receivers: Arc<Engine>,
    stop: watch::Sender<bool>,
    joins: Arc<Semaphore>,
    lights: Lights,
    canaries: Canaries,
}

impl<'a> Run<'a> {
    fn new(
        options: &'a Options,
        link: RoomLink,
        trust: Trust,
        child: Option<&'a ChildServer>,
        progress: &'a dyn Progress,
    ) -> Result<Self, LoadError> {
        // What may be under way: four seconds' worth of frames.
        let remembered = options.pps as usize * 4;
        Ok(Self {
            options,
            progress,
            child,
            link,
            trust,
            identity: Arc::new(Identity::generate()?),
            window: Arc::new(Window::closed()),
            logs: (0..options.publishers).map(|_| Arc::new(SendLog::new(remembered))).collect(),
            senders: Arc::new(Engine::start("load-send")?),
            receivers: Arc::new(Engine::start("load-receive")?),
            stop: watch::channel(false).0,
            joins: Arc::new(Semaphore::new(PARALLEL_JOINS)),
            lights: JoinSet::new(),
            canaries: JoinSet::new(),
        })
    }

    async fn measure(mut self) -> Result<Report, LoadError> {
        let options = self.options;
        let publishers = self.join_publishers().await?;
        let before = self.usage();
        self.join_receivers(Readiness { publishers: publishers.into_iter().collect() }).await?;

        self.senders.start_sending();
        self.progress.stage(Stage::WarmingUp(options.warmup));
        sleep(options.warmup).await;
        self.senders.measure_cpu();
        self.receivers.measure_cpu();
        self.progress.stage(Stage::Measuring(options.measure));
        let from_ns = now_ns();
        self.window.set(from_ns, from_ns.saturating_add(nanos(options.measure)));
        let at_start = self.usage();
        sleep(options.measure).await;
        let at_end = self.usage();
        self.senders.stop_cpu();
        self.receivers.stop_cpu();
        self.senders.stop_sending();
        self.progress.stage(Stage::Draining);
        sleep(DRAIN).await;

        let early = self.lights.try_join_next().is_some() || self.canaries.try_join_next().is_some();
        let _ = self.stop.send(true);
        let canaries = self.end_calls().await;
        let sent = finish(self.senders)?;
        let received = finish(self.receivers)?;
        let mut report = summarise(options, &sent, &received, canaries);
        if early {
            report.generator.limits.push("a bot lost its call before the end".to_owned());
        }
        if self.child.is_some() {
            let forwarded = (report.delivered + report.canaries.delivered) as f64;
            let cpu_ns = at_end.cpu_ns.saturating_sub(at_start.cpu_ns) as f64;
            report.server_cpu = Some(cpu_ns / nanos(options.measure) as f64);
            report.server_cpu_s_per_mpkt = (forwarded > 0.0).then(|| cpu_ns / 1e9 / (forwarded / 1e6));
            let receivers = (options.subscribers + options.canaries).max(1) as u64;
            let waited_ns = at_end.waited_ns.saturating_sub(at_start.waited_ns) as f64;
            report.generator.server_waited = waited_ns / nanos(options.measure) as f64;
            report.rss_bytes_per_subscriber = Some(at_end.rss_bytes.saturating_sub(before.rss_bytes) / receivers);
        }
        report.generator.judge();
        Ok(report)
    }

    fn usage(&self) -> Usage {
        self.child.map(ChildServer::usage).unwrap_or_default()
    }

    fn shared(&self, engine: &Arc<Engine>) -> Shared {
        Shared {
            link: self.link.clone(),
            identity: self.identity.clone(),
            engine: engine.clone(),
            window: self.window.clone(),
            stop: self.stop.subscribe(),
        }
    }

    fn join_options(&self, name: &str, subscribe: bool, exchange_keys: bool) -> JoinOptions {
        JoinOptions { trust: self.trust, subscribe, exchange_keys, ..JoinOptions::new(name) }
    }

    async fn join_publishers(&mut self) -> Result<Vec<ParticipantId>, LoadError> {
        let rate = Rate { pps: self.options.pps, burst: self.options.burst, size: self.options.size };
        let mut waiting = Vec::new();
        for (n, log) in self.logs.iter().enumerate() {
            let who = format!("publisher {}", n + 1);
            let (ready, is_ready) = oneshot::channel();
            waiting.push(is_ready);
            let shared = self.shared(&self.senders);
            let join = self.join_options(&who, false, true);
            let task = light::publish(shared, join, rate, log.clone(), ready);
            self.lights.spawn(async move { task.await.map_err(|source| LoadError::Light { who, source }) });
        }
        wait_for("publishers", waiting, &mut self.lights, &mut self.canaries).await
    }

    async fn join_receivers(&mut self, readiness: Readiness) -> Result<(), LoadError> {
        let mut waiting = Vec::new();
        for n in 0..self.options.subscribers {
            let who = format!("subscriber {}", n + 1);
            let (ready, is_ready) = oneshot::channel();
            let shared = self.shared(&self.receivers);
            let join = self.join_options(&who, true, !self.options.light);
            let (logs, readiness, joins) = (self.logs.clone(), readiness.clone(), self.joins.clone());
            let (joined, has_joined) = oneshot::channel();
            self.lights.spawn(async move {
                let permit = joins.acquire_owned().await;
                tokio::spawn(async move {
                    // Joining counts until the bot is ready; its call goes on without.
                    let _permit = permit;
                    if has_joined.await.is_ok() {
                        let _ = ready.send(());
                    }
                });
                let task = light::subscribe(shared, join, logs, readiness, joined);
                task.await.map_err(|source| LoadError::Light { who, source })
            });
            waiting.push(is_ready);
        }
        wait_for("subscribers", waiting, &mut self.lights, &mut self.canaries).await?;
        let mut waiting = Vec::new();
        for n in 0..self.options.canaries {
            let who = format!("canary {}", n + 1);
            let (ready, is_ready) = oneshot::channel();
            let join = self.join_options(&who, true, true);
            let tally = Tally::new(self.logs.clone(), self.window.clone());
            let task = canary::run(self.link.clone(), join, tally, readiness.clone(), ready, self.stop.subscribe());
            self.canaries.spawn(async move { task.await.map_err(|source| LoadError::Canary { who, source }) });
            waiting.push(is_ready);
        }
        wait_for("canaries", waiting, &mut self.lights, &mut self.canaries).await.map(|_: Vec<()>| ())
    }

    /// Lets every bot leave; gives what the canaries saw.
    async fn end_calls(&mut self) -> Vec<(Counts, Latencies)> {
        let mut seen = Vec::new();
        let leave = async {
            while let Some(ended) = self.canaries.join_next().await {
                if let Ok(Ok(outcome)) = ended {
                    seen.push(outcome);
                }
            }
            while self.lights.join_next().await.is_some() {}
        };
        let _ = timeout(LEAVE_TIMEOUT, leave).await;
        self.lights.shutdown().await;
        self.canaries.shutdown().await;
        seen
    }
}

/// Waits until all bots are ready, or one has ended, or too much time has passed.
async fn wait_for<T>(
    who: &'static str,
    waiting: Vec<oneshot::Receiver<T>>,
    lights: &mut Lights,
    canaries: &mut Canaries,
) -> Result<Vec<T>, LoadError> {
    let bots = waiting.len();
    let mut ready = Vec::with_capacity(bots);
    let all = async {
        for one in waiting {
            match one.await {
                Ok(value) => ready.push(value),
                // Its task has ended, and says why.
                Err(_) => std::future::pending().await,
            }
        }
    };
    let limit = READY_TIMEOUT + READY_PER_BOT * u32::try_from(bots).unwrap_or(u32::MAX);
    let ended: Option<Result<(), LoadError>> = tokio::select! {
        () = all => None,
        Some(ended) = lights.join_next() => Some(ended.unwrap_or(Err(LoadError::Panicked))),
        Some(ended) = canaries.join_next() => Some(ended.unwrap_or(Err(LoadError::Panicked)).map(|_| ())),
        () = sleep(limit) => Some(Ok(())),
    };
    match ended {
        None => Ok(ready),
        Some(Err(error)) => Err(error),
        Some(Ok(())) => Err(LoadError::NotReady { missing: bots - ready.len(), bots, who }),
    }
}

/// Ends an engine; all bots that knew it have ended.
fn finish(engine: Arc<Engine>) -> io::Result<Outcome> {
    Arc::try_unwrap(engine).map_err(|_| io::Error::other("a bot still holds its thread"))?.finish()
}

fn summarise(options: &Options, sent: &Outcome, received: &Outcome, canaries: Vec<(Counts, Latencies)>) -> Report {
    let mut report = Report {
        scenario: "packets".to_owned(),
        rooms: 1,
        publishers: options.publishers,
        subscribers: options.subscribers,
        seconds: options.measure.as_secs_f64(),
        pps: options.pps,
        size: options.size,
        burst: options.burst,
        light: options.light,
        ..Report::default()
    };
    let frames: u64 = sent.senders.iter().map(|sender| sender.sent).sum();
    report.expected = frames * options.subscribers as u64;
    report.delivered = received.counts.delivered;
    report.lost = report.expected.saturating_sub(report.delivered);
    report.undecryptable = received.counts.undecryptable;
    report.duplicates = received.counts.duplicates;
    report.latency_us = LatencyUs::of(&received.latencies);
    report.latency_cdf = received.latencies.cdf(CDF_POINTS);
    report.latencies = received.latencies.clone();

    let (mut counts, mut latencies) = (Counts::default(), Latencies::new());
    for (one, its_latencies) in &canaries {
        counts.add(one);
        latencies.add(its_latencies);
    }
    let expected = frames * options.canaries as u64;
    report.canaries = CanaryReport {
        bots: options.canaries,
        expected,
        delivered: counts.delivered,
        lost: expected.saturating_sub(counts.delivered),
        undecryptable: counts.undecryptable,
        latency_us: LatencyUs::of(&latencies),
        ..CanaryReport::default()
    };
    report.forwarded_pps = (report.delivered + counts.delivered) as f64 / options.measure.as_secs_f64();

    let mut lag = Latencies::new();
    for sender in &sent.senders {
        lag.add(&sender.lag);
    }
    let generator = &mut report.generator;
    generator.schedule_lag_us_p99 = lag.quantile(0.99);
    generator.skipped = sent.senders.iter().map(|sender| sender.skipped).sum();
    generator.send_errors = sent.senders.iter().map(|sender| sender.errors).sum();
    generator.receive_drops = received.receive_drops;
    generator.busiest_thread = sent.busy.max(received.busy);
    report
}
