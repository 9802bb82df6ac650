//! Does the steps of a script with the crate: tests/libagent/steps.txt.

use libagent::{Agent, Cancel, Error, Options, Progress, Status};
use std::io::BufRead;
use std::time::Duration;

const SHOWN: usize = 300;

fn show(title: &str, text: &str) {
    if text.len() > SHOWN {
        let remainder = text.bytes().fold(0, |n: u64, b| (n * 256 + u64::from(b)) % 2147483647);
        println!("{} {} bytes, remainder {}", title, text.len(), remainder);
        return;
    }
    let shown: String = text
        .chars()
        .map(|c| if c < ' ' { format!("\\x{:02x}", c as u32) } else { c.to_string() })
        .collect();
    println!("{} {}", title, shown);
}

fn show_error(error: &Error) {
    match error.status {
        Status::Refused => println!("error refused {} {}", error.code, error.text),
        Status::Failed => println!("error failed {}", error.text),
        status => println!("error {}", status.name()),
    }
}

fn option<'a>(fields: &[&'a str], name: &str) -> Option<&'a str> {
    fields.iter().find_map(|field| field.strip_prefix(name))
}

fn call(agent: &mut Agent, tool: &str, arguments: &str, options: &[&str]) -> Result<(), Error> {
    let number = |name| option(options, name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    let (stop, fire) = (number("stop="), number("fire="));
    let cancel = Cancel::new().expect("a pair of sockets");
    let mut seen = 0;
    let mut progress = |told: &Progress| {
        seen += 1;
        let message = told.message.as_deref().unwrap_or("-");
        println!("progress {}/{} {}", told.progress, told.total, message);
        if seen == fire {
            let cancel = cancel.clone();
            std::thread::spawn(move || cancel.fire());
        }
        seen != stop
    };
    if option(options, "fired").is_some() {
        cancel.fire();
    }
    let watched = ["progress", "stop=", "fire="].iter().any(|name| option(options, name).is_some());
    let timeout = number("timeout=");
    let answer = agent.call(
        tool,
        arguments,
        Options {
            timeout: if timeout > 0 { Some(Duration::from_millis(timeout)) } else { None },
            progress: if watched { Some(&mut progress) } else { None },
            cancel: Some(&cancel),
        },
    )?;
    show("answer", &answer.json);
    show("text", &answer.text);
    if let Some(structured) = &answer.structured {
        show("structured", structured);
    }
    println!("failed {}", answer.is_error);
    Ok(())
}

fn told(result: Result<(), Error>) -> Result<(), Error> {
    result.map(|()| println!("ok"))
}

fn step(agent: &mut Agent, field: &[&str]) -> Result<(), Error> {
    let at = |index: usize| field.get(index).copied();
    let first = at(1).unwrap_or("");
    match field[0] {
        "tools" => {
            let tools = agent.tools()?;
            for tool in &tools {
                println!("tool {} | {} | {}", tool.name, tool.description, tool.json);
            }
            println!("tools {}", tools.len());
        }
        "mission" => show("mission", &agent.mission()?),
        "call" => call(agent, first, at(2).unwrap_or(""), field.get(3..).unwrap_or(&[]))?,
        "big" => {
            let bytes: usize = at(2).and_then(|text| text.parse().ok()).unwrap_or(8);
            call(agent, first, &format!("{{\"x\":\"{}\"}}", "x".repeat(bytes - 8)), field.get(3..).unwrap_or(&[]))?
        }
        "observe" => told(agent.observe(first, at(2)))?,
        "transition" => told(agent.transition(first, at(2)))?,
        "result" => told(agent.result(first))?,
        "emit_event" => told(agent.emit_event(first, at(2), at(3)))?,
        "release" => {
            let path = std::env::var("RELEASE").expect("RELEASE");
            std::fs::write(path, "").expect("a file that can be written")
        }
        "log" => libagent::log(first, at(2).unwrap_or("")),
        _ => println!("no such step"),
    }
    Ok(())
}

fn main() {
    let mut agent: Option<Agent> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a script in UTF-8");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        println!("> {}", line);
        let fields: Vec<String> = line.split('\t').map(|f| f.replace("\\n|", "\n")).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let result = if fields[0] == "connect" {
            agent = None;
            libagent::connect().map(|connected| {
                agent = Some(connected);
                println!("ok")
            })
        } else if let Some(agent) = agent.as_mut() {
            step(agent, &fields)
        } else if fields[0] == "log" {
            libagent::log(fields[1], fields[2]);
            Ok(())
        } else {
            panic!("the script connects first")
        };
        if let Err(error) = result {
            show_error(&error);
        }
    }
}
