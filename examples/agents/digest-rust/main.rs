//! An agent that looks at a directory with a tool and stores what it found, as its session's result.
//! Its task is the directory, such as /context. The same agent in C and Python is beside it.

use libagent::{json, log, Agent, Error, Options, Progress};
use std::process::ExitCode;
use std::time::Duration;

const SUMMARISE: &str = "survey__summarise";
const TIMEOUT: Duration = Duration::from_secs(60);

fn told(step: &Progress) -> bool {
    let message = step.message.as_deref().unwrap_or("surveying");
    log("info", &format!("{}: {} of it seen", message, step.progress));
    true
}

/// False: what kept it from its task was said.
fn digest(agent: &mut Agent) -> Result<bool, Error> {
    let mission = agent.mission()?;
    let task = json::get(&mission, "task").and_then(json::string).unwrap_or_default();
    let path = if task.is_empty() { "/context" } else { task.as_str() };
    let previous = json::get(&mission, "previous").and_then(|p| json::get(p, "session"));
    agent.transition("plan", Some(&format!("survey {}", path)))?;
    if !agent.tools()?.iter().any(|tool| tool.name == SUMMARISE) {
        log("error", &format!("there is no tool {}: the manifest names its plugin", SUMMARISE));
        return Ok(false);
    }
    agent.transition("act", None)?;
    let answer = agent.call(
        SUMMARISE,
        &format!("{{\"path\":{}}}", json::quote(path)),
        Options { timeout: Some(TIMEOUT), progress: Some(&mut told), ..Default::default() },
    )?;
    if answer.is_error {
        // What a tool says goes to whoever can do better: here that is the author of the task.
        log("error", &format!("{}: {}", path, answer.text));
        return Ok(false);
    }
    agent.transition("observe", None)?;
    agent.observe(&answer.text, answer.structured.as_deref())?;
    // What was found is stored as it came: a number is never read and written again.
    agent.result(&format!(
        "{{\"path\":{},\"summary\":{},\"previous\":{}}}",
        json::quote(path),
        answer.structured.as_deref().unwrap_or("null"),
        previous.unwrap_or("null")
    ))?;
    println!("{}", answer.text);
    Ok(true)
}

fn main() -> ExitCode {
    match libagent::connect().and_then(|mut agent| digest(&mut agent)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            log("error", &format!("{}: {}", error.status.name(), error.text));
            ExitCode::FAILURE
        }
    }
}
