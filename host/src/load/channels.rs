//! Whether the programs are there that channels tell: whoever looks now need not find out at three in the morning.

use std::path::{Path, PathBuf};

use clockjack_schedule::{
    diagnostic::Diagnostic,
    notify::{ChannelKind, LocalProgram},
};
use rustix::fs::{Access, access};

use super::{Loaded, secrets::Missing};
use crate::settings;

/// Finds the channels whose program cannot be started here and now.
pub fn check(loaded: &mut Loaded, missing: Missing) {
    let path = settings::variable("PATH").unwrap_or_default();
    for (name, channel) in &loaded.manifest.channels {
        let ChannelKind::Command(program) = &channel.kind else { continue };
        let Some(problem) = problem(program, &path) else { continue };
        let (span, message) = (loaded.manifest.channel_span(name), format!("channel `{name}`: {problem}"));
        let finding = match missing {
            Missing::Error => Diagnostic::error("manifest.file", span, message),
            Missing::Warning => Diagnostic::warning("manifest.file", span, message),
        };
        let fix = "put the program there and make it executable, or write its whole path; a relative one begins at the \
                   folder of the manifest";
        loaded.diagnostics.push(finding.fix(fix));
    }
}

/// Why a program cannot be started.
fn problem(program: &LocalProgram, path: &str) -> Option<String> {
    let name = program.name();
    match program.path() {
        Some(file) if !file.exists() => Some(format!("`{}` is not there", shown(&file))),
        Some(file) if !is_executable(&file) => Some(format!("`{}` is no program that can be started", shown(&file))),
        Some(_) => None,
        None if path.split(':').any(|folder| is_executable(&Path::new(folder).join(name))) => None,
        None => Some(format!("no folder of `PATH` has the program `{name}`")),
    }
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && access(file, Access::EXEC_OK).is_ok()
}

/// As it is found, wherever somebody looks from.
fn shown(file: &Path) -> String {
    std::path::absolute(file).unwrap_or_else(|_unknown| PathBuf::from(file)).display().to_string()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, sync::Arc};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_program_is_looked_for_beside_the_manifest_and_in_path() {
        let folder = TempDir::with_prefix("clockjack-").unwrap();
        let file = folder.path().join("page.sh");
        let problem = |name: &str| {
            let program = LocalProgram {
                argv: Arc::from([name.to_owned()]),
                folder: folder.path().into(),
                secret_variables: BTreeSet::new(),
            };
            problem(&program, &format!("/nowhere:{}", folder.path().display()))
        };
        assert!(problem("./page.sh").unwrap().ends_with("page.sh` is not there"));
        assert_eq!(problem("page.sh").unwrap(), "no folder of `PATH` has the program `page.sh`");
        fs::write(&file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(problem("./page.sh").unwrap().ends_with("is no program that can be started"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["./page.sh", "page.sh", file.to_str().unwrap()] {
            assert_eq!(problem(name), None, "{name}");
        }
    }
}
