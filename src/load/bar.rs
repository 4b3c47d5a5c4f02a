//! Progress bar on standard error, if that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use loadtest::{Progress, Stage};
use std::{
    fmt::Write,
    io::{IsTerminal, stderr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Interval at which elapsed time is redrawn.
const TICK: Duration = Duration::from_millis(100);
/// Width of the bar, in characters.
const WIDTH: usize = 24;

/// Shows the stage of a run, and its number among several.
pub(crate) struct Bar {
    bar: ProgressBar,
    stage: Arc<Mutex<Stage>>,
}

impl Bar {
    /// A bar; hidden if `quiet` or if standard error is not a terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        let stage = Arc::new(Mutex::new(Stage::Starting));
        let shown = stage.clone();
        let bar = ProgressBar::no_length();
        if quiet || !stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        } else {
            let share = move |state: &ProgressState, out: &mut dyn Write| {
                let stage = *shown.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = out.write_str(&line(stage, state.elapsed()));
            };
            // The template is a constant.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}{share}") {
                bar.set_style(style.with_key("share", share));
            }
            bar.enable_steady_tick(TICK);
        }
        Self { bar, stage }
    }

    /// Sets the text before the stage.
    pub(crate) fn next(&self, what: &str) {
        self.bar.set_prefix(if what.is_empty() { String::new() } else { format!("{what} · ") });
    }

    /// Prints a line on standard error, above the bar if that is shown.
    pub(crate) fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn stage(&self, stage: Stage) {
        let before = std::mem::replace(&mut *self.stage.lock().unwrap_or_else(PoisonError::into_inner), stage);
        if std::mem::discriminant(&before) != std::mem::discriminant(&stage) {
            self.bar.reset_elapsed();
        }
        self.bar.tick();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.end();
    }
}

/// Text for a stage that started `elapsed` ago.
fn line(stage: Stage, elapsed: Duration) -> String {
    let timed = |name: &str, length: Duration| {
        let (passed, whole) = (elapsed.as_secs_f64().min(length.as_secs_f64()), length.as_secs_f64());
        let share = if whole > 0.0 { passed / whole } else { 1.0 };
        format!("{name:<10} {} {passed:.0} of {whole:.0} s", filled(share))
    };
    match stage {
        Stage::Starting => "starting".to_owned(),
        Stage::Joining { ready, of } => {
            let share = if of > 0 { ready as f64 / of as f64 } else { 1.0 };
            format!("{:<10} {} {ready} of {of}", "joining", filled(share))
        }
        Stage::WarmingUp(length) => timed("warm-up", length),
        Stage::Measuring(length) => timed("measuring", length),
        Stage::Draining => "draining".to_owned(),
    }
}

fn filled(share: f64) -> String {
    let full = (share.clamp(0.0, 1.0) * WIDTH as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(WIDTH.saturating_sub(full)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_show_counts_or_time() {
        let joining = line(Stage::Joining { ready: 5, of: 20 }, Duration::ZERO);
        assert!(joining.starts_with("joining") && joining.ends_with("5 of 20"), "{joining}");
        assert_eq!(joining.matches('█').count(), WIDTH / 4);
        let measuring = line(Stage::Measuring(Duration::from_secs(10)), Duration::from_secs(15));
        assert!(measuring.ends_with("10 of 10 s") && !measuring.contains('░'), "{measuring}");
        assert!(line(Stage::WarmingUp(Duration::ZERO), Duration::ZERO).contains("warm-up"));
        assert!(line(Stage::Joining { ready: 0, of: 0 }, Duration::ZERO).contains("0 of 0"));
    }

    #[test]
    fn quiet_bar_is_hidden() {
        let bar = Bar::new(true);
        bar.next("run 1 of 2");
        bar.stage(Stage::Draining);
        assert!(bar.bar.is_hidden());
    }
}
