//! What everybody sees of the reloader: how the plugins and the jobs are.

use std::sync::Arc;

use super::Task;
use crate::hot::{jobs::Jobs, line::Line, view::PluginView};

impl Task {
    /// Shows everybody how the plugins are.
    pub(in crate::hot) fn show(&self) {
        let manifest = &self.in_force.loaded.manifest;
        let mut views: Vec<_> = self.lines.iter().map(|(name, line)| line.view(name, manifest)).collect();
        for (path, (name, fault)) in &self.faulty {
            let runs = |line: &Line| line.source.file().is_some_and(|file| file.with_extension("") == *path);
            let is_line = self.lines.get(name).is_some_and(runs);
            match views.iter_mut().find(|view| is_line && view.name == *name) {
                Some(view) => view.candidate = view.candidate.take().or(Some(fault.clone())),
                None => views.push(PluginView::left_out(name.clone(), path, fault.clone())),
            }
        }
        views.sort_by(|a, b| a.name.cmp(&b.name));
        self.shown.send_replace(views.into());
        self.jobs.send_replace(Arc::new(Jobs::of(&self.in_force, &self.given, self.parts.uploads.as_deref())));
    }
}
