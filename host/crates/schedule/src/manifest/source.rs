//! Where the bytes of a plugin are: in a file, or in a registry.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::oci_reference::{OciReference, ReferenceFault, SCHEME};

/// Where the bytes of a plugin are.
///
/// ```
/// use std::path::{Path, PathBuf};
/// use clockjack_schedule::manifest::source::Source;
///
/// let file = Source::try_from(PathBuf::from("./hello.wasm")).unwrap();
/// assert_eq!(file.file(), Some(Path::new("./hello.wasm")));
///
/// let image = Source::try_from(PathBuf::from("oci://ghcr.io/acme/hello:1.0")).unwrap();
/// assert_eq!(image.oci().unwrap().tag(), Some("1.0"));
/// assert!(Source::try_from(PathBuf::from("oci://ghcr.io")).is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// In a file: the path as written, joined to the folder of the manifest.
    File(PathBuf),
    /// In a registry.
    Oci(OciReference),
}

impl Source {
    /// The file, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Oci(_) => None,
        }
    }

    /// The reference to a registry, where it is one.
    #[must_use]
    pub fn oci(&self) -> Option<&OciReference> {
        match self {
            Self::File(_) => None,
            Self::Oci(reference) => Some(reference),
        }
    }

    /// The last step of its name, without the ending of a file.
    pub(super) fn stem(&self) -> String {
        match self {
            Self::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Oci(reference) => reference.repository().rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Oci(reference) => reference.fmt(f),
        }
    }
}

/// As a command line names it: a file is not joined to any folder.
impl TryFrom<PathBuf> for Source {
    type Error = ReferenceFault;

    fn try_from(path: PathBuf) -> Result<Self, ReferenceFault> {
        match path.to_str().filter(|text| text.starts_with(SCHEME)) {
            Some(text) => text.parse().map(Self::Oci),
            None => Ok(Self::File(path)),
        }
    }
}
