//! A call that is ready to run: which function, its arguments as component values, its bounds. Everything that can be
//! wrong with it is found here, when the manifest is loaded, and not at three in the morning.

use std::sync::Arc;

use clockjack_schedule::{
    diagnostic::did_you_mean,
    job::{Arguments, Grants, Limits},
    manifest::scalar::show_size,
};
use serde_json::Value as Json;
use wasmtime::component::Val;

use crate::{
    command::{CommandInput, command_line},
    engine::Metering,
    error::{LoadCode, LoadError},
    exports::{self, Function, FunctionKind, Parameter},
    plugin::{Linked, Plugin},
    values::{
        from_json::{absent, from_json},
        typename::{type_name, unsupported_part},
    },
};

/// A call that is ready to run.
pub struct Call {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) function: usize,
    pub(crate) metering: Metering,
    pub(crate) values: Vec<Val>,
    /// The command line of a command.
    pub(crate) command_line: Vec<String>,
    /// What a command reads, and what its exit codes mean.
    pub(crate) command: CommandInput,
    pub(crate) limits: Limits,
    pub(crate) grants: Grants,
}

/// The part of a manifest's entry that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// What is wrong with a call, and at which key of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallProblem {
    /// Path below the job: `call`, `args.days`, `grants.dirs[0].host`, `limits.memory`.
    pub path: String,
    /// Whether the key at that path is wrong, or its value.
    pub part: Part,
    /// What is wrong and what to do.
    pub error: LoadError,
}

impl CallProblem {
    pub(crate) fn new(
        path: impl Into<String>,
        code: LoadCode,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), part: Part::Value, error: LoadError::new(code, message, fix) }
    }
}

impl Call {
    /// Checks a call against its plugin and converts its arguments.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn prepare(
        plugin: &Arc<Plugin>,
        call: Option<&str>,
        args: &Arguments,
        limits: &Limits,
        grants: &Grants,
    ) -> Result<Self, Vec<CallProblem>> {
        let mut problems = check_grants(grants);
        problems.extend(check_memory(plugin, limits));
        let function = match exports::find(&plugin.functions, call) {
            Ok(function) => function,
            Err((message, fix)) => {
                problems.push(CallProblem::new("call", LoadCode::Type, message, fix));
                return Err(problems);
            }
        };
        let (values, command_line) = arguments(&plugin.functions[function], args, &mut problems);
        let metering = if limits.fuel.is_some() { Metering::Fuel } else { Metering::Plain };
        if problems.is_empty() {
            Ok(Self {
                plugin: Arc::clone(plugin),
                function,
                metering,
                values,
                command_line,
                command: CommandInput::default(),
                limits: limits.clone(),
                grants: grants.clone(),
            })
        } else {
            Err(problems)
        }
    }

    /// The call of a command with its input and the meaning of its exit codes.
    #[must_use]
    pub fn with_command(self, command: CommandInput) -> Self {
        Self { command, ..self }
    }

    /// The function that is called.
    #[must_use]
    pub fn function(&self) -> &Function {
        &self.plugin.functions[self.function]
    }

    pub(crate) fn linked(&self) -> &Linked {
        self.plugin.linked(self.metering).expect("a plugin is loaded for every metering that its jobs ask for")
    }
}

fn check_grants(grants: &Grants) -> Vec<CallProblem> {
    let missing = grants.dirs.iter().enumerate().filter(|(_, dir)| !dir.host.is_dir());
    let problem = |(index, dir): (usize, &clockjack_schedule::job::DirGrant)| {
        let shown = dir.host.display();
        let message = match dir.host.exists() {
            true => format!("`{shown}` is no directory"),
            false => format!("the directory `{shown}` does not exist"),
        };
        let fix = "create it, or correct the path; relative paths start at the manifest's folder";
        CallProblem::new(format!("grants.dirs[{index}].host"), LoadCode::NotFound, message, fix)
    };
    missing.map(problem).collect()
}

fn check_memory(plugin: &Plugin, limits: &Limits) -> Option<CallProblem> {
    let declared = plugin.memory_bytes_min.filter(|declared| limits.memory_bytes_max < *declared)?;
    let message = format!(
        "the component begins with {} of memory, and the limit is {}",
        show_size(declared),
        show_size(limits.memory_bytes_max)
    );
    let fix = format!("set `limits: {{ memory: {} }}` or more", show_size(declared.next_multiple_of(1 << 20)));
    Some(CallProblem::new("limits.memory", LoadCode::MemoryLimit, message, fix))
}

fn arguments(function: &Function, args: &Arguments, problems: &mut Vec<CallProblem>) -> (Vec<Val>, Vec<String>) {
    match function.kind {
        FunctionKind::Command => (Vec::new(), command_line(args, problems)),
        FunctionKind::Function => (typed(function, args, problems), Vec::new()),
    }
}

fn typed(function: &Function, args: &Arguments, problems: &mut Vec<CallProblem>) -> Vec<Val> {
    let unsupported = function.parameters.iter().find_map(|parameter| unsupported_part(&parameter.ty, &parameter.name));
    if let Some(path) = unsupported {
        let message = format!("the parameter `{path}` of `{}` is a resource, a stream or a future", function.name);
        problems.push(CallProblem::new(
            "call",
            LoadCode::Type,
            message,
            "such values cannot be written in a manifest: call a function that takes plain data",
        ));
        return Vec::new();
    }
    let empty = serde_json::Map::new();
    match args {
        Arguments::None => named(function, &empty, problems),
        Arguments::Named(map) => named(function, map, problems),
        Arguments::Listed(items) => listed(function, items, problems),
    }
}

fn named(function: &Function, map: &serde_json::Map<String, Json>, problems: &mut Vec<CallProblem>) -> Vec<Val> {
    let names: Vec<_> = function.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    for unknown in map.keys().filter(|key| !names.contains(&key.as_str())) {
        let message = format!("`{}` has no parameter `{unknown}`", function.name);
        let fix = match did_you_mean(unknown, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "it takes none: remove `args`".to_owned(),
            None => format!("its parameters are {}", names.join(", ")),
        };
        let problem = CallProblem::new(format!("args.{unknown}"), LoadCode::Type, message, fix);
        problems.push(CallProblem { part: Part::Key, ..problem });
    }
    let values = function.parameters.iter().filter_map(|parameter| {
        let path = format!("args.{}", parameter.name);
        let fix = format!("add `{}: …` under `args:`", parameter.name);
        value(function, parameter, map.get(&parameter.name), &path, &fix, problems)
    });
    values.collect()
}

fn listed(function: &Function, items: &[Json], problems: &mut Vec<CallProblem>) -> Vec<Val> {
    let n_parameters = function.parameters.len();
    if n_parameters < items.len() {
        let message = format!("`{}` takes {n_parameters} arguments, and {} are given", function.name, items.len());
        problems.push(CallProblem::new("args", LoadCode::Type, message, "remove the last ones, or write them by name"));
    }
    let values = function.parameters.iter().enumerate().filter_map(|(index, parameter)| {
        value(function, parameter, items.get(index), &format!("args[{index}]"), "add it to the list", problems)
    });
    values.collect()
}

/// The value of one parameter: what was given, or nothing where the type allows that.
fn value(
    function: &Function,
    parameter: &Parameter,
    given: Option<&Json>,
    path: &str,
    fix: &str,
    problems: &mut Vec<CallProblem>,
) -> Option<Val> {
    if let Some(json) = given {
        return converted(json, &parameter.ty, path, problems);
    }
    let nothing = absent(&parameter.ty);
    if nothing.is_none() {
        let (name, ty) = (&parameter.name, type_name(&parameter.ty));
        let message = format!("the argument `{name}` of `{}` is missing; it is a {ty}", function.name);
        problems.push(CallProblem::new("args", LoadCode::Type, message, fix));
    }
    nothing
}

fn converted(json: &Json, ty: &wasmtime::component::Type, path: &str, problems: &mut Vec<CallProblem>) -> Option<Val> {
    match from_json(ty, json) {
        Ok(value) => Some(value),
        Err(misfit) => {
            let joint = if misfit.path.is_empty() || misfit.path.starts_with('[') { "" } else { "." };
            let path = format!("{path}{joint}{}", misfit.path);
            let fix = format!("the parameter is a {}", type_name(ty));
            problems.push(CallProblem::new(path.clone(), LoadCode::Type, format!("{path}: {}", misfit.message), fix));
            None
        }
    }
}
