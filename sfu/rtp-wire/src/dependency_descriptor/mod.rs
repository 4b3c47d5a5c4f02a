//! The Dependency Descriptor (AV1 RTP specification, appendix A): which layers a frame belongs to and which frames it
//! needs, outside the ciphertext and the same for every codec.
//!
//! A key frame carries a [`Structure`]: the decode targets of the stream, and templates of how its frames depend on each
//! other. Every later frame names a template, and says where it differs from it.
//!
//! ```text
//! packet ── read(bytes, known structure) ──► Frame      layers, decode targets, references
//!                                       └──► Structure  from a key frame: the known one from now on
//! ```
//!
//! [`read`] reads all of a descriptor; against a known structure it allocates nothing. [`write`](write()) is its
//! inverse. [`Descriptor`], [`frame_number`] and [`set_frame_number`] read and patch the fields at fixed offsets, which
//! need no structure.

mod bits;
mod frame;
mod indications;
mod list;
mod mandatory;
mod scalability;
mod structure;
#[cfg(test)]
mod tests;
mod writer;

pub use frame::{Frame, read};
pub use indications::{Indication, Indications};
pub use list::{List, TooLong};
pub use mandatory::{Descriptor, frame_number, set_frame_number};
pub use scalability::{FrameSequence, ScalabilityMode};
pub use structure::{Structure, StructureParts, Template};
pub use writer::{WriteError, write};

/// Maximum number of decode targets, of the 32 that the format allows: four spatial by three temporal layers.
pub const MAX_TARGETS: usize = 12;
/// Maximum number of templates (section A.8.2).
pub const MAX_TEMPLATES: usize = 64;
/// Maximum number of references of one frame; AV1 has seven.
pub const MAX_DIFFERENCES: usize = 8;
/// Maximum number of spatial layers of AV1 and VP9.
pub const MAX_SPATIAL_LAYERS: usize = 4;
/// Maximum number of temporal layers of AV1 and VP9.
pub const MAX_TEMPORAL_LAYERS: usize = 8;

/// Distances in frame numbers to the frames that a frame refers to, each 1 to 4,096.
pub type Differences = List<u16, MAX_DIFFERENCES>;
/// For each chain the distance in frame numbers to its latest frame before this one; 0 if the frame starts the chain.
pub type ChainDifferences = List<u8, MAX_TARGETS>;

/// Why a descriptor cannot be used. Its packet can still be forwarded as one without a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DescriptorError {
    /// Shorter than its fields.
    #[error("truncated Dependency Descriptor")]
    Truncated,
    /// No structure is attached, and none is known.
    #[error("no template structure is known")]
    NoStructure,
    /// The structure does not have the template; it is probably an older one.
    #[error("the template structure does not have this template")]
    UnknownTemplate,
    /// The structure has more than [`MAX_TARGETS`] decode targets.
    #[error("more than {MAX_TARGETS} decode targets")]
    TooManyTargets,
    /// The structure has more than [`MAX_TEMPLATES`] templates.
    #[error("more than {MAX_TEMPLATES} templates")]
    TooManyTemplates,
    /// The structure has more layers than any codec.
    #[error("more than {MAX_SPATIAL_LAYERS} spatial or {MAX_TEMPORAL_LAYERS} temporal layers")]
    TooManyLayers,
    /// A template or a frame refers to more than [`MAX_DIFFERENCES`] frames.
    #[error("more than {MAX_DIFFERENCES} references")]
    TooManyDifferences,
}
