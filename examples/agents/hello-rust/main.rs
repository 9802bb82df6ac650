//! The smallest agent that does all that one does: it is told what for, remembers, calls a tool and reports.
//! The same agent in Python and for Node.js is beside it. The task "wait" waits until the session is ended.

use libagent::{json, log, Agent, Error, Options};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, io, path::Path, thread};

const TOOL: &str = "survey__summarise";

/// How often it ran: what lies in its home is there again in the next session.
fn visits() -> io::Result<u32> {
    let file = Path::new(&env::var("HOME").unwrap_or_default()).join("visits");
    let before = fs::read_to_string(&file).unwrap_or_default();
    let count = before.trim().parse().unwrap_or(0) + 1;
    fs::write(&file, format!("{}\n", count))?;
    Ok(count)
}

fn hello(agent: &mut Agent, count: u32) -> Result<bool, Error> {
    let mission = agent.mission()?;
    let task = json::get(&mission, "task").and_then(json::string).unwrap_or_default();
    let name = env::var("AGENT_NAME").unwrap_or_default();
    println!("hello from {}, visit {}: {}", name, count, task);
    while task == "wait" {
        thread::park();
    }
    let options = Options { timeout: Some(Duration::from_secs(60)), ..Default::default() };
    let answer = agent.call(TOOL, "{\"path\":\"/context\"}", options)?;
    println!("{}", answer.text);
    agent.result(&format!(
        "{{\"task\":{},\"visits\":{},\"summary\":{}}}",
        json::quote(&task),
        count,
        answer.structured.as_deref().unwrap_or("null")
    ))?;
    Ok(!answer.is_error)
}

fn main() -> ExitCode {
    let count = match visits() {
        Ok(count) => count,
        Err(error) => {
            log("error", &format!("the home: {}", error));
            return ExitCode::FAILURE;
        }
    };
    match libagent::connect().and_then(|mut agent| hello(&mut agent, count)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            log("error", &format!("{}: {}", error.status.name(), error.text));
            ExitCode::FAILURE
        }
    }
}
