//! The integration tests: they drive the built program through its command line, as its users do, and know nothing else
//! of it.
//!
//! No test waits without a bound, writes outside of a temporary folder or depends on another one.

#![expect(clippy::panic, reason = "a test fails by a panic, also in the functions that tests share")]

mod access;
mod api_jobs;
mod attacks;
mod cli_arguments;
mod cli_check;
mod cli_commands;
mod cli_doctor;
mod cli_exec;
mod cli_exec_hostile;
mod cli_exec_refused;
mod cli_exec_values;
mod cli_input;
mod cli_next;
mod cli_reading;
mod cli_schema;
mod cli_templates;
mod compiling;
mod control;
mod dev;
mod egress;
mod egress_server;
mod events;
mod hosted;
mod hot;
mod isolation;
mod loading;
mod log;
mod log_hostile;
mod metrics;
mod new;
mod notify;
mod notify_receiver;
mod oci;
mod operate;
mod plugin_dirs;
mod program;
mod readme;
mod registry;
mod remote;
mod scene;
mod systemd;
mod tidy;
mod up;
mod up_chain;
mod up_end;
mod up_folders;
mod up_keep;
mod up_ledger;
mod up_limits;
mod up_on_time;
mod up_overlap;
mod up_reload;
mod up_restart;
mod up_retry;
mod up_secrets;
mod up_state;
mod up_stores;
mod visitor;
mod why_told;
