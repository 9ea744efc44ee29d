//! A call that is ready to run: which function, its arguments as component values, its bounds. Everything that can be
//! wrong with it is found here, when the manifest is loaded, and not at three in the morning.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use clockjack_schedule::{
    command::ExitCodes,
    diagnostic::did_you_mean,
    job::{Arguments, Grants, Limits},
    manifest::scalar::show_size,
    payload::Payload,
    ports::Attempt,
};
use serde_json::Value as Json;
use wasmtime::component::Val;

use crate::{
    command::{CommandInput, PROGRAM_NAME},
    engine::Metering,
    error::{LoadCode, LoadError},
    exports::{self, Function, FunctionKind, Parameter},
    imports,
    plugin::{Linked, Plugin},
    recipe::{Imports, Recipe},
    values::{
        from_json::{Reader, absent},
        templates::{self, Texts},
        typename::{type_name, unsupported_part},
    },
};

mod replaced;

use self::replaced::Replaced;

/// A call that is ready to run.
pub struct Call {
    pub(crate) plugin: Arc<Plugin>,
    /// What the plugin's imports were held to.
    pub(crate) imports: Imports,
    pub(crate) function: usize,
    pub(crate) metering: Metering,
    pub(crate) values: Vec<Val>,
    /// The command line of a command.
    pub(crate) command_line: Vec<String>,
    /// What is filled in when the job fires; empty for most calls.
    templated: Vec<Templated>,
    /// What a command reads, and what its exit codes mean.
    pub(crate) command: CommandInput,
    pub(crate) limits: Limits,
    pub(crate) grants: Grants,
    /// The variables of the grants, for whoever asks for them otherwise than through the environment.
    pub(crate) variables: Arc<BTreeMap<String, String>>,
}

/// An argument, or a word of a command line, with a template in it.
struct Templated {
    /// Which value, or which word.
    index: usize,
    /// `args.days`
    path: String,
    /// As it is written.
    json: Json,
    /// Where the relative paths of files start.
    folder: Arc<Path>,
}

/// The arguments of one attempt.
pub(crate) struct Filled {
    pub(crate) values: Vec<Val>,
    pub(crate) command_line: Vec<String>,
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

    /// Whether the plugin imports what the job is not granted, and nothing else is wrong here.
    #[must_use]
    pub fn is_missing_grant(&self) -> bool {
        self.error.code == LoadCode::Import
    }
}

impl Call {
    /// Checks a call against its plugin and converts its arguments. Paths of files in them start where the host runs.
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
        let recipe = Recipe { folder: Path::new(""), function: call, args, command: None, limits, grants };
        Self::made(plugin, &recipe, Imports::Granted)
    }

    /// Checks a call as its recipe says, and converts its arguments. What only a command has is left to the recipe.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn made(plugin: &Arc<Plugin>, recipe: &Recipe<'_>, imports: Imports) -> Result<Self, Vec<CallProblem>> {
        let Recipe { folder, function: call, args, limits, grants, .. } = *recipe;
        let metering = if limits.fuel.is_some() { Metering::Fuel } else { Metering::Plain };
        let mut problems = check_grants(grants);
        if imports == Imports::Granted {
            problems.extend(check_imports(plugin, grants));
        }
        problems.extend(check_memory(plugin, limits));
        problems.extend(check_metering(plugin, metering));
        let function = match exports::find(&plugin.functions, call) {
            Ok(function) => function,
            Err((message, fix)) => {
                problems.push(CallProblem::new("call", LoadCode::Type, message, fix));
                return Err(problems);
            }
        };
        let read = Read { folder: folder.into(), templated: Vec::new(), problems };
        let (values, command_line, Read { templated, problems, .. }) =
            read.arguments(&plugin.functions[function], args);
        if problems.is_empty() {
            Ok(Self {
                plugin: Arc::clone(plugin),
                imports,
                function,
                metering,
                values,
                command_line,
                templated,
                command: CommandInput::default(),
                limits: limits.clone(),
                grants: grants.clone(),
                variables: Arc::new(grants.env.clone()),
            })
        } else {
            Err(problems)
        }
    }

    /// A call that another process has checked. Its arguments come with each attempt.
    pub(crate) fn received(
        plugin: Arc<Plugin>,
        function: usize,
        exit_codes: ExitCodes,
        limits: Limits,
        grants: Grants,
    ) -> Self {
        Self {
            plugin,
            // The other process has held them to the grants, or knows why not.
            imports: Imports::Approved,
            function,
            // The code has one form only, and that is the right one.
            metering: Metering::Plain,
            values: Vec::new(),
            command_line: Vec::new(),
            templated: Vec::new(),
            command: CommandInput::of(exit_codes),
            variables: Arc::new(grants.env.clone()),
            limits,
            grants,
        }
    }

    /// The call of a command with its input and the meaning of its exit codes.
    #[must_use]
    pub(crate) fn with_command(self, command: CommandInput) -> Self {
        Self { command, ..self }
    }

    /// The plugin whose function is called.
    #[must_use]
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// The function that is called.
    #[must_use]
    pub fn function(&self) -> &Function {
        &self.plugin.functions[self.function]
    }

    /// The arguments of an attempt, where they differ from one to the next.
    pub(crate) fn fill(&self, attempt: &Attempt) -> Result<Option<Filled>, String> {
        let args = attempt.run.payload.as_ref().and_then(Payload::args);
        if self.templated.is_empty() && args.is_none() {
            return Ok(None);
        }
        let mut filled = Filled { values: self.values.clone(), command_line: self.command_line.clone() };
        let replaced = match args {
            Some(args) => self.replace(args, &mut filled).map_err(|misfit| misfit.to_string())?,
            None => Replaced::default(),
        };
        for Templated { index, path, json, folder } in self.templated.iter().filter(|it| !replaced.has(it.index)) {
            let told = |message: String| format!("{path}: {message}");
            if let Some(word) = filled.command_line.get_mut(*index) {
                *word = templates::word(json.as_str().unwrap_or_default(), attempt).map_err(told)?;
                continue;
            }
            let reader = Reader { texts: Texts::Filled(attempt), folder: Some(folder) };
            let read = reader.read(&self.function().parameters[*index].ty, json);
            filled.values[*index] =
                read.map_err(|misfit| format!("{}: {}", joined(path, &misfit.path), misfit.message))?;
        }
        Ok(Some(filled))
    }

    pub(crate) fn linked(&self) -> &Linked {
        self.plugin.linked(self.metering).expect("a call is made only of a plugin that is loaded for its metering")
    }
}

fn check_grants(grants: &Grants) -> Vec<CallProblem> {
    let missing = grants.dirs.iter().filter(|dir| !dir.host.is_dir());
    let problem = |dir: &clockjack_schedule::job::DirGrant| {
        let shown = dir.host.display();
        let message = match dir.host.exists() {
            true => format!("`{shown}` is no directory"),
            false => format!("the directory `{shown}` does not exist"),
        };
        let fix = "create it, or correct the path; relative paths start at the manifest's folder";
        CallProblem::new(format!("grants.dirs[{}].host", dir.index), LoadCode::NotFound, message, fix)
    };
    missing.map(problem).collect()
}

/// Imports are requests: what a component asks for beyond what every language runtime drags in has to be granted.
fn check_imports(plugin: &Plugin, grants: &Grants) -> impl Iterator<Item = CallProblem> {
    let missing = imports::missing_grants(&plugin.imports, grants);
    missing.into_iter().map(|(path, message, fix)| CallProblem::new(path, LoadCode::Import, message, fix))
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

/// Code that counts instructions is other code; a plugin has it only where a job asked for it when it was loaded.
fn check_metering(plugin: &Plugin, metering: Metering) -> Option<CallProblem> {
    if plugin.linked(metering).is_some() {
        return None;
    }
    let message = "the job counts instructions, and this plugin was loaded without code that does";
    Some(CallProblem::new("limits.fuel", LoadCode::Type, message, "load the plugin again, or remove `fuel`"))
}

/// The path to a part of an argument.
fn joined(path: &str, below: &str) -> String {
    let joint = if below.is_empty() || below.starts_with('[') { "" } else { "." };
    format!("{path}{joint}{below}")
}

/// Arguments while they are being read.
struct Read {
    folder: Arc<Path>,
    templated: Vec<Templated>,
    problems: Vec<CallProblem>,
}

impl Read {
    fn arguments(mut self, function: &Function, args: &Arguments) -> (Vec<Val>, Vec<String>, Self) {
        let (values, words) = match function.kind {
            FunctionKind::Command => (Vec::new(), self.command_line(args)),
            FunctionKind::Function => (self.typed(function, args), Vec::new()),
        };
        (values, words, self)
    }

    fn later(&mut self, index: usize, path: String, json: &Json) {
        let folder = Arc::clone(&self.folder);
        self.templated.push(Templated { index, path, json: json.clone(), folder });
    }

    fn command_line(&mut self, args: &Arguments) -> Vec<String> {
        let mut words = vec![PROGRAM_NAME.to_owned()];
        match args {
            Arguments::None => {}
            Arguments::Listed(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("args[{index}]");
                    match item {
                        Json::String(text) => match templates::literal(text) {
                            Some(word) => words.push(word),
                            None => {
                                self.later(words.len(), path, item);
                                words.push(String::new());
                            }
                        },
                        Json::Number(number) => words.push(number.to_string()),
                        Json::Bool(flag) => words.push(flag.to_string()),
                        Json::Null | Json::Array(_) | Json::Object(_) => {
                            let message = "a word of a command line is text, a number or a boolean";
                            self.problems.push(CallProblem::new(path, LoadCode::Type, message, "write it as text"));
                        }
                    }
                }
            }
            Arguments::Named(_) => {
                let message = "a command takes its arguments as a list of words";
                self.problems.push(CallProblem::new("args", LoadCode::Type, message, "write `args: [--days, 30]`"));
            }
        }
        words
    }

    fn typed(&mut self, function: &Function, args: &Arguments) -> Vec<Val> {
        let unsupported = |parameter: &Parameter| unsupported_part(&parameter.ty, &format!("args.{}", parameter.name));
        if let Some((path, what)) = function.parameters.iter().find_map(unsupported) {
            let message = format!("{path}: {what} cannot be written in a manifest, and `{}` takes one", function.name);
            let fix = "call a function that takes plain data";
            self.problems.push(CallProblem::new("call", LoadCode::Type, message, fix));
            return Vec::new();
        }
        let empty = serde_json::Map::new();
        match args {
            Arguments::None => self.named(function, &empty),
            Arguments::Named(map) => self.named(function, map),
            Arguments::Listed(items) => self.listed(function, items),
        }
    }

    fn named(&mut self, function: &Function, map: &serde_json::Map<String, Json>) -> Vec<Val> {
        let names: Vec<_> = function.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        for unknown in map.keys().filter(|key| !names.contains(&key.as_str())) {
            let message = format!("`{}` has no parameter `{unknown}`", function.name);
            let fix = match did_you_mean(unknown, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => "it takes none: remove `args`".to_owned(),
                None => format!("its parameters are {}", names.join(", ")),
            };
            let problem = CallProblem::new(format!("args.{unknown}"), LoadCode::Type, message, fix);
            self.problems.push(CallProblem { part: Part::Key, ..problem });
        }
        let values = function.parameters.iter().enumerate().filter_map(|(index, parameter)| {
            let path = format!("args.{}", parameter.name);
            let fix = format!("add `{}: …` under `args:`", parameter.name);
            self.value(function, index, map.get(&parameter.name), path, &fix)
        });
        values.collect()
    }

    fn listed(&mut self, function: &Function, items: &[Json]) -> Vec<Val> {
        let n_parameters = function.parameters.len();
        if n_parameters < items.len() {
            let message = format!("`{}` takes {n_parameters} arguments, and {} are given", function.name, items.len());
            let fix = "remove the last ones, or write them by name";
            self.problems.push(CallProblem::new("args", LoadCode::Type, message, fix));
        }
        let values = (0..n_parameters).filter_map(|index| {
            self.value(function, index, items.get(index), format!("args[{index}]"), "add it to the list")
        });
        values.collect()
    }

    /// The value of one parameter: what was given, or nothing where the type allows that.
    fn value(
        &mut self,
        function: &Function,
        index: usize,
        given: Option<&Json>,
        path: String,
        fix: &str,
    ) -> Option<Val> {
        let parameter = &function.parameters[index];
        if let Some(json) = given {
            return self.converted(index, json, parameter, path);
        }
        let nothing = absent(&parameter.ty);
        if nothing.is_none() {
            let (name, ty) = (&parameter.name, type_name(&parameter.ty));
            let message = format!("the argument `{name}` of `{}` is missing; it is a {ty}", function.name);
            self.problems.push(CallProblem::new("args", LoadCode::Type, message, fix));
        }
        nothing
    }

    fn converted(&mut self, index: usize, json: &Json, parameter: &Parameter, path: String) -> Option<Val> {
        let reader = Reader { texts: Texts::Checked, folder: Some(&self.folder) };
        match reader.read(&parameter.ty, json) {
            Ok(value) => {
                if templates::has_template(json) {
                    self.later(index, path, json);
                }
                Some(value)
            }
            Err(misfit) => {
                let path = joined(&path, &misfit.path);
                let message = format!("{path}: {}", misfit.message);
                let fix = format!("the parameter is a {}", type_name(&parameter.ty));
                let part = if misfit.is_key { Part::Key } else { Part::Value };
                let problem = CallProblem::new(path, LoadCode::Type, message, fix);
                self.problems.push(CallProblem { part, ..problem });
                None
            }
        }
    }
}
