//! What is a template's text for an alert?

use super::function::{MOST_TEXT, call};
use super::tree::{At, Command, Node, Operand, Pipe, What};
use super::value::{Found, Value};
use super::{Fault, Template};

/// Nodes and operands that one expansion may pass (T2).
const MOST_STEPS: usize = 100_000;
/// Templates that may call each other.
const MOST_CALLS: usize = 64;

/// Answers `query`.
pub(in crate::rule) type Ask<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<Found>, String>;

/// What a template is expanded for.
pub(in crate::rule) struct Scene<'a> {
    /// The series that the alert is about.
    pub(in crate::rule) found: &'a Found,
    /// When it is evaluated, in milliseconds.
    pub(in crate::rule) now: i64,
    pub(in crate::rule) ask: Ask<'a>,
}

pub(super) fn expand(template: &Template, scene: Scene<'_>) -> Result<String, Fault> {
    let alert = Value::Alert(Box::new(scene.found.clone()));
    let preset = [("$", ""), ("$labels", "Labels"), ("$externalLabels", "ExternalLabels")];
    let preset = preset.into_iter().chain([("$externalURL", "ExternalURL"), ("$value", "Value")]);
    let variables = preset.map(|(name, field)| {
        let value = if field.is_empty() { alert.clone() } else { alert.field(field).unwrap_or(Value::Nil) };
        (name.to_owned(), value)
    });
    let mut expansion =
        Expansion { template, variables: variables.collect(), out: String::new(), steps: 0, calls: 0, scene };
    expansion.list(&template.root, &alert)?;
    Ok(expansion.out)
}

/// How a list of nodes ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Expansion<'t, 'a> {
    template: &'t Template,
    variables: Vec<(String, Value)>,
    out: String,
    steps: usize,
    calls: usize,
    scene: Scene<'a>,
}

impl Expansion<'_, '_> {
    fn fault<T>(&self, at: At, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::new(&self.template.text, at, message))
    }

    fn step(&mut self, at: At) -> Result<(), Fault> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return self.fault(at, format!("the expansion takes more than {MOST_STEPS} steps"));
        }
        if self.out.len() > MOST_TEXT {
            return self.fault(at, format!("the expansion is longer than {MOST_TEXT} bytes"));
        }
        Ok(())
    }

    fn list(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Fault> {
        let known = self.variables.len();
        let mut flow = Flow::On;
        for node in nodes {
            flow = self.node(node, dot)?;
            if flow != Flow::On {
                break;
            }
        }
        self.variables.truncate(known);
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, Fault> {
        self.step(0)?;
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    self.out.push_str(&value.printed());
                }
            }
            Node::If { condition, then, otherwise } => {
                let known = self.variables.len();
                let is_true = self.pipe(condition, dot)?.is_true();
                let flow = self.list(if is_true { then } else { otherwise }, dot)?;
                self.variables.truncate(known);
                return Ok(flow);
            }
            Node::With { value, then, otherwise } => {
                let known = self.variables.len();
                let value = self.pipe(value, dot)?;
                let flow = if value.is_true() { self.list(then, &value)? } else { self.list(otherwise, dot)? };
                self.variables.truncate(known);
                return Ok(flow);
            }
            Node::Range { over, body, otherwise } => return self.range(over, body, otherwise, dot),
            Node::Template { name, data, at } => self.template(name, data.as_ref(), *at, dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn range(&mut self, over: &Pipe, body: &[Node], otherwise: &[Node], dot: &Value) -> Result<Flow, Fault> {
        let at = place(over);
        let value = self.commands(over, dot)?;
        let number = |place: usize| Value::Int(i64::try_from(place).unwrap_or(i64::MAX));
        let items: Vec<(Value, Value)> = match &value {
            Value::Nil => Vec::new(),
            Value::Vector(found) => {
                let found = found.iter().map(|found| Value::Found(Box::new(found.clone())));
                found.enumerate().map(|(place, found)| (number(place), found)).collect()
            }
            Value::Labels(labels) => {
                let text = |text: &str| Value::Text(text.to_owned());
                labels.iter().map(|(name, value)| (text(name), text(value))).collect()
            }
            Value::Map(map) => map.iter().map(|(name, value)| (Value::Text(name.clone()), value.clone())).collect(),
            Value::Int(count) => {
                let count = usize::try_from(*count).unwrap_or(0).min(MOST_STEPS);
                (0..count).map(|place| (number(place), number(place))).collect()
            }
            other => return self.fault(at, format!("range can't iterate over {}", other.type_name())),
        };
        if items.is_empty() {
            return self.list(otherwise, dot);
        }
        let known = self.variables.len();
        for (place, item) in items {
            self.step(at)?;
            match over.variables.as_slice() {
                [own] => self.set(over.is_assignment, own, item.clone()),
                [first, own] => {
                    self.set(over.is_assignment, first, place);
                    self.set(over.is_assignment, own, item.clone());
                }
                _ => {}
            }
            let flow = self.list(body, &item)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn template(&mut self, name: &str, data: Option<&Pipe>, at: At, dot: &Value) -> Result<(), Fault> {
        if self.calls >= MOST_CALLS {
            return self.fault(at, format!("templates call each other more than {MOST_CALLS} times"));
        }
        let data = data.map_or(Ok(Value::Nil), |pipe| self.pipe(pipe, dot))?;
        let template = self.template;
        let Some(nodes) = template.named.get(name) else {
            return self.fault(at, format!("template {name:?} not defined"));
        };
        let own = vec![("$".to_owned(), data.clone())];
        let variables = std::mem::replace(&mut self.variables, own);
        self.calls += 1;
        let listed = self.list(nodes, &data);
        self.calls -= 1;
        self.variables = variables;
        listed.map(|_| ())
    }

    fn set(&mut self, is_assignment: bool, name: &str, value: Value) {
        let known = self.variables.iter_mut().rev().find(|(known, _)| is_assignment && known == name);
        match known {
            Some((_, known)) => *known = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    /// The value of a pipe; its variables have it from then on.
    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, Fault> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.variables {
            self.set(pipe.is_assignment, name, value.clone());
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, Fault> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last.take(), dot)?);
        }
        Ok(last.unwrap_or(Value::Nil))
    }

    /// A command, with what the one before it gave as its last argument.
    fn command(&mut self, command: &Command, piped: Option<Value>, dot: &Value) -> Result<Value, Fault> {
        let head = &command.head;
        let at = head.at;
        self.step(at)?;
        let name = match &head.what {
            What::Function(name) if head.fields.is_empty() => name.as_str(),
            _ if command.arguments.is_empty() && piped.is_none() => return self.operand(head, dot),
            _ => return self.fault(at, "can't give argument to non-function"),
        };
        if name == "and" || name == "or" {
            return self.either(name == "or", command, piped, dot);
        }
        let mut values = Vec::with_capacity(command.arguments.len() + 1);
        for argument in &command.arguments {
            values.push(self.operand(argument, dot)?);
        }
        values.extend(piped);
        self.call(name, &values, at)
    }

    fn call(&mut self, name: &str, values: &[Value], at: At) -> Result<Value, Fault> {
        let called = match (name, values) {
            ("query", [Value::Text(text)]) => (self.scene.ask)(text).map(|found| Value::Vector(found.into())),
            _ => call(name, values, self.scene.now),
        };
        let called = called.and_then(|value| match value {
            Value::Text(text) if text.len() > MOST_TEXT => Err(format!("a text longer than {MOST_TEXT} bytes")),
            value => Ok(value),
        });
        called.map_err(|message| Fault::new(&self.template.text, at, format!("error calling {name}: {message}")))
    }

    /// `and` and `or`: the first value that decides, and no further one is computed.
    fn either(&mut self, wanted: bool, command: &Command, piped: Option<Value>, dot: &Value) -> Result<Value, Fault> {
        let mut last = None;
        for argument in &command.arguments {
            let value = self.operand(argument, dot)?;
            if value.is_true() == wanted {
                return Ok(value);
            }
            last = Some(value);
        }
        match piped.or(last) {
            Some(value) => Ok(value),
            None => self.fault(command.head.at, "wrong arguments for and, or: ()"),
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, Fault> {
        self.step(operand.at)?;
        let mut value = match &operand.what {
            What::Dot => dot.clone(),
            What::Nil => Value::Nil,
            What::Bool(value) => Value::Bool(*value),
            What::Int(value) => Value::Int(*value),
            What::Float(value) => Value::Float(*value),
            What::Text(text) => Value::Text(text.clone()),
            What::Variable(name) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                known.map_or(Value::Nil, |(_, value)| value.clone())
            }
            What::Function(name) => self.call(name, &[], operand.at)?,
            What::Pipe(pipe) => self.pipe(pipe, dot)?,
        };
        for field in &operand.fields {
            value = match value.field(field) {
                Ok(value) => value,
                Err(message) => return self.fault(operand.at, message),
            };
        }
        Ok(value)
    }
}

fn place(pipe: &Pipe) -> At {
    pipe.commands.first().map_or(0, |command| command.head.at)
}
