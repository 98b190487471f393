# Short names for what one does often; `just` lists them.

default:
    @just --list

# Format, lints and the core without I/O, in the order of how soon they fail
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo check --lib --no-default-features

# Every test, the lab included
test:
    cargo test

# The LAN lab only; `just lab leave` runs the tests with that word in their name
lab *filter:
    LANCHAT_LAB=required cargo test --test lab -- {{filter}}

# The long forms of the lab's tests
lab-full *filter:
    LANCHAT_LAB=required LANCHAT_LAB_FULL=1 cargo test --release --test lab -- {{filter}}

# The simulator: `just simulate --seeds 10000`, `just simulate --sabotage all`
simulate *arguments:
    cargo run --release --example simulate -- {{arguments}}

# The table of figures; `just bench --quick` to see that it works
bench *arguments:
    cargo bench --bench lan -- {{arguments}}

# lanchat beside termchat and ZRE, which it installs below target/
peers *arguments:
    benches/peers.sh {{arguments}}

# Licences, bans and sources of the dependencies (needs cargo-deny)
deny:
    cargo deny check licenses bans sources

# Everything that has to hold before a change goes in
ci:
    .ci/run
