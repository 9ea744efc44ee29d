//! What the log of a host tells of plugins and manifests that change.

use clockjack_schedule::manifest::scalar::show_size;
use tracing::{error, info, warn};

use super::up;
use crate::{
    hot::Difference,
    logging::LogFormat,
    shell::{ManifestNews, PluginNews, PluginNewsKind},
};

pub(super) fn plugin(news: &PluginNews) {
    let PluginNews { plugin, kind, generation, reason, fix, .. } = news;
    let (plugin, event) = (plugin.as_str(), kind.as_str());
    let sha256 = news.digest.as_deref().map_or("", |digest| digest.get(..12).unwrap_or(digest));
    let change = news.difference.as_ref().map(changes).unwrap_or_default();
    match kind {
        PluginNewsKind::Added => info!(event, plugin, generation, sha256, reason, "plugin added"),
        PluginNewsKind::Replaced { before } if before == generation => {}
        PluginNewsKind::Replaced { before } => {
            info!(event, plugin, before, generation, sha256, reason, change, "plugin replaced");
        }
        PluginNewsKind::Passed => info!(event, plugin, generation, sha256, "the new code passed its trial: {reason}"),
        PluginNewsKind::Removed => info!(event, plugin, generation, reason, "plugin removed"),
        PluginNewsKind::LeftOut => {
            error!(event, plugin, fix, "left out, and the others go on without it: {reason}");
        }
        PluginNewsKind::Refused => {
            error!(
                event,
                plugin, generation, sha256, fix, "its new file is refused, generation {generation} stays: {reason}"
            );
        }
        PluginNewsKind::Held => {
            let message = "its new file waits for approval";
            warn!(event, plugin, generation, sha256, change, fix, "{message}, generation {generation} stays: {reason}");
        }
        PluginNewsKind::RolledBack { before } => {
            warn!(
                event,
                plugin, before, generation, sha256, fix, "plugin rolled back to generation {generation}: {reason}"
            );
        }
    }
}

/// How code differs, in one line.
pub(super) fn changes(difference: &Difference) -> String {
    let list = |sign: char, names: &[String]| names.iter().map(|name| format!("{sign}{name}")).collect::<Vec<_>>();
    let mut parts = list('+', &difference.exports_added);
    parts.extend(list('-', &difference.exports_removed));
    parts.extend(list('+', &difference.imports_added));
    parts.extend(list('-', &difference.imports_removed));
    let [before, after] = [difference.n_bytes_before, difference.n_bytes_after].map(show_size);
    // Of a large file, a small change is not worth a word here.
    if before != after {
        parts.push(format!("{before} -> {after}"));
    }
    parts.join(", ")
}

pub(super) fn manifest(news: &ManifestNews, format: LogFormat) {
    let ManifestNews { cause, refused, jobs: [added, changed, removed, untouched], findings, sources } = news;
    up::tell_findings(findings, sources, format);
    match refused {
        Some(why) => error!(event = "manifest.refused", cause, "not reloaded, the jobs stay as they are: {why}"),
        None => {
            info!(event = "manifest.reloaded", cause, added, changed, removed, untouched, "manifest reloaded");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_where_they_read_differently() {
        let told = |n_bytes_before, n_bytes_after| {
            changes(&Difference {
                exports_added: vec!["purge".to_owned()],
                imports_removed: vec!["wasi:http".to_owned()],
                n_bytes_before,
                n_bytes_after,
                ..Difference::default()
            })
        };
        assert_eq!(told(1000, 2048), "+purge, -wasi:http, 1000B -> 2KiB");
        assert_eq!(told(139_300, 139_301), "+purge, -wasi:http");
    }
}
