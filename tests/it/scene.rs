//! Where tests play: the files of the repository, and temporary folders with what a test puts there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.parent().expect("the host is a folder of the repository").to_path_buf()
}

/// A component of `tests/guests`.
pub(crate) fn guest(name: &str) -> String {
    root().join("tests/guests").join(name).with_extension("wasm").display().to_string()
}

/// A temporary folder, gone at the end of the test.
pub(crate) struct Scene {
    folder: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::with_prefix("clockjack-").expect("a temporary folder can be made") }
    }

    /// A folder with a manifest in `clockjack.yaml` and the guests that it names.
    pub(crate) fn with(manifest: &str, guests: &[&str]) -> Self {
        let scene = Self::new();
        scene.put("clockjack.yaml", manifest);
        for name in guests {
            fs::copy(guest(name), scene.path(&format!("{name}.wasm"))).expect("a guest can be copied");
        }
        scene
    }

    /// A copy of the quickstart, with nothing in `out`.
    pub(crate) fn quickstart() -> Self {
        let scene = Self::new();
        let from = root().join("examples/quickstart");
        fs::create_dir(scene.path("data")).and_then(|()| fs::create_dir(scene.path("out"))).expect("folders");
        for name in ["clockjack.yaml", "weblog.wasm", "data/access.log"] {
            fs::copy(from.join(name), scene.path(name)).expect("a file of the quickstart can be copied");
        }
        scene
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The path as an argument.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn put(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).expect("a file can be written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}
