//! The LAN lab: real processes and sockets on hosts that exist only here.
//!
//! `cargo test --test lab`. Where namespaces cannot be made, every test counts as ignored and the
//! reason is printed; with `LANCHAT_LAB=required` that is a failure. `LANCHAT_LAB_FULL=1` runs the
//! long forms. `LANCHAT_BIN` tests another binary than the one cargo built.

#[cfg(target_os = "linux")]
mod harness;
#[cfg(target_os = "linux")]
mod scenarios;

#[cfg(target_os = "linux")]
fn main() {
    use libtest_mimic::{Arguments, Completion, Trial};

    harness::pty::play_role();
    harness::simulated::play_role();
    let mut arguments = Arguments::from_args();
    let world = if arguments.list {
        Ok(())
    } else {
        harness::world::enter()
    };
    let required = std::env::var("LANCHAT_LAB").is_ok_and(|value| value == "required");
    if let Err(reason) = &world {
        println!("lab: no network namespaces here: {reason}");
    }
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    arguments.test_threads = arguments.test_threads.or(Some(cores.clamp(2, 4)));
    let trials = scenarios::all().map(|(name, test)| {
        let world = world.clone();
        Trial::ignorable_test(name, move || match world {
            Ok(()) => {
                test();
                Ok(Completion::Completed)
            }
            Err(reason) if required => Err(format!("LANCHAT_LAB=required, but {reason}").into()),
            Err(reason) => Ok(Completion::ignored_with(reason)),
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if !arguments.list {
        println!(
            "lab: {} tests ran in namespaces of their own",
            match world {
                Ok(()) => conclusion.num_passed + conclusion.num_failed,
                Err(_) => 0,
            }
        );
    }
    conclusion.exit();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("lab: network namespaces are a thing of Linux; no test ran");
    let required = std::env::var("LANCHAT_LAB").is_ok_and(|value| value == "required");
    assert!(!required, "LANCHAT_LAB=required");
}
