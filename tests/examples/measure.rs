//! What an example costs: the row of a table.
//!
//! A host runs the first job of the example's manifest every 100 ms on a ledger in memory. *Compile* is what the host says
//! about getting ready: reading the file, compiling it and checking the job. *First run* and *steady run* are the times of
//! the attempts: a fresh instance, the call, its output; *steady* is the median of all but the first ten.

use std::{fs, path::PathBuf};

use serde_json::{Value as Json, json};

use crate::{
    Example, Verdict,
    build::{self, Built},
    host,
};

/// The head of the table.
pub(crate) const HEAD: &str = "| Example | Language | Tool | Size | Compile | First run | Steady run |
|---|---|---|---|---|---|---|";

/// How long the host runs.
const TIME: &str = "6s";

/// Runs that do not count as steady.
const N_WARM_UP: usize = 10;

/// The name of the manifest that is written beside the example's, whose paths are relative, and taken away again.
const MANIFEST: &str = "measured.yaml";

/// Measures an example. The first line of its README says `# NAME: language, tool`.
pub(crate) fn row(example: &Example) -> Verdict {
    if component(example).is_none() {
        match build::build(example) {
            Built::Missing(what) => return Verdict::Skipped(what),
            Built::Failed(output) => return Verdict::Wrong(output),
            Built::Done(_) => {}
        }
    }
    let Some(component) = component(example) else { return Verdict::Wrong("build.sh wrote no .wasm".to_owned()) };
    let readme = fs::read_to_string(example.folder.join("README.md")).unwrap_or_default();
    let title = readme.lines().next().unwrap_or_default();
    let Some((language, tool)) = title.split_once(": ").and_then(|(_, title)| title.split_once(", ")) else {
        return Verdict::Wrong(format!("README.md: its first line is not `# NAME: language, tool`: {title}"));
    };
    let size = fs::metadata(&component).map_or(0, |metadata| metadata.len());
    match measure(example) {
        Ok([compile, first, steady]) => Verdict::Fine(format!(
            "| [{0}](examples/{0}) | {language} | {tool} | {1} | {compile} | {first} | {steady} |",
            example.name,
            shown_size(size)
        )),
        Err(wrong) => Verdict::Wrong(wrong),
    }
}

/// The component that lies in the folder.
fn component(example: &Example) -> Option<PathBuf> {
    let entries = example.folder.read_dir().ok()?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| path.extension().is_some_and(|ending| ending == "wasm"))
}

fn shown_size(n_bytes: u64) -> String {
    match n_bytes {
        0..1_000_000 => format!("{} KB", n_bytes.div_ceil(1_000)),
        _ => format!("{:.1} MB", n_bytes as f64 / 1e6),
    }
}

/// Compile time, first run, steady run.
fn measure(example: &Example) -> Result<[String; 3], String> {
    let path = example.folder.join(MANIFEST);
    fs::write(&path, manifest(example)?).map_err(|error| format!("{}: {error}", path.display()))?;
    let args = ["up", "-f", MANIFEST, "--for", TIME, "--ledger", "memory:", "--log-format", "json"];
    let ended = host::clockjack(&example.folder, &args);
    drop(fs::remove_file(&path));
    let lines: Vec<Json> = ended.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let ready = "plugins compiled and jobs checked in ";
    let compile = lines.iter().find_map(|line| line["message"].as_str()?.strip_prefix(ready));
    let mut times: Vec<f64> = lines
        .iter()
        .filter(|line| line["outcome"] == "succeeded" || line["outcome"] == "failed")
        .filter_map(|line| line["duration_ms"].as_f64())
        .collect();
    let (Some(compile), true) = (compile, 2 * N_WARM_UP < times.len()) else {
        return Err(format!("{} runs in {TIME}, too few to measure\n{}", times.len(), ended.stderr));
    };
    let first = times[0];
    let steady = &mut times[N_WARM_UP..];
    steady.sort_by(f64::total_cmp);
    Ok([compile.to_owned(), format!("{first:.1} ms"), format!("{:.1} ms", steady[steady.len() / 2])])
}

/// The manifest with its first job alone, every 100 ms.
fn manifest(example: &Example) -> Result<String, String> {
    let text = fs::read_to_string(example.folder.join("clockjack.yaml")).map_err(|e| format!("clockjack.yaml: {e}"))?;
    let mut manifest: Json = serde_saphyr::from_str(&text).map_err(|error| format!("clockjack.yaml: {error}"))?;
    let jobs = manifest["jobs"].as_object_mut().ok_or("clockjack.yaml: no jobs")?;
    let (name, mut job) = jobs.iter().next().map(|(name, job)| (name.clone(), job.clone())).ok_or("no first job")?;
    let settings = job.as_object_mut().ok_or("clockjack.yaml: a job that is no map")?;
    settings.retain(|key, _| ["plugin", "call", "args", "limits", "grants", "timeout"].contains(&key.as_str()));
    settings.insert("every".to_owned(), json!("100ms"));
    jobs.clear();
    jobs.insert(name, job);
    Ok(manifest.to_string())
}
