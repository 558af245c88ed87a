//! What is known of one module: what it costs, what importing it does to others, and who asks for it; for `--explain`.

use glowplug_core::{Decision, DecisionState, format_ms};
use serde::Serialize;

use crate::decisions::render_decisions;
use crate::style::Style;
use crate::text::wrap;

/// What a build knows of a module before it decides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModuleSummary {
    /// Its dotted name.
    pub module: String,
    /// Its own time in the original's init, in ms; `None` where init does not load it.
    pub init_ms: Option<f64>,
    /// Share of first requests that need it, from 0 to 1; `None` where that is not known.
    pub needed: Option<f64>,
    /// What its body may do to others, by line. Empty: nothing was found, which is proof where `native` is false.
    pub effects: Vec<ModuleEffect>,
    /// Whether it is native code, whose effects no analysis sees.
    pub native: bool,
    /// What its body reads beside the program: `environment`, `files`, `clock`, `random`.
    pub reads: Vec<String>,
    /// The nearest module with effects among those that it imports.
    pub through: Option<Through>,
    /// From the handler's module to this one, as the original's init loads them.
    pub chain: Vec<Link>,
}

/// Something that a module's body may do to others than itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModuleEffect {
    /// `registers`, `patches`, `starts`, `warns`, `writes`, or `runs` where what runs is not known.
    pub kind: String,
    /// Where.
    pub line: u32,
    /// A clause without its subject: `registers with atexit`.
    pub what: String,
}

/// An effect of something that a module imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Through {
    /// The modules from the imported one to the one with the effect.
    pub modules: Vec<String>,
    /// Its first effect; `None` where it is native code.
    pub effect: Option<ModuleEffect>,
}

/// One step of a chain of imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What is loaded.
    pub module: String,
    /// `app.py:7`; empty where no statement at the top of a module asks for it, as for the handler's own module.
    pub place: String,
    /// What the plan makes of the statement; `None` where it has no decision.
    pub state: Option<DecisionState>,
    /// Why.
    pub reason: String,
}

/// A module's summary, where there is one, and the decisions about it.
pub fn render_explanation(
    summary: Option<&ModuleSummary>,
    decisions: &[Decision],
    style: &Style,
    width: usize,
) -> String {
    let mut out = summary.map_or_else(String::new, |summary| render_summary(summary, style, width));
    if summary.is_some() && !decisions.is_empty() {
        out.push('\n');
    }
    out + &render_decisions(decisions, style, width)
}

fn render_summary(summary: &ModuleSummary, style: &Style, width: usize) -> String {
    let mut out = format!("{}: {}\n", Style::paint(style.strong, &summary.module), cost(summary));
    let mut line = |indent: usize, text: &str| {
        let wrapped = wrap(text, width.saturating_sub(indent), indent + 2);
        out += &format!("{:indent$}{wrapped}\n", "");
    };
    match (summary.native, summary.effects.as_slice()) {
        (true, _) => line(2, "effects on others: not known, it is native code"),
        (false, []) => line(2, "effects on others: none"),
        (false, effects) => {
            line(2, "effects on others:");
            for effect in effects {
                line(4, &sentence(effect));
            }
        }
    }
    if let Some(through) = &summary.through {
        let last = through.modules.last().map_or("", String::as_str);
        let what = through.effect.as_ref().map_or_else(|| "native code".to_owned(), sentence);
        line(2, &format!("of what it imports: `{last}`, {what}"));
        if through.modules.len() > 1 {
            line(4, &format!("by way of {}", through.modules[..through.modules.len() - 1].join(", ")));
        }
    }
    if !summary.reads.is_empty() {
        line(2, &format!("reads: {}", summary.reads.join(", ")));
    }
    if !summary.chain.is_empty() {
        line(2, "loaded by way of:");
        for link in &summary.chain {
            line(4, &step(link));
        }
    }
    out
}

fn cost(summary: &ModuleSummary) -> String {
    let Some(ms) = summary.init_ms else { return "init does not load it".to_owned() };
    let own = format!("{} of its own in init", format_ms(ms));
    match summary.needed {
        None => own,
        Some(0.0) => format!("{own}, needed by no first request"),
        Some(share) if share >= 1.0 => format!("{own}, needed by every first request"),
        Some(share) => format!("{own}, needed by {:.0} % of first requests", 100.0 * share),
    }
}

fn sentence(effect: &ModuleEffect) -> String {
    format!("{}, line {}: {}", effect.kind, effect.line, effect.what)
}

fn step(link: &Link) -> String {
    let place = if link.place.is_empty() { String::new() } else { format!(" ({})", link.place) };
    let state = match link.state {
        Some(DecisionState::Applied) => ": deferred",
        Some(DecisionState::Refused | DecisionState::Pinned) => ": stays",
        None => "",
    };
    let reason = if link.reason.is_empty() { String::new() } else { format!(", {}", link.reason) };
    format!("{}{place}{state}{reason}", link.module)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> ModuleSummary {
        let effect =
            |line, what: &str| ModuleEffect { kind: "registers".to_owned(), line, what: what.to_owned() };
        let link = |module: &str, place: &str, state, reason: &str| Link {
            module: module.to_owned(),
            place: place.to_owned(),
            state,
            reason: reason.to_owned(),
        };
        ModuleSummary {
            module: "shop.models".to_owned(),
            init_ms: Some(1.25),
            needed: Some(0.1),
            effects: vec![effect(4, "decorates `Order` with `@registry.mapped`")],
            native: false,
            reads: vec!["environment".to_owned(), "files".to_owned()],
            through: Some(Through {
                modules: vec!["shop.base".to_owned(), "shop.signals".to_owned()],
                effect: Some(effect(12, "registers with atexit")),
            }),
            chain: vec![
                link("app", "", None, ""),
                link(
                    "shop",
                    "app.py:3",
                    Some(DecisionState::Refused),
                    "every event's first request needs it",
                ),
                link("shop.models", "shop/__init__.py:2", Some(DecisionState::Applied), ""),
            ],
        }
    }

    #[test]
    fn a_module_is_explained_with_its_chain() {
        insta::assert_snapshot!(render_explanation(Some(&summary()), &[], &Style::plain(), 60), @"
        shop.models: 1.2 ms of its own in init, needed by 10 % of first requests
          effects on others:
            registers, line 4: decorates `Order` with
              `@registry.mapped`
          of what it imports: `shop.signals`, registers, line 12:
            registers with atexit
            by way of shop.base
          reads: environment, files
          loaded by way of:
            app
            shop (app.py:3): stays, every event's first request
              needs it
            shop.models (shop/__init__.py:2): deferred
        ");
    }

    #[test]
    fn nothing_found_is_said_so() {
        let bare = ModuleSummary {
            init_ms: None,
            effects: Vec::new(),
            reads: Vec::new(),
            through: None,
            chain: Vec::new(),
            ..summary()
        };
        insta::assert_snapshot!(render_explanation(Some(&bare), &[], &Style::plain(), 60), @"
        shop.models: init does not load it
          effects on others: none
        ");
        let native = ModuleSummary { native: true, needed: Some(0.0), init_ms: Some(3.0), ..bare };
        insta::assert_snapshot!(render_explanation(Some(&native), &[], &Style::plain(), 60), @"
        shop.models: 3.0 ms of its own in init, needed by no first request
          effects on others: not known, it is native code
        ");
    }
}
