//! One run: server, bots, the measured time, the report.

pub mod fanout;
mod open_files;
pub(crate) mod options;
pub(crate) mod progress;
pub(crate) mod stop;

use crate::{
    bots::canary::{self, CanaryError, CanaryOutcome},
    bots::cast::{self, Kind, Part, When},
    bots::context::{Joins, Phase, Room, RunContext, count},
    bots::engine::Engines,
    bots::light::{self, LightError},
    bots::pattern::Stays,
    bots::running::Bots,
    bots::streams::Origin,
    measure::accounting::Window,
    measure::affinity::KeptOff,
    measure::machine_time::MachineTime,
    measure::send_log::RoomLog,
    measure::server_load::ServerLoad,
    measure::server_metrics::{MetricsError, MetricsUrl, ServerUsage},
    measure::server_process::{ChildServer, ServerError},
    report::Report,
    report::summary::{Server as ServerSeen, Summary},
    run::options::{Options, OptionsError, Rooms, Server},
    run::progress::{Progress, Stage},
};
use rtc_client::{Identity, IdentityError};
use std::{io, sync::Arc, time::Duration};
use tacet_native::{
    link::{Origin as ServerOrigin, RoomLink},
    rooms::{self, RoomError},
    tls::Trust,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep, sleep_until, timeout},
};

/// Joins that go on at the same time, but for a storm.
const PARALLEL_JOINS: usize = 16;
/// Rooms that are made at the same time.
const PARALLEL_ROOMS: usize = 8;
/// Open files of a bot at most, of both stacks, and of all else.
const OPEN_FILES_PER_BOT: u64 = 3;
const OPEN_FILES: u64 = 200;
/// Participants that a server allows a room at most.
const MOST_PARTICIPANTS: usize = 4_096;
/// How long all bots may take to be ready, and how much more each may.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const READY_PER_BOT: Duration = Duration::from_millis(100);
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
    /// Its rooms.
    #[error("cannot create a room on {origin}: {source}")]
    Room {
        /// The server.
        origin: String,
        /// Why.
        source: RoomError,
    },
    /// Its metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
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
    #[error("{missing} of {bots} bots were not ready in time: no media path, stream or key")]
    NotReady {
        /// How many were not.
        missing: usize,
        /// Of how many.
        bots: usize,
    },
    /// The run was stopped before the measured time.
    #[error("stopped before anything was measured")]
    Stopped,
    /// A task of ours ended in a panic.
    #[error("a bot panicked")]
    Panicked,
}

/// Tasks of the bots; those of canaries return what they saw.
type BotTasks = JoinSet<Result<Option<CanaryOutcome>, LoadError>>;

/// Runs the load and measures it, telling `progress` how far it is.
///
/// # Errors
/// [`LoadError`] when there is nothing to measure. Loss and frames that do not open are results, not errors; so is what was
/// measured of a run that [`Options::stop`] ends.
pub async fn run(options: &Options, progress: &dyn Progress) -> Result<Report, LoadError> {
    options.check()?;
    progress.stage(Stage::Starting);
    open_files::allow(OPEN_FILES + OPEN_FILES_PER_BOT * options.scenario.bots() as u64)?;
    // Kept until the end: threads that are started meanwhile inherit it.
    let kept_off = options.server_core.map(KeptOff::core).transpose()?;
    let (child, trust, metrics) = match &options.server {
        Server::Child { program } => {
            let scenario = &options.scenario;
            let canaries = scenario.canaries.div_ceil(scenario.rooms.max(1));
            // A bot that leaves and its successor may be in the room together for a moment.
            let participants = (2 * (scenario.room_size() + canaries)).min(MOST_PARTICIPANTS);
            let adapts = scenario.video.is_some_and(|video| video.layers.is_some());
            let server = ChildServer::start(program, participants, adapts, options.server_core).await?;
            (Some(server), Trust::default(), None)
        }
        Server::Running { trust, metrics, .. } => (None, *trust, metrics.clone()),
    };
    let mut under_test = UnderTest { child, trust, metrics };
    let result = match links(options, &under_test).await {
        Ok(links) => match Run::new(options, links, &under_test, progress) {
            Ok(run) => run.measure().await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    let ended = under_test.child.as_mut().and_then(ChildServer::ended);
    if let Some(child) = under_test.child {
        child.stop().await;
    }
    drop(kept_off);
    result.map(|mut report| {
        if let Some(status) = ended {
            report.server_lost = true;
            report.generator.limits.push(format!("the server ended while it was measured ({status})"));
        }
        report
    })
}

/// The server under test, as far as it is known.
struct UnderTest {
    child: Option<ChildServer>,
    trust: Trust,
    metrics: Option<MetricsUrl>,
}

impl UnderTest {
    /// Resources used by its process since it started.
    async fn usage(&self) -> Result<ServerUsage, LoadError> {
        if let Some(child) = &self.child {
            return Ok(child.usage().into());
        }
        let Some(metrics) = self.metrics.clone() else { return Ok(ServerUsage::default()) };
        let trust = self.trust;
        let said = spawn_blocking(move || metrics.read(trust)).await.map_err(|_| LoadError::Panicked)??;
        Ok(said.into())
    }

    /// What the server says of its load; `None` if it says nothing.
    async fn load(&self) -> Option<ServerLoad> {
        let of_child = self.child.as_ref().and_then(|child| child.metrics.clone());
        let (url, trust) = (of_child.or_else(|| self.metrics.clone())?, self.trust);
        spawn_blocking(move || url.read_load(trust)).await.ok()?.ok()?
    }

    fn socket_drops(&self) -> Option<u64> {
        self.child.as_ref().and_then(ChildServer::socket_drops)
    }
}

/// Links of all rooms: those given, or new ones.
async fn links(options: &Options, server: &UnderTest) -> Result<Vec<RoomLink>, LoadError> {
    let wanted = options.scenario.rooms;
    let (mut links, origin, api_key) = match (&options.server, &server.child) {
        (Server::Running { rooms: Rooms::Links(links), .. }, _) => return Ok(links.clone()),
        (Server::Running { rooms: Rooms::Make { origin, api_key }, .. }, _) => {
            (Vec::new(), origin.clone(), api_key.clone())
        }
        (Server::Child { .. }, Some(child)) => (vec![child.link.clone()], child.link.origin().clone(), None),
        (Server::Child { .. }, None) => return Err(ServerError::Silent.into()),
    };
    let at_once = Arc::new(Semaphore::new(PARALLEL_ROOMS));
    let mut making = JoinSet::new();
    for _ in links.len()..wanted {
        let (origin, api_key, trust): (ServerOrigin, _, _) = (origin.clone(), api_key.clone(), server.trust);
        let at_once = at_once.clone();
        making.spawn(async move {
            let _permit = at_once.acquire_owned().await;
            spawn_blocking(move || rooms::make(&origin, trust, api_key.as_ref().map(|key| key.0.as_str()))).await
        });
    }
    while let Some(made) = making.join_next().await {
        let made = made.map_err(|_| LoadError::Panicked)?.map_err(|_| LoadError::Panicked)?;
        links.push(made.map_err(|source| LoadError::Room { origin: origin.to_string(), source })?);
    }
    Ok(links)
}

struct Run<'a> {
    options: &'a Options,
    server: &'a UnderTest,
    progress: &'a dyn Progress,
    rooms: Vec<Arc<Room>>,
    /// The context of every bot, except for room and thread.
    context: RunContext,
    engines: Engines,
    phase: watch::Sender<Phase>,
    ready: mpsc::UnboundedReceiver<()>,
    joins: Arc<Semaphore>,
    bots: BotTasks,
}

impl<'a> Run<'a> {
    fn new(
        options: &'a Options,
        links: Vec<RoomLink>,
        server: &'a UnderTest,
        progress: &'a dyn Progress,
    ) -> Result<Self, LoadError> {
        let room = |link: RoomLink| Arc::new(Room { link, log: Arc::new(RoomLog::default()) });
        let rooms: Vec<_> = links.into_iter().take(options.scenario.rooms).map(room).collect();
        let first = rooms.first().cloned().ok_or(ServerError::Silent)?;
        let (phase, phases) = watch::channel(Phase::Joining);
        let (tell_ready, ready) = mpsc::unbounded_channel();
        let context = RunContext {
            scenario: Arc::new(options.scenario.clone()),
            room: first,
            trust: server.trust,
            identity: Arc::new(Identity::generate()?),
            engine: None,
            window: Arc::new(Window::closed()),
            origin: Origin::now(),
            phase: phases,
            joins: Arc::new(Joins::default()),
            ready: tell_ready,
        };
        Ok(Self {
            options,
            server,
            progress,
            rooms,
            context,
            engines: Engines::start(options.threads, options.pin_threads)?,
            phase,
            ready,
            joins: Arc::new(Semaphore::new(PARALLEL_JOINS)),
            bots: JoinSet::new(),
        })
    }

    async fn measure(mut self) -> Result<Report, LoadError> {
        let scenario = &self.options.scenario;
        let measure = seconds(scenario.seconds);
        let parts = cast::cast(scenario);
        let mut stop = self.options.stop.clone();
        let prepared = tokio::select! {
            prepared = self.prepare(&parts) => prepared,
            () = stop.requested() => Err(LoadError::Stopped),
        };
        let [empty, before_receivers, joined] = match prepared {
            Ok(usage) => usage,
            Err(error) => {
                // Those that have joined would stay on the roster until the server misses them.
                self.leave().await;
                return Err(error);
            }
        };
        self.progress.stage(Stage::Measuring(measure));
        let (machine, drops) = (MachineTime::now(), self.server.socket_drops());
        let load_before = self.server.load().await;
        self.engines.start_measuring(&self.context.window, measure);
        let start = self.server.usage().await?;
        let _ = self.phase.send(Phase::Measuring);
        let begun = Instant::now();
        for part in parts.iter().filter(|part| matches!(part.when, When::Storm(_))) {
            self.spawn(*part, begun);
        }
        let stopped = tokio::select! {
            () = sleep_until(begun + measure) => false,
            () = stop.requested() => true,
        };
        if stopped {
            self.context.window.end();
        }
        // A server that cannot be asked any more has ended, which the report says.
        let end = self.server.usage().await.unwrap_or_default();
        let measured = begun.elapsed();
        let load = load_before.zip(self.server.load().await);
        let stolen = MachineTime::now().stolen_since(&machine);
        let drops = self.server.socket_drops().zip(drops).map(|(end, start)| end.saturating_sub(start));
        self.progress.stage(Stage::Draining);
        self.engines.stop_measuring().await;

        let canaries = self.leave().await;
        let threads = self.engines.len();
        // The bots' own copies have gone with them.
        let Self { context, engines, rooms, .. } = self;
        let outcome = engines.finish()?;
        let server = ServerSeen { empty, before_receivers, joined, start, end, measured, drops, load };
        let mut options = self.options.clone();
        if stopped {
            options.scenario.seconds = measured.as_secs_f64();
        }
        let summary = Summary {
            options: &options,
            outcome,
            canaries,
            rooms: rooms.iter().map(|room| room.log.clone()).collect(),
            joins: context.joins,
            server,
            stolen,
            threads,
        };
        let mut report = summary.report();
        if stopped {
            let (after, of) = (measured.as_secs_f64(), measure.as_secs_f64());
            report.generator.limits.push(format!("stopped after {after:.1} of {of:.1} s"));
        }
        Ok(report)
    }

    /// Lets everyone join who is there before the measured time, and media flow for a while. Returns what the server has used
    /// when it was empty, before the receivers came, and when all were there.
    async fn prepare(&mut self, parts: &[Part]) -> Result<[ServerUsage; 3], LoadError> {
        let at = |when: When, canary: bool| {
            let of = |part: &&Part| part.when == when && (part.kind == Kind::Canary) == canary;
            parts.iter().filter(of).copied().collect::<Vec<_>>()
        };
        let first = at(When::First, false);
        let second = at(When::Second, false);
        let canaries = at(When::Second, true);

        let empty = self.server.usage().await?;
        let all = first.len() + second.len() + canaries.len();
        self.progress.stage(Stage::Joining { ready: 0, of: all });
        self.join(&first, 0, all).await?;
        let before_receivers = self.server.usage().await?;
        self.join(&second, first.len(), all).await?;
        self.join(&canaries, first.len() + second.len(), all).await?;
        let joined = self.server.usage().await?;

        self.engines.each(Bots::start_all);
        let warmup = seconds(self.options.scenario.warmup);
        self.progress.stage(Stage::WarmingUp(warmup));
        sleep(warmup).await;
        Ok([empty, before_receivers, joined])
    }

    /// Starts bots and waits until they are ready; `ready` of `all` were ready before.
    async fn join(&mut self, parts: &[Part], ready: usize, all: usize) -> Result<(), LoadError> {
        let now = Instant::now();
        for part in parts {
            self.spawn(*part, now);
        }
        let bots = parts.len();
        let limit = READY_TIMEOUT + READY_PER_BOT * u32::try_from(bots).unwrap_or(u32::MAX);
        let until = now + limit;
        let mut done = 0;
        while done < bots {
            tokio::select! {
                Some(()) = self.ready.recv() => {
                    done += 1;
                    self.progress.stage(Stage::Joining { ready: ready + done, of: all });
                }
                // No bot leaves before the measured time.
                Some(ended) = self.bots.join_next() => {
                    ended.unwrap_or(Err(LoadError::Panicked))?;
                    return Err(LoadError::NotReady { missing: bots - done, bots });
                }
                () = sleep_until(until) => return Err(LoadError::NotReady { missing: bots - done, bots }),
            }
        }
        Ok(())
    }

    fn spawn(&mut self, part: Part, begun: Instant) {
        let Some(room) = self.rooms.get(part.room).cloned() else { return };
        let engine = if part.kind == Kind::Canary { None } else { self.engines.pick(part.receives()) };
        let context = RunContext { room, engine, ..self.context.clone() };
        let joins = self.joins.clone();
        self.bots.spawn(async move {
            match part.when {
                When::First | When::Second => {
                    let permit = joins.acquire_owned().await.ok();
                    play(&context, &part, permit).await
                }
                When::Storm(at_s) => {
                    sleep_until(begun + Duration::try_from_secs_f64(at_s).unwrap_or_default()).await;
                    play(&context, &part, None).await
                }
            }
        });
    }

    /// Lets every bot leave its room, and waits for it; returns what the canaries saw.
    async fn leave(&mut self) -> Vec<CanaryOutcome> {
        let _ = self.phase.send(Phase::Over);
        let mut seen = Vec::new();
        let leave = async {
            while let Some(ended) = self.bots.join_next().await {
                if let Ok(Ok(Some(canary))) = ended {
                    seen.push(canary);
                }
            }
        };
        let _ = timeout(LEAVE_TIMEOUT, leave).await;
        self.bots.shutdown().await;
        seen
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX)
}

/// Plays a part, again and again if its bots come and go. Once the run is measured, a bot that fails is counted and the
/// run goes on.
async fn play(
    context: &RunContext,
    part: &Part,
    mut permit: Option<OwnedSemaphorePermit>,
) -> Result<Option<CanaryOutcome>, LoadError> {
    let scenario = &context.scenario;
    let mut stays = scenario.churn.filter(|_| part.churns);
    let mut stays = stays.take().map(|churn| Stays::new(churn.mean_stay_s, scenario.seed, part.number as u64));
    loop {
        if *context.phase.borrow() == Phase::Over {
            return Ok(None);
        }
        count(&context.joins.begun);
        let result = if part.kind == Kind::Canary {
            let seen = canary::attend(context, part, permit.take()).await;
            seen.map(Some).map_err(|source| LoadError::Canary { who: part.name(), source })
        } else {
            let stay = stays.as_mut().map(Stays::next);
            let attended = light::attend(context, part, permit.take(), stay).await;
            attended.map(|()| None).map_err(|source| LoadError::Light { who: part.name(), source })
        };
        if result.is_err() {
            count(&context.joins.failed);
        }
        let phase = *context.phase.borrow();
        if phase == Phase::Joining || result.as_ref().is_ok_and(Option::is_some) {
            return result;
        }
        if phase == Phase::Over || stays.is_none() {
            return Ok(None);
        }
    }
}
