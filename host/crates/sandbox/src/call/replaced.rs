//! Arguments that somebody gives for one run, in the place of those of the job.

use clockjack_schedule::ports::ArgsMisfit;
use serde_json::Value as Json;

use super::{Call, Filled, joined};
use crate::{
    exports::FunctionKind,
    values::{from_json::Reader, templates::Texts},
};

/// Which arguments of the job others have taken the place of.
#[derive(Default)]
pub(super) enum Replaced {
    #[default]
    None,
    Some(Vec<usize>),
    All,
}

impl Replaced {
    pub(super) fn has(&self, index: usize) -> bool {
        match self {
            Self::None => false,
            Self::Some(replaced) => replaced.contains(&index),
            Self::All => true,
        }
    }
}

/// A word of a command line, as it is.
fn plain_word(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

impl Call {
    /// Whether arguments can take the place of those of the job, for one run.
    ///
    /// # Errors
    /// Which of them does not fit, and why.
    pub fn check_args(&self, args: &Json) -> Result<(), ArgsMisfit> {
        let mut filled = Filled { values: self.values.clone(), command_line: self.command_line.clone() };
        self.replace(args, &mut filled).map(drop)
    }

    /// Puts arguments in the place of those of the job. They come from outside: they name no files and hold no templates.
    pub(super) fn replace(&self, args: &Json, filled: &mut Filled) -> Result<Replaced, ArgsMisfit> {
        let misfit = |path: String, message: String| ArgsMisfit { path, message };
        match (self.function().kind, args) {
            (FunctionKind::Command, Json::Array(items)) => {
                let words = items.iter().enumerate().map(|(index, item)| {
                    let what = "a word of a command line is text, a number or a boolean";
                    plain_word(item).ok_or_else(|| misfit(format!("args[{index}]"), what.to_owned()))
                });
                let words: Vec<_> = words.collect::<Result<_, _>>()?;
                filled.command_line.truncate(1);
                filled.command_line.extend(words);
                Ok(Replaced::All)
            }
            (FunctionKind::Command, _) => {
                Err(misfit("args".to_owned(), "a command takes its arguments as a list of words".to_owned()))
            }
            (FunctionKind::Function, Json::Object(map)) => {
                let parameters = &self.function().parameters;
                let mut replaced = Vec::with_capacity(map.len());
                for (name, json) in map {
                    let path = format!("args.{name}");
                    let Some(index) = parameters.iter().position(|parameter| parameter.name == *name) else {
                        let names: Vec<_> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
                        let message = match names.is_empty() {
                            true => "there is no such parameter: the function takes none".to_owned(),
                            false => format!("there is no such parameter; there are: {}", names.join(", ")),
                        };
                        return Err(misfit(path, message));
                    };
                    let reader = Reader { texts: Texts::Plain, folder: None };
                    filled.values[index] = reader
                        .read(&parameters[index].ty, json)
                        .map_err(|unfit| misfit(joined(&path, &unfit.path), unfit.message))?;
                    replaced.push(index);
                }
                Ok(Replaced::Some(replaced))
            }
            (FunctionKind::Function, _) => {
                Err(misfit("args".to_owned(), "a function takes its arguments by name".to_owned()))
            }
        }
    }
}
