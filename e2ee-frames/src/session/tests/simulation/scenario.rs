//! The scenario of a seed: the number of devices, the network, and the events with their times.
//!
//! Work grows with the square of the devices, above all at a leave, when each device seals a new key to every other. So
//! small rooms are simulated for long and large ones briefly; every kind of event happens in both.

use super::{super::world::Dice, millis, network::Weather};
use crate::Timing;
use core::time::Duration;

/// Events of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    Join,
    /// A participant opens the page in a second tab.
    SecondTab,
    Leave,
    /// A participant leaves and the server hides it.
    HiddenLeave,
    /// The server reports to some that a participant left who did not, and shows it again later.
    FeignedLeave,
    /// The server shows a participant that has left again.
    Ghost,
    /// A participant leaves and joins at the same moment.
    Reload,
    Mute,
    Camera,
    Partition,
    /// A participant loses its connection to the server, while media goes on.
    Outage,
    /// The server restarts: all connections are lost, and it has forgotten every device.
    Restart,
    Replay,
    /// The server withholds keys from some for a time.
    Withhold,
    /// Silence for longer than any timer.
    Pause,
}

/// The plan of a call.
pub(super) struct Scenario {
    /// Maximum number of devices at one time.
    pub(super) devices: usize,
    /// Devices that arrive together at the start.
    pub(super) together: usize,
    pub(super) weather: Weather,
    pub(super) timing: Timing,
    /// How many speak when they join.
    pub(super) microphone_percent: u64,
    pub(super) camera_percent: u64,
    /// Things left to happen.
    pub(super) happenings: u64,
    /// Maximum number of them after which all devices replace their key.
    costly: u64,
    /// Maximum number of these that may outlast an announce.
    lengthy: u64,
}

impl Scenario {
    /// `most` limits the devices, of which there are at least two.
    pub(super) fn draw(dice: &mut Dice, most: u64) -> Self {
        let devices = 2 + dice.below(most - 1) as usize;
        let (happenings, costly) = match devices {
            2..=10 => (8 + dice.below(33), 16),
            11..=20 => (5 + dice.below(16), 2 + dice.below(3)),
            21..=35 => (3 + dice.below(10), dice.below(2)),
            _ => (3 + dice.below(8), u64::from(dice.percent(40))),
        };
        let lengthy = match devices {
            2..=10 => dice.below(4),
            11..=20 => u64::from(dice.percent(15)),
            _ => u64::from(dice.percent(4)),
        };
        let grain_ms = [1, 10, 50, 100][dice.below(4) as usize];
        let weather = match dice.below(5) {
            0 => Weather { drop_percent: 0, double_percent: 0, delay_ms: 50, grain_ms },
            1 => Weather { drop_percent: 10 + dice.below(40), double_percent: 0, delay_ms: 100, grain_ms },
            2 => Weather { drop_percent: 0, double_percent: 10 + dice.below(40), delay_ms: 700, grain_ms },
            3 => Weather { drop_percent: dice.below(10), double_percent: dice.below(10), delay_ms: 300, grain_ms },
            _ => Weather { drop_percent: 20, double_percent: 20, delay_ms: 1_500, grain_ms },
        };
        let timing = if lengthy > 0 && dice.percent(60) {
            let renewal = 8_000 + dice.below(10_000);
            Timing {
                rotation: Duration::from_millis(6_000 + dice.below(20_000)),
                renewal: Duration::from_millis(renewal),
                validity: Duration::from_millis(renewal + 8_000 + dice.below(8_000)),
            }
        } else {
            Timing::default()
        };
        Self {
            devices,
            together: 1 + dice.below(devices as u64) as usize,
            weather,
            timing,
            microphone_percent: [20, 60, 100][dice.below(3) as usize],
            camera_percent: [0, 30][dice.below(2) as usize],
            happenings,
            costly,
            lengthy,
        }
    }

    /// What happens next, by the number of devices in the call.
    pub(super) fn next(&mut self, dice: &mut Dice, present: usize) -> Option<Happening> {
        self.happenings = self.happenings.checked_sub(1)?;
        let room = present < self.devices;
        Some(match dice.below(26) {
            0..=4 if room => Happening::Join,
            5 if room => Happening::SecondTab,
            6..=8 if present > 2 && self.costs() => Happening::Leave,
            9 if self.costs() => Happening::Reload,
            10 if present > 2 && self.lasts() => Happening::HiddenLeave,
            11 if self.costs() && self.costs() => Happening::FeignedLeave,
            12 if self.lasts() => {
                if dice.percent(50) {
                    Happening::Pause
                } else {
                    Happening::Ghost
                }
            }
            13 => Happening::Camera,
            14 => Happening::Partition,
            15 => Happening::Replay,
            20..=21 => Happening::Outage,
            22 => Happening::Restart,
            23..=25 => Happening::Withhold,
            _ => Happening::Mute,
        })
    }

    fn costs(&mut self) -> bool {
        take(&mut self.costly)
    }

    fn lasts(&mut self) -> bool {
        take(&mut self.lengthy)
    }

    /// How long until the next thing happens: at once, within a switch window, beyond it, beyond the life of old keys.
    pub(super) fn gap(&self, dice: &mut Dice) -> u64 {
        let longest = [0, 300, 300, 300, 1_500, 1_500, 4_000, 13_000][dice.below(8) as usize];
        dice.below(longest + 1)
    }

    /// Longer than any timer.
    pub(super) fn pause(&self) -> u64 {
        millis(self.timing.validity) + 1_000
    }
}

fn take(budget: &mut u64) -> bool {
    let some = *budget > 0;
    *budget -= u64::from(some);
    some
}
