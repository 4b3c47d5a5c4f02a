//! Rotation of the master key: every file of a wrap key is sealed under the active version.

use crate::{error::StoreError, master::MasterKey, store::Store, wrap};
use std::sync::PoisonError;

impl Store {
    /// Takes over master keys that were read again, and seals wrap keys under the active one. Data keys stay as they are.
    ///
    /// # Errors
    /// The new master keys do not open every wrap key; nothing has changed then. A file cannot be written: call this again.
    pub fn set_master_keys(&self, master: Box<dyn MasterKey>) -> Result<(), StoreError> {
        wrap::WrapKeys::load(&*self.wrap_files, self.id(), &*master)?;
        wrap::reseal(&*self.wrap_files, self.id(), &*master, &mut **self.random())?;
        *self.master.write().unwrap_or_else(PoisonError::into_inner) = master;
        self.reload_wrap_keys()
    }
}
