//! What a server says of its load: how long audio has waited inside of it, and whether it limits video.

/// Metrics of a server's load at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ServerLoad {
    /// How long audio packets waited.
    pub(crate) audio: Waits,
    /// The same, without the time for which the workers had no core.
    pub(crate) audio_on_core: Waits,
    /// The lowest bitrate in bits a second to which a worker limits video; 0 if none does.
    pub(crate) video_limit: f64,
}

/// Upper bounds in seconds, and the number of packets that waited no longer, of all workers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Waits(Vec<(f64, f64)>);

impl ServerLoad {
    /// Reads the metrics in the Prometheus text format; `None` if there are none of a media plane.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        const AUDIO: &str = "_audio_forwarding_seconds_bucket{";
        const AUDIO_ON_CORE: &str = "_audio_forwarding_on_core_seconds_bucket{";
        const LIMIT: &str = "_overload_video_limit_bytes_per_second{";
        let mut load = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            if let Some((_, labels)) = series.split_once(AUDIO) {
                load.audio.add(labels, value);
            } else if let Some((_, labels)) = series.split_once(AUDIO_ON_CORE) {
                load.audio_on_core.add(labels, value);
            } else if series.contains(LIMIT) && value > 0.0 {
                let limit = value * 8.0;
                load.video_limit = if load.video_limit > 0.0 { load.video_limit.min(limit) } else { limit };
            }
        }
        (!load.audio.0.is_empty()).then_some(load)
    }
}

impl Waits {
    /// Adds a bucket of a worker.
    fn add(&mut self, labels: &str, value: f64) {
        let bound = labels.split_once("le=\"").and_then(|(_, bound)| bound.split_once('"'));
        let Some(bound) = bound.and_then(|(bound, _)| bound.parse::<f64>().ok()) else { return };
        match self.0.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, count)) => *count += value,
            None => self.0.push((bound, value)),
        }
        self.0.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    }

    /// The time in seconds that this share of the packets since `before` has waited at most, interpolated within a bucket.
    /// `None` if there were no packets.
    pub(crate) fn quantile(&self, before: &Self, share: f64) -> Option<f64> {
        let counts = self.0.iter().map(|(bound, count)| {
            let earlier = before.0.iter().find(|(known, _)| known == bound).map_or(0.0, |(_, count)| *count);
            (*bound, count - earlier)
        });
        let counts: Vec<_> = counts.collect();
        let all = counts.last().map(|(_, count)| *count).filter(|all| *all > 0.0)?;
        let mut below = (0.0, 0.0);
        for (bound, count) in counts {
            if count >= all * share {
                let (from, earlier) = below;
                if bound.is_infinite() {
                    return Some(from);
                }
                return Some(from + (bound - from) * (all * share - earlier) / (count - earlier).max(1.0));
            }
            below = (bound, count);
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn metrics(counts: [u32; 3], limit: u32) -> ServerLoad {
        let bucket = |worker: u32, bound: &str, count: u32| {
            format!("sfu_audio_forwarding_seconds_bucket{{le=\"{bound}\",worker=\"{worker}\"}} {count}\n")
        };
        let mut text = "# TYPE sfu_audio_forwarding_seconds histogram\n".to_owned();
        for worker in 0..2 {
            for (bound, count) in ["0.01", "0.02", "+Inf"].into_iter().zip(counts) {
                text += &bucket(worker, bound, count);
            }
            let limit = limit * worker;
            text += &format!("sfu_overload_video_limit_bytes_per_second{{worker=\"{worker}\"}} {limit}\n");
        }
        ServerLoad::parse(&text).unwrap()
    }

    #[test]
    fn quantiles_are_of_what_came_between() {
        let (before, after) = (metrics([1_000, 1_000, 1_000], 0), metrics([1_500, 1_990, 2_000], 700_000));
        let quantile = |share| after.audio.quantile(&before.audio, share).map(|seconds| (seconds * 1e6).round());
        assert_eq!([0.25, 0.5, 0.99, 1.0].map(quantile), [Some(5e3), Some(1e4), Some(2e4), Some(2e4)]);
        assert_eq!(before.audio.quantile(&before.audio, 0.5), None);
        assert_eq!(after.audio_on_core.quantile(&before.audio_on_core, 0.5), None, "of an older server");
        assert_eq!((before.video_limit, after.video_limit), (0.0, 5_600_000.0));
    }

    #[test]
    fn metrics_without_media_plane_say_nothing() {
        for text in ["", "process_cpu_seconds_total 1\n", "x_audio_forwarding_seconds_bucket{le=\"?\"} 1\n"] {
            assert_eq!(ServerLoad::parse(text), None, "{text}");
        }
    }
}
