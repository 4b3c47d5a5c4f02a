//! The call page, which whoever builds the binary brings along.

use std::borrow::Cow;

/// A file of the page.
#[derive(Clone, Debug)]
pub struct PageFile {
    /// Its media type.
    pub mime: Cow<'static, str>,
    /// Its contents.
    pub bytes: Cow<'static, [u8]>,
}

/// Where the page's files come from.
pub trait PageSource: Send + Sync {
    /// The file at a path relative to the page's root, such as `index.html` or `assets/app.js`.
    fn file(&self, path: &str) -> Option<PageFile>;
}

impl<F: Fn(&str) -> Option<PageFile> + Send + Sync> PageSource for F {
    fn file(&self, path: &str) -> Option<PageFile> {
        self(path)
    }
}
