//! Statistics of received packets by class of stream, for all bots of a thread together: histograms for each bot would cost
//! more than the bot.

use crate::{measure::latencies::Latencies, measure::send_log::Class, report::KindReport};

/// Statistics of one class of streams.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClassStatistics {
    pub(crate) latencies: Latencies,
    pub(crate) interarrival: Latencies,
    pub(crate) deviation: Latencies,
    /// Sums over receivers and streams; latency and jitter are filled in at the end.
    pub(crate) counts: KindReport,
}

impl ClassStatistics {
    pub(crate) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.interarrival.add(&other.interarrival);
        self.deviation.add(&other.deviation);
        add_counts(&mut self.counts, &other.counts);
    }
}

/// Adds the counters, not the quantiles.
pub(crate) fn add_counts(to: &mut KindReport, from: &KindReport) {
    to.streams += from.streams;
    to.sent += from.sent;
    to.sent_bytes += from.sent_bytes;
    to.expected += from.expected;
    to.delivered += from.delivered;
    to.delivered_bytes += from.delivered_bytes;
    to.lost += from.lost;
    to.lost_before_repair += from.lost_before_repair;
    to.reordered += from.reordered;
    to.duplicates += from.duplicates;
    to.opened += from.opened;
    to.undecryptable += from.undecryptable;
    to.before_key += from.before_key;
}

/// Statistics of the bots of one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statistics {
    classes: [ClassStatistics; 3],
    /// From the start of joining to the first media, in milliseconds.
    pub(crate) first_media: Latencies,
}

impl Statistics {
    pub(crate) fn of(&self, class: Class) -> &ClassStatistics {
        &self.classes[class as usize]
    }

    pub(crate) fn of_mut(&mut self, class: Class) -> &mut ClassStatistics {
        &mut self.classes[class as usize]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for class in Class::ALL {
            self.of_mut(class).add(other.of(class));
        }
        self.first_media.add(&other.first_media);
    }
}
