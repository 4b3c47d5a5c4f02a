//! The load tester of tacet: bots, measurement, reports.
