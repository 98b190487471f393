//! What is tried in the lab, by theme.

mod crash;
mod doctor;
mod errors;
mod faults;
mod flooder;
mod ground;
mod history;
mod hostile;
mod interfaces;
mod leave;
mod meet;
mod networks;
mod plain;
mod reach;
mod rooms;
mod scale;
mod screen;
mod together;

/// A test: its name and what it does; it fails by a panic.
pub type Test = (&'static str, fn());

/// Every test.
pub fn all() -> impl Iterator<Item = Test> {
    [
        ground::TESTS,
        meet::TESTS,
        reach::TESTS,
        leave::TESTS,
        faults::TESTS,
        hostile::TESTS,
        history::TESTS,
        together::TESTS,
        crash::TESTS,
        flooder::TESTS,
        interfaces::TESTS,
        networks::TESTS,
        errors::TESTS,
        doctor::TESTS,
        rooms::TESTS,
        screen::TESTS,
        scale::TESTS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .chain(plain::tests())
}
