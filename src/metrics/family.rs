//! Metric families whose values are read elsewhere.

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet},
    metrics::MetricType,
};
use std::fmt;

/// No labels.
pub(super) const PLAIN: [(&str, String); 0] = [];

/// Writes a counter for each set of labels; its name gets the suffix `_total`.
pub(super) fn counter<L: EncodeLabelSet, V: EncodeCounterValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, V)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in values {
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, V, f64>(&value, None)?;
    }
    Ok(())
}

/// Writes a gauge for each set of labels.
pub(super) fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, V)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

/// Writes a histogram of durations, in seconds, for each set of labels.
pub(super) fn histogram<'a, L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, &'a sfu::metrics::Histogram)>,
) -> fmt::Result {
    scaled_histogram(encoder, name, help, 1.0, values)
}

/// Writes a histogram for each set of labels. One of its unit is `scale` of the metric's unit.
pub(super) fn scaled_histogram<'a, L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    scale: f64,
    values: impl IntoIterator<Item = (L, &'a sfu::metrics::Histogram)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (labels, histogram) in values {
        let buckets: Vec<(f64, u64)> = histogram.buckets().map(|(bound, count)| (bound * scale, count)).collect();
        let sum = histogram.sum().as_secs_f64() * scale;
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, histogram.count(), &buckets, None)?;
    }
    Ok(())
}
