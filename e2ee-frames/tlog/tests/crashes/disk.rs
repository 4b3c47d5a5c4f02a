//! A disk that may fail: what was not flushed may be lost in a crash, wholly or in part.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// What a process asks of the disk, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Write,
    FlushFile,
    Rename,
    FlushFolder,
}

impl Step {
    pub(crate) const ALL: [Step; 4] = [Step::Write, Step::FlushFile, Step::Rename, Step::FlushFolder];
}

/// How a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The machine fails before it.
    CrashBefore,
    /// The machine fails when it is done, before the process knows.
    CrashAfter,
    /// The step is done in part, or not known to be done, and the process sees an error and goes on.
    ErrorOnly,
}

impl Fault {
    pub(crate) const ALL: [Fault; 3] = [Fault::CrashBefore, Fault::CrashAfter, Fault::ErrorOnly];
}

/// What a restart finds of that which was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) names_are_kept: bool,
    pub(crate) content: Content,
}

/// The content of a file that was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Lost,
    Cut,
    Kept,
}

impl Outcome {
    pub(crate) const ALL: [Outcome; 6] = {
        const fn outcome(names_are_kept: bool, content: Content) -> Outcome {
            Outcome { names_are_kept, content }
        }
        [
            outcome(false, Content::Lost),
            outcome(false, Content::Cut),
            outcome(false, Content::Kept),
            outcome(true, Content::Lost),
            outcome(true, Content::Cut),
            outcome(true, Content::Kept),
        ]
    };
}

/// The disk, or the machine, has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

#[derive(Default)]
struct File {
    content: Vec<u8>,
    flushed: bool,
}

#[derive(Default)]
struct State {
    files: Vec<File>,
    /// Names as processes see them, and as the folder was last flushed.
    names: BTreeMap<String, usize>,
    flushed_names: BTreeMap<String, usize>,
    /// How many steps from now one fails, and how.
    fault: Option<(u32, Fault)>,
    failed: bool,
    down: bool,
    /// Process that holds the lock.
    owner: Option<u32>,
    processes: u32,
}

/// A handle of the disk.
#[derive(Clone, Default)]
pub(crate) struct Disk(Rc<RefCell<State>>);

impl Disk {
    /// Has a step fail, counted from 0.
    pub(crate) fn fail_at(&self, step: u32, fault: Fault) {
        let mut state = self.0.borrow_mut();
        (state.fault, state.failed) = (Some((step, fault)), false);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.0.borrow().failed
    }

    /// The machine starts again, with what is left.
    pub(crate) fn restart(&self, outcome: Outcome) {
        let mut state = self.0.borrow_mut();
        if !outcome.names_are_kept {
            state.names = state.flushed_names.clone();
        }
        for file in state.files.iter_mut().filter(|file| !file.flushed) {
            match outcome.content {
                Content::Lost => file.content.clear(),
                Content::Cut => file.content.truncate(file.content.len() / 2),
                Content::Kept => {}
            }
            file.flushed = true;
        }
        state.flushed_names = state.names.clone();
        (state.fault, state.down, state.owner) = (None, false, None);
    }

    /// The lock of the folder, which a process holds until it or the machine ends.
    pub(crate) fn lock(&self) -> Option<u32> {
        let mut state = self.0.borrow_mut();
        if state.owner.is_some() {
            return None;
        }
        state.processes += 1;
        state.owner = Some(state.processes);
        state.owner
    }

    pub(crate) fn unlock(&self, process: Option<u32>) {
        let mut state = self.0.borrow_mut();
        if process.is_some() && state.owner == process {
            state.owner = None;
        }
    }

    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Failed> {
        let state = self.0.borrow();
        if state.down {
            return Err(Failed);
        }
        Ok(state.names.get(name).map(|file| state.files[*file].content.clone()))
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), Failed> {
        self.step(|state, whole| {
            let length = if whole { content.len() } else { content.len() / 3 };
            state.files.push(File { content: content[..length].to_vec(), flushed: false });
            let file = state.files.len() - 1;
            state.names.insert(name.into(), file);
        })
    }

    pub(crate) fn flush_file(&self, name: &str) -> Result<(), Failed> {
        self.step(|state, whole| {
            let file = state.names[name];
            state.files[file].flushed = whole;
        })
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Failed> {
        self.step(|state, whole| {
            if whole && let Some(file) = state.names.remove(from) {
                state.names.insert(to.into(), file);
            }
        })
    }

    pub(crate) fn flush_folder(&self) -> Result<(), Failed> {
        self.step(|state, whole| {
            if whole {
                state.flushed_names = state.names.clone();
            }
        })
    }

    /// Runs one step, unless it is the one that fails. `whole` is false if it is done in part.
    fn step(&self, run: impl FnOnce(&mut State, bool)) -> Result<(), Failed> {
        let mut state = self.0.borrow_mut();
        if state.down {
            return Err(Failed);
        }
        let fault = match &mut state.fault {
            Some((0, fault)) => Some(*fault),
            Some((steps, _)) => {
                *steps -= 1;
                None
            }
            None => None,
        };
        let Some(fault) = fault else {
            run(&mut state, true);
            return Ok(());
        };
        (state.fault, state.failed) = (None, true);
        match fault {
            Fault::CrashBefore => state.down = true,
            Fault::CrashAfter => {
                run(&mut state, true);
                state.down = true;
            }
            Fault::ErrorOnly => run(&mut state, false),
        }
        Err(Failed)
    }
}
