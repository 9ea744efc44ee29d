//! What a component exports: each function is a possible job.

use clockjack_schedule::diagnostic::did_you_mean;
use wasmtime::{
    Engine,
    component::{
        Component, ComponentExportIndex, Type,
        types::{ComponentFunc, ComponentItem},
    },
};

use crate::{core_module::START, error::shown, values::typename::type_name};

/// The interface that makes a component a command.
const COMMAND_INTERFACE: &str = "wasi:cli/run";

/// A function that a component exports.
#[derive(Clone, Debug)]
pub struct Function {
    /// `purge`, or `acme:ops/cleanup@1.0.0#purge` for a function in an interface.
    pub name: String,
    /// What kind of job it makes.
    pub kind: FunctionKind,
    /// What it takes.
    pub parameters: Vec<Parameter>,
    /// What it gives back.
    pub result: Option<Type>,
    /// What its authors say of it, where the component carries that.
    pub docs: Option<String>,
}

impl Function {
    /// The one function of a program of WASI preview 1.
    pub(crate) fn program() -> Self {
        Self { name: START.to_owned(), kind: FunctionKind::Command, parameters: Vec::new(), result: None, docs: None }
    }

    /// Whether it is a command.
    #[must_use]
    pub fn is_command(&self) -> bool {
        self.kind == FunctionKind::Command
    }

    /// Its name with its types: `purge(days: u32) -> u64`.
    #[must_use]
    pub fn signature(&self) -> String {
        let name = shown(&self.name);
        match self.kind {
            FunctionKind::Command => format!("{name} (a command: arguments, environment, exit code)"),
            FunctionKind::Function => {
                let parameters: Vec<_> =
                    self.parameters.iter().map(|p| format!("{}: {}", shown(&p.name), type_name(&p.ty))).collect();
                let result = self.result.as_ref().map_or_else(String::new, |ty| format!(" -> {}", type_name(ty)));
                format!("{name}({}){result}", parameters.join(", "))
            }
        }
    }

    /// The parameter of a name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

impl Parameter {
    /// Whether it has to be given.
    #[must_use]
    pub fn is_required(&self) -> bool {
        !matches!(self.ty, Type::Option(_))
    }

    /// Whether plain text is its value as it stands, so that `42` means the text and not the number.
    #[must_use]
    pub fn takes_text(&self) -> bool {
        let is_text = |ty: &Type| matches!(ty, Type::String | Type::Char | Type::Enum(_));
        match &self.ty {
            Type::Option(option) => is_text(&option.ty()),
            ty => is_text(ty),
        }
    }
}

/// What kind of job a function makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// Typed arguments and a typed result.
    Function,
    /// A command line, an environment and an exit code (`wasi:cli/run`).
    Command,
}

/// One parameter of a function.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its WIT type.
    pub ty: Type,
}

/// Lists the functions of a component with their places.
pub(crate) fn functions(engine: &Engine, component: &Component) -> Vec<(Function, ComponentExportIndex)> {
    let ty = component.component_type();
    let mut found = Vec::new();
    for (export, item) in ty.exports(engine) {
        let Some(index) = component.get_export_index(None, export) else { continue };
        match item.ty {
            ComponentItem::ComponentFunc(function) => found.push((describe(export.to_owned(), &function), index)),
            ComponentItem::ComponentInstance(instance) => {
                for (name, item) in instance.exports(engine) {
                    let ComponentItem::ComponentFunc(function) = item.ty else { continue };
                    let Some(index) = component.get_export_index(Some(&index), name) else { continue };
                    found.push((describe(format!("{export}#{name}"), &function), index));
                }
            }
            ComponentItem::CoreFunc(_)
            | ComponentItem::Module(_)
            | ComponentItem::Component(_)
            | ComponentItem::Type(_)
            | ComponentItem::Resource(_) => {}
        }
    }
    found
}

fn describe(name: String, function: &ComponentFunc) -> Function {
    let is_command = name.split_once('#').is_some_and(|(interface, _)| unversioned(interface) == COMMAND_INTERFACE);
    let kind = if is_command { FunctionKind::Command } else { FunctionKind::Function };
    let parameters = function.params().map(|(name, ty)| Parameter { name: name.to_owned(), ty }).collect();
    Function { name, kind, parameters, result: function.results().next(), docs: None }
}

fn unversioned(interface: &str) -> &str {
    interface.split_once('@').map_or(interface, |(name, _)| name)
}

/// A name without the version of its interface: `acme:ops/cleanup#purge`.
fn short(name: &str) -> String {
    match name.split_once('#') {
        Some((interface, function)) => format!("{}#{function}", unversioned(interface)),
        None => name.to_owned(),
    }
}

/// Why no function was found: the message and what to do.
pub(crate) type NotFound = (String, String);

/// Finds the function that a manifest names, or the only one there is.
pub(crate) fn find(functions: &[Function], call: Option<&str>) -> Result<usize, NotFound> {
    let Some(call) = call else { return only(functions) };
    let command =
        || functions.iter().position(|function| function.kind == FunctionKind::Command && call == COMMAND_INTERFACE);
    let exact = functions.iter().position(|function| function.name == call);
    if let Some(index) = exact.or_else(command) {
        return Ok(index);
    }
    let without_version: Vec<_> = (0..functions.len()).filter(|index| short(&functions[*index].name) == call).collect();
    match without_version.as_slice() {
        [index] => Ok(*index),
        [] => Err(unknown(functions, call)),
        several => {
            let names: Vec<_> = several.iter().map(|index| shown(&functions[*index].name)).collect();
            Err((format!("`{call}` is exported in several versions"), format!("name one of {}", names.join(", "))))
        }
    }
}

fn only(functions: &[Function]) -> Result<usize, NotFound> {
    match functions {
        [_] => Ok(0),
        [] => Err(no_function()),
        several => {
            if let Some(command) = several.iter().position(|function| function.kind == FunctionKind::Command) {
                return Ok(command);
            }
            let n_functions = several.len();
            Err((
                format!("the plugin exports {n_functions} functions, and none is named"),
                format!("name one of {}", list(several)),
            ))
        }
    }
}

fn no_function() -> NotFound {
    let fix = "export a function from the component's world, or build it as a command (`wasi:cli/run`)";
    ("the component exports no function".to_owned(), fix.to_owned())
}

fn unknown(functions: &[Function], call: &str) -> NotFound {
    if functions.is_empty() {
        return no_function();
    }
    // WIT names are kebab-case, and people write the names of their own language.
    let kebab = call.replace('_', "-");
    let names = || functions.iter().map(|function| function.name.as_str());
    let bare = names().find(|name| name.rsplit('#').next() == Some(kebab.as_str()));
    let fix = match bare.or_else(|| did_you_mean(call, names())) {
        Some(near) => format!("did you mean `{}`?", shown(near)),
        None => format!("it exports {}", list(functions)),
    };
    (format!("the plugin exports no function `{call}`"), fix)
}

fn list(functions: &[Function]) -> String {
    const SHOWN_MAX: usize = 12;
    let mut names: Vec<_> =
        functions.iter().take(SHOWN_MAX).map(|function| format!("`{}`", shown(&function.name))).collect();
    if SHOWN_MAX < functions.len() {
        names.push(format!("and {} more", functions.len() - SHOWN_MAX));
    }
    names.join(", ")
}
