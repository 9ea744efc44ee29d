//! The files of a project. They are part of the program, so that a new project needs nothing but it.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::{ProjectFile, language::Language};

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../wit");
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../guest-sdk/src");
static SDK_MACROS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../guest-sdk/macros/src");
static GO_SUPPORT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../examples/go/pkg");
const SDK_MANIFEST: &str = include_str!("../../../../guest-sdk/Cargo.toml");
const SDK_MACROS_MANIFEST: &str = include_str!("../../../../guest-sdk/macros/Cargo.toml");

/// The helpers of the examples are those of new projects, as is what generated Go code needs.
const JS_HELPER: &str = include_str!("../../../../examples/js/clockjack.js");
const JS_HELPER_TYPES: &str = include_str!("../../../../examples/js/clockjack.d.ts");
const PYTHON_HELPER: &str = include_str!("../../../../examples/python/clockjack.py");

/// Files that begin with a dot, under the names that they have among the templates.
const DOTTED: [&str; 3] = ["gitignore", "editorconfig", "vscode"];

/// All files of a project.
pub(super) fn files(lang: Language, name: &str) -> Vec<ProjectFile> {
    let mut files = Vec::new();
    for path in
        ["README.md", "clockjack.yaml", "editorconfig", "test.sh", "vscode/settings.json", "vscode/extensions.json"]
    {
        files.push(text(path, common(path)));
    }
    let ignored = format!("{}{}", common("gitignore"), template(&format!("{}/gitignore", lang.folder())));
    files.push(text("gitignore", ignored));
    if let Some(own) = TEMPLATES.get_dir(lang.folder()) {
        add(&mut files, own, own.path(), Path::new(""), &|path| path != Path::new("gitignore"));
    }
    if lang != Language::Rust {
        files.push(text("wit/world.wit", common("world.wit")));
    }
    for file in &mut files {
        if let Ok(text) = std::str::from_utf8(&file.bytes) {
            file.bytes = filled_in(text, lang, name).into_bytes();
        }
        file.path = dotted(&file.path);
    }
    add_helpers(&mut files, lang);
    files
}

/// What a language needs beside the project's own files, as it is.
fn add_helpers(files: &mut Vec<ProjectFile>, lang: Language) {
    if lang == Language::Rust {
        let sdk = Path::new("clockjack-sdk");
        add(files, &SDK, Path::new(""), &sdk.join("src"), &|_| true);
        add(files, &SDK_MACROS, Path::new(""), &sdk.join("macros/src"), &|_| true);
        files.push(text("clockjack-sdk/Cargo.toml", SDK_MANIFEST.to_owned()));
        files.push(text("clockjack-sdk/macros/Cargo.toml", SDK_MACROS_MANIFEST.to_owned()));
        return;
    }
    let helpers: &[(&str, &str)] = match lang {
        Language::Js => &[("clockjack.js", JS_HELPER)],
        Language::Ts => &[("clockjack.js", JS_HELPER), ("clockjack.d.ts", JS_HELPER_TYPES)],
        Language::Python => &[("clockjack.py", PYTHON_HELPER)],
        Language::Rust | Language::Go | Language::C => &[],
    };
    files.extend(helpers.iter().map(|(path, helper)| text(path, (*helper).to_owned())));
    if lang == Language::Go {
        add(files, &GO_SUPPORT, Path::new(""), Path::new("pkg"), &|_| true);
    }
    if lang == Language::Ts {
        files.push(text("greeting.test.js", template("js/greeting.test.js")));
    }
    let is_wit = |path: &Path| path.extension().is_some_and(|extension| extension == "wit");
    add(files, &WIT, Path::new(""), Path::new("wit/deps/clockjack"), &is_wit);
}

/// Adds the files below a folder of the program.
fn add(files: &mut Vec<ProjectFile>, dir: &Dir<'_>, root: &Path, to: &Path, is_wanted: &impl Fn(&Path) -> bool) {
    for file in dir.files() {
        let inside = file.path().strip_prefix(root).unwrap_or(file.path());
        if is_wanted(inside) {
            files.push(ProjectFile { path: to.join(inside), bytes: file.contents().to_vec() });
        }
    }
    for inner in dir.dirs() {
        add(files, inner, root, to, is_wanted);
    }
}

fn text(path: &str, text: String) -> ProjectFile {
    ProjectFile { path: path.into(), bytes: text.into_bytes() }
}

fn common(path: &str) -> String {
    template(&format!("common/{path}"))
}

/// A template; empty where a language has none of that name.
fn template(path: &str) -> String {
    TEMPLATES.get_file(path).and_then(include_dir::File::contents_utf8).unwrap_or_default().to_owned()
}

fn filled_in(text: &str, lang: Language, name: &str) -> String {
    let words = [
        ("schema", common("schema.sh").trim_end().to_owned()),
        ("name", name.to_owned()),
        ("snake", name.replace('-', "_")),
        ("language", lang.shown().to_owned()),
        ("tools", lang.tools().to_owned()),
        ("files", lang.files().to_owned()),
        ("unit_tests", lang.unit_tests().to_owned()),
        ("extension", lang.extension().to_owned()),
    ];
    words.into_iter().fold(text.to_owned(), |text, (word, with)| text.replace(&format!("{{{{{word}}}}}"), &with))
}

fn dotted(path: &Path) -> PathBuf {
    if DOTTED.iter().any(|name| path.starts_with(name)) {
        return PathBuf::from(format!(".{}", path.display()));
    }
    path.to_path_buf()
}
