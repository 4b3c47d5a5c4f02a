//! Images of one colour, with which the video of bots begins so that browsers decode it. What follows them in a frame is never
//! read: the last partition extends to the end of the frame (RFC 6386 section 9.5), and has more bytes than coefficients.
//!
//! `make record-images` records them from Chromium.

use e2ee_frames::FrameKind;

/// An image in VP8.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Image {
    key: &'static [u8],
    /// Shows the same image again.
    delta: &'static [u8],
}

impl Image {
    const OF_180_LINES: Self =
        Self { key: include_bytes!("images/180-key.vp8"), delta: include_bytes!("images/180-delta.vp8") };
    const OF_360_LINES: Self =
        Self { key: include_bytes!("images/360-key.vp8"), delta: include_bytes!("images/360-delta.vp8") };
    const OF_720_LINES: Self =
        Self { key: include_bytes!("images/720-key.vp8"), delta: include_bytes!("images/720-delta.vp8") };

    /// The image with this number of lines, if there is one.
    pub(crate) fn of_lines(lines: u16) -> Option<Self> {
        match lines {
            180 => Some(Self::OF_180_LINES),
            360 => Some(Self::OF_360_LINES),
            720 => Some(Self::OF_720_LINES),
            _ => None,
        }
    }

    /// The frame that shows it.
    pub(crate) fn frame(self, kind: FrameKind) -> &'static [u8] {
        match kind {
            FrameKind::Key => self.key,
            FrameKind::Delta => self.delta,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// RFC 6386 section 9.1: a key frame has its bit 0 clear, a start code, and its width and height in 14 bits each.
    #[test]
    fn images_have_the_lines_they_are_named_by() {
        for lines in [180, 360, 720] {
            let image = Image::of_lines(lines).unwrap();
            let (key, delta) = (image.frame(FrameKind::Key), image.frame(FrameKind::Delta));
            assert_eq!((key[0] & 1, delta[0] & 1), (0, 1));
            assert_eq!(key[3..6], [0x9d, 0x01, 0x2a]);
            let size = [6, 8].map(|at| u16::from_le_bytes([key[at], key[at + 1]]) & 0x3fff);
            assert_eq!(size, [lines / 9 * 16, lines]);
        }
        assert!(Image::of_lines(90).is_none());
    }
}
