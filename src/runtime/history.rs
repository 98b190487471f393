//! The `history` command: the store's thread looks the lines up and makes events of them.

use serde_json::Value;

use super::node::Node;
use super::workers::StoreJob;
use crate::api::{Command, Event, Request};
use crate::durable::Query;
use crate::error::{ExitCode, UserError};
use crate::id::PeerId;
use crate::proto::Now;
use crate::proto::history::{Archive, Wanted};
use crate::store::Store;

/// Lines where no other number was asked for.
const LINES: u32 = 200;
/// Most lines of one answer; scripts ask for the next with `before` or `after`.
const LINES_MAX: u32 = 1000;

/// A `history` command on its way to the store.
#[derive(Debug)]
pub struct Asked {
    /// The command's `ref`.
    pub reference: Option<Value>,
    own: (PeerId, String),
    wanted: Wanted,
}

impl Asked {
    /// Of a request, if it is a `history`. `own`: this node and its name.
    pub(super) fn of(request: &Request, own: (PeerId, String)) -> Option<Asked> {
        let Command::History {
            conversation,
            limit,
            before,
            after,
            since,
            search,
        } = &request.command
        else {
            return None;
        };
        let limit = limit.unwrap_or(LINES).min(LINES_MAX);
        Some(Asked {
            reference: request.reference.clone(),
            own,
            wanted: Wanted {
                target: conversation.clone(),
                limit: usize::try_from(limit).unwrap_or(usize::MAX),
                before: *before,
                after: *after,
                since_ms: since.map_or(0, |since| since.0),
                search: search.clone(),
            },
        })
    }

    /// The lines, with the command's `ref`.
    pub(super) fn answer(&self, store: &Store) -> Result<Vec<Event>, UserError> {
        let view = store.view();
        let find = |query: &Query| view.query(query);
        let (talks, rooms, people) = (view.talks()?, view.rooms()?, view.people()?);
        let own = (self.own.0, self.own.1.as_str());
        let mut events = Archive::new(&find, own, talks, rooms, people).events(&self.wanted)?;
        for event in &mut events {
            if let Event::Message { reference, .. } = event {
                reference.clone_from(&self.reference);
            }
        }
        Ok(events)
    }
}

impl Node<'_> {
    /// Hands a `history` to the store; whether it was one.
    pub(super) fn ask_history(&mut self, request: &Request) -> bool {
        let own = self.endpoint.own_info();
        let Some(asked) = Asked::of(request, (own.id, own.name)) else {
            return false;
        };
        if let Some(worker) = &mut self.worker {
            self.histories += 1;
            worker.submit(StoreJob::History(asked));
        }
        true
    }

    /// The store answered a `history`.
    pub(super) fn tell_history(
        &mut self,
        now: Now,
        reference: Option<Value>,
        result: Result<Vec<Event>, UserError>,
    ) {
        self.histories = self.histories.saturating_sub(1);
        let last = match result {
            Ok(events) => {
                for event in &events {
                    self.front_end.handle_event(now, event);
                }
                Event::Reply {
                    reference,
                    ok: true,
                    id: None,
                    passphrase: None,
                }
            }
            Err(error) => Event::Error {
                reference,
                code: match error.code {
                    ExitCode::NotFound => "not_found".into(),
                    ExitCode::Usage => "ambiguous_name".into(),
                    _ => "store_failed".into(),
                },
                message: error.message,
                hint: error.hint,
            },
        };
        self.front_end.handle_event(now, &last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Batch, Durability, PrivateRow, Write};
    use crate::id::MessageId;

    #[test]
    fn the_command_is_answered_by_message_events_with_its_ref() {
        let own = PeerId([1; 32]);
        let ben = PeerId([2; 32]);
        let mut store = Store::open(None, &own).expect("a store");
        let said = |number: u8| Write::PrivateIn {
            id: MessageId([number; 16]),
            from: ben,
            message: PrivateRow {
                hlc: u64::from(number) << 16,
                kind: 1,
                body: format!("line {number}").into_bytes(),
            },
        };
        let batch = Batch {
            durability: Durability::Process,
            writes: (1..=5).map(said).collect(),
        };
        store.apply(&batch).expect("kept");
        let ask = |line: &str| {
            let request: Request = serde_json::from_str(line).expect(line);
            let asked = Asked::of(&request, (own, "ana".into())).expect(line);
            asked.answer(&store)
        };
        let line = format!(
            r#"{{"command":"history","ref":7,"conversation":"@{ben}","limit":2,"before":"{}"}}"#,
            MessageId([5; 16])
        );
        let texts: Vec<String> = ask(&line)
            .expect("lines")
            .into_iter()
            .map(|event| match event {
                Event::Message {
                    reference: Some(reference),
                    text,
                    ..
                } if reference == 7 => text,
                event => panic!("{event:?}"),
            })
            .collect();
        assert_eq!(texts, ["line 3", "line 4"]);
        assert_eq!(ask(r#"{"command":"history"}"#).expect("all").len(), 5);
        let unknown = r##"{"command":"history","conversation":"#games"}"##;
        assert_eq!(ask(unknown).expect_err("none").code, ExitCode::NotFound);
        let who: Request = serde_json::from_str(r#"{"command":"who"}"#).expect("who");
        assert!(Asked::of(&who, (own, "ana".into())).is_none());
    }
}
