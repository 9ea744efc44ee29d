//! What cannot be a job is refused by the compiler, at the line that is wrong and with words that say what to do.
//!
//! Each file below `tests/refused` is compiled as a module. A line that has to be refused ends with `//~` and a
//! part of the message; every error must be at such a line, and every such line must have its error.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A line of a file and a part of a message.
type Place = (String, usize, String);

/// One crate each: the compiler looks at constants only when all types are right, and at types only when the macros ran.
const GROUPS: [&str; 3] = ["syntax", "types", "constants"];

fn cases(group: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refused").join(group);
    let mut cases: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    cases
}

fn stem(case: &Path) -> String {
    case.file_stem().expect("a name").to_string_lossy().into_owned()
}

/// The errors that cargo reports, each group of files as a target of a package in the folder for temporary files.
fn compile() -> (Vec<Place>, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused");
    fs::create_dir_all(folder.join("src")).expect("a file can be written");
    fs::write(folder.join("src/lib.rs"), "").expect("a file can be written");
    let sdk = env!("CARGO_MANIFEST_DIR");
    let mut manifest = format!(
        "[package]\nname = \"refused\"\nversion = \"0.0.0\"\nedition = \"2024\"\nautoexamples = false\n\n\
         [dependencies]\nclockjack-sdk = {{ path = {sdk:?} }}\n\n[workspace]\n"
    );
    for group in GROUPS {
        let modules = cases(group).into_iter().map(|case| format!("#[path = {case:?}]\nmod {};\n", stem(&case)));
        fs::write(folder.join(format!("{group}.rs")), modules.collect::<String>()).expect("a file can be written");
        write!(manifest, "\n[[example]]\nname = {group:?}\npath = \"{group}.rs\"\ncrate-type = [\"lib\"]\n")
            .expect("a file can be written");
    }
    fs::write(folder.join("Cargo.toml"), manifest).expect("a file can be written");
    let output = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--quiet", "--examples", "--keep-going", "--message-format", "short"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo runs");
    let text = String::from_utf8(output.stderr).expect("text");
    (text.lines().filter_map(read_error).collect(), text)
}

/// `path/case.rs:3:20: error[E0277]: message`
fn read_error(line: &str) -> Option<Place> {
    let (place, message) = line.split_once(": error")?;
    let (path, place) = place.split_once(".rs:")?;
    let (line, _) = place.split_once(':')?;
    let (_, message) = message.split_once(": ")?;
    Some((stem(Path::new(path)), line.parse().ok()?, message.to_owned()))
}

fn expected(cases: &[PathBuf]) -> Vec<Place> {
    let places = |case: &PathBuf| {
        let text = fs::read_to_string(case).expect("a readable file");
        let lines = text.lines().enumerate();
        let marked = lines.filter_map(|(index, line)| Some((index + 1, line.split_once("//~ ")?.1.to_owned())));
        let places: Vec<Place> = marked.map(|(line, message)| (stem(case), line, message)).collect();
        assert!(!places.is_empty(), "{} has no line with `//~`", case.display());
        places
    };
    cases.iter().flat_map(places).collect()
}

#[test]
fn what_cannot_be_a_job_is_refused_where_it_is_written() {
    let cases: Vec<PathBuf> = GROUPS.into_iter().flat_map(cases).collect();
    assert!(10 < cases.len(), "{cases:?}");
    let expected = expected(&cases);
    let (errors, output) = compile();
    let is_at = |a: &Place, b: &Place| (&a.0, a.1) == (&b.0, b.1);
    let mut faults = String::new();
    for place in &expected {
        if !errors.iter().any(|error| is_at(error, place) && error.2.contains(&place.2)) {
            writeln!(faults, "{}.rs:{}: no error says `{}`", place.0, place.1, place.2).unwrap();
        }
    }
    for error in &errors {
        if !expected.iter().any(|place| is_at(error, place)) {
            writeln!(faults, "{}.rs:{}: unexpected error: {}", error.0, error.1, error.2).unwrap();
        }
    }
    assert!(faults.is_empty(), "\n{faults}\n{output}");
}
