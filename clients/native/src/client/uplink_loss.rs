//! Packet loss on the way to the server, from the totals of receiver reports.
//!
//! The *fraction* that the server reports of an audio stream includes the loss at its listeners, so that the encoder
//! prepares for it. Totals are what arrived at the server.

/// The totals of the last report on a stream.
#[derive(Debug, Default)]
pub(super) struct UplinkLoss {
    last: Option<(i64, i64)>,
}

impl UplinkLoss {
    /// Handles a report: packets lost so far (24 bits, signed), and the extended highest sequence number (RFC 3550 section
    /// 6.4.1). Returns the fraction lost since the report before, from 0 to 1; `None` if none was sent.
    pub(super) fn on_report(&mut self, total_lost: u32, highest: u32) -> Option<f32> {
        let lost = i64::from((total_lost << 8).cast_signed() >> 8);
        let highest = i64::from(highest);
        let (lost_before, highest_before) = self.last.replace((lost, highest))?;
        let sent = highest - highest_before;
        let lost = (lost - lost_before).clamp(0, sent.max(0));
        (sent > 0).then(|| lost as f32 / sent as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_that_since_the_last_report() {
        let mut loss = UplinkLoss::default();
        assert_eq!(loss.on_report(0, 1_000), None, "nothing to compare with");
        assert_eq!(loss.on_report(5, 1_050), Some(0.1));
        assert_eq!(loss.on_report(5, 1_100), Some(0.0));
        assert_eq!(loss.on_report(5, 1_100), None, "nothing was sent");
        assert_eq!(loss.on_report(0xff_ffff, 1_150), Some(0.0), "duplicates: minus one");
    }
}
