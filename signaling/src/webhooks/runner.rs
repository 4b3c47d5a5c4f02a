//! The task that writes events down and makes attempts.

use super::{
    DeliveryId, EndpointId, Event, Failure, MAX_ATTEMPTS_AT_ONCE, Webhooks, milliseconds,
    sending::{Message, Sender},
};
use crate::{
    api::{ApiRecords, keys::seconds},
    config::WebhookSettings,
    metrics::Metrics,
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::mpsc,
    task::{JoinSet, spawn_blocking},
    time::sleep,
};

/// Longest sleep: the system's clock may be set meanwhile.
const LONGEST: Duration = Duration::from_secs(30);

/// Makes attempts until it is dropped. Those under way then are made again by the next process.
pub(crate) async fn run(api: Arc<ApiRecords>, settings: WebhookSettings, metrics: Arc<Metrics>) {
    let sender = match Sender::new(settings.private, settings.timeout) {
        Ok(sender) => Arc::new(sender),
        Err(error) => {
            tracing::error!(%error, "webhooks are not called: TLS cannot be configured");
            return std::future::pending().await;
        }
    };
    let webhooks = &api.webhooks;
    let mut events = webhooks.happened.lock().await;
    let mut attempts =
        Attempts { api: Arc::clone(&api), settings, sender, metrics, tasks: JoinSet::new(), of: HashMap::new() };
    loop {
        let pause = attempts.start(SystemTime::now());
        tokio::select! {
            Some(event) = events.recv() => attempts.enqueue(event, &mut events).await,
            Some(ended) = attempts.tasks.join_next() => {
                if let Ok((id, result)) = ended {
                    attempts.ended(id, result).await;
                }
            }
            () = webhooks.wake.notified() => {}
            () = sleep(pause) => {}
        }
    }
}

/// The attempts under way.
struct Attempts {
    api: Arc<ApiRecords>,
    settings: WebhookSettings,
    sender: Arc<Sender>,
    metrics: Arc<Metrics>,
    tasks: JoinSet<(DeliveryId, Result<(), Failure>)>,
    /// Which deliveries of each endpoint.
    of: HashMap<EndpointId, Vec<DeliveryId>>,
}

impl Attempts {
    /// Starts those that are due; returns the time until others are.
    fn start(&mut self, now: SystemTime) -> Duration {
        let webhooks = &self.api.webhooks;
        let Some(signer) = super::lock(&webhooks.signer).clone() else { return LONGEST };
        let (endpoints, deliveries) = (webhooks.endpoints(), webhooks.deliveries());
        let (mut pause, now_ms, timestamp) = (LONGEST, milliseconds(now), seconds(now));
        for (id, delivery) in deliveries.iter().filter(|(_, delivery)| !delivery.failed) {
            let under_way = self.of.entry(id.endpoint).or_default();
            if under_way.len() >= MAX_ATTEMPTS_AT_ONCE || under_way.contains(id) {
                continue;
            }
            // One that lies further ahead than any pause was written under a wrong clock.
            let ahead = Duration::from_millis(delivery.due.saturating_sub(now_ms));
            let longest = self.settings.pauses.iter().max().copied().unwrap_or_default().mul_f64(1.3);
            if !ahead.is_zero() && ahead <= longest {
                pause = pause.min(ahead);
                continue;
            }
            let Some(endpoint) = endpoints.get(&id.endpoint) else { continue };
            under_way.push(*id);
            let message = Message {
                id: delivery.message.clone(),
                timestamp,
                signature: signer.sign(&endpoint.stored.secret, &delivery.message, timestamp, &delivery.body),
                body: delivery.body.clone(),
            };
            let (id, url, sender) = (*id, endpoint.stored.url.clone(), Arc::clone(&self.sender));
            self.tasks.spawn(async move { (id, sender.send(&url, message).await) });
        }
        pause
    }

    /// Writes an event down, and those that happened meanwhile.
    async fn enqueue(&self, first: Event, events: &mut mpsc::Receiver<Event>) {
        let mut happened = vec![first];
        while let Ok(event) = events.try_recv() {
            happened.push(event);
        }
        self.change(move |webhooks, _, now| {
            let results = happened.iter().map(|event| webhooks.enqueue(event, now));
            // All are made, whichever cannot be stored.
            results.fold(Ok(()), Result::and).map_err(|error| error.to_string())
        })
        .await;
    }

    async fn ended(&mut self, id: DeliveryId, result: Result<(), Failure>) {
        if let Err(failure) = result {
            tracing::debug!(endpoint = %id.endpoint, ?failure, "a webhook was not reached");
        }
        let metrics = Arc::clone(&self.metrics);
        self.change(move |webhooks, settings, now| {
            let outcome = webhooks.attempted(id, result, settings, now).map_err(|error| error.to_string())?;
            metrics.deliveries.count(outcome);
            Ok(())
        })
        .await;
        if let Some(under_way) = self.of.get_mut(&id.endpoint) {
            under_way.retain(|other| *other != id);
        }
    }

    /// Changes records on a thread that may wait for the disk.
    async fn change(
        &self,
        change: impl FnOnce(&Webhooks, &WebhookSettings, SystemTime) -> Result<(), String> + Send + 'static,
    ) {
        let (api, settings) = (Arc::clone(&self.api), self.settings.clone());
        let changed = spawn_blocking(move || change(&api.webhooks, &settings, SystemTime::now())).await;
        if let Ok(Err(error)) = changed {
            tracing::error!(error, "a message to a webhook was not recorded, and will be forgotten by a restart");
        }
    }
}
